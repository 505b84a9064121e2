"""Recorded model calls: what was asked, where and how it was answered, so that no answer is paid for twice."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from langchain_core.outputs import ChatGeneration

from interlock.core.lineage import Lineage
from interlock.core.site import Site

T = TypeVar("T")
Answer = Sequence[Mapping[str, Any]]
"""A model's generations: each with its `message` (LangChain's) or `text`, and LangChain's `info` beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMessage:
    """A message of a prompt, as a report shows it; `sha256` is of all of it, `start` its first characters."""

    role: str
    sha256: str
    chars: int
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a call asked for, as a report shows it.

    Attributes:
        model: its name, as far as the model tells it.
        parameters: LangChain's text of the model and its parameters, cut off where it is long.
    """

    node: str
    model: str
    parameters: str
    messages: tuple[SeenMessage, ...]

    @property
    def line(self) -> str:
        """What was asked for, in one line."""
        last = self.messages[-1] if self.messages else None
        said = f", the last {last.role}: {last.start[:80]!r}" if last else ""
        count = len(self.messages)
        return f"{self.model}, {count} message{'' if count == 1 else 's'}{said}"

    def to_json(self) -> dict[str, Any]:  # JSON
        """Return what is stored beside the answer."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Asked:  # JSON
        """Return what `to_json` gave."""
        messages = tuple(SeenMessage(**each) for each in stored["messages"])
        return cls(**{**stored, "messages": messages})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A model call that is about to be made.

    Attributes:
        key: names this call in all attempts; derived from thread, task, digest and number.
        digest: SHA-256 of prompt, model and parameters: equal ones ask for the same thing.
        number: how often this attempt at the task asked for the same before.
        asked: what a report tells of it.
        again: whether this attempt of the run has asked for it at this place before: a retry policy runs the node, or
            a subgraph around it, again.
    """

    key: str
    digest: str
    site: Site
    number: int
    asked: Asked
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recorded answer."""

    answer: Answer


class RecordedGeneration(ChatGeneration):
    """What LangChain is given for a recorded answer: nobody pays for it now.

    LangChain would note in its message that it cost nothing; a recorded message stays as it was.
    """

    def __setattr__(self, name: str, value: Any) -> None:  # any field
        if name != "message":
            super().__setattr__(name, value)


