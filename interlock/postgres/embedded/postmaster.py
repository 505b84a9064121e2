"""The server's first process: launched, found again, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import EmbeddedPostgresError
from interlock.postgres.embedded import failures
from interlock.postgres.embedded.account import Account
from interlock.postgres.embedded.binaries import Binaries
from interlock.postgres.embedded.folder import DataFolder, open_private, read_plainly
from interlock.postgres.embedded.locks import POLL_SECONDS, FileLock, is_held_alone

DEFAULT_PORT = 5432  # without TCP it is only part of the socket's name
LINUX_PROCESSES = Path("/proc")
FAST_STOP_SECONDS = 30
HARD_STOP_SECONDS = 10
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "log_min_error_statement": "panic",  # statements hold what users wrote
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """A running server: its process, the port in its socket's name, and whether it takes TCP."""

    pid: int
    port: int
    takes_tcp: bool


def find(folder: DataFolder) -> Postmaster | None:
    """Return the server when it runs and is ready for connections."""
    lines = _pid_file_lines(folder.cluster)
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    if not ready or not is_held_alone(folder.server_lock):
        return None
    found = Postmaster(pid=int(lines[0]), port=int(lines[3]), takes_tcp=bool(lines[5].strip()))
    return found if _is_server(found.pid, folder.cluster) else None  # its children may outlive it


def launch(
    folder: DataFolder,
    binaries: Binaries,
    account: Account,
    lock: FileLock,
    *,
    port: int | None,
    seconds: float,
) -> Postmaster:
    """Start the server on its cluster and wait until it is ready.

    The server takes over the lock: it is free again when the last of its processes is gone.
    """
    sockets = folder.make_socket_folder(account)
    _clear_stale_files(folder.cluster, sockets)
    begin = folder.log.stat().st_size if folder.log.exists() else 0
    with os.fdopen(open_private(folder.log, os.O_WRONLY | os.O_APPEND), "ab") as log:
        server = subprocess.Popen(
            _command(folder, binaries, sockets, port),
            cwd=folder.cluster,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[lock.fileno()],
            **account.launch_options(),
        )
    lock.leave()
    return _wait_until_ready(server, folder, begin=begin, port=port, seconds=seconds)


def stop(folder: DataFolder) -> bool:
    """Stop the server if it runs, and wait until the last of its processes is gone."""
    lock = FileLock(folder.server_lock)
    try:
        stopped = _stop(folder, lock)
        folder.drop_socket_folder()
    finally:
        lock.unlock()
    return stopped


def _stop(folder: DataFolder, lock: FileLock) -> bool:
    if lock.try_exclusive():
        return False
    for sign, seconds in (
        (signal.SIGINT, FAST_STOP_SECONDS),
        (signal.SIGQUIT, HARD_STOP_SECONDS),
    ):
        _signal(folder.cluster, sign)
        if _wait_for_end(lock, seconds):
            return True
    raise EmbeddedPostgresError(
        f"The server in {folder.path} does not stop.",
        hint=f"Look at {folder.log}, and at who holds {folder.server_lock} open.",
    )


def _wait_for_end(lock: FileLock, seconds: float) -> bool:
    ended = lock.wait_exclusive(seconds)
    _reap()
    return ended


def _signal(cluster: Path, sign: signal.Signals) -> None:
    pid = _pid(cluster)
    if pid is not None and _is_server(pid, cluster):
        os.kill(pid, sign)


def _command(folder: DataFolder, binaries: Binaries, sockets: Path, port: int | None) -> list[str]:
    settings = SETTINGS | {
        "listen_addresses": "" if port is None else "127.0.0.1",
        "port": str(port or DEFAULT_PORT),
        "unix_socket_directories": str(sockets),
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [binaries / "postgres", "-D", str(folder.cluster), *options]


def _wait_until_ready(
    server: subprocess.Popen[bytes],
    folder: DataFolder,
    *,
    begin: int,
    port: int | None,
    seconds: float,
) -> Postmaster:
    deadline = time.monotonic() + seconds
    try:
        while server.poll() is None:
            if (found := find(folder)) and found.pid == server.pid:
                return found
            if time.monotonic() >= deadline:
                raise still_starting(folder, seconds)
            time.sleep(POLL_SECONDS)
    finally:
        _outlive_us(server)
    said = _log_since(folder.log, begin)
    raise failures.of_server("Postgres does not start", said, folder.path, port=port)


def still_starting(folder: DataFolder, seconds: float) -> EmbeddedPostgresError:
    """Return the error for a server that is there but takes no connections yet."""
    return EmbeddedPostgresError(
        f"The server in {folder.path} is not ready after {seconds:g} seconds.",
        hint=f"After a crash it may be recovering: try again, and look at {folder.log}.",
    )


def _log_since(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        return file.read(1 << 20).decode("utf-8", "replace")


def _pid_file_lines(cluster: Path) -> list[str]:
    """Return what Postgres wrote about itself, nothing when that is damaged.

    The lines are: process, folder, time, port, socket, hosts, shared memory, state.
    """
    try:
        lines = read_plainly(cluster / "postmaster.pid").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    numbers = [lines[0], lines[3]] if len(lines) > 7 else lines[:1]
    return lines if all(number.strip().isdecimal() for number in numbers) else []


def _pid(cluster: Path) -> int | None:
    lines = _pid_file_lines(cluster)
    return int(lines[0]) if lines else None


def _clear_stale_files(cluster: Path, sockets: Path) -> None:
    """Remove what a killed server left if Postgres would take it for a running one.

    Postgres itself clears the file of a process that is gone, and watches the shared memory that
    it names. It gives up when the file is damaged, and when the number now belongs to another
    program. We hold the lock of every process of the server, so that it is certainly not ours;
    a server that someone started by hand is left alone, and Postgres says so.
    """
    pid = _pid(cluster)
    if pid is not None and _is_server(pid, cluster):
        return
    if pid is None or _is_alive(pid):
        (cluster / "postmaster.pid").unlink(missing_ok=True)
    for left in sockets.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_server(pid: int, cluster: Path) -> bool:
    """Tell whether a process is a Postgres on this cluster, by the command that started it."""
    if LINUX_PROCESSES.exists():
        try:
            words = (LINUX_PROCESSES / str(pid) / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return words[0].endswith(b"postgres") and os.fsencode(cluster) in words
    ps = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    command = subprocess.run(ps, capture_output=True, check=False).stdout
    return b"postgres -D " + os.fsencode(cluster) in command


_children: set[int] = set()


def _outlive_us(server: subprocess.Popen[bytes]) -> None:
    """Let a running server outlive its handle, without a warning that it still runs."""
    if server.returncode is None:
        _children.add(server.pid)
        server.returncode = 0


def _reap() -> None:
    """Clear the servers that we launched and that have ended from the process table."""
    for pid in list(_children):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _children.discard(pid)
