"""What a person reads of each event of a run that is watched."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interlock.cli.watch_lines import line_for
from interlock.cli.watch_views import now_of
from interlock.core.happening import Cursor, Event, Standing
from interlock.errors import UsageError

AT = datetime(2020, 5, 1, 12, 0, tzinfo=UTC)
RUN = Standing(
    run_id="r",
    thread_id="t",
    graph="errand",
    status="running",
    attempts=1,
    process="host:7",
    error="",
    error_kind="",
    model="",
    created_at=AT,
    started_at=AT,
    finished_at=None,
    at=AT,
)
STEP = {
    "nodes": ["visit", "visit"],
    "changed": ["seen", "paid"],
    "next": [],
    "tokens": 1500,
    "calls": 2,
    "cost": 0.25,
    "seconds": 3.25,
}
ACT = {
    "action": "pay",
    "arguments": {"amount": 5},
    "status": "done",
    "attempt": 1,
    "reads": False,
    "seconds": 0.5,
    "error": "",
    "source": None,
}
CALL = {
    "model": "openai:gpt-5",
    "input_tokens": 900,
    "output_tokens": 100,
    "cost": None,
    "seconds": 2,
}


def told(kind: str, detail: dict[str, Any], **more: Any) -> tuple[str, str, str] | None:
    line = line_for(
        Event(key="k", kind=kind, run_id="r", thread_id="t", at=AT, detail=detail, **more)
    )
    return None if line is None else (line.who, line.text, line.tone)


@pytest.mark.parametrize(
    ("kind", "detail", "line"),
    [
        (
            "step",
            STEP,
            ("visit \N{MULTIPLICATION SIGN}2", "seen, paid · 1,500 tokens · $0.25 · 3.2 s", "good"),
        ),
        ("step", STEP | {"nodes": [], "calls": 0}, None),
        (
            "step",
            STEP | {"calls": 0, "changed": []},
            ("visit \N{MULTIPLICATION SIGN}2", "done · 3.2 s", "good"),
        ),
        (
            "model_call",
            CALL,
            ("", "model answers: openai:gpt-5 · 1,000 tokens · ? · 2.0 s", "plain"),
        ),
        ("act", ACT, ("", "did pay(amount=5) · 0.50 s", "good")),
        (
            "act",
            ACT | {"status": "intended", "seconds": None},
            ("", "begins pay(amount=5)", "plain"),
        ),
        (
            "act",
            ACT | {"status": "not_done", "error": "no money"},
            ("", "did not do pay(amount=5): no money", "bad"),
        ),
        (
            "act",
            ACT | {"attempt": 2, "reads": True},
            ("", "reads pay(amount=5) (attempt 2) · 0.50 s", "good"),
        ),
        (
            "refused",
            ACT | {"reason": "too much", "rule": "limit"},
            ("", "pay(amount=5) was refused: too much [limit]", "bad"),
        ),
        (
            "question",
            {"happened": "asked", "question": "0123456789abcdef", "action": "pay", "who": ""},
            ("", "asks a person: pay  interlock approvals show 01234567", "warning"),
        ),
        (
            "question",
            {"happened": "answered", "question": "q", "action": "pay", "who": "ann"},
            ("", "ann answered pay", "good"),
        ),
        ("claimed", {"process": "host:7"}, ("worker", "host:7 takes it on", "plain")),
        ("claimed", {"process": ""}, ("worker", "worker abcdefgh takes it on", "plain")),
        (
            "lost",
            {"crashes": 2},
            (
                "worker",
                "its worker was lost (2 times in a row): another goes on with it",
                "warning",
            ),
        ),
        (
            "retried",
            {"failure": "rate_limit", "retry_seconds": 4.0, "error": "HTTP 429"},
            ("run", "rate_limit, tried again in 4.0 s: HTTP 429", "warning"),
        ),
        (
            "cancelled",
            {"by": "ann", "reason": "wrong input"},
            ("run", "cancelled by ann: wrong input", "bad"),
        ),
        ("succeeded", {}, ("run", "succeeded", "good")),
        ("mended", {}, ("run", "mended", "plain")),
    ],
)
def test_each_event_is_a_line(
    kind: str, detail: dict[str, Any], line: tuple[str, str, str] | None
) -> None:
    """What happened in a few words; the beginning of a run is none, and an unknown kind is told by its name."""
    assert told(kind, detail, worker="abcdefghijkl" if kind == "claimed" else "") == line


def test_a_step_tells_what_changed_where_values_are_known() -> None:
    """In place of the names of keys."""
    values = {"seen": ([1], [1, 2]), "paid": (None, 5)}

    found = told("step", STEP | {"calls": 0}, values=values)
    assert found == ("visit \N{MULTIPLICATION SIGN}2", "seen +1, paid 5 · 3.2 s", "good")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "plan · host:7"),
        ({"alive": False}, "its process is gone: interlock resume t"),
        (
            {"calls": 2, "calls_seconds": 3.0, "worker": "host:9"},
            "plan · 2 model calls under way for 3.0 s · host:9",
        ),
        (
            {"limited": 1, "limited_by": "provider:x"},
            "plan · 1 waiting for provider:x · host:7",
        ),
        ({"stopping": "cancel"}, "is told to stop (cancel)"),
        ({"status": "queued"}, "nobody works on it: interlock resume t"),
        ({"status": "queued", "queued": True, "ready": True}, "waits for a worker"),
        ({"status": "queued", "queued": True}, "waits for the run before it on its thread"),
        ({"status": "waiting"}, "waits for a person"),
        ({"status": "succeeded"}, "succeeded"),
    ],
)
def test_how_a_run_stands_is_told_in_words(changed: dict[str, Any], said: str) -> None:
    """What it does, what it waits for, and what to do where nobody works on it."""
    assert now_of(replace(RUN, **changed), ["plan"]) == said


def test_a_sleeper_is_told_of_with_its_time() -> None:
    """With the day, unless that is today."""
    until = replace(RUN, status="waiting", due_at=AT + timedelta(hours=1))
    local = (AT + timedelta(hours=1)).astimezone()

    assert now_of(until, []) == f"sleeps until {local:%Y-%m-%d %H:%M:%S}"


def test_a_cursor_survives_being_written_down() -> None:
    """Both kinds read back as they were; anything else is refused."""
    between = Cursor(since="5:7:5,6", until="9:9:", at=AT, key="act:a|b:1")

    assert Cursor.read(str(between)) == between
    assert Cursor.read(str(Cursor(since="9:9:", until="9:9:"))) == Cursor(
        since="9:9:", until="9:9:"
    )
    assert Cursor.read("") == Cursor()
    for wrong in ("x", "5:7", "5:7:|6:7:|yesterday|k", "5:7:|6:7:"):
        with pytest.raises(UsageError, match="is no cursor"):
            Cursor.read(wrong)
