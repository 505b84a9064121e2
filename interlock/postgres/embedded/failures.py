"""What went wrong, in words: errors of the system and of the server, each with what to do next."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.errors import EmbeddedPostgresError

LAST_LINES = 12
NEARLY_NOTHING = 17 << 20  # one segment of the write-ahead log and a little more
GIVE_ANOTHER = "Give another folder with --data-dir, or set INTERLOCK_DATABASE_URL."
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the system's errors about a data directory into ours."""
    try:
        yield
    except OSError as exc:
        raise _of_system(exc, folder) from exc


def of_server(what: str, output: str, folder: Path, *, port: int | None = None) -> Exception:
    """Return the error for a program of Postgres that failed, from what it printed."""
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return full_disk(folder)
    if port is not None and "Address already in use" in output:
        return EmbeddedPostgresError(
            f"Port {port} is in use by another program.",
            hint="Choose another port, or none: Interlock itself needs only the socket.",
        )
    if "could not look up effective user ID" in output:
        return EmbeddedPostgresError(
            f"{what} in {folder}: Postgres wants a name for the account that we run as.",
            hint="Add the account to the system's users (a line in /etc/passwd), or set "
            "INTERLOCK_DATABASE_URL.",
        )
    if not output.strip() and shutil.disk_usage(folder).free < NEARLY_NOTHING:
        return full_disk(folder)  # not even the log could be written
    last = "\n".join(f"  {line}" for line in output.strip().splitlines()[-LAST_LINES:])
    return EmbeddedPostgresError(
        f"{what} in {folder}. Its last words:\n{last or '  (none)'}\n", hint=GIVE_ANOTHER
    )


def full_disk(folder: Path) -> EmbeddedPostgresError:
    """Return the error for a disk without room."""
    free = shutil.disk_usage(folder).free >> 20
    return EmbeddedPostgresError(
        f"The disk that holds {folder} is full ({free} MB are free).",
        hint="Free some space (a new database takes 50 MB), or give another folder with "
        "--data-dir. What was committed is safe.",
    )


def _of_system(exc: OSError, folder: Path) -> EmbeddedPostgresError:
    place = exc.filename or folder
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return full_disk(_existing(folder))
    if exc.errno in DENIED:
        message = f"The data directory {folder} cannot be used: {place} is not writable for us"
    elif exc.errno in NO_FOLDER:
        message = f"The data directory {folder} cannot be used: {place} is not a folder of ours"
    else:
        message = f"The data directory {folder} cannot be used: {place}"
    return EmbeddedPostgresError(f"{message} ({exc.strerror}).", hint=GIVE_ANOTHER)


def _existing(folder: Path) -> Path:
    return next(step for step in (folder, *folder.parents) if step.exists())
