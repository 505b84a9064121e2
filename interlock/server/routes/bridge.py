"""`/bridge`: what `interlock --server` asks; private between a command line and a server of one version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from interlock import __version__
from interlock.core.happening import Event
from interlock.errors import InterlockError, UsageError
from interlock.remote.codec import encode, encode_error
from interlock.remote.line import VERSION_HEADER
from interlock.remote.signatures import shape_of
from interlock.server.bridging.table import called
from interlock.server.failures import status_of
from interlock.server.scope import Scope, may

router = APIRouter(prefix="/bridge", include_in_schema=False)

BEAT_SECONDS = 1.0
"""How often a stream looks whether this process stops; then, or when nothing happens, a byte is sent."""

BEAT = b": beat\n\n"

reading = may("read")


@router.post("/{method}")
async def call(request: Request, method: str) -> Response:
    """Do what a command line asks; an error keeps its kind."""
    try:
        scope = await reading(request)
        _check_version(request)
        given = await _given(request)
        if method == "watch":
            return await _watching(scope, shape_of(method).read(given))
        return _json({"result": await called(scope, method, given)})
    except InterlockError as error:
        said = {"detail": str(error), **encode_error(error)}
        return _json(said, status_of(error))


def _check_version(request: Request) -> None:
    theirs = request.headers.get(VERSION_HEADER, "")
    if theirs != __version__:
        raise UsageError(
            f"The server is Interlock {__version__}, and the command line is {theirs or 'another program'}.",
            hint="Use the same version for both; programs use the HTTP API.",
        )


async def _given(request: Request) -> Mapping[str, Any]:  # JSON
    try:
        said = await request.json()
    except ValueError as error:
        raise UsageError("The request is not JSON.") from error
    if not isinstance(said, dict):
        raise UsageError("The request names no arguments.")
    return said


async def _watching(scope: Scope, given: dict[str, Any]) -> Response:  # as `awatch` takes them
    await scope.reader.endings.named(given["name"])
    events = cast("AsyncGenerator[Event]", scope.reader.awatch(**given))
    return StreamingResponse(_frames(scope, events), media_type="text/event-stream")


async def _frames(scope: Scope, events: AsyncGenerator[Event]) -> AsyncIterator[bytes]:
    """Send what happens; a stream without an end was cut, and there is more elsewhere."""
    coming: asyncio.Task[Event | None] | None = None
    try:
        while not scope.house.il.stream_news.stopped:
            coming = coming or asyncio.create_task(_next(events))
            if not (await asyncio.wait({coming}, timeout=BEAT_SECONDS))[0]:
                yield BEAT
                continue
            event, coming = coming.result(), None
            yield _frame({"event": encode(event)} if event else {"end": True})
            if event is None:
                return
    except InterlockError as error:
        yield _frame({"error": encode_error(error)})
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
        await events.aclose()


async def _next(events: AsyncGenerator[Event]) -> Event | None:
    return await anext(events, None)


def _frame(said: Mapping[str, Any]) -> bytes:  # JSON
    return f"data: {json.dumps(said)}\n\n".encode()


def _json(said: Mapping[str, Any], status: int = 200) -> Response:  # JSON
    return Response(json.dumps(said), status_code=status, media_type="application/json")
