"""A worker: it lives under one name until it is stopped, or taken for dead; then it begins anew under another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from interlock.core.bounded import declaration_of
from interlock.errors import DatabaseUnavailable, InterlockError, LeaseLost
from interlock.facade import Interlock
from interlock.postgres import workers
from interlock.postgres.claiming import Claimed
from interlock.postgres.letters import note_graphs
from interlock.postgres.workers import Plan
from interlock.settling import process_name
from interlock.worker.connecting import connect
from interlock.worker.life import Life
from interlock.worker.log import Log
from interlock.worker.takeover import forgive, retire
from interlock.worker.timing import keep_time

GRACE_SECONDS = 30.0
"""How long a worker that is stopped lets its runs come to their next checkpoint."""

SHORTEST_WAIT = 0.1
LONGEST_WAIT = 5.0
"""Seconds between attempts to reach a database that does not answer; doubled each time."""

Execute = Callable[[Claimed], Awaitable[None]]


async def work(
    il: Interlock,
    plan: Plan | None = None,
    *,
    grace: float = GRACE_SECONDS,
    log: Log | None = None,
    stopped: asyncio.Event | None = None,
) -> None:
    """Take on runs until it is stopped, and hand back what remains.

    It may run beside other things on the loop of `aopen`. A cancellation stops it at once: what runs is handed back.

    Args:
        il: opened on this loop.
        plan: how many runs at once, and which; default: all that the application has graphs for.
        grace: seconds in which runs come to their next checkpoint after it was stopped.
        log: what it tells; default: nothing.
        stopped: stops it when it is set.
    """
    worker = Worker(il, plan or Plan(), grace=grace, log=log or Log())
    watching = asyncio.create_task(_stop_when(worker, stopped)) if stopped else None
    try:
        await worker.run()
    finally:
        if watching is not None:
            watching.cancel()


@dataclass(slots=True, eq=False)
class Worker:
    """Takes on runs; `run` returns after it was stopped.

    Attributes:
        execute: works on a claimed run in place of the graph; for measuring.
    """

    il: Interlock
    plan: Plan
    grace: float = GRACE_SECONDS
    log: Log = field(default_factory=Log)
    execute: Execute | None = None
    _stopping: bool = False
    _life: Life | None = None
    _former: list[str] = field(default_factory=list)
    _wait: float = SHORTEST_WAIT
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Take on runs until it is stopped."""
        graphs = self._graphs()
        timing = asyncio.create_task(keep_time(self.il, log=self.log), name="interlock-time")
        try:
            while not self._stopping:
                await self._live_once(graphs)
        finally:
            timing.cancel()
            await asyncio.wait([timing])

    async def _live_once(self, graphs: tuple[str, ...]) -> None:
        try:
            await self._live(graphs)
        except LeaseLost as lost:
            self.log.warn("worker.lost", why=str(lost.args[0]))
        except DatabaseUnavailable as error:
            self.log.warn("database.unavailable", why=str(error.args[0]), wait=self._wait)
            await self._pause()

    def stop(self) -> None:
        """Take on no more, and drain what runs; the second time, stop it at once. To be called on its loop."""
        at_once, self._stopping = self._stopping, True
        self._idle.set()
        if self._life is not None:
            self._life.stop(at_once=at_once)

    async def _live(self, graphs: tuple[str, ...]) -> None:
        await self._forgive()
        name = await workers.register(self.il.locks, self.plan, process_name())
        self._wait = SHORTEST_WAIT
        await note_graphs(self.il.pool, {each: self._holds(each) for each in graphs})
        life = self._life = Life(self.il, name, self.plan, graphs, self.log, execute=self.execute)
        if self._stopping:  # since it began to register: nobody else would tell this life
            life.stop()
        self.log.info(
            "worker.started",
            worker=name,
            process=process_name(),
            concurrency=self.plan.concurrency,
            graphs=",".join(graphs),
        )
        try:
            await life.serve(self.grace)
        finally:
            self._life = None
            self._former.append(name)
            await asyncio.shield(self._retire(life))

    async def _retire(self, life: Life) -> None:
        """Take the name out of the list; what cannot be written now is found by others."""
        await life.close()
        with suppress(InterlockError):
            async with await connect(self.il.url) as connection:
                await retire(connection, life.name)
        self.log.info("worker.ended", worker=life.name, runs=life.ended)

    async def _forgive(self) -> None:
        """Say of the names that were lost that their runs did not end this process."""
        while self._former:
            async with await connect(self.il.url) as connection:
                await forgive(connection, self._former[0])
            del self._former[0]

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._wait)
        self._wait = min(self._wait * 2, LONGEST_WAIT)

    def _holds(self, graph: str) -> bool:
        declared = declaration_of(self.il.graph(graph))
        return declared is not None and declared.holds_when_dead

    def _graphs(self) -> tuple[str, ...]:
        """Return the graphs that can be run here; one that does not import is told of and left to others."""
        usable = []
        for name in self.plan.graphs or self.il.application.names:
            try:
                self.il.graph(name)
            except InterlockError as error:
                self.log.warn("graph.unusable", graph=name, why=str(error))
            else:
                usable.append(name)
        return tuple(usable)


async def _stop_when(worker: Worker, stopped: asyncio.Event) -> None:
    await stopped.wait()
    worker.stop()


__all__ = ["Plan", "Worker", "work"]
