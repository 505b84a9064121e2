"""`/letters`: runs that failed for good while nobody waited for them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from interlock.core.failures import FailureKind
from interlock.core.letters import LetterStatus
from interlock.documents.letters import detail_document, letter_facts
from interlock.documents.runs import run_document
from interlock.server.openapi import problems
from interlock.server.scope import Reading, Running
from interlock.server.wire import Wire

router = APIRouter(prefix="/letters", tags=["Letters"])

Word = Annotated[str, Field(max_length=10_000)]


class Replay(BaseModel):
    """Why a run is handed to workers again."""

    reason: Word = ""


class Discard(BaseModel):
    """Why a run is given up for good."""

    reason: Annotated[str, Field(min_length=1, max_length=10_000)]


class Repair(BaseModel):
    """What a repair begins with: what is known already, and who diagnoses."""

    hint: Word = ""
    model: Annotated[str | None, Field(max_length=255)] = None


@router.get("")
async def search(
    scope: Reading,
    status: LetterStatus | None = "open",
    kind: FailureKind | None = None,
    graph: Annotated[str | None, Query(max_length=255)] = None,
    since: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Wire:
    """List dead letters, the newest first."""
    found = await scope.reader.aletters(
        status=status, kind=kind, graph=graph, since=since, limit=limit
    )
    return Wire([letter_facts(each) for each in found])


@router.get("/{letter_id}", responses=problems(404))
async def get(scope: Reading, letter_id: str) -> Wire:
    """Return a letter with its run's state, tries, model calls and effects, and what a replay would do."""
    return Wire(detail_document(await scope.reader.aletter(letter_id)))


@router.post("/{letter_id}/replay", responses=problems(404, 409))
async def replay(scope: Running, letter_id: str, request: Replay) -> Wire:
    """Hand the run of a letter to the workers again, from its last checkpoint."""
    letter = (await scope.reader.aletter(letter_id)).letter
    done = await scope.il.aletter_replay(letter.id, reason=request.reason, by=scope.caller.identity)
    await scope.house.audit.note(
        scope.caller, "letter.replay", letter.id, {"reason": request.reason}
    )
    return Wire(letter_facts(done))


@router.post("/{letter_id}/discard", responses=problems(404, 409))
async def discard(scope: Running, letter_id: str, request: Discard) -> Wire:
    """Give the run of a letter up for good; what waits on its thread goes on."""
    letter = (await scope.reader.aletter(letter_id)).letter
    done = await scope.il.aletter_discard(
        letter.id, reason=request.reason, by=scope.caller.identity
    )
    await scope.house.audit.note(
        scope.caller, "letter.discard", letter.id, {"reason": request.reason}
    )
    return Wire(letter_facts(done))


@router.post("/{letter_id}/repair", responses=problems(404, 409))
async def repair(scope: Running, letter_id: str, request: Repair) -> Wire:
    """Begin a repair: a run that looks, proposes a change, tries it without effect, and asks."""
    letter = (await scope.reader.aletter(letter_id)).letter
    run = await scope.il.aletter_repair(letter.id, model=request.model, hint=request.hint)
    await scope.house.audit.note(scope.caller, "letter.repair", letter.id, {"run_id": run.run_id})
    return Wire(run_document(run))
