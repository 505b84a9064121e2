"""Errors as a client sees them: a status, and a body that says what failed and what to do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from interlock.errors import (
    AnswerRefused,
    DatabaseUnavailable,
    EffectInDoubt,
    Forbidden,
    InterlockError,
    IssuerUnavailable,
    KeyMissing,
    Killed,
    NotFound,
    ResumeRefused,
    StateRefused,
    ThreadBusy,
    Unauthorized,
    UsageError,
)
from interlock.server.headers import THIS_REQUEST, fault
from interlock.server.wire import Wire

log = logging.getLogger("interlock.server")

STATUS: Mapping[type[InterlockError], int] = {
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    AnswerRefused: 409,
    ResumeRefused: 409,
    ThreadBusy: 409,
    EffectInDoubt: 409,
    Killed: 409,
    StateRefused: 400,
    UsageError: 422,
    KeyMissing: 500,
    DatabaseUnavailable: 503,
    IssuerUnavailable: 503,
}
"""What is not named here is refused with 422: it is of the request, and not of the server."""


_NO_TEXT = (
    None,  # the driver itself refused it
    psycopg.errors.UntranslatableCharacter.sqlstate,
    psycopg.errors.CharacterNotInRepertoire.sqlstate,
)


Page = Callable[[Request, int, str], Awaitable[Response]]
"""Makes a page of a status and a sentence."""


def install(app: FastAPI, page: Page) -> None:
    """Let an application answer errors so; a fault of the server is a page for who asked for one."""
    app.add_exception_handler(InterlockError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(psycopg.DataError, _unstorable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, partial(_fault, page))


def status_of(error: InterlockError) -> int:
    """Return the HTTP status that an error is told with."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 422


def note(error: InterlockError) -> None:
    """Write down an error that whoever runs the server must mend; the driver's are told where they are noticed."""
    if isinstance(error, KeyMissing):
        log.error("key.missing request=%s reason=%s", THIS_REQUEST.get(), error)


async def _ours(request: Request, error: Exception) -> Wire:
    assert isinstance(error, InterlockError)  # noqa: S101  # it is registered for these
    note(error)
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorized) else None
    return _answer(status_of(error), str(error), headers)


async def _invalid(request: Request, error: Exception) -> Wire:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
    faults = [
        f"{'.'.join(str(part) for part in each['loc'][1:])}: {each['msg']}".removeprefix(": ")
        for each in error.errors()
    ]
    return _answer(422, "; ".join(faults[:5]))


async def _unstorable(request: Request, error: Exception) -> Wire:
    """Refuse text that Postgres does not hold, such as NUL; any other error about a value is a fault of ours."""
    text = isinstance(error, psycopg.DataError) and error.sqlstate in _NO_TEXT
    if not text:
        raise error
    return _answer(422, f"A text cannot be stored: {str(error).splitlines()[0]}.")


async def _http(request: Request, error: Exception) -> Wire:
    assert isinstance(error, HTTPException)  # noqa: S101  # as above
    return _answer(error.status_code, error.detail, dict(error.headers or {}))


async def _fault(page: Page, request: Request, error: Exception) -> Response:
    if wants_page(request):
        with suppress(Exception):  # the page may have the same fault
            return await page(request, 500, fault())
    return _answer(500, fault())


def wants_page(request: Request) -> bool:
    """Say whether somebody asks with a browser, and not a program."""
    return "text/html" in request.headers.get("accept", "")


def _answer(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Wire:  # JSON
    return Wire({"detail": detail}, status_code=status, headers=dict(headers or {}))
