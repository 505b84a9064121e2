"""One attempt at one run: hold the thread, drive the graph, and end in exactly one place."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, NotRequired, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import INTERRUPT  # pinned, and a test holds it
from langgraph.checkpoint.base.id import uuid6
from langgraph.errors import GraphDrained, GraphRecursionError, is_invalid_resume
from langgraph.runtime import RunControl
from langgraph.types import All, Interrupt, StateSnapshot, StreamMode
from typing_extensions import TypedDict

from interlock.application import Graph
from interlock.core import gate, prompts, sleeping
from interlock.core.actions import digest as digest_of
from interlock.core.allowance import KEY as ALLOWANCE
from interlock.core.allowance import Allowance
from interlock.core.bounded import declaration_of
from interlock.core.context import KEY, Around, Context
from interlock.core.doubt import doubts
from interlock.core.driving import ALL, Driving
from interlock.core.eventing import EVENTS, stream_with_events
from interlock.core.inescapable import inescapable
from interlock.core.kills import Kill, KillGuard
from interlock.core.letters import KEEPS_ANSWERS
from interlock.core.metering import Meter
from interlock.core.queueing import StopOrder
from interlock.core.reading import telling
from interlock.core.replaying import RecordingGuard
from interlock.core.run_states import RunStatus
from interlock.core.runs import BREAKPOINT, OpenQuestion, Run
from interlock.core.stepping import LOOKED_AT, circle_of, reached, steps_of
from interlock.core.stopping import Stoppable
from interlock.core.usage import UsageRecorder
from interlock.core.walltime import Charge, at_work, charge
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
from interlock.postgres.checkpoints import ENDING, FRESH, HELD, INTERRUPTS, Saver
from interlock.postgres.finishing import end_of
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.plain import plain
from interlock.postgres.pool import translated
from interlock.postgres.runs import Ending, RunStore, StoredRun
from interlock.standing import standing
from interlock.starting import Start, start_of

DRAINED = "drained"
LOST = "cancelled"

SHOW_STATES = frozenset({"values", "checkpoints", "debug", "events"})
"""Stream modes that tell of states: whoever sees one may look for its checkpoint at once."""

DATABASE_SECONDS = 1.0
"""After how long a run goes on whose connection broke, while its worker kept its own."""


class Part(TypedDict):
    """A piece of a running graph's stream: LangGraph's stream modes, then one `end` with the `Run`.

    `ns` is the path of subgraphs that it comes from, empty for the graph itself. Values may come with `interrupts`.
    """

    type: StreamMode | Literal["end"]
    ns: tuple[str, ...]
    data: Any  # as LangGraph's stream mode says
    interrupts: NotRequired[tuple[Interrupt, ...]]


@dataclass(slots=True, kw_only=True)
class Execution:
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
    _fresh: list[str] = field(init=False)  # emptied by the first look at the thread's checkpoints
    _stream: Stoppable[Any] | None = None  # LangGraph's parts
    _reason: Exception | None = None
    _due: Charge | None = None  # what it took last
    _values: Any = None  # the graph's state, as the stream told it last; None for nothing yet

    def __post_init__(self) -> None:
        self._driving = self.stored.driving
        self._fresh = ["no checkpoint yet"] if self.stored.fresh else []

    @property
    def run(self) -> Run:
        """The run as it was when the attempt began."""
        return self.stored.run

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
        async with self.locks.hold(self.run.thread_id):
            with watching:
                begun = await self.runs.start(self.run, process_name(), self.stored_context)
                self.stored = replace(self.stored, fresh=begun.fresh, limited=begun.limited)
                self.__post_init__()
                yield

    def stop(self, reason: Exception) -> None:
        """Cancel whatever the run is at, for a reason; safe to call from any thread, and the first reason counts."""
        self._reason = self._reason or reason
        self.around.halted.append(self._reason)
        if self._stream is not None:
            self._stream.stop(self._reason)

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
                await self._fail(_as_error(odd))
                raise
            self._ended = await self._raised(_as_error(odd))
            return
        self._ended = await self._end(ending)

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

    async def _drive(self) -> AsyncGenerator[Part]:
        config = self._config()
        handlers = cast("list[BaseCallbackHandler]", config["callbacks"])
        start = await start_of(self.graph, self.stored, config)
        if start.stopped:
            return
        stream = self._streamed(start, await self._told_of_its_branch(config))
        with inescapable(handlers):  # for the task that drives the stream
            self._stream = Stoppable(cast("AsyncGenerator[Any]", stream))  # LangGraph's parts
        if self._reason is not None:  # it came before there was anything to stop
            self._stream.stop(self._reason)
        try:
            with translated():
                async with aclosing(self._stream) as parts, self._at_work():
                    async for part in parts:
                        self._note(part)
                        if part["type"] in self.modes:
                            yield _part(part)
        finally:
            await self._close_meter()
        self.around.check_replay()  # the application may have caught what stopped it, and gone on

    def _at_work(self) -> AbstractAsyncContextManager[None]:
        def take_over(due: Charge) -> None:
            self._due = due

        known = not self.stored.limited
        return at_work(self.allowance, self.stop, take_over=take_over, unlimited=known)

    def _note(self, part: Mapping[str, Any]) -> None:  # a part of LangGraph's stream
        if part["type"] == "updates" and INTERRUPT in part["data"]:
            self._interrupts.append("")  # one without a question: a breakpoint
        if part["type"] == "values" and not part["ns"]:
            self._values = part["data"]

    async def _told_of_its_branch(self, config: RunnableConfig) -> RunnableConfig:
        """Tell the acts of a run from an older checkpoint what its thread did behind that, in what it leaves behind."""
        if not (since := self._driving.checkpoint.get("checkpoint_id")):
            return config
        own = await self.runs.first_checkpoint(self.run.thread_id, self.stored.chain)
        return telling(config, [(since, own or str(uuid6()))])

    def _streamed(self, start: Start, config: RunnableConfig) -> AsyncIterator[Any]:  # its parts
        driving = self._driving
        plain = partial(self.graph.astream, version="v2")
        eventful = partial(stream_with_events, self.graph, name=self.run.graph)
        stream = eventful if EVENTS in self.modes else plain
        return stream(
            start.given,
            start.config(config),
            context=self.context,
            stream_mode=cast("list[StreamMode]", sorted({*self.modes, *self._watched})),
            interrupt_before=_nodes(driving.interrupt_before),
            interrupt_after=_nodes(driving.interrupt_after),
            durability=driving.durability,
            control=self.control,
            subgraphs=self.subgraphs,
        )

    @property
    def _watched(self) -> set[str]:
        """What it has to see itself: `updates` tell of a breakpoint, `values` give whoever waits the output."""
        return {"updates", "values"} if self.attended or self.shows else {"updates"}

    async def _close_meter(self) -> None:
        """Charge the calls that were cut off; what cannot be charged now is given back with this process."""
        self.around.halted.append(RunCancelled("This attempt of the run has ended."))
        if self.meter is not None:
            with suppress(InterlockError):
                await asyncio.shield(self.meter.close())

    def _config(self) -> RunnableConfig:
        recorder = UsageRecorder(
            lambda call: self.runs.add_model_call(self.run.thread_id, self.run.run_id, call),
            self.around.ports.prices,
        )
        meters = self.meter.handlers() if self.meter else []
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
                FRESH: self._fresh,
                **self._holding(),
            },
            "run_id": UUID(self.run.run_id),
            # A run goes on from its checkpoint in another process because the id is the same in each attempt.
            "metadata": {
                **driving.metadata,
                "run_id": self.run.run_id,
                "model": self.run.model,
            },
            # What is charged is on the disk when the row of its call is: that one is written last.
            "callbacks": [
                RecordingGuard(self.around),
                self._kill_guard(),
                *meters,
                recorder,
            ],
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

    @property
    def _is_first(self) -> bool:
        return self.run.kind == "invoke" and self.run.attempts == 0

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
            ending = await self.runs.end(self.run, ending, process_name())
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


def questions_of(snapshot: StateSnapshot, run: Run) -> list[OpenQuestion]:
    """Return the questions that a thread waits for, each with an id that also names its arguments."""
    return [
        _question(interrupt, task.name, snapshot, run)
        for task in snapshot.tasks
        for interrupt in task.interrupts
        if sleeping.wakes_at(interrupt.value) is None
    ]


def wakes_of(snapshot: StateSnapshot) -> datetime | None:
    """Return when the first of a thread's sleeping tasks wakes; None when none sleeps."""
    times = [sleeping.wakes_at(each.value) for task in snapshot.tasks for each in task.interrupts]
    return min((each for each in times if each is not None), default=None)


