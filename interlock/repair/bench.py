"""The workshop of the runtime: reads letters, tries changes on forks without effects, promotes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from interlock.core import actions
from interlock.core.allowance import Allowance, allowance_here
from interlock.core.letters import LetterDetail
from interlock.core.metering import Meter
from interlock.core.repairs import GOOD, Case, Change, Outcome, Promoted, Trial
from interlock.core.runs import Run, Step
from interlock.errors import (
    BudgetSpent,
    DatabaseUnavailable,
    InterlockError,
    Killed,
    LeaseLost,
    ReplayDiverged,
    RunCancelled,
    UsageError,
)
from interlock.failing import blotted
from interlock.postgres.plain import plain
from interlock.repair.casebook import VALUE, case_of, cut, hopeless, line_of, shown
from interlock.repair.plans import Expected, Plan, plan_of
from interlock.repair.question import WORDS
from interlock.repair.remains import apart

if TYPE_CHECKING:
    from interlock.execution import Execution
    from interlock.postgres.stored_runs import StoredRun
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
        remains = await il.remains(detail.letter) if graph and not hopeless(detail) else None
        calls = await il.calls(remains) if remains else []
        return case_of(detail, graph, stored.context.get("prompts", {}), remains, calls)

    async def rehearse(self, letter_id: str, change: Change) -> Trial:
        """Try a change on a fork of the run's thread, at its last checkpoint, without effects."""
        detail = await self._runtime.aletter(letter_id)
        try:
            plan = await plan_of(self._runtime, detail, change)
            trial = await self._forked(detail, plan)
        except UsageError as error:
            return Trial(outcome="refused", says=_said(error))
        ended = await apart(self._driven(trial, allowance_here()))
        return await self._told(detail, plan, trial, *ended)

    async def promote(self, letter_id: str, change: Change, *, by: str, key: str) -> Promoted:
        """Let the run go on with a change, and close its letter; the same key again changes nothing more."""
        il = self._runtime
        detail = await il.aletter(letter_id)
        letter = detail.letter
        if letter.proposal is None or letter.proposal.get("key") != key:
            plan = await plan_of(il, detail, change)
            letter = await il.repairs.promote(
                letter.id,
                by=by,
                why=change.reason,
                proposal={**change.model_dump(), "key": key},
                amendment=plan.amendment,
            )
        return Promoted(letter=letter.id, thread=letter.thread_id, run=letter.run_id)

    @property
    def _runtime(self) -> Repairing:
        if self.il is None:
            raise UsageError("There is no runtime here that could repair.")
        return self.il

    async def _forked(self, detail: LetterDetail, plan: Plan) -> StoredRun:
        il, letter = self._runtime, detail.letter
        context = dict((await il.store.stored(letter.run_id)).context)
        if (pin := plan.amendment.prompt) is not None:
            context["prompts"] = {**context.get("prompts", {}), pin[0]: pin[1]}
        trial = await il.forks.submit(
            letter.thread_id,
            letter.checkpoint_id,
            {},
            context,
            recorded_only=True,
            live_models=True,
        )
        await il.repairs.amend(trial.run, letter, plan.amendment)
        return trial

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
        self,
        detail: LetterDetail,
        plan: Plan,
        trial: StoredRun,
        run: Run | None,
        error: Exception | None,
    ) -> Trial:
        il, thread = self._runtime, trial.run.thread_id
        steps = await il.ahistory(thread)
        since = [each for each in steps if each.checkpoint_id > detail.letter.checkpoint_id]
        outcome, says, node = _as_expected(plan.expects, error, *_outcome(run, error))
        now = steps[-1].values if steps else {}
        effects = [each for each in await il.aeffects(thread) if each.source]
        return Trial(
            outcome=outcome,
            thread=thread,
            says=cut(blotted(says[: 2 * VALUE])),
            node=node,
            steps=len(since),
            passed=_passed(since, plan.skips),
            reused=[line_of(each) for each in effects if each.agent != plan.skips],
            stays=[line_of(each) for each in effects if each.agent == plan.skips],
            changed=_changed(detail.state or {}, now),
            model_calls=(await il.store.spent(thread)).calls,
            irreversible=outcome == "would_act" and _is_final(says),
        )


def _passed(steps: Sequence[Step], skipped: str) -> list[str]:
    """Return the nodes that ran; one that was gone round did not, although its step names it."""
    passed = [name for each in steps for name in each.nodes]
    if skipped in passed:
        passed.remove(skipped)
    return passed


def _charge(execution: Execution, outer: Allowance) -> None:
    """Let model calls of a trial, which has no budget of its own, be charged to another run."""
    allowance = replace(execution.allowance, outer=outer)
    meter = Meter(allowance=allowance, prices=execution.around.ports.prices)
    around = replace(execution.around, meter=meter)
    execution.allowance, execution.meter, execution.around = allowance, meter, around


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


def _as_expected(
    expected: Expected | None, error: Exception | None, outcome: Outcome, says: str, node: str
) -> tuple[Outcome, str, str]:
    """Return how a trial ended that must come to a call with other arguments."""
    if expected is None:
        return outcome, says, node
    if not expected.is_action:  # a trial does not call it, and does not know what it did
        came = isinstance(error, ReplayDiverged) and error.kind == "tool"
        return ("would_act" if came and f" {expected.name}(" in says else outcome), says, node
    if outcome not in GOOD or (outcome == "would_act" and expected.is_in(says)):
        return outcome, says, node
    return "failed", f"it did not come to {expected}; {WORDS[outcome]} {says}".rstrip(), node


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
