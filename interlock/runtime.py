"""The durable runtime: accepts runs and works on them; what else it offers are the parts that it is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from langgraph.runtime import RunControl

from interlock.application import Application, Graph
from interlock.continuing import Continuing
from interlock.core import prompts
from interlock.core.bounded import declaration_of
from interlock.core.budget import Limits
from interlock.core.driving import Driving
from interlock.core.lineage import Lineage
from interlock.core.questions import Swept
from interlock.core.queueing import Options
from interlock.core.runs import Run
from interlock.core.versions import version_of
from interlock.execution import Part, end_of
from interlock.forks import Forks, title_of
from interlock.inputs import (
    check_context,
    check_input,
    check_thread_id,
    takes_our_context,
)
from interlock.kills import Killing
from interlock.notify.delivery import Delivered, Deliverer
from interlock.notify.targets import targets_of
from interlock.options import check_deadline, check_options
from interlock.originals import Originals
from interlock.past import Past
from interlock.postgres.approvals import PostgresApprovals
from interlock.postgres.beginning import Beginner
from interlock.postgres.checkpointer import Core
from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.crons import CronStore
from interlock.postgres.effects import EffectStore
from interlock.postgres.encryption import ring_of
from interlock.postgres.ended import Endings
from interlock.postgres.finishing import Finisher
from interlock.postgres.forks import ForkStore
from interlock.postgres.intake import Intake
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.outbox import Outbox
from interlock.postgres.pool import Pool, sever_all
from interlock.postgres.runs import RunStore
from interlock.postgres.stops import StopStore
from interlock.postgres.stored_runs import NewRun, StoredRun
from interlock.postgres.stream_news import StreamNews
from interlock.postgres.streams import StreamLog
from interlock.postgres.timers import TimerStore
from interlock.remembering import Named, items_of
from interlock.rewinding import Rewinding
from interlock.running import PortsFor
from interlock.settings import Settings
from interlock.settling import process_name
from interlock.steering import kept_of
from interlock.storage import Storage
from interlock.submitting import Submitting, request_of


class Runtime(Continuing, Rewinding, Killing, Originals, Storage, Submitting):
    """The durable runtime for asynchronous code; `interlock.facade.Interlock` adds the synchronous twins."""

    def __init__(
        self,
        settings: Settings,
        application: Application,
        url: str,
        pool: Pool,
        thread_locks: ThreadLocks,
        ports: PortsFor,
        core: Core,
    ) -> None:
        self.settings = settings
        self.application = application
        self.url = url
        self._ring = ring_of(settings.encryption_key)
        self.store = RunStore(pool, strict_serializer(ring=self._ring))
        self.intake = Intake(pool, self.store)
        self._beginner = Beginner(thread_locks, self.store, self.intake, process_name())
        self.approvals = PostgresApprovals(pool)
        self.stops = StopStore(pool, thread_locks)
        self.endings = Endings(url, pool)
        self.stream_log = StreamLog(url, self._ring)
        self.stream_news = StreamNews(url, pool)
        self.outbox = Outbox(pool)
        self.timer_store = TimerStore(pool)
        self.cron_store = CronStore(pool, strict_serializer(ring=self._ring))
        self.deliverer = Deliverer(self.outbox, targets_of(settings))
        self._pool = pool
        self._locks = thread_locks
        self._core = core
        self._finisher = Finisher(pool)
        self._ports_for = ports
        self._ports = ports(Lineage())
        self.effects_store = EffectStore(pool)
        fork_store = ForkStore(pool)
        self._past = Past(self.store, fork_store, self.effects_store, self._read)
        self._forks = Forks(self.store, fork_store, self._past)
        self._graphs: dict[str, Graph] = {}
        self._items = items_of(application, pool, self._ring)
        self._graphs_with_items: dict[Named, tuple[Graph, Graph]] = {}
        self._controls: set[RunControl] = set()

    @property
    def pool(self) -> Pool:
        """The connections of this runtime."""
        return self._pool

    @property
    def locks(self) -> ThreadLocks:
        """The threads that this runtime works on."""
        return self._locks

    def sever(self) -> None:
        """End all connections of runs where they stand; who waits on them gets an error, and new ones are made."""
        self._locks.drop()
        self._core.sever()
        sever_all(self._pool)

    # --- running ---

    async def ainvoke(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
        context: Mapping[str, Any] | None = None,  # JSON
        limits: Limits | None = None,
    ) -> Run:
        """Run a graph until it ends or asks a person; raises as `asubmit`, and what a node raised."""
        stored = await self._submitted(graph, input, thread_id, model, context, limits, begins=True)
        return await end_of(self._execute(stored))

    async def astream(
        self,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        *,
        thread_id: str | None = None,
        model: str | None = None,
        context: Mapping[str, Any] | None = None,  # JSON
        limits: Limits | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> AsyncIterator[Part]:
        """Run a graph and yield what happens; the last part is of type `end` and carries the `Run`."""
        stored = await self._submitted(graph, input, thread_id, model, context, limits, begins=True)
        async with aclosing(self._execute(stored, stream_mode)) as parts:
            async for part in parts:
                yield part

    async def asweep(self) -> list[Swept]:
        """Remind of questions, escalate them, and answer by their default those whose deadline has passed.

        The database's clock decides. Any number of processes may do this; each step is taken once. A thread whose
        question was answered has a run to go on with: `aresume` does that.
        """
        return await self.approvals.sweep()

    async def adeliver(self) -> Delivered:
        """Send what is due to the targets that the settings name; several processes may, and share the work."""
        return await self.deliverer.deliver()

    # --- inside ---

    async def _submitted(  # noqa: PLR0913  # each is a choice of the caller's
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
    ) -> StoredRun:
        self._ports.policy.current()  # a run that would stop at its first act is not accepted
        compiled = self.graph(graph)
        values = None if given is None else check_input(compiled, given)
        if options is not None:
            check_options(options)
            await check_deadline(options, self.timer_store, self.settings.tenant)
        driven = await self._driven(compiled, given, thread_id, driving)
        run_id = str(uuid4())
        new = NewRun(
            run_id=run_id,
            thread_id=str(uuid4()) if thread_id is None else check_thread_id(thread_id),
            graph=graph,
            kind="invoke",
            context=self._new_context(compiled, model, context) | kept_of(driven, options, run_id),
            input=values,
            title=title_of(values or {}),
            request=request_of(
                graph, values if self._ring is None else None, thread_id, options, driving
            ),
            schema_version=version_of(declaration_of(compiled)),
            goes_on=driven.goes_on and not driven.checkpoint,
        )
        if limits is not None:  # before anybody can take the run on
            await self._ports.budgets.limit("run", new.run_id, limits)
        if enqueue:
            self.endings.expect(run_id)
        if begins:
            return await self._beginner.begin(new)
        return await self.intake.accept(new, options, enqueue=enqueue)

    def _new_context(
        self, graph: Graph, model: str | None, given: Mapping[str, Any] | None
    ) -> dict[str, Any]:  # JSON
        around = {"tenant": self.settings.tenant}
        if given is not None:
            return around | {"given": check_context(graph, given)}
        if not takes_our_context(graph):
            return around
        for name in (self.settings.role_models or {}).values():
            self._checked_model(name)
        return around | {
            "model": self._checked_model(model or self.settings.model),
            "role_models": dict(self.settings.role_models or {}),
            "prompts": prompts.pins(),
        }
