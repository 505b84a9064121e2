"""The commands that the documentation shows exist, with the options that they are given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from interlock.cli.program import program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = {"", "console", "sh", "shell", "bash"}
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*interlock (.+)$", re.MULTILINE)
EVERYWHERE = {
    "--config",
    "--data-dir",
    "--url",
    "--server",
    "--json",
    "--debug",
    "--help",
    "--version",
}
OF_GRAPHS = ("run", "submit", "cron add")
"""Commands whose options come from a graph's input, too."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shown_commands_exist(page: Path) -> None:
    """Each command of a page's blocks is one, and takes the options that it is shown with."""
    assert [fault for line in _shown(page) if (fault := _fault(line))] == []


def test_commands_are_found_in_each_kind_of_block() -> None:
    """Also after a block of Python, and with a prompt or without."""
    assert "approvals approve ID" in _shown(ROOT / "docs" / "write-your-own-graph.md")
    assert "approvals" in _shown(ROOT / "README.md")


def test_a_command_that_does_not_exist_is_found() -> None:
    """A misspelt command, subcommand or option is noticed."""
    assert _fault("aprovals") == "aprovals: no such command"
    assert _fault("approvals aprove ID") == "approvals aprove ID: no such command"
    assert _fault("history THREAD --insde") == "history THREAD --insde: no --insde"
    assert _fault("approvals approve ID") == ""


def _shown(page: Path) -> Iterator[str]:
    blocks = FENCED.findall(page.read_text("utf-8"))
    for block in (text for language, text in blocks if language in SHELLS):
        for line in COMMAND.findall(block.replace("\\\n", " ")):
            yield re.split(r"\s+#|\s+\||;|`", line)[0].strip()


def _fault(line: str) -> str:
    """Return what is wrong with a command line, without the program's name."""
    words = shlex.split(line)
    command, path = _resolved(words)
    if command is None:
        return f"{line}: no such command"
    if " ".join(path) in OF_GRAPHS:
        return ""
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    return next((f"{line}: no {name}" for name in given if name not in known | EVERYWHERE), "")


def _resolved(words: list[str]) -> tuple[click.Command | None, list[str]]:
    command: click.Command = program
    path: list[str] = []
    context = click.Context(command)
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        if " ".join(path) in OF_GRAPHS:
            break
        found = command.get_command(context, word)
        if found is None:
            return None, path
        command, path = found, [*path, word]
    return command, path
