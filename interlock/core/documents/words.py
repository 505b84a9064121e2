"""Words as a search sees them: without stop words, folded to stems, weighed by rarity."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

QUERY_CHARACTERS, QUERY_LEXEMES = 10_000, 64
_WORD = re.compile(r"[^\W_]+")
_STOPS = """
a about above after again against all also am an and any are as at be because been before being
below between both but by can could did do does doing don down during each few for from further
had has have having he her here hers him his how i if in into is it its itself just ll me more
most my myself no nor not now of off on once only or other our ours out over own s same she
should so some such t than that the their theirs them then there these they this those through
to too under until up us very was we were what when where which while who whom whose why will
with would you your yours
"""
_STOP_WORDS = frozenset(_STOPS.split())


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, in their order, stop words included."""
    return _WORD.findall(text.lower())


def lexemes(text: str) -> list[str]:
    """Return the stems of a text's content words, in their order, repetitions included."""
    return [stem(word) for word in words(text) if word not in _STOP_WORDS]


def query_lexemes(query: str) -> list[str]:
    """Return the lexemes of a query, each once; of a very long query those that come first."""
    return list(dict.fromkeys(lexemes(query[:QUERY_CHARACTERS])))[:QUERY_LEXEMES]


def rarity(passages: int, holding: int) -> float:
    """Weigh a lexeme by how few of all passages hold it (the inverse frequency of BM25)."""
    return math.log(1 + (passages - holding + 0.5) / (holding + 0.5))


def coverage(weights: Mapping[str, float], present: Collection[str]) -> float:
    """Return the share of the query's lexemes, by weight, that are present: 0.0 to 1.0."""
    total = sum(weights.values())
    held = sum(weight for lexeme, weight in weights.items() if lexeme in present)
    return held / total if total else 0.0


def weigh(query: Iterable[str], holding: Mapping[str, int], passages: int) -> dict[str, float]:
    """Weigh each lexeme of a query; one that no passage holds is the rarest of all."""
    return {lexeme: rarity(passages, holding.get(lexeme, 0)) for lexeme in query}


# The stemmer is that of M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980.

_STEP_2 = {
    "ational": "ate",
    "tional": "tion",
    "enci": "ence",
    "anci": "ance",
    "izer": "ize",
    "abli": "able",
    "alli": "al",
    "entli": "ent",
    "eli": "e",
    "ousli": "ous",
    "ization": "ize",
    "ation": "ate",
    "ator": "ate",
    "alism": "al",
    "iveness": "ive",
    "fulness": "ful",
    "ousness": "ous",
    "aliti": "al",
    "iviti": "ive",
    "biliti": "ble",
}
_STEP_3 = {
    "icate": "ic",
    "ative": "",
    "alize": "al",
    "iciti": "ic",
    "ical": "ic",
    "ful": "",
    "ness": "",
}
_DROPPED = "al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize"
_STEP_4 = dict.fromkeys(_DROPPED.split(), "")
_VOWELS_THEN_CONSONANTS = re.compile(r"v+c+")


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Fold an English word in lower case to its stem; words that are not plain ASCII stay."""
    if len(word) <= 2 or not (word.isascii() and word.isalpha()):
        return word
    word = _participle(_plural(word))
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    word = _strip(_strip(word, _STEP_2, above=0), _STEP_3, above=0)
    return _tidy(_strip(word, _STEP_4, above=1))


def _plural(word: str) -> str:
    for suffix, ending in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(suffix):
            return word.removesuffix(suffix) + ending
    return word


def _participle(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        base = word.removesuffix(suffix)
        if base != word and _has_vowel(base):
            return _mended(base)
    return word


def _mended(base: str) -> str:
    if base.endswith(("at", "bl", "iz")):
        return base + "e"
    if _double_consonant(base) and base[-1] not in "lsz":
        return base[:-1]
    return base + "e" if _measure(base) == 1 and _short_syllable(base) else base


def _strip(word: str, endings: Mapping[str, str], *, above: int) -> str:
    """Replace the longest suffix that matches, if what stays measures more than `above`."""
    suffix = max((s for s in endings if word.endswith(s)), key=len, default="")
    base = word.removesuffix(suffix)
    if not suffix or _measure(base) <= above:
        return word
    if suffix == "ion" and not base.endswith(("s", "t")):
        return word
    return base + endings[suffix]


def _tidy(word: str) -> str:
    if word.endswith("e"):
        base = word[:-1]
        measure = _measure(base)
        if measure > 1 or (measure == 1 and not _short_syllable(base)):
            word = base
    if word.endswith("ll") and _measure(word) > 1:
        word = word[:-1]
    return word


def _shape(word: str) -> str:
    """Return the word with each vowel as `v` and each consonant as `c`; y is a vowel after one."""
    shape = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and shape[-1:] == "c")
        shape += "v" if vowel else "c"
    return shape


def _measure(word: str) -> int:
    return len(_VOWELS_THEN_CONSONANTS.findall(_shape(word)))


def _has_vowel(word: str) -> bool:
    return "v" in _shape(word)


def _double_consonant(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _shape(word)[-1] == "c"


def _short_syllable(word: str) -> bool:
    return _shape(word)[-3:] == "cvc" and word[-1] not in "wxy"
