"""Connections of a worker's own, beside those of its runs."""

from __future__ import annotations

from interlock.postgres.pool import Connection, own_connection

NAME = "interlock worker"


async def connect(url: str) -> Connection:
    """Return a connection of a worker's own."""
    return await own_connection(url, NAME)
