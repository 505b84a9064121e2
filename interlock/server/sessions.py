"""Sessions of the dashboard: a cookie in place of the key, and a token that other sites cannot know.

The cookie holds a random name that means nothing outside of the database, where its digest stands. A request that
changes something and comes with the cookie needs `Caller.csrf`: as the header `x-csrf-token`, or as the form's field
`csrf`.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import Request, Response
from starlette.requests import HTTPConnection

from interlock.errors import Forbidden, Unauthorized
from interlock.postgres.keys import Key, KeyStore
from interlock.server.callers import Caller, Role
from interlock.server.heads import said

COOKIE = "interlock_session"
HEADER = "x-csrf-token"
FIELD = "csrf"

LASTS = timedelta(hours=12)
"""How long a session holds, unless its key ends before."""

SAFE = ("GET", "HEAD", "OPTIONS")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that has just begun.

    Attributes:
        token: what the cookie holds.
    """

    caller: Caller
    token: str
    expires_at: datetime


class Sessions:
    """Begins, knows and ends sessions."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    async def begin(self, secret: str) -> Session:
        """Begin a session with a key; raises `Unauthorized`."""
        key = await self._keys.find(secret.strip())
        if key is None:
            raise unknown_key()
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        expires_at = await self._keys.begin_session(key, token, csrf, LASTS)
        return Session(caller=caller_of(key, csrf), token=token, expires_at=expires_at)

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return whose session a request's cookie names; None when there is none, or it has ended."""
        if not said(connection.scope, b"cookie"):
            return None
        token = connection.cookies.get(COOKIE, "")
        stored = await self._keys.session(token) if token else None
        return caller_of(stored.key, stored.csrf) if stored is not None else None

    async def end(self, connection: HTTPConnection) -> None:
        """End the session that a request's cookie names."""
        if token := connection.cookies.get(COOKIE, ""):
            await self._keys.end_session(token)


def put_cookie(response: Response, session: Session, connection: HTTPConnection) -> None:
    """Give a session's cookie to a browser: scripts cannot read it, and other sites cannot send it."""
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=max(0, int((session.expires_at - datetime.now(UTC)).total_seconds())),
        httponly=True,
        samesite="strict",
        secure=connection.url.scheme in ("https", "wss"),
        path="/",
    )


def drop_cookie(response: Response) -> None:
    """Take the cookie from a browser."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


async def check_csrf(connection: HTTPConnection, caller: Caller) -> None:
    """Raise `Forbidden` for a request that would change something and lacks its session's token."""
    if not caller.csrf or not isinstance(connection, Request) or connection.method in SAFE:
        return
    given = connection.headers.get(HEADER) or await _field(connection)
    if not hmac.compare_digest(given.encode(), caller.csrf.encode()):
        raise Forbidden(
            "The request does not carry the token of its session.",
            hint=f"Send it as the header `{HEADER}`, or load the page again.",
        )


def caller_of(key: Key, csrf: str = "") -> Caller:
    """Return who calls with a key."""
    roles: tuple[Role, ...] = key.roles  # type: ignore[assignment]  # checked when the key was made
    return Caller(identity=key.name, roles=roles, tenant=key.tenant, kind="key", csrf=csrf)


def unknown_key() -> Unauthorized:
    """Return the error for a key that is wrong, has expired or was revoked; which of these is not told."""
    return Unauthorized(
        "The key is not valid: it is wrong, has expired, or was revoked.",
        hint="Ask for a new one, or make one with `interlock keys create`.",
    )


async def _field(request: Request) -> str:
    if not request.headers.get("content-type", "").startswith(_FORMS):
        return ""
    value = (await request.form()).get(FIELD)
    return value if isinstance(value, str) else ""
