"""What only the corpus in Postgres must do: live through a kill, and share its documents."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import LiteralString

import pytest

from interlock.core.corpus import Progress, SearchResult
from interlock.core.documents.limits import Limits
from interlock.errors import DatabaseUnavailable, SourceError
from interlock.postgres.corpus import PostgresCorpus
from interlock.postgres.pool import Pool, open_pool

FILES = 450
"""Four whole batches and a half one."""

INGEST_AND_DIE = """
import asyncio, os, signal, sys
from interlock.postgres.corpus import PostgresCorpus
from interlock.postgres.pool import open_pool

def die(progress):
    if progress.done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with open_pool(sys.argv[1]) as pool:
        await PostgresCorpus(pool).ingest([sys.argv[2]], progress=die)

asyncio.run(main())
"""


class CountingSearch:
    """A search tool with one page that counts how often it is asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked = 0

    async def search(self, query: str, *, limit: int = 8) -> list[SearchResult]:
        """Return the page."""
        self.asked += 1
        return [SearchResult("https://example.org/sea", "Sea", self.text)][:limit]


def always(tool: CountingSearch, _name: str) -> CountingSearch:
    """Return the tool, whatever its name."""
    return tool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to a fresh database."""
    async with open_pool(database_url, size=6) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with as many documents as fill several batches."""
    for number in range(FILES):
        (tmp_path / f"{number:03}.txt").write_text(f"Document number{number} about engines.")
    return tmp_path


async def count(pool: Pool, table: LiteralString) -> int:
    """Count the rows of a table."""
    async with pool.connection() as connection:
        cursor = await connection.execute("select count(*) as n from " + table)
        rows = await cursor.fetchall()
    return int(rows[0]["n"])


