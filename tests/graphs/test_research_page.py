"""What the page about the research team says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import state.research
from state.research import Event
from tests.graphs.harbour import SOURCES

PAGE = (Path(__file__).parents[2] / "docs" / "research.md").read_text(encoding="utf-8")


def test_example_runs(tmp_path: Path) -> None:
    """The example asks, and publishes."""
    (tmp_path / "harbour").mkdir()
    for name, text in SOURCES.items():
        (tmp_path / "harbour" / name).write_text(text, encoding="utf-8")
    example = PAGE.partition("```python\n")[2].partition("```")[0]
    ran = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.stderr == ""
    evidence, published = ran.stdout.splitlines()
    assert "each found verbatim in its source" in evidence
    assert Path(published).parent == tmp_path / "reports"
    assert Path(published).exists()


def test_limits_are_told_as_they_are() -> None:
    """A limit that changes changes on the page, too."""
    told = re.findall(r"^\| `([A-Z]+)` \| (\d+) ", PAGE, re.MULTILINE)

    assert len(told) == 6
    assert {name: getattr(state.research, name) for name, _ in told} == {
        name: int(number) for name, number in told
    }


def test_events_are_told_as_they_are() -> None:
    """Each event is on the page with all that it holds."""
    table = PAGE.partition("| `event` |")[2].partition("\n\n")[0]
    told = {
        name: set(re.findall(r"`(\w+)`", holds))
        for name, holds in re.findall(r"^\| `(\w+)` \| \w+ \| (.*) \|$", table, re.MULTILINE)
    }

    assert told == {
        get_args(get_type_hints(each)["event"])[0]: set(get_type_hints(each)) - {"event"}
        for each in get_args(Event)
    }
