"""Keys of the server as rows: made, found, rotated and revoked; their secrets are never stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import DictRow

from interlock.errors import NotFound, UsageError
from interlock.postgres.plain import clean
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("keys")

PREFIX = "ilk_"
"""What every key begins with, so that scanners for leaked secrets find it."""

GRACE = timedelta(hours=24)
"""How long a key holds beside the one that came in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known of a key.

    Attributes:
        id: its visible part.
        tenant: whose rows it sees; None for everybody's.
        valid: whether it may be used now.
        replaced_by: the key that came in its place; empty for none.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    tenant: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaced_by: str
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made, with its secret, which nobody can read again."""

    key: Key
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session of the dashboard: the key that it was begun with, and the token that its forms carry."""

    key: Key
    csrf: str
    expires_at: datetime


class KeyStore:
    """The keys of a database, and the sessions that were begun with them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(
        self,
        name: str,
        roles: Sequence[str],
        *,
        tenant: str | None = None,
        expires: timedelta | None = None,
        by: str = "",
    ) -> NewKey:
        """Make a key; its secret is in the answer, and nowhere else. Raises `UsageError` for a name that is none."""
        if not name or not name.isprintable() or len(name) > 255:
            raise UsageError("A key's name has 1 to 255 printable characters.")
        key_id = secrets.token_hex(6)
        secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        about = {"key_id": key_id, "name": name, "roles": list(roles), "tenant": tenant}
        row = await self._one(
            "add", **about, hash=digest(secret), by=clean(by), seconds=_seconds(expires)
        )
        assert row is not None  # noqa: S101  # an insert without a conflict clause
        return NewKey(key=_key(row | {"valid": True}), secret=secret)

    async def find(self, secret: str) -> Key | None:
        """Return the valid key with this secret; None when there is none."""
        if (key_id := id_of(secret)) is None:
            return None
        row = await self._one("key", key_id=key_id)
        same = hmac.compare_digest(row["hash"] if row else b"", digest(secret))
        return _key(row) if row is not None and same and row["valid"] else None

    async def keys(self) -> list[Key]:
        """Return all keys, the latest first."""
        async with connected(self._pool) as connection:
            return [_key(row) for row in await fetch(connection, SQL["keys"], {})]

    async def any(self) -> bool:
        """Say whether a key was ever made, also if it has ended since."""
        return await self._one("any") is not None

    async def key(self, key_id: str) -> Key:
        """Return a key by its visible part, or by its name where that is one key's alone; raises `NotFound`."""
        known = await self.keys()
        found = [each for each in known if each.id == key_id.removeprefix(PREFIX)]
        found = found or [each for each in known if each.name == key_id and each.valid]
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} keys are called {key_id!r}.", hint="Name one by its id."
            )
        if not found:
            raise NotFound(f"There is no key {key_id!r}.", hint="`interlock keys list` shows all.")
        return found[0]

    async def rotate(self, key_id: str, *, grace: timedelta = GRACE, by: str = "") -> NewKey:
        """Make a key in the place of another, which still holds for a time; raises `NotFound`, `UsageError`."""
        old = await self.key(key_id)
        if not old.valid or old.replaced_by:
            raise UsageError(f"Key {old.id} has ended or was replaced.", hint="Create a new one.")
        new = await self.create(old.name, old.roles, tenant=old.tenant, expires=_same(old), by=by)
        await self._one("replace", key_id=old.id, new=new.key.id, grace=grace.total_seconds())
        return new

    async def revoke(self, key_id: str, *, by: str = "") -> Key:
        """End a key, and the sessions that were begun with it; raises `NotFound`."""
        key = await self.key(key_id)
        row = await self._one("revoke", key_id=key.id, by=clean(by))
        return _key(row | {"valid": False}) if row is not None else key

    async def begin_session(self, key: Key, token: str, csrf: str, lasts: timedelta) -> datetime:
        """Begin a session of the dashboard, and return when it ends."""
        about = {"hash": digest(token), "key_id": key.id, "csrf": csrf}
        row = await self._one("begin_session", **about, seconds=lasts.total_seconds())
        if row is None:
            raise NotFound(f"There is no key {key.id!r}.")
        expires: datetime = row["expires_at"]
        return expires

    async def session(self, token: str) -> StoredSession | None:
        """Return the session that a cookie names; None when it has ended, or its key has."""
        row = await self._one("session", hash=digest(token))
        if row is None:
            return None
        key = _key(row | {"valid": True})
        return StoredSession(key=key, csrf=row["csrf"], expires_at=row["session_expires_at"])

    async def end_session(self, token: str) -> None:
        """End a session."""
        async with connected(self._pool) as connection:
            await execute(connection, SQL["end_session"], {"hash": digest(token)})

    async def _one(self, statement: str, **values: object) -> DictRow | None:
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL[statement], values)
        return rows[0] if rows else None


def digest(secret: str) -> bytes:
    """Return what is stored of a secret that has too much entropy to be guessed."""
    return hashlib.sha256(secret.encode()).digest()


def id_of(secret: str) -> str | None:
    """Return the visible part of a key; None for what is no key."""
    prefix, _, rest = secret.partition("_")
    key_id, _, tail = rest.partition("_")
    return key_id if f"{prefix}_" == PREFIX and len(key_id) == 12 and len(tail) >= 40 else None


def _same(old: Key) -> timedelta | None:
    return old.expires_at - old.created_at if old.expires_at is not None else None


def _seconds(span: timedelta | None) -> float | None:
    return span.total_seconds() if span is not None else None


def _key(row: DictRow) -> Key:
    return Key(
        id=row["key_id"],
        name=row["name"],
        roles=tuple(row["roles"]),
        tenant=row["tenant"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        replaced_by=row["replaced_by"],
        valid=row["valid"],
    )
