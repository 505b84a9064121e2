"""What every corpus does with search tools, on the one in memory and on the one in Postgres."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType

import pytest
from langchain_core.tools import BaseTool

from interlock.core.corpus import Corpus
from interlock.core.corpus_memory import MemoryCorpus
from interlock.core.documents.limits import Limits
from interlock.core.transient import is_transient
from interlock.errors import NotFound, SourceError, UsageError
from interlock.postgres.corpus import PostgresCorpus
from interlock.postgres.pool import open_pool
from interlock.web import search_tool

WEB = "search:scripted_search:Scripted"
MOON = {
    "url": "https://example.org/moon",
    "title": "The moon",
    "content": "The moon pulls the sea.\nTides follow it twice a day.",
}
SHIPS = {
    "url": "https://example.org/ships",
    "title": "Ships",
    "content": "Ships wait for the tides at the harbour's bar.",
}

Making = Callable[[Limits], Corpus]


class Script:
    """What the tool answers, one answer for each query, and what it was asked."""

    def __init__(self) -> None:
        self.asked = list[str]()
        self.answers = dict[str, object]()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Install a package with a search tool that follows a script."""
    told = Script()

    class Scripted(BaseTool):
        name: str = "scripted"
        description: str = "answers what was prepared"

        def _run(self, query: str) -> object:
            told.asked.append(query)
            answer = told.answers[query]
            if isinstance(answer, Exception):
                raise answer
            return {"results": answer}

    module = ModuleType("scripted_search")
    module.__dict__["Scripted"] = Scripted
    monkeypatch.setitem(sys.modules, "scripted_search", module)
    return told


@pytest.fixture(params=["memory", "postgres"])
async def making(request: pytest.FixtureRequest) -> AsyncIterator[Making]:
    """Make a corpus of each kind with limits of its own."""
    if request.param == "memory":
        yield lambda limits: MemoryCorpus(searcher=search_tool, limits=limits)
        return
    async with open_pool(request.getfixturevalue("database_url"), size=4) as pool:
        yield lambda limits: PostgresCorpus(pool, searcher=search_tool, limits=limits)


@pytest.fixture
def corpus(making: Making) -> Corpus:
    """A fresh corpus of each kind that asks search tools."""
    return making(Limits())


@pytest.fixture(params=["memory", "postgres"])
async def deaf_corpus(request: pytest.FixtureRequest) -> AsyncIterator[Corpus]:
    """A fresh corpus of each kind that asks no search tools."""
    if request.param == "memory":
        yield MemoryCorpus()
        return
    async with open_pool(request.getfixturevalue("database_url"), size=4) as pool:
        yield PostgresCorpus(pool)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one document about the sea."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "sea.md").write_text("# The sea\n\nThe sea is salt.\n")
    return tmp_path / "given"


async def found(corpus: Corpus, collection: str, query: str) -> list[str]:
    """Return the sources of what a search finds, best first."""
    return [passage["source"] for passage in await corpus.search(collection, query)]


async def test_what_a_tool_finds_is_ranked_with_the_files(
    corpus: Corpus, folder: Path, script: Script
) -> None:
    """Its pages are documents of the collection: named by address, quoted by place."""
    script.answers["moon tides sea"] = [MOON, SHIPS]
    collection = (await corpus.ingest([str(folder), WEB]))["collection"]

    passages = await corpus.search(collection, "moon tides sea")

    assert {each["source"] for each in passages} == {MOON["url"], SHIPS["url"], "sea.md"}
    best = passages[0]
    document = await corpus.document(collection, best["document"])
    assert (best["source"], best["title"], best["coverage"]) == (MOON["url"], "The moon", 1.0)
    assert document.text[best["start"] : best["end"]] == best["text"] == MOON["content"]
    assert best["location"] == {"kind": "line", "first": 1, "last": 2}
    assert [each["source"] for each in await corpus.documents(collection)] == [
        "https://example.org/moon",
        "https://example.org/ships",
        "sea.md",
    ]


async def test_tools_alone_are_sources(corpus: Corpus, script: Script) -> None:
    """A collection may begin empty, and a tool may find nothing."""
    script.answers |= {"tides": [MOON], "nothing": []}
    done = await corpus.ingest([WEB])

    assert (done["documents"], done["passages"], done["skipped"]) == (0, 0, [])
    assert await found(corpus, done["collection"], "nothing") == []
    assert await found(corpus, done["collection"], "tides") == [MOON["url"]]


async def test_a_query_is_sent_once(corpus: Corpus, script: Script) -> None:
    """Again, with other spaces, or at the same time: the tool is paid once for each query."""
    script.answers |= {"tides": [MOON], "ships": [SHIPS], "gone": []}
    collection = (await corpus.ingest([WEB]))["collection"]

    await asyncio.gather(*(corpus.search(collection, "tides") for _ in range(4)))
    for query in (" tides\n", "ships", "gone", "gone", "ships", "", " \0 "):
        await corpus.search(collection, query)

    assert script.asked == ["tides", "ships", "gone"]
    assert sorted(await found(corpus, collection, "tides")) == [MOON["url"], SHIPS["url"]]


