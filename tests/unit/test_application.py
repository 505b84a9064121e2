"""Graphs named in a langgraph.json, however they are named and whatever their files do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.application import Application
from interlock.errors import UsageError
from interlock.langgraph_json import Config

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


def test_a_factory_may_be_asynchronous() -> None:
    """A coroutine function that makes the graph is waited for."""
    assert Application.find(CONFIG).graph("promised").name == "promised"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "cannot be imported: ValueError: the application's own fault"),
        ("missing", "cannot be imported: there is no file"),
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


FACTORIES = """
import asyncio
import contextlib
from typing import TypedDict
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph_sdk.runtime import ServerRuntime

open_now = []

class State(TypedDict):
    said: str

def built(name):
    builder = StateGraph(State).add_node("say", lambda state: state).add_edge(START, "say")
    return builder.compile(name=name)

builder = StateGraph(State).add_node("say", lambda state: state).add_edge(START, "say")

def with_config(config: RunnableConfig):
    return built(f"configurable: {config['configurable']}")

def with_runtime(runtime: ServerRuntime):
    return built(f"runs: {runtime.execution_runtime is not None}")

async def with_both(config: RunnableConfig, runtime: ServerRuntime[None]):
    await asyncio.sleep(0)
    return built(f"{sorted(config)} {runtime.user}")

@contextlib.asynccontextmanager
async def opened():
    open_now.append("opened")
    yield built("opened")
    open_now.remove("opened")

@contextlib.contextmanager
def opened_now(config):
    open_now.append("opened now")
    yield built("opened now")
    open_now.remove("opened now")

async def yielded():
    open_now.append("yielded")
    yield built("yielded")
    open_now.remove("yielded")

def wrong():
    raise ValueError("not today")

def watched(): return [*open_now]
"""


@pytest.fixture
def factories(tmp_path: Path) -> Path:
    """A langgraph.json whose graphs are made in every way."""
    (tmp_path / "factories.py").write_text(FACTORIES)
    names = (
        "builder",
        "with_config",
        "with_runtime",
        "with_both",
        "opened",
        "opened_now",
        "yielded",
        "wrong",
    )
    graphs = {name: f"./factories.py:{name}" for name in names}
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": graphs}))
    return config


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("builder", "builder"),
        ("with_config", "configurable: {}"),
        ("with_runtime", "runs: True"),
        ("with_both", "['configurable'] None"),
        ("opened", "opened"),
        ("opened_now", "opened now"),
        ("yielded", "yielded"),
    ],
)
def test_a_graph_is_made_in_every_way_that_langgraph_knows(
    factories: Path, name: str, made: str
) -> None:
    """A builder is compiled; a factory gets what it asks for, and may be asynchronous or a context manager."""
    assert Application.find(factories).graph(name).name == made


def test_what_a_factory_opens_stays_open(factories: Path) -> None:
    """A graph uses what its factory opened for as long as the process lives."""
    application = Application.find(factories)
    for name in ("opened", "opened_now", "yielded"):
        application.graph(name)

    watched = application.found("What is open", "./factories.py:watched")

    assert watched() == ["opened", "opened now", "yielded"]


def test_a_factory_that_fails_is_one_clear_error(factories: Path) -> None:
    """It names the graph and the application's own error."""
    with pytest.raises(UsageError, match=r"Graph 'wrong' .* cannot be made: ValueError: not today"):
        Application.find(factories).graph("wrong")


async def test_a_factory_is_waited_for_on_any_loop(factories: Path) -> None:
    """An asynchronous factory has a loop of its own: whoever wants the graph may be on one."""
    assert Application.find(factories).graph("with_both").name == "['configurable'] None"


def test_the_environment_of_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of variables is read as shells read it; what the process has already stays."""
    (tmp_path / ".env").write_text(
        "# a comment\nIL_PLAIN=a b # why\nexport IL_QUOTED='x # y'\nIL_SET=from the file\nIL_EMPTY=\nnonsense\n"
    )
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {}, "env": ".env"}))
    monkeypatch.setenv("IL_SET", "from the process")
    for name in ("IL_PLAIN", "IL_QUOTED", "IL_EMPTY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    Application.find(config).prepare()

    assert {name: value for name, value in os.environ.items() if name.startswith("IL_")} == {
        "IL_PLAIN": "a b",
        "IL_QUOTED": "x # y",
        "IL_SET": "from the process",
        "IL_EMPTY": "",
    }


def test_folders_among_the_dependencies_are_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph file imports from its application's other folders, the first of them first."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for folder, text in (("one", "graph = 1"), ("two", "graph = 2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "il_dependency.py").write_text(text)
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {}, "dependencies": ["./one", "./two"]}))

    assert Application.find(config).found("It", "il_dependency:graph") == 1


def test_what_is_not_honoured_is_said() -> None:
    """A server says when it starts what its langgraph.json asks for in vain."""
    config = Config.model_validate(
        {
            "graphs": {},
            "dependencies": [".", "pytest", "no-such-package[extra]>=1"],
            "dockerfile_lines": ["RUN true"],
            "ui": {"a": "./a.tsx"},
            "http": {"cors": {"allow_origins": ["*"]}, "middleware_order": "auth_first"},
            "checkpointer": {"ttl": {"default_ttl": 5}, "path": "./mine.py:saver"},
            "surprise": 1,
        }
    )

    assert [each.split(":")[1].strip() for each in config.notices()] == [
        "`ui` is not honoured",
        "`checkpointer.path` is not honoured",
        "`http.middleware_order` is not honoured",
        "`surprise` is not known here.",
        "the package 'no-such-package' is not installed",
    ]


def test_a_section_that_is_wrong_is_named(tmp_path: Path) -> None:
    """The message says where in the file."""
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {}, "http": {"cors": {"max_age": "soon"}}}))

    with pytest.raises(UsageError, match=r"is wrong at 'http\.cors\.max_age'"):
        Application.find(config)
