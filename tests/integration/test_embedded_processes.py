"""The embedded server as several processes and accounts see it, killed ones among them."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from interlock.errors import EmbeddedPostgresError
from interlock.postgres import embedded
from interlock.postgres.embedded import account, binaries, folder
from interlock.postgres.embedded.account import Account
from interlock.postgres.embedded.folder import DataFolder

SECONDS = 30
OUR_PATH = f"{Path(embedded.__file__).parents[3]}:{Path(psycopg.__file__).parents[1]}"
_numbers = itertools.count(1)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")

START_AND_WAIT = """
import sys
from pathlib import Path
from interlock.postgres import embedded
server = embedded.start(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.readline()
"""
CLOSE_IN_CHILD = """
import os, sys
from pathlib import Path
import psycopg
from interlock.postgres import embedded
server = embedded.start(Path(sys.argv[1]))
if os.fork() == 0:
    server.close()
    sys.exit(0)
assert os.wait()[1] == 0
psycopg.connect(server.url).close()
print(server.pid, flush=True)
"""
PARENT_IS_KILLED = """
import os, sys
from pathlib import Path
from interlock.postgres import embedded
server = embedded.start(Path(sys.argv[1]))
if os.fork() == 0:
    print(os.getpid(), flush=True)
    sys.stdin.readline()
    sys.exit(0)
os.kill(os.getpid(), 9)
"""
SURVIVE_INTERRUPT = """
import signal, sys
from pathlib import Path
import psycopg
from interlock.postgres import embedded
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
server = embedded.start(Path(sys.argv[1]))
try:
    print(server.pid, flush=True)
    signal.pause()
except KeyboardInterrupt:
    psycopg.connect(server.url).close()
    print("connected", flush=True)
"""


@pytest.fixture
def data_dir(short_folder: Path) -> Iterator[Path]:
    """The path of a data directory that does not exist yet."""
    path = short_folder / f"shared-{next(_numbers)}"
    yield path
    embedded.stop(path, force=True)
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def process(script: str, path: Path, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run a script on a data directory in a process and session of its own, killed at the end."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": OUR_PATH, "MY_API_KEY": "secret-1"}
    arguments = {"env": environment, **options}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **arguments,  # type: ignore[call-overload] # a dictionary has no types for its keys
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def line(started: subprocess.Popen[str]) -> str:
    """Return what the process prints next."""
    assert started.stdout is not None
    return started.stdout.readline().strip()


def let_end(started: subprocess.Popen[str]) -> int:
    """Let the process come to its end, and return its exit code."""
    started.communicate("\n", timeout=SECONDS)
    return started.returncode


def wait_until(happened: Callable[[], object]) -> None:
    """Wait until something happened, with a timeout."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def ask(url: str, query: str) -> object:
    """Return the first value that a query gives."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


# --- several processes ---------------------------------------------------------------------------


def test_processes_share_the_server(data_dir: Path) -> None:
    """The server that the first process started outlives it, and ends with the last."""
    with process(START_AND_WAIT, data_dir) as first, process(START_AND_WAIT, data_dir) as second:
        pid = line(first)
        assert line(second) == pid
        assert let_end(first) == 0
        assert str(embedded.status(data_dir).pid) == pid
        assert let_end(second) == 0
    assert embedded.status(data_dir).pid is None


def test_forked_child_does_not_stop_the_server(data_dir: Path) -> None:
    """A child that closes its parent's handle changes nothing for the parent."""
    with process(CLOSE_IN_CHILD, data_dir) as started:
        assert line(started).isdecimal()
        assert let_end(started) == 0
    assert embedded.status(data_dir).pid is None


def test_forked_child_is_no_user(data_dir: Path) -> None:
    """A child that lives longer than its killed parent does not keep the server."""
    with process(PARENT_IS_KILLED, data_dir) as started:
        child = int(line(started))
        wait_until(lambda: started.poll() is not None)
        embedded.start(data_dir).close()
        assert embedded.status(data_dir).pid is None
        os.kill(child, 0)


def test_interrupt_does_not_reach_the_server(data_dir: Path) -> None:
    """Ctrl-C in the terminal of the first process ends what it does, not the server."""
    with process(SURVIVE_INTERRUPT, data_dir) as started:
        line(started)
        os.killpg(started.pid, signal.SIGINT)
        assert line(started) == "connected"
        assert let_end(started) == 0
    assert embedded.status(data_dir).pid is None


# --- kill -9 -------------------------------------------------------------------------------------


def test_server_of_a_killed_process_is_used(data_dir: Path) -> None:
    """What a killed process left running is found by the next one, and stopped by it."""
    with process(START_AND_WAIT, data_dir) as started:
        pid = int(line(started))
        started.kill()
        started.wait(SECONDS)

    with embedded.start(data_dir) as server:
        assert server.pid == pid
    assert embedded.status(data_dir).pid is None


@pytest.mark.parametrize(
    "moment",
    [
        "start.lock",
        "cluster.new-*",
        "cluster.new-*/PG_VERSION",
        "cluster.new-*/base/1/*",
        "cluster",
        "postgres.log",
        "cluster/postmaster.pid",
        "run/.s.PGSQL.5432",
        "cluster/base/[1-9][0-9][0-9][0-9][0-9]",
    ],
)
def test_start_can_be_killed_at_any_moment(data_dir: Path, moment: str) -> None:
    """Whatever the first start had made when it was killed, the next one ends well."""
    with process(START_AND_WAIT, data_dir) as started:
        wait_until(lambda: list(data_dir.glob(moment)))
        started.kill()
        started.wait(SECONDS)

    with embedded.start(data_dir) as server:
        assert ask(server.url, "SELECT current_database()") == "interlock"
    assert list(data_dir.glob("cluster.new-*")) == []
    assert embedded.status(data_dir).pid is None


def test_server_can_be_killed(data_dir: Path) -> None:
    """After kill -9 of the server its data is recovered, also by the process that began it."""
    with embedded.start(data_dir) as killed:
        with psycopg.connect(killed.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(killed.pid, signal.SIGKILL)
        with embedded.start(data_dir) as server:
            assert server.pid != killed.pid
            assert ask(server.url, "SELECT answer FROM kept") == 42
    assert embedded.status(data_dir).pid is None


def test_everything_can_be_killed(data_dir: Path) -> None:
    """After a crash of the whole machine, as far as it can be had, the data is there."""
    with process(START_AND_WAIT, data_dir) as started:
        pid = int(line(started))
        url = str(embedded.status(data_dir).url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        started.kill()
        os.killpg(os.getpgid(pid), signal.SIGKILL)
        started.wait(SECONDS)

    with embedded.start(data_dir) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


# --- accounts ------------------------------------------------------------------------------------


def test_secrets_do_not_reach_the_server(data_dir: Path) -> None:
    """The server's environment holds nothing of its starter's."""
    with process(START_AND_WAIT, data_dir) as started:
        environment = Path(f"/proc/{line(started)}/environ")
        if not environment.exists():
            pytest.skip("this system does not show environments")
        names = {entry.split(b"=")[0] for entry in environment.read_bytes().split(b"\0")}
        assert names - {b""} <= {b"LC_ALL", b"TZ", b"PATH", b"PG_GRANDPARENT_PID"}
        let_end(started)


@as_root
def test_server_of_root_runs_as_an_account(data_dir: Path) -> None:
    """As root the server runs as another account, which can write only to its cluster."""
    with embedded.start(data_dir) as server:
        uid = Path(f"/proc/{server.pid}").stat().st_uid
        owners = {path.name: path.stat().st_uid for path in data_dir.iterdir()}

    assert uid == account.for_server(create=False).uid != 0
    assert {name for name, owner in owners.items() if owner == uid} == {"cluster", "run"}
    assert set(owners.values()) == {0, uid}


@as_root
def test_folders_above_stay_as_they_are(short_folder: Path) -> None:
    """A folder that the account cannot enter is named, and stays closed."""
    closed = short_folder / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)

    with pytest.raises(EmbeddedPostgresError, match=rf"cannot enter {closed}, where"):
        embedded.start(closed / "inner" / "data")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_empty_closed_folder_given_by_root_is_used(data_dir: Path) -> None:
    """A folder made for us, closed as `mkdtemp` leaves it, is opened to the account alone."""
    data_dir.mkdir(mode=0o700)

    with embedded.start(data_dir) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o710


@as_root
def test_owner_of_the_cluster_keeps_it(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster made while there was only `nobody` is run by it ever after."""
    with monkeypatch.context() as patch:
        patch.setattr(account, "NAME", "nobody")
        embedded.start(data_dir).close()
    owner = (data_dir / "cluster").stat().st_uid

    with embedded.start(data_dir) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == owner


@as_root
def test_folder_of_another_user_is_refused(data_dir: Path) -> None:
    """Root does not write into a folder that belongs to someone else."""
    data_dir.mkdir()
    os.chown(data_dir, 65534, 65534)

    with pytest.raises(EmbeddedPostgresError, match=r"belongs to .*, and we run as root"):
        embedded.start(data_dir)


@as_root
def test_programs_out_of_reach_are_copied_once(
    short_folder: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs below a closed folder are copied to a folder of root's, and the copy is kept."""
    closed = short_folder / "closed-venv"
    shared = short_folder / "shared"
    package = binaries.find_package()
    closed.mkdir(mode=0o700)
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, closed / part.name)
    monkeypatch.setattr(binaries, "find_package", lambda: closed / package.name)
    monkeypatch.setattr(binaries, "SHARED_FOLDER", shared)

    with embedded.start(data_dir) as server:
        program = Path(f"/proc/{server.pid}/exe").readlink()
        assert ask(server.url, "SELECT count(*) FROM pg_timezone_names") != 0
    made = [(entry.name, entry.stat().st_ino) for entry in shared.iterdir()]
    embedded.start(data_dir).close()

    assert program.is_relative_to(shared)
    assert [(entry.name, entry.stat().st_ino) for entry in shared.iterdir()] == made
    assert {path.stat().st_uid for path in shared.rglob("*")} == {0}
    assert not any(path.stat().st_mode & 0o022 for path in shared.rglob("*"))
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_copy_that_others_can_write_to_is_refused(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root starts no program that someone else could have put there."""
    shared = short_folder / "writable"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(binaries, "SHARED_FOLDER", shared)
    monkeypatch.setattr(binaries, "find_package", lambda: short_folder / "no-such-package")

    with pytest.raises(EmbeddedPostgresError, match="not a folder that only we can write to"):
        binaries.find(account.for_server(create=True))


@as_root
@pytest.mark.parametrize(("mode", "expected"), [(0o755, "home"), (0o700, "root's")])
def test_default_folder_of_root_can_be_reached(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch, mode: int, expected: str
) -> None:
    """As root the data goes to the home folder, or where the account can reach it."""
    home = short_folder / "home"
    home.mkdir(exist_ok=True)
    home.chmod(mode)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    places = {"home": home / ".local/share/interlock/postgres"}

    assert embedded.default_data_dir() == places.get(expected, folder.DATA_FOLDER_OF_ROOT)


# --- as a user that is not root ------------------------------------------------------------------


@pytest.fixture
def user() -> Account:
    """An account without privileges that can run Python and our code."""
    found = account.for_server(create=True)
    try:
        check = [python(), "-c", "import psycopg, interlock.postgres.embedded"]
        subprocess.run(check, check=True, capture_output=True, **as_user(found))  # type: ignore[call-overload] # as below
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no account without privileges can run Python here")
    return found


def python() -> str:
    """Return a Python of our version that everybody can run."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return shutil.which(version, path="/usr/bin:/usr/local/bin") or sys.executable


def as_user(found: Account) -> dict[str, object]:
    """Return the options for `subprocess`, with our code on the path."""
    options = dict(found.launch_options())
    return {**options, "env": {"PATH": "/usr/bin:/bin", "PYTHONPATH": OUR_PATH}}


@pytest.fixture
def home(user: Account) -> Iterator[Path]:
    """A folder that belongs to the user alone."""
    path = Path(tempfile.mkdtemp(prefix="interlock-home-", dir="/tmp"))
    os.chown(path, user.uid, user.gid)
    yield path
    shutil.rmtree(path)


def test_user_runs_a_server(user: Account, home: Path) -> None:
    """A user's server runs as the user, in a folder that is the user's alone, and ends."""
    options = {**as_user(user), "executable": python()}
    with process(START_AND_WAIT, home / "data", **options) as started:
        pid = line(started)
        assert Path(f"/proc/{pid}").stat().st_uid == user.uid
        owners = {path.stat().st_uid for path in (home / "data").iterdir()}
        assert owners == {user.uid}
        assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
        assert let_end(started) == 0
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_user_is_told_of_a_folder_that_is_closed(
    user: Account, home: Path, short_folder: Path
) -> None:
    """A folder that the user cannot write to is named."""
    if user.is_ours:
        short_folder.chmod(0o500)
    options = {**as_user(user), "executable": python(), "stderr": subprocess.STDOUT}
    with process(START_AND_WAIT, short_folder / "denied", **options) as started:
        said, _ = started.communicate(timeout=SECONDS)
    short_folder.chmod(0o711)

    assert f"{short_folder / 'denied'} is not writable for us" in said


@as_root
def test_user_without_a_name_is_told(user: Account, home: Path) -> None:
    """Where the account has no name, as in some containers, the error says what to add."""
    nameless = Account(uid=54321, gid=54321)
    os.chown(home, nameless.uid, nameless.gid)
    options = {**as_user(nameless), "executable": python(), "stderr": subprocess.STDOUT}
    with process(START_AND_WAIT, home / "data", **options) as started:
        said, _ = started.communicate(timeout=SECONDS)

    assert not user.is_ours
    assert "Postgres wants a name for the account" in said


def test_account_of_the_data_folder_is_ours_when_we_are_not_root(tmp_path: Path) -> None:
    """Whoever is not root runs the server without help."""
    if account.we_are_root():
        pytest.skip("we are root")

    assert DataFolder(path=tmp_path).account() == account.ourselves()
