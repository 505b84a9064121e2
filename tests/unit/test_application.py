"""Graphs named in a langgraph.json, however they are named and whatever their files do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.application import Application
from interlock.errors import UsageError

CONFIG = Path(__file__).parents[1] / "sample" / "odd" / "langgraph.json"
TELL_MODULE = """
import sys
from pathlib import Path
from interlock.application import Application
graph = Application.find(Path(sys.argv[1])).graph("odd")
print(graph.builder.nodes["odd"].runnable.func.__module__)
"""


def module_in_another_process(seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", TELL_MODULE, str(CONFIG)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_file_is_the_same_module_in_each_process() -> None:
    """Checkpoints name an application's classes by module, so the name of a file's module may not change."""
    assert module_in_another_process("1") == module_in_another_process("2")


def test_a_factory_may_take_a_configuration() -> None:
    """A function that makes the graph is called as LangGraph's server calls it."""
    assert Application.find(CONFIG).graph("made").name == "made"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "cannot be imported: ValueError: the application's own fault"),
        ("missing", "cannot be imported: there is no file"),
        ("promised", "is made by an asynchronous function"),
    ],
)
def test_a_graph_that_cannot_be_had_is_one_clear_error(name: str, message: str) -> None:
    """Whatever an application's file raises names the graph and the reason."""
    with pytest.raises(UsageError) as raised:
        Application.find(CONFIG).graph(name)

    assert f"Graph '{name}'" in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes: line 1 column 2"),
        ("{}", "names no graphs. It needs"),
        ('{"graphs": []}', "names no graphs. It needs"),
        ("[]", "names no graphs. It needs"),
    ],
)
def test_a_langgraph_json_of_another_shape(text: str, message: str, tmp_path: Path) -> None:
    """A file that names no graphs is refused in words, not with a Python error."""
    path = tmp_path / "langgraph.json"
    path.write_text(text)

    with pytest.raises(UsageError) as raised:
        Application.find(path)

    assert message in str(raised.value)
