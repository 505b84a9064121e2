"""Runs that are handed to workers, as the runtime offers it: submit, cancel, wait."""

from __future__ import annotations

import asyncio
import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from langgraph.types import StateSnapshot

from interlock.core.bounded import declaration_of
from interlock.core.budget import Limits
from interlock.core.context import Ports
from interlock.core.driving import Driving
from interlock.core.queueing import LEASE_SECONDS, Options
from interlock.core.runs import Run
from interlock.core.sync import run_sync
from interlock.errors import NotFound, StillRunning
from interlock.execution import output_of
from interlock.postgres.ended import POLL_SECONDS, Endings, Standing
from interlock.postgres.plain import plain
from interlock.postgres.pool import translated
from interlock.postgres.stops import StopStore
from interlock.postgres.stored_runs import StoredRun
from interlock.resuming import Resuming, ResumingNow
from interlock.settings import Settings

STOP_SECONDS = LEASE_SECONDS + 2.0
"""How long `cancel` waits for a run to have stopped; the order stands also after that."""

LOOK_SECONDS = 0.25
"""How often it looks whether the process that should stop it is gone."""


class Submitting(Resuming):
    """The part of the runtime that hands runs to workers."""

    settings: Settings
    stops: StopStore
    _ports: Ports
    endings: Endings

    @abstractmethod
    async def _submitted(  # noqa: PLR0913  # as below
        self,
        graph: str,
        given: Mapping[str, Any] | None,  # the graph's input schema
        thread_id: str | None,
        model: str | None,
        context: Mapping[str, Any] | None,  # JSON
        limits: Limits | None = None,
        options: Options | None = None,
        *,
        driving: Driving | None = None,
        enqueue: bool = False,
        begins: bool = False,
    ) -> StoredRun: ...

    async def asubmit(  # noqa: PLR0913  # each is a choice of the caller's
        self,
        graph: str,
        input: Mapping[str, Any] | None,  # noqa: A002  # LangGraph's own word for it
        *,
        thread_id: str | None = None,
        model: str | None = None,
        context: Mapping[str, Any] | None = None,  # JSON
        limits: Limits | None = None,
        options: Options | None = None,
        driving: Driving | None = None,
        attended: bool = False,
    ) -> Run:
        """Accept a run, and return once that is committed; workers take it on, or `resume` does, in any process.

        Args:
            graph: its name in langgraph.json.
            input: fits the graph's input schema; None where `driving` says what the run does.
            thread_id: the thread to go on with; a new one unless given.
            model: for a graph that takes Interlock's `Context`.
            context: for a graph with a context schema of its own; it is saved, and used again by each resume.
            limits: what the run may take, in place of what its graph declares; settings and stored limits hold too.
            options: when it starts, how urgent it is, its idempotency key, and what if its thread is busy.
            driving: what LangGraph is told beside the input: where it stops, what it starts from, when it saves.
            attended: no worker takes it on: the caller goes on with it by `resume`.

        Raises:
            NotFound: no such graph, or no such checkpoint to start from.
            UsageError: the input, the context or an option does not fit, the thread is another graph's, or the
                idempotency key was used for another request.
            ModelUnavailable: the model cannot be built.
            ThreadBusy: the thread has a run that has not ended, or waits for an answer; and the strategy is `reject`.
        """
        stored = await self._submitted(
            graph,
            input,
            thread_id,
            model,
            context,
            limits,
            options,
            driving=driving,
            enqueue=not attended,
        )
        if options is not None and options.multitask_strategy in ("interrupt", "rollback"):
            await self.stops.carry_out()
        return stored.run

    async def acancel(self, name: str, *, reason: str = "", by: str = "") -> Run:
        """Cancel a run that has not ended, and return how it stands then.

        What waits, sleeps or is queued is cancelled at once, with its questions and timers. What runs, in whatever
        process, is ordered to stop, also in the middle of a model call; it has `STOP_SECONDS` for that, and the order
        stands until it has. A run that has ended is returned as it is.

        Args:
            name: of the run; or of a thread, for the run that it is at. Those queued behind it go on.
            reason: for whoever finds it cancelled.
            by: who says so.

        Raises:
            NotFound: there is no such run or thread.
            UsageError: the beginning of a name fits several.
        """
        run_id = await self.endings.named(name)
        stopped = await self.stops.stop(run_id, "cancel", reason, by or self.settings.user)
        if stopped.how == "ordered":
            await self._see_stopped(stopped.run_id)
        return await self._run_of(await self.endings.stands(stopped.run_id))

    async def await_run(self, name: str, timeout: float | None = None) -> Run:  # noqa: ASYNC109
        """Wait until a run has ended or waits for a person, and return it; a retry or an answer is waited through.

        Args:
            name: of the run; or of a thread, for the run that it is at.
            timeout: seconds; None to wait as long as it takes.

        Raises:
            NotFound: there is no such run or thread.
            StillRunning: it had not ended in that time; it goes on.
        """
        run_id = name
        try:
            async with asyncio.timeout(timeout):
                if (run := await self.endings.first_news(name)) is not None:
                    return run
                with suppress(NotFound):  # nearly always it is the whole name of a run
                    return await self._at_rest(name)
                run_id = await self.endings.named(name)
                return await self._at_rest(run_id)
        except TimeoutError as error:
            raise still_running(run_id, timeout) from error

    async def ajoin(self, thread_id: str, timeout: float | None = None) -> Run:  # noqa: ASYNC109
        """Wait until a thread has come to rest, also what is queued on it, and return the run that it is at then.

        Raises as `await_run`.
        """
        full = await self.store.full_thread_id(thread_id)
        try:
            async with asyncio.timeout(timeout):
                return await self._all_at_rest(full)
        except TimeoutError as error:
            raise still_running(full, timeout) from error

    async def acarry_out_stops(self) -> None:
        """Cancel what is to be stopped and has lost its process; any process may do this, at any time."""
        await self.stops.carry_out()

    async def _see_stopped(self, run_id: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                with self.endings.watching(run_id) as news:
                    while (await self.endings.stands(run_id)).run.status == "running":
                        await self.stops.carry_out()
                        await _heard(news, LOOK_SECONDS)

    async def _at_rest(self, run_id: str) -> Run:
        while True:
            with self.endings.watching(run_id) as news:
                standing = await self.endings.stands(run_id)
                if standing.run.status not in ("queued", "running"):
                    return await self._run_of(standing)
                if standing.run.run_id == run_id:
                    await _heard(news, POLL_SECONDS)
            run_id = standing.run.run_id  # an answer was taken: another run goes on with it

    async def _all_at_rest(self, thread_id: str) -> Run:
        while True:
            run = await self._at_rest(await self.endings.named(thread_id))
            if await self.endings.named(thread_id) == run.run_id:
                return run

    async def _run_of(self, standing: Standing) -> Run:
        """Return a run as `arun` does, also when its thread has gone on since."""
        if standing.run.status == "succeeded":
            return await self._succeeded(standing)
        if standing.present:
            run = await self.arun(standing.run.thread_id)
            if run.run_id == standing.run.run_id:
                return run
        return standing.run

    async def _succeeded(self, standing: Standing) -> Run:
        """Return a run that asks nobody, and of which nothing goes on."""
        run = standing.run
        partial = await self._landed(run) if self._lands(run) else ""
        return replace(
            run, partial=partial, output=await self._output_of(run, present=standing.present)
        )

    def _lands(self, run: Run) -> bool:
        declared = declaration_of(self._durable(run.graph))
        return declared is not None and bool(declared.land)

    async def _landed(self, run: Run) -> str:
        """Return why a run was steered to its landing; empty when it was not."""
        first = (await self.store.stored(run.run_id)).chain[0]
        landed = (await self._ports.budgets.account("run", first)).landed
        return landed.reason if landed else ""

    async def _output_of(self, run: Run, *, present: bool) -> Any:  # the graph's output schema
        names = {"thread_id": run.thread_id}
        found = await self._snapshot(run, names) if present else None
        if found is not None and (found.metadata or {}).get("run_id") == run.run_id:
            return output_of(self._durable(run.graph), found.values)
        if checkpoint := await self.endings.last_checkpoint(run.thread_id, run.run_id):
            found = await self._snapshot(run, {**names, "checkpoint_id": checkpoint})
        return output_of(self._durable(run.graph), found.values) if found is not None else None

    async def _snapshot(self, run: Run, names: dict[str, str]) -> StateSnapshot:
        with translated():
            return await self._durable(run.graph).aget_state({"configurable": names})


class SubmittingNow(Submitting, ResumingNow):
    """The synchronous twins."""

    def submit(  # noqa: PLR0913  # as above
        self,
        graph: str,
        input: Mapping[str, Any] | None,  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
        context: Mapping[str, Any] | None = None,  # JSON
        limits: Limits | None = None,
        options: Options | None = None,
        driving: Driving | None = None,
        attended: bool = False,
    ) -> Run:
        """Accept a run; see `asubmit`."""
        return run_sync(
            self.asubmit(
                graph,
                input,
                thread_id=thread_id,
                model=model,
                context=context,
                limits=limits,
                options=options,
                driving=driving,
                attended=attended,
            )
        )

    def cancel(self, name: str, *, reason: str = "", by: str = "") -> Run:
        """Cancel a run that has not ended; see `acancel`."""
        return run_sync(self.acancel(name, reason=reason, by=by))

    def wait(self, name: str, timeout: float | None = None) -> Run:
        """Wait until a run has ended or waits for a person; see `await_run`."""
        return run_sync(self.await_run(name, timeout))

    def join(self, thread_id: str, timeout: float | None = None) -> Run:
        """Wait until a thread has come to rest; see `ajoin`."""
        return run_sync(self.ajoin(thread_id, timeout))

    def carry_out_stops(self) -> None:
        """Cancel what is to be stopped and has lost its process; see `acarry_out_stops`."""
        run_sync(self.acarry_out_stops())


def request_of(
    graph: str,
    given: Mapping[str, Any] | None,  # the graph's input
    thread_id: str | None,
    options: Options | None,
    driving: Driving | None = None,
) -> str:
    """Return a digest of what is asked for under an idempotency key; empty without one.

    Where values are encrypted the input is left out: a digest would tell of it.
    """
    if options is None or not options.idempotency_key:
        return ""
    driven = {} if driving is None else replace(driving, asker={}, inherited={}).stored("")
    said = json.dumps(
        plain([graph, given, thread_id, *([driven] if driven else [])]), sort_keys=True
    )
    return hashlib.sha256(said.encode()).hexdigest()


async def _heard(news: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
    news.clear()


def still_running(name: str, seconds: float | None) -> StillRunning:
    """Return the error that says that something had not ended in time."""
    return StillRunning(
        f"{name} has not ended within {seconds:g} seconds; it goes on.",
        hint=f"`interlock watch {name}` shows what it does; `interlock cancel {name}` stops it.",
    )
