"""One attempt at one run: hold the thread, drive the graph, and end in exactly one place."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained, GraphRecursionError, is_invalid_resume
from langgraph.runtime import RunControl
from langgraph.types import Command, Interrupt, StateSnapshot, StreamMode
from typing_extensions import TypedDict

from interlock.application import Graph
from interlock.core.context import Context
from interlock.core.runs import OpenQuestion, Run, RunStatus
from interlock.core.usage import UsageRecorder
from interlock.errors import AnswerRefused, InterlockError, LimitReached, ResumeRefused
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import translated
from interlock.postgres.runs import Ending, RunStore, StoredRun

DRAINED = "drained"
LOST = "cancelled"


class Part(TypedDict):
    """A piece of a running graph's stream: LangGraph's stream modes, then one `end` with the `Run`.

    `ns` is the path of subgraphs that it comes from, empty for the graph itself.
    """

    type: StreamMode | Literal["end"]
    ns: tuple[str, ...]
    data: Any  # as LangGraph's stream mode says


@dataclass(slots=True, kw_only=True)
class Execution:
    """Drives one stored run.

    Attributes:
        graph: with a checkpointer.
        context: the graph's context with durable ports, or whatever another application's graph takes.
        modes: the stream modes that the caller wants to see.
    """

    graph: Graph
    stored: StoredRun
    context: Any  # the graph's context schema
    stored_context: Mapping[str, Any]
    runs: RunStore
    locks: ThreadLocks
    modes: Sequence[str] = ("updates", "custom")
    control: RunControl = field(default_factory=RunControl)
    _values: Any = None
    _interrupts: tuple[Interrupt, ...] = ()

    @property
    def run(self) -> Run:
        """The run as it was when the attempt began."""
        return self.stored.run

    async def parts(self) -> AsyncGenerator[Part]:
        """Run to the end, to a question, or to a drain; the last part carries the run as it ended.

        Raises:
            ThreadBusy: another process runs this thread; nothing was changed.
            ResumeRefused: this code cannot go on with the stored state; nothing was changed.
            Exception: what a node raised, after it was recorded.
        """
        async with self.locks.hold(self.run.thread_id):
            await self.runs.start(self.run.run_id, process_name(), self.stored_context)
            try:
                async with aclosing(self._drive()) as parts:
                    async for part in parts:
                        yield part
            except GraphDrained:
                ending = Ending(
                    status="queued",
                    error="Stopped on request between two steps.",
                    error_kind=DRAINED,
                )
            except (asyncio.CancelledError, GeneratorExit):
                await asyncio.shield(
                    self._end(Ending(status="queued", error="Stopped on request.", error_kind=LOST))
                )
                raise
            except Exception as error:
                raised = _translate(error, self.run)
                await self._end(_failure(raised))
                raise raised from (error if raised is not error else None)
            else:
                ending = await self._ending()
            yield {"type": "end", "ns": (), "data": await self._end(ending)}

    async def _drive(self) -> AsyncGenerator[Part]:
        config = self._config()
        given = await self._input(config)
        stream = self.graph.astream(
            given,
            config,
            context=self.context,
            stream_mode=cast("list[StreamMode]", sorted({*self.modes, "values"})),
            durability="sync",
            control=self.control,
            subgraphs=True,
            version="v2",
        )
        with translated():
            async for part in stream:
                if part["type"] == "values" and not part["ns"]:
                    self._values, self._interrupts = part["data"], part.get("interrupts", ())
                if part["type"] in self.modes:
                    yield Part(type=part["type"], ns=tuple(part["ns"]), data=part["data"])

    def _config(self) -> RunnableConfig:
        recorder = UsageRecorder(
            lambda call: self.runs.add_model_call(self.run.thread_id, self.run.run_id, call)
        )
        return {
            "configurable": {"thread_id": self.run.thread_id, "__pregel_strict_resume": True},
            "run_id": UUID(self.run.run_id),
            # A run goes on from its checkpoint in another process because the id is the same in each attempt.
            "metadata": {"run_id": self.run.run_id, "model": self.run.model},
            "callbacks": [recorder],
        }

    async def _input(
        self, config: RunnableConfig
    ) -> Any:  # the graph's input, a Command, or None to go on
        if self.run.kind == "invoke" and self.run.attempts == 0:
            return self.stored.input
        with translated():
            snapshot = await self.graph.aget_state(config)
        began = (snapshot.metadata or {}).get("run_id") == self.run.run_id
        if self.run.kind == "resume":
            return resume_input(self.stored.answers or {}, snapshot, self.run)
        if began:
            return None
        if self.run.kind == "fork":
            return Command(update=self.stored.input) if self.stored.input else None
        return self.stored.input

    async def _ending(self) -> Ending:
        if not self._interrupts:
            return Ending(status="succeeded")
        with translated():
            snapshot = await self.graph.aget_state(self._config())
        return Ending(status="waiting", questions=tuple(questions_of(snapshot, self.run)))

    async def _end(self, ending: Ending) -> Run:
        await self.runs.end(self.run, ending)
        ended = replace(
            self.run, status=ending.status, error=ending.error, error_kind=ending.error_kind
        )
        output = output_of(self.graph, self._values) if ending.status == "succeeded" else None
        return replace(
            ended, interrupts=ending.questions, output=output, attempts=self.run.attempts + 1
        )


def resume_input(
    answers: Mapping[str, Any], snapshot: StateSnapshot, run: Run
) -> Command[Any] | None:
    """Return what a resume runs: the answers to the questions that are still open, or None to go on behind them.

    Raises:
        ResumeRefused: no node waits any more although an answer was taken: the graph's code has changed.
    """
    pending = {each.id for each in snapshot.interrupts}
    fresh = {interrupt: answer for interrupt, answer in answers.items() if interrupt in pending}
    if fresh:
        return Command(resume=fresh)
    if not snapshot.next and (snapshot.metadata or {}).get("run_id") != run.run_id:
        raise ResumeRefused(
            f"Thread {run.thread_id} waits in a node that the graph {run.graph!r} no longer has.",
            hint="Deploy the code that asked the question, or fork the thread from an earlier step.",
        )
    return None


def questions_of(snapshot: StateSnapshot, run: Run) -> list[OpenQuestion]:
    """Return the questions that a thread waits for, each with an id that also names its arguments."""
    return [
        _question(interrupt, task.name, snapshot, run)
        for task in snapshot.tasks
        for interrupt in task.interrupts
    ]


def output_of(graph: Graph, values: Any) -> Any:  # the graph's state -> its output schema
    """Return the part of the final state that the graph declares as its output."""
    channels = graph.output_channels
    if not isinstance(values, Mapping) or isinstance(channels, str):
        return values
    return {key: values[key] for key in channels if key in values}


def process_name() -> str:
    """Return what names this process to a person: host and pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def context_for(graph: Graph, ours: Context, theirs: Any) -> Any:  # the graph's context schema
    """Return the context that a graph takes: ours with its ports, another application's values, or none."""
    schema = graph.context_schema
    if isinstance(schema, type) and issubclass(schema, Context):
        return ours
    return theirs


