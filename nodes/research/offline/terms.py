"""The words of a question that its answer must be about."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from interlock.core.documents.words import lexemes, stem

_WORD = re.compile(r"[^\W_]+")
_ASKING = """
actually answer ask basically briefly call called case cases common compare compared comparison contrast
define defined definition describe described detail details differ difference differences different
document documents do exactly example examples exist explain explained explanation find fully general
generally get give given gives happen happened happening happens kind kinds know let like list look made
main make makes many mean meaning means mention much need needed needs one overview part parts please
possible question rather really reason reasons role say says short show shown sort source sources
summarise summarize summary take tell text thing things two type types use used uses using usually
various versus vs want way ways well within without work working works
"""
_ASKING_STEMS = frozenset(map(stem, _ASKING.split()))


def terms(text: str) -> dict[str, str]:
    """Return the words that carry the meaning of a question, by their stems, in their order.

    Words of asking ("explain", "difference") are no terms, unless there are no others.
    """
    words = {key[0]: word for word in _WORD.findall(text) if (key := lexemes(word))}
    kept = {key: word for key, word in words.items() if key not in _ASKING_STEMS}
    return kept or words


def stems(text: str) -> frozenset[str]:
    """Return the stems of a text's content words."""
    return frozenset(lexemes(text))


def mentioned(wanted: Iterable[str], present: Collection[str]) -> list[str]:
    """Return the wanted stems that are present, themselves or as a near relative."""
    return [each for each in wanted if each in present or any(akin(each, p) for p in present)]


def share(wanted: Collection[str], present: Collection[str]) -> float:
    """Return which share of the wanted stems is present: 0.0 to 1.0."""
    return len(mentioned(wanted, present)) / len(wanted) if wanted else 0.0


def weighted_share(weights: Mapping[str, float], present: Collection[str]) -> float:
    """Return which share of the wanted stems is present, by weight: 0.0 to 1.0."""
    total = sum(weights.values())
    return sum(weights[each] for each in mentioned(weights, present)) / total if total else 0.0


def akin(one: str, other: str) -> bool:
    """Say whether two stems have so long a beginning in common that they are one word's forms.

    Porter's stems part `resolv(e)` from `resolut(ion)`, and `bind` from `bound` (which stay apart).
    """
    shorter, longer = sorted((one, other), key=len)
    common = next((at for at, letter in enumerate(shorter) if letter != longer[at]), len(shorter))
    return common >= 5 and common >= 0.75 * len(shorter) and len(longer) - common <= 4


def likeness(one: Collection[str], other: Collection[str]) -> float:
    """Return how much two sets of stems overlap (Jaccard): 0.0 to 1.0."""
    union = len(set(one) | set(other))
    return len(set(one) & set(other)) / union if union else 0.0
