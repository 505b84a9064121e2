"""Hears what is told on a connection as it arrives; the driver's own way waits anew for each notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg


async def listen(
    connection: psycopg.AsyncConnection[Any],  # its rows may be of any kind
    statement: LiteralString,  # SQL
    hear: Callable[[str], None],
) -> None:
    """Listen with a statement, and from then on let `hear` be called in `hearing`, also with what came meanwhile."""
    connection.add_notify_handler(lambda notice: hear(notice.payload))
    await connection.execute(statement)


@contextmanager
def hearing(
    connection: psycopg.AsyncConnection[Any],  # as above
    hear: Callable[[str], None],
) -> Iterator[asyncio.Future[None]]:
    """Call `hear` with each notice for the length of a block; the future fails when the connection breaks."""
    loop = asyncio.get_running_loop()
    broken: asyncio.Future[None] = loop.create_future()
    pgconn = connection.pgconn

    def read() -> None:
        try:
            pgconn.consume_input()
            while notice := pgconn.notifies():
                hear(notice.extra.decode())
        except psycopg.Error as error:
            loop.remove_reader(file)
            if not broken.done():
                broken.set_exception(error)

    file = connection.fileno()
    loop.add_reader(file, read)
    try:
        read()  # what has arrived, and was not looked at
        yield broken
    finally:
        loop.remove_reader(file)
        if broken.done() and not broken.cancelled():
            broken.exception()  # nobody may have waited for it
