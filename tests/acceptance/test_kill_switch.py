"""The kill switch across processes: a model server that never answers sees its connection closed in under a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.openai_server import OpenAIServer, Request, Says, Wire

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests" / "sample" / "killed" / "langgraph.json"
PATIENCE = 120.0


@dataclass
class Silence:
    """No answer, ever; notes when the client goes away."""

    gone_at: float = 0.0

    def send(self, request: Request, wire: Wire) -> None:
        """Wait for the other end of the connection to be closed."""
        wire.connection.settimeout(PATIENCE)
        if wire.rfile.read(1) == b"":
            self.gone_at = time.monotonic()
        wire.close_connection = True


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
        "INTERLOCK_TENANT": "acme",
        "OPENAI_API_KEY": "not-a-real-key",
    }.items():
        monkeypatch.setenv(name, value)


def said(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "interlock", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, json.loads(done.stdout)


@contextmanager
def working(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, which does not outlive the test."""
    command = [sys.executable, "-m", "interlock", *arguments, "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(is_so: Any) -> None:
    """Return when something is so; a test that waits for longer has failed."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def thrown_at(database_url: str) -> float:
    """When the switch was committed, by this machine's monotonic clock."""
    import psycopg

    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select extract(epoch from clock_timestamp() - thrown_at) from interlock.kills"
        ).fetchone()
    assert row is not None
    return time.monotonic() - float(row[0])


@pytest.mark.parametrize("scope", ["thread", "all"])
def test_a_call_that_is_never_answered_is_stopped(
    server: OpenAIServer, silence: Silence, database_url: str, tmp_path: Path, scope: str
) -> None:
    """Killed by another process: the server sees the call end in under a second, and later the run finishes."""
    log = tmp_path / "log"
    with working("run", "asks", "--log", str(log), "--thread", "t") as process:
        until(lambda: server.requests and log.exists() and "beside" in log.read_text())

        named = ["t"] if scope == "thread" else []
        code, kill = said("kill", scope, *named, "--reason", "it hangs", "--by", "ben")
        out, _ = process.communicate(timeout=PATIENCE)
    took = silence.gone_at - thrown_at(database_url)
    print(f"from the switch to the end of the call: {took * 1000:.0f} ms")  # noqa: T201  # the measure

    assert 0 < took < 1
    assert code == 0
    assert [each["kind"] for each in kill["events"]] == ["thrown", "stopped"]
    assert kill["working"] == []
    run = json.loads(out)
    assert (process.returncode, run["status"], run["error"]["kind"]) == (5, "killed", "Killed")
    assert "ben killed" in run["error"]["message"]
    assert "it hangs" in run["error"]["message"]

    code, refused = said("resume", "t")
    assert (code, refused["error"]["kind"]) == (5, "Killed")
    assert said("run", "asks", "--log", str(log), "--thread", "u")[0] == (
        0 if scope == "thread" else 5
    )
    assert said("status")[1]["needs"]["killed"][0]["reason"] == "it hangs"

    assert said("kill", "lift", str(kill["id"]))[0] == 0
    code, resumed = said("resume", "t")
    assert (code, resumed["output"]["said"]) == (0, ["hello", "beside", "end"])
    assert log.read_text().split().count("beside") == (2 if scope == "thread" else 1)


def test_a_detached_run_is_stopped(server: OpenAIServer, silence: Silence, tmp_path: Path) -> None:
    """A process that nobody looks at any more hears of the switch like any other, and ends."""
    log = tmp_path / "log"
    place = {"INTERLOCK_DATA_DIR": str(tmp_path / "data")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.items():
            patch.setenv(name, value)
        code, run = said("run", "asks", "--log", str(log), "--thread", "t", "--detach")
        assert code == 0
        until(lambda: server.requests)

        assert said("kill", "graph", "asks", "--reason", "why")[0] == 0
        until(lambda: not psutil.pid_exists(run["detached"]["pid"]))
        (thread,) = said("status")[1]["threads"]
        assert thread["status"] == "killed"
        assert silence.gone_at
        assert said("resume", "t", "--detach")[0] == 5
