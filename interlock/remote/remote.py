"""`Remote`: what commands use in the runtime's place when they are about a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict
from typing import Any, cast

from interlock.core.answers import AnswerForm
from interlock.core.happening import Event
from interlock.core.runs import Run
from interlock.core.sync import run_sync
from interlock.errors import ReplayDiverged, ServerUnavailable, StillRunning, UsageError
from interlock.facade import Interlock
from interlock.remote.codec import decode_error
from interlock.remote.line import Line, Told
from interlock.remote.own import Own
from interlock.remote.signatures import PARTS, Shape, shape_of
from interlock.replays import Replay
from interlock.settings import Settings
from interlock.submitting import still_running

SLICE_SECONDS = 20.0
"""How long one request waits for a run: proxies cut what is silent for longer."""

PATIENCE = 60.0
"""How long a server may be away while somebody waits for a run there."""

AGAIN_SECONDS = 0.3

EVENTS = "/events/stream"
"""Where what happens to a run is told, to any program."""


class Remote(Own):
    """The runtime of a server: what `Interlock` has by name and signature, asked over HTTP.

    Whatever is not written down here is looked up in `Interlock`, and refused when the server does not offer it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._line = Line(settings)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._line.address

    def __getattr__(self, name: str) -> Any:  # a method of the runtime, or a part of it
        if name in PARTS:
            return _Part(self, name)
        if name.startswith("_") or not hasattr(Interlock, name):
            raise AttributeError(name)
        if _is_async(name):
            return _asking(self, name.removeprefix("a"))
        return lambda *args, **kwargs: run_sync(self.aask(name, *args, **kwargs))

    def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:  # as the method's signature says
        """Ask the server, and return what it says."""
        return run_sync(self.aask(method, *args, **kwargs))

    async def aask(self, method: str, *args: Any, **kwargs: Any) -> Any:  # as above
        """Ask the server; see `ask`."""
        shape = shape_of(method)
        return self._understood(shape, await self._line.ask(method, shape.written(*args, **kwargs)))

    def graph(self, name: str) -> None:
        """Do nothing: it is the server that has the graphs, and knows their actions."""

    def submit(self, *args: Any, attended: bool = False, **kwargs: Any) -> Run:  # as `Interlock`
        """Hand a run to the server's workers; nobody else can take it on."""
        return cast("Run", self.ask("submit", *args, **kwargs))

    def submit_fork(self, *args: Any, attended: bool = False, **kwargs: Any) -> Run:  # as above
        """Make a fork, and let the server's workers run it."""
        return cast("Run", self.ask("submit_fork", *args, **kwargs))

    def submit_answer(self, thread_id: str, answer: AnswerForm, *, attended: bool = False) -> Run:
        """Take an answer, and let the server's workers go on."""
        return self.submit_answers(thread_id, [answer])

    def submit_answers(
        self, thread_id: str, answers: list[AnswerForm], *, attended: bool = False
    ) -> Run:
        """Take answers, all or none, and let the server's workers go on."""
        return cast("Run", self.ask("submit_answers", thread_id, answers))

    def replay(self, *args: Any, **kwargs: Any) -> Replay:  # as `Interlock`
        """Run a thread again out of its records, in the server."""
        told = self.replayed(*args, **kwargs)
        stopped = None if told.divergence is None else ReplayDiverged(**asdict(told.divergence))
        return Replay(
            of=told.of,
            run=told.run,
            divergence=stopped,
            changed=told.changed,
            model_calls=told.model_calls,
            effects=told.effects,
        )

    def wait(self, name: str, timeout: float | None = None) -> Run:
        """Wait until a run has ended or waits for a person, through times at which the server is away."""
        return run_sync(self._awaited("wait", name, timeout))

    def join(self, thread_id: str, timeout: float | None = None) -> Run:
        """Wait until a thread has come to rest, as `wait`."""
        return run_sync(self._awaited("join", thread_id, timeout))

    async def awatch(
        self, name: str, *, since: str = "", follow: bool = False, values: bool = False
    ) -> AsyncIterator[Event]:
        """Yield what happened to a run and what happens; a stream that is cut is gone on with behind its last event."""
        asked = {"name": name, "follow": _flag(follow), "values": _flag(values)}
        heard = 0.0
        while True:
            try:
                async with aclosing(self._line.listen(EVENTS, asked, since=since)) as told:
                    async for each in told:
                        heard = time.monotonic()
                        if each.name == "end":
                            return
                        event = self._event_in(each)
                        since = event.cursor
                        yield event
            except ServerUnavailable:
                if time.monotonic() > heard + PATIENCE:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    def watch(
        self, name: str, *, since: str = "", follow: bool = False, values: bool = False
    ) -> Generator[Event]:
        """Yield what happened to a run and what happens; see `awatch`."""
        events = aiter(self.awatch(name, since=since, follow=follow, values=values))
        try:
            while (event := run_sync(_next(events))) is not None:
                yield event
        finally:
            run_sync(_closed(events))

    def close(self) -> None:
        """Hang up."""
        run_sync(self._line.close())

    async def _awaited(self, method: str, name: str, seconds: float | None) -> Run:
        begun = heard = time.monotonic()
        while True:
            left = SLICE_SECONDS
            if seconds is not None:
                left = max(0.0, min(left, begun + seconds - time.monotonic()))
            try:
                return cast("Run", await self.aask(method, name, left))
            except StillRunning as error:
                heard = time.monotonic()
                if seconds is not None and heard >= begun + seconds:
                    stands = await self.aask("standing", name)
                    whole = stands.run_id if method == "wait" else stands.thread_id
                    raise still_running(whole, seconds) from error
            except ServerUnavailable:
                if heard == begun or time.monotonic() > heard + PATIENCE:
                    raise
                await asyncio.sleep(AGAIN_SECONDS)

    def _event_in(self, told: Told) -> Event:
        if told.name == "error":
            raise decode_error(told.data)
        event: Event = self._understood(shape_of("watch"), told.data)
        return event

    def _understood(self, shape: Shape, said: Any) -> Any:  # JSON -> what the method returns
        try:
            return shape.returned(said)
        except ValueError as error:
            raise UsageError(
                f"What the server at {self.url} says cannot be read.",
                hint="Is it of another version?",
            ) from error


class _Part:
    """A part of a server's runtime: its methods are asynchronous."""

    def __init__(self, remote: Remote, name: str) -> None:
        self._remote = remote
        self._name = name

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:  # a method of the part
        return _asking(self._remote, f"{self._name}.{name}")


@contextmanager
def connected(settings: Settings) -> Iterator[Remote]:
    """Give the runtime of the server that the settings name."""
    remote = Remote(settings)
    try:
        yield remote
    finally:
        remote.close()


def _is_async(name: str) -> bool:
    return name.startswith("a") and hasattr(Interlock, name.removeprefix("a"))


def _asking(remote: Remote, method: str) -> Callable[..., Awaitable[Any]]:  # as the method says
    async def ask(*args: Any, **kwargs: Any) -> Any:  # as above
        return await remote.aask(method, *args, **kwargs)

    return ask


def _flag(on: bool) -> str:
    return "true" if on else "false"


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


async def _closed(events: AsyncIterator[Event]) -> None:
    await cast("AsyncGenerator[Event]", events).aclose()
