"""A graph that remembers by meaning, and vectors of words: texts are as near as the words that they share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

DIMS = 16


class State(TypedDict, total=False):
    """What is asked, and the keys that were found."""

    asked: str
    found: list[str]


def vector(text: str, dims: int = DIMS) -> list[float]:
    """Count the words of a text, each in a place of its own as far as there are places."""
    counts = [0.0] * dims
    for word in text.lower().split():
        counts[hashlib.sha256(word.encode()).digest()[0] % dims] += 1.0
    return counts


async def embed(texts: Sequence[str]) -> list[list[float]]:
    """Make vectors of texts."""
    return [vector(text) for text in texts]


def embed_at_once(texts: Sequence[str]) -> list[list[float]]:
    """Make vectors of texts, for synchronous applications."""
    return [vector(text, 8) for text in texts]


def embed_short(texts: Sequence[str]) -> list[list[float]]:
    """Make vectors that are shorter than langgraph.json says."""
    return [vector(text, 3) for text in texts]


def look(state: State) -> State:
    """Look up what is asked in a synchronous node."""
    return {"found": [item.key for item in get_store().search(("animals",), query=state["asked"])]}


remember = StateGraph(State).add_node(look).add_edge(START, "look").compile()
