"""`interlock submit`, `wait` and `cancel` as a person and a script use them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from interlock.cli.program import execute
from interlock.cli.submit import time_of
from interlock.errors import UsageError
from tests.saying import Say
from tests.submitting import CONFIG

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("INTERLOCK_USER", "ann")


def submit(*options: str) -> tuple[str, ...]:
    """The command that submits a run on one thread."""
    return ("submit", "steps", "--name", "a", "--how", "", "--thread", "t", *options)


def test_a_run_is_accepted_once_under_its_key(say: Say) -> None:
    """The second time it is the same run; with another input it is refused."""
    code, run = say(*submit("--key", "k", "--priority", "3"))
    assert (code, run["status"], run["thread_id"]) == (0, "queued", "t")

    assert say(*submit("--key", "k"))[1]["run_id"] == run["run_id"]
    code, failure = say("submit", "steps", "--name", "b", "--key", "k")
    assert (code, failure["error"]["kind"]) == (2, "UsageError")


def test_a_strategy_says_what_a_busy_thread_does(say: Say) -> None:
    """By default it refuses."""
    first = say(*submit())[1]
    assert say(*submit())[1]["error"]["kind"] == "ThreadBusy"

    assert say(*submit("--strategy", "enqueue"))[0] == 0
    assert say(*submit("--strategy", "interrupt"))[0] == 0
    assert say("wait", first["run_id"])[0] == 6


def test_a_run_is_cancelled_once(say: Say) -> None:
    """The second time it had ended before, which is told; the code is 1 for what ended otherwise."""
    run = say(*submit())[1]

    code, cancelled = say("cancel", run["run_id"][:8], "--reason", "no", "--by", "bob")
    assert (code, cancelled["error"]["message"]) == (0, "It was cancelled by bob: no.")
    assert say("cancel", "t")[0] == 0

    ended = say("run", "steps", "--name", "a")[1]
    code, told = say("cancel", ended["run_id"])
    assert (code, told["status"]) == (1, "succeeded")


def test_waiting_ends_with_the_code_of_the_run(say: Say) -> None:
    """0 and 3 as `run` has it; 124 when it has not ended in time."""
    asked = say("run", "steps", "--name", "a", "--how", "person", "--thread", "u")[1]
    code, found = say("wait", asked["run_id"])
    assert (code, found["questions"][0]["thread_id"]) == (3, "u")

    run = say(*submit())[1]
    assert say("wait", run["run_id"], "--timeout", "50ms")[0] == 124
    say("resume", "t")
    assert say("wait", "t", "--all")[0] == 0


def test_a_person_reads_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    """The run's id alone on standard output, the rest beside it."""
    assert execute(submit()) == 0

    out, err = capsys.readouterr()
    name = out.strip()[:8]
    for command in ("watch", "wait", "cancel"):
        assert f"interlock {command} {name}" in err


def test_a_run_starts_either_at_a_time_or_after_one(say: Say) -> None:
    """Not both."""
    code, failure = say(*submit("--in", "2h", "--start-at", "2100-01-01"))

    assert (code, failure["error"]["kind"]) == (2, "UsageError")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-03-01T13:30:00+01:00", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("2026-03-01T13:30:00Z", datetime(2026, 3, 1, 13, 30, tzinfo=UTC)),
        ("90s", NOW + timedelta(seconds=90)),
        ("2d", NOW + timedelta(days=2)),
    ],
)
def test_a_time_may_be_written_as_a_duration(text: str, means: datetime) -> None:
    """From now on."""
    assert time_of(text, NOW) == means


def test_what_is_no_time_is_refused() -> None:
    """With how to write one."""
    with pytest.raises(UsageError, match="neither"):
        time_of("tomorrow", NOW)
