"""Waits for what is told by `notify`, with a clock under it: the news may be lost, and the connection too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import LiteralString

import psycopg

NAME = "interlock news"


class Hearing:
    """Hears some channels on a connection of its own, which is opened when first needed and again when it is lost.

    Args:
        url: of the database.
        statements: that listen to the channels.
    """

    def __init__(self, url: str, statements: Sequence[LiteralString]) -> None:
        self._url = url
        self._statements = statements
        self._connection: psycopg.AsyncConnection | None = None

    async def wait(self, seconds: float) -> bool:
        """Return when there is news, or after some seconds; say whether there was any."""
        until = asyncio.get_running_loop().time() + seconds
        try:
            connection = await asyncio.wait_for(self._opened(), seconds)
            async for _ in connection.notifies(timeout=_left(until), stop_after=1):
                return True
        except (psycopg.Error, TimeoutError):
            await self.close()
            await asyncio.sleep(_left(until))
        return False

    async def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _opened(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=5, application_name=NAME
            )
            for statement in self._statements:
                await connection.execute(statement)
            self._connection = connection
        return self._connection


def _left(until: float) -> float:
    return max(until - asyncio.get_running_loop().time(), 0.0)
