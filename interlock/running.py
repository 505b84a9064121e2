"""Work on runs that were accepted, as the runtime offers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import fields, replace
from typing import Any
from uuid import uuid4

from langgraph.runtime import RunControl

from interlock.application import Graph
from interlock.bounds import Bounding, metered
from interlock.core.bounded import declaration_of
from interlock.core.context import Around, Context, Ports
from interlock.core.identity import configured
from interlock.core.landing import meter_nodes
from interlock.core.lineage import Lineage
from interlock.core.renaming import with_old_names
from interlock.core.runs import Run
from interlock.core.stepping import with_steps
from interlock.errors import InterlockError
from interlock.execution import Execution, Part
from interlock.looking import Looking
from interlock.notify.delivery import Deliverer
from interlock.postgres import workers
from interlock.postgres.assistants import default_id
from interlock.postgres.beginning import Beginner
from interlock.postgres.checkpointer import Core
from interlock.postgres.checkpoints import reader_for, saver_for
from interlock.postgres.encryption import KeyRing, opened_json
from interlock.postgres.finishing import Finisher
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.stored_runs import NewRun, StoredRun
from interlock.preparing import check_prompts, context_for
from interlock.remembering import Remembering

PortsFor = Callable[[Lineage], Ports]
"""Makes the ports of a run, which may use the work that its lineage names."""

KNOBS = frozenset(each.name for each in fields(Context))
"""What of a stored context is ours: older versions stored others, too."""

NOTIFY_SECONDS = 10.0
"""How long the end of a run may take to tell people of it; what is not told by then `adeliver` tells."""


class Running(Looking, Bounding, Remembering):
    """The part of the runtime that works on runs."""

    deliverer: Deliverer
    _ring: KeyRing | None
    _core: Core
    _locks: ThreadLocks
    _finisher: Finisher
    _beginner: Beginner
    _ports_for: PortsFor
    _graphs: dict[str, Graph]
    _controls: set[RunControl]

    def drain(self, reason: str = "stopped on request") -> None:
        """Let every run of this runtime stop after its current step; safe to call from any thread or signal handler."""
        for control in tuple(self._controls):
            control.request_drain(reason)

    async def _execute(
        self,
        stored: StoredRun,
        modes: Sequence[str] = ("updates", "custom"),
        *,
        around: Around | None = None,
    ) -> AsyncGenerator[Part]:
        if stored.run.status == "running":  # of a worker that is gone, it may be
            await workers.reclaim(self._pool, stored.run.thread_id)
        try:
            execution = await self.prepare(stored, modes, around=around)
        except BaseException:
            if stored.begun:
                await asyncio.shield(self._beginner.hand_back(stored.run))
            raise
        self._controls.add(execution.control)
        try:
            async with aclosing(execution.parts()) as parts:
                async for part in parts:
                    replay = execution.around.lineage.recorded_only  # it asks nobody
                    yield part if replay else await self._told(part)
        finally:
            self._controls.discard(execution.control)

    async def prepare(
        self, stored: StoredRun, modes: Sequence[str] = (), *, around: Around | None = None
    ) -> Execution:
        """Return what drives a run, made for this application; raises as `aresume`."""
        graph = self._with_items(self._durable(stored.run.graph), stored)
        self._ports.policy.current()
        check_prompts(stored)
        allowance = await self._allowance(stored, graph)
        around, meter = metered(around or self._around(stored), allowance)
        ours = self._context(stored.context, around.ports)
        return Execution(
            graph=graph,
            stored=stored,
            context=context_for(graph, ours, stored.context.get("given")),
            around=around,
            stored_context=stored.context,
            runs=self.store,
            locks=self._locks,
            allowance=allowance,
            meter=meter,
            modes=modes,
            finish=self._finisher.finish,
            configurable=self._configured(stored),
        )

    def _configured(self, stored: StoredRun) -> dict[str, Any]:
        """Return what nodes find as configured; who asked without an assistant asked the graph's own."""
        asked = opened_json(self._ring, stored.driving.asker)
        graph = stored.run.graph
        own = {"graph_id": graph, "assistant_id": str(default_id(graph))} if asked else {}
        return configured(asked, {**own, **stored.driving.configurable})

    async def _told(self, part: Part) -> Part:
        """Tell people what a run waits for, and return its end with the questions as they stand in the database."""
        if part["type"] != "end" or part["data"].status != "waiting":
            return part
        run = part["data"]
        await self.deliverer.try_to(NOTIFY_SECONDS)
        with suppress(InterlockError):  # the run is saved: what cannot be read now fails nothing
            run = replace(run, interrupts=tuple(await self.approvals.open_questions(run.thread_id)))
        return {"type": "end", "ns": (), "data": run}

    async def _resumed(
        self, run: Run, answers: Mapping[str, Any] | None, context: Mapping[str, Any]
    ) -> StoredRun:
        new = NewRun(
            run_id=str(uuid4()),
            thread_id=run.thread_id,
            graph=run.graph,
            kind="resume",
            context=context,
            answers=answers,
            base_run_id=run.run_id,
        )
        await self.store.add(new)
        return await self.store.stored(new.run_id)

    def _read(self, name: str) -> Graph:
        graph = with_old_names(self.graph(name))
        return graph.copy({"checkpointer": reader_for(graph, self._pool, self._ring, self._core)})

    def _durable(self, name: str) -> Graph:
        if name not in self._graphs:
            graph = with_old_names(with_steps(self.graph(name), self.settings.steps))
            self._graphs[name] = graph.copy(
                {
                    "checkpointer": saver_for(
                        graph,
                        self._pool,
                        self._locks.check,
                        self._ring,
                        self._core,
                        self._locks.fence,
                    )
                }
            )
            declared = declaration_of(graph)
            meter_nodes(self._graphs[name], declared.land if declared else "")
        return self._graphs[name]

    def _checked_model(self, name: str) -> str:
        self._ports.models.model(name)
        return name

    def _context(self, stored: Mapping[str, Any], ports: Ports) -> Context:
        known = {key: stored[key] for key in stored if key in KNOBS}
        return Context(ports=ports, **known)

    def _around(self, stored: StoredRun) -> Around:
        return Around(
            ports=self._ports_for(stored.lineage),
            graph=stored.run.graph,
            tenant=str(stored.context.get("tenant", "")),
            lineage=stored.lineage,
            subject=stored.subject,
            saves_later=stored.driving.durability != "sync",
        )
