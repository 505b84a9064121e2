"""A thread as its page shows it: its run, its steps with what was called and done in each, and its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from interlock.application import Graph
from interlock.core.effects import Effect, Refused
from interlock.core.runs import Run, Step, Usage
from interlock.errors import InterlockError, NotFound
from interlock.facade import Interlock
from interlock.history import node_counts
from interlock.postgres.dashboard import DashboardStore, ListedCall, ListedRun, RanTask
from interlock.server.dashboard.nodes import ENDS, Path, ran, taken, usage_of

AT_ONCE = 100
"""Steps of a thread that are shown at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A step with what happened in it.

    Attributes:
        before: the state before it.
        share: how long it took, as a part of the longest one.
        waited: most of it was the time in which people did not answer.
    """

    step: Step
    before: Mapping[str, Any] = field(repr=False)
    calls: Sequence[ListedCall] = ()
    acts: Sequence[Effect] = ()
    share: float = 0.0
    waited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which of a thread's steps are shown.

    Attributes:
        total: how many its own graph made.
        last: the checkpoint of the last one that is shown; empty for the newest.
        older: that of the last one of the page before this; empty for none.
        newer: that of the page behind this; empty for the newest ones.
    """

    total: int
    last: str = ""
    older: str = ""
    newer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A thread.

    Attributes:
        row: of the thread.
        run: that it is at; None where it has none.
        graph: None where this application does not have it; `graph_problem` says why.
        moments: its steps that are shown, oldest first.
        shown: which of them these are.
        latest: the newest step of the thread's own graph.
        tasks: that wrote something, those of its subgraphs too.
        letter: the open dead letter of its run; empty for none.
    """

    thread_id: str
    row: Mapping[str, Any]
    run: Run | None
    graph: Graph | None
    graph_problem: str
    moments: Sequence[Moment]
    shown: Page
    latest: Step | None
    tasks: Sequence[RanTask]
    calls: Sequence[ListedCall]
    acts: Sequence[Effect]
    refused: Sequence[Refused]
    runs: Sequence[ListedRun]
    letter: str

    @property
    def usage(self) -> Usage:
        """What all its model calls took."""
        return sum((usage_of(each) for each in self.calls), Usage())

    @property
    def steps(self) -> list[Step]:
        """Its steps that are shown, oldest first."""
        return [each.step for each in self.moments]

    @property
    def ran(self) -> Mapping[Path, int]:
        """How often each node ran."""
        own = [step for step in self.steps if not step.inside]
        counted = {(node,): many for node, many in node_counts(own).items() if node not in ENDS}
        found = ran(self.tasks)
        if self.shown.total > len(own):  # these are not all
            return found | {path: max(n, found.get(path, 0)) for path, n in counted.items()}
        return {path: many for path, many in found.items() if len(path) > 1} | counted

    @property
    def taken(self) -> Mapping[Path, Usage]:
        """What the model calls of each node took."""
        return taken(self.calls, self.tasks)

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


async def see(
    il: Interlock, name: str, *, inside: bool = False, at: str = "", upto: str = ""
) -> Seen:
    """Return a thread, by its name or the beginning of its id; raises `NotFound`.

    Args:
        il: reads as whoever looks.
        name: of the thread.
        inside: show steps of its subgraphs, too.
        at: a checkpoint that is to be among the steps.
        upto: the checkpoint of the last step that is shown; default: the newest, or what shows `at`.
    """
    thread_id = await il.store.full_thread_id(name)
    row = await il.store.thread(thread_id)
    graph, problem = _graph(il, row["graph"])
    store = DashboardStore(il.pool)
    calls, acts = await store.calls(thread_id), await il.aeffects(thread_id)
    run = await _run(il, thread_id)
    shown = await _page(store, thread_id, at, upto)
    steps, latest = await _steps(il, thread_id, shown, inside=inside) if graph else ([], None)
    return Seen(
        thread_id=thread_id,
        row=row,
        run=run,
        graph=graph,
        graph_problem=problem,
        moments=moments_of(steps, calls, acts, await store.acts(thread_id))[bool(shown.older) :],
        shown=shown,
        latest=latest,
        tasks=await store.tasks(thread_id),
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
    waited = _waited(steps)
    worked = [x.seconds for x in steps if x.source != "input" and x.checkpoint_id not in waited]
    longest = max(worked, default=0.0)
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
                share=min(step.seconds / longest, 1.0)
                if longest and step.source != "input"
                else 0.0,
                waited=step.checkpoint_id in waited,
            )
        )
        last[step.inside] = step
    return found


def _waited(steps: Sequence[Step]) -> set[str]:
    """Return the steps before which somebody was asked."""
    last: dict[str, Step] = {}  # namespace -> the step before
    waited = set()
    for step in steps:
        if step.inside in last and last[step.inside].questions:
            waited.add(step.checkpoint_id)
        last[step.inside] = step
    return waited


def _graph(il: Interlock, name: str) -> tuple[Graph | None, str]:
    if not name:  # a thread takes that of its first run
        return None, ""
    try:
        return il.graph(name), ""
    except InterlockError as error:  # another application's, or one that does not import
        return None, str(error)


async def _page(store: DashboardStore, thread_id: str, at: str, upto: str) -> Page:
    """Return which steps are shown: those up to one of them, or those around one."""
    known = await store.line(thread_id)
    if upto not in known and at:
        around = at if at in known else await store.ran_from(thread_id, at)
        upto = _around(known, around) if around in known[:-AT_ONCE] else ""
    end = known.index(upto) + 1 if upto in known else len(known)
    begin = max(end - AT_ONCE, 0)
    return Page(
        total=len(known),
        last=upto if end < len(known) else "",
        older=known[begin - 1] if begin else "",
        newer=known[end + AT_ONCE - 1] if end + AT_ONCE < len(known) else "",
    )


def _around(known: Sequence[str], checkpoint_id: str) -> str:
    """Return the last step of those in whose midst one stands."""
    return known[min(known.index(checkpoint_id) + AT_ONCE // 2, len(known) - 1)]


async def _steps(
    il: Interlock, thread_id: str, shown: Page, *, inside: bool
) -> tuple[list[Step], Step | None]:
    """Return the steps that are shown, behind the one before them, and the newest of all."""
    steps = await il.ahistory(thread_id, inside=inside, most=AT_ONCE + 1, upto=shown.last)
    newest = await il.ahistory(thread_id, most=1) if shown.last else steps
    own = [each for each in newest if not each.inside]
    return steps, own[-1] if own else None


async def _run(il: Interlock, thread_id: str) -> Run | None:
    try:
        return await il.arun(thread_id)
    except NotFound:  # its output takes the graph, which may be gone
        pass
    try:
        return (await il.store.latest(thread_id)).run
    except NotFound:  # a thread that was made and not run yet
        return None
