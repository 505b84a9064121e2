"""What a person reads who must agree to an act: what it would do, why it is asked, and what each answer leads to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, assert_never

from interlock.core.actions import Action
from interlock.core.gate import DecisionType, Question
from interlock.core.ledger import Intention, Parallel
from interlock.core.verdict import Verdict


def proposal(
    declared: Action[Any],
    intention: Intention,
    verdict: Verdict,
    facts: Mapping[str, Any],  # JSON
    done: Parallel | None,
    times: int = 0,
) -> Question:
    """Return the question whether an act may happen.

    Args:
        declared: the action.
        intention: with its arguments.
        verdict: what the policy said; it is frozen with the question.
        facts: what it was said on.
        done: what the same action did beside this act, where it cannot be undone.
        times: how often the thread did the same with the same arguments before.
    """
    return Question(
        action=declared,
        arguments=intention.arguments,
        summary=_summary(declared, intention, done),
        evidence=tuple(_evidence(declared, intention, verdict, done, times)),
        consequences=_consequences(declared),
        effect=intention.key,
        beside="" if done is None else done.key,
        cost=intention.cost,
        verdict=verdict.to_json(),
        terms=verdict.terms.to_json() if verdict.ruling == "ask" else {},
        facts=facts,
    )


def _summary(declared: Action[Any], intention: Intention, done: Parallel | None) -> str:
    agent = intention.site.agent
    if done is not None:
        return f"Let {agent} do {declared.name} again? It was done {_where(done)} and cannot be undone."
    return f"Let {agent} do {declared.name}? It changes {declared.touches}."


def _evidence(
    declared: Action[Any],
    intention: Intention,
    verdict: Verdict,
    done: Parallel | None,
    times: int,
) -> list[str]:
    lines = []
    if times:
        often = "once" if times == 1 else f"{times} times"
        lines.append(f"this thread has done the same, with the same arguments, {often} before")
    if done is not None:
        arguments = json.dumps(done.arguments, ensure_ascii=False)
        lines.append(f"done {_where(done)}, with {arguments} (effect {done.key[:12]})")
    if verdict.ruling == "ask":
        lines.append(f"rule “{verdict.rule}”: {verdict.reason}")
    lines.append(_undoing(declared))
    if intention.cost:
        lines.append(f"costs about ${intention.cost:,.2f}")
    return lines


def _where(done: Parallel) -> str:
    match done.relation:
        case "parent":
            return f"on thread {done.thread_id}, which this one was forked from,"
        case "fork":
            return f"on thread {done.thread_id}, another branch of this one,"
        case "attempt":
            return "by an earlier attempt at this step, which asked for something else,"
        case "abandoned":
            return "in steps that this run was taken back from,"
        case _:
            assert_never(done.relation)


def _undoing(declared: Action[Any]) -> str:
    if declared.undo:
        return f"can be undone with {declared.undo}"
    return "can be undone" if declared.reversible else "cannot be undone"


def _consequences(declared: Action[Any]) -> Mapping[DecisionType, str]:
    return {
        "approve": f"{declared.name} is done once, with these arguments.",
        "edit": f"{declared.name} is done once, with the arguments that you set, if the policy allows them.",
        "reject": "It is not done, and the agent is told why.",
        "respond": "It is not done, and the agent reads your answer.",
    }
