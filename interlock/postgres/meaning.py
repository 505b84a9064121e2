"""Vectors of what the store holds: made before a connection is taken, checked, and all of one model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import psycopg
from langchain_core.embeddings import Embeddings
from langgraph.store.base import ensure_embeddings

from interlock.errors import UsageError
from interlock.langgraph_json import StoreIndex
from interlock.postgres.pool import Pool, connected, execute, fetch
from interlock.postgres.queries import load

SQL = load("items")

ALL = 10**9
"""How many vectors an item is taken to have at most: LangGraph's search looks at so many for each that it returns."""

Vectors = dict[str, list[float]]
"""Vectors by their texts."""

_made: ContextVar[Vectors] = ContextVar("vectors")


class Meaning(Embeddings):
    """The application's embeddings as LangGraph's store asks for them: what `prepare` has made.

    A model is asked before the store takes a connection, so that one that is slow keeps none.

    Args:
        index: what langgraph.json says.
        embed: the function that it names, or the name of a provider's model.
    """

    def __init__(self, index: StoreIndex, embed: Any) -> None:  # what an application gives
        self.index = index
        self._embeddings = _embeddings(index.embed, embed)

    async def prepare(self, texts: Sequence[str]) -> Vectors:
        """Make the vectors of texts for the task that asks, and return them; raises `UsageError`."""
        asked = list(dict.fromkeys(texts))
        made = await self._embeddings.aembed_documents(asked) if asked else []
        if len(made) != len(asked):
            raise UsageError(
                f"`{self.index.embed}` made {len(made)} vectors of {len(asked)} texts.",
                hint="It must return one for each text, in their order.",
            )
        vectors = {text: self._checked(each) for text, each in zip(asked, made, strict=True)}
        _made.set(vectors)
        return vectors

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors that were prepared."""
        return self.embed_documents(texts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors that were prepared."""
        made = _made.get()
        return [made[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector that was prepared."""
        return _made.get()[text]

    def rows(self, asked: Sequence[tuple[str, str, str, str]]) -> dict[str, Any]:  # SQL
        """Return what is stored of texts by prefix, key and field; of vectors of zeros, as near to all, nothing."""
        made = {(prefix, key, field): _made.get()[text] for prefix, key, field, text in asked}
        kept = {place: vector for place, vector in made.items() if any(vector)}
        return {
            "prefixes": [prefix for prefix, _, _ in kept],
            "keys": [key for _, key, _ in kept],
            "fields": [field for _, _, field in kept],
            "embeddings": [str(vector) for vector in kept.values()],
        }

    def _checked(self, given: Any) -> list[float]:  # a list, or an array of numpy
        vector = [float(each) for each in given]
        if len(vector) != self.index.dims:
            raise UsageError(
                f"`{self.index.embed}` made a vector of {len(vector)} numbers; "
                f"`store.index.dims` in langgraph.json says {self.index.dims}.",
                hint="Let both say the same.",
            )
        if not all(map(math.isfinite, vector)):
            raise UsageError(f"`{self.index.embed}` made a vector that is not finite.")
        return vector


async def forget_index(pool: Pool) -> None:
    """Forget all vectors, and what they were made with."""
    async with connected(pool) as connection:
        await execute(connection, SQL["unindex"], {})


async def open_index(pool: Pool, index: StoreIndex) -> None:
    """Make the table of vectors where there is none.

    Raises:
        UsageError: the database has no pgvector, or its vectors are another model's.
    """
    said = {"embed": index.embed, "dims": index.dims}
    try:
        async with connected(pool) as connection:
            [found] = await fetch(connection, SQL["index"], said)
    except psycopg.Error as error:
        raise UsageError(
            f"The store cannot be searched by meaning here: {str(error).splitlines()[0]}.",
            hint="Install pgvector for this Postgres and let its administrator run `create extension vector`, "
            "or take `store.index` out of langgraph.json.",
        ) from error
    if found != said:
        raise UsageError(
            f"The vectors of the store were made by `{found['embed']}` with {found['dims']} numbers each; "
            f"langgraph.json now names `{index.embed}` with {index.dims}.",
            hint="`interlock db index-items` makes them anew.",
        )


def _embeddings(name: str, embed: Any) -> Embeddings:  # what an application gives
    try:
        return ensure_embeddings(embed)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"The store's `embed` '{name}' cannot be used: {error}",
            hint="Name a function of the application, as `./embed.py:embed`.",
        ) from error
