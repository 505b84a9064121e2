"""A repair as one transaction: the change at the last checkpoint, the letter closed, the run queued again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph._internal._constants import (
    NULL_TASK_ID,
)  # not public by name; versions are pinned and a test holds it
from langgraph.checkpoint.serde.base import SerializerProtocol

from interlock.core.blobs import named_in
from interlock.core.letters import Letter
from interlock.errors import UsageError
from interlock.postgres import blobs
from interlock.postgres.forks import Change, packed
from interlock.postgres.letters import revive
from interlock.postgres.plain import clean, stored
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("repairs")


class RepairStore:
    """Writes repairs; each is one transaction."""

    def __init__(self, pool: Pool, serde: SerializerProtocol) -> None:
        self._pool = pool
        self._serde = serde

    async def promote(
        self,
        letter_id: str,
        *,
        by: str,
        why: str,
        proposal: Mapping[str, Any],  # JSON
        changes: Sequence[Change] = (),
        prompt: tuple[str, str] | None = None,
    ) -> Letter:
        """Let the run of a letter go on with a change.

        Args:
            letter_id: the whole id.
            by: who agreed to it.
            why: the reason.
            proposal: what is kept with the letter.
            changes: of the state at the last checkpoint.
            prompt: name and version to pin.

        Raises:
            UsageError: the letter is closed, its thread has gone on since, or a value cannot be stored.
            Killed: a switch stands over the run.
        """
        async with connected(self._pool) as connection, connection.transaction():
            letter = await revive(
                connection, letter_id, by=by, why=why, status="repaired", proposal=proposal
            )
            await self._refuse_moved(connection, letter)
            await self._change(connection, letter, changes)
            if prompt is not None:
                pinned = {"run_id": letter.run_id, "prompt": prompt[0], "version": prompt[1]}
                await execute(connection, SQL["pin"], pinned)
            detail = stored({"letter": letter.id, "by": clean(by), "why": clean(why)})
            about = {"run_id": letter.run_id, "thread_id": letter.thread_id, "detail": detail}
            await execute(connection, SQL["note"], about)
        return letter

    async def _refuse_moved(self, connection: Connection, letter: Letter) -> None:
        """Refuse to change another step than the one that was tried."""
        rows = await fetch(connection, SQL["head"], {"thread_id": letter.thread_id})
        if rows[0]["checkpoint_id"] != letter.checkpoint_id:
            raise UsageError(
                f"Thread {letter.thread_id} has another last checkpoint than when its run died.",
                hint="Discard the letter, or fork the thread.",
            )

    async def _change(
        self, connection: Connection, letter: Letter, changes: Sequence[Change]
    ) -> None:
        at = {
            "thread_id": letter.thread_id,
            "checkpoint_id": letter.checkpoint_id,
            "null_task": NULL_TASK_ID,
        }
        replaced = [each.channel for each in changes if each.alone]
        await execute(connection, SQL["forget"], at | {"channels": replaced})
        for each in changes:
            kind, blob = packed(each, self._serde)
            written = {"channel": each.channel, "type": kind, "blob": blob}
            await execute(connection, SQL["change"], at | written)
        await blobs.note(connection, letter.thread_id, named_in([each.value for each in changes]))
