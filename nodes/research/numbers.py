"""The numbers in a text, by values that can be compared: `1,000`, `1000` and "one thousand" are one.

Decimals count as they are written: 3.10 may be a version, which is not 3.1. Units, percent signs and
ordinal endings are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES: Mapping[str, int] = {
    **{word: number for number, word in enumerate(_SMALL.split())},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), start=2)},
}
_SCALES: Mapping[str, int] = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
_SPELLED = (
    rf"(?:{_TENS.replace(' ', '|')})(?:-(?:{_SMALL.replace(' ', '|')}))?"
    rf"|{_SMALL.replace(' ', '|')}"
)
_NUMBER = re.compile(
    r"\b(?P<literal>0[xob][0-9a-f_]+)\b"
    r"|(?:(?P<sign>(?<![\w)\].-])[-\u2212])?"
    r"(?P<digits>(?<!\d[.,])\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?![,\d])|\d+)(?P<rest>(?:\.\d+)*)"
    rf"|\b(?P<spelled>{_SPELLED})\b)"
    rf"(?P<scales>(?:\s+(?:{'|'.join(_SCALES)})\b)*)",
    re.IGNORECASE,
)
_LIST_MARK = re.compile(r"^\s*(?:\(?\d{1,3}[.)]|[-*\u2022])\s+")
_FOOTNOTE = re.compile(r"\s?\[\d{1,3}\]")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands in a text, and what it is compared by."""

    written: str
    value: str


def stated_numbers(sentence: str) -> list[Number]:
    """Return the numbers that a sentence states; list and footnote marks and "one" state none."""
    stated = _FOOTNOTE.sub("", _LIST_MARK.sub("", sentence))
    return [number for number in _numbers(stated) if number.written.lower() != "one"]


def number_values(text: str) -> frozenset[str]:
    """Return the values of all numbers in a text."""
    return frozenset(number.value for number in _numbers(text))


def _numbers(text: str) -> Iterator[Number]:
    for found in _NUMBER.finditer(text):
        yield Number(written=found[0], value=_value(found))


def _value(found: re.Match[str]) -> str:
    if found["literal"]:
        return str(found["literal"]).lower()
    scales = prod(_SCALES[word] for word in str(found["scales"]).lower().split())
    if found["spelled"]:
        words = str(found["spelled"]).lower().split("-")
        return str(sum(_VALUES[word] for word in words) * scales)
    sign = "-" if found["sign"] else ""
    return sign + _scaled(re.sub(r"\D", "", found["digits"]), found["rest"], scales)


def _scaled(digits: str, rest: str, scales: int) -> str:
    """Multiply by exact integers; what is not scaled keeps its decimals as they are written."""
    whole = digits.lstrip("0") or "0"
    if scales == 1 or rest.count(".") > 1:
        return whole + rest
    decimals = rest.removeprefix(".")
    value = int(whole + decimals) * scales
    quotient, remainder = divmod(value, 10 ** len(decimals))
    return str(quotient) if not remainder else f"{whole}{rest}x{scales}"
