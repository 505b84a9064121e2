"""`interlock storage`: what is printed, and what is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.program import execute

CONFIG = Path(__file__).parents[1] / "sample/volumes/langgraph.json"
Document = dict[str, Any]  # JSON
Said = tuple[str, str]  # standard output, standard error


@pytest.fixture
def say(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Runs a command in this process that must succeed."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        assert execute(arguments) == 0
        said = capsys.readouterr()
        return said.out, said.err

    return run


@pytest.fixture
def thread(say: Callable[..., Said], tmp_path: Path) -> str:
    """A chronicle of 30 pages."""
    given = {"until": 30, "sign_every": 100, "bind_every": 100, "book": str(tmp_path / "book")}
    out, _ = say("run", "volumes", "--input", json.dumps(given), "--json")
    return str(json.loads(out)["thread_id"])


def test_pruning_is_told_and_done(say: Callable[..., Said], thread: str) -> None:
    """First what would be done, then what is done; then the history has what is left."""
    dry, _ = say("storage", "prune", "--keep", "2", "--older-than", "0", "--dry-run")
    out, err = say("storage", "prune", thread[:8], "--keep", "2", "--older-than", "0")
    history, _ = say("history", thread, "--json")
    screen, _ = say("history", thread)

    assert dry.startswith("1 thread: 29 of 32 steps would be folded, ")
    assert out.startswith("1 thread: 29 of 32 steps folded, ")
    assert err.startswith(f"{thread[:8]}  32 steps to 3, ")
    steps = json.loads(history)["steps"]
    assert [(each["step"], each["folded"]) for each in steps] == [(-1, 0), (29, 29), (30, 0)]
    assert "(29 steps folded)" in screen
    assert "write \N{MULTIPLICATION SIGN}29" in screen


def test_young_steps_are_left_unless_asked_for(say: Callable[..., Said], thread: str) -> None:
    """The defaults fold nothing of the last week."""
    out, err = say("storage", "prune", "--json")

    done = json.loads(out)
    assert (done["checkpoints"], err) == ({"before": 32, "after": 32}, "")
    assert done["threads"][0]["thread_id"] == thread
    assert done["threads"][0]["kept"] == {"first": 1, "last": 1, "among the last": 19, "young": 11}


def test_blobs_are_collected(say: Callable[..., Said]) -> None:
    """What the steps that were folded named goes, and is counted."""
    out, _ = say("run", "pictures", "--input", json.dumps({"names": ["a", "b", "c"]}), "--json")
    say("storage", "prune", json.loads(out)["thread_id"], "--keep", "1", "--older-than", "0")
    young, _ = say("storage", "collect")
    done, _ = say("storage", "collect", "--older-than", "0", "--json")

    assert young == "0 blobs collected: 0 bytes.\n"
    assert json.loads(done) == {
        "blobs": 2,
        "bytes": 6000,
        "uploads": 0,
        "unread": [],
        "dry_run": False,
    }


def test_what_is_stored_is_shown(say: Callable[..., Said], thread: str) -> None:
    """A table for people, numbers for programs."""
    screen, _ = say("storage", "show")
    out, _ = say("storage", "show", "--json")

    stored = json.loads(out)
    assert (stored["threads"], stored["checkpoints"]) == (1, 32)
    assert stored["bytes"] == sum(stored["tables"].values())
    assert stored["tables"]["checkpoints"] > 8192
    assert "1 thread · 32 checkpoints · 0 blobs of 0 bytes" in screen


@pytest.mark.parametrize("command", [[], ["show"], ["prune"], ["collect"]])
def test_help_has_examples(say: Callable[..., Said], command: list[str]) -> None:
    """Each command shows how it is called."""
    out, _ = say("storage", *command, "--help")

    assert "Examples:\n" in out
    assert "interlock storage" in out.partition("Examples:")[2]