def output_of(graph: Graph, values: Any) -> Any:  # the graph's state -> its output schema
    """Return the part of the final state that the graph declares as its output."""
    channels = graph.output_channels
    if not isinstance(values, Mapping) or isinstance(channels, str):
        return values
    return {key: values[key] for key in channels if key in values}


def limited(graph: Graph, steps: int | None) -> RunnableConfig:
    """Return LangGraph's configuration for a limit on supersteps; what the graph carries is never raised."""
    if steps is None:
        return {}
    carried = steps_of(graph)
    return {"recursion_limit": steps if carried is None else min(steps, carried)}


def process_name() -> str:
    """Return what names this process to a person: host and pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def check_prompts(stored: StoredRun) -> None:
    """Raise `ResumeRefused` when a prompt that the thread was begun with is gone or was changed."""
    # The process that accepted the run may have known other graphs; their prompts are not this one's.
    known = prompts.registered_groups()
    pinned = dict(stored.context.get("prompts", {}))
    ours = {name: pinned[name] for name in pinned if name.partition("/")[0] in known}
    for name, version in ours.items():
        try:
            prompts.load(name, version)
        except InterlockError as error:
            raise ResumeRefused(
                f"Thread {stored.run.thread_id} was begun with prompt {name}@{version}: {error.args[0]}",
                hint="Restore the prompt file, or fork the thread, which uses the present ones.",
            ) from error


def context_for(graph: Graph, ours: Context, theirs: Any) -> Any:  # the graph's context schema
    """Return the context that a graph takes: ours with its ports, another application's values, or none."""
    schema = graph.context_schema
    if isinstance(schema, type) and issubclass(schema, Context):
        return ours
    return theirs