def _question(interrupt: Interrupt, node: str, snapshot: StateSnapshot, run: Run) -> OpenQuestion:
    payload = interrupt.value if isinstance(interrupt.value, dict) else {"value": interrupt.value}
    digest = (
        str(payload.get("question", {}).get("digest", ""))
        if isinstance(payload.get("question"), dict)
        else ""
    )
    name = hashlib.sha256("\0".join((run.thread_id, interrupt.id, digest)).encode()).hexdigest()[
        :12
    ]
    return OpenQuestion(
        id=name,
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


def _translate(error: Exception, run: Run) -> Exception:
    if is_invalid_resume(error):
        return AnswerRefused(
            f"The answer does not fit the question that thread {run.thread_id} waits for: {error}."
        )
    if isinstance(error, GraphRecursionError):
        return LimitReached(
            f"The graph {run.graph!r} used up its steps.",
            hint=f"`interlock history {run.thread_id}` shows where it went round.",
        )
    return error


def _failure(error: Exception) -> Ending:
    text = str(error) if isinstance(error, InterlockError) else f"{type(error).__name__}: {error}"
    # What was refused leaves the thread where it was: its question is open again.
    status: RunStatus = "waiting" if isinstance(error, AnswerRefused | ResumeRefused) else "failed"
    return Ending(status=status, error=text, error_kind=type(error).__name__)
