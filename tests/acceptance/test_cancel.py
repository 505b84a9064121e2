"""Cancelling across processes: a call that a worker makes is cut, and a worker that is gone hinders nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.test_kill_switch import CONFIG, PATIENCE, Silence, said
from tests.openai_server import OpenAIServer, Says


@pytest.fixture
def silence() -> Silence:
    return Silence()


@pytest.fixture
def server(silence: Silence) -> Iterator[OpenAIServer]:
    with OpenAIServer(silence, Says(text="hello"), Says(text="hello")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def settings(database_url: str, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every process of these tests finds in its environment."""
    for name, value in {
        "INTERLOCK_DATABASE_URL": database_url,
        "INTERLOCK_CONFIG": str(CONFIG),
        "INTERLOCK_MODEL": "openai:gpt-5-nano",
        "INTERLOCK_BASE_URL": server.base_url,
        "INTERLOCK_USER": "ann",
        "OPENAI_API_KEY": "not-a-real-key",
    }.items():
        monkeypatch.setenv(name, value)


@contextmanager
def worker(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, which does not outlive the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "interlock", "worker", *options],
        env=os.environ,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(is_so: Callable[[], object]) -> None:
    """Return when something is so; a test that waits for longer has failed."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def asked(server: OpenAIServer, log: Path) -> dict[str, Any]:
    """A submitted run whose worker has asked the model and gets no answer."""
    code, run = said("submit", "asks", "--log", str(log), "--thread", "t")
    assert (code, run["status"] in ("queued", "running")) == (0, True)  # a worker may be quick
    until(lambda: server.requests)
    return run


def test_a_call_that_a_worker_makes_is_cut(
    server: OpenAIServer, silence: Silence, tmp_path: Path
) -> None:
    """The provider sees the connection end; the worker lives on and takes the next run."""
    with worker() as process:
        run = asked(server, tmp_path / "log")

        code, cancelled = said("cancel", run["run_id"], "--reason", "asked twice")

        assert (code, cancelled["status"]) == (0, "cancelled")
        assert cancelled["error"]["message"] == "It was cancelled by ann: asked twice."
        until(lambda: silence.gone_at)
        code, ended = said("submit", "asks", "--log", str(tmp_path / "log"), "--wait")
        assert (code, ended["status"], process.poll()) == (0, "succeeded", None)


def test_the_run_of_a_worker_that_is_dead_is_cancelled(
    server: OpenAIServer, tmp_path: Path
) -> None:
    """With no other worker about: whoever cancels takes it over."""
    with worker() as process:
        run = asked(server, tmp_path / "log")
        process.send_signal(signal.SIGKILL)
        process.wait()

    code, cancelled = said("cancel", run["run_id"])

    assert (code, cancelled["status"]) == (0, "cancelled")


def test_the_run_of_a_worker_that_is_frozen_is_cancelled(
    server: OpenAIServer, tmp_path: Path, database_url: str
) -> None:
    """Once its lease is over; woken again, it finds that it was removed, and lives on under another name."""
    log = tmp_path / "log"
    with worker("--lease", "3") as process:
        run = asked(server, log)
        process.send_signal(signal.SIGSTOP)

        code, cancelled = said("cancel", run["run_id"])

        assert (code, cancelled["status"]) == (0, "cancelled")
        process.send_signal(signal.SIGCONT)
        code, ended = said("submit", "asks", "--log", str(log), "--thread", "t", "--wait")
        assert (code, ended["status"]) == (0, "succeeded")
    with psycopg.connect(database_url) as connection:
        kinds = connection.execute(
            "select kind from interlock.run_events where run_id = %s order by id", (run["run_id"],)
        ).fetchall()
    assert [kind for (kind,) in kinds] == ["submitted", "claimed", "lost", "cancelled"]


def test_a_wait_for_a_run_ends_with_its_code(server: OpenAIServer, tmp_path: Path) -> None:
    """Cancelled is 6; one that does not end in time is 124."""
    with worker():
        run = asked(server, tmp_path / "log")
        assert said("wait", run["run_id"], "--timeout", "100ms")[0] == 124
        with subprocess.Popen(
            [sys.executable, "-m", "interlock", "wait", "t", "--json"], stdout=subprocess.PIPE
        ) as waiting:
            assert said("cancel", "t")[0] == 0
            out, _ = waiting.communicate(timeout=PATIENCE)

    assert (waiting.returncode, json.loads(out)["status"]) == (6, "cancelled")
