"""What rules can do about a person's wish: shorten, leave out, add quotations on what it names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from nodes.research.offline.terms import share, stems, terms
from nodes.research.questions import WrittenSection, WrittenSentence
from state.research import Finding

_SHORTER = re.compile(r"\b(?:short(?:er|en)?|brief(?:er)?|too long|fewer|less)\b", re.IGNORECASE)
_WITHOUT = re.compile(
    r"\b(?:drop|remove|delete|omit|without|leave out|leave away|nothing (?:on|about))\s+"
    r"(?P<what>[^.;,!?]+)",
    re.IGNORECASE,
)
_SHORT = 3
_ADDED = 4
_NAMED = 0.6


def granted(
    wish: str, sections: Sequence[WrittenSection], findings: Sequence[Finding]
) -> list[WrittenSection]:
    """Return the sections as the wish would have them; unchanged where it is beyond rules."""
    if unwanted := _WITHOUT.search(wish):
        return _without(sections, terms(unwanted["what"]))
    if _SHORTER.search(wish):
        return [_first(section, _SHORT) for section in sections]
    return [*sections, *_more(wish, sections, findings)]


def _without(sections: Iterable[WrittenSection], unwanted: Collection[str]) -> list[WrittenSection]:
    kept = (
        (
            section,
            [each for each in section.sentences if share(unwanted, stems(each.text)) < _NAMED],
        )
        for section in sections
    )
    return [
        WrittenSection(heading=section.heading, sentences=sentences)
        for section, sentences in kept
        if sentences
    ]


def _first(section: WrittenSection, count: int) -> WrittenSection:
    return WrittenSection(heading=section.heading, sentences=section.sentences[:count])


def _more(
    wish: str, sections: Iterable[WrittenSection], findings: Iterable[Finding]
) -> Iterator[WrittenSection]:
    """Add what was found on the words of the wish and is not in the report."""
    wanted = terms(wish)
    said = {sentence.text for section in sections for sentence in section.sentences}
    fresh = [
        WrittenSentence(text=each["claim"], citations=[each["id"]])
        for each in findings
        if each["claim"] not in said and share(wanted, stems(each["quote"])) >= _NAMED
    ]
    if fresh:
        heading = f"On {', '.join(wanted.values())}"
        yield WrittenSection(heading=heading, sentences=fresh[:_ADDED])
