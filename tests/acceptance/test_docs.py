"""What the documentation shows is run, and what it lists is complete."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph
from langgraph.types import Command

import interlock
from interlock.core.prices import Tokens, prices_from
from interlock.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language on a page."""
    found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no {language} block"
    return found


def block(page: Path, language: str) -> str:
    """The first fenced block of a language on a page."""
    return blocks(page, language)[0]


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


@pytest.fixture
def documents(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the README's examples find `documents`, and the settings that they find the project by."""
    (tmp_path / "documents").mkdir()
    for page in ("yield", "await", "async", "return", "types"):
        (tmp_path / "documents" / f"{page}.txt").write_text(topics[page])
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(DOCS.parent / "langgraph.json"))
    return tmp_path


def run_example(code: str, folder: Path) -> str:
    """Run an example as a program of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_example_runs(documents: Path) -> None:
    """The durable example asks, publishes, and forks."""
    status, report, path = run_example(blocks(README, "python")[0], documents).splitlines()

    assert status.startswith("waiting Publish")
    assert Path(report).read_text().startswith("# ")
    assert path.startswith("('gather', 'plan', 'researcher', ")


def test_the_plain_readme_example_runs(documents: Path) -> None:
    """The graph is plain LangGraph: with an in-memory saver it stops at the approval."""
    code = (
        blocks(README, "python")[1]
        + "\nprint(len(state['__interrupt__']), bool(state['findings']))"
    )

    assert run_example(code, documents) == "1 True\n"


def test_the_budget_example_lands(tmp_path: Path) -> None:
    """It keeps a call back for the landing, and needs nothing but LangGraph."""
    printed = run_example(block(DOCS / "budgets.md", "python"), tmp_path)

    assert printed == "partial: 4 notes; model_calls are spent\n"


def test_the_price_file_of_the_page_is_one(tmp_path: Path) -> None:
    """It adds a model, and replaces a price."""
    (tmp_path / "prices.toml").write_text(block(DOCS / "budgets.md", "toml"))
    table = prices_from(tmp_path / "prices.toml")

    assert table.version.startswith("contract of March")
    assert table.cost("openai:gpt-4o", Tokens(input=1_000_000)) == 2.0


def test_the_quickstart_example_runs(documents: Path) -> None:
    """A rejection with a reason is revised and asked again; then it is published, and each step is listed."""
    printed = run_example(block(DOCS / "quickstart.md", "python"), documents)

    assert [line.split()[0] for line in printed.splitlines()][:3] == ["-1", "0", "1"]
    assert printed.count("('approve',)") == 2
    assert printed.count("('publish',)") == 1


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


def test_the_action_of_the_guide_asks_and_then_acts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refund stops before it is made, and is made once with its key; the escalation's lines fit it."""
    first, on_error, after = blocks(DOCS / "actions.md", "python")
    (tmp_path / "refunds.py").write_text(first)
    monkeypatch.syspath_prepend(tmp_path)
    refunds = importlib.import_module("refunds")
    graph = interlock.sync_too(refunds.builder).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    stopped = graph.invoke({"paid": 20.0}, config)

    assert (len(stopped["__interrupt__"]), refunds.BANK) == (1, {})
    done = graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert list(refunds.BANK.values()) == [20.0]
    assert done["receipt"] == f"refund {next(iter(refunds.BANK))[:8]}"
    for fragment in (on_error, after):
        builder = StateGraph(refunds.State)
        exec(fragment, {"builder": builder, "settle": refunds.settle})  # noqa: S102  # our own page


def test_every_setting_is_documented_with_its_meaning_and_default() -> None:
    """The table of the configuration page is the settings, no more and no less."""
    rows = re.findall(
        r"^\| `(INTERLOCK_\w+)` \| (.*?) \| (.*) \|$",
        (DOCS / "configuration.md").read_text(),
        re.MULTILINE,
    )
    defaults = {
        each.metadata["variable"]: str(each.default if each.default not in (None, "", ()) else "—")
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
