"""Dead letters as documents. Pure functions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from interlock.core.letters import Closed, Letter, LetterDetail
from interlock.documents.runs import plain


def letter_facts(letter: Letter) -> dict[str, Any]:  # a JSON object
    """Return a letter without its traceback."""
    found: dict[str, Any] = plain(asdict(letter))  # JSON
    del found["traceback"]
    return found


def detail_document(detail: LetterDetail) -> dict[str, Any]:  # a JSON object
    """Return all that is known of a letter."""
    found: dict[str, Any] = plain(asdict(detail))  # JSON
    return found | {"replaying": detail.replaying}


def closed_document(closed: Closed) -> dict[str, Any]:  # a JSON object
    """Return what became of a letter."""
    return letter_facts(closed.letter) | {"refused": closed.refused}
