"""The corpus in Postgres: documents once, full text search, incremental, safe to kill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from psycopg.rows import DictRow

from interlock.core.corpus import (
    Document,
    DocumentInfo,
    Embedder,
    Fetch,
    Ingested,
    Passage,
    Progress,
    Searchers,
    Skipped,
)
from interlock.core.documents.asking import SearchTools, asked_as
from interlock.core.documents.gathering import Gathering, Sources, Stamp, sources_of
from interlock.core.documents.limits import LIMITS, Limits
from interlock.core.documents.meaning import (
    LOOKED_AT,
    likeness,
    packed,
    unpacked,
    vectors_of,
)
from interlock.core.documents.results import distinct, wanted
from interlock.errors import NotFound
from interlock.postgres.documents import (
    Batch,
    add_documents,
    count_lexemes,
    cut_all,
    ids_of,
    stamp_files,
)
from interlock.postgres.passages import Hit, first, no_collection, passage_of, ranked, text_of
from interlock.postgres.pool import Connection, Pool, fetch, translated
from interlock.postgres.queries import load

SQL = load("corpus")

ANALYZED_FROM = 50
"""New documents from which on Postgres is told to look at the tables again."""


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
        batch = Batch()
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
            hits = await ranked(connection, collection, query)
            count = wanted(limit, at_least=LOOKED_AT if self._embedder else 0)
            best = hits[:count]
            rows = await fetch(connection, SQL["passages"], {"ids": [hit.passage for hit in best]})
        found = {row["passage_id"]: row for row in rows}
        if self._embedder and found:
            best = await self._by_meaning(self._embedder, query, best, found)
        return distinct((passage_of(found[hit.passage], hit) for hit in best), limit)

    async def _ask_tools(self, collection: str, query: str) -> None:
        """Take in what the collection's search tools find, unless they were asked before."""
        values = {"collection": collection, "query": query}
        async with self._tools.turn(collection, query):
            async with self._connection() as connection:
                unasked = await fetch(connection, SQL["unasked"], values)
            for row in unasked:
                found = await self._tools.documents(row["tool"], query)
                await self._store(Batch(documents={one.id: one for one in found}))
                ids = sorted(one.id for one in found)
                await self._keep_answer({**values, "tool": row["tool"], "ids": ids})

    async def _keep_answer(self, values: Mapping[str, object]) -> None:
        """Let what a tool found belong to the collection; the first of two answers counts."""
        async with self._connection() as connection, connection.transaction():
            await fetch(connection, SQL["lock_collection"], values)
            if not await fetch(connection, SQL["keep_answer"], values):
                return
            collection = str(values["collection"])
            added = ids_of(await fetch(connection, SQL["add_members"], values))
            await count_lexemes(connection, collection, added, sign=1)
            await fetch(connection, SQL["count_passages"], values)

    async def _by_meaning(
        self,
        embedder: Embedder,
        query: str,
        hits: Sequence[Hit],
        found: Mapping[int, DictRow],
    ) -> list[Hit]:
        """Order hits by their likeness to the query; keep the vectors that had to be made."""
        values = {"model": embedder.name, "ids": list(found)}
        async with self._connection() as connection:
            rows = await fetch(connection, SQL["vectors"], values)
        known = {row["passage_id"]: unpacked(row["vector"]) for row in rows}
        made = await vectors_of(embedder, {key: text_of(row) for key, row in found.items()}, known)
        if made:
            kept = {"ids": list(made), "vectors": [packed(vector) for vector in made.values()]}
            async with self._connection() as connection:
                await fetch(connection, SQL["keep_vectors"], values | kept)
        vectors = known | made
        asked = (await embedder.embed([query]))[0]
        closer = [replace(hit, score=likeness(asked, vectors[hit.passage])) for hit in hits]
        return sorted(closer, key=first)

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
                raise no_collection(collection)
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

    async def _store(self, batch: Batch) -> Batch:
        """Store a batch in one transaction and return an empty one."""
        documents = batch.in_order()
        cut = await asyncio.to_thread(cut_all, documents)
        async with self._connection() as connection, connection.transaction():
            await add_documents(connection, documents, cut)
            await stamp_files(connection, batch.stamps)
        return Batch()

    async def _settle(self, given: Sources, ids: set[str], skipped: list[Skipped]) -> Ingested:
        """Let the collection hold exactly these documents, and what its search tools found lately."""
        seconds = self._limits.answers_seconds
        values = {"collection": given.collection, "sources": given.names, "seconds": seconds}
        async with self._connection() as connection:
            async with connection.transaction():
                await fetch(connection, SQL["open_collection"], values)
                await fetch(connection, SQL["forget_answers"], values)
                ids |= set(ids_of(await fetch(connection, SQL["answers"], values)))
                values["ids"] = sorted(ids)
                removed = ids_of(await fetch(connection, SQL["drop_members"], values))
                added = ids_of(await fetch(connection, SQL["add_members"], values))
                await count_lexemes(connection, given.collection, removed, sign=-1)
                await count_lexemes(connection, given.collection, added, sign=1)
                counted = await fetch(connection, SQL["count_passages"], values)
            if len(added) >= ANALYZED_FROM:
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


def _stamp(row: DictRow) -> Stamp:
    return Stamp(source=row["source"], path=row["path"], size=row["size"], mtime_ns=row["mtime_ns"])
