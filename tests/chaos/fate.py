"""Where a process dies: it is told boundaries, notes each that it comes to, and kills itself at the first of those.

The code under test knows nothing of this: its ledger, its checkpointer and its tables are watched from outside.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from interlock.core.ledger import Entry, Intention
from interlock.postgres.approvals import PostgresApprovals
from interlock.postgres.checkpoints import Saver
from interlock.postgres.ledger import PostgresLedger
from interlock.postgres.runs import RunStore
from tests.chaos import client

ACTS = ("before-intention", "after-intention", "acted", "before-result", "after-result")
SAVES = ("before-writes", "after-writes", "before-checkpoint", "after-checkpoint")
RUNS = ("before-start", "after-start", "before-end", "after-end", "before-answer", "after-answer")
KILLED = "killed "
NOT_RESULTS = {"__interrupt__", "__error__", "__resume__"}
"""What is also written for a task that did not finish."""


@dataclass(slots=True)
class Fate:
    """The boundaries at which this process dies, each as `BOUNDARY:ACTION`, or `BOUNDARY:` for those of a run.

    A line of the journal is `BOUNDARY ACTION ATTEMPT`, and the last one of a process that came so far `killed ...`.
    """

    journal: int
    deadly: frozenset[str]
    signal: int = signal.SIGKILL
    names: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)

    def at(self, boundary: str, action: str = "", attempt: int = 0) -> None:
        """Note a boundary, and die there if told to."""
        self._note(f"{boundary} {action or '-'} {attempt}")
        if f"{boundary}:{action}" in self.deadly:
            self._note(f"{KILLED}{boundary} {action or '-'} {attempt}")
            os.kill(os.getpid(), self.signal)

    def seen(self, intention: Intention) -> str:
        """Remember whose key this is, and its task until the checkpoint of its step; return the action's name."""
        self.names[intention.key] = intention.action
        self.tasks[intention.action] = intention.site.task.rpartition("|")[2].rpartition(":")[2]
        return intention.action

    def of_task(self, task_id: str) -> list[str]:
        """Return the actions that were asked for in a task."""
        return [name for name, task in self.tasks.items() if task == task_id]

    def each(self, boundary: str, actions: Iterable[str]) -> None:
        """Note the same boundary for several actions."""
        for action in actions:
            self.at(boundary, action)

    def _note(self, line: str) -> None:
        os.write(self.journal, f"{line}\n".encode())


def watch(fate: Fate) -> None:
    """Watch everything that has a boundary."""
    _watch_begin(fate)
    _watch_recovery(fate)
    _watch_results(fate)
    _watch_checkpoints(fate)
    _watch_runs(fate)
    client.watch = fate.at


def _watch_begin(fate: Fate) -> None:
    begin = PostgresLedger.begin

    async def watched(
        ledger: PostgresLedger, intention: Intention, *, permitted: bool, approval: str = ""
    ) -> Entry:
        action = fate.seen(intention)
        if permitted:
            fate.at("before-intention", action)
        entry = await begin(ledger, intention, permitted=permitted, approval=approval)
        if entry.standing == "new" and entry.attempt:
            fate.at("after-intention", action, entry.attempt)
        return entry

    PostgresLedger.begin = watched  # type: ignore[assignment, method-assign]  # this process only watches


def _watch_recovery(fate: Fate) -> None:
    claim, settle = PostgresLedger.claim, PostgresLedger.settle

    async def watched_claim(ledger: PostgresLedger, key: str, attempt: int) -> Entry:
        fate.at("before-claim", fate.names[key], attempt)
        entry = await claim(ledger, key, attempt)
        if entry.standing == "new":
            fate.at("after-intention", fate.names[key], entry.attempt)
        return entry

    async def watched_settle(ledger: PostgresLedger, key: str, attempt: int, **found: Any) -> Entry:
        fate.at("before-settle", fate.names[key], attempt)
        entry = await settle(ledger, key, attempt, **found)
        fate.at("after-settle", fate.names[key], attempt)
        return entry

    PostgresLedger.claim = watched_claim  # type: ignore[assignment, method-assign]  # this process only watches
    PostgresLedger.settle = watched_settle  # type: ignore[assignment, method-assign]  # same


def _watch_results(fate: Fate) -> None:
    finish = PostgresLedger.finish

    async def watched(ledger: PostgresLedger, key: str, attempt: int, result: Any) -> None:  # JSON
        fate.at("before-result", fate.names[key], attempt)
        await finish(ledger, key, attempt, result)
        fate.at("after-result", fate.names[key], attempt)

    PostgresLedger.finish = watched  # type: ignore[assignment, method-assign]  # this process only watches


def _watch_checkpoints(fate: Fate) -> None:
    put_writes, put = Saver.aput_writes, Saver.aput

    async def watched_writes(
        saver: Saver, config: Any, writes: Any, task_id: str, task_path: str = ""
    ) -> None:  # LangGraph's
        finished = not any(channel in NOT_RESULTS for channel, _ in writes)
        actions = fate.of_task(task_id) if finished else []
        fate.each("before-writes", actions)
        await put_writes(saver, config, writes, task_id, task_path)
        fate.each("after-writes", actions)

    async def watched_put(
        saver: Saver, config: Any, checkpoint: Any, metadata: Any, new_versions: Any
    ) -> Any:  # LangGraph's
        actions = list(fate.tasks)
        fate.each("before-checkpoint", actions)
        saved = await put(saver, config, checkpoint, metadata, new_versions)
        fate.tasks.clear()
        fate.each("after-checkpoint", actions)
        return saved

    Saver.aput_writes = watched_writes  # type: ignore[assignment, method-assign]  # this process only watches
    Saver.aput = watched_put  # type: ignore[assignment, method-assign]  # same


def _watch_runs(fate: Fate) -> None:
    for owner, name, boundary in (
        (RunStore, "start", "start"),
        (RunStore, "end", "end"),
        (PostgresApprovals, "take", "answer"),
    ):
        setattr(owner, name, _around(fate, getattr(owner, name), boundary))


def _around(fate: Fate, method: Any, boundary: str) -> Any:  # any method of a store
    async def watched(*args: Any, **named: Any) -> Any:  # its own arguments and result
        fate.at(f"before-{boundary}")
        result = await method(*args, **named)
        fate.at(f"after-{boundary}")
        return result

    return watched
