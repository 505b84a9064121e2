"""The documents a run may read: what a corpus is, and one that lives in memory.

The text of a document is data. Nothing here interprets it, and nothing may follow what it says.
"""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from typing_extensions import TypedDict


class Location(TypedDict):
    """Where a passage stands: lines count from 1 in the extracted text, pages as in the PDF."""

    kind: Literal["line", "page"]
    first: int
    last: int


class Passage(TypedDict):
    """A piece of a document as a search returns it; `text == document.text[start:end]`."""

    document: str
    source: str
    title: str
    heading: str
    start: int
    end: int
    location: Location
    text: str
    score: float
    coverage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One source, read.

    Attributes:
        id: first 16 hex digits of the SHA-256 of the source's name and its bytes.
        source: the name a person knows it by: a path below the folder that was given, or a URL.
        title: its first heading, its metadata title, or its file name.
        media: the media type that it was read as.
        text: the extracted text; offsets everywhere are characters in it.
        page_starts: for paged media the offset where each page begins, else empty.
    """

    id: str
    source: str
    title: str
    media: str
    text: str
    page_starts: tuple[int, ...] = ()


class Skipped(TypedDict):
    """A source that was not read, and why."""

    source: str
    reason: str


class DocumentInfo(TypedDict):
    """A document without its text."""

    id: str
    source: str
    title: str
    media: str
    characters: int


class Ingested(TypedDict):
    """What an ingestion did; `collection` names the documents that were given, for search.

    `documents` is what the collection holds now: those `added` by this ingestion and those
    `unchanged`. A changed file counts as one added and one removed. `skipped` names the first
    sources that were not read; its last entry says how many more there are.
    """

    collection: str
    documents: int
    added: int
    unchanged: int
    removed: int
    passages: int
    skipped: list[Skipped]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an ingestion is."""

    done: int
    total: int
    source: str


class Fetched(NamedTuple):
    """What a URL answered with, after redirects."""

    data: bytes
    media: str
    url: str


Fetch = Callable[[str], Awaitable[Fetched]]
"""Reads a URL, or raises `SourceError`; the core opens no socket, so it is passed in."""


class SearchResult(NamedTuple):
    """One page that a search tool names, and what it says of it."""

    url: str
    title: str
    text: str


class Searcher(Protocol):
    """A search tool."""

    async def search(self, query: str, *, limit: int = 8) -> list[SearchResult]:
        """Ask for pages, best first; none is no error.

        Raises:
            SourceError: the tool fails, and would fail again.
            ConnectionError: the tool fails, and may well answer a moment later.
        """
        ...


Searchers = Callable[[str], Searcher]
"""Builds a search tool by its name, or raises `UsageError`; passed in, as `Fetch` is."""


Vector: TypeAlias = "array[float]"
"""A direction in a space of meanings: length one, single precision."""


class Embedder(Protocol):
    """Turns texts into vectors; near vectors mean near things.

    Attributes:
        name: the model and its version; vectors of different names are never compared.
    """

    name: str

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return one vector for each text, in the same order."""
        ...


@runtime_checkable
class Corpus(Protocol):
    """The port: in memory here, in Postgres in `interlock.postgres.corpus`."""

    async def ingest(
        self, sources: Sequence[str], *, progress: Callable[[Progress], None] | None = None
    ) -> Ingested:
        """Read files, folders and URLs; only what changed is indexed again.

        A source `search:NAME` is a search tool: it is built now, and asked by `search`.

        Raises:
            SourceError: a source is missing, or nothing readable was found in all of them.
            UsageError: a search tool is unknown, not installed, or lacks its key.
        """
        ...

    async def search(self, collection: str, query: str, *, limit: int = 8) -> list[Passage]:
        """Return the best passages, best first.

        `score` orders within one answer only. `coverage` is the share of the query's content
        words, weighted by how rare they are in the collection, that stand in the passage, its
        heading or its title: 0.0 to 1.0.

        The collection's search tools are asked first, each query once; what they find becomes part
        of the collection.

        Raises:
            NotFound: there is no such collection.
            SourceError: a search tool fails, and would fail again.
            ConnectionError: a search tool fails, and may well answer a moment later.
        """
        ...

    async def document(self, collection: str, document_id: str) -> Document:
        """Return one document with its text; raises `NotFound`.

        A document that a later ingestion replaced or removed stays readable by its id, so that
        what was cited before can still be checked.
        """
        ...

    async def documents(self, collection: str) -> list[DocumentInfo]:
        """List the collection's documents by source name."""
        ...
