from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from interlock.cli.call import Call
from interlock.cli.database import without_password
from interlock.cli.demo import command_name
from interlock.cli.failures import failure_of, report
from interlock.cli.program import execute, program
from interlock.errors import LimitReached, ThreadBusy, UsageError

HEAVY = ["langgraph", "langchain_core", "psycopg", "rich", "pydantic", "PIL", "interlock.app"]


def test_help_is_light() -> None:
    """`interlock --help` imports nothing heavy, and so starts at once."""
    code = (
        "import sys; from interlock.cli.program import execute; execute(['--help']);"
        f"sys.exit(','.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "Commands:" in done.stdout


def every_command(group: click.Group, path: str = "") -> list[tuple[str, click.Command]]:
    found = []
    for name, command in group.commands.items():
        found.append((f"{path} {name}".strip(), command))
        if isinstance(command, click.Group):
            found += every_command(command, f"{path} {name}".strip())
    return found


@pytest.mark.parametrize(("name", "command"), every_command(program))
def test_every_command(
    name: str, command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command says what it does, and takes the shared options."""
    assert execute([*name.split(), "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (command.help or "").splitlines()[0] in text
    assert all(
        option in text for option in ("--config", "--data-dir", "--url", "--json", "--debug")
    )


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the help is shown."""
    assert execute([]) == 0
    assert capsys.readouterr().out.startswith("Usage: interlock")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["history"],
        ["history", "a", "--wrong"],
        ["run", "--model", "x"],
        ["run"],
        ["db"],
        ["keys", "create", "x"],
    ],
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong call is one line, with a way to help, and the code 2."""
    assert execute(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert captured.err.count("\n") == 1
    assert "--help` shows how." in captured.err


def in_a_shell(command: str) -> tuple[int, str, str]:
    """Run a shell command in which `interlock` is this one; return its code and what it printed."""
    script = f'interlock() {{ "{sys.executable}" -m interlock "$@"; }}; {command}'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("arguments", ["--help", "history --json"])
def test_full_output(arguments: str) -> None:
    """What cannot be printed is one line, also where the failure itself was to be printed."""
    code, _, said = in_a_shell(f"interlock {arguments} > /dev/full")

    assert code == 1
    assert "No space left on device" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams(closed: str) -> None:
    """A stream that the caller closed is nothing to fail for."""
    code, _, said = in_a_shell(f"interlock --help {closed}")

    assert (code, said) == (0, "")


def test_poor_encoding() -> None:
    """What an encoding lacks is printed as a question mark."""
    command = "export PYTHONIOENCODING=latin-1; interlock --config ł run x --json"
    code, printed, _ = in_a_shell(command)

    assert code == 2
    assert json.loads(printed)["error"]["message"] == "? cannot be read: No such file or directory."


def test_usage_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a wrong call is one JSON document on standard output."""
    assert execute(["history", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {
        "error": {
            "kind": "UsageError",
            "message": "Missing argument 'THREAD'.",
            "hint": "`interlock history --help` shows how.",
        }
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("Wrong."), 2),
        (ThreadBusy("Busy."), 1),
        (LimitReached("Enough."), 4),
        (KeyboardInterrupt(), 130),
        (ValueError("surprise"), 1),
    ],
)
def test_codes(error: BaseException, code: int) -> None:
    """Each kind of failure has its exit code."""
    assert failure_of(error, Call()).exit_code == code


def test_sigterm() -> None:
    """A run that SIGTERM stopped ends with the code that shells give for it."""
    assert failure_of(KeyboardInterrupt(), Call(stopped_by=signal.SIGTERM)).exit_code == 143


def test_unexpected(capsys: pytest.CaptureFixture[str]) -> None:
    """A surprise is one line that names its kind, its thread, and how to see more."""
    failure = failure_of(
        ValueError("first\nsecond"), Call(thread_id="01234567-89ab-4cde-8f01-23456789abcd")
    )

    assert report(failure, as_json=False) == 1
    assert capsys.readouterr().err == (
        "Error: Unexpected ValueError: first. Run again with --debug to see where. "
        "Nothing is lost: `interlock resume 01234567` goes on.\n"
    )


def test_several_lines() -> None:
    """A message of several lines becomes one."""
    assert failure_of(UsageError("One\n\ntwo", hint="Do it."), Call()).message == "One two."


def test_password() -> None:
    """A database's address is shown without its password."""
    assert without_password("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert without_password("postgresql://me@/db?host=x") == "postgresql://me@/db?host=x"


def test_command_name(tmp_path: Path) -> None:
    """A command to try is printed such that it works from where the person is."""
    assert command_name(str(tmp_path / ".venv/bin/interlock"), tmp_path) == ".venv/bin/interlock"
    assert command_name(str(tmp_path / "bin/interlock"), tmp_path / "x") == str(
        tmp_path / "bin/interlock"
    )
    assert command_name("/somewhere/__main__.py", tmp_path) == "interlock"


@pytest.mark.parametrize("name", [name for name, _ in every_command(program)])
def test_documented(name: str) -> None:
    """Every command stands in docs/cli.md."""
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()

    assert f"| `interlock {name}" in page or any(
        f"| `interlock {name} {inner}" in page for inner in ("list", "migrate")
    )
