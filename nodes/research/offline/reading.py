"""The researcher: queries from the words of a task, quotations that say most about it, criteria checked."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from interlock.core.corpus import Passage
from interlock.core.documents.words import query_lexemes
from interlock.core.offline import rule
from nodes.research.offline.criteria import coordinated, unmet, words_of
from nodes.research.offline.sentences import Cut, cuts
from nodes.research.offline.terms import (
    folded,
    likeness,
    mentioned,
    share,
    stems,
    terms,
    weighted_share,
)
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
QUOTED = 8
"""How many quotations are taken from the passages of one search."""
_OF_EACH = 2
"""How many of them are kept for each thing that a task names beside others."""
_LONGEST_QUOTE = 1_500
_NEAR_BEST = 0.6
_VARIETY = 0.35
_LENGTH = 300
_SHORTEST_QUERY = 2


@rule(QueryRequest, Query)
def query(request: QueryRequest) -> Query:
    """Search for the task's own words, then for what is unmet, then with the words of the question."""
    tried = {frozenset(query_lexemes(each)) for each in request.tried}
    fresh = (
        each
        for each in _queries(request)
        if len(each) >= _SHORTEST_QUERY and frozenset(query_lexemes(each)) not in tried
    )
    return Query(query=next(fresh, _own(request))[:_LENGTH])


def _queries(request: QueryRequest) -> Iterator[str]:
    own, whole = _own(request), _joined(request.task["question"], request.question)
    wide = _joined(own, words_of(request.task["criteria"]), whole)
    yield from (wide, own) if request.strategy == "broad" else (own,)
    if missing := _joined(words_of(request.unmet)):
        yield missing
    yield wide


def _own(request: QueryRequest) -> str:
    own = _joined(request.task["question"])
    return own if len(own) >= _SHORTEST_QUERY else request.task["question"]


def _joined(*texts: str) -> str:
    """Return the terms of texts, each once."""
    words: dict[str, str] = {}
    for stem, word in chain.from_iterable(terms(text).items() for text in texts):
        words.setdefault(stem, word)
    return " ".join(words.values())


@rule(ExtractRequest, Extraction)
def extract(request: ExtractRequest) -> Extraction:
    """Quote the sentences that say most about the task; nothing when no passage is about it."""
    task = request.task["question"]
    passages = [
        (number, passage)
        for number, passage in enumerate(request.passages)
        if _is_about(passage, terms(task))
    ]
    return Extraction(
        quotations=[
            Quotation(passage=each.passage, quote=each.cut.quote, claim=each.cut.line)
            for each in _best(passages, task)
        ]
    )


def _best(passages: Sequence[tuple[int, Passage]], task: str) -> list[_Candidate]:
    """Choose what says most about the task; each thing that it names beside others has its share."""
    chosen: list[_Candidate] = []
    for name in coordinated(task):
        own = f"What is {name}?"
        chosen = _varied(_candidates(passages, own), chosen, len(chosen) + _OF_EACH)
    return _varied(_candidates(passages, task), chosen, QUOTED)


@rule(JudgeRequest, Judgement)
def judge(request: JudgeRequest) -> Judgement:
    """Check each criterion against the quotations."""
    return Judgement(unmet=unmet(request.task["criteria"], request.findings))


def _is_about(passage: Passage, wanted: Mapping[str, str]) -> bool:
    text = f"{passage['title']}\n{passage['heading']}\n{passage['text']}"
    return passage["coverage"] >= COVERED and share(wanted, stems(text)) >= ABOUT


_DOER = re.compile(
    r"^\w+ (?:does|do|did|can) (?P<before>[A-Z]\w+)|\b(?:in|of|for) (?P<after>[A-Z]\w+)\W*$"
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence that may be quoted; `score` says how much it says about the task."""

    passage: int
    cut: Cut
    score: float


def _candidates(passages: Sequence[tuple[int, Passage]], task: str) -> list[_Candidate]:
    found = [
        (number, passage, cut) for number, passage in passages for cut in cuts(passage["text"])
    ]
    wanted = terms(task)
    asked = _Asked(
        task=task,
        weights=_rarity(wanted, _doer(task), [cut for _, _, cut in found]),
        best=max((passage["score"] for _, passage in passages), default=0.0),
    )
    scored = (
        _Candidate(number, cut, _score(cut, passage, asked))
        for number, passage, cut in found
        if len(cut.quote) <= _LONGEST_QUOTE and mentioned(wanted, cut.stems)
    )
    found_worth = [each for each in scored if each.score >= SAID]
    best = max((each.score for each in found_worth), default=0.0)
    return [each for each in found_worth if each.score >= _NEAR_BEST * best]


def _doer(task: str) -> str | None:
    """Return the stem of who does what is asked for: `Python` in "How does Python resolve a name?"."""
    found = _DOER.search(task)
    return folded(found["after"] or found["before"]) if found else None


def _rarity(
    wanted: Mapping[str, str], doer: str | None, sentences: Sequence[Cut]
) -> dict[str, float]:
    """Weigh the task's terms by how few of the sentences mention them, rather flatly.

    Who does it counts little: sentences that answer seldom name it again.
    """
    holding = Counter(stem for cut in sentences for stem in mentioned(wanted, cut.stems))
    count = len(sentences)
    weights = {stem: 1 + math.log((1 + count) / (1 + holding[stem])) / 2 for stem in wanted}
    return weights | ({doer: 0.3} if doer in weights and len(weights) > 1 else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a sentence is measured by.

    Attributes:
        task: the question.
        weights: its terms, by how much they tell.
        best: the score of the passage that fits best.
    """

    task: str
    weights: Mapping[str, float]
    best: float


def _score(cut: Cut, passage: Passage, asked: _Asked) -> float:
    """Add up what speaks for a sentence: its words, its place, its form."""
    heading = stems(f"{passage['title']} {passage['heading']}")
    said = weighted_share(asked.weights, cut.stems)
    with_heading = weighted_share(asked.weights, heading | cut.stems)
    rank = passage["score"] / asked.best if asked.best > 0 else 0.0
    return (
        said
        + 0.5 * (with_heading - said)
        + 0.2 * weighted_share(asked.weights, heading)
        + 0.3 * rank
        + _fits(cut.line, asked.task)
        - _flaws(cut)
    )


def _flaws(cut: Cut) -> float:
    """Add up what speaks against the form of a sentence."""
    length = len(cut.line.split())
    return (0.3 if cut.clipped else 0.0) + 0.004 * max(0, length - 35) + 0.02 * max(0, 8 - length)


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
    """Prefer sentences of the form that answers this form of question, and that begin with its subject."""
    form = sum(
        gain for asked, said, gain in _ASKED_FOR if asked.search(task) and said.search(sentence)
    )
    begins = mentioned(terms(task), stems(" ".join(sentence.split()[:5])))
    return form + (0.1 if begins else 0.0)


def _varied(
    candidates: Iterable[_Candidate], chosen: Sequence[_Candidate], count: int
) -> list[_Candidate]:
    """Add the best until there are so many, each unlike those before it (maximal marginal relevance)."""
    taken = list(chosen)
    left = [each for each in candidates if not any(_repeats(each, other) for other in taken)]
    while left and len(taken) < count:
        best = max(left, key=lambda each: each.score - _VARIETY * _nearest(each, taken))
        taken.append(best)
        left = [each for each in left if not _repeats(each, best)]
    return taken


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
