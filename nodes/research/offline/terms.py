"""The words of a question that its answer must be about."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

from interlock.core.documents.words import lexemes

_WORD = re.compile(r"[^\W_]+")
_ASKING_WORDS = """
actually affect affected affects answer ask basically briefly call called case cases cause
caused causes change changed changes common compare compared comparison contrast define defined
definition describe described detail details differ difference differences different do document
documents effect effects exactly example examples exist explain explained explanation find fully
general generally get give given gives happen happened happening happens kind kinds know let
like list look made main make makes many mean meaning means mention much need needed needs one
overview part parts please possible question rather really reason reasons role say says short
show shown sort source sources summarise summarize summary take tell text thing things two type
types use used uses using usually various versus vs want way ways well within without work
working works
"""
_ASKING = frozenset(_ASKING_WORDS.split())
_ENDINGS = frozenset(
    (
        *("", "e", "er", "or", "v", "t", "at", "iv", "al", "alli", "li", "abl", "ibl"),
        *("ion", "tion", "ation", "ition", "ution", "ption", "ment", "ness"),
        *("anc", "enc", "ison", "iti"),
    )
)
_DOUBLED = re.compile(r"([bdfgmnprt])\1$")


def terms(text: str) -> dict[str, str]:
    """Return the words that carry the meaning of a question, by their stems, in their order.

    Words of asking ("explain", "difference") are no terms, unless there are no others.
    """
    return subject(text) or dict(_content(text))


def subject(text: str) -> dict[str, str]:
    """Return the words that are no words of asking; there may be none."""
    return {stem: word for stem, word in _content(text) if word.lower() not in _ASKING}


def stems(text: str) -> frozenset[str]:
    """Return the stems of a text's content words."""
    return frozenset(stem for stem, _ in _content(text))


def _content(text: str) -> Iterator[tuple[str, str]]:
    return ((folded(word), word) for word in _WORD.findall(text) if lexemes(word))


@lru_cache(maxsize=50_000)
def folded(word: str) -> str:
    """Fold the forms of a noun or a verb to one stem, and nothing more.

    Search engines stem harder: to Porter a generator is generic and general. Who quotes cannot.
    """
    word = word.lower()
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = (
            word.removesuffix("es") if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
        )
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) > 2 and re.search("[aeiouy]", base):
            word = _DOUBLED.sub(r"\1", base)
            break
    word = word.removesuffix("e") if len(word) > 3 else word
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


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
    """Say whether two stems are one word's forms, as `resolv(e)` and `resolution` are."""
    common = next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )
    return common >= 5 and one[common:] in _ENDINGS and other[common:] in _ENDINGS


def likeness(one: Collection[str], other: Collection[str]) -> float:
    """Return how much two sets of stems overlap (Jaccard): 0.0 to 1.0."""
    union = len(set(one) | set(other))
    return len(set(one) & set(other)) / union if union else 0.0
