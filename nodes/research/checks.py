"""The deterministic verifier: what a draft says must stand in the sources that it cites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from interlock.core.corpus import Document, Location
from interlock.core.documents.words import lexemes
from nodes.research.numbers import number_values, stated_numbers
from nodes.research.verbatim import one_line, stands_in
from state.research import Draft, Fault, Finding, Section, Sentence

_SHOWN = 80


def check_draft(
    draft: Draft, findings: Sequence[Finding], texts: Mapping[str, Document]
) -> list[Fault]:
    """Return each sentence's faults, in the order of the draft; none means that every word is covered.

    Args:
        draft: what the writer wrote.
        findings: what it may cite.
        texts: the documents of the findings, by their id.
    """
    known = {finding["id"]: finding for finding in findings}
    sources = _Sources(texts)
    return [
        fault
        for section in draft["sections"]
        for sentence in section["sentences"]
        for fault in _sentence_faults(sentence, known, sources)
    ]


def without_faults(draft: Draft, faults: Sequence[Fault]) -> Draft:
    """Return the draft without the sentences that have faults, and without sections that this empties."""
    faulty = {fault["sentence"] for fault in faults}
    kept = (_without(section, faulty) for section in draft["sections"])
    return {**draft, "sections": [section for section in kept if section["sentences"]]}


def _without(section: Section, faulty: set[str]) -> Section:
    sentences = [each for each in section["sentences"] if each["text"] not in faulty]
    return {**section, "sentences": sentences}


def _sentence_faults(
    sentence: Sentence, known: Mapping[str, Finding], sources: _Sources
) -> Iterator[Fault]:
    text = sentence["text"]
    if not sentence["citations"]:
        yield _fault("no_citation", text, "The sentence cites nothing.")
        return
    for each in sentence["citations"]:
        if each not in known:
            yield _fault(
                "unknown_citation", text, f"It cites {each}, and there is no such finding."
            )
    cited = [known[each] for each in sentence["citations"] if each in known]
    for finding in cited:
        if found := sources.fault(finding):
            yield _fault(found[0], text, found[1])
    if cited:
        yield from _support_faults(text, cited)


def _support_faults(text: str, cited: Sequence[Finding]) -> Iterator[Fault]:
    """Compare a sentence with the quotations that it cites."""
    quotes = " \n ".join(finding["quote"] for finding in cited)
    given = number_values(quotes)
    for number in stated_numbers(text):
        if number.value not in given:
            reason = f"The number {number.written!r} is in none of the quotations that it cites."
            yield _fault("number_without_source", text, reason)
    if not set(lexemes(text)) & set(lexemes(quotes)):
        reason = "It has no content word in common with the quotations that it cites."
        yield _fault("unrelated", text, reason)


class _Sources:
    """The documents, asked whether findings stand in them; each answer is worked out once."""

    def __init__(self, texts: Mapping[str, Document]) -> None:
        self._texts = texts
        self._answers: dict[str, tuple[str, str] | None] = {}

    def fault(self, finding: Finding) -> tuple[str, str] | None:
        """Return what is wrong with a finding's quotation, as kind and reason, or None."""
        if finding["id"] not in self._answers:
            self._answers[finding["id"]] = self._fault(finding)
        return self._answers[finding["id"]]

    def _fault(self, finding: Finding) -> tuple[str, str] | None:
        source, place = finding["source"], place_of(finding["location"])
        document = self._texts.get(finding["document"])
        if document is None:
            return "unknown_document", f"It cites {source}, which is not among the documents."
        piece = _piece(document, finding["location"])
        if piece is None:
            return (
                "missing_location",
                f"It cites {place} of {source}, which has {_extent(document)}.",
            )
        if stands_in(finding["quote"], piece):
            return None
        shown = _shown(finding["quote"])
        if stands_in(finding["quote"], document.text):
            return "wrong_location", f"The quotation “{shown}” is in {source}, but not on {place}."
        return "quotation_not_found", f"The quotation “{shown}” does not stand in {source}."


def _piece(document: Document, location: Location) -> str | None:
    """Return the text of the lines or pages, or None where the document has no such ones."""
    starts = _starts(document)
    first, last = location["first"], location["last"]
    if location["kind"] != _kind(document) or not 1 <= first <= last <= len(starts):
        return None
    return document.text[starts[first - 1] : starts[last] if last < len(starts) else None]


def _extent(document: Document) -> str:
    count, kind = len(_starts(document)), _kind(document)
    return f"{count:,} {kind}" if count == 1 else f"{count:,} {kind}s"


def _kind(document: Document) -> Literal["line", "page"]:
    return "page" if document.page_starts else "line"


def _starts(document: Document) -> Sequence[int]:
    lines = (found.end() for found in re.finditer("\n", document.text))
    return document.page_starts or (0, *lines)


def place_of(location: Location) -> str:
    """Return a location as a person reads it: `line 12`, `pages 3 to 4`."""
    kind, first, last = location["kind"], location["first"], location["last"]
    return f"{kind} {first}" if first == last else f"{kind}s {first}\u2013{last}"


def _fault(kind: str, sentence: str, reason: str) -> Fault:
    return Fault(by="verifier", kind=kind, sentence=sentence, reason=reason)


def _shown(quote: str) -> str:
    line = one_line(quote)
    return line if len(line) <= _SHOWN else line[:_SHOWN].rstrip() + "…"
