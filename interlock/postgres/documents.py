"""Documents of the corpus as they are stored: cut into passages, stamped, their lexemes counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg.rows import DictRow

from interlock.core.corpus import Document
from interlock.core.documents.chunking import Chunk, chunks
from interlock.core.documents.gathering import Gathered, Stamp
from interlock.postgres.pool import Connection, fetch
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("corpus")

BATCH_DOCUMENTS = 100
BATCH_CHARACTERS = 2_000_000


@dataclass(slots=True)
class Batch:
    """Documents that are stored together."""

    documents: dict[str, Document] = field(default_factory=dict)
    stamps: dict[Stamp, str] = field(default_factory=dict)
    characters: int = 0

    def add(self, gathered: Gathered) -> None:
        """Take in what was gathered of one source."""
        if gathered.document:
            self.documents[gathered.id] = gathered.document
            self.characters += len(gathered.document.text)
        if gathered.stamp:
            self.stamps[gathered.stamp] = gathered.id

    @property
    def full(self) -> bool:
        """Whether it is to be stored before more is added."""
        return len(self.documents) >= BATCH_DOCUMENTS or self.characters >= BATCH_CHARACTERS

    def in_order(self) -> list[Document]:
        """Return the documents by id: two processes that store the same ones do not deadlock."""
        return [self.documents[one] for one in sorted(self.documents)]


def cut_all(documents: Sequence[Document]) -> dict[str, list[Chunk]]:
    """Return the passages of each document."""
    return {document.id: chunks(document) for document in documents}


async def add_documents(
    connection: Connection, documents: Sequence[Document], cut: Mapping[str, list[Chunk]]
) -> None:
    """Store documents that nobody else has stored before, with their passages, inside the caller's transaction."""
    new = await _add_new(connection, documents, cut)
    await _add_passages(connection, [one for one in documents if one.id in new], cut)


async def _add_new(
    connection: Connection, documents: Sequence[Document], cut: Mapping[str, list[Chunk]]
) -> set[str]:
    """Return the ids of those that nobody else has stored before."""
    values = {
        "ids": [one.id for one in documents],
        "sources": [one.source for one in documents],
        "titles": [one.title for one in documents],
        "media": [one.media for one in documents],
        "texts": [one.text for one in documents],
        "page_starts": [_array(one.page_starts) for one in documents],
        "passages": [len(cut[one.id]) for one in documents],
    }
    return set(ids_of(await fetch(connection, SQL["add_documents"], values)))


async def _add_passages(
    connection: Connection, documents: Sequence[Document], cut: Mapping[str, list[Chunk]]
) -> None:
    async with connection.cursor().copy(ours(connection, SQL["add_passages"])) as copy:
        for document in documents:
            for chunk in cut[document.id]:
                await copy.write_row(_row(document, chunk))


def _row(document: Document, chunk: Chunk) -> tuple[str | int, ...]:
    return (
        document.id,
        chunk.start,
        chunk.end,
        chunk.location["kind"],
        chunk.location["first"],
        chunk.location["last"],
        document.title,
        chunk.heading,
        document.text[chunk.start : chunk.end],
    )


async def stamp_files(connection: Connection, stamps: Mapping[Stamp, str]) -> None:
    """Note which files, as they were, hold which documents."""
    ordered = sorted(stamps.items(), key=lambda item: (item[0].path, item[0].source))
    values = {
        "paths": [stamp.path for stamp, _ in ordered],
        "sources": [stamp.source for stamp, _ in ordered],
        "sizes": [stamp.size for stamp, _ in ordered],
        "times": [stamp.mtime_ns for stamp, _ in ordered],
        "ids": [document for _, document in ordered],
    }
    await fetch(connection, SQL["stamp_files"], values)


async def count_lexemes(
    connection: Connection, collection: str, ids: Collection[str], *, sign: int
) -> None:
    """Count the lexemes of documents that come to a collection (`sign` 1) or leave it (-1)."""
    values = {"collection": collection, "ids": list(ids), "sign": sign}
    await fetch(connection, SQL["count_lexemes"], values)


def ids_of(rows: Sequence[DictRow]) -> list[str]:
    """Return the documents that rows name."""
    return [row["document_id"] for row in rows]


def _array(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
