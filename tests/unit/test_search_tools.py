import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from langchain_core.tools import BaseTool

from interlock.errors import SourceError, UsageError
from interlock.web import SearchResult, search_tool

ANSWERS: dict[str, object] = {
    "tavily": {"results": [{"url": "u", "title": "t", "content": "c", "score": 1.0}]},
    "brave": json.dumps([{"link": "u", "title": "t", "snippet": "c"}]),
    "duckduckgo": [{"link": "u", "title": "t", "snippet": "c"}],
    "exa": SimpleNamespace(results=[SimpleNamespace(url="u", title="t", text="c")]),
    "highlights": {"results": [{"url": "u", "title": "t", "text": None, "highlights": ["c"]}]},
    "twice": [{"url": "u", "title": "t", "text": "c"}, {"url": "u", "title": "other"}],
    "no address": [{"title": "t", "text": "c"}, {"url": "u", "title": "t", "text": "c"}],
    "nothing": {"results": []},
    "error": {"error": "quota"},
    "words": "No good search result was found",
}


class Canned(BaseTool):
    """Answers each query by name."""

    name: str = "canned"
    description: str = "answers what was prepared"

    def _run(self, query: str) -> object:
        return ANSWERS[query]


class Keyless(Canned):
    """Cannot be built, as tools without their key."""

    def __init__(self) -> None:
        raise ValueError("CANNED_KEY is not set")


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package with search tools."""
    module = ModuleType("canned_search")
    module.__dict__.update({"Canned": Canned, "Keyless": Keyless, "Other": dict, "value": 1})
    monkeypatch.setitem(sys.modules, "canned_search", module)


@pytest.mark.parametrize(
    "shape", ["tavily", "brave", "duckduckgo", "exa", "highlights", "twice", "no address"]
)
async def test_answers_become_alike(shape: str) -> None:
    """Whatever a tool calls its fields, and however it wraps them."""
    tool = search_tool("canned_search:Canned")

    assert await tool.search(shape) == [SearchResult("u", "t", "c")]


async def test_no_result_is_no_error() -> None:
    """A search may find nothing."""
    assert await search_tool("canned_search:Canned").search("nothing") == []


@pytest.mark.parametrize("shape", ["error", "words", "unknown"])
async def test_failures_are_told(shape: str) -> None:
    """An answer that names no pages, and a tool that raises, are errors with the tool's name."""
    with pytest.raises(SourceError, match="search tool 'canned_search:Canned'"):
        await search_tool("canned_search:Canned").search(shape)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("google", r"no search tool 'google'\. Use tavily, duckduckgo, brave, exa, or package"),
        ("canned_search:Missing", "is not installed"),
        ("no_such_package:Tool", r"is not installed.*Install the package that has no_such_package"),
        ("canned_search:Keyless", "cannot be built: CANNED_KEY is not set"),
        ("canned_search:Other", "is no LangChain tool"),
        ("canned_search:value", "is no class"),
    ],
)
def test_tools_that_cannot_be_built_are_errors(name: str, message: str) -> None:
    """Each says what is missing."""
    with pytest.raises(UsageError, match=message):
        search_tool(name)


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the package is looked for."""
    monkeypatch.delenv("TAVILY_API_KEY", raising=False)

    with pytest.raises(UsageError, match=r"needs a key\. Set TAVILY_API_KEY"):
        search_tool("tavily")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command to install it."""
    monkeypatch.setenv("TAVILY_API_KEY", "key")
    monkeypatch.setitem(sys.modules, "langchain_tavily", None)

    with pytest.raises(UsageError, match="Install langchain-tavily"):
        search_tool("tavily")