async def test_an_ingestion_keeps_what_was_found(
    corpus: Corpus, folder: Path, script: Script
) -> None:
    """Reading the sources again neither asks again nor loses a page."""
    script.answers["tides"] = [MOON]
    sources = [str(folder), WEB]
    collection = (await corpus.ingest(sources))["collection"]
    before = await corpus.search(collection, "tides")

    again = await corpus.ingest(sources)

    assert (again["documents"], again["added"], again["removed"]) == (2, 0, 0)
    assert await corpus.search(collection, "tides") == before
    assert script.asked == ["tides"]


async def test_old_answers_are_asked_for_anew(making: Making, script: Script) -> None:
    """After an ingestion the web is as it is now; what was cited stays readable."""
    script.answers["tides"] = [MOON]
    corpus = making(Limits(answers_seconds=0))
    collection = (await corpus.ingest([WEB]))["collection"]
    cited = (await corpus.search(collection, "tides"))[0]["document"]
    script.answers["tides"] = [SHIPS]

    again = await corpus.ingest([WEB])

    assert (again["documents"], again["removed"]) == (0, 1)
    assert await found(corpus, collection, "tides") == [SHIPS["url"]]
    assert (await corpus.document(collection, cited)).source == MOON["url"]


async def test_a_failure_that_may_pass_is_tried_again(corpus: Corpus, script: Script) -> None:
    """Nothing is noted of it, so that the next attempt asks."""
    script.answers["tides"] = ConnectionError("reset by peer")
    collection = (await corpus.ingest([WEB]))["collection"]

    with pytest.raises(ConnectionError, match=r"search tool '.*' does not answer") as caught:
        await corpus.search(collection, "tides")
    script.answers["tides"] = [MOON]

    assert is_transient(caught.value)
    assert await found(corpus, collection, "tides") == [MOON["url"]]


async def test_a_failure_that_stays_is_an_error(corpus: Corpus, script: Script) -> None:
    """It names the tool and says what to do."""
    script.answers["tides"] = PermissionError("the key is wrong")
    collection = (await corpus.ingest([WEB]))["collection"]

    with pytest.raises(SourceError, match=r"'scripted_search:Scripted' failed: the key is wrong"):
        await corpus.search(collection, "tides")


async def test_pages_that_nobody_can_look_up_are_left_out(making: Making, script: Script) -> None:
    """An address must be one of the web, a page must say something, and neither may be monstrous."""
    script.answers["tides"] = [
        {**MOON, "url": "javascript:alert(1)"},
        {**MOON, "url": "https://example.org/\x1b[2J"},
        {**MOON, "url": "https://[broken"},
        {**MOON, "url": f"https://example.org/{'x' * 2_000}"},
        {**MOON, "content": " \n"},
        {"url": "https://example.org/odd", "title": "", "content": "tides\0\r\nand \ud800ships"},
    ]
    corpus = making(Limits(characters=9))
    collection = (await corpus.ingest([WEB]))["collection"]

    passages = await corpus.search(collection, "tides")

    assert [each["source"] for each in await corpus.documents(collection)] == [
        "https://example.org/odd"
    ]
    assert [(each["title"], each["text"]) for each in passages] == [
        ("https://example.org/odd", "tides\nand")
    ]


async def test_long_queries_are_cut_between_words(corpus: Corpus, script: Script) -> None:
    """Tools refuse queries of more than some 400 characters."""
    sent = "tides " * 66 + "moon"
    assert len(sent) == 400
    script.answers |= {sent: [MOON], "tides " * 66 + "now": [SHIPS]}
    collection = (await corpus.ingest([WEB]))["collection"]

    await corpus.search(collection, f"{sent} ship")
    await corpus.search(collection, "tides " * 66 + "now harbours")

    assert script.asked == [sent, ("tides " * 66 + "now")]


async def test_only_some_pages_of_an_answer_are_taken(making: Making, script: Script) -> None:
    """The limit on results holds, whatever a tool sends."""
    script.answers["tides"] = [
        {**MOON, "url": f"https://example.org/{number}", "content": f"tides {number}"}
        for number in range(5)
    ]
    corpus = making(Limits(results=2))
    collection = (await corpus.ingest([WEB]))["collection"]

    assert sorted(await found(corpus, collection, "tides")) == [
        "https://example.org/0",
        "https://example.org/1",
    ]


async def test_a_tool_is_built_when_the_sources_are_read(corpus: Corpus, script: Script) -> None:
    """What is missing is told before anything is begun."""
    with pytest.raises(UsageError, match="no search tool 'bing'"):
        await corpus.ingest(["search:bing"])
    with pytest.raises(UsageError, match="no search tool ''"):
        await corpus.ingest(["search:"])
    with pytest.raises(NotFound):
        await corpus.search("none", "tides")


async def test_an_empty_folder_is_an_error_beside_a_tool(
    corpus: Corpus, tmp_path: Path, script: Script
) -> None:
    """Who names a folder wants it read."""
    with pytest.raises(SourceError, match="it is empty"):
        await corpus.ingest([str(tmp_path), WEB])


async def test_without_search_tools_they_are_refused(deaf_corpus: Corpus) -> None:
    """The error says what to pass."""
    with pytest.raises(SourceError, match=r"asks none\. Pass `searcher=interlock\.web\.search"):
        await deaf_corpus.ingest(["search:tavily"])
