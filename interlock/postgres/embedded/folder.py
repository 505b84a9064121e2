"""The data directory: what lies in it, whose it is, and where the server's socket goes."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from interlock.errors import EmbeddedPostgresError
from interlock.postgres.embedded import account as accounts
from interlock.postgres.embedded.account import Account
from interlock.postgres.embedded.failures import GIVE_ANOTHER

DATA_FOLDER_OF_ROOT = Path("/var/lib/interlock/postgres")
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")
LONGEST_SOCKET_FOLDER = 103 - len("/.s.PGSQL.65535")  # macOS allows 103 bytes, Linux 107
LOG_LIMIT = 4 << 20
LOG_KEPT = 1 << 20
HARMLESS = {"lost+found", ".DS_Store"}


def default_data_dir() -> Path:
    """Return the platform's folder for our data; as root, one that the server can reach."""
    usual = Path(platformdirs.user_data_dir("interlock", appauthor=False)) / "postgres"
    if not accounts.we_are_root():
        return usual
    account = accounts.for_server(create=False)
    nearest = next(step for step in (usual, *usual.parents) if step.exists())
    way = nearest if nearest != usual else usual.parent
    return usual if account.can_enter(way) else DATA_FOLDER_OF_ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """A data directory that is ours; the cluster in it belongs to the server's account."""

    path: Path

    @property
    def cluster(self) -> Path:
        """Return the folder that Postgres calls its data directory."""
        return self.path / "cluster"

    @property
    def log(self) -> Path:
        """Return the file that the server writes to."""
        return self.path / "postgres.log"

    @property
    def start_lock(self) -> Path:
        """Return the lock of whoever starts or stops the server; it marks the folder as ours."""
        return self.path / "start.lock"

    @property
    def users_lock(self) -> Path:
        """Return the lock that each user of the server shares."""
        return self.path / "users.lock"

    @property
    def server_lock(self) -> Path:
        """Return the lock that every process of the server holds together."""
        return self.path / "server.lock"

    @property
    def inner_socket_folder(self) -> Path:
        """Return where the socket goes when the path is short and plain."""
        return self.path / "run"

    @property
    def socket_note(self) -> Path:
        """Return the file that names the socket's folder when that lies elsewhere."""
        return self.path / "socket-folder"

    def account(self, *, create: bool = False) -> Account:
        """Return who runs the server: as root the cluster's owner, who stays the same."""
        if accounts.we_are_root() and self.cluster.is_dir():
            return accounts.owner_of(self.cluster)
        return accounts.for_server(create=create)

    def open_to(self, account: Account) -> None:
        """Let the account through to its cluster, changing no folder but this one."""
        closed = account.first_closed(self.path)
        if closed == self.path:
            os.chown(self.path, -1, account.gid)
            self.path.chmod(0o710)
            closed = account.first_closed(self.path)
        if closed is not None:
            raise EmbeddedPostgresError(
                f"Postgres does not run as root, and the account {account.name} that runs it "
                f"cannot enter {closed}, where the data directory {self.path} lies.",
                hint=f"Give a folder that it can reach with --data-dir, for example "
                f"{DATA_FOLDER_OF_ROOT}, or open the way with `chmod o+x {closed}`.",
            )

    def socket_folder(self) -> Path | None:
        """Return the folder of the running server's socket, None when there is none of ours."""
        found = self._socket_place()
        return found if found and _is_private(found, self.account()) else None

    def make_socket_folder(self, account: Account) -> Path:
        """Return a private folder for the socket: here, or a short one when the path is not."""
        place = self._socket_place()
        if place and _is_private(place, account):
            return place
        if place == self.inner_socket_folder:
            place.mkdir(0o700, exist_ok=True)
        else:
            place = Path(tempfile.mkdtemp(prefix="interlock-", dir=_short_folder()))
            write_private(self.socket_note, str(place))
        _give(place, account)
        return place

    def drop_socket_folder(self) -> None:
        """Remove the socket's folder when it lies elsewhere and the server is gone."""
        place = self._socket_place()
        if place is None or place == self.inner_socket_folder:
            return
        if _is_private(place, self.account()):
            shutil.rmtree(place, ignore_errors=True)
        self.socket_note.unlink(missing_ok=True)

    def password(self) -> str:
        """Return the password for TCP, generated when it is asked for the first time."""
        place = self.path / "password"
        if not place.exists():
            write_private(place, secrets.token_urlsafe(24))
        return read_plainly(place).strip()

    def trim_log(self) -> None:
        """Keep the log's size bounded; the server appends, so that it may be running."""
        if not self.log.exists() or self.log.stat().st_size <= LOG_LIMIT:
            return
        with self.log.open("rb") as log:
            log.seek(-LOG_KEPT, os.SEEK_END)
            kept = open_private(self.log.with_suffix(".log.1"), os.O_WRONLY | os.O_TRUNC)
            with os.fdopen(kept, "wb") as file:
                file.write(log.read())
        os.truncate(self.log, 0)

    def _socket_place(self) -> Path | None:
        inner = str(self.inner_socket_folder)
        if PLAIN_PATH.fullmatch(inner) and len(inner) <= LONGEST_SOCKET_FOLDER:
            return self.inner_socket_folder
        return Path(read_plainly(self.socket_note)) if self.socket_note.exists() else None


