"""A thread as its page shows it: its run, its steps with what was called and done in each, and its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from interlock.application import Graph
from interlock.core.effects import Effect, Refused
from interlock.core.runs import Run, Step, Usage
from interlock.drawing import shape_of
from interlock.errors import InterlockError, NotFound
from interlock.facade import Interlock
from interlock.history import node_counts
from interlock.postgres.dashboard import DashboardStore, ListedCall, ListedRun
from interlock.server.dashboard.drawn import Marked, draw, told

ENDS = ("__start__", "__end__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A step with what happened in it.

    Attributes:
        before: the state before it.
        share: how long it took, as a part of the longest one.
    """

    step: Step
    before: Mapping[str, Any] = field(repr=False)
    calls: Sequence[ListedCall] = ()
    acts: Sequence[Effect] = ()
    share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A thread.

    Attributes:
        row: of the thread.
        run: that it is at; None where it has none.
        graph: None where this application does not have it; `graph_problem` says why.
        moments: its steps, oldest first.
        letter: the open dead letter of its run; empty for none.
    """

    thread_id: str
    row: Mapping[str, Any]
    run: Run | None
    graph: Graph | None
    graph_problem: str
    moments: Sequence[Moment]
    calls: Sequence[ListedCall]
    acts: Sequence[Effect]
    refused: Sequence[Refused]
    runs: Sequence[ListedRun]
    letter: str

    @property
    def usage(self) -> Usage:
        """What all its model calls took."""
        cost = (
            None
            if any(c.cost is None for c in self.calls)
            else sum(c.cost or 0 for c in self.calls)
        )
        return Usage(
            calls=len(self.calls),
            input_tokens=sum(each.input_tokens for each in self.calls),
            output_tokens=sum(each.output_tokens for each in self.calls),
            cost=cost,
            seconds=sum(each.seconds for each in self.calls),
        )

    @property
    def steps(self) -> list[Step]:
        """Its steps, oldest first."""
        return [each.step for each in self.moments]

    @property
    def latest(self) -> Step | None:
        """The newest step of the thread's own graph."""
        own = [each.step for each in self.moments if not each.step.inside]
        return own[-1] if own else None

    @property
    def status(self) -> str:
        """How its run stands; empty where it has none."""
        return self.run.status if self.run else ""

    @property
    def seconds(self) -> float:
        """How long its runs were at work; the time that they waited is not counted."""
        now = datetime.now(UTC)
        begun = [each for each in self.runs if each.started_at]
        return sum(
            ((each.finished_at or now) - (each.started_at or now)).total_seconds() for each in begun
        )

    def moment(self, checkpoint_id: str) -> Moment:
        """Return a step; raises `NotFound`."""
        for each in self.moments:
            if each.step.checkpoint_id == checkpoint_id:
                return each
        raise NotFound("There is no such step in this thread, or it was folded.")


async def see(il: Interlock, name: str, *, inside: bool = False) -> Seen:
    """Return a thread, by its name or the beginning of its id; raises `NotFound`."""
    thread_id = await il.store.full_thread_id(name)
    row = await il.store.thread(thread_id)
    graph, problem = _graph(il, row["graph"])
    store = DashboardStore(il.pool)
    calls, acts = await store.calls(thread_id), await il.aeffects(thread_id)
    run = await _run(il, thread_id)
    steps = await il.ahistory(thread_id, inside=inside) if graph is not None else []
    return Seen(
        thread_id=thread_id,
        row=row,
        run=run,
        graph=graph,
        graph_problem=problem,
        moments=moments_of(steps, calls, acts, await store.acts(thread_id)),
        calls=calls,
        acts=acts,
        refused=await il.arefusals(thread_id),
        runs=await store.runs(thread_id),
        letter=await store.letter(run.run_id) if run and run.status == "dead" else "",
    )


def moments_of(
    steps: Sequence[Step],
    calls: Sequence[ListedCall],
    acts: Sequence[Effect],
    places: Mapping[str, str],
) -> list[Moment]:
    """Return steps with what was called and done in each: by tasks that started from the step before it."""
    longest = max((step.seconds for step in steps if step.source != "input"), default=0.0)
    found: list[Moment] = []
    last: dict[str, Step] = {}  # namespace -> the step before
    for step in steps:
        before = last.get(step.inside)
        started = before.checkpoint_id if before and not step.inside else None
        found.append(
            Moment(
                step=step,
                before=before.values if before else {},
                calls=[each for each in calls if started and each.ran_from == started],
                acts=[each for each in acts if started and places.get(each.key) == started],
                share=step.seconds / longest if longest and step.source != "input" else 0.0,
            )
        )
        last[step.inside] = step
    return found


def picture(seen: Seen, chosen: Step | None) -> str:
    """Return the thread's graph as SVG; empty where it is not known."""
    if seen.graph is None:
        return ""
    marked = _marked(seen, chosen)
    shape = shape_of(seen.graph.get_graph(xray=True))
    return draw(shape, marked, about=f"The graph {seen.row['graph']}. {told(marked)}")


def _marked(seen: Seen, chosen: Step | None) -> Marked:
    own = [step for step in seen.steps if not step.inside]
    counts: dict[tuple[str, ...], int] = {(node,): n for node, n in node_counts(own).items()}
    for step in seen.steps:
        for node in step.nodes if step.inside else ():
            path = (*step.path, node)
            counts[path] = counts.get(path, 0) + 1
    latest = seen.latest
    now = latest.next if latest and seen.status not in ("succeeded", "cancelled") else ()
    tones = {"waiting": "waiting", "failed": "failed", "dead": "failed", "killed": "failed"}
    return Marked(
        counts={path: many for path, many in counts.items() if path[-1] not in ENDS},
        current=frozenset((node,) for node in now),
        tone=tones.get(seen.status, "running"),
        chosen=frozenset((*chosen.path, node) for node in chosen.nodes) if chosen else frozenset(),
        links=_links(seen),
    )


def _links(seen: Seen) -> dict[tuple[str, ...], str]:
    """Return where the last step stands that each node ran in."""
    found = {}
    for step in seen.steps:
        shown = "&inside=1" if step.inside else ""
        for node in step.nodes:
            found[*step.path, node] = f"?at={step.checkpoint_id}{shown}"
    return found


def _graph(il: Interlock, name: str) -> tuple[Graph | None, str]:
    if not name:  # a thread takes that of its first run
        return None, ""
    try:
        return il.graph(name), ""
    except InterlockError as error:  # another application's, or one that does not import
        return None, str(error)


async def _run(il: Interlock, thread_id: str) -> Run | None:
    try:
        return await il.arun(thread_id)
    except NotFound:  # a thread that was made and not run yet
        return None
