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
from nodes.research.offline.planning import parts_of
from nodes.research.offline.sentences import dangling
from nodes.research.offline.terms import likeness, mentioned, stems, terms
from nodes.research.offline.wishes import granted
from nodes.research.questions import Report, WriteRequest, WrittenSection, WrittenSentence
from state.research import Draft, Fault, Finding, Task

OPENING = "In short"
NOT_EXAMINED = (
    "Whether the sources contradict each other: only differing numbers were looked for (offline)."
)
_OPENING_SENTENCES = 4
_ENOUGH = 3
_TITLE = 60
_OPENING_WORDS = 40
_ALIKE = 0.7


@rule(WriteRequest, Report)
def write(request: WriteRequest) -> Report:
    """Write the report, or mend the draft by the reasons that were given."""
    sections = _mended(request, request.draft) if request.draft else _composed(request)
    sections, refused = _as_wished(sections, request)
    return Report(
        title=_title(request.question),
        sections=sections or _composed(request)[:1],
        unknown=[*request.open_tasks, *refused, NOT_EXAMINED],
        disagreements=list(_disagreements(request.findings)),
    )


def _composed(request: WriteRequest) -> list[WrittenSection]:
    """Open with the best quotation of each task; then each task with the rest of its own."""
    found = {task["id"]: _found(request.findings, task) for task in request.plan}
    opening = list(_opening(found.values()))
    sections = [_section(OPENING, opening)] if opening else []
    for task in request.plan:
        rest = [each for each in found[task["id"]] if each not in opening]
        if rest:
            sections.append(_section(task["question"], _as_in_source(rest)))
    return sections


def _found(findings: Iterable[Finding], task: Task) -> list[Finding]:
    return [finding for finding in findings if finding["task"] == task["id"]]


def _opening(found: Iterable[Sequence[Finding]]) -> Iterator[Finding]:
    """Yield what a hurried reader should know: researchers put their best quotation first."""
    said: set[str] = set()
    for findings in found:
        fit = (each for each in findings if _opens(each) and each["claim"] not in said)
        best = next(fit, None) if len(findings) >= _ENOUGH else None
        if best and len(said) < _OPENING_SENTENCES:
            said.add(best["claim"])
            yield best


def _opens(finding: Finding) -> bool:
    """Say whether a quotation can be read first."""
    words = len(finding["claim"].split())
    return 8 <= words <= _OPENING_WORDS and dangling(finding["claim"]) is None


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
        _shortened(each, request.findings) if each.heading in long else each for each in sections
    ]


def _left_out(request: WriteRequest, reasons: Collection[str]) -> Iterator[WrittenSection]:
    for task in request.plan:
        found = _found(request.findings, task)
        if found and unanswered(task["question"]) in reasons:
            yield _section(task["question"], _as_in_source(found))


def _to_drop(faults: Iterable[Fault], reasons: Iterable[str]) -> set[str]:
    return {*(f["sentence"] for f in faults if f["by"] == "verifier"), *sentences_to_drop(reasons)}


def _without(sections: Iterable[WrittenSection], texts: Collection[str]) -> list[WrittenSection]:
    kept = (_keeping(each, [s for s in each.sentences if s.text not in texts]) for each in sections)
    return [section for section in kept if section.sentences]


def _once(sections: Sequence[WrittenSection], texts: set[str]) -> list[WrittenSection]:
    """Of a sentence that stands in the report twice keep one; drop one that repeats another."""
    places: dict[str, list[int]] = {text: [] for text in texts}
    for number, section in enumerate(sections):
        for sentence in section.sentences:
            if sentence.text in texts:
                places[sentence.text].append(number)
    homes = {text: _home(text, found, sections) for text, found in places.items() if len(found) > 1}
    kept = [
        _keeping(section, _uniquely(section, number, texts, homes))
        for number, section in enumerate(sections)
    ]
    return [section for section in kept if section.sentences]


def _home(text: str, places: Sequence[int], sections: Sequence[WrittenSection]) -> int:
    """Choose the opening, or else the section whose heading has most in common with the sentence."""
    if sections[places[0]].heading == OPENING:
        return places[0]
    said = stems(text)
    return max(places, key=lambda at: len(mentioned(terms(sections[at].heading), said)))


def _uniquely(
    section: WrittenSection, number: int, texts: Collection[str], homes: Mapping[str, int]
) -> list[WrittenSentence]:
    unique = {each.text: each for each in reversed(section.sentences)}.values()
    return [
        each
        for each in reversed(unique)
        if each.text not in texts or homes.get(each.text) == number
    ]


def _keeping(section: WrittenSection, sentences: list[WrittenSentence]) -> WrittenSection:
    return section.model_copy(update={"sentences": sentences})


def _shortened(section: WrittenSection, findings: Sequence[Finding]) -> WrittenSection:
    """Keep the quotations that their researchers put first, in the order that they have."""
    rank = {finding["id"]: number for number, finding in enumerate(findings)}
    best = sorted(section.sentences, key=lambda each: min(map(rank.__getitem__, each.citations)))
    return _keeping(section, [each for each in section.sentences if each in best[:TOO_LONG]])


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
    """Name the report after the question, or after its first part where it is long."""
    whole = " ".join(question.split())
    return whole if len(whole) <= _TITLE else parts_of(whole)[0]
