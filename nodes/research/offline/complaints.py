"""What the critic may complain of, in words that a person reads and the writer understands again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

TOO_LONG = 5
"""How many sentences a section may have."""

_TWICE = "Said twice"
_DANGLING = "nothing before it says what is meant"
_OFF_TOPIC = "Does not belong under"
_SENTENCE = re.compile(
    rf"^(?:{_TWICE}|Begins with “[^”]*”, and {_DANGLING}|{_OFF_TOPIC} “[^”]*”): “(?P<text>.+)”$",
    re.DOTALL,
)
_SECTION = re.compile(r"^The section “(?P<heading>.+)” has \d+ sentences; keep the ")


def said_twice(sentence: str) -> str:
    """Complain of a sentence that stands in the report before."""
    return f"{_TWICE}: “{sentence}”"


def points_nowhere(words: str, sentence: str) -> str:
    """Complain of a sentence that points to something which is not there."""
    return f"Begins with “{words}”, and {_DANGLING}: “{sentence}”"


def off_topic(heading: str, sentence: str) -> str:
    """Complain of a sentence that is not about its section's heading."""
    return f"{_OFF_TOPIC} “{heading}”: “{sentence}”"


def too_long(heading: str, count: int) -> str:
    """Complain of a section that is too long."""
    return f"The section “{heading}” has {count} sentences; keep the {TOO_LONG} that say most about it."


def unanswered(question: str) -> str:
    """Complain that quotations were found for a part of the question, and none is in the report."""
    return f"Nothing answers “{question}”, though quotations were found."


def sentences_said_twice(reasons: Iterable[str]) -> Iterator[str]:
    """Return the sentences that reasons call repeated."""
    return _complained_of(reason for reason in reasons if reason.startswith(_TWICE))


def sentences_to_drop(reasons: Iterable[str]) -> Iterator[str]:
    """Return the sentences that reasons want out of the report."""
    return _complained_of(
        reason for reason in reasons if reason.startswith(_OFF_TOPIC) or _DANGLING in reason
    )


def _complained_of(reasons: Iterable[str]) -> Iterator[str]:
    return (found["text"] for reason in reasons if (found := _SENTENCE.search(reason)))


def sections_to_shorten(reasons: Iterable[str]) -> set[str]:
    """Return the headings of sections that reasons call too long."""
    return {found["heading"] for reason in reasons if (found := _SECTION.match(reason))}
