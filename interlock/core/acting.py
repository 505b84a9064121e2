"""Acting: validate, ask the policy and, if it says so, a person; write the intention, act once, write the result."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from langchain_core.tools import ToolException
from langgraph.prebuilt import ToolRuntime
from langgraph.runtime import Runtime
from pydantic_core import to_jsonable_python

from interlock.core.actions import KEY, STATE, Action, State, digest
from interlock.core.approvals import InProcess
from interlock.core.context import Around, around_of
from interlock.core.doubt import in_doubt, settle
from interlock.core.escalating import ESCALATE
from interlock.core.gate import Decision, ask_person
from interlock.core.judging import as_json, judge, with_arguments
from interlock.core.ledger import Entry, Intention, Parallel, Refusal
from interlock.core.proposing import proposal
from interlock.core.site import asked_here, here, nth, state_here
from interlock.core.verdict import Facts, Verdict
from interlock.core.voting import DEADLINE
from interlock.errors import ActionRefused, RefusedTooOften, ReplayDiverged

ResultT = TypeVar("ResultT")


async def act(
    runtime: Runtime[Any],
    declared: Action[ResultT],
    /,
    *,
    state: State | None = None,
    approval: Decision | None = None,
    confidence: float | None = None,
    **arguments: Any,  # the action's own
) -> ResultT:
    """Do an action once, if it may be done.

    What was done before in another attempt at the same task is not done again: its recorded result is returned. Where
    the policy demands it, a person is asked: the run stops here, and goes on here with the answer.

    Args:
        runtime: the node's.
        declared: what to do.
        state: for preconditions and functions that take it; by default the state of the node's graph.
        approval: what `ask_person` returned for this action with these arguments, if a node asked of its own accord.
        confidence: how sure the agent is, from 0 to 1; for the policy.
        **arguments: of the action.

    Raises:
        ActionRefused: it was not done; an agent may be told why, and correct itself.
        RefusedTooOften: it was not done, and the agent was refused too often in a row.
        EffectInDoubt: an earlier attempt may have done it, and nothing more may be tried now.
        ReplayDiverged: this is a replay, and it was not recorded.
    """
    how = _How(state=state, approval=approval, confidence=confidence)
    result: ResultT = await _act(runtime, declared, arguments, how)
    return result


async def act_as_tool(
    declared: Action[Any], runtime: ToolRuntime[Any, Any], arguments: Mapping[str, Any]
) -> str:
    """Do an action that a model called as a tool; a refusal is what the model reads then.

    Raises:
        ToolException: the refusal, as JSON, which LangChain turns into a message with the status `error`.
    """
    state = runtime.state if isinstance(runtime.state, Mapping) else None
    given: Runtime[Any] = Runtime(context=runtime.context)
    try:
        # Not through `act`: an argument that a model makes up must not become one of its parameters.
        result = await _act(given, declared, arguments, _How(state=state))
    except (ActionRefused, RefusedTooOften) as refusal:
        raise ToolException(json.dumps(told(refusal), ensure_ascii=False)) from refusal
    said = declared.result.dump_python(result, mode="json")
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def told(refusal: ActionRefused | RefusedTooOften) -> dict[str, Any]:  # JSON
    """Return a refusal as an agent reads it: why in a word, what it says, the policy's rule, whether it is the last."""
    said = {"refused": refusal.kind, "reason": str(refusal), "rule": refusal.rule}
    return {**said, ESCALATE: True} if isinstance(refusal, RefusedTooOften) else said


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """What a caller of `act` gives beside the arguments."""

    state: State | None = None
    approval: Decision | None = None
    confidence: float | None = None


async def _act(
    runtime: Runtime[Any], declared: Action[Any], arguments: Mapping[str, Any], how: _How
) -> Any:  # the result's type
    around = around_of(runtime)
    intention, fault = _intention(declared, arguments)
    try:
        if fault is not None:
            raise fault
        acting = await _prepared(runtime, around, declared, intention, how)
        return await acting.done()
    except ActionRefused as refusal:
        await _count(around, declared, intention, refusal)
        raise
    except ReplayDiverged as divergence:  # for good, also where the application catches it
        raise around.stop(divergence) from None


