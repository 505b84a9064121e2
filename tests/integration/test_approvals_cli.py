"""`interlock approvals`, where several people answer, time passes, and people are told."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import interlock
from interlock.cli.program import execute
from tests.questions import ask, sql, wait_for
from tests.saying import Document, Say, saying

CONFIG = Path(__file__).parents[1] / "sample" / "langgraph.json"


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("INTERLOCK_USER", "ann")
    monkeypatch.setenv("INTERLOCK_NOTIFY", "webhook:http://127.0.0.1:9/T0KEN")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    return saying(capsys, "approvals")


@pytest.fixture
def waiting(database_url: str) -> Callable[..., list[str]]:
    """Makes questions of a thread with these terms, and returns their ids."""

    async def made(*terms: Document, thread: str) -> list[str]:
        async with interlock.aopen(database_url, config=CONFIG) as il:
            return [each.id for each in await ask(il.store, *terms, thread=thread)]

    return lambda *terms, thread="t": asyncio.run(made(*terms, thread=thread))


def test_two_people_agree_on_the_command_line(say: Say, waiting: Callable[..., list[str]]) -> None:
    """The first is told that more must; the list says who has; the second goes on."""
    [name] = waiting({"needed": 2, "who": ["ann", "bob"], "within": 3600})

    half = say("approve", name, "--message", "fine")
    [listed] = say("list")[1]["questions"]
    again = say("approve", name, "--by", "ANN")
    whole = say("approve", name, "--by", "bob", "--no-run")
    history = say("show", name)[1]["history"]

    assert (half[0], half[1]["status"], whole[0], whole[1]["status"]) == (3, "waiting", 0, "queued")
    assert listed["votes"] == [{"by": "ann", "decision": "approve", "message": "fine"}]
    assert (listed["assignees"], listed["needed"]) == (["ann", "bob"], 2)
    assert listed["deadline"] > listed["asked_at"]
    assert (again[0], "needs 2 different people" in again[1]["error"]["message"]) == (2, True)
    assert [each["kind"] for each in history] == ["asked", "voted", "voted", "answered"]


def test_the_screens_say_what_binds_an_answer(
    waiting: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who, how many, until when, and how much, for a person."""
    [name] = waiting({"needed": 2, "who": ["ann", "bob"], "within": 3600})
    execute(["approvals", "approve", name])
    execute(["approvals", "show", name])
    execute(["approvals"])
    text = capsys.readouterr().out

    assert f"Noted. Question {name[:8]}: 1 of 2 agree (ann)." in text
    assert "$0.25" in text
    assert "then rejected" in text
    assert "ann, bob; 1 of 2 agree (ann)" in " ".join(text.split())


def test_a_vote_beside_a_queued_run_is_no_last_word(
    say: Say, waiting: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A deadline left a run behind; who answers another question is told that more people must agree to it."""
    name, late = waiting({"needed": 2}, {"within": 60})
    asyncio.run(_late(late))
    say("sweep")

    assert execute(["approvals", "approve", name, "--no-run"]) == 3
    assert f"Noted. Question {name[:8]}: 1 of 2 agree (ann)." in capsys.readouterr().out


async def _late(question: str) -> None:
    statement = "update interlock.questions set deadline = now() where question_id = %s"
    await sql(os.environ["INTERLOCK_DATABASE_URL"], statement, question)


def test_a_narrow_list_keeps_ids_whole_and_shows_arguments(
    waiting: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An id can be copied from 60 columns, and two questions about one action can be told apart."""
    monkeypatch.setenv("COLUMNS", "60")
    [name] = waiting({"needed": 2, "who": ["ann", "bob"], "within": 3600})
    execute(["approvals"])
    narrow = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "160")
    execute(["approvals"])

    assert f"{name[:8]} " in narrow
    assert '"amount": 5' in capsys.readouterr().out


