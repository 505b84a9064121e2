"""`interlock limits` on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import interlock
from interlock.cli.program import execute
from interlock.core.rates import Ask, Caller, End, Outcome, Pushed
from interlock.core.targets import bounds_of

CONFIG = Path(__file__).parents[1] / "sample" / "paced" / "langgraph.json"
Run = Callable[..., tuple[int, str]]
GPT = "model:openai:gpt-5"


@pytest.fixture
def run(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command, and returns its exit code and what it printed."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("COLUMNS", "160")

    def command(*arguments: str) -> tuple[int, str]:
        code = execute(arguments)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


def test_nothing_is_limited_at_first(run: Run) -> None:
    """The list says so, and how a limit is set."""
    code, out = run("limits")

    assert code == 0
    assert "Nothing is limited" in out
    assert "interlock limits set provider:openai --rpm 500" in out


def test_limits_are_set_shown_and_removed(run: Run) -> None:
    """What is set later is added to what is stored."""
    assert run("limits", "set", "provider:openai", "--rpm", "500", "--by", "kim")[0] == 0
    assert run("limits", "set", "provider:openai", "--concurrent", "20")[0] == 0
    code, out = run("limits", "list", "--json")
    _, shown = run("limits", "show", "provider:openai")
    _, removed = run("limits", "remove", "provider:openai")
    _, again = run("limits", "remove", "provider:openai")

    [limit] = json.loads(out)["limits"]
    assert (code, limit["name"], limit["stored"]) == (0, "provider:openai", True)
    assert limit["limit"] == {"requests": 500.0, "concurrent": 20}
    assert "500 requests" in shown
    assert "0 of 20" in shown
    assert "in order" in shown
    assert "is removed" in removed
    assert "nothing was removed" in again


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "openai", "--rpm", "5"), "provider:openai"),
        (("set", "provider:openai"), "Name requests, tokens or concurrent calls"),
        (("set", "provider:openai", "--rpm", "0"), "--rpm"),
        (("show", "provider:nobody"), "not limited"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """With what to write instead."""
    code, out = run("limits", *arguments)

    assert code == 2
    assert said in out


def test_who_waits_and_what_is_out_of_order_is_told(run: Run, database_url: str) -> None:
    """A breaker that is open, a model that said later, and a call that waits for its share."""
    run("limits", "set", "provider:openai", "--rpm", "1")
    with interlock.open(database_url, config=CONFIG) as il:
        rates = il._ports.rates
        stored = rates.wait(lambda each: each.look()).stored
        caller = Caller(model="openai:gpt-5", thread_id="t1", node="write")
        asks = [
            Ask(key=key, bounds=bounds_of("openai:gpt-5", "", {}, stored), caller=caller)
            for key in ("first", "second")
        ]
        failed = Outcome(name=GPT, failed=5, told="out of order")
        pushed = Pushed(name="model:openai:gpt-4o", seconds=90, told="too much")
        for ask in asks:
            rates.wait(lambda each, ask=ask: each.take(ask))  # type: ignore[misc]  # bound now
        end = End(ask=Ask(key="x"), made=False, outcomes=(failed,), pushed=(pushed,))
        rates.wait(lambda each: each.settle(end))
        _, out = run("limits")
        _, told = run("limits", "list", "--json")

    assert "open, tried at " in out
    assert "out of order" in out
    assert "told to wait until" in out
    assert "said model:openai:gpt-4o: too much" in out
    assert "waits openai:gpt-5 in write of thread t1" in out
    document = json.loads(told)
    assert [each["for"] for each in document["waiting"]] == ["provider:openai"]
    assert {each["name"]: each["breaker"] for each in document["limits"]} == {
        GPT: "open",
        "model:openai:gpt-4o": "closed",
        "provider:openai": "closed",
    }
