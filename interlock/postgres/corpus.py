"""The corpus in Postgres: documents once, full text search, incremental, safe to kill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from psycopg.rows import DictRow

from interlock.core.corpus import (
    Document,
    DocumentInfo,
    Embedder,
    Fetch,
    Ingested,
    Location,
    Passage,
    Progress,
    Searchers,
    Skipped,
)
from interlock.core.documents.asking import SearchTools, asked_as
from interlock.core.documents.chunking import Chunk, chunks
from interlock.core.documents.gathering import Gathered, Gathering, Sources, Stamp, sources_of
from interlock.core.documents.limits import LIMITS, Limits
from interlock.core.documents.meaning import (
    LOOKED_AT,
    likeness,
    packed,
    unpacked,
    vectors_of,
)
from interlock.core.documents.results import distinct, wanted
from interlock.core.documents.words import (
    QUERY_CHARACTERS,
    QUERY_LEXEMES,
    coverage,
    rarity,
)
from interlock.errors import NotFound
from interlock.postgres.pool import Connection, Pool, fetch, translated
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("corpus")

_BATCH_DOCUMENTS = 100
_BATCH_CHARACTERS = 2_000_000
_ANALYZED_FROM = 50
_CANDIDATES = 200
_EVERYWHERE = 0.5
_LARGE = 2_000
_WEIGHTS = [0.1, 0.1, 0.1, 0.2]
"""What a lexeme counts for in the text, unused, in the title and in the heading."""


class PostgresCorpus:
    """The corpus of durable runs; collections of several processes share their documents."""

    def __init__(
        self,
        pool: Pool,
        *,
        fetch: Fetch | None = None,
        searcher: Searchers | None = None,
        embedder: Embedder | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._pool = pool
        self._fetch = fetch
        self._tools = SearchTools(searcher, limits)
        self._embedder = embedder
        self._limits = limits

    async def ingest(
        self, sources: Sequence[str], *, progress: Callable[[Progress], None] | None = None
    ) -> Ingested:
        """Read what changed since it was last read; raises `SourceError` and `UsageError`.

        Each batch of documents is a transaction, and the collection changes in the last one: a
        search during an ingestion sees the collection as it was, and an ingestion that was killed
        goes on where it was when it is started again.
        """
        given = sources_of(sources)
        await self._tools.build(given.tools)
        gathering = await Gathering.of(given, self._limits, self._fetch)
        known, members = await self._known(given, gathering.stamps)
        ids: set[str] = set()
        batch = _Batch()
        done = 0
        async for source, gathered in gathering.documents(known, members):
            if gathered is not None:
                ids.add(gathered.id)
                batch.add(gathered)
            if batch.full:
                batch = await self._store(batch)
            done += 1
            if progress:
                progress(Progress(done=done, total=gathering.total, source=source))
        await self._store(batch)
        return await self._settle(given, ids, gathering.outcome(len(ids)))

    async def search(self, collection: str, query: str, *, limit: int = 8) -> list[Passage]:
        """Ask the search tools, rank passages by full text, and the best by meaning with an embedder."""
        await self._ask_tools(collection, asked_as(query))
        async with self._connection() as connection:
            weighed = await _weigh(connection, collection, query)
            ranked = await _rank(connection, collection, weighed)
            count = wanted(limit, at_least=LOOKED_AT if self._embedder else 0)
            best = sorted(ranked, key=_first)[:count]
            rows = await fetch(connection, SQL["passages"], {"ids": [hit.passage for hit in best]})
        found = {row["passage_id"]: row for row in rows}
        if self._embedder and found:
            best = await self._by_meaning(self._embedder, query, best, found)
        return distinct((_passage(found[hit.passage], hit) for hit in best), limit)

    async def _ask_tools(self, collection: str, query: str) -> None:
        """Take in what the collection's search tools find, unless they were asked before."""
        values = {"collection": collection, "query": query}
        async with self._tools.turn(collection, query):
            async with self._connection() as connection:
                unasked = await fetch(connection, SQL["unasked"], values)
            for row in unasked:
                found = await self._tools.documents(row["tool"], query)
                await self._store(_Batch(documents={one.id: one for one in found}))
                ids = sorted(one.id for one in found)
                await self._keep_answer({**values, "tool": row["tool"], "ids": ids})

    async def _keep_answer(self, values: Mapping[str, object]) -> None:
        """Let what a tool found belong to the collection; the first of two answers counts."""
        async with self._connection() as connection, connection.transaction():
            await fetch(connection, SQL["lock_collection"], values)
            if not await fetch(connection, SQL["keep_answer"], values):
                return
            collection = str(values["collection"])
            added = _ids(await fetch(connection, SQL["add_members"], values))
            await _count_lexemes(connection, collection, added, sign=1)
            await fetch(connection, SQL["count_passages"], values)

    async def _by_meaning(
        self,
        embedder: Embedder,
        query: str,
        hits: Sequence[_Hit],
        found: Mapping[int, DictRow],
    ) -> list[_Hit]:
        """Order hits by their likeness to the query; keep the vectors that had to be made."""
        values = {"model": embedder.name, "ids": list(found)}
        async with self._connection() as connection:
            rows = await fetch(connection, SQL["vectors"], values)
        known = {row["passage_id"]: unpacked(row["vector"]) for row in rows}
        made = await vectors_of(embedder, {key: _read(row) for key, row in found.items()}, known)
        if made:
            kept = {"ids": list(made), "vectors": [packed(vector) for vector in made.values()]}
            async with self._connection() as connection:
                await fetch(connection, SQL["keep_vectors"], values | kept)
        vectors = known | made
        asked = (await embedder.embed([query]))[0]
        closer = [replace(hit, score=likeness(asked, vectors[hit.passage])) for hit in hits]
        return sorted(closer, key=_first)

    async def document(self, collection: str, document_id: str) -> Document:
        """Return one document with its text; raises `NotFound`."""
        values = {"collection": collection, "document": document_id}
        async with self._connection() as connection:
            rows = await fetch(connection, SQL["document"], values)
        if not rows:
            raise NotFound(f"There is no document '{document_id}' in collection '{collection}'.")
        row = rows[0]
        return Document(
            id=row["document_id"],
            source=row["source"],
            title=row["title"],
            media=row["media"],
            text=row["text"],
            page_starts=tuple(row["page_starts"]),
        )

    async def documents(self, collection: str) -> list[DocumentInfo]:
        """List the collection's documents by source name; raises `NotFound`."""
        values = {"collection": collection}
        async with self._connection() as connection:
            rows = await fetch(connection, SQL["documents"], values)
            if not rows and not await fetch(connection, SQL["collection"], values):
                raise _no_collection(collection)
        return [
            DocumentInfo(
                id=row["document_id"],
                source=row["source"],
                title=row["title"],
                media=row["media"],
                characters=row["characters"],
            )
            for row in rows
        ]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translated():
            async with self._pool.connection() as connection:
                yield connection

    async def _known(
        self, given: Sources, stamps: Sequence[Stamp]
    ) -> tuple[dict[Stamp, str], set[str]]:
        values = {
            "paths": [stamp.path for stamp in stamps],
            "sources": [stamp.source for stamp in stamps],
        }
        async with self._connection() as connection:
            files = await fetch(connection, SQL["known_files"], values)
            members = await fetch(connection, SQL["members"], {"collection": given.collection})
        return {_stamp(row): row["document_id"] for row in files}, {
            row["document_id"] for row in members
        }

    async def _store(self, batch: _Batch) -> _Batch:
        """Store a batch in one transaction and return an empty one."""
        documents = batch.in_order()
        cut = await asyncio.to_thread(_cut, documents)
        async with self._connection() as connection, connection.transaction():
            new = await _add_documents(connection, documents, cut)
            await _add_passages(connection, [one for one in documents if one.id in new], cut)
            await _stamp_files(connection, batch.stamps)
        return _Batch()

    async def _settle(self, given: Sources, ids: set[str], skipped: list[Skipped]) -> Ingested:
        """Let the collection hold exactly these documents, and what its search tools found lately."""
        seconds = self._limits.answers_seconds
        values = {"collection": given.collection, "sources": given.names, "seconds": seconds}
        async with self._connection() as connection:
            async with connection.transaction():
                await fetch(connection, SQL["open_collection"], values)
                await fetch(connection, SQL["forget_answers"], values)
                ids |= set(_ids(await fetch(connection, SQL["answers"], values)))
                values["ids"] = sorted(ids)
                removed = _ids(await fetch(connection, SQL["drop_members"], values))
                added = _ids(await fetch(connection, SQL["add_members"], values))
                await _count_lexemes(connection, given.collection, removed, sign=-1)
                await _count_lexemes(connection, given.collection, added, sign=1)
                counted = await fetch(connection, SQL["count_passages"], values)
            if len(added) >= _ANALYZED_FROM:
                await fetch(connection, SQL["analyze"], {})
        return Ingested(
            collection=given.collection,
            documents=len(ids),
            added=len(added),
            unchanged=len(ids) - len(added),
            removed=len(removed),
            passages=counted[0]["passages"],
            skipped=skipped,
        )