async def test_a_killed_ingestion_goes_on_where_it_was(
    pool: Pool, database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole batches are kept, nothing is searched before the end, and nothing is read twice."""
    command = [sys.executable, "-c", INGEST_AND_DIE, database_url, str(folder), "350"]
    killed = await asyncio.to_thread(subprocess.run, command, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert await count(pool, "interlock.documents") == 300
    assert await count(pool, "interlock.collections") == 0

    opened = list[str]()
    really_open = os.open

    def spy(path: os.PathLike[str] | str, *rest: int) -> int:
        opened.append(os.fspath(path))
        return really_open(path, *rest)

    monkeypatch.setattr(os, "open", spy)
    corpus = PostgresCorpus(pool)
    done = await corpus.ingest([str(folder)])

    assert len([path for path in opened if path.startswith(str(folder))]) == FILES - 300
    assert (done["documents"], done["passages"]) == (FILES, FILES)
    assert len(await corpus.search(done["collection"], "number7")) == 1


async def test_two_ingestions_at_once_store_each_document_once(pool: Pool, folder: Path) -> None:
    """Processes that read the same folder do not disturb one another."""
    corpora = [PostgresCorpus(pool), PostgresCorpus(pool)]

    done = await asyncio.gather(*(corpus.ingest([str(folder)]) for corpus in corpora))

    assert [one["documents"] for one in done] == [FILES, FILES]
    assert await count(pool, "interlock.passages") == FILES
    assert sorted(one["added"] for one in done) == [0, FILES]


async def test_the_counts_of_words_are_those_of_the_passages(pool: Pool, folder: Path) -> None:
    """After changes the kept counts equal counting anew."""
    corpus = PostgresCorpus(pool)
    await corpus.ingest([str(folder)])
    for number in range(100):
        (folder / f"{number:03}.txt").write_text("Now about ships.")
    await corpus.ingest([str(folder)])

    assert await wrong_counts(pool) == 0


async def test_what_a_search_tool_found_is_counted_like_all_else(
    pool: Pool, tmp_path: Path
) -> None:
    """Also when two processes asked at the same time, and when it is forgotten again."""
    (tmp_path / "sea.txt").write_text("The sea is salt.")
    sources = [str(tmp_path), "search:web"]
    tools = [CountingSearch("The moon pulls the sea."), CountingSearch("The sea pulls the moon.")]
    corpora = [PostgresCorpus(pool, searcher=partial(always, tool)) for tool in tools]
    collection = (await corpora[0].ingest(sources))["collection"]

    await asyncio.gather(*(corpus.search(collection, "sea") for corpus in corpora))

    pages = [one for one in await corpora[0].documents(collection) if one["source"] != "sea.txt"]
    assert [tool.asked for tool in tools] == [1, 1]
    assert len(pages) == 1
    assert await wrong_counts(pool) == 0
    forgetful = PostgresCorpus(
        pool, searcher=partial(always, tools[0]), limits=Limits(answers_seconds=0)
    )
    assert (await forgetful.ingest(sources))["removed"] == 1
    assert await wrong_counts(pool) == 0


async def test_another_process_finds_the_same_pages(pool: Pool) -> None:
    """A run that goes on elsewhere asks nothing again, and can check what was cited."""
    tool = CountingSearch("The moon pulls the sea.")
    first = PostgresCorpus(pool, searcher=partial(always, tool))
    collection = (await first.ingest(["search:web"]))["collection"]
    found = await first.search(collection, "sea")

    other = PostgresCorpus(pool)

    assert await other.search(collection, "sea") == found
    assert (await other.document(collection, found[0]["document"])).text == found[0]["text"]
    assert tool.asked == 1
    with pytest.raises(SourceError, match="asks none"):
        await other.search(collection, "moon")


async def wrong_counts(pool: Pool) -> int:
    """Count the lexemes whose kept count is not that of the passages."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            """
            select count(*) as wrong from interlock.collection_lexemes held full join (
                select m.collection_id, word.lexeme, count(*) as passages
                from interlock.collection_documents m join interlock.passages p using (document_id)
                cross join unnest(p.lexemes) as word where m.current group by 1, 2
            ) anew using (collection_id, lexeme)
            where coalesce(held.passages, 0) <> coalesce(anew.passages, 0)
            """
        )
        rows = await cursor.fetchall()
    return int(rows[0]["wrong"])


async def test_a_search_during_an_ingestion_sees_the_collection_before(
    pool: Pool, folder: Path
) -> None:
    """A collection changes all at once, when everything is read."""
    corpus = PostgresCorpus(pool, fetch=None)
    collection = (await corpus.ingest([str(folder)]))["collection"]
    for number in range(FILES):
        (folder / f"{number:03}.txt").write_text(f"Zeppelin{number} floats.")
    seen = list[asyncio.Task[int]]()

    async def left() -> int:
        return len(await corpus.search(collection, "engines number0", limit=3))

    def progress(told: Progress) -> None:
        if told.done == 350:
            seen.append(asyncio.ensure_future(left()))

    await corpus.ingest([str(folder)], progress=progress)

    assert [await task for task in seen] == [3]
    assert await left() == 0


async def test_a_lost_database_is_told(pool: Pool, tmp_path: Path) -> None:
    """A server that is gone is our error, not the driver's."""
    (tmp_path / "a.txt").write_text("words")
    corpus = PostgresCorpus(pool)
    collection = (await corpus.ingest([str(tmp_path)]))["collection"]
    await pool.close()

    with pytest.raises(DatabaseUnavailable):
        await corpus.search(collection, "words")


async def test_words_that_stand_everywhere_rank_but_do_not_search(
    pool: Pool, tmp_path: Path
) -> None:
    """In a large collection a common word neither crowds out a rare one nor is it lost."""
    parts = [f"# Part {number}\n\nAbout engines number{number}.\n" for number in range(2_100)]
    (tmp_path / "large.md").write_text("\n".join(parts))
    corpus = PostgresCorpus(pool)
    collection = (await corpus.ingest([str(tmp_path)]))["collection"]

    rare = await corpus.search(collection, "engines number77")
    common = await corpus.search(collection, "engines")

    assert [hit["text"] for hit in rare] == ["About engines number77."]
    assert rare[0]["coverage"] == pytest.approx(1.0)
    assert len(common) == 8
