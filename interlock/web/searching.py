"""Ask a search tool of LangChain by name, and make its answers alike."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import NamedTuple

from langchain_core.tools import BaseTool

from interlock.errors import SourceError, UsageError

_URL = ("url", "link", "href")
_TITLE = ("title", "name")
_TEXT = ("text", "content", "snippet", "body", "description", "summary", "highlights")


class SearchResult(NamedTuple):
    """One page that a search tool names."""

    url: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A search tool with a short name.

    Attributes:
        path: `package.module:Class`.
        packages: what to install for it.
        key: the environment variable that it needs, or empty.
        options: what it is built with.
    """

    path: str
    packages: str
    key: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


KNOWN: Mapping[str, _Known] = {
    "tavily": _Known(
        path="langchain_tavily:TavilySearch", packages="langchain-tavily", key="TAVILY_API_KEY"
    ),
    "duckduckgo": _Known(
        path="langchain_community.tools:DuckDuckGoSearchResults",
        packages="langchain-community ddgs",
        options={"output_format": "list"},
    ),
    "brave": _Known(
        path="langchain_community.tools:BraveSearch",
        packages="langchain-community",
        key="BRAVE_SEARCH_API_KEY",
    ),
    "exa": _Known(
        path="langchain_exa:ExaSearchResults", packages="langchain-exa", key="EXA_API_KEY"
    ),
}


@dataclass(frozen=True, slots=True)
class SearchTool:
    """A search tool whose answers are `SearchResult`s."""

    name: str
    tool: BaseTool

    async def search(self, query: str, *, limit: int = 8) -> list[SearchResult]:
        """Ask; each address comes once, in the tool's order.

        Raises:
            SourceError: the tool fails, or answers with something that names no pages.
        """
        try:
            answer: object = await self.tool.ainvoke({"query": query})
        except Exception as error:  # a tool may raise anything
            reason = str(error) or type(error).__name__
            raise SourceError(f"The search tool '{self.name}' failed: {reason}.") from error
        found: dict[str, SearchResult] = {}
        for result in _results(self.name, answer):
            found.setdefault(result.url, result)
        return list(found.values())[:limit]


def search_tool(name: str) -> SearchTool:
    """Build a search tool by its short name or its path.

    Args:
        name: `tavily`, `duckduckgo`, `brave`, `exa`, or `package.module:Class` of a LangChain tool
            that takes a `query` and can be built without arguments.

    Raises:
        UsageError: there is no such tool, its package is not installed, or its key is not set.
    """
    known = KNOWN.get(name.strip().lower()) or _by_path(name)
    if known.key and not os.environ.get(known.key):
        raise UsageError(f"The search tool '{name}' needs a key.", hint=f"Set {known.key}.")
    built = _class(name, known)
    try:
        tool = built(**known.options)
    except Exception as error:  # a missing package or key shows itself as anything
        raise UsageError(
            f"The search tool '{name}' cannot be built: {error}.",
            hint=f"Install {known.packages} and set what it needs.",
        ) from error
    if not isinstance(tool, BaseTool):
        raise UsageError(f"'{known.path}' is no LangChain tool.")
    return SearchTool(name, tool)


def _by_path(name: str) -> _Known:
    module, separator, attribute = name.strip().partition(":")
    if not (module and separator and attribute):
        raise UsageError(
            f"There is no search tool '{name}'.",
            hint=f"Use {', '.join(KNOWN)}, or package.module:Class of a LangChain tool.",
        )
    return _Known(path=name.strip(), packages=f"the package that has {module}")


def _class(name: str, known: _Known) -> type:
    module, _, attribute = known.path.partition(":")
    try:
        found: object = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"The search tool '{name}' is not installed: {error}.",
            hint=f"Install {known.packages} (pip install).",
        ) from error
    if not isinstance(found, type):
        raise UsageError(f"'{known.path}' is no class.")
    return found


def _results(name: str, answer: object) -> list[SearchResult]:
    entries = _entries(_parsed(answer))
    if entries is None:
        raise SourceError(f"The search tool '{name}' named no pages: {str(answer)[:200]}")
    return [result for entry in entries if (result := _result(entry)).url]


def _parsed(answer: object) -> object:
    """Return what a text in JSON says."""
    if not isinstance(answer, str):
        return answer
    try:
        return json.loads(answer)
    except json.JSONDecodeError:
        return answer


def _entries(answer: object) -> Sequence[object] | None:
    """Return the list of pages, which stands alone, below `results`, or in such an attribute."""
    if isinstance(answer, Mapping):
        answer = answer.get("results")
    elif not isinstance(answer, Sequence):
        answer = getattr(answer, "results", None)
    return None if isinstance(answer, str) or not isinstance(answer, Sequence) else answer


def _result(entry: object) -> SearchResult:
    values = entry if isinstance(entry, Mapping) else getattr(entry, "__dict__", {})
    return SearchResult(*(next(_texts(values, names), "") for names in (_URL, _TITLE, _TEXT)))


def _texts(values: Mapping[str, object], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        match values.get(name):
            case str(text) if text:
                yield text
            case list(parts) if parts:
                yield "\n".join(str(part) for part in parts)
