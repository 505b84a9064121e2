"""What the research graph shows to those who only look at it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from graphs.research import graph
from tests.graphs.harbour import SOURCES


def test_input_schema_describes_each_field() -> None:
    """The options of the command line are made of it."""
    fields = graph.get_input_jsonschema()["properties"]
    assert {name: field["description"] for name, field in fields.items()} == {
        "question": "What to find out.",
        "sources": "Folders, files, URLs, or search:NAME for a search tool.",
        "output": "Folder for the report.",
    }
    assert graph.get_input_jsonschema()["required"] == ["question", "sources"]


def test_context_schema_hides_the_ports() -> None:
    """A client may choose models and prompts, and no door to the world."""
    schema = graph.get_context_jsonschema()
    assert schema is not None
    assert sorted(schema["properties"]) == [
        "model",
        "prompts",
        "role_models",
        "tenant",
    ]


def test_output_schema_holds_what_a_caller_wants() -> None:
    """The output is the result, not the whole state."""
    assert sorted(graph.get_output_jsonschema()["properties"]) == [
        "draft",
        "findings",
        "message",
        "outcomes",
        "published",
        "status",
    ]


def test_drawing_has_each_edge_with_its_label() -> None:
    """The picture tells the whole story."""
    edges = {(edge.source, edge.target, edge.data) for edge in graph.get_graph().edges}

    assert edges == {
        ("__start__", "gather", None),
        ("gather", "plan", None),
        ("plan", "researcher", None),
        ("researcher", "supervise", None),
        ("supervise", "researcher", "next wave"),
        ("supervise", "write", "enough"),
        ("supervise", "decline", "nothing found"),
        ("write", "verify", None),
        ("verify", "write", "faults"),
        ("verify", "critique", "sound"),
        ("critique", "approve", "good"),
        ("critique", "write", "revise"),
        ("critique", "supervise", "research"),
        ("approve", "publish", "approved"),
        ("approve", "write", "wish"),
        ("approve", "__end__", "rejected"),
        ("publish", "__end__", None),
        ("decline", "__end__", None),
    }


def test_drawing_shows_the_inside_of_a_researcher() -> None:
    """A researcher is a cycle of its own, and is drawn as one."""
    nodes = graph.get_graph(xray=True).nodes

    inside = {name.split(":")[1] for name in nodes if name.startswith("researcher:")}
    assert inside == {"__start__", "query", "search", "extract", "judge", "conclude"}


STRICT = """
import asyncio, sys, warnings
warnings.simplefilter("error")
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from graphs.research import build
from interlock.core.sync import sync_too

async def main(folder, output):
    graph = sync_too(build()).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "strict"}}
    question = "What does the north lamp reach in clear weather?"
    await graph.ainvoke({"question": question, "sources": [folder], "output": output}, config)
    before = await graph.aget_state(config)
    assert before.next == ("approve",), before.values["message"]
    answer = Command(resume={"decisions": [{"type": "approve"}]})
    print((await graph.ainvoke(answer, config))["status"])

asyncio.run(main(*sys.argv[1:]))
"""


def test_state_is_plain_data(tmp_path: Path) -> None:
    """With strict checkpoints a run stores and reads its state without a warning, and without a key."""
    sources = tmp_path / "harbour"
    sources.mkdir()
    for name, text in SOURCES.items():
        (sources / name).write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", STRICT, str(sources), str(tmp_path / "reports")],
        env={**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ran.stdout, ran.stderr) == ("published\n", "")
