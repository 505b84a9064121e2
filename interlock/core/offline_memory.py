"""Folding without a language model: rules that quote the first sentence of each message, and invent nothing."""

from __future__ import annotations

import re

from interlock.core.manifest import Section
from interlock.core.offline import rule
from interlock.core.remembering import (
    Condensed,
    CondenseRequest,
    Folding,
    FoldRequest,
    Found,
    Seen,
)

_QUOTED = 200
_SENTENCE = re.compile(r"(.+?[.!?])(?=\s|$)")


@rule(FoldRequest, Folding)
def fold(request: FoldRequest) -> Folding:
    """Quote what each message says in words: a person asks or decides, a tool finds or fails."""
    found: dict[Section, list[Found]] = {
        "decisions": [],
        "facts": [],
        "questions": [],
        "failures": [],
    }
    for each in request.seen:
        if each.text != request.objective and not each.text.startswith("calls "):
            quoted = Found(text=_quote(each), sources=[each.number])
            found[_section(each)].append(quoted)
    return Folding(**found, pending=[], settled=[])


@rule(CondenseRequest, Condensed)
def condense(request: CondenseRequest) -> Condensed:
    """Join nothing: without understanding, the oldest notes are set aside instead."""
    return Condensed(notes=[])


def _section(each: Seen) -> Section:
    if each.teller == "failed tool":
        return "failures"
    if each.text.rstrip().endswith("?"):
        return "questions"
    return "decisions" if each.teller == "person" else "facts"


def _quote(each: Seen) -> str:
    text = " ".join(each.text.split())
    first = _SENTENCE.match(text)
    quote = first[1] if first else text
    cut = f"{quote[:_QUOTED]}…" if len(quote) > _QUOTED else quote
    return f"{each.teller} {each.name}".strip() + f": {cut}"
