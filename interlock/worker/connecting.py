"""Connections of a worker's own, beside those of its runs."""

from __future__ import annotations

import psycopg
from psycopg.rows import dict_row

from interlock.postgres.pool import STEADY, Connection, translated

NAME = "interlock worker"


async def connect(url: str) -> Connection:
    """Return a connection of a worker's own."""
    with translated():
        return await psycopg.AsyncConnection.connect(
            url,
            autocommit=True,
            prepare_threshold=0,
            row_factory=dict_row,
            connect_timeout=5,
            application_name=NAME,
            **STEADY,
        )
