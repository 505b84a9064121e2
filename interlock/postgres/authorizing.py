"""What clients say of things, for handlers that filter by it."""

from __future__ import annotations

from typing import Any

from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("authorizing")

METADATA = {"threads": SQL["thread"], "assistants": SQL["assistant"], "crons": SQL["cron"]}


async def metadata_of(pool: Pool, resource: str, name: str) -> dict[str, Any] | None:  # JSON
    """Return the metadata of a thread, an assistant or a cron; None when there is none."""
    async with connected(pool) as connection:
        rows = await fetch(connection, METADATA[resource], {"id": name})
    return dict(rows[0]["metadata"]) if rows else None
