"""How values read to a person wherever they are shown: short ids, numbers with nouns, money, nodes. Pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

ID_LENGTH = 8
"""Characters of an id that are typed in its place."""

TIMES = "\N{MULTIPLICATION SIGN}"

_MADE = re.compile(r"[0-9a-f]{16}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def short(identifier: str) -> str:
    """Return what can be typed instead of an id: the beginning of one that was made here, the whole of a given name."""
    return identifier[:ID_LENGTH] if _MADE.fullmatch(identifier) else identifier


def clipped(text: str, length: int = 120) -> str:
    """Return a text on one line, cut with an ellipsis when it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: max(length - 1, 0)].rstrip() + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the right form."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def money(cost: float | None) -> str:
    """Return US dollars, `?` where no price is known."""
    if cost is None:
        return "?"
    if cost == 0:
        return "$0"
    return f"${cost:.4f}" if cost < 0.1 else f"${cost:,.2f}"


def names(nodes: Sequence[str]) -> str:
    """Return the nodes of one step, those that ran side by side counted."""
    found = Counter("start" if each == "__start__" else each for each in nodes)
    return ", ".join(name if many == 1 else f"{name} {TIMES}{many}" for name, many in found.items())
