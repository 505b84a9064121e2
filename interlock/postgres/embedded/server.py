"""One server per data directory: started by its first user, stopped after its last."""

from __future__ import annotations

import atexit
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from interlock.errors import EmbeddedPostgresError, UsageError
from interlock.postgres.embedded import binaries, cluster, failures, postmaster
from interlock.postgres.embedded.account import Account
from interlock.postgres.embedded.binaries import Binaries
from interlock.postgres.embedded.folder import DataFolder, default_data_dir, open_folder
from interlock.postgres.embedded.locks import POLL_SECONDS, FileLock, held
from interlock.postgres.embedded.postmaster import Postmaster

WAIT_SECONDS = 30.0
# A killed server looks alive for a moment: no answer, shutting down, crashed, or starting up.
GONE = {None, "57P01", "57P02", "57P03"}


def start(
    data_dir: Path | None = None, *, port: int | None = None, wait_seconds: float = WAIT_SECONDS
) -> EmbeddedServer:
    """Return a handle to the server of a data directory, started when it does not run yet.

    A server that a killed process left running is found and used.

    Args:
        data_dir: where the data lives; the platform's folder for user data when not given.
        port: also listen on this port of 127.0.0.1, with a password; without it there is no TCP.
        wait_seconds: how long to wait for another process, and for the server to be ready.

    Raises:
        EmbeddedPostgresError: the server cannot be started; the message says why.
        UsageError: the port is not one.
    """
    if port is not None and not 0 < port < 1 << 16:
        raise UsageError(f"{port} is not a port.", hint="Give a number from 1 to 65535.")
    binaries.find_package()
    path = data_dir or default_data_dir()
    with failures.explained(path):
        folder = open_folder(path)
        with held(folder.start_lock, seconds=wait_seconds):
            return _join(folder, port=port, seconds=wait_seconds)


def stop(data_dir: Path | None = None, *, force: bool = False) -> bool:
    """Stop the server of a data directory, and tell whether it was running.

    Args:
        data_dir: as for `start`.
        force: also when other processes are using it; what they committed stays.

    Raises:
        EmbeddedPostgresError: other processes are using the server, or it does not stop.
    """
    folder = _existing(data_dir)
    if folder is None:
        return False
    with failures.explained(folder.path), held(folder.start_lock, seconds=WAIT_SECONDS):
        users = FileLock(folder.users_lock)
        try:
            if not users.try_exclusive() and not force:
                raise EmbeddedPostgresError(
                    f"Other processes are using the server in {folder.path}.",
                    hint="End them first, or stop it all the same with force.",
                )
            return postmaster.stop(folder)
        finally:
            users.unlock()


