"""How an attempt at a run is brought to its end, in exactly one place: with its last checkpoint, or by itself."""

from __future__ import annotations

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError, is_invalid_resume

from interlock.application import Graph
from interlock.core.allowance import Allowance
from interlock.core.bounded import declaration_of
from interlock.core.context import Around
from interlock.core.doubt import doubts
from interlock.core.letters import KEEPS_ANSWERS
from interlock.core.run_states import RunStatus
from interlock.core.runs import Run
from interlock.core.stepping import LOOKED_AT, circle_of, reached
from interlock.core.walltime import Charge, charge
from interlock.errors import (
    AnswerRefused,
    BudgetSpent,
    DatabaseUnavailable,
    InterlockError,
    Killed,
    LeaseLost,
    LimitReached,
    ResumeRefused,
    RunCancelled,
)
from interlock.failing import ending_of, sentence_of
from interlock.postgres.checkpoints import Saver
from interlock.postgres.finishing import end_of
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import translated
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import Ending, StoredRun

LOST = "cancelled"

DATABASE_SECONDS = 1.0
"""After how long a run goes on whose connection broke, while its worker kept its own."""


class Settling(ABC):
    """The part of an execution that ends its run."""

    graph: Graph
    stored: StoredRun
    around: Around
    runs: RunStore
    locks: ThreadLocks
    allowance: Allowance
    attended: bool
    finish: Callable[[str, int, Charge | None], Awaitable[bool]] | None
    told: Callable[[], Awaitable[None]] | None
    settled: bool
    _reason: Exception | None
    _due: Charge | None

    @property
    def run(self) -> Run:
        """The run as it was when the attempt began."""
        return self.stored.run

    @property
    def _is_first(self) -> bool:
        return self.run.kind == "invoke" and self.run.attempts == 0

    @abstractmethod
    def _config(self) -> RunnableConfig: ...

    @asynccontextmanager
    async def _keeping_nothing_back(self) -> AsyncIterator[None]:
        """Save the checkpoint that was kept back for an end, where another comes."""
        try:
            yield
        except BaseException:
            with suppress(Exception):  # what raised it is on its way
                await asyncio.shield(self._let_go())
            raise

    async def _end_with_its_checkpoint(self, ending: Ending) -> None:
        """Save the checkpoint that was kept back, and where nothing speaks against it the run's end with it."""
        if self._saver is None or not self._saver.holds(self.run.thread_id):
            return
        if ending.status != "succeeded" or (self._due is not None and self._due.again):
            await self._let_go()
            return
        if self.told is not None:
            await self.told()
        due, self._due = self._due, None  # where this is broken off, it may have been charged
        end = end_of(self.run.run_id, self.run.attempts + 1, due)
        with translated():
            self.settled = await self._saver.let_go(self.run.thread_id, end)
        if not self.settled:
            self._due = due

    async def _let_go(self) -> None:
        if self._saver is not None and self._saver.holds(self.run.thread_id):
            with translated():
                await self._saver.let_go(self.run.thread_id)

    @property
    def _saver(self) -> Saver | None:
        found = self.graph.checkpointer
        return found if isinstance(found, Saver) else None

    async def _raised(self, error: Exception) -> Run:
        """End a run that raised; whoever waits for it is told by an error."""
        if (killed := self._killed(error)) is not None:
            return await self._end(killed)
        raised = _translate(error, self.run, self.around.stopped)
        if raised is error and isinstance(error, GraphRecursionError):
            raised = await self._went_round(error)
        if isinstance(raised, LeaseLost):
            raise raised  # others have taken it over: there is nothing to write
        if not self.attended:
            if isinstance(
                raised, DatabaseUnavailable
            ):  # with its connection the worker lost the run
                await self.locks.check(self.run.thread_id)
            return await self._end(await self._unattended(raised))
        await self._fail(raised)
        raise raised from (error if raised is not error else None)

    async def _unattended(self, raised: Exception) -> Ending:
        """Return what follows a failure that nobody waits for: another try later, or a dead letter.

        That our database went away is no failure of the run, and is not counted.

        Raises:
            DatabaseUnavailable: it does not answer now either; its worker hands the run back.
        """
        failed = _failure(raised, self.run)
        if isinstance(raised, DatabaseUnavailable):
            return replace(failed, status="queued", retry_seconds=DATABASE_SECONDS)
        declared = declaration_of(self.graph)
        ending = await ending_of(raised, failed, self.run, declared, self.runs.tries)
        if ending.failure not in KEEPS_ANSWERS:
            await self.around.ports.recordings.forget(self.run.thread_id, self.run.run_id)
        return ending

    async def _went_round(self, error: GraphRecursionError) -> LimitReached:
        """Return the error that says which limit was reached, and which nodes used it up."""
        with translated():
            history = self.graph.aget_state_history(self._config(), limit=LOOKED_AT)
            ran = [snapshot.next async for snapshot in history]
        circle = circle_of(ran[::-1])
        return LimitReached(
            f"The graph {self.run.graph!r} used up its {reached(error)} steps"
            + (f"; it went round in {circle}." if circle else "."),
            hint=f"`interlock history {self.run.thread_id}` shows each step.",
        )

    async def _end(self, ending: Ending) -> Run:
        told = (
            replace(ending, questions=(), wakes_at=None)
            if self.around.lineage.recorded_only
            else ending
        )
        written = await self._settle(told)  # a replay asks nobody
        if written is not told:  # it was to be stopped meanwhile
            ending = written
        return replace(
            self.run,
            status=ending.status,
            error=ending.error,
            error_kind=ending.error_kind,
            partial=landed.reason if (landed := self.allowance.course.landed) else "",
            interrupts=ending.questions,
            wakes_at=ending.wakes_at,
            output=ending.output,
            attempts=self.run.attempts + 1,
        )

    async def _settle(self, ending: Ending) -> Ending:
        if self.settled:  # with its last checkpoint
            return ending
        if self.told is not None:
            await self.told()
        plain = self.finish is not None and ending.status == "succeeded"
        if not (plain and await self._finished()):
            await self._charge()
            ending = await self.runs.end(
                self.run, ending, process_name(), worker=self.locks.fence(self.run.thread_id)
            )
        self.settled = True
        return ending

    async def _finished(self) -> bool:
        due, self._due = self._due, None
        if due is not None and not self._is_first:  # an earlier attempt may have made its steps
            due = replace(due, again=True)
        ended = self.finish is not None and await self.finish(
            self.run.run_id, self.run.attempts + 1, due
        )
        if not ended and due is not None and not due.again:
            self._due = due
        return ended

    async def _charge(self) -> None:
        """Charge what it took last, unless that is seen to; what cannot be charged now ends no run."""
        due, self._due = self._due, None
        if due is not None:
            with suppress(InterlockError):
                await charge(self.allowance.budgets, due)

    def _killed(self, error: Exception) -> Ending | None:
        """Return how the run ends when what was raised is a stop from outside, or a consequence of it."""
        killed = self._reason if isinstance(self._reason, Killed | RunCancelled) else error
        if isinstance(killed, RunCancelled):
            return Ending(status="cancelled", error=str(killed.args[0]), error_kind="RunCancelled")
        if not isinstance(killed, Killed):
            return None
        return Ending(
            status="killed", error=str(killed.args[0]), error_kind="Killed", kill=killed.kill
        )

    async def _hand_back(self) -> None:
        if not self.attended:
            await self._charge()
            return  # its worker does it
        # What cannot be written now stands as a run whose process was lost, and can be resumed all the same.
        with suppress(InterlockError):
            await self._end(Ending(status="queued", error="Stopped on request.", error_kind=LOST))

    async def _fail(self, raised: Exception) -> None:
        try:
            if not isinstance(
                raised, BudgetSpent
            ):  # whose cause is no answer: none is paid for again
                await self.around.ports.recordings.forget(self.run.thread_id, self.run.run_id)
            await self._end(_failure(raised, self.run))
        except InterlockError as unsaved:
            raised.add_note(f"This failure could not be recorded: {unsaved}")


def process_name() -> str:
    """Return what names this process to a person: host and pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _translate(error: Exception, run: Run, stopped: Sequence[Exception]) -> Exception:
    if stopped:  # what stopped a replay, whatever the application made of it
        return stopped[0]
    if is_invalid_resume(error):
        return AnswerRefused(
            f"The answer does not fit the question that thread {run.thread_id} waits for: {error}."
        )
    return error


def as_error(odd: BaseException) -> Exception:
    """Return what is no `Exception` as one: panics of libraries in Rust are none, and are failures all the same."""
    error = RuntimeError(sentence_of(odd))
    error.__cause__ = odd
    return error


def _failure(error: Exception, run: Run) -> Ending:
    text = " ".join([sentence_of(error), *doubts(error)])
    # What was refused leaves the thread where it was: its question is open again.
    refused = run.kind == "resume" and isinstance(error, AnswerRefused | ResumeRefused)
    status: RunStatus = "waiting" if refused else "failed"
    return Ending(status=status, error=text, error_kind=type(error).__name__)
