"""What the documentation shows is run, and what it lists is complete."""

from __future__ import annotations

import importlib
import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import interlock
from interlock.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def block(page: Path, language: str) -> str:
    """The first fenced block of a language on a page."""
    found = re.search(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page.name} has no {language} block"
    return found[1]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The application of "Write your own graph", saved as the page says."""
    page = DOCS / "write-your-own-graph.md"
    (tmp_path / "notes.py").write_text(block(page, "python"))
    (tmp_path / "langgraph.json").write_text(block(page, "json"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "notes", raising=False)
    return tmp_path


def test_the_graph_of_the_guide_is_short() -> None:
    """A complete cyclic graph with an approval takes under 60 lines."""
    assert len(block(DOCS / "write-your-own-graph.md", "python").splitlines()) < 60


def test_the_graph_of_the_guide_runs_durably(notes: Path, database_url: str) -> None:
    """It goes round, asks, and sends once what was edited."""
    with interlock.open(database_url) as il:
        run = il.invoke("notes", {"text": "Please meet me at the station at noon, by the clock"})
        assert (run.status, run.interrupts[0].arguments) == ("waiting", {"text": "Please meet me"})

        run = il.resume(run.thread_id, interlock.Edit(run.interrupts[0].id, {"text": "At noon."}))

    assert (run.status, run.output["rounds"]) == ("succeeded", 2)
    assert (notes / "outbox.txt").read_text() == "At noon.\n"


def test_the_graph_of_the_guide_is_plain_langgraph(notes: Path) -> None:
    """It runs with LangGraph's own `invoke` and saver."""
    builder = importlib.import_module("notes").builder
    graph = builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}

    graph.invoke({"text": "one two three four five six seven eight"}, config)
    done = graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)

    assert done["sent"] == "sent"
    assert (notes / "outbox.txt").read_text() == "one two three four\n"


def test_every_setting_is_documented_with_its_meaning_and_default() -> None:
    """The table of the configuration page is the settings, no more and no less."""
    rows = re.findall(
        r"^\| `(INTERLOCK_\w+)` \| (.*?) \| (.*) \|$",
        (DOCS / "configuration.md").read_text(),
        re.MULTILINE,
    )
    defaults = {
        each.metadata["variable"]: str(each.default if each.default not in (None, "") else "—")
        for each in fields(Settings)
    }
    texts = {each.metadata["variable"]: each.metadata["text"] for each in fields(Settings)}

    assert {name: default for name, default, _ in rows} == defaults
    assert {name: text for name, _, text in rows} == texts


def test_the_documented_config_is_json() -> None:
    """The guide's langgraph.json parses and names the graph."""
    assert json.loads(block(DOCS / "write-your-own-graph.md", "json"))["graphs"] == {
        "notes": "notes:graph"
    }
