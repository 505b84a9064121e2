"""Who runs the server: we ourselves, or an unprivileged account when we are root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

if sys.platform != "win32":
    import pwd

NAME = "interlock"
NAME_OF_LAST_RESORT = "nobody"
CLEAN_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


class LaunchOptions(TypedDict, total=False):
    """What `subprocess` needs to run a program as an account."""

    user: int
    group: int
    extra_groups: list[int]
    env: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The operating system's account that owns the cluster and runs the server."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Tell whether we run as this account ourselves."""
        return self.uid == os.geteuid()

    @property
    def name(self) -> str:
        """Return the account's name, or its number when it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def launch_options(self) -> LaunchOptions:
        """Return the options for `subprocess`: the account, and an environment without secrets."""
        if self.is_ours:
            return {"env": CLEAN_ENVIRONMENT}
        return {
            "user": self.uid,
            "group": self.gid,
            "extra_groups": [],
            "env": CLEAN_ENVIRONMENT,
        }

    def can_enter(self, folder: Path) -> bool:
        """Tell whether the account can reach what lies in the folder; asked of the kernel."""
        if self.is_ours:
            return os.access(folder, os.X_OK)
        enter = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]
        done = subprocess.run(
            enter, cwd="/", capture_output=True, check=False, **self.launch_options()
        )
        return done.returncode == 0

    def first_closed(self, folder: Path) -> Path | None:
        """Return the topmost folder on the way that the account cannot enter."""
        if self.can_enter(folder):
            return None
        way = [*reversed(folder.parents), folder]
        return next((step for step in way if not self.can_enter(step)), None)


def we_are_root() -> bool:
    """Tell whether Postgres would refuse to run as us."""
    return os.geteuid() == 0


def ourselves() -> Account:
    """Return the account that we run as."""
    return Account(uid=os.geteuid(), gid=os.getegid())


def owner_of(folder: Path) -> Account:
    """Return the account that a folder belongs to."""
    found = folder.lstat()
    return Account(uid=found.st_uid, gid=found.st_gid)


def for_server(*, create: bool) -> Account:
    """Return who runs a new server: we; as root the account `interlock`, else `nobody`.

    Args:
        create: make the account `interlock` when we are root and it does not exist.
    """
    if not we_are_root():
        return ourselves()
    found = _look_up(NAME)
    if found is None and create:
        _create(NAME)
        found = _look_up(NAME)
    return found or _look_up(NAME_OF_LAST_RESORT) or Account(uid=65534, gid=65534)


def _look_up(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return None if found.pw_uid == 0 else Account(uid=found.pw_uid, gid=found.pw_gid)


def _create(name: str) -> None:
    """Add a system account that nobody can log in to; where that fails, there is none."""
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return
    nologin = shutil.which("nologin", path="/usr/sbin:/sbin:/usr/bin:/bin") or "/bin/false"
    command = [useradd, "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", nologin, name]
    subprocess.run(command, capture_output=True, check=False)
