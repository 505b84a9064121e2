"""Gather documents from what was given: files that changed, files that did not, URLs, search tools."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from interlock.core.corpus import Document, Fetch, Skipped
from interlock.core.documents.limits import Limits
from interlock.core.documents.media import media_of_name, media_of_response
from interlock.core.documents.reading import Unreadable, document_id, read
from interlock.core.documents.scan import Found, Scan, read_bytes, reason_of, scan
from interlock.errors import SourceError

SEARCH = "search:"
"""How a source begins that is a search tool; a file of such a name is given as `./search:…`."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What was given, told apart; `collection` names exactly this set of sources."""

    paths: tuple[Path, ...]
    urls: tuple[str, ...]
    tools: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Return the absolute sources, each once, in an order that says nothing."""
        return sorted({*(str(path) for path in self.paths), *self.urls, *self.tools})

    @property
    def collection(self) -> str:
        """Return a digest of the absolute sources; their order does not matter."""
        names = "\n".join(self.names)
        return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """By which a file is known again without reading it."""

    source: str
    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One source that was read, or that is known and did not change (`document` is None)."""

    source: str
    id: str
    document: Document | None
    stamp: Stamp | None = None


def sources_of(given: Sequence[str]) -> Sources:
    """Tell paths, URLs and search tools apart.

    Raises:
        SourceError: nothing was given, or a URL of a kind that is not read.
    """
    if not any(source.strip() for source in given):
        raise SourceError("No sources were given.", hint=_KINDS)
    paths, urls, tools = [], [], []
    for source in given:
        if not source.isprintable():
            raise SourceError(
                f"The source {source!r} has characters that cannot be printed.",
                hint="Rename the file or the folder, or give the one above it.",
            )
        scheme = _SCHEME.match(source)
        if is_tool(source):
            tools.append(source.strip())
        elif scheme is None:
            paths.append(Path(source).expanduser().absolute())
        elif scheme[1].lower() in {"http", "https"}:
            urls.append(source.strip())
        else:
            raise SourceError(
                f"The source '{source}' is of a kind that is not read.",
                hint="Give a path, or a URL that begins with http:// or https://.",
            )
    return Sources(paths=tuple(paths), urls=tuple(urls), tools=tuple(dict.fromkeys(tools)))


def is_tool(source: str) -> bool:
    """Say whether a source is a search tool."""
    return source.strip().startswith(SEARCH)


class Gathering:
    """One pass over the sources; `total` is known before the first is read."""

    def __init__(
        self, sources: Sources, scanned: Scan, limits: Limits, fetch: Fetch | None
    ) -> None:
        self._sources = sources
        self._files = scanned.found
        self._limits = limits
        self._fetch = fetch
        self.skipped: list[Skipped] = list(scanned.skipped)
        self.total = len(scanned.found) + len(sources.urls)

    @classmethod
    async def of(cls, sources: Sources, limits: Limits, fetch: Fetch | None) -> Gathering:
        """Scan the folders.

        Raises:
            SourceError: a source is missing, or a URL is given where nothing can fetch it.
        """
        if sources.urls and fetch is None:
            raise SourceError(
                f"The source '{sources.urls[0]}' is a URL, and this corpus reads files only.",
                hint="Pass `fetch=interlock.web.fetch` to the corpus, or save the page to a file.",
            )
        scanned = await asyncio.to_thread(scan, sources.paths, limits)
        return cls(sources, scanned, limits, fetch)

    @property
    def stamps(self) -> tuple[Stamp, ...]:
        """Return the stamps of all files, to ask which of them are known."""
        return tuple(_stamp(file) for file in self._files)

    async def documents(
        self, known: Mapping[Stamp, str], stored: Collection[str]
    ) -> AsyncIterator[tuple[str, Gathered | None]]:
        """Yield each source with what was read, None where it was skipped.

        Args:
            known: the document of each file that need not be read again.
            stored: documents that need not be extracted again.
        """
        for file in self._files:
            yield file.source, await self._attempt_file(file, known, stored)
        for url in self._sources.urls:
            yield url, await self._attempt_url(url, stored)

    def outcome(self, read: int) -> list[Skipped]:
        """Return what was skipped, shortened.

        Raises:
            SourceError: not one source could be read, though there is something to read.
        """
        if not read and (self._sources.paths or self._sources.urls):
            raise SourceError(_nothing(self._sources, self.skipped), hint=_NOTHING_HINT)
        return _shortened(self.skipped, self._limits.listed)

    async def _attempt_file(
        self, file: Found, known: Mapping[Stamp, str], stored: Collection[str]
    ) -> Gathered | None:
        stamp = _stamp(file)
        if (same := known.get(stamp)) is not None:
            return Gathered(source=file.source, id=same, document=None, stamp=stamp)
        try:
            return await asyncio.to_thread(_read_file, file, stamp, stored, self._limits)
        except OSError as error:
            self._skip(file.source, reason_of(error))
        except Unreadable as error:
            self._skip(file.source, str(error))
        return None

    async def _attempt_url(self, url: str, stored: Collection[str]) -> Gathered | None:
        if self._fetch is None:
            raise AssertionError("checked when the gathering was made")
        try:
            data, content_type, final = await self._fetch(url)
            media = media_of_response(content_type, urlsplit(final).path)
            if media is None:
                raise Unreadable(f"responses of the type {content_type} are not read")
            return await asyncio.to_thread(_read_data, url, data, media, stored, self._limits)
        except SourceError as error:
            self._skip(url, str(error))
        return None

    def _skip(self, source: str, reason: str) -> None:
        self.skipped.append(Skipped(source=source, reason=reason))


def _read_file(file: Found, stamp: Stamp, stored: Collection[str], limits: Limits) -> Gathered:
    data = read_bytes(file.path, limits)
    media = media_of_name(file.path.name) or ""
    found = _read_data(file.source, data, media, stored, limits)
    return Gathered(source=file.source, id=found.id, document=found.document, stamp=stamp)


def _read_data(
    source: str, data: bytes, media: str, stored: Collection[str], limits: Limits
) -> Gathered:
    name = document_id(source, data)
    document = None if name in stored else read(source, data, media, limits)
    return Gathered(source=source, id=name, document=document)


def _stamp(file: Found) -> Stamp:
    return Stamp(source=file.source, path=str(file.path), size=file.size, mtime_ns=file.mtime_ns)


_KINDS = "Name a file, a folder, a URL, or a search tool (search:NAME)."
_NOTHING_HINT = "Give files or folders with text, Markdown, HTML, PDF, Word, notebooks or code."


def _nothing(sources: Sources, skipped: Sequence[Skipped]) -> str:
    given = ", ".join(f"'{source}'" for source in (*sources.paths, *sources.urls))
    if not skipped:
        return f"Nothing to read was found in {given}: it is empty."
    reasons = "; ".join(_told(skipped[:3]))
    more = f"; and {len(skipped) - 3:,} more" if len(skipped) > 3 else ""
    return f"Nothing readable was found in {given}. Skipped: {reasons}{more}."


def _told(skipped: Sequence[Skipped]) -> Iterator[str]:
    return (f"{one['source']} ({one['reason'].rstrip('.')})" for one in skipped)


def _shortened(skipped: Sequence[Skipped], listed: int) -> list[Skipped]:
    if len(skipped) <= listed:
        return list(skipped)
    more = len(skipped) - listed
    return [*skipped[:listed], Skipped(source=f"{more:,} more", reason="not listed one by one")]
