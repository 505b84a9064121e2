"""How an installation stands: read from its tables, shown as a person and a probe see it."""

from __future__ import annotations

import codecs
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

import interlock
from interlock import Interlock, Limits
from interlock.cli.program import execute
from interlock.core.queueing import Options
from interlock.postgres.locks import ThreadLocks
from tests.working import until, worker_at

CONFIG = Path(__file__).parents[1] / "sample" / "watched" / "langgraph.json"
PATIENCE = 120.0
Say = Callable[..., tuple[int, str]]


@pytest.fixture
def il(database_url: str) -> Iterator[Interlock]:
    with interlock.open(database_url, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def say(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Say:
    """Runs a command in this process and returns its code and what it printed."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(CONFIG))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = execute(arguments)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def sql(url: str, statement: LiteralString, *values: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement, values)


def with_worker(url: str, *, lease: str = "10 seconds") -> None:
    sql(
        url,
        "insert into interlock.workers (worker_id, process, backend, concurrency, lease_until)"
        " values ('w', 'host:7', 0, 16, clock_timestamp() + %s::interval)",
        lease,
    )


def errand() -> dict[str, Any]:  # the graph's input
    return {"places": ["mill"]}


def test_a_run_that_a_timer_will_begin_is_not_called_stopped(
    il: Interlock, database_url: str, say: Say
) -> None:
    """What is to begin later is `later`, and what is to be tried again `retrying`: nobody has to resume them."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    il.submit("errand", errand(), thread_id="one", options=Options(start_at=tomorrow))
    il.submit("errand", errand(), thread_id="two", options=Options(start_at=tomorrow))
    sql(database_url, "update interlock.timers set kind = 'retry' where thread_id = 'two'")

    code, said = say("status", "--json")

    pending = {each["thread_id"]: each["pending"] for each in json.loads(said)["threads"]}
    assert (code, pending) == (0, {"one": "later", "two": "retrying"})
    assert "stopped" not in say("status")[1]


def test_who_submits_or_waits_where_no_worker_is_hears_of_it(say: Say, database_url: str) -> None:
    """Nothing would happen, and nothing would say why; with a worker about there is nothing to say."""
    code, said = say("submit", "errand", "--places", "mill", "--thread", "one")
    assert (code, "No worker is here." in said, "interlock resume one" in said) == (0, True, True)
    code, said = say("wait", "one", "--timeout", "1s")
    assert (code, "No worker is here." in said) == (124, True)

    with_worker(database_url)
    assert "No worker" not in say("submit", "errand", "--places", "mill")[1]
    assert "No worker" not in say("wait", "one", "--timeout", "1s")[1]


def test_a_run_named_where_a_thread_belongs_leads_to_its_thread(say: Say, il: Interlock) -> None:
    """`submit` prints the run, and `resume` takes a thread: the error says which."""
    run = il.submit("errand", errand(), thread_id="mine")

    code, said = say("resume", run.run_id[:8])

    assert code == 2
    assert f"There is no thread '{run.run_id[:8]}'. A run of thread mine has that name." in said


@pytest.mark.parametrize(
    "command", [("show", "one"), ("replay", "one"), ("fork", "one", "--at", "0")]
)
def test_steps_of_a_run_that_has_not_begun(command: tuple[str, ...], say: Say) -> None:
    """Whoever asks for the steps of what is still queued is told that there are none; it can be drawn."""
    say("submit", "errand", "--places", "mill", "--thread", "one")

    code, said = say(*command)
    assert (code, "This thread has made no step yet." in said) == (2, True)
    assert say("graph", "errand", "--thread", "one")[0] == 0


def test_an_empty_database_is_healthy(il: Interlock) -> None:
    """Nothing is wrong, nothing is for workers, and the server is told of."""
    health = il.health()

    assert (health.findings, health.uses_workers, health.queue, health.workers) == (
        (),
        False,
        (),
        (),
    )
    assert health.server is not None
    assert health.server.bytes > 100_000
    assert {"runs", "queue", "checkpoints"} <= {each.name for each in health.server.tables}


def test_the_queue_is_told_by_tenant_graph_and_priority(il: Interlock, database_url: str) -> None:
    """What is ready, what waits behind others, what is claimed, and how long the first has waited."""
    for _ in range(2):
        il.submit("errand", errand(), options=Options(priority=5))
    first = il.submit("errand", errand(), thread_id="t")
    il.submit("errand", errand(), thread_id="t", options=Options(multitask_strategy="enqueue"))
    sql(
        database_url,
        "update interlock.queue set rank = rank - interval '1 hour' where priority = 0",
    )
    with_worker(database_url)
    urgent = "select min(run_id) from interlock.queue where priority = 5"
    with psycopg.connect(database_url, autocommit=True) as connection:
        (found,) = connection.execute(urgent).fetchone() or ("",)
    sql(database_url, "update interlock.queue set worker_id = 'w' where run_id = %s", found)

    health = il.health()
    assert [(e.graph, e.priority, e.ready, e.behind, e.claimed) for e in health.queue] == [
        ("errand", 0, 1, 1, 0),
        ("errand", 5, 1, 0, 1),
    ]
    assert 3600 <= health.oldest_seconds < 3660
    assert health.queue[1].oldest_seconds < 60
    assert [(w.process, w.runs, w.concurrency) for w in health.workers] == [("host:7", 1, 16)]
    assert health.runs == {"queued": 4}
    assert [f.what for f in health.findings] == ["a run has been ready for 60 min"]
    assert first.status == "queued"


def test_what_else_is_counted(il: Interlock, database_url: str) -> None:
    """Timers, questions, letters, brakes, budgets, switches, doubts, and what happened within a minute."""
    run = il.invoke("errand", {**errand(), "pays": True})
    sql(
        database_url,
        "insert into interlock.timers (kind, due_at, run_id) values"
        " ('wake', clock_timestamp() + interval '1 hour', %s),"
        " ('retry', clock_timestamp() - interval '2 minutes', %s)",
        run.run_id,
        run.run_id,
    )
    sql(
        database_url,
        "insert into interlock.letters (letter_id, run_id, thread_id, graph, kind, attempts)"
        " select 'l', run_id, thread_id, graph, 'bug', 1 from interlock.runs",
    )
    sql(
        database_url,
        "insert into interlock.rates (name, opened_at, told)"
        " values ('provider:x', extract(epoch from clock_timestamp()) - 90, '503')",
    )
    sql(database_url, "update interlock.effects set status = 'intended', owner = 'gone'")
    il.set_budget("tenant", "acme", Limits(usd=1.0))
    sql(database_url, "update interlock.budgets set spent[4] = 0.9 where kind = 'tenant'")
    il.kill("graph", "other", reason="a bad release")

    health = il.health()
    assert [(e.kind, e.timers, e.overdue) for e in health.timers] == [
        ("retry", 1, 1),
        ("wake", 1, 0),
    ]
    assert health.asleep == 1
    assert health.questions.questions == 1
    assert health.letters == {"bug": 1}
    assert [(e.name, e.is_open, e.told) for e in health.brakes] == [("provider:x", True, "503")]
    assert health.doubts == 1
    assert [(e.kind, e.name) for e in health.budgets] == [("tenant", "acme")]
    assert [e.scope for e in health.kills] == ["graph"]
    assert health.pace.events["waiting"] == 1
    assert health.pace.seconds == 60.0
    assert [(f.severity, f.what) for f in health.findings] == [
        ("alarm", "1 timer overdue, by up to 2 min: nobody keeps time"),
        ("alarm", "1 dead letter open"),
        ("alarm", "1 effect in doubt"),
        ("alarm", "provider:x has been out of order for 90 s: 503"),
        ("note", "1 question open"),
        ("note", "graph other is killed: a bad release"),
        ("note", "the budget of tenant acme is nearly spent"),
    ]


async def test_a_live_worker_is_seen(database_url: str) -> None:
    """A worker that works is listed with its lease, and what it did counts."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as il,
        worker_at(database_url, config=CONFIG) as working,
    ):
        run = await il.asubmit("errand", errand())

        async def ended() -> bool:
            return (await il.arun(run.thread_id)).status == "succeeded"

        await until(ended)
        health = await il.ahealth()
        await working.stopped()

    (worker,) = health.workers
    assert (worker.state, worker.process.partition(":")[2]) == ("working", str(os.getpid()))
    assert 0 < worker.lease_seconds <= 10
    assert health.pace.events["succeeded"] == 1
    assert health.findings == ()


def test_whoever_has_no_workers_hears_nothing_of_them(say: Say, il: Interlock) -> None:
    """The list of threads, and what a person should look at; as before."""
    il.invoke("errand", {**errand(), "pays": True}, thread_id="mine")

    code, said = say("status")
    assert code == 0
    assert "1 question open: interlock approvals" in said
    assert "threads: 1 waiting" in said
    assert "mine" in said
    assert "workers" not in said


def test_status_shows_the_picture_where_runs_are_queued(say: Say, il: Interlock) -> None:
    """What is wrong with what to do, then the parts, then the threads, which are queued and not stopped."""
    il.submit("errand", errand(), thread_id="mine")

    code, said = say("status")
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert code == 0
    assert "workers none" in lines
    assert any(line.startswith("queue 1 ready · 0 at work · oldest") for line in lines)
    assert any(line.startswith("mine errand queued") for line in lines)


def test_the_document_holds_all_of_it(say: Say, il: Interlock) -> None:
    """`--json` tells the same, with the sums made."""
    il.submit("errand", errand(), thread_id="mine")

    code, said = say("status", "--json")
    found = json.loads(said)
    assert code == 0
    assert found["health"]["sums"]["ready"] == 1
    assert found["health"]["queue"][0]["graph"] == "errand"
    assert [(e["thread_id"], e["pending"]) for e in found["threads"]] == [("mine", "queued")]


def test_a_probe_is_told_by_the_code(say: Say, il: Interlock, database_url: str) -> None:
    """0 when nothing needs a person, 1 with what does, whether there is an application or not."""
    assert say("status", "--check") == (0, "Nothing needs a person.\n")
    il.submit("errand", errand())
    sql(database_url, "update interlock.queue set rank = rank - interval '1 minute'")
    code, said = say("status", "--check", "--config", "/nowhere/langgraph.json")
    assert (code, said) == (1, " !  1 run queued, and no worker  interlock worker\n")
    code, said = say("status", "--check", "--json")
    assert (code, json.loads(said)["ok"]) == (1, False)


def test_a_probe_is_told_that_nothing_answers(
    say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """2 for a server that is not there, one that was never started, and one without our tables."""
    nobody = f"postgresql://x@/x?host={tmp_path}&connect_timeout=1"
    monkeypatch.setattr("interlock.postgres.pool.CONNECT_SECONDS", 0.2)
    code, said = say("status", "--check", "--url", nobody)
    assert (code, "does not answer" in said) == (2, True)

    monkeypatch.delenv("INTERLOCK_DATABASE_URL")
    code, said = say("status", "--check", "--data-dir", str(tmp_path / "none"))
    assert code == 2
    assert "The embedded server does not run." in said
    assert not (tmp_path / "none").exists()


def test_live_needs_a_terminal(say: Say) -> None:
    """Without one it says so; as JSON it needs none."""
    code, said = say("status", "--live")

    assert code == 2
    assert "--live needs a terminal" in said


@pytest.mark.parametrize("columns", [50, 80])
def test_live_stays_within_the_terminal_and_leaves_cleanly(database_url: str, columns: int) -> None:
    """No line is longer than a narrow terminal; Ctrl-C gives the screen back and ends with 0."""
    with interlock.open(database_url, config=CONFIG) as il:
        il.submit("errand", errand(), thread_id="mine")
    with_worker(database_url)

    screen = Terminal(columns, "status", "--live", "--url", database_url)
    try:
        screen.until("mine")
        sql(
            database_url,
            "select interlock.note_run(run_id, thread_id, 'lost', '', '{}') from interlock.runs",
        )
        screen.until("1 lost")
        screen.process.send_signal(signal.SIGINT)
        assert screen.process.wait(PATIENCE) == 0
        screen.read()
    finally:
        screen.close()

    assert "\x1b[?1049h" in screen.said  # to the other screen
    assert screen.said.rstrip().rpartition("\x1b[?1049l")[1]  # and back
    assert max(map(len, screen.lines())) <= columns


def test_a_thread_lock_counts_as_no_doubt(database_url: str) -> None:
    """An effect whose process lives is under way, and not in doubt."""
    with interlock.open(database_url, config=CONFIG) as il:
        il.invoke("errand", errand())
        owner = interlock.core.sync.run_sync(_owner(database_url))
        sql(database_url, "update interlock.effects set status = 'intended', owner = %s", owner[1])
        assert il.health().doubts == 0
        interlock.core.sync.run_sync(owner[0].close())
        deadline = time.monotonic() + PATIENCE
        while il.health().doubts == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert il.health().doubts == 1


async def _owner(url: str) -> tuple[ThreadLocks, str]:
    locks = ThreadLocks(url)
    return locks, await locks.owner()


class Terminal:
    """A command in a terminal of so many columns, and what it wrote."""

    def __init__(self, columns: int, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.said = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end inside a character
        size = {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "interlock", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, **size, "INTERLOCK_CONFIG": str(CONFIG)},
            start_new_session=True,
        )
        os.close(slave)

    def until(self, text: str) -> None:
        """Read until something was written."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < deadline, self.said[-2000:]
            self.read(0.2)

    def read(self, seconds: float = 0.0) -> None:
        """Read what was written."""
        while select.select([self._master], [], [], seconds)[0]:
            try:
                self.said += self._decoder.decode(os.read(self._master, 65536))
            except OSError:  # it has ended
                return

    def lines(self) -> list[str]:
        """Return what was written, without what moves the cursor and colours it."""
        frames = self.said.replace("\x1b[H", "\n").replace("\r", "")
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frames).split("\n")

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
