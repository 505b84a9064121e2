"""A Postgres of the test's own, which it may let crash, and which tells when each row was committed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from interlock.postgres import embedded

PATIENCE = 120.0
BACKEND = """
    select pid from pg_stat_activity
    where backend_type = 'client backend' and pid <> pg_backend_pid() order by random() limit 1
"""


class Server:
    """A server that can be ended from outside and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with embedded.start(folder) as first:
            _execute(first.url, "alter system set track_commit_timestamp = on")
        self._handles = [embedded.start(folder)]

    @property
    def url(self) -> str:
        """Where it is now."""
        return self._handles[-1].url

    def restart(self) -> None:
        """End it at once, as a power cut would, and start it again."""
        pid = self._handles[-1].pid
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + PATIENCE
        while _runs(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self._handles.append(embedded.start(self._folder, wait_seconds=PATIENCE))

    def crash(self) -> None:
        """Kill one of its processes, so that it ends all sessions and recovers by itself."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(BACKEND).fetchone()
        if row is not None:
            with suppress(ProcessLookupError):
                os.kill(row[0], signal.SIGKILL)

    def close(self) -> None:
        """Stop it."""
        for each in self._handles:
            each.close()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server that lives as long as it is needed."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.close()


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _runs(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # it may be a child of ours
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
