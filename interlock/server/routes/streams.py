"""What runs tell, as server-sent events: from their beginning, or from the last event that a client has."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Header, Query

from interlock.core.runs import Run
from interlock.core.stream_events import StreamEvent
from interlock.errors import Forbidden, InterlockError, NotFound, UsageError
from interlock.server.openapi import problems
from interlock.server.requests import RunCreate, StatelessCreate, accept
from interlock.server.scope import Reading, Scope, Starting
from interlock.server.sse import HEARTBEAT_SECONDS, MEDIA_TYPE, EventStream, sse
from interlock.server.state_news import STATE_UPDATE, with_state
from interlock.server.thread_requests import ThreadId
from interlock.server.waiting import run_path
from interlock.streaming import Page, place_of

router = APIRouter()

STREAM: Mapping[int | str, dict[str, Any]] = {  # as FastAPI takes it
    200: {
        "description": "Events, each with `event`, `data` (JSON) and `id`, as they come.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}

BEGUN = {**STREAM, **problems(404, 409)}
JOINED = {**STREAM, **problems(404)}

DEFAULT = ("values",)

RunId = ThreadId

ThreadMode = Literal["run_modes", "lifecycle", "state_update"]

LastEventId = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        max_length=40,
        description="The last event that the client has; `-` or `-1`: all events.",
    ),
]
Modes = Annotated[
    list[str] | None, Query(alias="stream_mode", description="What to send of what the run tells.")
]


@router.post(
    "/threads/{thread_id}/runs/stream",
    responses=BEGUN,
    response_class=EventStream,
    tags=["Thread Runs"],
)
async def stream(scope: Starting, thread_id: ThreadId, request: RunCreate) -> EventStream:
    """Begin a run on a thread, and send what it tells."""
    run = await accept(scope, thread_id, request, stream_modes=DEFAULT)
    return _begun(scope, run, _path(run), cancel=request.on_disconnect == "cancel")


@router.post("/runs/stream", responses=BEGUN, response_class=EventStream, tags=["Stateless Runs"])
async def stream_stateless(scope: Starting, request: StatelessCreate) -> EventStream:
    """Begin a run on a thread of its own, and send what it tells."""
    run = await accept(scope, request.thread_id, request, stream_modes=DEFAULT)
    return _begun(scope, run, f"/runs/{run.run_id}", cancel=request.on_disconnect == "cancel")


@router.get(
    "/threads/{thread_id}/runs/{run_id}/stream",
    responses=JOINED,
    response_class=EventStream,
    tags=["Thread Runs"],
)
async def join(
    scope: Reading,
    thread_id: ThreadId,
    run_id: RunId,
    stream_mode: Modes = None,
    cancel_on_disconnect: bool = False,
    last_event_id: LastEventId = "",
) -> EventStream:
    """Send what a run tells: from its beginning, or behind the last event that the client has."""
    run = await _run(scope, run_id)
    if run.thread_id != thread_id:
        raise NotFound(f"Thread {thread_id!r} has no run {run_id!r}.")
    if cancel_on_disconnect and "run" not in scope.caller.rights:
        raise Forbidden(f"{scope.caller.identity} may not cancel runs.")
    return _joined(
        scope,
        run,
        _path(run),
        _modes(stream_mode),
        after=last_event_id,
        cancel=cancel_on_disconnect,
    )


@router.get(
    "/runs/{run_id}/stream", responses=JOINED, response_class=EventStream, tags=["Stateless Runs"]
)
async def join_stateless(
    scope: Reading, run_id: RunId, stream_mode: Modes = None, last_event_id: LastEventId = ""
) -> EventStream:
    """Send what a run without a thread tells: where a client goes on that was cut off."""
    run = await _run(scope, run_id)
    return _joined(scope, run, f"/runs/{run.run_id}", _modes(stream_mode), after=last_event_id)


@router.get(
    "/threads/{thread_id}/stream",
    responses=JOINED,
    response_class=EventStream,
    tags=["Threads"],
)
async def join_thread(
    scope: Reading,
    thread_id: ThreadId,
    stream_mode: Modes = None,
    stream_modes: Annotated[list[str] | None, Query(description="As `stream_mode`.")] = None,
    last_event_id: LastEventId = "",
) -> EventStream:
    """Send what all runs of a thread tell, from now on, or behind the last event that the client has."""
    modes = _thread_modes(_modes(stream_mode) or _modes(stream_modes))
    place_of(last_event_id)
    await scope.reader.store.thread(thread_id)
    after = last_event_id or await scope.reader.anow(thread_id)  # its client may act on the head
    pages = scope.reader.atail_thread_pages(thread_id, after, beat=HEARTBEAT_SECONDS)
    return sse(
        _of_thread(scope, thread_id, pages, modes),
        headers={"Location": f"/threads/{quote(thread_id, safe='')}/stream"},
    )


def _begun(scope: Scope, run: Run, path: str, *, cancel: bool) -> EventStream:
    return _joined(scope, run, path, (), cancel=cancel)


def _joined(
    scope: Scope,
    run: Run,
    path: str,
    modes: Sequence[str],
    *,
    after: str = "",
    cancel: bool = False,
) -> EventStream:
    async def gone() -> None:
        with suppress(InterlockError):  # it has ended, or was deleted
            reason = "The client that watched it went away."
            await scope.il.acancel(run.run_id, reason=reason, by=scope.caller.identity)

    place_of(after)  # what is no id is refused before anything is sent
    pages = scope.reader.atail_pages(run.run_id, after, beat=HEARTBEAT_SECONDS)
    return sse(
        _chosen(pages, frozenset(modes)),
        headers={"Location": f"{path}/stream", "Content-Location": path},
        gone=gone if cancel else None,
    )


def _path(run: Run) -> str:
    return run_path(run.thread_id, run.run_id)


async def _run(scope: Scope, run_id: str) -> Run:
    return (await scope.reader.store.stored(run_id)).run


async def _chosen(pages: AsyncGenerator[Page], modes: frozenset[str]) -> AsyncGenerator[Page]:
    async with aclosing(pages):
        async for page in pages:
            chosen = [event for event in page if _is_wanted(event, modes)]
            if chosen or not page:
                yield chosen


def _is_wanted(event: StreamEvent, modes: frozenset[str]) -> bool:
    if not modes or event.mode in ("error", "end") or event.mode in modes:
        return True
    wants_messages = not modes.isdisjoint({"messages", "messages-tuple"})
    return wants_messages and event.mode.partition("/")[0] == "messages"


async def _of_thread(
    scope: Scope, thread_id: str, pages: AsyncGenerator[Page], modes: frozenset[str]
) -> AsyncGenerator[Page]:
    async with aclosing(pages):
        async for page in pages:
            chosen = [event for event in page if _is_of(event, modes)]
            if chosen or not page:
                yield [each async for each in _shown(scope, thread_id, chosen)]


async def _shown(scope: Scope, thread_id: str, page: Page) -> AsyncGenerator[StreamEvent]:
    for event in page:
        if event.event != STATE_UPDATE:
            yield event
        elif (told := await with_state(scope.reader, thread_id, event)) is not None:
            yield told


def _is_of(event: StreamEvent, modes: frozenset[str]) -> bool:
    if event.event == STATE_UPDATE:
        return STATE_UPDATE in modes
    return "run_modes" in modes or ("lifecycle" in modes and event.event == "metadata")


def _modes(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return modes that came as one name, several, with commas, or as a JSON array."""
    found: list[str] = []
    for text in given or ():
        found += _listed(text) if text.startswith("[") else text.split(",")
    return tuple(name.strip() for name in found if name.strip())


def _listed(text: str) -> list[str]:
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"stream_mode cannot be read: {error}.") from error
    return [str(name) for name in names] if isinstance(names, list) else []


def _thread_modes(modes: Sequence[str]) -> frozenset[str]:
    known = set(ThreadMode.__args__)  # type: ignore[attr-defined]  # of a Literal
    if unknown := sorted(set(modes) - known):
        raise UsageError(
            f"There is no stream mode {unknown[0]!r} of a thread.",
            hint=f"It is one of {', '.join(sorted(known))}.",
        )
    return frozenset(modes or ("run_modes",))
