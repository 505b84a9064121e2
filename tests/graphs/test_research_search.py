"""The team with nothing but a search tool: what it finds is quoted, verified and cited like a file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from interlock.core.corpus import SearchResult
from interlock.core.corpus_memory import MemoryCorpus
from interlock.core.documents.reading import document_id
from interlock.errors import SourceError
from nodes.research.questions import Plan
from tests.graphs.harbour import SOURCES, Team, accepted, enough, finds, looks, task

WEB = "search:harbour"
PAGES = {
    name: SearchResult(f"https://example.org/{name}", f"{name} pier", SOURCES[f"{name}.md"])
    for name in ("north", "south")
}


@dataclass
class HarbourSearch:
    """A search tool that knows one page for each lamp, and fails as often as it is told."""

    failures: list[Exception] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def search(self, query: str, *, limit: int = 8) -> list[SearchResult]:
        """Return the page of the lamp that the query begins with."""
        self.asked.append(query)
        if self.failures:
            raise self.failures.pop()
        return [PAGES[query.split(maxsplit=1)[0]]][:limit]


@pytest.fixture
def tool() -> HarbourSearch:
    """A search tool that answers."""
    return HarbourSearch()


@pytest.fixture
def searching(team: Team, tool: HarbourSearch) -> Team:
    """A team without files."""
    ids = {
        f"{name}.md": document_id(page.url, f"{page.title}\n{page.text}".encode())
        for name, page in PAGES.items()
    }
    return replace(team, corpus=MemoryCorpus(searcher=lambda _name: tool), ids=ids)


async def test_what_a_search_tool_finds_is_cited(searching: Team, tool: HarbourSearch) -> None:
    """A run over a search tool alone ends with a report that names the pages' addresses."""
    await searching.start(*searching.happy(), sources=[WEB])
    await searching.answer({"type": "approve"})

    published = (await searching.state()).values["published"]
    text = Path(published["markdown"]).read_text(encoding="utf-8")
    assert "https://example.org/north" in text
    assert "https://example.org/south" in text
    assert sorted(tool.asked) == ["north reaches", "south reaches"]
    searching.model.assert_done()


async def test_a_tool_that_fails_for_a_moment_is_asked_again(
    searching: Team, tool: HarbourSearch
) -> None:
    """The step is repeated; the run goes on as if nothing had happened."""
    tool.failures.append(ConnectionError("The search tool 'harbour' does not answer."))

    await searching.start(*searching.happy(), sources=[WEB])

    assert len(tool.asked) == 3
    assert (await searching.question())["action_requests"]


async def test_a_tool_that_refuses_stops_the_run_until_it_is_mended(
    searching: Team, tool: HarbourSearch
) -> None:
    """A person must act; then the same run goes on where it was."""
    tool.failures.append(SourceError("The search tool 'harbour' failed: the key is wrong."))
    report = searching.report(searching.says("north"))

    with pytest.raises(SourceError, match="the key is wrong"):
        await searching.start(Plan(tasks=[task("north")]), looks("north"), sources=[WEB])
    await searching.go_on(*finds("north")[1:], enough(), report, accepted())

    assert (await searching.question())["action_requests"]
    assert tool.asked == ["north reaches", "north reaches"]
