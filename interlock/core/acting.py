"""Acting: validate, ask the policy and, if it says so, a person; write the intention, act once, write the result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from langchain_core.tools import ToolException
from langgraph.prebuilt import ToolRuntime
from langgraph.runtime import Runtime
from pydantic_core import to_jsonable_python

from interlock.core.actions import Action, State, digest
from interlock.core.context import Around, around_of
from interlock.core.escalating import ESCALATE
from interlock.core.gate import Decision
from interlock.core.judging import judge
from interlock.core.kills import refuse
from interlock.core.ledger import Intention, Refusal
from interlock.core.performing import Performance
from interlock.core.reading import abandoned_here
from interlock.core.site import asked_here, here, nth
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
        Killed: it was not done, because the kill switch was thrown.
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
    around.check_over()
    intention, fault = _intention(declared, arguments)
    refuse(around.ports.kills, around.subject_at(intention.site), f"{declared.name} was not done")
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
        abandoned=abandoned_here(),
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
) -> Performance:
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
    return Performance(
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
