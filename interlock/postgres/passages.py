"""Passages of a collection, ranked for a query by full text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg.rows import DictRow

from interlock.core.corpus import Location, Passage
from interlock.core.documents.words import QUERY_CHARACTERS, QUERY_LEXEMES, coverage, rarity
from interlock.errors import NotFound
from interlock.postgres.pool import Connection, fetch
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("corpus")

_CANDIDATES = 200
_EVERYWHERE = 0.5
_LARGE = 2_000
_WEIGHTS = [0.1, 0.1, 0.1, 0.2]
"""What a lexeme counts for in the text, unused, in the title and in the heading."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found."""

    passage: int
    score: float
    coverage: float


async def ranked(connection: Connection, collection: str, query: str) -> list[Hit]:
    """Return passages that hold words of a query, the best first; raises `NotFound` without such a collection."""
    weighed = await _weigh(connection, collection, query)
    return sorted(await _rank(connection, collection, weighed), key=first)


def first(hit: Hit) -> tuple[float, int]:
    """Return what hits are ordered by: the best first."""
    return -hit.score, hit.passage


def text_of(row: DictRow) -> str:
    """Return what an embedder reads of a passage: its heading says what it is about."""
    return f"{row['heading']}\n{row['text']}".strip()


def passage_of(row: DictRow, hit: Hit) -> Passage:
    """Return a passage from its row."""
    return Passage(
        document=row["document_id"],
        source=row["source"],
        title=row["title"],
        heading=row["heading"],
        start=row["starts"],
        end=row["ends"],
        location=Location(
            kind=row["location_kind"], first=row["location_first"], last=row["location_last"]
        ),
        text=row["text"],
        score=hit.score,
        coverage=hit.coverage,
    )


def no_collection(collection: str) -> NotFound:
    """Return what is raised for a collection that does not exist."""
    return NotFound(
        f"There is no collection '{collection}' in this database.", hint="Ingest its sources first."
    )


@dataclass(frozen=True, slots=True)
class _Query:
    """The lexemes of a query with their weights, and those that are worth looking up."""

    weights: Mapping[str, float]
    telling: Sequence[str]


async def _weigh(connection: Connection, collection: str, query: str) -> _Query:
    values = {"collection": collection, "query": query[:QUERY_CHARACTERS].replace("\0", " ")}
    rows = await fetch(connection, SQL["weigh"], values)
    if not rows:
        raise no_collection(collection)
    words = [row for row in rows if row["lexeme"] is not None][:QUERY_LEXEMES]
    return _Query(
        weights={row["lexeme"]: rarity(row["total"], row["passages"]) for row in words},
        telling=_telling({row["lexeme"]: row["passages"] for row in words}, rows[0]["total"]),
    )


def _telling(passages: Mapping[str, int], total: int) -> Sequence[str]:
    """Leave out words that stand nearly everywhere: they rank what others find, in large collections."""
    rare = [lexeme for lexeme, count in passages.items() if 0 < count <= total * _EVERYWHERE]
    return rare if rare and total >= _LARGE else list(passages)


async def _rank(connection: Connection, collection: str, query: _Query) -> list[Hit]:
    values = {
        "collection": collection,
        "weights": _WEIGHTS,
        "lexemes": _any_of(query.weights),
        "telling": _any_of(query.telling),
        "words": list(query.weights),
        "candidates": _CANDIDATES,
    }
    # planned anew for each query: how many passages hold its words differs
    cursor = await connection.execute(ours(connection, SQL["rank"]), values, prepare=False)
    rows = await cursor.fetchall()
    return [_hit(row, coverage(query.weights, row["present"])) for row in rows]


def _hit(row: DictRow, covered: float) -> Hit:
    """Lift what holds the query's rare words, which `ts_rank` does not tell from common ones."""
    return Hit(row["passage_id"], row["rank"] * (0.5 + covered), covered)


def _any_of(lexemes: Iterable[str]) -> str:
    """Return a tsquery for any of some lexemes, which hold no signs that would need escaping."""
    return " | ".join(f"'{lexeme}'" for lexeme in lexemes)
