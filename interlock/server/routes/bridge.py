"""`/bridge`: what `interlock --server` asks; private between a command line and a server of one version.

What happens to runs it reads from `/events/stream`, as any other program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from interlock import __version__
from interlock.errors import InterlockError, UsageError
from interlock.remote.codec import encode_error
from interlock.remote.line import VERSION_HEADER
from interlock.server.bridging.table import called
from interlock.server.failures import note, status_of
from interlock.server.scope import may

router = APIRouter(prefix="/bridge", include_in_schema=False)

reading = may("read")


@router.post("/{method}")
async def call(request: Request, method: str) -> Response:
    """Do what a command line asks; an error keeps its kind."""
    try:
        scope = await reading(request)
        _check_version(request)
        given = await _given(request)
        return _json({"result": await called(scope, method, given)})
    except InterlockError as error:
        note(error)
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


def _json(said: Mapping[str, Any], status: int = 200) -> Response:  # JSON
    return Response(json.dumps(said), status_code=status, media_type="application/json")
