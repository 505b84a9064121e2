"""Locks on files, which the kernel drops with their last holder: nothing can be stale."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.errors import EmbeddedPostgresError

if sys.platform != "win32":
    import fcntl

POLL_SECONDS = 0.01


class FileLock:
    """One holder's claim on a file, shared or exclusive; several may exist in one process.

    A child made by `os.fork` does not hold the locks of its parent. A child program holds the lock
    whose descriptor it was given, for as long as it or one of its own children lives.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        _open_locks.add(self)

    def fileno(self) -> int:
        """Return the descriptor that holds the lock, -1 when this claim was given up."""
        return self._fd

    def share(self) -> None:
        """Wait for a shared claim."""
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def try_share(self) -> bool:
        """Take a shared claim at once or not at all."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Claim the file alone, at once or not at all; a shared claim of ours is given up."""
        return self._try(fcntl.LOCK_EX)

    def wait_exclusive(self, seconds: float) -> bool:
        """Claim the file alone within so many seconds."""
        deadline = time.monotonic() + seconds
        while not self.try_exclusive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def unlock(self) -> None:
        """Give the claim up for every holder of this descriptor."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.leave()

    def leave(self) -> None:
        """Close our descriptor; a child program that was given it keeps the claim."""
        _open_locks.discard(self)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self._fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def held(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold the file's lock alone for the length of a block."""
    lock = FileLock(path)
    try:
        if not lock.wait_exclusive(seconds):
            raise EmbeddedPostgresError(
                f"Another process has been starting or stopping the server in {path.parent} "
                f"for more than {seconds:g} seconds.",
                hint="Try again, or look at postgres.log there.",
            )
        yield
    finally:
        lock.unlock()


def is_held_alone(path: Path) -> bool:
    """Tell whether anyone holds the file's lock alone."""
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        return not lock.try_share()
    finally:
        lock.unlock()


_open_locks: set[FileLock] = set()


def _leave_locks_of_parent() -> None:
    for lock in list(_open_locks):
        lock.leave()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_locks_of_parent)
