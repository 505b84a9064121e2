"""One act on its way from what the ledger knows to a result: permitted or refused, written down, done once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from langgraph.runtime import Runtime

from interlock.core.actions import KEY, STATE, Action, State
from interlock.core.allowance import allowance_here
from interlock.core.approvals import InProcess
from interlock.core.budget import Amounts, Scope
from interlock.core.context import Around
from interlock.core.doubt import in_doubt, settle
from interlock.core.gate import Decision, ask_person
from interlock.core.judging import as_json, with_arguments
from interlock.core.ledger import Entry, Intention, Parallel
from interlock.core.proposing import proposal
from interlock.core.site import state_here
from interlock.core.verdict import Facts, Verdict
from interlock.core.voting import DEADLINE
from interlock.errors import ActionRefused, BudgetSpent

ResultT = TypeVar("ResultT")


@dataclass(slots=True, kw_only=True)
class Performance:
    """One call of `act`, from what the ledger knows to a result."""

    runtime: Runtime[Any]
    around: Around
    declared: Action[Any]
    intention: Intention
    facts: Facts
    verdict: Verdict
    state: State | None
    approval: Decision | None
    _fault: ActionRefused | None = None

    async def done(self) -> Any:  # the result's type
        """Return the result: recorded, or of an act that happens now."""
        self._fault = await self._refusal()
        entry = await self._begin()
        while True:
            match entry.standing:
                case "done":
                    self._skip_questions()
                    return self.declared.result.validate_python(entry.result)
                case "underway":
                    await self.around.ports.ledger.wait(entry.key)
                    entry = await self._look()
                case "in_doubt":
                    entry = await self._settled(entry)
                case "new" if entry.attempt:
                    return await self._perform(entry)
                case _:
                    entry = await self._permitted(entry)

    def _skip_questions(self) -> None:
        approvals = self.around.ports.approvals
        if isinstance(approvals, InProcess):
            approvals.skip(self.intention.site, self.intention.key)

    async def _settled(self, entry: Entry) -> Entry:
        """Find out what became of an earlier attempt, which may have had arguments that a person agreed to."""
        asked, facts, fault = self.intention, self.facts, self._fault
        if entry.request not in ("", asked.request):
            fault = await self._change(entry.arguments) or _misplaced(
                self.declared, asked.site.node
            )
        found = await settle(
            self.runtime, self.around, self.declared, self.intention, entry, may_act=fault is None
        )
        if not (found.standing == "new" and found.attempt):
            self.intention, self.facts = asked, facts
        if found.standing == "new" and not found.attempt:  # it did not happen
            await self.around.ports.budgets.release(entry.key)
        if found.standing == "done" and found.key != asked.key:
            return await self._look()  # a parent's act, which this one must use up
        return found

    async def _refusal(self) -> ActionRefused | None:
        """Return why it must not happen whatever a person says; it is raised only when it did not happen before."""
        if fault := _misplaced(self.declared, self.intention.site.node):
            return fault
        if self.around.saves_later and not self.declared.reversible:
            return _unsaved(self.declared)
        if self.verdict.ruling == "deny":
            return _denied(self.declared, self.verdict)
        return self._unmet()

    def _unmet(self) -> ActionRefused | None:
        if self.declared.preconditions or self.declared.takes_state:
            self.state = state_here() if self.state is None else self.state
        for holds in self.declared.preconditions:
            if reason := holds(self.state or {}, self.intention.arguments):
                return ActionRefused(
                    f"{self.declared.name} was not run: {reason}.", kind="precondition"
                )
        return None

    @property
    def _takes(self) -> Amounts:
        """What the act takes of its run's budgets: its estimate, and itself if it is more than a look."""
        return Amounts(usd=self.intention.cost, actions=0 if self.declared.reads else 1)

    async def _unaffordable(self) -> ActionRefused | None:
        """Return why a person need not be asked: there is too little left for it now."""
        scopes, key = self._scopes(), self.intention.key
        if not (scopes and self._takes.taken()):
            return None
        budgets = self.around.ports.budgets
        try:
            if await budgets.reserve(scopes, self._takes, key=key, at_once=True):
                await budgets.release(key)
        except BudgetSpent as spent:
            return _too_dear(self.declared, spent)
        return None

    def _scopes(self) -> tuple[Scope, ...]:
        allowance = allowance_here()
        return allowance.all if allowance else ()

    async def _begin(self) -> Entry:
        """Tell how it stands; where nothing stands against it, the same round trip writes the intention."""
        shown = self._shown()
        if self._fault or self._repeats() or not (shown or self._allowed()):
            return await self._look()
        return await self._written(shown)

    async def _look(self) -> Entry:
        return await self.around.ports.ledger.begin(self.intention, permitted=False)

    async def _written(self, approval: str) -> Entry:
        """Write the intention, unless something stands against it; raises `ActionRefused` when the budget does.

        What it takes is charged before: acts side by side never take more than there is. It is given back where
        nothing happened, and stays charged where that is not known.
        """
        budgets, key = self.around.ports.budgets, self.intention.key
        try:
            ours = await budgets.reserve(self._scopes(), self._takes, key=key, at_once=True)
        except BudgetSpent as spent:
            found = await self._look()  # what was done before needs no budget
            if found.standing not in ("new", "asked"):
                return found
            raise _too_dear(self.declared, spent) from None
        entry: Entry | None = None
        try:
            ledger = self.around.ports.ledger
            entry = await ledger.begin(self.intention, permitted=True, approval=approval)
        finally:
            if ours and (entry is None or entry.standing != "new"):
                await asyncio.shield(budgets.release(key))
        return entry

    def _allowed(self) -> bool:
        """Say whether nobody must be asked; who was asked before must answer, whatever the policy says by now."""
        approvals = self.around.ports.approvals
        asked = isinstance(approvals, InProcess) and approvals.was_asked(self.intention.key)
        return self.verdict.ruling == "allow" and not asked

    async def _permitted(self, entry: Entry) -> Entry:
        """Get permission for what nobody did, and write the intention; raises `ActionRefused`."""
        if entry.refusal is not None:  # a replay
            then = entry.refusal
            raise ActionRefused(then.reason, kind=then.kind, rule=then.rule)
        if self._fault is not None:
            raise self._fault
        asks = entry.standing in ("another", "asked") or not (self._shown() or self._allowed())
        beside = self._repeats() or (asks and not self.declared.reversible)
        done = await self.around.ports.ledger.parallel(self.intention) if beside else None
        if done is None and entry.standing in ("new", "unapproved"):
            # What was shown may be used up, or the parent's; where the policy lets it happen, it needs none.
            shown = self._shown() if entry.standing == "new" else ""
            if shown or self._allowed():
                return await self._written(shown)
        return await self._asked(done)

    async def _asked(self, done: Parallel | None) -> Entry:
        """Ask a person, and write the intention with the arguments that were agreed to."""
        if (dear := await self._unaffordable()) is not None:
            raise dear
        times = await self.around.ports.ledger.times(self.intention)
        asked = proposal(
            self.declared, self.intention, self.verdict, as_json(self.facts), done, times
        )
        decision = await ask_person(self.runtime, asked)
        await self._learn(decision)
        if decision["type"] not in ("approve", "edit"):
            raise _rejected(self.declared, decision)
        if fault := await self._change(decision["arguments"]):
            raise fault
        entry = await self._written(decision.get("question", ""))
        if entry.standing in ("unapproved", "asked"):
            raise ActionRefused(
                f"{self.declared.name} was not done: its approval was used before, or is for other arguments.",
                kind="rejected",
            )
        return entry

    async def _change(self, arguments: Mapping[str, Any]) -> ActionRefused | None:  # JSON
        """Go on with the arguments that a person agreed to; return why they may not be."""
        agreed, asked = self.declared.validate_arguments(arguments), self.intention
        request = self.declared.request(agreed)
        self.facts = with_arguments(as_json(self.facts), self.declared, agreed)
        self.intention = replace(
            asked,
            arguments=agreed,
            request=request,
            cost=self.facts.cost,
            edited_from="" if request == asked.request else asked.request,
        )
        verdict = self.around.policy().decide(self.facts)
        if verdict.ruling == "deny":
            return _denied(self.declared, verdict)
        return self._unmet() or await self._unaffordable()

    async def _learn(self, decision: Decision) -> None:
        """Let trust move with what a person said of the agent's proposal; that nobody answered says nothing of it."""
        policy, site = self.around.policy(), self.intention.site
        if decision["type"] == "respond" or decision["by"] == DEADLINE:
            return
        if not policy.trusts(site.agent, self.declared.name):
            return
        await self.around.ports.trust.judge(
            site.agent,
            self.declared.name,
            right=decision["type"] == "approve",
            about=decision.get("question", "") or self.intention.key,
            reason=decision["message"],
            reversible=self.declared.reversible,
        )

    async def _perform(self, entry: Entry) -> Any:  # the result's type
        """Act, and write what came of it; what runs in a thread does so to its end, whoever cancels it."""
        if inspect.iscoroutinefunction(self.declared.function):
            return await self._performed(entry)
        return await _to_its_end(self._performed(entry))

    async def _performed(self, entry: Entry) -> Any:  # the result's type
        ledger = self.around.ports.ledger
        try:
            result = await _invoke(self.declared, self.intention, entry.key, self.state)
            stored = self.declared.result.dump_python(result, mode="json")
            result = self.declared.result.validate_python(stored)  # the same in each attempt
        except ActionRefused as error:  # the function says that it did nothing
            await ledger.release(entry.key, entry.attempt, str(error), happened=False)
            await self.around.ports.budgets.release(entry.key)
            raise
        except BaseException as error:  # a cancellation too: whether it happened is not known
            text = f"{type(error).__name__}: {error}"
            await asyncio.shield(ledger.release(entry.key, entry.attempt, text, happened=None))
            if not self.declared.reads:  # nothing is different for its having happened
                error.add_note(in_doubt(self.declared, entry.key))
            raise
        await asyncio.shield(ledger.finish(entry.key, entry.attempt, stored))
        if entry.key != self.intention.key:
            await self._look()  # a parent's act, which this one must use up
        return result

    def _shown(self) -> str:
        """Return the question whose approval the caller shows, if it is one for this action with these arguments."""
        shown = self.approval
        if shown is None or shown["type"] not in ("approve", "edit"):
            return ""
        agreed = self.declared.validate_arguments(shown["arguments"])
        same = self.declared.request(agreed) == self.intention.request
        return shown.get("question", "") if same else ""

    def _repeats(self) -> bool:
        """Say whether the act might repeat on a fork what its parent did and nobody can undo."""
        return bool(self.around.lineage.sources) and not self.declared.reversible


