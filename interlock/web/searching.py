"""Ask a search tool of LangChain by name, and make its answers alike."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from langchain_core.tools import BaseTool

from interlock.core.corpus import SearchResult
from interlock.core.models import redacted
from interlock.core.transient import is_transient
from interlock.errors import SourceError, UsageError

SECONDS = 60.0
"""The longest time for one answer; the tools themselves have different limits, or none."""

_URL = ("url", "link", "href")
_TITLE = ("title", "name")
_TEXT = ("text", "content", "snippet", "body", "description", "summary", "highlights")


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
            ConnectionError: the tool fails, and may well answer a moment later.
        """
        try:
            async with asyncio.timeout(SECONDS):
                results = _results(await self.tool.ainvoke({"query": query}))
        except Exception as error:  # a tool may raise anything
            if _NOTHING.search(str(error)):
                return []
            raise self._failure(error) from error
        found: dict[str, SearchResult] = {}
        for result in results:
            found.setdefault(result.url, result)
        return list(found.values())[:limit]

    def _failure(self, error: Exception) -> Exception:
        reason = _without_keys(str(error)).strip()[:300].rstrip(".") or type(error).__name__
        if _may_pass(error):
            return ConnectionError(f"The search tool '{self.name}' does not answer: {reason}.")
        return SourceError(
            f"The search tool '{self.name}' failed: {reason}.",
            hint="Mend it, or leave it out of the sources; then resume the run.",
        )


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


_NOTHING = re.compile(r"\bno\b.{0,30}\bresults?\b.{0,10}\bfound\b", re.IGNORECASE)
"""How tools say that there is nothing: some as an answer, some as an error."""

_LATER = re.compile(
    r"\b(?:error|status|code)\W{0,3}(?:408|425|429|5\d\d)\b|\btimed? ?out\b|\brate ?limit",
    re.IGNORECASE,
)
_TRANSPORT = frozenset({"ConnectionError", "Timeout", "ClientConnectionError"})
"""Base classes of what requests and aiohttp raise when nothing answers."""


def _may_pass(error: Exception) -> bool:
    """Say whether a failure may pass: search tools hide the status that they got in their words."""
    if is_transient(error) or _LATER.search(f"{type(error).__name__}: {error}"):
        return True
    return not _TRANSPORT.isdisjoint(each.__name__ for each in type(error).__mro__)


def _without_keys(text: str) -> str:
    for key in (os.environ.get(known.key, "") for known in KNOWN.values() if known.key):
        text = text.replace(key, "[key]") if key else text
    return redacted(text)


def _results(answer: object) -> list[SearchResult]:
    """Return the pages; raises the error that a tool put into its answer."""
    answer = _parsed(answer)
    error = answer.get("error") if isinstance(answer, Mapping) else None
    if isinstance(error, Exception):
        raise error
    entries = _entries(answer)
    if entries is None:
        raise ValueError(f"it named no pages, but said: {str(answer)[:200]}")
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
