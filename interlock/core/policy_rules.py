"""A policy's rules: conditions on facts, each of which can say why it does not hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cache
from typing import Final, Literal

from interlock.core.verdict import Facts, Risk, Ruling, Stage, Terms

Name = Literal["action", "graph", "agent", "tenant"]
Choice = Literal["risk", "trust"]
Number = Literal["amount", "cost", "confidence"]

NAMES: Final[tuple[Name, ...]] = ("action", "graph", "agent", "tenant")
CHOICES: Final[tuple[Choice, ...]] = ("risk", "trust")
NUMBERS: Final[tuple[Number, ...]] = ("amount", "cost", "confidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which numbers are meant; each bound that is not None must hold."""

    over: float | None = None
    at_least: float | None = None
    under: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        """Tell whether a known number is meant."""
        return (
            (self.over is None or value > self.over)
            and (self.at_least is None or value >= self.at_least)
            and (self.under is None or value < self.under)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        bounds = (
            ("over", self.over),
            ("at least", self.at_least),
            ("under", self.under),
            ("at most", self.at_most),
        )
        return " and ".join(f"{word} {limit:.15g}" for word, limit in bounds if limit is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The conditions of a rule; what is empty or None holds for everything.

    Attributes:
        action: exact names, or patterns with `*` and `?`; one of them must fit. So for graph, agent and tenant.
        trust: how far the agent is trusted with the action; holds only where trust is earned.
    """

    action: tuple[str, ...] = ()
    graph: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()
    risk: tuple[Risk, ...] = ()
    trust: tuple[Stage, ...] = ()
    reversible: bool | None = None
    amount: Range | None = None
    cost: Range | None = None
    confidence: Range | None = None

    def names(self, name: Name) -> tuple[str, ...]:
        """Return the names or patterns that one kind of name must fit."""
        found: tuple[str, ...] = getattr(self, name)
        return found

    def choices(self, name: Choice) -> tuple[str, ...]:
        """Return the values of which one must be the case."""
        found: tuple[str, ...] = getattr(self, name)
        return found

    def range(self, name: Number) -> Range | None:
        """Return the range that a number must lie in."""
        found: Range | None = getattr(self, name)
        return found

    @property
    def ranges(self) -> dict[Number, Range]:
        """The numbers that matter."""
        found = {name: self.range(name) for name in NUMBERS}
        return {name: each for name, each in found.items() if each is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a policy.

    A range is not known to hold for an unknown number. A rule that allows needs to know; a rule that asks or denies
    matches all the same, so that leaving a number out never gets an agent further than giving it.

    Attributes:
        name: unique in its policy, and stored with each verdict.
        because: what a person is told instead of the conditions.
        unless_trusted: an agent that has earned to act is not asked.
    """

    name: str
    when: When
    then: Ruling
    terms: Terms = field(default_factory=Terms)
    because: str = ""
    unless_trusted: bool = False

    def unmet(self, facts: Facts) -> tuple[str, ...]:
        """Return each condition that does not hold, in words; empty when the rule matches."""
        return tuple(_unmet(self, facts))

    def unknown(self, facts: Facts) -> tuple[Number, ...]:
        """Return the numbers that the rule asks for and that are not known."""
        return tuple(name for name in self.when.ranges if known(getattr(facts, name)) is None)

    def __str__(self) -> str:
        return " and ".join(_conditions(self.when)) or "always"


def known(number: float | None) -> float | None:
    """Return a number that can be compared; None for what is not there, not a number, or without an end."""
    if number is None:
        return None
    try:
        value = float(number)
    except OverflowError:  # an integer that is larger than any float
        return None
    return value if math.isfinite(value) else None


def fits(name: str, pattern: str) -> bool:
    """Tell whether a name is the one that is meant, or fits the pattern; capitals matter."""
    return name == pattern or (is_pattern(pattern) and _compiled(pattern).match(name) is not None)


def is_pattern(text: str) -> bool:
    """Tell whether a name of a rule stands for several."""
    return "*" in text or "?" in text


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[", "[[]")))  # brackets mean themselves


def _unmet(rule: Rule, facts: Facts) -> Iterator[str]:
    yield from _unmet_names(rule.when, facts)
    for choice in CHOICES:
        if (among := rule.when.choices(choice)) and getattr(facts, choice) not in among:
            yield f"{choice} is {getattr(facts, choice) or 'not earned here'}, not {_either(among)}"
    if rule.when.reversible not in (None, facts.reversible):
        yield f"it is {_undoing(facts.reversible)}"
    yield from _unmet_numbers(rule, facts)


def _unmet_names(when: When, facts: Facts) -> Iterator[str]:
    for name in NAMES:
        wanted, given = when.names(name), getattr(facts, name)
        if wanted and not any(fits(given, each) for each in wanted):
            yield f"{name} is {given or 'empty'}, not {_either(wanted)}"


def _unmet_numbers(rule: Rule, facts: Facts) -> Iterator[str]:
    for number, meant in rule.when.ranges.items():
        value = known(getattr(facts, number))
        if value is None and rule.then == "allow":
            yield f"{number} is not known, so not known to be {meant}"
        elif value is not None and not meant.holds(value):
            yield f"{number} is {value:.15g}, not {meant}"


def _conditions(when: When) -> Iterator[str]:
    for name in NAMES:
        if wanted := when.names(name):
            yield f"{name} is {_either(wanted)}"
    for choice in CHOICES:
        if among := when.choices(choice):
            yield f"{choice} is {_either(among)}"
    if when.reversible is not None:
        yield f"it is {_undoing(when.reversible)}"
    for number, meant in when.ranges.items():
        yield f"{number} is {meant}"


def _either(values: tuple[str, ...]) -> str:
    return " or ".join(values)


def _undoing(reversible: bool) -> str:
    return "reversible" if reversible else "irreversible"