@runtime_checkable
class Recordings(Protocol):
    """The port: in memory here, in Postgres in `interlock.postgres.recordings`."""

    async def find(self, request: ModelRequest, lineage: Lineage) -> Recorded | None:
        """Return the answer that was recorded for a request, or None when the model must be asked.

        Its own answer, unless a retry asks again or the run that used it failed; on a fork, else the first
        answer to an equal request behind the fork, each used once.
        """
        ...

    async def keep(self, request: ModelRequest, answer: Answer) -> None:
        """Record what a model answered, in place of what stood there before."""
        ...

    async def nearest(self, request: ModelRequest, lineage: Lineage) -> Asked | None:
        """Return what the same node asked for behind the fork and this thread has not used yet."""
        ...

    async def forget(self, thread_id: str, run_id: str) -> None:
        """Ask anew what a failed run of a thread asks again; forks and replays keep using its answers."""
        ...

    async def recorded_by_task(self, thread_id: str) -> dict[str, int]:
        """Return how many calls were answered from records, by task of the thread's own graph."""
        ...

    async def run(self, work: Callable[[Recordings], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the recordings, on whatever event loop this is called."""
        ...

    def wait(self, work: Callable[[Recordings], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the recordings from synchronous code, also where that holds up an event loop."""
        ...


class Unrecorded:
    """The recordings of plain `graph.invoke`: there are none."""

    async def find(self, request: ModelRequest, lineage: Lineage) -> Recorded | None:
        """Return None."""
        return None

    async def keep(self, request: ModelRequest, answer: Answer) -> None:
        """Forget it."""

    async def nearest(self, request: ModelRequest, lineage: Lineage) -> Asked | None:
        """Return None."""
        return None

    async def forget(self, thread_id: str, run_id: str) -> None:
        """Do nothing."""

    async def recorded_by_task(self, thread_id: str) -> dict[str, int]:
        """Return nothing."""
        return {}

    async def run(self, work: Callable[[Recordings], Coroutine[Any, Any, T]]) -> T:
        """Do some work."""
        return await work(self)

    def wait(self, work: Callable[[Recordings], Coroutine[Any, Any, T]]) -> T:
        """Do some work, which never waits for anything."""
        return finished(work(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    number: int
    request: ModelRequest
    run_id: str
    answer: Answer
    source: int | None = None
    stale: bool = False


class MemoryRecordings(Unrecorded):
    """Recordings for one process, for tests."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}  # by key, in the order in which they were made

    async def find(self, request: ModelRequest, lineage: Lineage) -> Recorded | None:
        """Return the answer that was recorded for a request, or None when the model must be asked."""
        if must_be_live(request, lineage):
            return None
        own = self._rows.get(request.key)
        if own is not None:
            if own.stale and not lineage.asks_no_model:
                return None
            self._rows[request.key] = replace(own, run_id=request.site.run_id)
            return Recorded(answer=deepcopy(own.answer))
        equal = [row for row in self._unused(request, lineage) if _same(row, request)]
        if not equal:
            return None
        row = min(equal, key=lambda row: _distance(row.request, request))
        self._add(request, row.answer, row.number)
        return Recorded(answer=deepcopy(row.answer))

    async def keep(self, request: ModelRequest, answer: Answer) -> None:
        """Record what a model answered, in place of what stood there before."""
        known = self._rows.get(request.key)
        if known is None:
            self._add(request, answer, None)
        else:
            again = replace(known, answer=deepcopy(answer), run_id=request.site.run_id, stale=False)
            self._rows[request.key] = again

    async def nearest(self, request: ModelRequest, lineage: Lineage) -> Asked | None:
        """Return what the same node asked for behind the fork and this thread has not used yet."""
        rows = self._unused(request, lineage)
        same = [row.request for row in rows if row.request.site.node == request.site.node]
        return min(same, key=lambda each: _distance(each, request)).asked if same else None

    async def forget(self, thread_id: str, run_id: str) -> None:
        """Ask anew what a failed run of a thread asks again."""
        for key, row in self._rows.items():
            if (row.request.site.thread_id, row.run_id) == (thread_id, run_id):
                self._rows[key] = replace(row, stale=True)

    def _add(self, request: ModelRequest, answer: Answer, source: int | None) -> None:
        self._rows[request.key] = _Row(
            number=len(self._rows),
            request=request,
            run_id=request.site.run_id,
            answer=deepcopy(answer),
            source=source,
        )

    def _unused(self, request: ModelRequest, lineage: Lineage) -> list[_Row]:
        own = request.site.thread_id
        used = {row.source for row in self._rows.values() if row.request.site.thread_id == own}
        rows = [row for row in self._rows.values() if row.number not in used]
        return [row for row in rows if _within(row.request.site, lineage)]


def must_be_live(request: ModelRequest, lineage: Lineage) -> bool:
    """Say whether a recorded answer would not do: a retry wants another one than the last."""
    return request.again and not lineage.asks_no_model


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("This coroutine waits for something.")


def _same(row: _Row, request: ModelRequest) -> bool:
    return row.request.digest == request.digest


def _within(site: Site, lineage: Lineage) -> bool:
    return any(
        site.thread_id == source.thread_id
        and source.since <= site.checkpoint_id
        and (not source.before or site.checkpoint_id < source.before)
        for source in lineage.sources
    )


def _distance(made: ModelRequest, request: ModelRequest) -> tuple[bool, bool]:
    """Order requests: of the same task first, then of the same node, then as they were made."""
    here, there = request.site, made.site
    return (there.task, made.number) != (here.task, request.number), there.node != here.node
