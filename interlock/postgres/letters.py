"""Dead letters as rows: written in the transaction in which a run dies, closed by a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from secrets import token_hex
from typing import Any, Literal

from psycopg.rows import DictRow

from interlock.core.failures import FailureKind
from interlock.core.letters import CallsOf, Letter, LetterStatus, NewLetter, RunEvent
from interlock.errors import NotFound, UsageError
from interlock.postgres import kills
from interlock.postgres.plain import clean, jsonb, stored
from interlock.postgres.pool import Connection, Pool, connected, execute, fetch
from interlock.postgres.queries import load
from interlock.postgres.questions import only

SQL = load("letters")

LISTS = "`interlock letters list --all` lists them."


async def bury(connection: Connection, run_id: str, new: NewLetter) -> str | None:
    """Write the letter of a run that is dead, inside the transaction that ends it.

    Returns:
        The letter's id; None when the run has an open letter already.
    """
    told = {
        "error": clean(new.error),
        "error_type": new.error_type,
        "traceback": clean(new.traceback),
        "because": clean(new.because),
        "node": clean(new.node),
    }
    about = {"letter_id": token_hex(5), "run_id": run_id, "kind": new.kind, "holds": new.holds}
    rows = await fetch(connection, SQL["bury"], about | {"told": stored(told)})
    return str(rows[0]["letter_id"]) if rows[0]["letter_id"] else None


async def tries_of(
    connection: Connection, run_id: str, thread_id: str, kind: FailureKind
) -> tuple[int, str]:
    """Return how often a run was tried again after a kind of failure and has not got on since, and how far it is."""
    rows = await fetch(connection, SQL["progress"], {"thread_id": thread_id})
    progress = str(rows[0]["progress"])
    about = {"run_id": run_id, "kind": kind, "progress": progress}
    return int((await fetch(connection, SQL["tries"], about))[0]["count"]), progress


async def note_graphs(pool: Pool, holds: Mapping[str, bool]) -> None:
    """Write down which graphs hold their threads when a run is dead; whoever buries it may not have their code."""
    holding = sorted(graph for graph, held in holds.items() if held)
    async with connected(pool) as connection:
        await execute(connection, SQL["note_graphs"], {"graphs": sorted(holds), "holding": holding})


class LetterStore:
    """Reads letters, and closes them; each method is one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def letters(
        self,
        *,
        status: LetterStatus | None = "open",
        kind: FailureKind | None = None,
        graph: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[Letter]:
        """Return letters, the newest first."""
        about = {"status": status, "kind": kind, "graph": graph, "tenant": tenant, "since": since}
        return [_letter(row) for row in await self._fetch("letters", **about, limit=limit)]

    async def full_id(self, prefix: str) -> str:
        """Return the letter whose id is, or starts with, these characters; raises `NotFound` or `UsageError`."""
        found = [row["letter_id"] for row in await self._fetch("letters_by_prefix", prefix=prefix)]
        return only(found, prefix, "letter", LISTS)

    async def letter(self, letter_id: str) -> Letter:
        """Return a letter, by its whole id; raises `NotFound`."""
        rows = await self._fetch("letter", letter_id=letter_id)
        if not rows:
            raise NotFound(f"There is no letter {letter_id!r}.", hint=LISTS)
        return _letter(rows[0])

    async def replay(self, letter_id: str, *, by: str, why: str = "") -> Letter:
        """Hand the run of a letter to the workers again, from its last checkpoint, with its tries forgotten.

        Raises:
            UsageError: the letter is closed, or its thread has gone on since.
            Killed: a switch stands over the run.
        """
        async with connected(self._pool) as connection, connection.transaction():
            return await revive(connection, letter_id, by=by, why=why)

    async def discard(self, letter_id: str, *, by: str, why: str) -> Letter:
        """Give the run of a letter up for good, and let what waits behind it go on; raises `UsageError` when closed."""
        async with connected(self._pool) as connection, connection.transaction():
            letter = await _held(connection, letter_id)
            closed = await close(connection, letter, "discarded", by=by, why=why)
            await execute(connection, SQL["give_up"], {"run_id": letter.run_id})
            await _note(connection, letter, "cancelled", by=by, why=why)
            await execute(connection, SQL["promote"], {"thread_id": letter.thread_id})
        return closed

    async def why_not(self, letter: Letter) -> str:
        """Return why a letter cannot be replayed now; empty when it can."""
        async with connected(self._pool) as connection:
            refused = await _why_not(connection, letter)
            kill = await kills.over_run(connection, letter.run_id)
        if refused is not None:
            return str(refused)
        return str(kill.error("It may not be replayed")) if kill else ""

    async def events(self, run_ids: list[str]) -> tuple[RunEvent, ...]:
        """Return what happened to some runs, oldest first."""
        return tuple(RunEvent(**row) for row in await self._fetch("events", run_ids=run_ids))

    async def calls(self, thread_id: str, run_ids: list[str]) -> tuple[CallsOf, ...]:
        """Return the model calls of some runs of a thread, by node and model."""
        rows = await self._fetch("calls", thread_id=thread_id, run_ids=run_ids)
        return tuple(CallsOf(**row) for row in rows)

    async def behind(self, thread_id: str) -> int:
        """Return how many runs wait for their turn on a thread."""
        return int((await self._fetch("behind", thread_id=thread_id))[0]["count"])

    async def _fetch(self, statement: str, **values: Any) -> list[DictRow]:  # SQL values
        async with connected(self._pool) as connection:
            return await fetch(connection, SQL[statement], values)


async def revive(
    connection: Connection,
    letter_id: str,
    *,
    by: str,
    why: str = "",
    status: Literal["replayed", "repaired"] = "replayed",
    proposal: Mapping[str, Any] | None = None,  # JSON
) -> Letter:
    """Close a letter and hand its run to the workers again, inside a transaction; raises as `LetterStore.replay`.

    `proposal` is the change that repaired it.
    """
    letter = await _held(connection, letter_id)
    if refused := await _why_not(connection, letter):
        raise refused
    if (kill := await kills.over_run(connection, letter.run_id)) is not None:
        raise kill.error(f"Letter {letter.id} may not be replayed")
    closed = await close(connection, letter, status, by=by, why=why, proposal=proposal)
    await execute(connection, SQL["revive"], {"run_id": letter.run_id})
    await _note(connection, letter, "queued", by=by, why=why)
    await execute(connection, SQL["enqueue"], {"run_id": letter.run_id})
    return closed


async def close(
    connection: Connection,
    letter: Letter,
    status: LetterStatus,
    *,
    by: str,
    why: str = "",
    proposal: Mapping[str, Any] | None = None,  # JSON
) -> Letter:
    """Say what became of an open letter, inside a transaction that holds its thread; raises `UsageError`."""
    about = {"letter_id": letter.id, "status": status, "by": clean(by), "why": clean(why)}
    given = {"proposal": None if proposal is None else jsonb(proposal)}
    rows = await fetch(connection, SQL["close"], about | given)
    if not rows:
        raise _is_closed(letter)
    return _letter(rows[0])


async def _held(connection: Connection, letter_id: str) -> Letter:
    """Return a letter that is open, and hold its thread and then itself until the end of the transaction."""
    for hold in ("hold_letters_thread", "hold_letters_queue"):
        await fetch(connection, SQL[hold], {"letter_id": letter_id})
    rows = await fetch(connection, SQL["hold_letter"], {"letter_id": letter_id})
    if not rows:
        raise NotFound(f"There is no letter {letter_id!r}.", hint=LISTS)
    letter = _letter(rows[0])
    if letter.status != "open":
        raise _is_closed(letter)
    return letter


async def _why_not(connection: Connection, letter: Letter) -> UsageError | None:
    if letter.status != "open":
        return _is_closed(letter)
    rows = await fetch(connection, SQL["gone_on"], {"letter_id": letter.id})
    if not rows:
        return None
    return UsageError(
        f"Thread {letter.thread_id} has gone on since: run {rows[0]['run_id']} has {_stands(rows[0])}.",
        hint=f"Fork the thread at {letter.checkpoint_id or 'its first step'}, or discard the letter.",
    )


def _stands(row: DictRow) -> str:
    return "begun" if row["status"] in ("queued", "running", "waiting") else str(row["status"])


def _is_closed(letter: Letter) -> UsageError:
    by = f" by {letter.closed_by}" if letter.closed_by else ""
    how = "closed" if letter.status == "open" else letter.status
    return UsageError(f"Letter {letter.id} was {how}{by} already.", hint=LISTS)


async def _note(connection: Connection, letter: Letter, kind: str, *, by: str, why: str) -> None:
    about = {"run_id": letter.run_id, "thread_id": letter.thread_id, "kind": kind}
    detail = {"letter": letter.id, "by": clean(by), "why": clean(why)}
    await execute(connection, SQL["note_event"], about | {"detail": stored(detail)})


def _letter(row: DictRow) -> Letter:
    return Letter(id=row["letter_id"], **{key: row[key] for key in row if key != "letter_id"})