def status(data_dir: Path | None = None) -> ServerStatus:
    """Say whether the server of a data directory runs; nothing is started or made."""
    path = data_dir or default_data_dir()
    folder = _existing(path)
    if folder is None:
        return ServerStatus(data_dir=path, log=path / "postgres.log")
    with failures.explained(folder.path):
        found = postmaster.find(folder)
        place = folder.socket_folder()
    if found is None or place is None:
        return ServerStatus(data_dir=folder.path, log=folder.log)
    url = _socket_url(place, found.port)
    return ServerStatus(data_dir=folder.path, log=folder.log, pid=found.pid, url=url)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """What is known of a data directory's server; without a pid it does not run."""

    data_dir: Path
    log: Path
    pid: int | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedServer:
    """A handle to a running server, for the process that started it; close it when done.

    The server stops when its last handle is closed, in whichever process. A child made by
    `os.fork` may use the server for as long as its parent does, or calls `start` itself.

    Attributes:
        url: for psycopg and everything else that uses libpq, over a unix socket.
        tcp_url: the same over TCP, with the password; None unless a port was asked for.
    """

    url: str
    tcp_url: str | None = field(repr=False)
    data_dir: Path
    log: Path
    pid: int
    _lease: _Lease = field(repr=False, compare=False)

    def close(self) -> None:
        """Give the server up; whoever does so last stops it and waits for its end."""
        atexit.unregister(self.close)
        self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Lease:
    """One handle's share in the server."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._closing = threading.Lock()
        self._users = FileLock(folder.users_lock)
        self._users.share()

    def alone(self) -> bool:
        """Tell whether there is no other handle; call it under the start lock."""
        alone = self._users.try_exclusive()
        self._users.share()
        return alone

    def give_up(self) -> None:
        """Stop the server if nobody else uses it; call it under the start lock."""
        try:
            if self._users.try_exclusive():
                postmaster.stop(self._folder)
                self._folder.trim_log()
        finally:
            self.drop()

    def drop(self) -> None:
        """Give the share up and leave the server as it is."""
        self._users.unlock()

    def close(self) -> None:
        """Give the share up once; in a forked child it was never ours."""
        with self._closing:
            if self._users.fileno() < 0:
                return
            if not self._folder.start_lock.exists():  # the folder is gone: the server ends itself
                self.drop()
                return
            with (
                failures.explained(self._folder.path),
                held(self._folder.start_lock, seconds=WAIT_SECONDS),
            ):
                self.give_up()


def _join(folder: DataFolder, *, port: int | None, seconds: float) -> EmbeddedServer:
    account = folder.account(create=True)
    folder.open_to(account)
    programs = binaries.find(account)
    cluster.check_version(folder, programs)
    folder.trim_log()
    lease = _Lease(folder)
    try:
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 1)
            found = _find_or_launch(folder, programs, account, port=port, seconds=left)
            if problem := _unfit(folder, found, port):
                _stop_unfit(folder, lease, problem)
            elif server := _handle(folder, found, lease, last_try=time.monotonic() > deadline):
                return server
    except BaseException:
        _leave_after_failure(folder, lease)
        raise


def _find_or_launch(
    folder: DataFolder,
    programs: Binaries,
    account: Account,
    *,
    port: int | None,
    seconds: float,
) -> Postmaster:
    """Use the server that runs; launch one once the last process of an earlier one is gone."""
    deadline = time.monotonic() + seconds
    lock = FileLock(folder.server_lock)
    try:
        while not lock.try_exclusive():
            if found := postmaster.find(folder):
                return found
            if time.monotonic() >= deadline:
                raise postmaster.still_starting(folder, seconds)
            time.sleep(POLL_SECONDS)
        cluster.ensure(folder, programs, account, lock)
        left = max(deadline - time.monotonic(), 1)
        return postmaster.launch(folder, programs, account, lock, port=port, seconds=left)
    finally:
        lock.leave()


def _unfit(folder: DataFolder, found: Postmaster, port: int | None) -> str | None:
    """Say why a server that runs is of no use to us; None when it is."""
    if folder.socket_folder() is None:
        return "and the folder of its socket is gone"
    if port is not None and not (found.takes_tcp and found.port == port):
        return f"and does not listen on port {port}"
    return None


def _stop_unfit(folder: DataFolder, lease: _Lease, problem: str) -> None:
    if not lease.alone():
        raise EmbeddedPostgresError(
            f"The server in {folder.path} runs already, {problem}.",
            hint="Other processes are using it: end them, and start again.",
        )
    postmaster.stop(folder)


def _leave_after_failure(folder: DataFolder, lease: _Lease) -> None:
    """Stop a server that nobody uses now, but leave one that is recovering to its work."""
    if postmaster.find(folder):
        lease.give_up()
    else:
        lease.drop()


def _handle(
    folder: DataFolder, found: Postmaster, lease: _Lease, *, last_try: bool
) -> EmbeddedServer | None:
    """Return a handle to a server that answers; None when it does not and may just have ended."""
    place = folder.socket_folder()
    password = folder.password() if found.takes_tcp else None
    if place is None or not _prepare(folder, _url_to_prepare(place, found), password, last_try):
        time.sleep(POLL_SECONDS)
        return None
    server = EmbeddedServer(
        url=_socket_url(place, found.port),
        tcp_url=password and _tcp_url(password, found.port),
        data_dir=folder.path,
        log=folder.log,
        pid=found.pid,
        _lease=lease,
    )
    atexit.register(server.close)
    return server


def _prepare(folder: DataFolder, url: str, password: str | None, last_try: bool) -> bool:
    """Prepare the database, and tell whether the server answered."""
    try:
        cluster.ensure_database(url, password)
    except psycopg.Error as exc:
        if isinstance(exc, psycopg.OperationalError) and exc.sqlstate in GONE and not last_try:
            return False
        what = "The database cannot be opened"
        raise failures.of_server(what, str(exc), folder.path) from exc
    return True


def _url_to_prepare(place: Path, found: Postmaster) -> str:
    return _socket_url(place, found.port, database="postgres")


def _existing(data_dir: Path | None) -> DataFolder | None:
    path = (data_dir or default_data_dir()).expanduser().resolve()
    with failures.explained(path):
        folder = DataFolder(path=path)
        return folder if folder.start_lock.exists() else None


def _socket_url(place: Path, port: int, *, database: str = cluster.NAME) -> str:
    host = quote(str(place), safe="")
    return f"postgresql://{cluster.NAME}@/{database}?host={host}&port={port}"


def _tcp_url(password: str, port: int) -> str:
    secret = quote(password, safe="")
    return f"postgresql://{cluster.NAME}:{secret}@127.0.0.1:{port}/{cluster.NAME}"
