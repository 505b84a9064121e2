"""What commands share that work on the database alone, and note in the audit log what they did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from interlock.cli.call import Call

if TYPE_CHECKING:
    from interlock.postgres.pool import Pool

T = TypeVar("T")


def with_pool(call: Call, work: Callable[[Pool], Awaitable[T]]) -> T:
    """Do something with the database that a call is about; a broken application hinders nobody."""
    import asyncio

    from interlock.cli.database import database
    from interlock.postgres.migrations import migrate
    from interlock.postgres.pool import open_pool

    async def on(url: str) -> T:
        await migrate(url)
        async with open_pool(url, size=1) as pool:
            return await work(pool)

    with database(call) as url:
        return asyncio.run(on(url))


async def noted(
    pool: Pool,
    who: str,
    act: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,  # JSON
) -> None:
    """Write down what somebody did at the command line."""
    from interlock.postgres.audit import AuditStore, Entry

    await AuditStore(pool).note(Entry(identity=who, act=act, subject=subject, detail=detail or {}))


def actor(call: Call, by: str | None) -> str:
    """Return under which name something is done: the given one, the setting's, or the login name."""
    from interlock.cli.asking import login_name

    return by or call.settings().user or login_name()
