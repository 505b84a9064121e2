"""The workshop of the runtime: reads letters, tries changes on forks without effects, promotes them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from interlock.core import actions, prompts
from interlock.core.allowance import Allowance, allowance_here
from interlock.core.letters import LetterDetail
from interlock.core.metering import Meter
from interlock.core.repairs import Case, Change, Outcome, Promoted, Trial
from interlock.core.runs import Run
from interlock.errors import (
    BudgetSpent,
    DatabaseUnavailable,
    InterlockError,
    Killed,
    LeaseLost,
    PromptError,
    ReplayDiverged,
    RunCancelled,
    UsageError,
)
from interlock.failing import blotted
from interlock.forks import changes_of
from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.encryption import ring_of
from interlock.postgres.plain import plain
from interlock.postgres.repairs import RepairStore
from interlock.repair.casebook import VALUE, case_of, cut, line_of, shown

if TYPE_CHECKING:
    from interlock.execution import Execution
    from interlock.postgres.runs import StoredRun
    from interlock.repair.repairing import Repairing

OURS = (DatabaseUnavailable, LeaseLost, BudgetSpent, Killed, RunCancelled)
"""What a trial raises that says nothing of the change: the repair itself stops, or is tried again."""


@dataclass(slots=True)
class Bench:
    """The workshop; `il` is set once there is a runtime."""

    il: Repairing | None = None

    async def case(self, letter_id: str) -> Case | None:
        """Return what is known of the run of a letter; None when the letter is not open."""
        il = self._runtime
        detail = await il.aletter(letter_id)
        if detail.letter.status != "open":
            return None
        stored = await il.store.stored(detail.letter.run_id)
        try:
            graph = il.graph(detail.letter.graph)
        except InterlockError:
            graph = None
        return case_of(detail, graph, stored.context.get("prompts", {}))

    async def rehearse(self, letter_id: str, change: Change) -> Trial:
        """Try a change on a fork of the run's thread, at its last checkpoint, without effects."""
        detail = await self._runtime.aletter(letter_id)
        try:
            trial = await self._forked(detail, change)
        except UsageError as error:
            return Trial(outcome="refused", says=_said(error))
        outer = allowance_here()
        # LangGraph would take a graph that is run in a node's own context for a part of the graph around it.
        driving = asyncio.get_running_loop().create_task(
            self._driven(trial, outer), context=contextvars.Context()
        )
        return await self._told(detail, trial, *await driving)

    async def promote(self, letter_id: str, change: Change, *, by: str, key: str) -> Promoted:
        """Let the run go on with a change, and close its letter; the same key again changes nothing more."""
        il = self._runtime
        letter = (await il.aletter(letter_id)).letter
        if letter.proposal is None or letter.proposal.get("key") != key:
            values, pin = self._wanted(change)
            store = RepairStore(
                il.pool, strict_serializer(ring=ring_of(il.settings.encryption_key))
            )
            letter = await store.promote(
                letter.id,
                by=by,
                why=change.reason,
                proposal={**change.model_dump(), "key": key},
                changes=changes_of(il.graph(letter.graph), values) if values else (),
                prompt=pin,
            )
        return Promoted(letter=letter.id, thread=letter.thread_id, run=letter.run_id)

    @property
    def _runtime(self) -> Repairing:
        if self.il is None:
            raise UsageError("There is no runtime here that could repair.")
        return self.il

    def _wanted(self, change: Change) -> tuple[dict[str, Any], tuple[str, str] | None]:  # JSON
        """Return the values and the pin of a change; raises `UsageError` when it is none."""
        if change.kind == "prompt":
            try:
                prompts.load(change.prompt, change.version)
            except PromptError as error:
                raise UsageError(str(error.args[0])) from error
            return {}, (change.prompt, change.version)
        if not (values := change.state()):
            raise UsageError("A change of the state names no key.")
        return values, None

    async def _forked(self, detail: LetterDetail, change: Change) -> StoredRun:
        il, letter = self._runtime, detail.letter
        values, pin = self._wanted(change)
        context = dict((await il.store.stored(letter.run_id)).context)
        if pin is not None:
            if pin[0] not in context.get("prompts", {}):
                raise UsageError(f"The run uses no prompt {pin[0]!r}.")
            context["prompts"] = {**context["prompts"], pin[0]: pin[1]}
        return await il.forks.submit(
            letter.thread_id,
            letter.checkpoint_id,
            values,
            context,
            recorded_only=True,
            live_models=True,
        )

    async def _driven(
        self, stored: StoredRun, outer: Allowance | None
    ) -> tuple[Run | None, Exception | None]:
        """Run a trial to its end; its model calls are charged to the repair."""
        execution = await self._runtime.prepare(stored)
        if outer is not None:
            _charge(execution, outer)
        run: Run | None = None
        try:
            async with aclosing(execution.parts()) as parts:
                async for part in parts:
                    run = part["data"] if part["type"] == "end" else run
        except OURS:
            raise
        except Exception as error:  # a node may raise anything: that is what the trial shows
            return None, error
        return run, None

    async def _told(
        self, detail: LetterDetail, trial: StoredRun, run: Run | None, error: Exception | None
    ) -> Trial:
        il, thread = self._runtime, trial.run.thread_id
        steps = await il.ahistory(thread)
        since = [each for each in steps if each.checkpoint_id > detail.letter.checkpoint_id]
        outcome, says, node = _outcome(run, error)
        now = steps[-1].values if steps else {}
        effects = [each for each in await il.aeffects(thread) if each.source]
        return Trial(
            outcome=outcome,
            thread=thread,
            says=cut(blotted(says[: 2 * VALUE])),
            node=node,
            steps=len(since),
            passed=[name for each in since for name in each.nodes],
            reused=[line_of(each) for each in effects],
            changed=_changed(detail.state or {}, now),
            model_calls=(await il.store.spent(thread)).calls,
            irreversible=outcome == "would_act" and _is_final(says),
        )


