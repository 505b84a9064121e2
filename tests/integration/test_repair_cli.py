"""`interlock letters repair` as a person and a script use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock.cli.program import execute
from tests.unattended import attempt

CONFIG = Path(__file__).parents[1] / "sample" / "mended" / "langgraph.json"
Say = Callable[..., tuple[int, Any]]


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("INTERLOCK_USER", "ann")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command in this process and returns its code, and its document or its text."""

    def run(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = execute(arguments)
        out = capsys.readouterr().out
        return code, json.loads(out) if "--json" in arguments else out

    return run


@pytest.fixture
def dead(database_url: str, tmp_path: Path) -> str:
    """The thread of a run that died of a number that is a text."""

    async def died() -> str:
        given = {"log": str(tmp_path / "log"), "pieces": 4, "note": "text"}
        async with interlock.aopen(database_url, config=CONFIG) as il:
            run = await il.asubmit("orders", given)
            assert (await attempt(il, run.run_id)).status == "dead"
        return run.thread_id

    return asyncio.run(died())


def test_a_repair_from_the_command_line(say: Say, dead: str, tmp_path: Path) -> None:
    """Begun, gone on with where there is no worker, shown, approved; then the dead run goes on."""
    (letter,) = say("letters", "list", "--json")[1]["letters"]

    code, thread = say("letters", "repair", letter["id"][:4], "--hint", "look at the pieces")
    assert code == 0
    say("resume", thread.strip())
    (question,) = say("approvals", "list", "--json")[1]["questions"]
    shown = say("approvals", "show", question["id"])[1]
    assert 'change: pieces: "4" → 4' in shown
    assert say("approvals", "approve", question["id"], "--no-run")[0] == 0
    say("resume", thread.strip())

    assert say("letters", "list", "--json")[1]["letters"] == []
    assert say("resume", dead)[0] == 0
    assert (tmp_path / "log").read_text().splitlines()[-1] == "pay 12"


def test_what_cannot_be_repaired_is_refused_at_once(say: Say, dead: str) -> None:
    """A letter that is not there, and one that is closed."""
    (letter,) = say("letters", "list", "--json")[1]["letters"]

    assert say("letters", "repair", "zzzz")[0] == 2
    say("letters", "discard", letter["id"], "--reason", "no longer needed")
    assert say("letters", "repair", letter["id"])[0] == 2
