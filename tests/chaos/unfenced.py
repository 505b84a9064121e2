"""A worker without a fence, which the suite must find out."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from inspect import iscoroutinefunction

from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import Connection
from interlock.worker.life import Life
from interlock.worker.pulse import Pulse

UNFENCED = "RUNNING_UNFENCED"
"""The variable that takes the fence away from a worker."""


def take_away_the_fence() -> None:
    """Let this process write whatever it likes, and not notice that others have taken its runs over."""

    def nobody(locks: ThreadLocks, thread_id: str) -> str:
        return ""

    async def held(locks: ThreadLocks, thread_id: str) -> None:
        return

    async def kept(locks: ThreadLocks, owner: str) -> bool:
        return True

    def whichever(locks: ThreadLocks, owner: str) -> AbstractAsyncContextManager[Connection]:
        return locks.taking()

    def go_on(one: object, why: str) -> None:
        return

    for owner, name, without in (
        (ThreadLocks, "fence", nobody),
        (ThreadLocks, "check", held),
        (ThreadLocks, "keeps", kept),
        (ThreadLocks, "session", whichever),
        (Life, "_lose", go_on),
        (Pulse, "_lose", go_on),
    ):
        # A method that is not there any more, or is another, would leave the fence where it is.
        assert iscoroutinefunction(getattr(owner, name)) == iscoroutinefunction(without)
        setattr(owner, name, without)
