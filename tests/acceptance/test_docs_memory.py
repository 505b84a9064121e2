"""The page on memory is run, and what it says of the defaults is so."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from interlock.core.manifest import SECTIONS
from interlock.core.summarizing import summarize

PAGE = (Path(__file__).parents[2] / "docs" / "memory.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_runs(tmp_path: Path, database_url: str) -> None:
    """It folds, keeps the objective, and finds the original of a note; its nodes declare their keys."""
    app, run, check = BLOCKS
    config = re.search(r"`(\{.*\})`", PAGE)
    assert config
    (tmp_path / "reader.py").write_text(app)
    (tmp_path / "langgraph.json").write_text(config[1])
    program = run.replace("interlock.open()", f"interlock.open({database_url!r})")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{program}\nfrom reader import builder\n{check}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    left, objective, note, original = done.stdout.splitlines()

    found = re.fullmatch(r"(\d+) messages are left of 62", left)
    assert found
    assert int(found[1]) < 24
    assert objective == "How high do the lamps stand?"
    height = re.fullmatch(r"tool read_page: (Lamp \d+ stands at \d+ m\.)", note)
    assert height
    assert original.startswith(height[1])


def test_the_options_are_as_documented() -> None:
    """Each option has a row, with its default."""
    rows = dict(re.findall(r"^\| `(\w+)` \| .*? \| (.*) \|$", PAGE, re.MULTILINE))
    parameters = inspect.signature(summarize).parameters

    assert [each for each in rows if each in parameters] == list(parameters)
    assert rows["threshold"] == str(parameters["threshold"].default)
    assert rows["keep"] == str(parameters["keep"].default)


def test_each_section_is_documented() -> None:
    """The table of sections is the schema's."""
    assert re.findall(r"^\| `(\w+)` \| [^|]* \|$", PAGE, re.MULTILINE)[:6] == [
        "objective",
        *SECTIONS,
    ]
