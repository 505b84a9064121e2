"""The cluster: made in one step, of one major version, with the database that we work in."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from interlock.errors import EmbeddedPostgresError
from interlock.postgres.embedded import failures
from interlock.postgres.embedded.account import Account
from interlock.postgres.embedded.binaries import Binaries
from interlock.postgres.embedded.folder import DataFolder
from interlock.postgres.embedded.locks import FileLock

NAME = "interlock"  # of the database, and of the role that owns it
PREPARING = 0x696E746C  # the key of the lock under which the database is made
INITDB_SECONDS = 120
UNFINISHED = "cluster.new-"


def ensure(folder: DataFolder, binaries: Binaries, account: Account, lock: FileLock) -> None:
    """Make the cluster when there is none; whoever is killed while making it leaves none."""
    for unfinished in folder.path.glob(f"{UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if folder.cluster.exists():
        return
    fresh = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.path))
    try:
        os.chown(fresh, account.uid, account.gid)
        _initdb(fresh, binaries, account, lock)
        fresh.rename(folder.cluster)
        _sync(folder.path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_version(folder: DataFolder, binaries: Binaries) -> None:
    """Refuse a cluster that another major version of Postgres made."""
    if not folder.cluster.exists():
        return
    try:
        found = (folder.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise EmbeddedPostgresError(
            f"{folder.cluster} is not a Postgres cluster: it has no file PG_VERSION.",
            hint="Restore it from a backup, or give another folder with --data-dir.",
        ) from None
    if found != binaries.major:
        raise EmbeddedPostgresError(
            f"The data directory {folder.path} was made by Postgres {found}, and the one "
            f"installed is {binaries.version}.",
            hint=f"Install the embedded Postgres {found} again, dump the database with pg_dump, "
            "and restore the dump into a new --data-dir with this version.",
        )


def ensure_database(url: str, password: str | None) -> None:
    """Make our database when it is missing, and let our role come in over TCP if so wished."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        # The backend of a starter that was killed may still be making the database.
        connection.execute("SELECT pg_advisory_lock(%s)", [PREPARING])
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME])
        if found.rowcount == 0:
            # Clients are told of their errors; in the log they would only take up room.
            connection.execute(f"ALTER ROLE {NAME} SET log_min_messages = log")
            connection.execute(f"CREATE DATABASE {NAME}")
        # Our role and our schema have one name: LangGraph's `setup` would make its tables there a second time.
        connection.execute(f'ALTER ROLE {NAME} SET search_path = public, "$user"')
        if password is not None:
            _set_password(connection, password)


def _set_password(connection: psycopg.Connection[tuple[object, ...]], password: str) -> None:
    secret = connection.pgconn.encrypt_password(
        password.encode(), NAME.encode(), b"scram-sha-256"
    ).decode()
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
    connection.execute(statement.format(sql.Identifier(NAME), sql.Literal(secret)))


def _initdb(target: Path, binaries: Binaries, account: Account, lock: FileLock) -> None:
    """Fill an empty folder and sync it; initdb holds the lock in case that we are killed."""
    command = [binaries / "initdb", "--pgdata", str(target), "--username", NAME]
    command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    command += ["--builtin-locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]
    try:
        subprocess.run(
            command,
            cwd=target,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=INITDB_SECONDS,
            start_new_session=True,
            pass_fds=[lock.fileno()],
            **account.launch_options(),
        )
    except subprocess.SubprocessError as exc:
        said = getattr(exc, "stdout", None) or str(exc)
        what = "A new database cannot be made"
        raise failures.of_server(what, str(said), target.parent) from exc


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
