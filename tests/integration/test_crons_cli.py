"""`interlock cron` and `interlock timers` as a person and a script use them."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from interlock.cli.program import execute
from tests.saying import Say

CONFIG = Path(__file__).parents[1] / "sample" / "asleep" / "langgraph.json"


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def given(tmp_path: Path) -> str:
    return json.dumps({"folder": str(tmp_path), "seconds": 3600, "said": []})


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints for a person."""
    capsys.readouterr()
    assert execute(arguments) == 0
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_a_cron_is_set_shown_paused_resumed_and_removed(say: Say, given: str) -> None:
    """Each command says how it stands then, with its next five times in its own zone."""
    arguments = ("digest", "nap", "30 7 * * *", "--zone", "Asia/Tokyo", "--input", given)
    code, made = say("cron", "set", *arguments, "--within", "30m", "--priority", "2")
    assert (code, made["schedule"], made["within"], made["priority"]) == (0, "30 7 * * *", 1800, 2)
    assert [each[10:] for each in made["next"]] == ["T07:30:00+09:00"] * 5
    assert [each["name"] for each in say("cron", "list")[1]["crons"]] == ["digest"]
    assert say("cron", "pause", "digest")[1]["next"] == []
    assert len(say("cron", "resume", "digest")[1]["next"]) == 5
    assert say("cron", "remove", "digest") == (0, {"removed": "digest"})
    assert say("cron", "list") == (0, {"crons": []})


def test_what_a_person_reads_of_a_cron(
    say: Say, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schedule in words, what is missed, and what it has not done yet."""
    assert "No crons. interlock cron set" in shown(capsys, "cron")
    say("cron", "set", "digest", "nap", "30 7 * * mon-fri", "--input", given)
    page = shown(capsys, "cron", "show", "digest")
    assert "At 07:30 on Monday through Friday, UTC" in page
    assert "missed times: once" in page
    assert "It has not fired yet." in page
    assert "digest" in shown(capsys, "cron", "list")
    say("cron", "pause", "digest")
    assert "interlock cron resume digest" in shown(capsys, "cron", "show", "digest")


@pytest.mark.parametrize("columns", ["80", "160"])
def test_the_list_tells_the_next_time_in_the_zone_of_the_schedule(
    columns: str,
    say: Say,
    given: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half past seven in Tokyo is told as that, on a narrow screen too."""
    monkeypatch.setenv("COLUMNS", columns)
    say("cron", "set", "digest", "nap", "30 7 * * *", "--zone", "Asia/Tokyo", "--input", given)
    assert " 07:30 JST" in shown(capsys, "cron", "list")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "none"), "There is no cron 'none'"),
        (("set", "c", "nap", "61 * * * *"), "Bad minute"),
        (("set", "c", "no such", "* * * * *"), "There is no graph 'no such'"),
        (("set", "c", "nap", "* * * * *", "--within", "soon"), "'soon' is no time"),
    ],
)
def test_what_is_wrong_is_told(say: Say, arguments: tuple[str, ...], told: str) -> None:
    """The exit code is that of a wrong call."""
    code, document = say("cron", *arguments)

    assert code == 2
    assert told in document["error"]["message"]


def test_a_run_that_sleeps_says_until_when(
    say: Say, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """So does its timer, and a resume before its time."""
    code, run = say("run", "nap", "--thread", "t", "--input", given)
    assert (code, run["status"], run["questions"]) == (3, "waiting", [])
    assert run["wakes_at"]
    [timer] = say("timers", "list", "--thread", "t")[1]["timers"]
    assert (timer["kind"], timer["state"], timer["due_at"][:19]) == (
        "wake",
        "set",
        run["wakes_at"][:19],
    )
    assert "thread t" in shown(capsys, "timers")
    code, refused = say("resume", "t")
    assert code == 2
    assert "Thread t sleeps until" in refused["error"]["message"]
    assert "It sleeps until" in shown(capsys, "history", "t")


def test_a_timer_that_was_set_aside_is_tried_again(
    say: Say, given: str, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list says what went wrong and how to go on."""
    assert "No such timers" in shown(capsys, "timers")
    say("run", "nap", "--thread", "t", "--input", given)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "update interlock.timers set state = 'failed', tries = 8, error = 'no room left'"
        )
    page = shown(capsys, "timers", "list", "--failed")
    assert "failed after 8 tries: no room left" in page
    assert "interlock timers retry ID" in page

    [timer] = say("timers", "list", "--failed")[1]["timers"]
    assert say("timers", "retry", str(timer["id"])) == (0, {"retried": 1})
    assert say("timers", "retry", str(timer["id"]))[0] == 2
    assert say("timers", "retry", "--all") == (0, {"retried": 0})
    assert say("timers", "retry")[0] == 2
