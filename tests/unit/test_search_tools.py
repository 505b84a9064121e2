import asyncio
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from langchain_core.tools import BaseTool

from interlock.core.transient import is_transient
from interlock.errors import SourceError, UsageError
from interlock.web import SearchResult, search_tool, searching

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
    "words": "I found a good page for you",
    "no result in words": "No good search result was found",
    "tavily finds nothing": "No search results found for 'x'. Suggestions: try other words.",
    "duckduckgo finds nothing": RuntimeError("No results found."),
    "tavily is busy": {"error": ValueError("Error 429: Too Many Requests")},
    "tavily is cut off": {"error": type("ClientConnectionError", (OSError,), {})("no route")},
    "tavily refuses": {"error": ValueError("Error 401: the key tvly-secret is wrong")},
    "brave is down": RuntimeError("HTTP error 503"),
    "brave refuses": RuntimeError("HTTP error 422"),
    "exa is busy": "ValueError('Request failed with status code 429: slow down')",
    "nothing answers": type("ConnectionError", (OSError,), {})("connection refused"),
    "too slow": TimeoutError(),
}


class Canned(BaseTool):
    """Answers each query by name."""

    name: str = "canned"
    description: str = "answers what was prepared"

    def _run(self, query: str) -> object:
        answer = ANSWERS[query]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Hanging(Canned):
    """Never answers."""

    async def _arun(self, query: str) -> object:
        return await asyncio.Event().wait()


class Keyless(Canned):
    """Cannot be built, as tools without their key."""

    def __init__(self) -> None:
        raise ValueError("CANNED_KEY is not set")


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package with search tools."""
    module = ModuleType("canned_search")
    module.__dict__.update({"Canned": Canned, "Keyless": Keyless, "Hanging": Hanging})
    module.__dict__.update({"Other": dict, "value": 1})
    monkeypatch.setitem(sys.modules, "canned_search", module)


@pytest.mark.parametrize(
    "shape", ["tavily", "brave", "duckduckgo", "exa", "highlights", "twice", "no address"]
)
async def test_answers_become_alike(shape: str) -> None:
    """Whatever a tool calls its fields, and however it wraps them."""
    tool = search_tool("canned_search:Canned")

    assert await tool.search(shape) == [SearchResult("u", "t", "c")]


@pytest.mark.parametrize(
    "shape",
    ["nothing", "no result in words", "tavily finds nothing", "duckduckgo finds nothing"],
)
async def test_no_result_is_no_error(shape: str) -> None:
    """A search may find nothing, however a tool says so."""
    assert await search_tool("canned_search:Canned").search(shape) == []


@pytest.mark.parametrize(
    "shape",
    [
        "tavily is busy",
        "tavily is cut off",
        "brave is down",
        "exa is busy",
        "nothing answers",
        "too slow",
    ],
)
async def test_failures_that_may_pass_are_known(shape: str) -> None:
    """A graph tries again after an error that names the tool, also where the status hides in words."""
    with pytest.raises(ConnectionError, match="'canned_search:Canned' does not answer") as caught:
        await search_tool("canned_search:Canned").search(shape)

    assert is_transient(caught.value)


async def test_a_tool_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some tools have no limit of their own."""
    monkeypatch.setattr(searching, "SECONDS", 0.01)

    with pytest.raises(ConnectionError, match="does not answer: TimeoutError"):
        await search_tool("canned_search:Hanging").search("anything")


async def test_keys_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that a tool puts into its error is blotted out."""
    monkeypatch.setenv("TAVILY_API_KEY", "tvly-secret")

    with pytest.raises(SourceError, match=r"the key \[key\] is wrong"):
        await search_tool("canned_search:Canned").search("tavily refuses")


@pytest.mark.parametrize("shape", ["error", "words", "unknown", "tavily refuses", "brave refuses"])
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
