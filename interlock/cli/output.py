"""Where words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 120


def print_json(document: Mapping[str, Any]) -> None:  # a JSON object
    """Print the one document of a call."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def results() -> Console:
    """Return what results are printed on."""
    return _console(sys.stdout)


def remarks() -> Console:
    """Return what everything else is printed on."""
    return _console(sys.stderr)


def is_conversation() -> bool:
    """Tell whether a person can be asked right here."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def on_a_line(text: str) -> str:
    """Return a text without breaks and commands to the terminal: they are shown as they would be written."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def print_notice(console: Console, notice: str) -> None:
    """Say that no language model was at work, where that is so."""
    if notice:
        console.print(notice, style="yellow", highlight=False)


def _console(file: TextIO) -> Console:
    from interlock.cli.terminal import Quiet as Console

    if file.isatty():
        return Console(file=file, highlight=False)
    width = int(os.environ.get("COLUMNS") or 0) or max(
        shutil.get_terminal_size().columns, WIDTH_OF_FILES
    )
    return Console(file=file, width=width, highlight=False)