@dataclass(slots=True)
class _Batch:
    """Documents that are stored together."""

    documents: dict[str, Document] = field(default_factory=dict)
    stamps: dict[Stamp, str] = field(default_factory=dict)
    characters: int = 0

    def add(self, gathered: Gathered) -> None:
        if gathered.document:
            self.documents[gathered.id] = gathered.document
            self.characters += len(gathered.document.text)
        if gathered.stamp:
            self.stamps[gathered.stamp] = gathered.id

    @property
    def full(self) -> bool:
        return len(self.documents) >= _BATCH_DOCUMENTS or self.characters >= _BATCH_CHARACTERS

    def in_order(self) -> list[Document]:
        """Return the documents by id: two processes that store the same ones do not deadlock."""
        return [self.documents[one] for one in sorted(self.documents)]


@dataclass(frozen=True, slots=True)
class _Hit:
    passage: int
    score: float
    coverage: float


def _cut(documents: Sequence[Document]) -> dict[str, list[Chunk]]:
    return {document.id: chunks(document) for document in documents}


async def _add_documents(
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
    return set(_ids(await fetch(connection, SQL["add_documents"], values)))


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


async def _stamp_files(connection: Connection, stamps: Mapping[Stamp, str]) -> None:
    ordered = sorted(stamps.items(), key=lambda item: (item[0].path, item[0].source))
    values = {
        "paths": [stamp.path for stamp, _ in ordered],
        "sources": [stamp.source for stamp, _ in ordered],
        "sizes": [stamp.size for stamp, _ in ordered],
        "times": [stamp.mtime_ns for stamp, _ in ordered],
        "ids": [document for _, document in ordered],
    }
    await fetch(connection, SQL["stamp_files"], values)


async def _count_lexemes(
    connection: Connection, collection: str, ids: Collection[str], *, sign: int
) -> None:
    values = {"collection": collection, "ids": list(ids), "sign": sign}
    await fetch(connection, SQL["count_lexemes"], values)


@dataclass(frozen=True, slots=True)
class _Query:
    """The lexemes of a query with their weights, and those that are worth looking up."""

    weights: Mapping[str, float]
    telling: Sequence[str]


async def _weigh(connection: Connection, collection: str, query: str) -> _Query:
    values = {"collection": collection, "query": query[:QUERY_CHARACTERS].replace("\0", " ")}
    rows = await fetch(connection, SQL["weigh"], values)
    if not rows:
        raise _no_collection(collection)
    words = [row for row in rows if row["lexeme"] is not None][:QUERY_LEXEMES]
    return _Query(
        weights={row["lexeme"]: rarity(row["total"], row["passages"]) for row in words},
        telling=_telling({row["lexeme"]: row["passages"] for row in words}, rows[0]["total"]),
    )


def _telling(passages: Mapping[str, int], total: int) -> Sequence[str]:
    """Leave out words that stand nearly everywhere: they rank what others find, in large collections."""
    rare = [lexeme for lexeme, count in passages.items() if 0 < count <= total * _EVERYWHERE]
    return rare if rare and total >= _LARGE else list(passages)


async def _rank(connection: Connection, collection: str, query: _Query) -> list[_Hit]:
    values = {
        "collection": collection,
        "weights": _WEIGHTS,
        "lexemes": _any_of(query.weights),
        "telling": _any_of(query.telling),
        "words": list(query.weights),
        "candidates": _CANDIDATES,
    }
    # planned anew for each query: how many passages hold its words differs
    cursor = await connection.execute(ours(connection, SQL["rank"]), values, prepare=False)
    rows = await cursor.fetchall()
    return [_hit(row, coverage(query.weights, row["present"])) for row in rows]


def _hit(row: DictRow, covered: float) -> _Hit:
    """Lift what holds the query's rare words, which `ts_rank` does not tell from common ones."""
    return _Hit(row["passage_id"], row["rank"] * (0.5 + covered), covered)


def _first(hit: _Hit) -> tuple[float, int]:
    return -hit.score, hit.passage


def _read(row: DictRow) -> str:
    """Return what an embedder reads of a passage: its heading says what it is about."""
    return f"{row['heading']}\n{row['text']}".strip()


def _passage(row: DictRow, hit: _Hit) -> Passage:
    return Passage(
        document=row["document_id"],
        source=row["source"],
        title=row["title"],
        heading=row["heading"],
        start=row["starts"],
        end=row["ends"],
        location=Location(
            kind=row["location_kind"], first=row["location_first"], last=row["location_last"]
        ),
        text=row["text"],
        score=hit.score,
        coverage=hit.coverage,
    )


def _no_collection(collection: str) -> NotFound:
    return NotFound(
        f"There is no collection '{collection}' in this database.", hint="Ingest its sources first."
    )


def _stamp(row: DictRow) -> Stamp:
    return Stamp(source=row["source"], path=row["path"], size=row["size"], mtime_ns=row["mtime_ns"])


def _ids(rows: Sequence[DictRow]) -> list[str]:
    return [row["document_id"] for row in rows]


def _array(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _any_of(lexemes: Iterable[str]) -> str:
    """Return a tsquery for any of some lexemes, which hold no signs that would need escaping."""
    return " | ".join(f"'{lexeme}'" for lexeme in lexemes)