async def _invoke(
    declared: Action[Any], intention: Intention, key: str, state: State | None
) -> Any:  # the result's type
    """Call the author's function with the arguments in their declared types."""
    model = declared.arguments.model_validate(intention.arguments)
    given: dict[str, Any] = {name: getattr(model, name) for name in declared.arguments.model_fields}
    if declared.takes_key:
        given[KEY] = key
    if declared.takes_state:
        given[STATE] = state
    if inspect.iscoroutinefunction(declared.function):
        return await declared.function(**given)
    return await asyncio.to_thread(declared.function, **given)


async def _to_its_end(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Pass a cancellation on only after the work has ended: until then nobody could tell whether it happened."""
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # what came of it stands in the ledger
    raise cancelled


def _too_dear(declared: Action[Any], spent: BudgetSpent) -> ActionRefused:
    return ActionRefused(f"{declared.name} was not done. {spent.args[0]}", kind="budget")


def _misplaced(declared: Action[Any], node: str) -> ActionRefused | None:
    if not declared.nodes or node in declared.nodes:
        return None
    allowed = ", ".join(sorted(declared.nodes))
    return ActionRefused(
        f"{declared.name} may not be called in node {node!r}; it may in {allowed}.", kind="node"
    )


def _unsaved(declared: Action[Any]) -> ActionRefused:
    return ActionRefused(
        f"{declared.name} cannot be undone, and the steps of this run are not saved before the next begins: after a"
        " crash it could happen twice.",
        hint="Submit the run with the durability `sync`.",
        kind="precondition",
    )


def _denied(declared: Action[Any], verdict: Verdict) -> ActionRefused:
    kind = "shadow" if verdict.shadow else "policy"
    return ActionRefused(
        f"{declared.name} is denied by the rule “{verdict.rule}”: {verdict.reason}",
        kind=kind,
        rule=verdict.rule,
    )


def _rejected(declared: Action[Any], decision: Decision) -> ActionRefused:
    who, said = decision["by"] or "a person", decision["message"].strip()
    if decision["type"] == "respond":
        return ActionRefused(
            f"{declared.name} was not done; {who} answers: {said}", kind="answered"
        )
    because = f", because: {said}" if said else ""
    return ActionRefused(f"{declared.name} was rejected by {who}{because}", kind="rejected")
