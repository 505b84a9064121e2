"""Success criteria that rules can check: how they are phrased, and whether findings meet them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nodes.research.offline.terms import mentioned, share, stems, terms
from state.research import Finding

MOST = 0.6
"""Which share of its words a passage must mention to mention most of them."""

_ENOUGH = "at least two sentences are quoted"
_MOST_OF = "a passage mentions most of: "
_ALL_OF = "a passage mentions: "
_AFTER_COLON = re.compile(r"^a passage mentions(?P<most> most of)?: (?P<words>.+)$")


def criteria_for(question: str) -> list[str]:
    """Return when a task counts as answered: its subject is quoted, and each thing it names."""
    words = list(terms(question).values())
    named = coordinated(question)
    subject = [_mentions(words)] if words else []
    return [*subject, *(_ALL_OF + each for each in named[:3]), _ENOUGH][:5]


def coordinated(question: str) -> list[str]:
    """Return the words that a question names side by side, as in "global and nonlocal"."""
    found = re.search(r"(\w+(?:, \w+)*),? (?:and|or) (\w+)", question)
    if not found:
        return []
    words = [*found[1].split(", "), found[2]]
    known = terms(question).values()
    return [word for word in words if word in known] if len(words) > 1 else []


def unmet(criteria: Sequence[str], findings: Sequence[Finding]) -> list[str]:
    """Return the criteria that the findings do not meet, word for word."""
    return [each for each in criteria if not _met(each, findings)]


def _mentions(words: Sequence[str]) -> str:
    return (_MOST_OF if len(words) > 2 else _ALL_OF) + ", ".join(words)


def _met(criterion: str, findings: Sequence[Finding]) -> bool:
    if criterion == _ENOUGH:
        return len({finding["quote"] for finding in findings}) >= 2
    asked = _AFTER_COLON.match(criterion)
    wanted = terms(asked["words"] if asked else criterion)
    needed = 1.0 if asked and not asked["most"] else MOST
    return any(share(wanted, stems(about(finding))) >= needed for finding in findings)


def about(finding: Finding) -> str:
    """Return what a finding is about: its quotation, below its document's title."""
    return f"{finding['title']}\n{finding['quote']}"


def words_of(criteria: Sequence[str]) -> str:
    """Return the words that criteria want to see mentioned."""
    found = [_AFTER_COLON.match(each) for each in criteria]
    return " ".join(each["words"].replace(",", "") for each in found if each)


def missing_terms(question: str, findings: Sequence[Finding]) -> dict[str, str]:
    """Return the words of a question that no finding mentions, by their stems."""
    present = stems("\n".join(map(about, findings)))
    return {stem: word for stem, word in terms(question).items() if not mentioned([stem], present)}