def _charge(execution: Execution, outer: Allowance) -> None:
    """Let model calls of a trial, which has no budget of its own, be charged to another run."""
    allowance = replace(execution.allowance, outer=outer)
    meter = Meter(allowance=allowance, prices=execution.around.ports.prices)
    meter.around = replace(execution.around, meter=meter)
    execution.allowance, execution.meter, execution.around = allowance, meter, meter.around


def _outcome(run: Run | None, error: Exception | None) -> tuple[Outcome, str, str]:
    """Return how a trial ended, what of, and in which node."""
    if isinstance(error, ReplayDiverged):
        return _stopped_at(error)
    if error is not None:
        return "failed", _said(error), ""
    if run is None or run.status == "succeeded":
        return "ended", "", ""
    if run.interrupts:
        first = run.interrupts[0]
        return "asks", shown(first.payload.get("action_requests", first.payload)), first.node
    if run.wakes_at is not None:
        return "sleeps", f"until {run.wakes_at.isoformat()}", ""
    return "stopped", run.error or run.status, ""


def _stopped_at(stop: ReplayDiverged) -> tuple[Outcome, str, str]:
    if stop.kind == "action" and stop.recorded:
        return "would_repeat", f"{stop.requested}; before: {stop.recorded}", stop.node
    outcomes: Mapping[str, Outcome] = {"action": "would_act", "question": "asks"}
    return outcomes.get(stop.kind, "stopped"), stop.requested, stop.node


def _said(error: Exception) -> str:
    if isinstance(error, InterlockError):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _is_final(request: str) -> bool:
    """Say whether an act, as a report names it, cannot be undone; what is not known cannot."""
    name = request.partition("(")[0]
    return not actions.is_declared(name) or not actions.find(name).reversible


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:  # JSON; a state
    after = plain(dict(now))
    return [
        f"{key}: {cut(shown(before.get(key)), 200)} → {cut(shown(after.get(key)), 200)}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]
