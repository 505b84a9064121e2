"""Finds the first rule that matches without looking at each rule.

For each fact there is a number whose n-th bit says whether the n-th rule's condition on it holds. All of them together,
joined by `and`, say which rules match; the lowest bit is the first of these. A test compares it with a plain loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import xor
from typing import Any

from interlock.core.policy_rules import (
    CHOICES,
    NAMES,
    NUMBERS,
    Choice,
    Name,
    Number,
    Range,
    Rule,
    fits,
    is_pattern,
    known,
)
from interlock.core.verdict import RISKS, STAGES, Facts

REMEMBERED = 4096
"""Names whose answer is kept, of each kind: agents and tenants may be many."""


class RuleIndex:
    """The rules of a policy, ordered by what they ask for."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._all = (1 << len(rules)) - 1
        names = [(name, _by_name(rules, name)) for name in NAMES]
        choices = [(choice, _by_choice(rules, choice)) for choice in CHOICES]
        numbers = [(number, _by_number(rules, number)) for number in NUMBERS]
        self._lookups: list[tuple[str, Callable[[Any], int]]] = [  # any fact
            *(pair for pair in names if _used(rules, pair[0])),
            *(pair for pair in choices if _used(rules, pair[0])),
            ("reversible", _by_reversible(rules)),
            *(pair for pair in numbers if _used(rules, pair[0])),
        ]

    def first(self, facts: Facts) -> int | None:
        """Return the number of the first rule that matches."""
        matching = self._all
        for name, lookup in self._lookups:
            matching &= lookup(getattr(facts, name))
            if not matching:
                return None
        return (matching & -matching).bit_length() - 1


def _used(rules: Sequence[Rule], condition: str) -> bool:
    return any(getattr(rule.when, condition) not in ((), None) for rule in rules)


def _bits(rules: Sequence[Rule], holds: Callable[[Rule], bool]) -> int:
    return sum(1 << number for number, rule in enumerate(rules) if holds(rule))


def _by_name(rules: Sequence[Rule], name: Name) -> Callable[[str], int]:
    free = _bits(rules, lambda rule: not rule.when.names(name))
    wanted = _mentions(
        (each, number) for number, r in enumerate(rules) for each in r.when.names(name)
    )
    patterns = [(each, bits) for each, bits in wanted.items() if is_pattern(each)]

    @lru_cache(maxsize=REMEMBERED)
    def lookup(value: str) -> int:
        found = free | wanted.get(value, 0)
        for pattern, bits in patterns:
            if fits(value, pattern):
                found |= bits
        return found

    return lookup


def _mentions(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value, number in pairs:
        found[value] = found.get(value, 0) | 1 << number
    return found


def _by_choice(rules: Sequence[Rule], name: Choice) -> Callable[[str | None], int]:
    def holding(value: str | None) -> int:
        return _bits(rules, lambda rule: value in (rule.when.choices(name) or (value,)))

    return _table({value: holding(value) for value in (*RISKS, *STAGES, None)})


def _by_reversible(rules: Sequence[Rule]) -> Callable[[bool], int]:
    def holding(value: bool) -> int:
        return _bits(rules, lambda rule: rule.when.reversible in (None, value))

    return _table({value: holding(value) for value in (True, False)})


def _table(values: Mapping[Any, int]) -> Callable[[Any], int]:  # any fact
    return values.__getitem__


def _by_number(rules: Sequence[Rule], name: Number) -> Callable[[float | None], int]:
    """Cut the line of numbers at each bound: the answer is the same all over a piece, and at each bound."""
    ranges = [rule.when.range(name) for rule in rules]
    limits = sorted({limit for each in ranges for limit in _limits(each)})
    pieces = _pieces(ranges, limits)
    unknown = _bits(rules, lambda rule: rule.when.range(name) is None or rule.then != "allow")

    def lookup(value: float | None) -> int:
        number = known(value)
        if number is None:
            return unknown
        place = bisect_left(limits, number)
        exact = place < len(limits) and limits[place] == number
        return pieces[2 * place + exact]

    return lookup


def _pieces(ranges: Sequence[Range | None], limits: Sequence[float]) -> list[int]:
    """Return the bits of each piece: below the first limit, at it, between it and the second, and so on."""
    place = {limit: 2 * number + 1 for number, limit in enumerate(limits)}
    changes = [0] * (2 * len(limits) + 2)
    for number, each in enumerate(ranges):
        first, last = _extent(each or Range(), place)
        if first <= last:
            changes[first] ^= 1 << number
            changes[last + 1] ^= 1 << number
    return list(accumulate(changes, xor))


def _extent(meant: Range, place: Mapping[float, int]) -> tuple[int, int]:
    """Return the first and the last piece in which a range holds."""
    first, last = 0, 2 * len(place)
    if meant.over is not None:
        first = place[meant.over] + 1
    if meant.at_least is not None:
        first = max(first, place[meant.at_least])
    if meant.under is not None:
        last = place[meant.under] - 1
    if meant.at_most is not None:
        last = min(last, place[meant.at_most])
    return first, last


def _limits(meant: Range | None) -> Iterable[float]:
    if meant is None:
        return ()
    bounds = (meant.over, meant.at_least, meant.under, meant.at_most)
    return (each for each in bounds if each is not None)
