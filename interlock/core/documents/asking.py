"""Ask the search tools of a collection, and make documents of what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from interlock.core.corpus import Document, Searcher, Searchers, SearchResult
from interlock.core.documents.gathering import SEARCH
from interlock.core.documents.limits import Limits
from interlock.core.documents.media import PLAIN
from interlock.core.documents.reading import clean, document_id
from interlock.errors import SourceError

_QUERY_CHARACTERS = 400
"""The longest query that the usual tools take."""

_URL_CHARACTERS, _TITLE_CHARACTERS = 2_000, 200

_Turn = tuple[asyncio.AbstractEventLoop, str, str]


class SearchTools:
    """The search tools of a corpus, each built when it is first needed."""

    def __init__(self, searcher: Searchers | None, limits: Limits) -> None:
        self._searcher = searcher
        self._limits = limits
        self._built: dict[str, Searcher] = {}
        self._turns: WeakValueDictionary[_Turn, asyncio.Lock] = WeakValueDictionary()

    async def build(self, tools: Sequence[str]) -> None:
        """Build tools, so that what is missing shows itself now; raises `SourceError`, `UsageError`."""
        for tool in tools:
            await self._tool(tool)

    async def documents(self, tool: str, query: str) -> list[Document]:
        """Ask a tool; raises `SourceError`, `ConnectionError` or `UsageError`."""
        searcher = await self._tool(tool)
        results = await searcher.search(query, limit=self._limits.results)
        return _documents(results[: self._limits.results], self._limits)

    @asynccontextmanager
    async def turn(self, collection: str, query: str) -> AsyncIterator[None]:
        """Wait while somebody else on this event loop asks the same."""
        key = (asyncio.get_running_loop(), collection, query)
        async with self._turns.setdefault(key, asyncio.Lock()):
            yield

    async def _tool(self, tool: str) -> Searcher:
        if self._searcher is None:
            raise SourceError(
                f"The source '{tool}' is a search tool, and this corpus asks none.",
                hint="Pass `searcher=interlock.web.search_tool` to the corpus.",
            )
        if tool not in self._built:  # its package may take a second to import
            name = tool.removeprefix(SEARCH).strip()
            self._built[tool] = await asyncio.to_thread(self._searcher, name)
        return self._built[tool]


def asked_as(query: str) -> str:
    """Return how a query is sent to a tool, and remembered: on one line, and not too long."""
    words = " ".join(clean(query).split())
    if len(words) <= _QUERY_CHARACTERS:
        return words
    return words[: _QUERY_CHARACTERS + 1].rpartition(" ")[0] or words[:_QUERY_CHARACTERS]


def _documents(results: Iterable[SearchResult], limits: Limits) -> list[Document]:
    found = (_document(result, limits) for result in results)
    return list({document.id: document for document in found if document}.values())


def _document(result: SearchResult, limits: Limits) -> Document | None:
    """Return a page as a document; None where nothing can be quoted, or nobody could look it up."""
    url = clean(result.url).strip()
    text = clean(result.text)[: limits.characters]
    if not text.strip() or not _can_be_cited(url):
        return None
    title = " ".join(clean(result.title).split())[:_TITLE_CHARACTERS] or url
    data = f"{title}\n{text}".encode()
    return Document(id=document_id(url, data), source=url, title=title, media=PLAIN, text=text)


def _can_be_cited(url: str) -> bool:
    if len(url) > _URL_CHARACTERS or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() in {"http", "https"} and bool(parts.netloc)
