"""How a worker's run ends that raised: tried again later, or dead, with a letter to whoever has to look."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import random

from interlock.core.bounded import Declaration
from interlock.core.failures import DEFAULTS, Dead, FailureKind, Retries, classify, plan
from interlock.core.letters import NewLetter
from interlock.core.models import redacted
from interlock.core.runs import Run
from interlock.core.transient import causes
from interlock.errors import InterlockError
from interlock.postgres.stored_runs import Ending

Tries = Callable[[Run, FailureKind], Awaitable[tuple[int, str]]]
"""Returns for a run and a kind of failure how often it was tried again and has not got on since, and how far it is."""

TRACEBACK = 20_000
"""Characters of a traceback that are kept; from the middle of a longer one some are left out."""

ERROR = 4_000


async def ending_of(
    error: Exception, ending: Ending, run: Run, declared: Declaration | None, tries: Tries
) -> Ending:
    """Return how a run ends that raised while nobody waited for it.

    Args:
        error: what was raised.
        ending: how the run would end if somebody did wait for it.
        run: the run.
        declared: what its graph declares of itself.
        tries: tells how often it was tried again already.
    """
    kind = classify(error)
    if (
        kind is None or ending.status == "waiting"
    ):  # an answer was refused: its question is open again
        return ending
    failed, progress = await tries(run, kind)
    retries: Retries = declared.retries if declared else DEFAULTS
    then = plan(kind, failed + 1, error, retries, now=datetime.now(UTC), chance=random)
    told = replace(ending, failure=kind, error=shortened(ending.error))
    if isinstance(then, Dead):
        holds = declared is not None and declared.holds_when_dead
        letter = letter_of(error, kind, because=then.because, holds=holds)
        return replace(told, status="dead", letter=replace(letter, error=told.error))
    detail = {"error": told.error[:500], "progress": progress, "tries": failed + 1}
    return replace(told, status="queued", retry_seconds=then.seconds, detail=detail)


async def unprepared(error: Exception, run: Run, tries: Tries) -> Ending:
    """Return how a run ends that a worker had claimed and could not begin: its code does not fit what is stored."""
    ending = Ending(status="failed", error=sentence_of(error), error_kind=type(error).__name__)
    return await ending_of(error, ending, run, None, tries)


def sentence_of(error: BaseException) -> str:
    """Return what an error says of itself, with its type unless it is ours; also when it cannot say it."""
    try:
        text = str(error)
    except Exception as unsaid:  # whatever the application's code raises
        text = f"(its text is not known: {type(unsaid).__name__})"
    if isinstance(error, InterlockError):
        return text
    said = f"{type(error).__name__}: {text}"
    remedy = remedy_of(error, text)
    return f"{said}. {remedy}" if remedy else said


def remedy_of(error: BaseException, text: str) -> str:
    """Return what to do about an error whose text does not say it; empty where that is not known."""
    if isinstance(error, TypeError) and "not msgpack serializable" in text:
        return "What nodes return is stored: return plain data, and make such an object where it is used."
    return ""


def letter_of(error: Exception, kind: FailureKind, *, because: str, holds: bool) -> NewLetter:
    """Return what is told of a run that died of an error."""
    return NewLetter(
        kind=kind,
        error_type=type(error).__name__,
        traceback=traceback_of(error),
        because=because,
        node=" / ".join(nodes_of(error)),
        holds=holds,
    )


def nodes_of(error: BaseException) -> tuple[str, ...]:
    """Return the nodes that lead to where an error was raised, from the thread's own graph inwards."""
    for each in causes(error):
        notes = [_TASK.match(note) for note in getattr(each, "__notes__", ())]
        if found := [note[1] for note in reversed(notes) if note]:
            return tuple(found)
    return ()


def traceback_of(error: BaseException) -> str:
    """Return where an error was raised and what it was raised from, without keys, cut to a size."""
    text = "".join(traceback.format_exception(error))
    if len(text) <= TRACEBACK:
        return blotted(text)
    head, tail = TRACEBACK // 4, TRACEBACK - TRACEBACK // 4
    begins, ends = blotted(text[: head + _MARGIN])[:head], blotted(text[-tail - _MARGIN :])[-tail:]
    return f"{begins}\n[… {len(text) - TRACEBACK:,} characters …]\n{ends}"


def shortened(text: str) -> str:
    """Return what a failure says of itself without secrets, cut to a size."""
    return blotted(text[: ERROR + _MARGIN])[:ERROR]


def blotted(text: str) -> str:
    """Blot out keys, passwords in addresses, and the values of what is named as a secret, here or in the text."""
    secret = {name: value for name, value in os.environ.items() if _SECRET.search(name)}
    for name in sorted(secret, key=lambda each: -len(secret[each])):  # one may begin as another
        if len(secret[name]) >= _SHORTEST:
            text = text.replace(secret[name], f"[{name}]")
    text = _NAMED.sub(r"\1[secret]", _LOOKS.sub("[key]", redacted(text)))
    return _PASSWORD.sub(r"\1[password]@", text)


_TASK = re.compile(r"During task with name '(.*)' and id '")
"""LangGraph's note on what a node raised, the innermost graph's first."""

_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)S?$", re.IGNORECASE)
_NAMED = re.compile(
    r"""((?:api[_-]?key|secret|secret[_-]key|access[_-]key|token|password|passwd)["']?(?:=|:[ ]?)["']?)"""
    r"""(?!\[)[^\s"'&,;{}()\[\]]{6,}""",
    re.IGNORECASE,
)
"""As in addresses, headers, dictionaries and data source names: `api_key=…`, `'X-Api-Key': '…'`, `password=…`."""

_LOOKS = re.compile(
    r"\bgh[a-z]_\w{20,}|\bgithub_pat_\w{20,}|\bxox[a-z]-[\w-]{10,}|\b(?:sk|rk)_(?:live|test)_\w{8,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?<=Basic )[\w+/=-]{8,}"
    r"|(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))"
)
"""Tokens of well-known services, signed tokens, and private keys."""

_SHORTEST = 8
_MARGIN = 10_000
"""Characters that are searched for secrets beyond those that are kept: one that is cut through is not found."""
_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s@/]+@")
