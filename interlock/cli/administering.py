"""Who is at this machine: whose the runs are that commands begin, and what they do to the database alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from interlock.cli.call import Call

if TYPE_CHECKING:
    from interlock.core.driving import Driving
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


def asked_here(call: Call) -> Driving | None:
    """Return how runs are driven that are begun here: for who is at this machine; a server knows its callers."""
    from interlock.core.driving import Driving
    from interlock.core.identity import User, asker
    from interlock.postgres.encryption import kept_json

    if call.address() or not (who := actor(call, None)):
        return None
    asked = asker(User({"identity": who}).document())
    return Driving(asker=kept_json(call.settings().encryption_key, asked))
