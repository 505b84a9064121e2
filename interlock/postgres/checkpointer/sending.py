"""Sending one flush: by the cheapest statement that does, its parameters packed here where the connection allows it.

The driver looks at each of thirty parameters three times, which takes longer than the server needs for a step.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.generators import execute
from psycopg.pq import ExecStatus, Format, PipelineStatus
from psycopg.pq.abc import PGresult

from interlock.postgres.checkpointer.arrays import TextArray, prepare, texts
from interlock.postgres.checkpointer.ending import NO_ENDS, End, end_values
from interlock.postgres.checkpointer.lines import Connection
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("checkpoints")

CANCELLING_SECONDS = 5.0
"""How long the server may take to give up a statement whose caller was cancelled."""

Values = Mapping[str, Any]  # SQL values
Sent = tuple[int | None, Sequence[str]]
"""The generation that was not known, if any, and the runs that have ended."""


async def sent(
    connection: Connection,
    values: Values,
    *,
    plain: bool,
    fence: Sequence[str] = (),
    ends: Sequence[End] = (),
) -> Sent:
    """Send a flush and commit it.

    Args:
        connection: where.
        values: as `merged` makes them.
        plain: nothing refers to content, and nothing is replaced.
        fence: the workers that it is saved for.
        ends: the runs that end with it.
    """
    if fence or ends:
        values = {**values, "fence": TextArray(fence), **(end_values(ends) if ends else NO_ENDS)}
    name = _statement(plain, fence, ends)
    if not _takes_packed(connection):
        return await _sent_by_driver(connection, name, values)
    known = _statements(connection)
    result = await known.named(connection, name).run(connection, known.prepared, values)
    return _outcome(result) if result.ntuples else (None, ())


@asynccontextmanager
async def committing(connection: Connection) -> AsyncIterator[None]:
    """Commit at the end, also where the connection does not by itself and someone read on it before."""
    if connection.autocommit:
        yield
        return
    try:
        yield
    except BaseException:
        await connection.rollback()
        raise
    await connection.commit()


def _statement(plain: bool, fence: Sequence[str], ends: Sequence[End]) -> str:
    if plain:
        return "plain_run_flush" if fence or ends else "plain_flush"
    if ends:
        return "ending_flush"
    return "fenced_flush" if fence else "flush"


async def _sent_by_driver(connection: Connection, name: str, values: Values) -> Sent:
    prepare(connection)
    async with committing(connection):
        cursor = connection.cursor(binary=True, row_factory=psycopg.rows.tuple_row)
        await cursor.execute(ours(connection, SQL[name]), values)
        row: Sent | None = await cursor.fetchone() if cursor.description else None
    return row or (None, ())


def _takes_packed(connection: Connection) -> bool:
    """Tell whether statements can be prepared on a connection, and are committed one by one."""
    return (
        connection.autocommit
        and connection.prepare_threshold is not None  # as with poolers that share sessions
        and connection.pgconn.pipeline_status == PipelineStatus.OFF
    )


def _outcome(result: PGresult) -> Sent:
    present, ended = result.get_value(0, 0), result.get_value(0, 1)
    return (
        None if present is None else int.from_bytes(present, "big", signed=True),
        tuple(texts(ended)) if ended else (),
    )


class _Statements:
    """The statements of one connection.

    Attributes:
        prepared: the names of those that are prepared on it.
    """

    def __init__(self) -> None:
        self.prepared: set[bytes] = set()
        self._named: dict[str, Packed] = {}

    def named(self, connection: Connection, name: str) -> Packed:
        """Return a statement for the schema that the connection works in."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = _packed(ours(connection, SQL[name]))
        return found


def _statements(connection: Connection) -> _Statements:
    found = _known.get(connection)
    if found is None:
        found = _known[connection] = _Statements()
    return found


class Packed:
    """A statement whose parameters are packed here: arrays, and whole numbers of 64 bits."""

    def __init__(self, text: str, name: bytes) -> None:
        self.text = text
        self._parameters = list(dict.fromkeys(_PARAMETER.findall(text)))
        self._numbered = _PARAMETER.sub(self._number, text).encode()
        self._name = name
        self._formats = [Format.BINARY] * len(self._parameters)

    def _number(self, parameter: re.Match[str]) -> str:
        return f"${self._parameters.index(parameter[1]) + 1}"

    async def run(self, connection: Connection, prepared: set[bytes], values: Values) -> PGresult:
        """Run it; it is prepared on the connection before where it is not."""
        given = [values[each] for each in self._parameters]
        packed = [
            each.to_bytes(8, "big", signed=True) if type(each) is int else each for each in given
        ]
        async with connection.lock:
            try:
                return await self._run(connection, prepared, packed)
            except InvalidSqlStatementName:  # someone discarded what was prepared
                prepared.clear()
                return await self._run(connection, prepared, packed)

    async def _run(
        self, connection: Connection, prepared: set[bytes], packed: Sequence[bytes | None]
    ) -> PGresult:
        if self._name not in prepared:
            connection.pgconn.send_prepare(self._name, self._numbered)
            await _answer(connection)
            prepared.add(self._name)
        connection.pgconn.send_query_prepared(self._name, packed, self._formats, Format.BINARY)
        return await _answer(connection)


async def _answer(connection: Connection) -> PGresult:
    """Return the answer to what was sent; raises its error."""
    result: PGresult = (await connection.wait(execute(connection.pgconn)))[-1]
    if result.status not in _DONE:
        raise error_from_result(result, connection.info.encoding)
    return result


@lru_cache(maxsize=64)
def _packed(text: str) -> Packed:
    return Packed(text, f"interlock_{next(_numbers)}".encode())


_PARAMETER = re.compile(r"%\((\w+)\)s")
_DONE = {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}
_numbers = iter(range(1 << 62))
_known: WeakKeyDictionary[Connection, _Statements] = WeakKeyDictionary()
