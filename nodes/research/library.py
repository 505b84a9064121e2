"""The documents of a run, also in a process that has not read them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from interlock.core.corpus import Corpus, Document
from interlock.errors import NotFound

ReadT = TypeVar("ReadT")


async def reading(
    corpus: Corpus,
    collection: str,
    sources: Sequence[str],
    read: Callable[[str], Awaitable[ReadT]],
) -> ReadT:
    """Read from a collection; where the corpus does not hold it, its sources are read in again.

    A corpus in memory ends with its process, and a run may go on in another one.
    """
    try:
        return await read(collection)
    except NotFound:
        again = await corpus.ingest(sources)
        return await read(again["collection"])


async def texts_of(
    corpus: Corpus, collection: str, sources: Sequence[str], ids: Iterable[str]
) -> dict[str, Document]:
    """Return documents by id; one that is gone is left out."""

    async def read(collection: str) -> dict[str, Document]:
        await corpus.documents(collection)  # says whether the corpus holds the collection at all
        found = [await _document(corpus, collection, each) for each in sorted(set(ids))]
        return {each.id: each for each in found if each}

    return await reading(corpus, collection, sources, read)


async def _document(corpus: Corpus, collection: str, document_id: str) -> Document | None:
    try:
        return await corpus.document(collection, document_id)
    except NotFound:
        return None
