"""A repair as one transaction: the change at the last checkpoint, the letter closed, the run queued again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph._internal._constants import (
    NULL_TASK_ID,
)  # not public by name; versions are pinned and a test holds it
from langgraph.checkpoint.serde.base import SerializerProtocol

from interlock.core.blobs import named_in
from interlock.core.letters import Letter
from interlock.core.runs import Run
from interlock.errors import UsageError
from interlock.postgres import blobs
from interlock.postgres.forks import Change, packed
from interlock.postgres.letters import revive
from interlock.postgres.plain import clean, stored
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("repairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a task is made to have written: LangGraph takes a task that wrote something for one that has ended.

    Attributes:
        channel: LangGraph's, of a state key or of a node that is sent for.
        value: as a task writes it.
    """

    task: str
    channel: str
    value: Any  # of any channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What is changed at a thread's last checkpoint.

    Attributes:
        changes: of the state.
        written: by tasks that are not run again.
        prompt: name and version to pin.
    """

    changes: Sequence[Change] = ()
    written: Sequence[Written] = ()
    prompt: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedAct:
    """An act that was not permitted at some checkpoint."""

    key: str
    node: str
    action: str
    arguments: Mapping[str, Any]  # JSON
    reason: str


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
        amendment: Amendment,
    ) -> Letter:
        """Let the run of a letter go on with a change.

        Args:
            letter_id: the whole id.
            by: who agreed to it.
            why: the reason.
            proposal: what is kept with the letter.
            amendment: the change.

        Raises:
            UsageError: the letter is closed, its thread has gone on since, or a value cannot be stored.
            Killed: a switch stands over the run.
        """
        async with connected(self._pool) as connection, connection.transaction():
            letter = await revive(
                connection, letter_id, by=by, why=why, status="repaired", proposal=proposal
            )
            await self._refuse_moved(connection, letter)
            await self._amend(connection, letter.thread_id, letter.checkpoint_id, amendment)
            if (pin := amendment.prompt) is not None:
                pinned = {"run_id": letter.run_id, "prompt": pin[0], "version": pin[1]}
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

    async def amend(self, trial: Run, letter: Letter, amendment: Amendment) -> None:
        """Change a trial before it begins, at the checkpoint that it begins at, as a promotion would.

        What tasks did that are not run again, it has used up: nothing in it asks for that.

        Raises:
            UsageError: a value cannot be stored.
        """
        async with connected(self._pool) as connection, connection.transaction():
            await self._amend(connection, trial.thread_id, letter.checkpoint_id, amendment)
            if tasks := {each.task for each in amendment.written}:
                values = {"thread_id": letter.thread_id, "tasks": sorted(tasks)}
                ours = {"trial": trial.thread_id, "run_id": trial.run_id}
                await execute(connection, SQL["use_up"], values | ours)

    async def refused_at(self, thread_id: str, checkpoint_id: str) -> list[RefusedAct]:
        """Return the acts that were refused at a checkpoint of a thread, each once, the last refusal first."""
        at = {"thread_id": thread_id, "checkpoint_id": checkpoint_id}
        async with connected(self._pool) as connection:
            return [RefusedAct(**row) for row in await fetch(connection, SQL["refused"], at)]

    async def _amend(
        self, connection: Connection, thread_id: str, checkpoint_id: str, amendment: Amendment
    ) -> None:
        at = {"thread_id": thread_id, "checkpoint_id": checkpoint_id, "null_task": NULL_TASK_ID}
        changes, written = amendment.changes, amendment.written
        replaced = [each.channel for each in changes if each.alone]
        await execute(connection, SQL["forget"], at | {"channels": replaced})
        for each in changes:
            kind, blob = packed(each, self._serde)
            values = {"channel": each.channel, "type": kind, "blob": blob}
            await execute(connection, SQL["change"], at | values)
        await execute(connection, SQL["unfail"], at | {"tasks": [each.task for each in written]})
        for idx, one in enumerate(written):
            kind, blob = packed(Change(channel=one.channel, value=one.value), self._serde)
            values = {"channel": one.channel, "type": kind, "blob": blob}
            await execute(connection, SQL["stand_in"], at | values | {"task": one.task, "idx": idx})
        held = [each.value for each in changes] + [one.value for one in written]
        await blobs.note(connection, thread_id, named_in(held))
