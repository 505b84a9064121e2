"""One attempt at one run: hold the thread, drive the graph, and end in exactly one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NotRequired, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base.id import uuid6
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import All, Interrupt, StreamMode
from typing_extensions import TypedDict

from interlock.application import Graph
from interlock.asked import questions_of, wakes_of
from interlock.core.allowance import KEY as ALLOWANCE
from interlock.core.allowance import Allowance
from interlock.core.context import KEY, Around
from interlock.core.driving import ALL, Driving
from interlock.core.eventing import EVENTS, stream_with_events
from interlock.core.inescapable import inescapable
from interlock.core.joined_handlers import joined
from interlock.core.kills import Kill, KillGuard
from interlock.core.metering import Meter
from interlock.core.queueing import StopOrder
from interlock.core.reading import telling
from interlock.core.replaying import RecordingGuard
from interlock.core.runs import BREAKPOINT, Run
from interlock.core.stopping import Stoppable
from interlock.core.usage import UsageRecorder
from interlock.core.walltime import Charge, at_work
from interlock.errors import InterlockError, NotFound
from interlock.postgres.checkpoints import ENDING, HELD, INTERRUPTS, LATEST
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import translated
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import Ending, StoredRun
from interlock.preparing import limited
from interlock.settling import Settling, as_error, process_name
from interlock.standing import standing
from interlock.starting import Start, start_of

DRAINED = "drained"

SHOW_STATES = frozenset({"values", "checkpoints", "debug", "events"})
"""Stream modes that tell of states: whoever sees one may look for its checkpoint at once."""


class Part(TypedDict):
    """A piece of a running graph's stream: LangGraph's stream modes, then one `end` with the `Run`.

    `ns` is the path of subgraphs that it comes from, empty for the graph itself. Values may come with `interrupts`.
    """

    type: StreamMode | Literal["end"]
    ns: tuple[str, ...]
    data: Any  # as LangGraph's stream mode says
    interrupts: NotRequired[tuple[Interrupt, ...]]


@dataclass(slots=True, kw_only=True)
class Execution(Settling):
    """Drives one stored run.

    Attributes:
        graph: with a checkpointer.
        context: the graph's context with durable ports, or whatever another application's graph takes.
        around: what its nodes find whatever context the graph takes.
        allowance: what the run may take.
        meter: what holds its model calls to that; None for a replay.
        modes: the stream modes that the caller wants to see.
        configurable: for its nodes, with who asked for it; default: as it was submitted.
        attended: somebody waits for it here; otherwise a worker has claimed it, holds its thread, and hands it back
            when it did not come to an end that could be written (`settled`).
        finish: ends a run that has succeeded together with others; False when it has to be ended by itself.
        told: returns when all that it told can be read; it is waited for before its end is written.
        subgraphs: whether what they do is among its parts. Without it a message of theirs is the node's that ran them.
        shows: somebody in this process waits for its output, though nobody does for its parts.
    """

    graph: Graph
    stored: StoredRun
    context: Any  # the graph's context schema
    around: Around
    stored_context: Mapping[str, Any]
    runs: RunStore
    locks: ThreadLocks
    allowance: Allowance = field(default_factory=Allowance)
    meter: Meter | None = None
    modes: Sequence[str] = ("updates", "custom")
    control: RunControl = field(default_factory=RunControl)
    configurable: Mapping[str, Any] | None = None
    attended: bool = True
    finish: Callable[[str, int, Charge | None], Awaitable[bool]] | None = None
    told: Callable[[], Awaitable[None]] | None = None
    subgraphs: bool = True
    shows: bool = False
    settled: bool = False
    _ended: Run | None = None
    _interrupts: list[str] = field(default_factory=list)  # tasks that were interrupted
    _driving: Driving = field(init=False)
    _stream: Stoppable[Any] | None = None  # LangGraph's parts
    _reason: Exception | None = None
    _due: Charge | None = None  # what it took last
    _values: Any = None  # the graph's state, as the stream told it last; None for nothing yet

    def __post_init__(self) -> None:
        self._driving = self.stored.driving
        if self._driving.checkpoint:
            self.stored.latest.clear()  # it begins at another one

    async def parts(self) -> AsyncGenerator[Part]:
        """Run to the end, to a question, to a drain, or until it is killed; the last part carries the run as it ended.

        Raises:
            ThreadBusy: another process runs this thread, or has taken the run over.
            Killed: a kill switch stood over it before it began; nothing was changed.
            ResumeRefused: this code cannot go on with the stored state; nothing was changed.
            Exception: what a node raised, after it was recorded.
        """
        async with self._begun(), aclosing(self._attempt()) as parts:
            async for part in parts:
                yield part
        # Told after the thread was let go: who answers at once must not find it busy.
        yield {"type": "end", "ns": (), "data": self._ended}

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[None]:
        # Watched before it is looked whether it may start: what is thrown in between is seen by either.
        watching = self.around.ports.kills.watching(self.around.subject, self._kill, self._order)
        if not self.attended:
            with watching:
                yield
            return
        locks = self.locks
        holding = locks.keeping if self.stored.begun else locks.hold
        async with holding(self.run.thread_id):
            with watching:
                if not self.stored.begun:
                    begun = await self.runs.start(self.run, process_name(), self.stored_context)
                    self.stored = replace(self.stored, latest=begun.latest, limited=begun.limited)
                    self.__post_init__()
                yield

    def stop(self, reason: Exception) -> None:
        """Cancel whatever the run is at, for a reason; safe to call from any thread, and the first reason counts."""
        self._reason = self._reason or reason
        self.around.halted.append(self._reason)
        if (stream := self._stream) is not None:
            stream.stop(self._reason)

    def _kill(self, kill: Kill) -> None:
        self.stop(kill.error(f"Thread {self.run.thread_id} was stopped"))

    def _order(self, order: StopOrder) -> None:
        self.stop(order.error)

    async def _attempt(self) -> AsyncGenerator[Part]:
        try:
            async with self._keeping_nothing_back():
                async with aclosing(self._drive()) as parts:
                    async for part in parts:
                        yield part
                ending = await self._ending()
                await self._end_with_its_checkpoint(ending)
        except GraphDrained:
            ending = Ending(
                status="queued",
                error="Stopped on request between two steps.",
                error_kind=DRAINED,
                requeue=not self.attended,
            )
        except (asyncio.CancelledError, GeneratorExit):
            await asyncio.shield(self._hand_back())
            raise
        except Exception as error:
            self._ended = await self._raised(error)
            return
        except BaseException as odd:  # a node called `sys.exit`, or raised what Ctrl-C raises
            if self.attended:
                await self._fail(as_error(odd))
                raise
            self._ended = await self._raised(as_error(odd))
            return
        self._ended = await self._end(ending)

    async def _drive(self) -> AsyncGenerator[Part]:
        config = self._config()
        handlers = cast("list[BaseCallbackHandler]", config["callbacks"])
        start = await start_of(self.graph, self.stored, config)
        if start.stopped:
            return
        stream = self._streamed(start, await self._told_of_its_branch(config))
        with inescapable(handlers):  # for the task that drives the stream
            self._stream = Stoppable(stream, self._shown)
        if self._reason is not None:  # it came before there was anything to stop
            self._stream.stop(self._reason)
        try:
            with translated():
                async with aclosing(self._stream) as parts, self._at_work():
                    async for part in parts:
                        yield _part(part)
        finally:
            self._stream = None  # it knows this: a circle would be left to the collector
            await self._close_meter()
        self.around.check_replay()  # the application may have caught what stopped it, and gone on

    def _at_work(self) -> AbstractAsyncContextManager[None]:
        def take_over(due: Charge) -> None:
            self._due = due

        known = not self.stored.limited
        return at_work(self.allowance, self.stop, take_over=take_over, unlimited=known)

    def _shown(self, part: Mapping[str, Any]) -> bool:  # a part of LangGraph's stream
        """Note what a part tells, and say whether the caller wants to see it: most parts nobody does."""
        if part["type"] == "values" and not part["ns"]:
            self._values = part["data"]
        return part["type"] in self.modes

    async def _told_of_its_branch(self, config: RunnableConfig) -> RunnableConfig:
        """Tell the acts of a run from an older checkpoint what its thread did behind that, in what it leaves behind."""
        if not (since := self._driving.checkpoint.get("checkpoint_id")):
            return config
        own = await self.runs.first_checkpoint(self.run.thread_id, self.stored.chain)
        return telling(config, [(since, own or str(uuid6()))])

    def _streamed(self, start: Start, config: RunnableConfig) -> AsyncGenerator[Any]:  # its parts
        driving = self._driving
        plain = partial(self.graph.astream, version="v2")
        eventful = partial(stream_with_events, self.graph, name=self.run.graph)
        # They are generators, which LangGraph does not say.
        stream: Any = eventful if EVENTS in self.modes else plain
        generator: AsyncGenerator[Any] = stream(
            start.given,
            start.config(config),
            context=self.context,
            stream_mode=cast("list[StreamMode]", sorted({*self.modes, *self._watched})),
            interrupt_before=_nodes(driving.interrupt_before),
            interrupt_after=_nodes(driving.interrupt_after),
            durability=driving.durability,
            control=self.control,
            subgraphs=self.subgraphs and bool(self.modes),
        )
        return generator

    @property
    def _watched(self) -> set[str]:
        """What it has to see itself: `values` give whoever waits the output."""
        return {"values"} if self.attended or self.shows else set()

    async def _close_meter(self) -> None:
        """Charge the calls that were cut off; what cannot be charged now is given back with this process."""
        self.around.end()
        if self.meter is not None and self.meter.is_open:
            with suppress(InterlockError):
                await asyncio.shield(self.meter.close())

    def _config(self) -> RunnableConfig:
        recorder = UsageRecorder(
            lambda call: self.runs.add_model_call(self.run.thread_id, self.run.run_id, call),
            self.around.ports.prices,
        )
        meters = self.meter.handlers(self.around) if self.meter else []
        driving = self._driving
        return {
            **limited(self.graph, driving.recursion_limit),
            "tags": list(driving.tags),
            "configurable": {
                **(driving.configurable if self.configurable is None else self.configurable),
                "run_id": self.run.run_id,
                "thread_id": self.run.thread_id,
                "__pregel_strict_resume": True,
                KEY: self.around,
                ALLOWANCE: self.allowance,
                INTERRUPTS: self._interrupts,
                LATEST: self.stored.latest,
                **self._holding(),
            },
            "run_id": UUID(self.run.run_id),
            # A run goes on from its checkpoint in another process because the id is the same in each attempt.
            "metadata": {
                **driving.metadata,
                **driving.inherited,
                "run_id": self.run.run_id,
                **({"model": self.run.model} if self.run.model else {}),
            },
            # What is charged is on the disk when the row of its call is: that one is written last.
            "callbacks": joined(
                [RecordingGuard(self.around), self._kill_guard(), *meters, recorder],
                interrupted=partial(self._interrupts.append, ""),  # at a breakpoint no task is
            ),
        }

    def _holding(self) -> dict[str, Any]:  # LangGraph's configuration
        """Let inputs be saved with what comes next, where anything is saved before the end."""
        if self._driving.durability == "exit":
            return {}
        return {HELD: [], ENDING: self._may_end_with_its_checkpoint}

    @property
    def _may_end_with_its_checkpoint(self) -> bool:
        """Whether nobody would look for the last checkpoint before the run has ended."""
        return self._is_first and self.finish is not None and SHOW_STATES.isdisjoint(self.modes)

    def _kill_guard(self) -> KillGuard:
        return KillGuard(self.around.ports.kills, self.around.subject)

    async def _ending(self) -> Ending:
        """Say how the thread stands now; the stream's own last word leaves out branches that still wait."""
        if self._has_just_run_through and self._values is not None:
            return Ending(status="succeeded", output=output_of(self.graph, self._values))
        if self._has_just_run_through and not self.attended:
            return Ending(status="succeeded")
        await self._let_go()
        with translated():
            snapshot = await standing(self.graph, self._config())
        questions, wakes_at = tuple(questions_of(snapshot, self.run)), wakes_of(snapshot)
        if questions or wakes_at:
            return Ending(status="waiting", questions=questions, wakes_at=wakes_at)
        if snapshot.next:
            return self._stopped(snapshot.next)
        return Ending(status="succeeded", output=output_of(self.graph, snapshot.values))

    def _stopped(self, before: Sequence[str]) -> Ending:
        """Return how a run ends at a breakpoint; one that nobody holds here waits, and its thread takes on others."""
        driven = self._driving
        asked = driven.interrupt_before or driven.interrupt_after
        why = "it was asked to" if asked else "the graph was compiled to"
        return Ending(
            status="queued" if self.attended else "waiting",
            error=f"Stopped before {', '.join(before)}, as {why}.",
            error_kind=BREAKPOINT,
        )

    @property
    def _has_just_run_through(self) -> bool:
        """Whether it began in this very attempt and nothing interrupted it."""
        return self._is_first and not self._interrupts


async def end_of(parts: AsyncIterator[Part]) -> Run:
    """Return the run as it stands when its stream has ended."""
    run: Run | None = None
    async for part in parts:
        if part["type"] == "end":
            run = part["data"]
    if run is None:
        raise NotFound(
            "The run ended without a result.",
            hint="This is a fault of Interlock; please report it.",
        )
    return run


def output_of(graph: Graph, values: Any) -> Any:  # the graph's state -> its output schema
    """Return the part of the final state that the graph declares as its output."""
    channels = graph.output_channels
    if not isinstance(values, Mapping) or isinstance(channels, str):
        return values
    return {key: values[key] for key in channels if key in values}


def _nodes(named: Sequence[str]) -> All | list[str] | None:
    """Return nodes as LangGraph takes them; None for those that the graph was compiled with."""
    return "*" if ALL in named else list(named) or None


def _part(part: Mapping[str, Any]) -> Part:  # LangGraph's
    ours = Part(type=part["type"], ns=tuple(part["ns"]), data=part["data"])
    if interrupts := part.get("interrupts"):
        ours["interrupts"] = tuple(interrupts)
    return ours
