"""One claimed run in a worker, from its claim to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from interlock.core.runs import Run
from interlock.errors import DatabaseUnavailable, Killed, LeaseLost
from interlock.execution import Execution, Part
from interlock.facade import Interlock
from interlock.failing import unprepared
from interlock.postgres import queue
from interlock.postgres.claiming import Claimed
from interlock.postgres.finishing import Finisher
from interlock.postgres.stored_runs import Ending
from interlock.settling import process_name
from interlock.worker.telling import ALWAYS, Telling

SUSPICION_SECONDS = 30.0
"""After so long without a death a run is no suspect any more, even if it has not made a step."""


@dataclass(slots=True, eq=False)
class Job:
    """Drives one claimed run.

    Attributes:
        settled: its end, or that it goes on elsewhere, is written.
        status: how it ended; empty while it has not, or was handed back.
        error: what stopped it.
        why: what it died of, as its row says.
    """

    il: Interlock
    worker: str
    claimed: Claimed
    finisher: Finisher
    execute: Callable[[Claimed], Awaitable[None]] | None = None
    settled: bool = False
    status: str = ""
    error: Exception | None = None
    why: str = ""
    _suspect: bool = field(init=False)
    _began: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    _draining: bool = False
    _reason: Exception | None = None
    _execution: Execution | None = None
    _telling: Telling | None = None
    _task: asyncio.Task[None] = field(init=False)

    def __post_init__(self) -> None:
        self._suspect = self.claimed.crashes > 0

    def start(self, over: Callable[[Job], None]) -> None:
        """Begin to work, and tell when that is over."""
        self._task = asyncio.create_task(self._work(), name=f"interlock-run-{self._run_id}")
        self._task.add_done_callback(lambda _: over(self))

    def suspected(self, now: float) -> bool:
        """Say whether it may be what killed its worker the last time."""
        return self._suspect and now - self._began < SUSPICION_SECONDS

    def drain(self) -> None:
        """Let it stop after its present step."""
        self._draining = True
        if self._execution is not None:
            self._execution.control.request_drain("the worker stops")

    def stop(self, reason: Exception) -> None:
        """Stop it where it is, for a reason."""
        self._reason = reason
        if self._execution is not None:
            self._execution.stop(reason)

    def cancel(self) -> asyncio.Task[None]:
        """Cancel it, and return what ends when it has cleaned up."""
        self._task.cancel()
        return self._task

    @property
    def _run_id(self) -> str:
        return self.claimed.stored.run.run_id

    async def _work(self) -> None:
        try:
            await self._to_its_end()
        except asyncio.CancelledError:
            return  # it was stopped; what is not settled is handed back
        except Exception as error:  # a node may raise anything; it is in the run's row by now
            self.error = error
        if self._execution is not None:
            self.settled = self.settled or self._execution.settled

    async def _to_its_end(self) -> None:
        if self.claimed.kill is not None:
            await self._end_killed()
        elif self.execute is not None:
            await self._measured(self.execute)
        else:
            await self._run()

    async def _run(self) -> None:
        try:
            execution = await self._prepared()
        except (DatabaseUnavailable, LeaseLost):
            raise
        except Exception as error:  # handed back, it would be claimed again at once, for ever
            await self._end_failed(error)
            return
        try:
            with self.il.endings.worked_on(self._run_id) as execution.shows:
                await self._drive(execution)
        except (DatabaseUnavailable, LeaseLost):
            raise
        except Exception as error:
            if execution.settled:
                raise
            await self._end_failed(error)  # as above: not even its failure could be told

    async def _drive(self, execution: Execution) -> None:
        if self._telling is not None:
            await self._telling.begin()
        async with aclosing(execution.parts()) as parts:
            async for part in parts:
                if part["type"] == "end":
                    self._note(part["data"])
                else:
                    await self._made(part)

    async def _made(self, part: Part) -> None:
        if self._suspect:
            self._suspect = False
            await queue.absolve(self.il.pool, self.worker, self._run_id)
        if self._telling is not None:
            await self._telling.note(part)

    def _note(self, run: Run) -> None:
        self.status = run.status
        if run.status == "succeeded" and run.output is not None:
            self.il.endings.has_succeeded(run)
        self.why = run.error if run.status == "dead" else ""

    async def _prepared(self) -> Execution:
        stored = self.claimed.stored
        telling = self._telling = Telling.of(stored, self.il.stream_log, self.worker)
        execution = await self.il.prepare(stored, self._watched)
        execution.attended = False
        if telling is not None:
            telling.join(execution)
        execution.finish = self.finisher.finish
        self._execution = execution
        if self._reason is not None:
            execution.stop(self._reason)
        if self._draining:
            self.drain()
        return execution

    @property
    def _watched(self) -> tuple[str, ...]:
        """What it has to see of the run: nothing, where nobody asked to be told and nothing is suspected."""
        if self._telling is not None:
            return self._telling.modes
        return (ALWAYS,) if self._suspect else ()

    async def _end_killed(self) -> None:
        """End a run that a switch stood over when it was claimed."""
        try:
            await self.il.store.refuse_killed(self._run_id, "It may not run")
        except Killed as killed:
            ending = Ending(
                status="killed", error=str(killed.args[0]), error_kind="Killed", kill=killed.kill
            )
            await self._end(ending)
            self.status = "killed"

    async def _end_failed(self, error: Exception) -> None:
        """End a run that cannot begin here."""
        run = self.claimed.stored.run
        ending = await unprepared(error, run, self.il.store.tries)
        await self._end(ending)
        self.status, self.error = ending.status, error

    async def _end(self, ending: Ending) -> None:
        run = self.claimed.stored.run
        await self.il.store.end(run, ending, process_name(), worker=self.worker)
        self.settled = True

    async def _measured(self, execute: Callable[[Claimed], Awaitable[None]]) -> None:
        await execute(self.claimed)
        run = self.claimed.stored.run
        self.settled = await self.finisher.finish(run.run_id, run.attempts + 1)
        self.status = "succeeded"
