"""Commands with --json, run in the process of a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from interlock.cli.program import execute

Document = dict[str, Any]  # a JSON object
Say = Callable[..., tuple[int, Document]]


def saying(capsys: pytest.CaptureFixture[str], *before: str) -> Say:
    """Return what runs a command and returns its code and its document; `before` begins each command."""

    def run(*arguments: str) -> tuple[int, Document]:
        capsys.readouterr()
        code = execute([*before, *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run
