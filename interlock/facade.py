"""The synchronous face of the runtime."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from interlock.application import Graph
from interlock.bounds import BoundingNow
from interlock.checking import CheckingNow
from interlock.continuing import ContinuingNow
from interlock.core.budget import Limits
from interlock.core.effects import Effect, Refused
from interlock.core.questions import OpenQuestion, QuestionEvent, Swept
from interlock.core.runs import Run, Step, ThreadSummary, Tree
from interlock.core.sync import iterate_sync, run_sync
from interlock.differences import Difference
from interlock.execution import Part
from interlock.health import ExaminingNow
from interlock.kills import KillingNow
from interlock.letters import LettersNow
from interlock.notify.delivery import Delivered
from interlock.originals import OriginalsNow
from interlock.outcomes import OutcomesNow
from interlock.past import HISTORY_LIMIT
from interlock.rates import PacingNow
from interlock.remembering import RememberingNow
from interlock.repair.repairing import RepairingNow
from interlock.reporting import ReportingNow
from interlock.rewinding import RewindingNow
from interlock.runtime import Runtime
from interlock.storage import StorageNow
from interlock.streaming import StreamingNow
from interlock.submitting import SubmittingNow
from interlock.threads import ThreadingNow
from interlock.timers import TimingNow
from interlock.watching import WatchingNow


class Interlock(
    RepairingNow,
    Runtime,
    ContinuingNow,
    RewindingNow,
    KillingNow,
    SubmittingNow,
    BoundingNow,
    OriginalsNow,
    StorageNow,
    CheckingNow,
    ExaminingNow,
    LettersNow,
    TimingNow,
    WatchingNow,
    ReportingNow,
    PacingNow,
    OutcomesNow,
    RememberingNow,
    StreamingNow,
    ThreadingNow,
):
    """The durable runtime: runs graphs on Postgres, resumes, rewinds and forks them.

    Each method has an asynchronous twin whose name starts with `a`. The synchronous ones belong to `open()`, the
    asynchronous ones to `aopen()`.
    """

    def invoke(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
        context: Mapping[str, Any] | None = None,  # JSON
        limits: Limits | None = None,
    ) -> Run:
        """Run a graph until it ends or asks a person; see `ainvoke`."""
        return run_sync(
            self.ainvoke(
                graph, input, thread_id=thread_id, model=model, context=context, limits=limits
            )
        )

    def stream(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
        context: Mapping[str, Any] | None = None,  # JSON
        limits: Limits | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> Generator[Part]:
        """Run a graph and yield what happens; see `astream`."""
        return iterate_sync(
            self.astream(
                graph,
                input,
                thread_id=thread_id,
                model=model,
                context=context,
                limits=limits,
                stream_mode=stream_mode,
            )
        )

    def sweep(self) -> list[Swept]:
        """Let time take its steps with the open questions; see `asweep`."""
        return run_sync(self.asweep())

    def deliver(self) -> Delivered:
        """Send the notifications that are due; see `adeliver`."""
        return run_sync(self.adeliver())

    def run(self, thread_id: str) -> Run:
        """Return the run that a thread is at; see `arun`."""
        return run_sync(self.arun(thread_id))

    def history(
        self, thread_id: str, *, inside: bool = False, most: int = HISTORY_LIMIT, upto: str = ""
    ) -> list[Step]:
        """Return the steps of a thread, oldest first; see `ahistory`."""
        return run_sync(self.ahistory(thread_id, inside=inside, most=most, upto=upto))

    def step(self, thread_id: str, at: int | str) -> Step:
        """Return one step; see `astep`."""
        return run_sync(self.astep(thread_id, at))

    def graph_at(self, thread_id: str, at: int | str) -> Graph:
        """Return the graph whose state a step holds; see `agraph_at`."""
        return run_sync(self.agraph_at(thread_id, at))

    def tree(self, thread_id: str) -> Tree:
        """Return all that was forked from the first ancestor of a thread; see `atree`."""
        return run_sync(self.atree(thread_id))

    def diff(self, a: str, b: str, *, most: int = HISTORY_LIMIT) -> Difference:
        """Compare two threads; see `adiff`."""
        return run_sync(self.adiff(a, b, most=most))

    def questions(self, thread_id: str | None = None) -> list[OpenQuestion]:
        """Return what waits for a person; see `aquestions`."""
        return run_sync(self.aquestions(thread_id))

    def question(self, question_id: str) -> tuple[OpenQuestion, list[QuestionEvent]]:
        """Return a question and its history; see `aquestion`."""
        return run_sync(self.aquestion(question_id))

    def threads(self, *, graph: str | None = None, limit: int = 20) -> list[ThreadSummary]:
        """Return the latest threads; see `athreads`."""
        return run_sync(self.athreads(graph=graph, limit=limit))

    def effects(
        self, thread_id: str | None = None, *, in_doubt: bool = False, limit: int | None = None
    ) -> list[Effect]:
        """Return what was done to the world; see `aeffects`."""
        return run_sync(self.aeffects(thread_id, in_doubt=in_doubt, limit=limit))

    def effect(self, key: str) -> Effect:
        """Return one effect; see `aeffect`."""
        return run_sync(self.aeffect(key))

    def refusals(self, thread_id: str | None = None, *, limit: int | None = None) -> list[Refused]:
        """Return what was not permitted; see `arefusals`."""
        return run_sync(self.arefusals(thread_id, limit=limit))

    def resolve_effect(
        self, key: str, *, happened: bool, result: Any = None, by: str = ""
    ) -> Effect:  # JSON
        """Say what became of an effect in doubt; see `aresolve_effect`."""
        return run_sync(self.aresolve_effect(key, happened=happened, result=result, by=by))