@dataclass(slots=True, kw_only=True)
class _Acting:
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
        if found.standing == "done" and found.key != asked.key:
            return await self._look()  # a parent's act, which this one must use up
        return found

    async def _refusal(self) -> ActionRefused | None:
        """Return why it must not happen whatever a person says; it is raised only when it did not happen before."""
        if fault := _misplaced(self.declared, self.intention.site.node):
            return fault
        if self.verdict.ruling == "deny":
            return _denied(self.declared, self.verdict)
        return self._unmet() or await self._over_budget()

    def _unmet(self) -> ActionRefused | None:
        if self.declared.preconditions or self.declared.takes_state:
            self.state = state_here() if self.state is None else self.state
        for holds in self.declared.preconditions:
            if reason := holds(self.state or {}, self.intention.arguments):
                return ActionRefused(
                    f"{self.declared.name} was not run: {reason}.", kind="precondition"
                )
        return None

    async def _over_budget(self) -> ActionRefused | None:
        limit, cost = self.around.action_budget, self.intention.cost
        if limit is None or not cost:
            return None
        spent = await self.around.ports.ledger.spent(
            self.intention.site.thread_id, besides=self.intention.key
        )
        if spent + cost <= limit:
            return None
        return ActionRefused(
            f"{self.declared.name} costs about ${cost:,.2f}; of ${limit:,.2f} for this thread's actions "
            f"${max(0.0, limit - spent):,.2f} are left.",
            kind="budget",
        )

    async def _begin(self) -> Entry:
        """Tell how it stands; where nothing stands against it, the same round trip writes the intention."""
        shown = self._shown()
        if self._fault or self._repeats() or not (shown or self._allowed()):
            return await self._look()
        return await self._written(shown)

    async def _look(self) -> Entry:
        return await self.around.ports.ledger.begin(self.intention, permitted=False)

    async def _written(self, approval: str) -> Entry:
        """Write the intention, unless something stands against it; raises `ActionRefused` when the budget does."""
        ledger = self.around.ports.ledger
        entry = await ledger.begin(self.intention, permitted=True, approval=approval)
        if entry.standing != "new":
            return entry
        try:
            fault = await self._over_budget()  # by acts side by side
        except BaseException as error:  # nothing happened, and it must not stand as underway
            text = f"{type(error).__name__}: {error}"
            await asyncio.shield(ledger.release(entry.key, entry.attempt, text, happened=False))
            raise
        if fault is not None:
            await ledger.release(entry.key, entry.attempt, str(fault), happened=False)
            raise fault
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
        return self._unmet() or await self._over_budget()

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
            raise
        except BaseException as error:  # a cancellation too: whether it happened is not known
            text = f"{type(error).__name__}: {error}"
            await asyncio.shield(ledger.release(entry.key, entry.attempt, text, happened=None))
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


def _intention(
    declared: Action[Any], arguments: Mapping[str, Any]
) -> tuple[Intention, ActionRefused | None]:
    """Return what is asked for, named so that each attempt at the task gives it the same key."""
    site, fault = here(), None
    try:
        values = declared.validate_arguments(arguments)
    except ActionRefused as error:
        values, fault = _as_sent(arguments), error
    request = declared.request(values)
    key = digest((site.thread_id, site.task, request, nth(request)))
    intention = Intention(
        key=key,
        request=request,
        site=site,
        action=declared.name,
        arguments=values,
        reversible=declared.reversible,
        reads=declared.reads,
    )
    asked_here(key)
    return intention, fault


def _as_sent(arguments: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    """Return arguments that were refused in a form that can be stored."""
    sent: dict[str, Any] = to_jsonable_python(
        dict(arguments), fallback=str, bytes_mode="base64", inf_nan_mode="strings"
    )
    return sent


async def _prepared(
    runtime: Runtime[Any],
    around: Around,
    declared: Action[Any],
    intention: Intention,
    how: _How,
) -> _Acting:
    facts, verdict = await judge(
        around,
        declared,
        intention.arguments,
        intention.site,
        key=intention.key,
        confidence=how.confidence,
    )
    if not declared.reversible:
        await asyncio.sleep(
            0
        )  # what stands beside it in a gather has said by then what it asks for
    return _Acting(
        runtime=runtime,
        around=around,
        declared=declared,
        intention=replace(
            intention,
            cost=facts.cost,
            verdict=verdict.to_json(),
            asked=asked_here(intention.key),
        ),
        facts=facts,
        verdict=verdict,
        state=how.state,
        approval=how.approval,
    )


async def _count(
    around: Around, declared: Action[Any], intention: Intention, refusal: ActionRefused
) -> None:
    """Note a refusal; raises `RefusedTooOften` when it was one too many."""
    noted = Refusal(kind=refusal.kind, reason=str(refusal), rule=refusal.rule)
    in_a_row = await around.ports.ledger.refuse(intention, noted)
    if in_a_row >= declared.max_refusals:
        raise RefusedTooOften(
            f"{intention.site.agent} was refused {in_a_row} times in a row, the last time: {refusal}",
            hint="A person, or another part of the graph, should take over.",
            kind=refusal.kind,
            rule=refusal.rule,
        ) from refusal


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


def _misplaced(declared: Action[Any], node: str) -> ActionRefused | None:
    if not declared.nodes or node in declared.nodes:
        return None
    allowed = ", ".join(sorted(declared.nodes))
    return ActionRefused(
        f"{declared.name} may not be called in node {node!r}; it may in {allowed}.", kind="node"
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
