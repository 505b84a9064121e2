"""Teams of the harbour, each on a thread of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from graphs.research import build
from interlock.core.corpus_memory import MemoryCorpus
from interlock.core.sync import sync_too
from state.research import STEPS
from tests.graphs.harbour import SOURCES, Team


@pytest.fixture
async def team(tmp_path: Path) -> Team:
    """A team with the harbour's sources, and a model without a script."""
    return await _team(tmp_path / "one")


@pytest.fixture
async def other_team(tmp_path: Path) -> Team:
    """A second team like the first, to be compared with it."""
    return await _team(tmp_path / "other")


async def _team(place: Path) -> Team:
    folder = place / "harbour"
    folder.mkdir(parents=True)
    for name, text in SOURCES.items():
        (folder / name).write_text(text, encoding="utf-8")
    corpus = MemoryCorpus()
    ingested = await corpus.ingest([str(folder)])
    ids = {one["source"]: one["id"] for one in await corpus.documents(ingested["collection"])}
    graph = sync_too(build()).compile(checkpointer=InMemorySaver(), name="research")
    return Team(
        graph=graph.with_config(recursion_limit=STEPS),
        folder=folder,
        output=place / "reports",
        ids=ids,
    )
