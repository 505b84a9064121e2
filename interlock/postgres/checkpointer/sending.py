"""Sending one flush: by the cheapest statement that does, its parameters packed here where the connection allows it.

The driver looks at each of thirty parameters three times, which takes longer than the server needs for a step.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

import psycopg
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.generators import execute
from psycopg.pq import ExecStatus, Format, PipelineStatus
from psycopg.pq.abc import PGresult

from interlock.postgres.checkpointer.arrays import TextArray, prepare
from interlock.postgres.checkpointer.ending import End, end_values
from interlock.postgres.checkpointer.lines import Connection
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("checkpoints")

Values = Mapping[str, Any]  # SQL values
Sent = tuple[int | None, list[str]]
"""The generation that was not known, if any, and the runs that have ended."""


async def sent(
    connection: Connection, values: Values, fence: Sequence[str], ends: Sequence[End]
) -> Sent:
    """Send a flush and commit it."""
    if ends or not _takes_packed(connection):
        return await _sent_by_driver(connection, values, fence, ends)
    return await _sent_packed(connection, values, fence), []


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


async def _sent_by_driver(
    connection: Connection, values: Values, fence: Sequence[str], ends: Sequence[End]
) -> Sent:
    prepare(connection)
    ended = end_values(ends) if ends else {}
    async with committing(connection):
        cursor = connection.cursor(binary=True, row_factory=psycopg.rows.tuple_row)
        await cursor.execute(
            _statement(connection, fence, ends), {**values, "fence": TextArray(fence), **ended}
        )
        row: Sent | None = await cursor.fetchone()
    return row or (None, [])


def _statement(connection: Connection, fence: Sequence[str], ends: Sequence[End]) -> LiteralString:
    if ends:
        return ours(connection, SQL["ending_flush"])
    return ours(connection, SQL["fenced_flush"]) if fence else SQL["flush"]


def _takes_packed(connection: Connection) -> bool:
    """Tell whether statements can be prepared on a connection, and are committed one by one."""
    return (
        connection.autocommit
        and connection.prepare_threshold is not None  # as with poolers that share sessions
        and connection.pgconn.pipeline_status == PipelineStatus.OFF
    )


async def _sent_packed(connection: Connection, values: Values, fence: Sequence[str]) -> int | None:
    if fence:
        statement = _packed(ours(connection, SQL["fenced_flush"]))
        values = {**values, "fence": TextArray(fence)}
    else:
        statement = _packed(SQL["plain_flush" if _plain(values) else "flush"])
    result = await statement.run(connection, values)
    present = result.get_value(0, 0) if result.ntuples else None
    return None if present is None else int.from_bytes(present, "big", signed=True)


def _plain(values: Values) -> bool:
    return values["seen"] is None and True not in values["write_over"]


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

    async def run(self, connection: Connection, values: Values) -> PGresult:
        """Run it, prepared on the connection before."""
        packed = [_binary(values[each]) for each in self._parameters]
        async with connection.lock:
            try:
                return await self._run(connection, packed)
            except InvalidSqlStatementName:  # someone discarded what was prepared
                _prepared.pop(connection, None)
                return await self._run(connection, packed)

    async def _run(self, connection: Connection, packed: Sequence[bytes | None]) -> PGresult:
        prepared = _prepared.setdefault(connection, set())
        if self._name not in prepared:
            connection.pgconn.send_prepare(self._name, self._numbered)
            await _result(connection)
            prepared.add(self._name)
        connection.pgconn.send_query_prepared(self._name, packed, self._formats, Format.BINARY)
        return await _result(connection)


async def _result(connection: Connection) -> PGresult:
    result: PGresult = (await connection.wait(execute(connection.pgconn)))[-1]
    if result.status not in _DONE:
        raise error_from_result(result, connection.info.encoding)
    return result


def _binary(value: Any) -> bytes | None:  # an SQL value
    if value is None:
        return None
    packed: bytes = value.to_bytes(8, "big", signed=True) if type(value) is int else value.binary()
    return packed


@lru_cache(maxsize=64)
def _packed(text: str) -> Packed:
    return Packed(text, f"interlock_{next(_numbers)}".encode())


_PARAMETER = re.compile(r"%\((\w+)\)s")
_DONE = {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}
_numbers = iter(range(1 << 62))
_prepared: WeakKeyDictionary[Connection, set[bytes]] = WeakKeyDictionary()
"""What is prepared on each connection."""