def open_folder(path: Path) -> DataFolder:
    """Return a data directory that is ours, made when it is missing, or refuse it."""
    folder = DataFolder(path=path.expanduser().resolve())
    _make(folder.path)
    owner = accounts.owner_of(folder.path)
    if not owner.is_ours:
        raise EmbeddedPostgresError(
            f"The data directory {folder.path} belongs to {owner.name}, and we run as "
            f"{accounts.ourselves().name}.",
            hint=f"Run as {owner.name}. {GIVE_ANOTHER}",
        )
    if not folder.start_lock.exists():
        _refuse_foreign_content(folder)
    return folder


def read_plainly(path: Path) -> str:
    """Read a small text file, never through a link that someone else may have put there."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
        return file.read(4096)


def write_private(path: Path, text: str) -> None:
    """Write a small file, complete or not at all, that only we can read."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(open_private(fresh, os.O_WRONLY | os.O_EXCL), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def open_private(path: Path, flags: int) -> int:
    """Return a descriptor of a file that only we can read, made when it is missing."""
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _make(path: Path) -> None:
    """Make the folder, and as root its missing parents such that the server can pass."""
    missing = [step for step in reversed(path.parents) if not step.exists()]
    for parent in missing:
        parent.mkdir(exist_ok=True)
        if accounts.we_are_root():
            parent.chmod(0o755)
    path.mkdir(0o700, exist_ok=True)


def _refuse_foreign_content(folder: DataFolder) -> None:
    content = {entry.name for entry in folder.path.iterdir()} - HARMLESS
    # Another process may be a moment ahead of us, and a copy of the cluster alone is enough.
    if not content or content & {folder.start_lock.name, folder.cluster.name}:
        return
    what = "is a Postgres folder that Interlock did not make"
    if "PG_VERSION" not in content:
        what = f"is not empty and not a data directory of Interlock ({min(content)} is in it)"
    raise EmbeddedPostgresError(
        f"{folder.path} {what}.",
        hint="Nothing was changed. Give an empty or a new folder with --data-dir.",
    )


def _short_folder() -> Path:
    usual = Path("/tmp")  # noqa: S108 - the folder made in it is private and has a random name
    return usual if os.access(usual, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def _is_private(folder: Path, account: Account) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    return private and found.st_uid == account.uid


def _give(folder: Path, account: Account) -> None:
    """Give a folder of ours to the account, for it alone."""
    if not _is_private(folder, account):
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
        folder.chmod(0o700)
