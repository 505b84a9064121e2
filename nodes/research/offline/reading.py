"""The researcher: queries from the words of a task, quotations that say most about it, criteria checked."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from interlock.core.corpus import Passage
from interlock.core.documents.words import query_lexemes
from interlock.core.offline import rule
from nodes.research.offline.criteria import unmet, words_of
from nodes.research.offline.sentences import Cut, cuts
from nodes.research.offline.terms import likeness, mentioned, share, stems, terms, weighted_share
from nodes.research.questions import (
    Extraction,
    ExtractRequest,
    Judgement,
    JudgeRequest,
    Query,
    QueryRequest,
    Quotation,
)

COVERED = 0.5
"""Which share of a query, weighted by rarity, a passage must hold to be read."""
ABOUT = 0.5
"""Which share of a task's terms a passage must mention to be about it."""
SAID = 0.3
"""How much of a task a sentence must say to be quoted."""
QUOTED = 5
"""How many quotations are taken from the passages of one search."""
_VARIETY = 0.35
_LENGTH = 300


@rule(QueryRequest, Query)
def query(request: QueryRequest) -> Query:
    """Search for the task's own words, then for what is unmet, then with the words of the question."""
    tried = {frozenset(query_lexemes(each)) for each in request.tried}
    fresh = (each for each in _queries(request) if frozenset(query_lexemes(each)) not in tried)
    return Query(query=next(fresh, _own(request))[:_LENGTH])


def _queries(request: QueryRequest) -> Iterator[str]:
    own, whole = _own(request), _joined(request.task["question"], request.question)
    wide = _joined(own, words_of(request.task["criteria"]), whole)
    yield from (wide, own) if request.strategy == "broad" else (own,)
    if missing := _joined(words_of(request.unmet)):
        yield missing
    yield wide


def _own(request: QueryRequest) -> str:
    return _joined(request.task["question"]) or request.task["question"]


def _joined(*texts: str) -> str:
    """Return the terms of texts, each once."""
    return " ".join({key: word for text in texts for key, word in terms(text).items()}.values())


@rule(ExtractRequest, Extraction)
def extract(request: ExtractRequest) -> Extraction:
    """Quote the sentences that say most about the task; nothing when no passage is about it."""
    task = request.task["question"]
    passages = [
        (number, passage)
        for number, passage in enumerate(request.passages)
        if _is_about(passage, terms(task))
    ]
    best = _varied(_candidates(passages, task), QUOTED)
    return Extraction(
        quotations=[
            Quotation(passage=each.passage, quote=each.cut.quote, claim=each.cut.line)
            for each in best
        ]
    )


@rule(JudgeRequest, Judgement)
def judge(request: JudgeRequest) -> Judgement:
    """Check each criterion against the quotations."""
    return Judgement(unmet=unmet(request.task["criteria"], request.findings))


def _is_about(passage: Passage, wanted: Mapping[str, str]) -> bool:
    text = f"{passage['title']}\n{passage['heading']}\n{passage['text']}"
    return passage["coverage"] >= COVERED and share(wanted, stems(text)) >= ABOUT


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence that may be quoted; `score` says how much it says about the task."""

    passage: int
    cut: Cut
    score: float


def _candidates(passages: Iterable[tuple[int, Passage]], task: str) -> list[_Candidate]:
    found = [
        (number, passage, cut) for number, passage in passages for cut in cuts(passage["text"])
    ]
    weights = _rarity(terms(task), [cut for _, _, cut in found])
    scored = (
        _Candidate(number, cut, _score(cut, passage, weights, task))
        for number, passage, cut in found
        if len(cut.quote) <= 1500 and mentioned(weights, cut.stems)
    )
    return [each for each in scored if each.score >= SAID]


def _rarity(wanted: Mapping[str, str], sentences: Sequence[Cut]) -> dict[str, float]:
    """Weigh the task's terms by how few of the sentences mention them."""
    holding = Counter(stem for cut in sentences for stem in mentioned(wanted, cut.stems))
    return {stem: math.log(2 + len(sentences) / (1 + holding[stem])) for stem in wanted}


def _score(cut: Cut, passage: Passage, weights: Mapping[str, float], task: str) -> float:
    heading = stems(f"{passage['title']} {passage['heading']}")
    said = weighted_share(weights, cut.stems)
    below = weighted_share(weights, heading | cut.stems) - said
    length = len(cut.line.split())
    return (
        said
        + 0.6 * below
        + 0.1 * passage["coverage"]
        + _fits(cut.line, task)
        - (0.25 if cut.pointing else 0.0)
        - 0.004 * max(0, length - 35)
        - 0.02 * max(0, 8 - length)
    )


_ASKED_FOR: tuple[tuple[re.Pattern[str], re.Pattern[str], float], ...] = tuple(
    (re.compile(asked, re.IGNORECASE), re.compile(said, re.IGNORECASE), gain)
    for asked, said, gain in (
        (r"^what (?:is|are)\b", r"^\W*(?:\S+\s+){1,5}(?:is|are|means?|refers?|defines?|specif\w+|serves?)\b", 0.2),
        (r"^when\b", r"\b(?:when|if|whenever|before|after|once|until|unless)\b", 0.12),
        (r"^why\b", r"\b(?:because|since|so that|in order to|reason|allows?|avoids?|prevents?)\b", 0.15),
        (r"^how\b", r"\b(?:by|using|first|then|is \w+ed|are \w+ed|calls?|calling)\b", 0.06),
        (r"\bhappens?\b", r"\b(?:when|if|raised|called|executed|causes?)\b", 0.1),
    )
)  # fmt: skip


def _fits(sentence: str, task: str) -> float:
    """Prefer sentences of the form that answers this form of question."""
    return sum(
        gain for asked, said, gain in _ASKED_FOR if asked.search(task) and said.search(sentence)
    )


def _varied(candidates: Iterable[_Candidate], count: int) -> list[_Candidate]:
    """Choose the best, each unlike those before it (maximal marginal relevance)."""
    left = sorted(candidates, key=lambda each: -each.score)
    chosen: list[_Candidate] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda each: each.score - _VARIETY * _nearest(each, chosen))
        chosen.append(best)
        left = [each for each in left if not _repeats(each, best)]
    return chosen


def _nearest(candidate: _Candidate, chosen: Iterable[_Candidate]) -> float:
    return max((likeness(candidate.cut.stems, each.cut.stems) for each in chosen), default=0.0)


def _repeats(one: _Candidate, other: _Candidate) -> bool:
    """Say whether two candidates share words of the source, or say the same in nearly the same words."""
    overlap = (
        one.passage == other.passage
        and one.cut.start < other.cut.end
        and other.cut.start < one.cut.end
    )
    return overlap or likeness(one.cut.stems, other.cut.stems) > 0.8
