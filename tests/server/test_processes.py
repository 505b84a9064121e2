"""Several server processes on one port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import IO

import httpx
import psutil
import pytest
from langgraph_sdk import get_client

from interlock.server.processes import sockets
from tests.server.conftest import SAMPLE

PATIENCE = 120.0

pytestmark = pytest.mark.timeout(240)


@dataclass(slots=True)
class Serving:
    """`interlock serve --processes`, and what it says."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    _news: Condition = field(default_factory=Condition)
    _over: bool = False

    @property
    def parent(self) -> psutil.Process:
        """What looks after the others."""
        return psutil.Process(self.process.pid)

    @property
    def children(self) -> list[psutil.Process]:
        """The processes that serve."""
        return self.parent.children()

    @property
    def address(self) -> str:
        """Where they serve."""
        return self.line("Serving ").split()[1]

    def line(self, text: str) -> str:
        """Wait for a line with a text, and return it."""
        with self._news:
            there = self._news.wait_for(lambda: self._over or self._with(text), PATIENCE)
        if not there or not self._with(text):
            pytest.fail(f"{text!r} was not said: {''.join(self.said)}")
        return self._with(text)[0]

    def listen(self, stderr: IO[str]) -> None:
        """Take down what is said until the end."""
        for line in stderr:
            with self._news:
                self.said.append(line)
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _with(self, text: str) -> list[str]:
        return [each for each in self.said if text in each]


@contextmanager
def processes(database: str, *options: str, port: int = 0) -> Iterator[Serving]:
    """Serve in two processes; what is left at the end is killed."""
    command = [sys.executable, "-m", "interlock", "serve", "--port", str(port), "--url", database]
    command += ["--config", str(SAMPLE), "--workers-inside", "4", "--processes", "2", *options]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"INTERLOCK_SERVER_KEY": "false"},
    )
    assert process.stderr is not None
    serving = Serving(process)
    listening = Thread(target=serving.listen, args=(process.stderr,), daemon=True)
    listening.start()
    try:
        yield serving
    finally:
        left: Sequence[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            left = [serving.parent, *serving.children]
        for each in left:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait(30)
        listening.join(30)
        process.stderr.close()


def statuses(address: str, times: int) -> list[int]:
    """Return what so many requests are answered, each on a connection of its own."""
    return [httpx.get(f"{address}/info", timeout=PATIENCE).status_code for _ in range(times)]


def counted(address: str) -> float:
    """Return how often `/info` was asked for, as Prometheus is told."""
    text = httpx.get(f"{address}/metrics", timeout=PATIENCE).text
    name = 'interlock_http_requests_total{method="GET",route="/info",status="200"}'
    return next(float(each.split()[-1]) for each in text.splitlines() if each.startswith(name))


async def test_one_that_is_killed(server_database: str) -> None:
    """Of two processes one is killed: each request is answered, runs go on, and another takes its place."""
    with processes(server_database) as serving:
        address = serving.address
        before = {each.pid for each in serving.children}
        assert statuses(address, 20) == [200] * 20
        assert counted(address) == 20  # by whichever of them it is told

        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        assert statuses(address, 20) == [200] * 20
        assert "ended by signal 9" in serving.line("another takes its place")
        assert counted(address) == 40
        after = {each.pid for each in serving.children}
        async with get_client(url=address, api_key=None) as client:
            thread = await client.threads.create()
            output = await client.runs.wait(thread["thread_id"], "echo", input={"said": "abc"})
        serving.process.send_signal(signal.SIGINT)

        assert serving.process.wait(60) == 0
    assert len(before) == len(after) == 2
    assert killed not in after
    assert output == {"said": "abc", "answered": "cba"}
    assert not any(psutil.pid_exists(each) for each in after)
    assert len([each for each in serving.said if each.startswith("Serving ")]) == 1


def test_whoever_looks_after_them_is_killed(server_database: str) -> None:
    """When the process that looks after the others is killed, these stop by themselves, and the port is free."""
    with processes(server_database) as serving:
        port, children = int(serving.address.rpartition(":")[2]), serving.children
        serving.process.kill()

        _, alive = psutil.wait_procs(children, timeout=60)

    assert alive == []
    with sockets("127.0.0.1", port, 2) as bound:
        assert len(bound) == 2


def test_what_keeps_them_from_serving(server_database: str) -> None:
    """What keeps the first from serving is told once, and the code is that of one process alone."""
    with processes(server_database, "--host", "0.0.0.0") as serving:  # noqa: S104  # it is refused
        code = serving.process.wait(60)
        told = serving.line("it has no key")

    assert code == 2
    assert told.startswith("Error: ")
    assert len([each for each in serving.said if each.startswith("Error: ")]) == 1


def test_a_port_that_is_taken(server_database: str) -> None:
    """Several processes do not share a port with any other."""
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        processes(server_database, port=other.getsockname()[1]) as serving,
    ):
        code = serving.process.wait(60)
        serving.line("cannot be bound")

    assert code == 2