def test_what_another_application_tells_beside_its_question_is_shown(
    say: Say, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who answers sees the whole interrupt, in the list and in full."""

    async def waiting() -> str:
        told = {"question": "Refund it?", "amount": 20, "customer": {"name": "Ada"}}
        async with interlock.aopen(database_url, config=CONFIG) as il:
            return (await wait_for(il.store, [told]))[0].id

    name = asyncio.run(waiting())
    execute(["approvals"])
    listed = capsys.readouterr().out
    execute(["approvals", "show", name])
    shown = capsys.readouterr().out

    assert '{"amount": 20, "customer": {"name": "Ada"}}' in listed
    assert re.search(r"Refund it\?.*amount +20.*customer +name: Ada", shown, re.DOTALL)


def test_what_begins_like_json_and_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in a result is not written down as text for good."""
    code = execute(["effects", "resolve", "abc", "--happened", "--result", '{"id": '])

    assert code == 2
    assert '--result is not valid JSON: {"id": ' in capsys.readouterr().err


def test_several_questions_are_answered_by_one_command(
    say: Say, waiting: Callable[..., list[str]]
) -> None:
    """All or none, and of one thread only."""
    a, b = waiting({}, {"who": ["bob"]})
    [other] = waiting({}, thread="other")

    refused = say("approve", a, b)
    mixed = say("approve", a, other)
    taken = say("approve", a, b, "--by", "bob", "--no-run")

    assert (refused[0], "'ann' may not answer" in refused[1]["error"]["message"]) == (2, True)
    assert (mixed[0], "belong to several threads" in mixed[1]["error"]["message"]) == (2, True)
    assert (taken[0], taken[1]["questions"]) == (0, [])


def test_an_edit_is_agreed_to_by_its_digest(say: Say, waiting: Callable[..., list[str]]) -> None:
    """The digest is what `show` names; without it nobody agrees to changed arguments."""
    [name] = waiting({"needed": 2})
    say("edit", name, "--set", "amount=4")
    digest = say("show", name)[1]["digest"]

    blind = say("approve", name, "--by", "bob")
    seen = say("approve", name, "--by", "bob", "--digest", digest[:8], "--no-run")

    assert (blind[0], "were changed by ann" in blind[1]["error"]["message"]) == (2, True)
    assert seen[0] == 0


def test_a_sweep_takes_the_steps_and_shows_who_was_not_told(
    say: Say, waiting: Callable[..., list[str]], database_url: str
) -> None:
    """A target where nobody listens is shown by its name, with what went wrong, and without its secret."""
    [name] = waiting({"within": 60})
    asyncio.run(sql(database_url, "update interlock.questions set deadline = now()"))

    code, swept = say("sweep")
    told = say("notifications")[1]

    assert (code, swept["steps"]) == (
        0,
        [{"question_id": name, "thread_id": "t", "step": "expired"}],
    )
    assert (swept["sent"], swept["not_sent"]) == (0, 1)
    assert [(each["target"], each["error"]) for each in told["notifications"]] == [
        ("webhook 127.0.0.1:9", "no answer: ConnectError")
    ]
    assert "T0KEN" not in json.dumps(told)
    assert say("notifications", "--failed")[1]["notifications"] == []


@pytest.mark.parametrize("text", ["soon", "0s", "-1"])
def test_a_pause_that_is_none_is_refused(say: Say, text: str) -> None:
    """Before anything is watched."""
    code, document = say("watch", "--every", text)

    assert (code, document["error"]["hint"]) == (2, "Write 5s, 500ms or 2m.")


def test_watching_is_stopped_by_a_signal(waiting: Callable[..., list[str]]) -> None:
    """Ctrl-C ends it with the code 0, after what it had begun."""
    waiting({})
    command = [sys.executable, "-m", "interlock", "approvals", "watch", "--every", "50ms"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

    assert (first, process.returncode) == ("Watching. Ctrl-C stops it.\n", 0)
    assert "Stopping." in rest
