"""Dead letters: why runs died, what a replay would do, and the change that a repair proposes, with its trial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form, Query, Request, Response

from interlock.core.failures import KINDS, FailureKind
from interlock.core.letters import LETTER_STATUSES, Letter, LetterDetail, LetterStatus
from interlock.core.questions import OpenQuestion
from interlock.core.repairs import GRAPH
from interlock.errors import InterlockError, UsageError
from interlock.postgres.dashboard import DashboardStore, ListedThread, Wanted
from interlock.server.dashboard.changes import Change
from interlock.server.dashboard.pages.steering import address as thread_address
from interlock.server.dashboard.routing import pages, see
from interlock.server.dashboard.templates import page
from interlock.server.dashboard.words import plain
from interlock.server.scope import Reading, Running, Scope
from interlock.wording import clipped, counted

LISTED = 100

router = pages()

Word = Annotated[str, Form(max_length=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A repair of a letter.

    Attributes:
        question: that it asks now; None while it looks, and when it has ended.
        changes: of the state, that it proposes.
        prompt: with its version, where it proposes another prompt.
        trial: the thread on which it tried them; empty without one.
    """

    thread: ListedThread
    question: OpenQuestion | None = None
    changes: Sequence[Change] = ()
    prompt: str = ""
    trial: str = ""


@router.get("/ui/letters")
async def letters(
    request: Request,
    scope: Reading,
    status: str = "open",
    kind: str = "",
    graph: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    """List dead letters."""
    wanted = await scope.reader.aletters(
        status=_status(status), kind=_kind(kind), graph=graph or None, limit=LISTED + 1
    )
    chosen = {"status": status, "kind": kind, "graph": graph}
    return await page(
        request,
        scope,
        "letters.html",
        letters=wanted[:LISTED],
        more=len(wanted) > LISTED,
        chosen=chosen,
        kinds=KINDS,
        graphs=await DashboardStore(scope.reader.pool).graphs(),
        statuses=[(x, _address({**chosen, "status": x})) for x in (*LETTER_STATUSES, "all")],
        filtered=chosen != {"status": "open", "kind": "", "graph": ""},
    )


@router.post("/ui/letters")
async def close_several(
    request: Request,
    scope: Running,
    what: Annotated[str, Form(max_length=16)] = "",
    reason: Word = "",
) -> Response:
    """Replay or discard what was chosen; one that cannot be hinders no other."""
    form = await request.form()
    names = [each for each in form.getlist("chosen") if isinstance(each, str)][:LISTED]
    if not names:
        raise UsageError("Nothing was chosen.", hint="Choose letters in the list first.")
    refused = []
    for name in names:
        try:
            await _close(scope, name, what, reason)
        except InterlockError as error:
            refused.append(str(error))
    done = counted(len(names) - len(refused), "letter")
    told = f"{'Replayed' if what == 'replay' else 'Discarded'} {done}"
    if refused:
        told += f"; refused: {clipped(refused[0], 300)}"
    return see("/ui/letters", told)


@router.get("/ui/letters/{letter_id}")
async def letter(request: Request, scope: Reading, letter_id: str) -> Response:
    """Show a letter with all that is known of its run."""
    detail = await scope.reader.aletter(letter_id)
    return await page(
        request,
        scope,
        "letter.html",
        detail=detail,
        letter=detail.letter,
        repairs=await _repairs(scope, detail),
        proposal=detail.letter.proposal,
    )


@router.post("/ui/letters/{letter_id}/replay")
async def replay(scope: Running, letter_id: str, reason: Word = "") -> Response:
    """Hand the run of a letter to the workers again."""
    done = await _close(scope, letter_id, "replay", reason)
    return see(thread_address(done.thread_id), "Handed to the workers")


@router.post("/ui/letters/{letter_id}/discard")
async def discard(scope: Running, letter_id: str, reason: Word = "") -> Response:
    """Give the run of a letter up for good."""
    done = await _close(scope, letter_id, "discard", reason)
    return see(f"/ui/letters/{done.id}", "Discarded")


@router.post("/ui/letters/{letter_id}/repair")
async def repair(
    scope: Running,
    letter_id: str,
    hint: Word = "",
    model: Annotated[str, Form(max_length=255)] = "",
) -> Response:
    """Begin a repair, which looks, proposes a change, tries it without effect, and asks."""
    found = (await scope.reader.aletter(letter_id)).letter
    run = await scope.il.aletter_repair(found.id, model=model.strip() or None, hint=hint.strip())
    await scope.house.audit.note(scope.caller, "letter.repair", found.id, {"run_id": run.run_id})
    return see(f"/ui/letters/{found.id}", "A repair begins")


async def _close(scope: Scope, name: str, what: str, reason: str) -> Letter:
    found, by = (await scope.reader.aletter(name)).letter, scope.caller.identity
    if what == "replay":
        done = await scope.il.aletter_replay(found.id, reason=reason, by=by)
    elif what == "discard":
        done = await scope.il.aletter_discard(found.id, reason=reason, by=by)
    else:
        raise UsageError("A letter is replayed or discarded.")
    await scope.house.audit.note(scope.caller, f"letter.{what}", found.id, {"reason": reason})
    return done


async def _repairs(scope: Scope, detail: LetterDetail) -> list[Repair]:
    """Return the repairs of a letter, the latest first; its id is the title of their threads."""
    store = DashboardStore(scope.reader.pool)
    found = await store.threads(Wanted(graph=GRAPH, text=detail.letter.id), 10)
    return [await _repair(scope, detail, each) for each in found if each.title == detail.letter.id]


async def _repair(scope: Scope, detail: LetterDetail, thread: ListedThread) -> Repair:
    questions = await scope.reader.aquestions(thread.thread_id)
    if not questions:
        return Repair(thread=thread)
    given: Any = questions[0].arguments  # JSON, as the repair's own action takes it
    change: Any = given.get("change") or {}  # as above
    state = detail.state or {}
    return Repair(
        thread=thread,
        question=questions[0],
        changes=[_changed(state, each) for each in change.get("values", ())],
        prompt=f"{change['prompt']} {change['version']}" if change.get("prompt") else "",
        trial=str(given.get("trial", "")),
    )


def _changed(state: Mapping[str, Any], setting: Mapping[str, str]) -> Change:  # a state
    before = json.dumps(plain(state.get(setting["key"])), ensure_ascii=False)
    return Change(key=setting["key"], kind="value", old=before, new=setting["value"])


def _status(status: str) -> LetterStatus | None:
    if status == "all":
        return None
    found = next((each for each in LETTER_STATUSES if each == status), None)
    if found is None:
        raise UsageError(
            f"There is no status {status!r}.", hint=f"Known: {', '.join(LETTER_STATUSES)}, all."
        )
    return found


def _kind(kind: str) -> FailureKind | None:
    found = next((each for each in KINDS if each == kind), None)
    if kind and found is None:
        raise UsageError(f"There is no kind {kind!r}.", hint=f"Known: {', '.join(KINDS)}.")
    return found


def _address(chosen: Mapping[str, str]) -> str:
    return f"/ui/letters?{urlencode({key: value for key, value in chosen.items() if value})}"
