"""Waits for runs: told when they end, with a byte now and then so that nobody on the way hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote

from fastapi import Response
from starlette.types import Message, Receive, Send
from starlette.types import Scope as Connection

from interlock.core.queueing import StopKind
from interlock.errors import DatabaseUnavailable, InterlockError
from interlock.postgres.ended import POLL_SECONDS
from interlock.postgres.run_cards import RunCards, Standing
from interlock.server.cutting import cut
from interlock.server.documents_runs import ERROR, FAILED, outcome
from interlock.server.keeping import Keeping, leaves
from interlock.server.scope import Scope
from interlock.server.wire import dumps

AGAIN_SECONDS = 1.0
"""After how long a database that did not answer is asked again."""

Show = Callable[[Any], Awaitable[Any]]
"""Makes an answer of what came of a run."""

_stopping: set[asyncio.Task[Any]] = set()
"""Runs that are being stopped because their client went away; asyncio alone would forget these tasks."""


async def ended(scope: Scope, run_id: str, *, fresh: bool = False) -> Standing:
    """Wait until a run has ended, or asks somebody; it waits through sleeps and retries.

    Args:
        scope: of the caller.
        run_id: the run.
        fresh: all that was to be heard of it was heard; it is not asked for before there is something.

    Raises:
        NotFound: there is none.
    """
    cards, watched, endings = RunCards(scope.reader.pool), run_id, scope.house.il.endings
    while True:
        with endings.watching(watched) as news:
            if fresh and endings.hears and not endings.has_heard(run_id):
                await _heard(news)
            while True:
                standing = await cards.stands(run_id)
                if standing.has_ended:
                    return standing
                if standing.run_id != watched:
                    break
                await _heard(news)
        watched, fresh = standing.run_id, False  # it woke: another run goes on with it


async def _heard(news: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):
            await news.wait()
    news.clear()


async def result(
    scope: Scope, run_id: str, *, fresh: bool = False
) -> Any:  # the graph's output schema
    """Wait for a run, and return what its client is told of it; `fresh` as for `ended`."""
    # Only of a run that this very caller submitted: who may see others is asked of the database.
    if fresh and (run := await scope.house.il.endings.first_news(run_id)) is not None:
        return run.output
    standing = await ended(scope, run_id, fresh=fresh)
    if standing.checkpoint_id is None or standing.status in FAILED:
        return outcome(standing, None)
    found = await scope.reader.aoutcome(standing.graph, standing.thread_id, standing.checkpoint_id)
    return outcome(standing, found)


def waited(
    scope: Scope,
    thread_id: str,
    run_id: str,
    *,
    cancels: bool = False,
    show: Show | None = None,
    fresh: bool = False,
) -> Waited:
    """Answer with what a run comes to, once it has.

    Args:
        scope: of the caller, who may see the run.
        thread_id: of the run.
        run_id: the run.
        cancels: stop the run when the client goes away before.
        show: makes the answer of the outcome.
        fresh: as for `ended`.
    """

    def gone() -> None:
        if not scope.house.il.stream_news.stopped:  # it is the client that went
            _in_background(stop(scope, run_id, "cancel", "its client went away"))

    came = partial(_shown, scope, run_id, show, fresh=fresh)
    cut = scope.house.il.stream_news.cut
    return Waited(came, headers(thread_id, run_id), gone=gone if cancels else None, cut=cut)


class Waited(Response):
    """Answers with what is waited for: in one piece where that comes soon, and else behind white space now and then.

    Args:
        came: what is waited for.
        headers: of the answer.
        gone: is called when the client leaves before.
        cut: is set when this process stops. What has not come soon after that is left without an end, and the client
            asks elsewhere.
    """

    media_type = "application/json"

    def __init__(
        self,
        came: Callable[[], Coroutine[Any, Any, Any]],  # -> whatever has a JSON form
        headers: Mapping[str, str],
        *,
        gone: Callable[[], None] | None = None,
        cut: asyncio.Event | None = None,
        status_code: int = 200,  # FastAPI reads it from here for the OpenAPI document
    ) -> None:
        self.status_code, self.background = status_code, None
        self.init_headers(headers)  # its body has no length yet
        self._came = came
        self._gone = gone
        self._cut = cut

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Send it."""
        keeping = Keeping(partial(leaves, receive, self._cut), partial(self._part, send))
        told = await self._waited(scope, keeping)
        if told and keeping.begun:
            await send({"type": "http.response.body", "body": told[0]})
        elif told:
            length = (b"content-length", str(len(told[0])).encode())
            await send(_head([*self.raw_headers, length]))
            await send({"type": "http.response.body", "body": told[0]})

    async def _waited(self, scope: Connection, keeping: Keeping) -> tuple[bytes, ...]:
        """Return what came, as it is sent; nothing where the client is gone, or is to go elsewhere."""
        try:
            async with asyncio.timeout(None) as patience:
                keeping.start(patience, at_once=self._gone is not None)
                return (dumps(await _told(self._came())),)
        except asyncio.CancelledError:
            self._leave()
            raise
        except TimeoutError:
            if not patience.expired():
                raise
            self._leave()
            cut(scope)
            return ()
        finally:
            await keeping.end()

    def _leave(self) -> None:
        if self._gone is not None:
            self._gone()

    async def _part(self, send: Send, part: bytes) -> None:
        """Send white space, or the head where there is none."""
        if part:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        else:
            await send(_head(self.raw_headers))


def _head(headers: Sequence[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": headers}


def headers(thread_id: str, run_id: str) -> dict[str, str]:
    """Return where a run is, and where its outcome can be asked for again."""
    at = run_path(thread_id, run_id)
    return {"Location": f"{at}/join", "Content-Location": at}


def run_path(thread_id: str, run_id: str) -> str:
    """Return where a run is; the name of its thread may be anything."""
    return f"/threads/{quote(thread_id, safe='')}/runs/{run_id}"


async def _shown(
    scope: Scope, run_id: str, show: Show | None, *, fresh: bool
) -> Any:  # the graph's output schema, or JSON
    """Wait for a run, and for the database: that it does not answer now is not what came of the run."""
    while True:
        try:
            came = await result(scope, run_id, fresh=fresh)
            return came if show is None else await show(came)
        except DatabaseUnavailable:
            fresh = False  # its end may have been told meanwhile
            await asyncio.sleep(AGAIN_SECONDS)


async def _told(came: Coroutine[Any, Any, Any]) -> Any:  # the graph's output schema
    """Return the outcome; the status may be sent already, so an error is told as one of the run's."""
    try:
        return await came
    except InterlockError as error:
        return {ERROR: {"error": type(error).__name__, "message": str(error)}}


async def stop(scope: Scope, run_id: str, kind: StopKind, reason: str = "") -> None:
    """Stop a run that the caller was seen to see; what runs is ordered to, and has to obey by itself."""
    stops = scope.house.il.stops
    if (await stops.stop(run_id, kind, reason, scope.caller.identity)).how == "ordered":
        await stops.carry_out()  # its process may be gone


def _in_background(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _stopping.add(task)
    task.add_done_callback(_stopping.discard)
