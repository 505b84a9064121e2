"""The schema that holds our tables: one of the user's choice, so that several Interlocks share a database.

The name travels in the options of the connection's address. Whoever has a connection knows where its tables are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, LiteralString
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

DEFAULT = "interlock"
"""The schema's name in our SQL files, and unless another is chosen."""

_OPTION = "interlock.schema"
_IN_OPTIONS = re.compile(rf"-c {re.escape(_OPTION)}=([a-z0-9_]+)")
_IN_SQL = re.compile(r"\binterlock(?=\.[a-z_])|(?<=exists )interlock\b")


def placed(url: str, schema: str) -> str:
    """Return a database's address with the schema in it; LangGraph's tables are in a chosen schema too.

    With the default name the address stays as it is: LangGraph's tables are where its own saver puts them.
    """
    if schema == DEFAULT:
        return url
    return with_options(url, f'-c search_path="{schema}" -c {_OPTION}={schema}')


def with_options(url: str, options: str) -> str:
    """Return a database's address with more options for each session."""
    if not url.startswith(("postgresql://", "postgres://")):
        before = conninfo_to_dict(url).get("options") or ""
        return make_conninfo(url, options=f"{before} {options}".strip())
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query["options"] = f"{query.get('options', '')} {options}".strip()
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def schema_of(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> str:
    """Return the schema that a connection works in; its rows may be of any kind."""
    found = _IN_OPTIONS.search(connection.info.options)
    return found[1] if found else DEFAULT


def ours(
    connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any],
    statement: LiteralString,  # SQL
) -> LiteralString:
    """Return one of our statements for the schema that a connection works in; its rows may be of any kind."""
    schema = schema_of(connection)
    return statement if schema == DEFAULT else within(statement, schema)


@lru_cache(maxsize=1024)
def within(statement: LiteralString, schema: str) -> LiteralString:  # SQL
    """Return a statement with a schema in place of the default one; its name was checked when the setting was read."""
    return _IN_SQL.sub(f'"{schema}"', statement)
