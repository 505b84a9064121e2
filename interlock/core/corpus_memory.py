"""A corpus in memory: BM25 over passages, no database, gone with the process."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest

from interlock.core.corpus import (
    Document,
    DocumentInfo,
    Embedder,
    Fetch,
    Ingested,
    Passage,
    Progress,
    Searchers,
    Vector,
)
from interlock.core.documents.asking import SearchTools, asked_as
from interlock.core.documents.chunking import Chunk, chunks
from interlock.core.documents.gathering import Gathered, Gathering, Stamp, sources_of
from interlock.core.documents.limits import LIMITS, Limits
from interlock.core.documents.meaning import LOOKED_AT, likeness, vectors_of
from interlock.core.documents.results import distinct, wanted
from interlock.core.documents.words import coverage, lexemes, query_lexemes, weigh
from interlock.errors import NotFound

_SATURATION, _LENGTH_WEIGHT = 1.2, 0.75
"""k1 and b of BM25: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework", 2009."""

_HEADING_COUNTS = 2


class MemoryCorpus:
    """The corpus that plain `graph.invoke` uses."""

    def __init__(
        self,
        *,
        fetch: Fetch | None = None,
        searcher: Searchers | None = None,
        embedder: Embedder | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._fetch = fetch
        self._tools = SearchTools(searcher, limits)
        self._embedder = embedder
        self._vectors: dict[tuple[str, int], Vector] = {}
        self._limits = limits
        self._known: dict[Stamp, str] = {}
        self._stored: dict[str, _Indexed] = {}
        self._collections: dict[str, _Collection] = {}

    async def ingest(
        self, sources: Sequence[str], *, progress: Callable[[Progress], None] | None = None
    ) -> Ingested:
        """Read what changed since it was last read; raises `SourceError` and `UsageError`."""
        given = sources_of(sources)
        await self._tools.build(given.tools)
        gathering = await Gathering.of(given, self._limits, self._fetch)
        now: set[str] = set()
        done = 0
        async for source, gathered in gathering.documents(self._known, self._stored):
            if gathered is not None:
                await self._keep(gathered)
                now.add(gathered.id)
            done += 1
            if progress:
                progress(Progress(done=done, total=gathering.total, source=source))
        skipped = gathering.outcome(len(now))
        before = self._collections.get(given.collection, _Collection(tools=given.tools))
        answers = before.answers_since(time.monotonic() - self._limits.answers_seconds)
        now |= {one for answer in answers.values() for one in answer.documents}
        indexed = self._all_of(now)
        self._collections[given.collection] = replace(
            before, documents=indexed, ids=before.ids | now, answers=answers
        )
        was = {one.document.id for one in before.documents}
        return Ingested(
            collection=given.collection,
            documents=len(now),
            added=len(now - was),
            unchanged=len(now & was),
            removed=len(was - now),
            passages=sum(len(one.chunks) for one in indexed),
            skipped=skipped,
        )

    async def search(self, collection: str, query: str, *, limit: int = 8) -> list[Passage]:
        """Ask the search tools, rank passages by BM25, and the best by meaning with an embedder."""
        await self._ask_tools(collection, asked_as(query))
        count = wanted(limit, at_least=LOOKED_AT if self._embedder else 0)
        best = await asyncio.to_thread(_ranked, self._collection(collection), query, count)
        if self._embedder and best:
            best = await self._by_meaning(self._embedder, query, best)
        return distinct(best, limit)

    async def document(self, collection: str, document_id: str) -> Document:
        """Return one document with its text; raises `NotFound`."""
        if document_id not in self._collection(collection).ids:
            raise NotFound(f"There is no document '{document_id}' in collection '{collection}'.")
        return self._stored[document_id].document

    async def documents(self, collection: str) -> list[DocumentInfo]:
        """List the collection's documents by source name."""
        documents = (one.document for one in self._collection(collection).documents)
        return [
            DocumentInfo(
                id=document.id,
                source=document.source,
                title=document.title,
                media=document.media,
                characters=len(document.text),
            )
            for document in sorted(documents, key=lambda document: document.source)
        ]

    async def _ask_tools(self, collection: str, query: str) -> None:
        """Take in what the collection's search tools find, unless they were asked before."""
        async with self._tools.turn(collection, query):
            for tool in self._collection(collection).unasked(query):
                found = await self._tools.documents(tool, query)
                for document in found:
                    await self._keep(Gathered(source=tool, id=document.id, document=document))
                held = self._collection(collection)
                answer = _Answer(frozenset(one.id for one in found), time.monotonic())
                now = {one.document.id for one in held.documents} | answer.documents
                self._collections[collection] = replace(
                    held,
                    documents=self._all_of(now),
                    ids=held.ids | now,
                    answers={**held.answers, (tool, query): answer},
                )

    def _all_of(self, ids: Collection[str]) -> tuple[_Indexed, ...]:
        return tuple(self._stored[one] for one in sorted(ids))

    async def _by_meaning(
        self, embedder: Embedder, query: str, best: Sequence[Passage]
    ) -> list[Passage]:
        """Order passages by their likeness to the query; keep the vectors that had to be made."""
        texts = {_key(one): f"{one['heading']}\n{one['text']}".strip() for one in best}
        self._vectors |= await vectors_of(embedder, texts, self._vectors)
        asked = (await embedder.embed([query]))[0]
        closer = [
            Passage(**{**one, "score": likeness(asked, self._vectors[_key(one)])}) for one in best
        ]
        return sorted(closer, key=lambda one: (-one["score"], _key(one)))

    async def _keep(self, gathered: Gathered) -> None:
        if gathered.document and gathered.id not in self._stored:
            self._stored[gathered.id] = await asyncio.to_thread(_indexed, gathered.document)
        if gathered.stamp:
            self._known[gathered.stamp] = gathered.id

    def _collection(self, collection: str) -> _Collection:
        try:
            return self._collections[collection]
        except KeyError:
            raise NotFound(
                f"There is no collection '{collection}' in memory.",
                hint="Ingest its sources first; a corpus in memory ends with its process.",
            ) from None


@dataclass(frozen=True, slots=True)
class _Indexed:
    """A document with its own inverted index.

    Attributes:
        lengths: the number of lexemes in each passage.
        postings: for each lexeme the passages with it: number, count, number, count, and so on.
    """

    document: Document
    chunks: tuple[Chunk, ...]
    lengths: tuple[int, ...]
    postings: dict[str, array[int]]


@dataclass(frozen=True, slots=True)
class _Answer:
    """Which documents a search tool found, and when, by the process's clock."""

    documents: frozenset[str]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Collection:
    """What is searched now, and what was asked.

    Attributes:
        documents: those that are searched.
        ids: all that ever belonged to it.
        tools: the search tools to ask.
        answers: what they answered, by tool and query.
    """

    documents: tuple[_Indexed, ...] = ()
    ids: frozenset[str] = frozenset()
    tools: tuple[str, ...] = ()
    answers: Mapping[tuple[str, str], _Answer] = field(default_factory=dict)

    def unasked(self, query: str) -> list[str]:
        """Return the tools that were not asked this yet."""
        return [tool for tool in self.tools if query and (tool, query) not in self.answers]

    def answers_since(self, moment: float) -> dict[tuple[str, str], _Answer]:
        """Return the answers that are no older."""
        return {asked: answer for asked, answer in self.answers.items() if answer.at >= moment}


def _indexed(document: Document) -> _Indexed:
    cut = tuple(chunks(document))
    title = lexemes(document.title)
    lengths: list[int] = []
    postings: defaultdict[str, array[int]] = defaultdict(lambda: array("I"))
    for number, chunk in enumerate(cut):
        body = lexemes(document.text[chunk.start : chunk.end])
        lengths.append(len(body))
        counts = Counter(body)
        counts.update(title + lexemes(chunk.heading) * _HEADING_COUNTS)
        for lexeme, count in counts.items():
            postings[lexeme].extend((number, count))
    return _Indexed(document, cut, tuple(lengths), dict(postings))


def _key(passage: Passage) -> tuple[str, int]:
    return passage["document"], passage["start"]


def _ranked(collection: _Collection, query: str, count: int) -> list[Passage]:
    asked = query_lexemes(query)
    total = sum(len(one.chunks) for one in collection.documents)
    weights = weigh(asked, _holding(collection, asked), total)
    average = max(1.0, sum(sum(one.lengths) for one in collection.documents) / max(1, total))
    scored = (
        (-score, one.document.source, number, one)
        for one in collection.documents
        for number, score in _scores(one, weights, average).items()
    )
    best = nsmallest(count, scored, key=lambda hit: hit[:3])
    return [_passage(one, number, -negative, weights) for negative, _, number, one in best]


def _holding(collection: _Collection, asked: Sequence[str]) -> dict[str, int]:
    return {
        lexeme: sum(len(one.postings.get(lexeme, ())) // 2 for one in collection.documents)
        for lexeme in asked
    }


def _scores(one: _Indexed, weights: dict[str, float], average: float) -> dict[int, float]:
    scores: dict[int, float] = {}
    for lexeme, weight in weights.items():
        for number, count in _pairs(one.postings.get(lexeme)):
            length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * one.lengths[number] / average
            gain = weight * count * (_SATURATION + 1) / (count + _SATURATION * length)
            scores[number] = scores.get(number, 0.0) + gain
    return scores


def _pairs(posting: array[int] | None) -> Iterator[tuple[int, int]]:
    return zip(posting[::2], posting[1::2], strict=True) if posting else iter(())


def _passage(one: _Indexed, number: int, score: float, weights: dict[str, float]) -> Passage:
    chunk, document = one.chunks[number], one.document
    present = [lexeme for lexeme in weights if number in one.postings.get(lexeme, ())[::2]]
    return Passage(
        document=document.id,
        source=document.source,
        title=document.title,
        heading=chunk.heading,
        start=chunk.start,
        end=chunk.end,
        location=chunk.location,
        text=document.text[chunk.start : chunk.end],
        score=score,
        coverage=coverage(weights, present),
    )
