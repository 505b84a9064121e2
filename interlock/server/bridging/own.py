"""The answers to what the command line asks beside the runtime's own methods; see `interlock.remote.own`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from interlock.core.answers import AnswerForm
from interlock.core.budget import Limits
from interlock.core.kills import KillScope
from interlock.core.policy_cases import FactsForm
from interlock.core.policy_text import checked
from interlock.core.runs import Run
from interlock.documents.bounds import Told
from interlock.documents.policies import declared_facts, sources_of
from interlock.drawing import Drawing, drawing_of
from interlock.errors import InterlockError, ThreadBusy, UsageError
from interlock.inputs import check_values, input_properties, takes_our_context
from interlock.postgres.dashboard import DashboardStore
from interlock.postgres.kills import KillStore
from interlock.remote.facts import (
    Divergence,
    Explained,
    GraphFacts,
    GraphInput,
    PolicyFacts,
    ReplayFacts,
)
from interlock.replays import Replay
from interlock.server.answering import take
from interlock.server.asking import going_on
from interlock.server.bridging import guards
from interlock.server.routes.kills import check_owned, told_of
from interlock.server.ruled import policy_of
from interlock.server.scope import Scope

WHERE = Path("--set")


async def graphs(scope: Scope) -> list[GraphFacts]:
    """List the graphs; one that cannot be imported says so."""
    return [await asyncio.to_thread(_graph, scope, name) for name in scope.il.application.targets]


async def graph_input(scope: Scope, graph: str) -> GraphInput:
    """Tell what a graph takes."""
    compiled = await asyncio.to_thread(scope.il.graph, graph)
    return GraphInput(
        about=scope.il.application.about(graph), properties=input_properties(compiled)
    )


async def drawing(scope: Scope, graph: str, *, xray: bool) -> Drawing:
    """Tell how a graph is drawn."""
    compiled = await asyncio.to_thread(scope.il.graph, graph)
    return drawing_of(compiled.get_graph(xray=xray))


async def fitting(
    scope: Scope, thread_id: str, at: int | str, values: Mapping[str, Any]
) -> dict[str, Any]:  # the state at a step
    """Check values against the state at a step."""
    return check_values(await scope.reader.agraph_at(thread_id, at), values)


async def submit_answers(scope: Scope, thread_id: str, answers: list[AnswerForm]) -> Run:
    """Take answers, all or none; workers go on."""
    given = await guards.answers(scope, thread_id, answers)
    for question, _ in given:
        await asyncio.to_thread(scope.il.graph, question.graph)  # importing it declares its actions
    await take(scope, given)
    return await scope.reader.arun(given[0][0].thread_id)


async def go_on(
    scope: Scope, thread_id: str, *, model: str | None = None, limits: Limits | None = None
) -> Run:
    """Hand a thread that came to a stop to the workers again."""
    full = await scope.reader.store.full_thread_id(thread_id)
    run = await scope.reader.arun(full)
    _check_stopped(run)
    await scope.house.audit.note(scope.caller, "resume", full)
    if letter := await _letter(scope, run):
        await scope.il.aletter_replay(letter, reason="resumed", by=scope.caller.identity)
        return await scope.reader.arun(full)
    standing = await scope.reader.astanding(run.run_id)
    if standing.queued:
        return run
    taken = takes_our_context(scope.il.graph(run.graph))
    return await scope.il.asubmit(
        run.graph,
        None,
        thread_id=full,
        model=(model or run.model or None) if taken else model,
        limits=limits,
        driving=replace(await going_on(scope, full), goes_on=True, checkpoint={}),
    )


async def kills_told(scope: Scope, *, lifted: bool) -> list[Told]:
    """List the switches with what they hold."""
    store = KillStore(scope.reader.pool)
    found = await (store.kills() if lifted else store.standing())
    return [await told_of(scope, each) for each in found]


async def kill_told(scope: Scope, number: int) -> Told:
    """Tell of one switch."""
    return await told_of(scope, await KillStore(scope.reader.pool).kill(number))


async def kill_thrown(scope: Scope, kind: KillScope, name: str, *, reason: str) -> Told:
    """Throw a switch."""
    name = await check_owned(scope, kind, name)
    kill = await scope.il.akill(kind, name, reason=reason, by=scope.caller.identity)
    about = f"{kill.scope} {kill.name}".strip()
    await scope.house.audit.note(scope.caller, "kill", about, {"reason": reason})
    told = await told_of(scope, kill)
    if kind == "graph" and not await KillStore(scope.reader.pool).knows_graph(kill.name):
        return replace(told, notice=f"No graph {kill.name!r} ever ran here; is the name right?")
    return told


async def kill_lifted(scope: Scope, number: int, *, reason: str) -> Told:
    """Lift a switch."""
    kill = await KillStore(scope.reader.pool).kill(number)
    await check_owned(scope, kill.scope, kill.name)
    lifted = await scope.il.alift_kill(number, reason=reason, by=scope.caller.identity)
    await scope.house.audit.note(scope.caller, "kill.lift", str(number), {"reason": reason})
    return await told_of(scope, lifted)


async def policy_told(scope: Scope) -> PolicyFacts:
    """Tell the policy that holds."""
    return PolicyFacts.of(policy_of(scope), str(scope.reader.settings.policy or ""))


async def policy_explained(scope: Scope, facts: Mapping[str, Any]) -> Explained:  # JSON
    """Tell which rule decides on an act."""
    form = checked(FactsForm, dict(facts), WHERE, "")
    declared = declared_facts(scope.reader.application, form.action)
    made = form.made(declared)
    return Explained(
        policy=await policy_told(scope),
        facts=made,
        sources=sources_of(made, facts, declared),
        explanation=policy_of(scope).explain(made),
    )


async def replayed(
    scope: Scope, thread_id: str, *, at: int | str | None = None, live_tools: Sequence[str] = ()
) -> ReplayFacts:
    """Run a thread again out of its records, in this process."""
    full = await scope.reader.store.full_thread_id(thread_id)
    replay = await scope.il.areplay(full, at=at, live_tools=live_tools)
    await scope.house.audit.note(scope.caller, "replay", full, {"replay": replay.run.thread_id})
    return ReplayFacts(
        of=replay.of,
        run=replay.run,
        divergence=_divergence(replay),
        changed=replay.changed,
        model_calls=replay.model_calls,
        effects=replay.effects,
    )


def _graph(scope: Scope, name: str) -> GraphFacts:
    try:
        scope.il.graph(name)
    except InterlockError as error:
        return GraphFacts(name=name, about="", problem=str(error.args[0]))
    return GraphFacts(name=name, about=scope.il.application.about(name))


def _check_stopped(run: Run) -> None:
    if run.alive:
        raise ThreadBusy(
            f"Thread {run.thread_id} is being run by another process.",
            hint=f"`interlock watch {run.thread_id}` shows it.",
        )
    if run.status == "waiting" and run.interrupts:
        names = ", ".join(each.id for each in run.interrupts)
        raise UsageError(
            f"Thread {run.thread_id} waits for an answer to {names}.",
            hint=f"interlock approvals approve {run.interrupts[0].id}",
        )
    if run.status in ("succeeded", "cancelled"):
        raise UsageError(
            f"Thread {run.thread_id} has ended ({run.status}); there is nothing to resume.",
            hint=f"`interlock fork {run.thread_id} --at STEP` runs it again from a step.",
        )


async def _letter(scope: Scope, run: Run) -> str:
    if run.status != "dead":
        return ""
    return await DashboardStore(scope.reader.pool).letter(run.run_id)


def _divergence(replay: Replay) -> Divergence | None:
    if (error := replay.divergence) is None:
        return None
    return Divergence(
        message=str(error.args[0]),
        hint=error.hint,
        node=error.node,
        kind=error.kind,
        requested=error.requested,
        recorded=error.recorded,
        differs=error.differs,
    )
