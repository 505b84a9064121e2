"""The writer: orders quotations into sections, one for each task; every sentence is a quotation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from interlock.core.offline import rule
from nodes.research.numbers import number_values
from nodes.research.offline.complaints import (
    TOO_LONG,
    sections_to_shorten,
    sentences_said_twice,
    sentences_to_drop,
    unanswered,
)
from nodes.research.offline.sentences import dangling
from nodes.research.offline.terms import likeness, share, stems, terms
from nodes.research.offline.wishes import granted
from nodes.research.questions import Report, WriteRequest, WrittenSection, WrittenSentence
from state.research import Draft, Fault, Finding

OPENING = "In short"
NOT_EXAMINED = "Only differing numbers were looked for; rules cannot tell whether sources contradict each other."
_OPENING_SENTENCES = 2
_OPENING_WORDS = 45
_ALIKE = 0.7


@rule(WriteRequest, Report)
def write(request: WriteRequest) -> Report:
    """Write the report, or mend the draft by the reasons that were given."""
    sections = _mended(request, request.draft) if request.draft else _composed(request)
    sections, refused = _as_wished(sections, request)
    return Report(
        title=_title(request.question),
        sections=sections or _composed(request)[:1],
        unknown=[*request.open_tasks, *refused],
        disagreements=[*_disagreements(request.findings), NOT_EXAMINED],
    )


def _composed(request: WriteRequest) -> list[WrittenSection]:
    """Open with the most central quotations; then each task with the rest of its own."""
    opening = _central(request.question, request.findings)
    sections = [_section(OPENING, opening)] if opening else []
    for task in request.plan:
        found = [each for each in request.findings if each["task"] == task["id"]]
        rest = [each for each in found if each not in opening]
        if rest:
            sections.append(_section(task["question"], _as_in_source(rest)))
    return sections


def _section(heading: str, findings: Iterable[Finding]) -> WrittenSection:
    sentences = [
        WrittenSentence(text=finding["claim"], citations=[finding["id"]]) for finding in findings
    ]
    return WrittenSection(heading=heading, sentences=sentences)


def _as_in_source(findings: Sequence[Finding]) -> list[Finding]:
    """Order findings as they stand in their documents; the document with the most comes first."""
    count = Counter(finding["document"] for finding in findings)
    return sorted(
        findings,
        key=lambda each: (-count[each["document"]], each["source"], each["location"]["first"]),
    )


def _central(question: str, findings: Sequence[Finding]) -> list[Finding]:
    """Choose the quotations that have most in common with the question and with all others."""
    words = {finding["id"]: stems(finding["quote"]) for finding in findings}
    ranked = sorted(findings, key=lambda each: -_centrality(each["id"], question, words))
    chosen: list[Finding] = []
    for finding in ranked:
        if len(chosen) < _OPENING_SENTENCES < len(findings) and _opens(finding, chosen):
            chosen.append(finding)
    return chosen


def _centrality(name: str, question: str, words: Mapping[str, Collection[str]]) -> float:
    others = [likeness(words[name], other) for key, other in words.items() if key != name]
    common = sum(others) / len(others) if others else 0.0
    return share(terms(question), words[name]) + 2 * common


def _opens(finding: Finding, chosen: Sequence[Finding]) -> bool:
    """Say whether a quotation can be read first, and is about another task than those before it."""
    return (
        len(finding["claim"].split()) <= _OPENING_WORDS
        and dangling(finding["claim"]) is None
        and finding["task"] not in {each["task"] for each in chosen}
        and finding["claim"] not in {each["claim"] for each in chosen}
    )


def _mended(request: WriteRequest, draft: Draft) -> list[WrittenSection]:
    """Follow the reasons: answer what was left out, drop sentences, shorten sections."""
    reasons = [fault["reason"] for fault in request.faults if fault["by"] == "critic"]
    drafted = [
        WrittenSection.model_validate(each) for each in draft["sections"] if each["sentences"]
    ]
    sections = [*drafted, *_left_out(request, reasons)]
    sections = _without(sections, _to_drop(request.faults, reasons))
    sections = _once(sections, set(sentences_said_twice(reasons)))
    long = sections_to_shorten(reasons)
    return [
        _shortened(each, request.question) if each.heading in long else each for each in sections
    ]


def _left_out(request: WriteRequest, reasons: Collection[str]) -> Iterator[WrittenSection]:
    for task in request.plan:
        found = [each for each in request.findings if each["task"] == task["id"]]
        if found and unanswered(task["question"]) in reasons:
            yield _section(task["question"], _as_in_source(found))


def _to_drop(faults: Iterable[Fault], reasons: Iterable[str]) -> set[str]:
    return {*(f["sentence"] for f in faults if f["by"] == "verifier"), *sentences_to_drop(reasons)}


def _without(sections: Iterable[WrittenSection], texts: Collection[str]) -> list[WrittenSection]:
    kept = (_keeping(each, [s for s in each.sentences if s.text not in texts]) for each in sections)
    return [section for section in kept if section.sentences]


def _once(sections: Sequence[WrittenSection], texts: set[str]) -> list[WrittenSection]:
    """Of sentences that stand in the report twice keep the first; drop one that repeats another."""
    count = Counter(each.text for section in sections for each in section.sentences)
    alone = {text for text in texts if count[text] == 1}
    seen: set[str] = set()
    kept = []
    for section in _without(sections, alone):
        left = [each for each in section.sentences if each.text not in texts & seen]
        seen.update(each.text for each in section.sentences)
        kept.append(_keeping(section, left))
    return [section for section in kept if section.sentences]


def _keeping(section: WrittenSection, sentences: list[WrittenSentence]) -> WrittenSection:
    return section.model_copy(update={"sentences": sentences})


def _shortened(section: WrittenSection, question: str) -> WrittenSection:
    """Keep the sentences that say most about the heading and the question, in their order."""

    def worth(sentence: WrittenSentence) -> float:
        said = stems(sentence.text)
        return 2 * share(terms(section.heading), said) + share(terms(question), said)

    best = sorted(section.sentences, key=worth, reverse=True)[:TOO_LONG]
    return _keeping(section, [each for each in section.sentences if each in best])


def _as_wished(
    sections: Sequence[WrittenSection], request: WriteRequest
) -> tuple[list[WrittenSection], list[str]]:
    """Do what rules can do for a person's wishes, and say which ones are beyond them."""
    refused: list[str] = []
    current = list(sections)
    for fault in request.faults:
        if fault["by"] == "person":
            changed = granted(fault["reason"], current, request.findings)
            if changed == current:
                refused.append(f"Asked by the reviewer, and beyond rules: “{fault['reason']}”")
            current = changed
    return current, refused


def _disagreements(findings: Sequence[Finding]) -> Iterator[str]:
    """Find quotations of different documents that say the same with different numbers."""
    for one, other in combinations(findings, 2):
        if one["document"] != other["document"] and _differ_in_numbers(
            one["quote"], other["quote"]
        ):
            yield f"{one['source']}: “{one['claim']}” — {other['source']}: “{other['claim']}”"


def _differ_in_numbers(one: str, other: str) -> bool:
    numbers, others = number_values(one), number_values(other)
    words, their = (frozenset(w for w in stems(text) if not w.isdigit()) for text in (one, other))
    return bool(numbers and others) and not numbers & others and likeness(words, their) >= _ALIKE


def _title(question: str) -> str:
    """Name the report after the words of the question."""
    words = list(terms(question).values())[:5]
    last = f" and {words[-1]}" if len(words) > 1 else "".join(words)
    return f"What the sources say about {', '.join(words[:-1])}{last}"
