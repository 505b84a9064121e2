"""A researcher's first two steps: think of a query, and search."""

from __future__ import annotations

from typing import NotRequired

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.context import Context, context_of
from interlock.core.corpus import Corpus, Passage
from interlock.core.structured import ask
from nodes.research.library import reading
from nodes.research.progress import tell
from nodes.research.questions import Query, QueryRequest
from state.research import Strategy, Task

PASSAGES = 8
"""How many passages one search brings."""


class QueryInput(TypedDict):
    """What a query is thought of from."""

    question: str
    task: Task
    strategy: Strategy
    known: list[str]
    queries: NotRequired[list[str]]
    unmet: NotRequired[list[str]]


class SearchInput(TypedDict):
    """What is searched for, where, and what was read before."""

    sources: list[str]
    collection: str
    task: Task
    query: str
    seen: NotRequired[list[str]]


class Asked(TypedDict):
    """The next query."""

    query: str
    queries: list[str]


class Searched(TypedDict):
    """What the query brought that was not read before."""

    passages: list[Passage]
    seen: list[str]


class Shelf(TypedDict):
    """What is searched, and where it was read from."""

    corpus: Corpus
    sources: list[str]


@action(name="search_documents", touches="nothing: it reads", nodes=("search",), reads=True)
async def search_documents(collection: str, query: str, *, state: Shelf) -> list[Passage]:
    """Return the passages that fit a query best; a replay of the run finds what was found then."""
    corpus = state["corpus"]
    return await reading(
        corpus,
        collection,
        state["sources"],
        lambda collection: corpus.search(collection, query, limit=PASSAGES),
    )


async def query(state: QueryInput, runtime: Runtime[Context]) -> Asked:
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


async def search(state: SearchInput, runtime: Runtime[Context]) -> Searched:
    """Search the run's documents, and keep the passages that this researcher has not read."""
    text = state["query"]
    shelf = Shelf(corpus=context_of(runtime).ports.corpus, sources=state["sources"])
    found = await act(
        runtime, search_documents, state=shelf, collection=state["collection"], query=text
    )
    seen = state.get("seen", [])
    new = [each for each in found if _place(each) not in seen]
    task = state["task"]["id"]
    tell(runtime, {"event": "search", "task": task, "query": text, "hits": len(new)})
    return {"passages": new, "seen": [*seen, *map(_place, new)]}


def _place(passage: Passage) -> str:
    return f"{passage['document']}:{passage['start']}"
