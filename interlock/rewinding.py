"""Forks and replays, as the runtime offers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from interlock.core.driving import Driving
from interlock.core.runs import Run
from interlock.core.sync import run_sync
from interlock.differences import changed
from interlock.errors import ReplayDiverged
from interlock.execution import Part, end_of
from interlock.history import begun
from interlock.postgres.recorded_answers import RecordedAnswers
from interlock.postgres.stored_runs import StoredRun
from interlock.replays import Replay
from interlock.running import Running


class Rewinding(Running):
    """The part of the runtime that forks and replays threads."""

    async def afork(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> Run:
        """Start a new thread from a step of another, with some state changed, and run it on.

        Raises:
            NotFound: no such thread or step.
            UsageError: a value's key or type does not fit the graph's state.
        """
        return await end_of(self.afork_stream(thread_id, at=at, values=values, model=model))

    async def afork_stream(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> AsyncIterator[Part]:
        """Fork and yield what happens, as `astream`."""
        stored = await self._forked(
            await self.store.full_thread_id(thread_id), at, values or {}, model
        )
        async with aclosing(self._execute(stored, stream_mode)) as parts:
            async for part in parts:
                yield part

    async def asubmit_fork(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
        attended: bool = False,
        driving: Driving | None = None,
    ) -> Run:
        """Make a fork and let workers run it; `attended`: the caller does, by `resume`. Raises as `afork`."""
        thread_id = await self.store.full_thread_id(thread_id)
        forked = await self._forked(
            thread_id, at, values or {}, model, enqueue=not attended, driving=driving
        )
        return forked.run

    async def areplay(
        self, thread_id: str, *, at: int | str | None = None, live_tools: Sequence[str] = ()
    ) -> Replay:
        """Run a thread again out of its records: nothing is done, nobody is asked, and no model is called.

        Args:
            thread_id: the thread.
            at: the step to begin from; default: its first.
            live_tools: names of tools that are no actions and may be called all the same.

        Raises:
            NotFound: no such thread or step.
            Exception: what a node raised, as then.
        """
        full = await self.store.full_thread_id(thread_id)
        steps = begun(await self.ahistory(full))
        begin = at if at is not None else steps[0].checkpoint_id
        stored = await self._forks.submit(full, begin, {}, recorded_only=True)
        run, divergence = await self._replayed(stored, tuple(live_tools))
        now = await self.ahistory(run.thread_id)
        recorded = await self._ports.recordings.recorded_by_task(run.thread_id)
        return Replay(
            of=full,
            run=run,
            divergence=divergence,
            changed=changed(steps[-1].values, now[-1].values),
            model_calls=sum(recorded.values()),
            effects=len([e for e in await self.aeffects(run.thread_id) if e.source]),
        )

    async def _forked(
        self,
        thread_id: str,
        at: int | str,
        values: Mapping[str, Any],  # of the graph's state
        model: str | None,
        *,
        enqueue: bool = False,
        driving: Driving | None = None,
    ) -> StoredRun:
        context: Mapping[str, Any] | None = None  # JSON
        if model is not None:
            row = await self.store.thread(thread_id)
            context = {**row["context"], "model": self._checked_model(model)}
        return await self._forks.submit(
            thread_id, at, values, context, enqueue=enqueue, driving=driving
        )

    async def _replayed(
        self, stored: StoredRun, live_tools: tuple[str, ...]
    ) -> tuple[Run, ReplayDiverged | None]:
        """Run a replay to its end, and hand LangGraph's own interrupts what they were resumed with."""
        around = replace(self._around(stored), live_tools=live_tools)
        answers = RecordedAnswers(self._pool, stored.lineage)
        while True:
            try:
                run = await end_of(self._execute(stored, around=around))
            except ReplayDiverged as divergence:
                return await self.arun(stored.run.thread_id), divergence
            if not (found := await answers.resumed(run.interrupts)):
                return run, None
            stored = await self._resumed(run, found, stored.context)


class RewindingNow(Rewinding):
    """The synchronous twins."""

    def fork(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> Run:
        """Start a new thread from a step of another; see `afork`."""
        return run_sync(self.afork(thread_id, at=at, values=values, model=model))

    def replay(
        self, thread_id: str, *, at: int | str | None = None, live_tools: Sequence[str] = ()
    ) -> Replay:
        """Run a thread again out of its records; see `areplay`."""
        return run_sync(self.areplay(thread_id, at=at, live_tools=live_tools))

    def submit_fork(
        self,
        thread_id: str,
        *,
        at: int | str,
        values: Mapping[str, Any] | None = None,
        model: str | None = None,
        attended: bool = False,
        driving: Driving | None = None,
    ) -> Run:
        """Make a fork and let workers run it; see `asubmit_fork`."""
        return run_sync(
            self.asubmit_fork(
                thread_id, at=at, values=values, model=model, attended=attended, driving=driving
            )
        )
