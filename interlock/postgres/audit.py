"""The log of who did what: rows that are only added, each with a hash over all before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import DictRow

from interlock.postgres.plain import plain
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("audit")

PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What somebody did.

    Attributes:
        identity: who.
        kind: how they were known, as of `Caller`; `cli` for the command line.
        tenant: on whose behalf; empty for nobody's.
        act: what was done, in a word or as the request's method and path.
        subject: to what.
        detail: more of it.
    """

    identity: str
    act: str
    subject: str = ""
    kind: str = "cli"
    tenant: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A row of the log.

    Attributes:
        text: the entry as JSON, as it was hashed.
        hash: in hexadecimal.
    """

    number: int
    at: datetime
    text: str
    hash: str

    @property
    def entry(self) -> Entry:
        """What it says."""
        return Entry(**json.loads(self.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows are asked for; None for any."""

    identity: str | None = None
    tenant: str | None = None
    act: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a look at the whole log found.

    Attributes:
        rows: how many were looked at.
        last: the number of the last row that is right; 0 for none.
        hash: the hash up to it, which can be kept elsewhere as an anchor.
        broken_at: the first row that does not follow from those before it; None when all do.
        why: what is wrong there.
    """

    rows: int
    last: int
    hash: str
    broken_at: int | None = None
    why: str = ""


class AuditStore:
    """The log of a database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def note(self, entry: Entry) -> int:
        """Add a row, and return its number once it is committed."""
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["note"], {"entry": canonical(entry)})
        return int(rows[0]["number"])

    async def latest(
        self, wanted: Wanted | None = None, *, limit: int = 100, before: int | None = None
    ) -> list[Audited]:
        """Return the latest rows, the newest first."""
        about = _values(wanted or Wanted()) | {"limit": limit, "before": before}
        async with connected(self._pool) as connection:
            return [_audited(row) for row in await fetch(connection, SQL["latest"], about)]

    async def all(self, wanted: Wanted | None = None) -> AsyncIterator[Audited]:
        """Yield all rows, the oldest first."""
        after = 0
        while True:
            about = _values(wanted or Wanted()) | {"limit": PAGE, "after": after}
            async with connected(self._pool) as connection:
                rows = await fetch(connection, SQL["rows"], about)
            for row in rows:
                yield _audited(row)
            if len(rows) < PAGE:
                return
            after = rows[-1]["number"]

    async def verify(self, anchor: str = "") -> Verified:
        """Look whether each row follows from those before it, and whether the log still holds an anchor.

        Args:
            anchor: `number:hash` of a row, kept elsewhere when the log was verified before; empty for none.
        """
        number, _, wanted = anchor.partition(":")
        before, count = Verified(rows=0, last=0, hash=""), 0
        async for row in self.all():
            count += 1
            if why := _fault(row, before, wanted if str(row.number) == number else ""):
                return Verified(
                    rows=count, last=before.last, hash=before.hash, broken_at=row.number, why=why
                )
            before = Verified(rows=count, last=row.number, hash=row.hash)
        if number and int(number) > before.last:
            why = f"the anchor's row {number} is not there: rows were removed at the end"
            return Verified(
                rows=count, last=before.last, hash=before.hash, broken_at=before.last + 1, why=why
            )
        return before


def canonical(entry: Entry) -> str:
    """Return an entry as JSON: keys sorted, no spaces, no character but ASCII."""
    about = {
        "identity": entry.identity,
        "kind": entry.kind,
        "tenant": entry.tenant,
        "act": entry.act,
        "subject": entry.subject,
        "detail": entry.detail,
    }
    return json.dumps(plain(about), sort_keys=True, separators=(",", ":"))


def chained(before: str, number: int, at: datetime, text: str) -> str:
    """Return the hash of a row, in hexadecimal: SHA-256 of the hash before it, then `number|time|entry`."""
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return hashlib.sha256(bytes.fromhex(before) + f"{number}|{moment}|{text}".encode()).hexdigest()


def _fault(row: Audited, before: Verified, anchored: str) -> str:
    if row.number != before.last + 1:
        return f"the row before it is {before.last}: what stood between is gone"
    if chained(before.hash, row.number, row.at, row.text) != row.hash:
        return "its hash is not that of what it says, after those before it"
    if anchored and anchored != row.hash:
        return "its hash is not that of the anchor: the log was written anew"
    return ""


def _values(wanted: Wanted) -> dict[str, str | None]:
    return {
        "identity": wanted.identity,
        "tenant": wanted.tenant,
        "act": wanted.act,
        "subject": wanted.subject,
    }


def _audited(row: DictRow) -> Audited:
    return Audited(
        number=row["number"], at=row["at"], text=row["entry"], hash=bytes(row["hash"]).hex()
    )
