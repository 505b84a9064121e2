"""A researcher's first two steps: think of a query, and search."""

from __future__ import annotations

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context, context_of
from interlock.core.corpus import Passage
from interlock.core.structured import ask
from nodes.research.library import reading
from nodes.research.progress import tell
from nodes.research.questions import Query, QueryRequest
from state.research import ResearcherState

PASSAGES = 8
"""How many passages one search brings."""


class Asked(TypedDict):
    """The next query."""

    query: str
    queries: list[str]


class Searched(TypedDict):
    """What the query brought that was not read before."""

    passages: list[Passage]
    seen: list[str]


async def query(state: ResearcherState, runtime: Runtime[Context]) -> Asked:
    """Ask the researcher for a query, given those that did not suffice."""
    tried = state.get("queries", [])
    request = QueryRequest(
        question=state["question"],
        task=state["task"],
        strategy=state["strategy"],
        known=state["known"],
        tried=tried,
        unmet=state.get("unmet", []),
    )
    text = (await ask(runtime, request, Query)).query
    return {"query": text, "queries": [*tried, text]}


async def search(state: ResearcherState, runtime: Runtime[Context]) -> Searched:
    """Search the run's documents, and keep the passages that this researcher has not read."""
    corpus, text = context_of(runtime).ports.corpus, state["query"]
    found = await reading(
        corpus,
        state["collection"],
        state["sources"],
        lambda collection: corpus.search(collection, text, limit=PASSAGES),
    )
    seen = state.get("seen", [])
    new = [each for each in found if _place(each) not in seen]
    task = state["task"]["id"]
    tell(runtime, {"event": "search", "task": task, "query": text, "hits": len(new)})
    return {"passages": new, "seen": [*seen, *map(_place, new)]}


def _place(passage: Passage) -> str:
    return f"{passage['document']}:{passage['start']}"
