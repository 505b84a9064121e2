"""Budgets at the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock.cli.program import execute
from interlock.core.budget import Limits
from interlock.testing import OneModel
from tests.spending import Priced

CONFIG = Path(__file__).parents[1] / "sample" / "bounds" / "langgraph.json"
Say = Callable[..., tuple[int, Any]]


@pytest.fixture
def say(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Say:
    """Runs a command with --json, and returns its code and its document."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> tuple[int, Any]:
        code = execute([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def landed(database_url: str) -> str:
    """A thread whose run was steered to its landing."""

    async def made() -> str:
        models = OneModel(chat=Priced())
        async with interlock.aopen(database_url, config=CONFIG, models=models) as il:
            given, limits = {"members": 3, "calls": 2}, Limits(model_calls=4)
            await il.ainvoke("team", given, thread_id="landed", limits=limits)
        return "landed"

    return asyncio.run(made())


def test_limits_are_set_shown_and_removed(say: Say) -> None:
    """What is set later is added; removed, nothing is left of it."""
    say("budget", "set", "tenant", "acme", "usd=2.5", "tokens=1000")
    _, two = say("budget", "set", "tenant", "acme", "tokens=2000")
    _, listed = say("budget", "list", "--limited")
    _, gone = say("budget", "remove", "tenant", "acme")

    assert two["limits"] == {"tokens": 2000, "usd": 2.5}
    assert [each["name"] for each in listed["budgets"]] == ["acme"]
    assert gone["limits"] == {}
    assert say("budget", "list", "--limited")[1] == {"budgets": []}


def test_nothing_is_removed_where_nothing_is_stored(
    say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and leaves no budget of that name behind."""
    code = execute(["budget", "remove", "tenant", "acmee"])

    assert code == 0
    assert "tenant acmee has no stored limits" in capsys.readouterr().out
    assert say("budget", "list")[1] == {"budgets": []}


def test_list_fits_eighty_columns(
    say: Say, landed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, numbers and limits are whole; ids are as short as those of other screens."""
    monkeypatch.setenv("COLUMNS", "80")
    execute(["budget", "set", "tenant", "acme", "model_calls=20", "tokens=2000000", "usd=2.5"])
    capsys.readouterr()
    execute(["budget", "list"])
    told = capsys.readouterr().out

    assert "…" not in told
    assert all(word in told for word in ("tenant", "thread", "landed", "actions", "tokens=2000000"))


def test_misspelt_unit_is_told_the_near_one(say: Say) -> None:
    """The hint names the unit that was probably meant."""
    _, told = say("budget", "set", "tenant", "acme", "token=5")

    assert told["error"]["message"] == "budget set: 'token' is no unit."
    assert told["error"]["hint"].startswith("Did you mean tokens?")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tenant", "acme", "dollars=2"], "'dollars' is no unit"),
        (["tenant", "acme", "usd=much"], "'usd=much' is no limit"),
        (["tenant", "acme", "usd"], "'usd' is no limit"),
        (["tenant", "acme", "usd=-1"], "usd=-1 is no limit"),
        (["tenant", "acme", "tokens=1.5"], "no whole number"),
        (["tenant", "acme", "landing=1"], "landing=1 is no limit"),
        (["thread", "none", "usd=1"], "no thread"),
    ],
)
def test_limit_that_is_none_is_refused(say: Say, arguments: list[str], said: str) -> None:
    """As a wrong call, with what is wrong."""
    code, told = say("budget", "set", *arguments)

    assert code == 2
    assert said in told["error"]["message"]


def test_partial_run_says_so_everywhere(
    say: Say, landed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its budget, and where its thread is shown; as words and as JSON."""
    _, budget = say("budget", "show", "thread", landed)
    _, run = say("budget", "show", "run", landed)
    _, shown = say("show", landed)
    execute(["budget", "show", "run", landed])
    execute(["show", landed])
    text = " ".join(capsys.readouterr().out.split())

    assert budget["spent"]["model_calls"] == 4
    assert run["limits"] == {"model_calls": 4}
    assert "4 model calls" in run["partial"]
    assert (shown["budget"], shown["partial"]) == ("4 of 4 model calls", run["partial"])
    assert "model calls 4 0 4 0" in text
    assert "budget of its latest run: 4 of 4 model calls" in text
    assert text.count("partial: The budget of run") == 2


def test_status_tells_what_is_nearly_spent(say: Say, landed: str) -> None:
    """From four fifths on; what a run took, which has ended, needs nobody."""
    say("budget", "set", "graph", "team", "model_calls=5")
    _, near = say("status")
    say("budget", "set", "graph", "team", "model_calls=6")
    _, far = say("status")

    assert near["needs"]["budgets"] == ["graph team: 4 of 5 model calls"]
    assert far["needs"]["budgets"] == []


def test_run_takes_a_budget_and_resume_another(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is refused ends with code 4, and says how to go on."""
    monkeypatch.setattr("interlock.app.ChatModels", lambda **_: OneModel(chat=Priced()))
    code, told = say("run", "bare", "--calls", "2", "--thread", "t", "--budget", "model_calls=1")
    again = say("resume", "t")[0]
    on, run = say("resume", "t", "--budget", "model_calls=9")
    wrong = say("run", "bare", "--calls", "2", "--budget", "calls=1")[0]

    assert (code, told["error"]["kind"], told["thread_id"]) == (4, "BudgetSpent", "t")
    assert "interlock budget set run" in told["error"]["hint"]
    assert (again, on, wrong) == (4, 0, 2)
    assert run["status"] == "succeeded"


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """Which can be copied."""
    assert execute(["budget", "--help"]) == 0

    assert "interlock budget set tenant acme usd=100" in capsys.readouterr().out
