"""`interlock kill` as a person and a script use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock.cli.program import execute
from tests.saying import Say

CONFIG = Path(__file__).parents[1] / "sample" / "killed" / "langgraph.json"


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("INTERLOCK_USER", "ann")


@pytest.fixture
def waiting(say: Say, tmp_path: Path) -> dict[str, Any]:
    """A run that waits for a person."""
    log = str(tmp_path / "log")
    code, run = say("run", "asks", "--how", "person", "--log", log, "--thread", "t")
    assert code == 3
    return run


def test_a_switch_is_thrown_shown_and_lifted(say: Say, waiting: dict[str, Any]) -> None:
    """It tells what it holds, stands in the list until it is lifted, and in the whole list after that."""
    code, kill = say("kill", "graph", "asks", "--reason", "a bad release", "--by", "ben")
    assert (code, kill["scope"], kill["name"], kill["by"]) == (0, "graph", "asks", "ben")
    assert [each["thread_id"] for each in kill["held"]] == ["t"]

    number = str(kill["id"])
    assert [each["id"] for each in say("kill", "list")[1]["kills"]] == [kill["id"]]
    assert say("kill", "lift", number, "--reason", "mended")[1]["lifted_by"] == "ann"
    assert say("kill", "list")[1]["kills"] == []
    (listed,) = say("kill", "list", "--all")[1]["kills"]
    assert [(e["kind"], e["who"], e["why"]) for e in listed["events"]] == [
        ("thrown", "ben", "a bad release"),
        ("lifted", "ann", "mended"),
    ]
    assert say("kill", "show", number)[1]["events"] == listed["events"]
    assert say("kill", "lift", number)[0] == 2


def test_an_answer_is_kept(say: Say, waiting: dict[str, Any]) -> None:
    """It is taken while the switch stands, with the code of a killed run, and used when the thread is resumed."""
    kill = say("kill", "thread", "t", "--reason", "why")[1]

    code, refused = say("approvals", "answer", waiting["questions"][0]["id"], "--value", '"yes"')
    assert (code, refused["error"]["kind"]) == (5, "Killed")
    assert say("resume", "t", "--detach")[0] == 5

    say("kill", "lift", str(kill["id"]))
    code, run = say("resume", "t")
    assert (code, run["output"]["said"]) == (0, ["yes", "beside", "end"])


def test_what_is_killed_is_shown_first(
    say: Say, waiting: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """`interlock status` begins with it: who, when, why, and how to lift it."""
    say("kill", "all", "--reason", "the key has leaked")
    capsys.readouterr()

    assert execute(["status"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "KILLED" in first
    assert "everything by ann at" in first
    assert "the key has leaked" in first
    assert "interlock kill lift 1" in first


def test_it_needs_no_application(
    say: Say, waiting: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither graphs nor a policy that can be read: what must be stopped can be stopped from anywhere."""
    monkeypatch.setenv("INTERLOCK_CONFIG", str(tmp_path / "none.json"))
    monkeypatch.setenv("INTERLOCK_POLICY", str(tmp_path / "none.toml"))

    code, kill = say("kill", "thread", "t", "--reason", "why")
    assert (code, kill["name"]) == (0, "t")


@pytest.mark.parametrize(
    "arguments",
    [
        ("kill", "thread", "nobody", "--reason", "why"),
        ("kill", "run", "nobody", "--reason", "why"),
        ("kill", "all", "--reason", ""),
        ("kill", "all"),
        ("kill", "show", "9"),
        ("kill", "lift", "9"),
    ],
)
def test_what_is_wrong_is_said(say: Say, arguments: tuple[str, ...]) -> None:
    """A name that is not there, no reason, no such switch: the call is wrong, and nothing is killed."""
    code, document = say(*arguments)
    assert (code, "error" in document) == (2, True)
    assert say("kill", "list")[1]["kills"] == []


def test_a_name_that_never_ran_is_told_of(say: Say) -> None:
    """A graph can be killed before it ever ran; a slip of the pen is noticed."""
    kill = say("kill", "graph", "askz", "--reason", "why")[1]
    assert kill["notice"] == "No graph 'askz' ever ran here; is the name right?"


def test_the_screen_of_a_switch(say: Say, waiting: dict[str, Any], capsys: Any) -> None:
    """What it holds is named."""
    capsys.readouterr()
    assert execute(["kill", "tenant", "acme", "--reason", "why"]) == 0
    assert execute(["kill", "thread", "t", "--reason", "because"]) == 0
    out = capsys.readouterr().out
    assert "holds: 1 run of thread t" in out
    assert "tenant acme by ann" in out
