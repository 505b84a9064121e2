"""`interlock watch` as a person and a script use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import interlock
from interlock import Interlock
from interlock.cli.program import execute

CONFIG = Path(__file__).parents[1] / "sample" / "watched" / "langgraph.json"
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Say:
    """Runs a command in this process and returns its code and what it printed on both outputs."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = execute(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def il(database_url: str) -> Interlock:
    with interlock.open(database_url, config=CONFIG) as opened:
        opened.invoke("errand", {"places": ["mill"], "pays": True}, thread_id="asks")
        opened.invoke("errand", {"places": ["mill"]}, thread_id="ends")
        return opened


@pytest.mark.usefixtures("il")
def test_a_run_that_ended_is_told_with_its_code(say: Say) -> None:
    """Each step in a line with what changed; the code is that of `interlock run`."""
    code, _, said = say("watch", "ends")
    lines = [" ".join(line.split()) for line in said.splitlines()]

    assert code == 0
    assert any(line.startswith("0:00 ✓ plan seen +1 · 15 tokens") for line in lines)
    assert any("visit did errand_knock(place=mill)" in line for line in lines)
    assert lines[-2:] == ["succeeded thread ends", "interlock show ends"]


@pytest.mark.usefixtures("il")
def test_a_run_that_waits_says_what_to_do(say: Say) -> None:
    """It ends with 3, as `interlock run` does."""
    code, _, said = say("watch", "asks")

    assert code == 3
    assert "asks a person: errand_pay" in said
    assert said.splitlines()[-1] == "interlock approvals"


@pytest.mark.usefixtures("il")
def test_as_json_each_event_is_a_line(say: Say) -> None:
    """With a cursor, behind which a second call goes on."""
    code, said, _ = say("watch", "ends", "--json")
    events = [json.loads(line) for line in said.splitlines()]
    assert (code, events[-1]["kind"]) == (0, "succeeded")

    _, said, _ = say("watch", "ends", "--json", "--since", events[3]["cursor"])
    assert [json.loads(line)["key"] for line in said.splitlines()] == [e["key"] for e in events[4:]]


def test_nobody_of_this_name(say: Say) -> None:
    """A wrong name is a wrong call."""
    code, _, said = say("watch", "nobody")

    assert code == 2
    assert "There is no thread or run 'nobody'." in said