def _question(interrupt: Interrupt, node: str, snapshot: StateSnapshot, run: Run) -> OpenQuestion:
    value = plain(interrupt.value)
    payload = value if isinstance(value, dict) else {"value": value}
    asked = payload.get("question")
    ours: Mapping[str, Any] = asked if gate.is_ours(asked) else {}
    digest = str(ours.get("digest", ""))
    named = (run.thread_id, interrupt.id, digest_of(payload))
    name = ours.get("id") or hashlib.sha256("\0".join(named).encode()).hexdigest()[:16]
    return OpenQuestion(
        id=str(name),
        thread_id=run.thread_id,
        run_id=run.run_id,
        graph=run.graph,
        node=node,
        interrupt_id=interrupt.id,
        digest=digest,
        payload=payload,
        asked_at=_time(snapshot),
    )


def _time(snapshot: StateSnapshot) -> datetime:
    return datetime.fromisoformat(snapshot.created_at) if snapshot.created_at else datetime.now(UTC)


def _translate(error: Exception, run: Run, stopped: Sequence[Exception]) -> Exception:
    if stopped:  # what stopped a replay, whatever the application made of it
        return stopped[0]
    if is_invalid_resume(error):
        return AnswerRefused(
            f"The answer does not fit the question that thread {run.thread_id} waits for: {error}."
        )
    return error


def _as_error(odd: BaseException) -> Exception:
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


def _nodes(named: Sequence[str]) -> All | list[str] | None:
    """Return nodes as LangGraph takes them; None for those that the graph was compiled with."""
    return "*" if ALL in named else list(named) or None


def _part(part: Mapping[str, Any]) -> Part:  # LangGraph's
    ours = Part(type=part["type"], ns=tuple(part["ns"]), data=part["data"])
    if interrupts := part.get("interrupts"):
        ours["interrupts"] = tuple(interrupts)
    return ours
