"""`interlock letters` as a person and a script use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import interlock
from interlock.cli.program import execute
from tests.saying import Say
from tests.unattended import attempt

CONFIG = Path(__file__).parents[1] / "sample" / "failing" / "langgraph.json"
Die = Callable[..., str]


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("INTERLOCK_USER", "ann")


@pytest.fixture
def die(database_url: str, tmp_path: Path) -> Die:
    """Lets a run of a graph die and returns its thread."""

    async def died(graph: str, thread: str) -> str:
        log = tmp_path / thread
        Path(f"{log}.left").write_text("1")
        async with interlock.aopen(database_url, config=CONFIG) as il:
            run = await il.asubmit(graph, {"how": "bug", "log": str(log)}, thread_id=thread)
            assert (await attempt(il, run.run_id)).status == "dead"
        return thread

    return lambda graph="fails", thread="t": asyncio.run(died(graph, thread))


def test_a_letter_is_listed_shown_and_replayed(say: Say, die: Die) -> None:
    """By the beginning of its id; then it is closed, and listed only when all are asked for."""
    die()
    (letter,) = say("letters", "list")[1]["letters"]
    assert (letter["kind"], letter["thread_id"], letter["node"]) == ("bug", "t", "fail")
    assert "traceback" not in letter

    code, shown = say("letters", "show", letter["id"][:5])
    assert (code, shown["letter"]["id"], shown["state"]["said"]) == (
        0,
        letter["id"],
        ["sent begin"],
    )
    assert 'KeyError("a bug")' in shown["letter"]["traceback"]

    code, done = say("letters", "replay", letter["id"][:5], "--reason", "mended", "--by", "ben")
    assert code == 0
    assert [(each["status"], each["closed_by"]) for each in done["letters"]] == [
        ("replayed", "ben")
    ]
    assert say("letters", "list")[1]["letters"] == []
    assert len(say("letters", "list", "--all")[1]["letters"]) == 1
    assert say("resume", "t")[1]["status"] == "succeeded"


def test_many_are_closed_at_once(say: Say, die: Die) -> None:
    """By kind, graph and age; by name several, of which one that cannot be replayed hinders no other."""
    for graph, thread in (("fails", "a"), ("fails", "b"), ("nested", "c"), ("nested", "d")):
        die(graph, thread)

    code, done = say("letters", "replay", "--all", "--graph", "fails", "--since", "2h")
    assert (code, [each["thread_id"] for each in done["letters"]]) == (0, ["a", "b"])
    assert say("letters", "discard", "--all", "--kind", "budget", "--reason", "x") == (
        0,
        {"letters": []},
    )

    ids = {each["thread_id"]: each["id"] for each in say("letters", "list")[1]["letters"]}
    assert say("letters", "discard", ids["c"], "--reason", "enough")[0] == 0
    code, done = say("letters", "discard", ids["c"], ids["d"], "--reason", "enough")
    assert (code, [bool(each["refused"]) for each in done["letters"]]) == (1, [True, False])
    assert say("letters", "discard", ids["d"], "--reason", "enough")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nobody"),
        ("replay",),
        ("replay", "nobody"),
        ("replay", "a", "--all"),
        ("replay", "a", "--kind", "bug"),
        ("replay", "--all", "--since", "yesterday"),
        ("discard", "a"),
        ("list", "--kind", "nonsense"),
    ],
)
def test_what_is_wrong_is_said(say: Say, arguments: tuple[str, ...]) -> None:
    """A letter that is not there, none named, or an option that means nothing: the call is wrong."""
    code, document = say("letters", *arguments)
    assert (code, "error" in document) == (2, True)


def test_what_is_killed_is_not_replayed(say: Say, die: Die) -> None:
    """It is told with the code of a killed run."""
    die()
    (letter,) = say("letters", "list")[1]["letters"]
    say("kill", "thread", "t", "--reason", "why")

    assert say("letters", "replay", letter["id"])[0] == 5


def test_a_person_sees_what_matters(
    die: Die, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed and where, why it was not retried, what was done, what to type next; in a narrow terminal too."""
    assert execute(["letters", "list"]) == 0
    assert capsys.readouterr().out.startswith("No dead letters.")
    die()
    monkeypatch.setenv("COLUMNS", "60")

    assert execute(["letters"]) == 0
    listed = capsys.readouterr().out
    name = listed.splitlines()[-1].split()[3]
    assert execute(["letters", "show", name]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    assert lines[0].startswith("DEAD bug in fails, ")
    assert lines[1] == "KeyError: 'a bug'"
    assert "where fail, after step 1" in lines
    assert "not retried the same code would fail again; 1 attempt in" in lines
    assert any(line.startswith("done failing_send") for line in lines)
    assert any('raise KeyError("a bug")' in line for line in lines)
    assert f'interlock letters replay {name} --reason "…"' in lines
    assert f'interlock letters discard {name} --reason "…"' in lines
