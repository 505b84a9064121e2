"""Index 1,000 documents of 10 kB and search them: in memory, in Postgres, and beside peers.

    python -m benchmarks.index [--quick] [--json]

The documents are made up: a seeded vocabulary with Zipf's distribution, in paragraphs below
headings. The peers get the same passages, read and cut already, so that they have less to do:
`sqlite3` with FTS5 (one transaction), and Postgres with one INSERT for each row.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TypedDict

from benchmarks import Goal, below, options, report
from interlock.core.corpus import Corpus, Document
from interlock.core.corpus_memory import MemoryCorpus
from interlock.core.documents.chunking import chunks
from interlock.core.documents.words import query_lexemes
from interlock.postgres import embedded
from interlock.postgres.corpus import PostgresCorpus
from interlock.postgres.migrations import migrate
from interlock.postgres.pool import Pool, open_pool

DOCUMENT_BYTES = 10_000
QUERIES = 100
Search = Callable[[str], Awaitable[int]]


class Row(TypedDict):
    """One contestant; times in seconds and milliseconds."""

    name: str
    index_s: float
    again_s: float | None
    search_median_ms: float
    search_p95_ms: float
    hits: int


def main() -> None:
    """Run the benchmark and print a table, or JSON."""
    given = options((__doc__ or "").splitlines()[0], quick="100 documents instead of 1,000")
    count = 100 if given.quick else 1_000
    rows = asyncio.run(measure(count))
    report(goals_of(rows, count), rows, as_json=given.as_json)


async def measure(count: int) -> list[Row]:
    """Let each contestant index and search the same documents."""
    writer = _Writer()
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103  # the server's own account passes through
        folder = Path(name) / "documents"
        documents = writer.documents(folder, count)
        queries = [writer.query() for _ in range(QUERIES)]
        rows = [await _corpus("memory", MemoryCorpus(), folder, queries)]
        with embedded.start(Path(name) / "server") as server:
            await migrate(server.url)
            async with open_pool(server.url) as pool:
                rows.append(await _corpus("postgres", PostgresCorpus(pool), folder, queries))
                passages = [one for each in documents for one in _passages(each)]
                rows.append(await _one_by_one(pool, passages, queries))
        rows.append(await _sqlite(Path(name) / "fts.db", passages, queries))
    return rows


def goals_of(rows: Sequence[Row], count: int) -> list[Goal]:
    """Hold both corpora to 30 seconds and 100 milliseconds."""
    return [
        goal
        for row in rows[:2]
        for goal in (
            below(f"index {count} documents, {row['name']}", row["index_s"], "s", 30),
            below(f"search, median, {row['name']}", row["search_median_ms"], "ms", 100),
            below(f"search, p95, {row['name']}", row["search_p95_ms"], "ms", 100),
        )
    ]


async def _corpus(name: str, corpus: Corpus, folder: Path, queries: Sequence[str]) -> Row:
    start = time.perf_counter()
    collection = (await corpus.ingest([str(folder)]))["collection"]
    indexed = time.perf_counter()
    await corpus.ingest([str(folder)])
    again = time.perf_counter()

    async def search(query: str) -> int:
        return len(await corpus.search(collection, query))

    return await _searched(name, indexed - start, again - indexed, search, queries)


async def _one_by_one(pool: Pool, passages: Sequence[str], queries: Sequence[str]) -> Row:
    async with pool.connection() as connection:
        await connection.execute(
            "create table plain (text text, words tsvector"
            " generated always as (to_tsvector('english', text)) stored)"
        )
        await connection.execute("create index plain_words on plain using gin (words)")
        start = time.perf_counter()
        for passage in passages:
            await connection.execute("insert into plain (text) values (%s)", (passage,))
        seconds = time.perf_counter() - start
        await connection.execute("analyze plain")

        async def search(query: str) -> int:
            cursor = await connection.execute(
                "select text from plain, to_tsquery('english', %(query)s) as query"
                " where words @@ query order by ts_rank(words, query, 1) desc limit 8",
                {"query": " | ".join(query.split())},
            )
            return len(await cursor.fetchall())

        return await _searched("postgres, row by row", seconds, None, search, queries)


async def _sqlite(path: Path, passages: Sequence[str], queries: Sequence[str]) -> Row:
    database = sqlite3.connect(path)
    database.execute("create virtual table plain using fts5(text, tokenize = 'porter')")
    start = time.perf_counter()
    with database:
        database.executemany("insert into plain values (?)", ((one,) for one in passages))
    seconds = time.perf_counter() - start

    async def search(query: str) -> int:
        words = " OR ".join(f'"{word}"' for word in query_lexemes(query))
        found = database.execute(
            "select text from plain where plain match ? order by rank limit 8", (words,)
        )
        return len(found.fetchall())

    row = await _searched("sqlite fts5", seconds, None, search, queries)
    database.close()
    return row


async def _searched(
    name: str, seconds: float, again: float | None, search: Search, queries: Sequence[str]
) -> Row:
    await search(queries[0])
    times, hits = [], 0
    for query in queries:
        start = time.perf_counter()
        hits += await search(query)
        times.append((time.perf_counter() - start) * 1_000)
    return Row(
        name=name,
        index_s=round(seconds, 2),
        again_s=None if again is None else round(again, 2),
        search_median_ms=round(statistics.median(times), 2),
        search_p95_ms=round(statistics.quantiles(times, n=20)[18], 2),
        hits=hits,
    )


class _Writer:
    """Writes documents and questions with one vocabulary, the same each time."""

    def __init__(self) -> None:
        self._random = random.Random(1865)
        self._words = [self._word() for _ in range(30_000)]
        self._weights = list(accumulate(1 / (rank + 2.7) for rank in range(1, 30_001)))

    def documents(self, folder: Path, count: int) -> list[Document]:
        folder.mkdir()
        written = []
        for number in range(count):
            text = self._text()
            path = folder / f"{number:04}.md"
            path.write_text(text)
            written.append(
                Document(id="", source=path.name, title="", media="text/markdown", text=text)
            )
        return written

    def query(self) -> str:
        """Ask with three words as they come and two that are rarer."""
        rare = self._random.choices(self._words[300:6_000], k=2)
        return " ".join([*self._sample(3), *rare])

    def _text(self) -> str:
        parts, length = [f"# {self._sentence(4)}"], 0
        while length < DOCUMENT_BYTES:
            if len(parts) % 6 == 1:
                parts.append(f"## {self._sentence(3)}")
            sentences = self._random.randint(3, 7)
            parts.append(" ".join(self._sentence(14) + "." for _ in range(sentences)))
            length += len(parts[-1])
        return "\n\n".join(parts)[:DOCUMENT_BYTES]

    def _sentence(self, words: int) -> str:
        return " ".join(self._sample(words)).capitalize()

    def _sample(self, count: int) -> list[str]:
        return self._random.choices(self._words, cum_weights=self._weights, k=count)

    def _word(self) -> str:
        syllables = self._random.randint(1, 4)
        return "".join(
            self._random.choice("bcdfghklmnprstvz") + self._random.choice("aeiou")
            for _ in range(syllables)
        ) + self._random.choice(["", "n", "r", "st", "ng"])


def _passages(document: Document) -> Iterator[str]:
    return (document.text[one.start : one.end] for one in chunks(document))


if __name__ == "__main__":
    main()
