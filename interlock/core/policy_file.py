"""A policy from a file, which may be changed while processes use it."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from interlock.core.policy import SHOWN, FixedPolicy, Policy, PolicySource
from interlock.core.policy_form import PolicyForm
from interlock.core.policy_text import checked, parse, read
from interlock.errors import PolicyInvalid

logger = logging.getLogger(__name__)

SETTLING = 2.0
"""Seconds after a change in which another change may not show: some file systems count in such steps."""

Identity = tuple[int, int, int, int]


def load(path: Path | str) -> Policy:
    """Return the policy of a TOML or YAML file; raises `PolicyInvalid` that names the file and each fault."""
    file = Path(path)
    return _made(read(file), file)


def policies_from(path: Path | None) -> PolicySource:
    """Return the policy of a file, which is read when it is first asked for, or the built-in one without a file."""
    return LatePolicyFile(path) if path is not None else FixedPolicy()


class LatePolicyFile:
    """The policy of a file, read when a policy is first needed: to look at things needs none.

    Attributes:
        problem: why the file is not in force; empty while it is, or nobody needed it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: PolicyFile | None = None

    def current(self) -> Policy:
        """Return the policy that holds now; raises `PolicyInvalid` when the file never was valid."""
        with self._lock:
            if self._file is None:
                self._file = PolicyFile(self._path)
        return self._file.current()

    @property
    def problem(self) -> str:
        """Since when and why the file is not in force."""
        try:
            self.current()
        except PolicyInvalid as error:
            return str(error)
        return self._file.problem if self._file else ""


class PolicyFile:
    """The policy of a file, read again when the file changes.

    Only a valid policy is ever used: a file that is broken or removed later leaves the last good one in force.
    Safe to be used by several threads.

    Attributes:
        path: the file; replace it in one step (write another file, then rename it).
        problem: since when and why the file is not in force; empty while it is.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.problem = ""
        self._lock = threading.Lock()
        self._seen: tuple[Identity | None, float] = (_identity(self.path), time.time())
        self._content: bytes | None = read(self.path)
        self._policy = _made(self._content, self.path)

    def current(self) -> Policy:
        """Return the policy that holds now."""
        if not self._is_settled(_identity(self.path)):
            with self._lock:
                identity = _identity(
                    self.path
                )  # before the content: what changes later is read again
                if not self._is_settled(identity):
                    self._look()
                    self._seen = identity, time.time()
        return self._policy

    def _is_settled(self, identity: Identity | None) -> bool:
        seen, when = self._seen
        return identity == seen and (identity is None or when - identity[0] / 1e9 > SETTLING)

    def _look(self) -> None:
        """Read the file; a content is tried, and told of, once."""
        try:
            content = read(self.path)
        except PolicyInvalid as error:
            self._content = None
            self._keep(error)
            return
        if content != self._content:
            self._content = content
            self._take(content)

    def _take(self, content: bytes) -> None:
        try:
            self._policy = _made(content, self.path)
        except PolicyInvalid as error:
            self._keep(error)
            return
        self.problem = ""
        logger.info("policy.loaded path=%s policy=%s", self.path, self._policy.digest[:SHOWN])

    def _keep(self, error: PolicyInvalid) -> None:
        self.problem = f"Since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {error}"
        logger.warning(
            "policy.refused path=%s in_force=%s reason=%s",
            self.path,
            self._policy.digest[:SHOWN],
            error,
        )


def _made(content: bytes, path: Path) -> Policy:
    form = checked(PolicyForm, parse(content, path), path, "rules")
    return form.made(path.stem)


def _identity(path: Path) -> Identity | None:
    """Return what differs when a file was changed: times of any change and of its content, size, inode."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino
