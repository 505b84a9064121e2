"""The critic: a report must be readable, without repetition, and answer each part that was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from interlock.core.offline import rule
from nodes.research.offline.complaints import (
    TOO_LONG,
    off_topic,
    points_nowhere,
    said_twice,
    too_long,
    unanswered,
)
from nodes.research.offline.sentences import dangling
from nodes.research.offline.terms import likeness, mentioned, stems, terms
from nodes.research.questions import Critique, CritiqueRequest
from state.research import Draft, Finding, Sentence

_SAME = 0.9
"""How much alike the words of two sentences are that say the same."""
_NEAR = 3
"""How many lines may lie between a sentence and the one that it points to."""


@rule(CritiqueRequest, Critique)
def critique(request: CritiqueRequest) -> Critique:
    """Read the draft as an editor does, and give each reason to change it."""
    findings = {finding["id"]: finding for finding in request.findings}
    reasons = [
        *_repetitions(request.draft),
        *_loose_ends(request.draft, findings),
        *_strangers(request.draft, request.question),
        *_long_sections(request.draft),
        *_unanswered(request),
    ]
    return Critique(verdict="revise" if reasons else "accept", reasons=list(dict.fromkeys(reasons)))


def _repetitions(draft: Draft) -> Iterator[str]:
    said: list[str] = []
    for sentence in _sentences(draft):
        text = sentence["text"]
        if any(_same(text, before) for before in said):
            yield said_twice(text)
        else:
            for before in said:
                if before in text:
                    yield said_twice(before)
            said.append(text)


def _same(text: str, before: str) -> bool:
    return text in before or likeness(stems(text), stems(before)) >= _SAME


def _loose_ends(draft: Draft, findings: Mapping[str, Finding]) -> Iterator[str]:
    for section in draft["sections"]:
        before: Sentence | None = None
        for sentence in section["sentences"]:
            words = dangling(sentence["text"])
            if words and not (before and _follows(before, sentence, findings)):
                yield points_nowhere(words, sentence["text"])
            before = sentence


def _follows(before: Sentence, after: Sentence, findings: Mapping[str, Finding]) -> bool:
    """Say whether a sentence stands right after another in their source as well."""
    one, other = (
        [findings[each] for each in sentence["citations"] if each in findings]
        for sentence in (before, after)
    )
    return any(
        a["document"] == b["document"]
        and 0 <= b["location"]["first"] - a["location"]["last"] <= _NEAR
        for a in one
        for b in other
    )


def _strangers(draft: Draft, question: str) -> Iterator[str]:
    for section in draft["sections"]:
        wanted = {**terms(question), **terms(section["heading"])}
        for sentence in section["sentences"]:
            if not mentioned(wanted, stems(sentence["text"])):
                yield off_topic(section["heading"], sentence["text"])


def _long_sections(draft: Draft) -> Iterator[str]:
    for section in draft["sections"]:
        if len(section["sentences"]) > TOO_LONG:
            yield too_long(section["heading"], len(section["sentences"]))


def _unanswered(request: CritiqueRequest) -> Iterator[str]:
    cited = {each for sentence in _sentences(request.draft) for each in sentence["citations"]}
    for task in request.plan:
        found = {finding["id"] for finding in request.findings if finding["task"] == task["id"]}
        if found and not found & cited and not _said_elsewhere(request, task["id"]):
            yield unanswered(task["question"])


def _said_elsewhere(request: CritiqueRequest, task: str) -> bool:
    """Say whether what was found for a task is in the report, quoted for another."""
    texts = {sentence["text"] for sentence in _sentences(request.draft)}
    claims = [finding["claim"] for finding in request.findings if finding["task"] == task]
    return any(claim in text or text in claim for claim in claims for text in texts)


def _sentences(draft: Draft) -> Sequence[Sentence]:
    return [sentence for section in draft["sections"] for sentence in section["sentences"]]
