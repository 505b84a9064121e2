"""Failures in groups: by their class, and in each by what was raised where; with how many there were when. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from interlock.core.failures import KINDS, FailureKind, kind_named
from interlock.postgres.dashboard import ListedFailure
from interlock.server.dashboard.chart import Chart, Series

ABOUT: Mapping[FailureKind, str] = {
    "transient": "It would have passed by itself, but did not in time.",
    "rate_limit": "A provider wanted to be asked later, for too long.",
    "invalid_output": "A model's answer never fitted what was asked for.",
    "refused": "A provider, a policy or a person said no.",
    "changed": "This code cannot go on with what is stored.",
    "in_doubt": "Nobody here knows whether an act happened.",
    "budget": "What it may take was used up.",
    "limit": "It took as many steps as it may.",
    "bug": "A node raised something else.",
    "poison": "Its worker died of it, again and again.",
}
TONES: Mapping[FailureKind, str] = {
    "bug": "bad",
    "poison": "dead",
    "in_doubt": "dead",
    "changed": "running",
    "refused": "warning",
    "budget": "accent",
    "limit": "accent",
    "invalid_output": "good",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What was raised in one place.

    Attributes:
        latest: the last time.
        times: how often, and `counts` in each part of the time that is looked at.
        open: letters of it that nobody has closed.
    """

    latest: ListedFailure
    times: int
    counts: Sequence[float]
    open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The failures of one class, those that happened most often first."""

    kind: FailureKind
    times: int
    counts: Sequence[float]
    cases: Sequence[Case]

    @property
    def about(self) -> str:
        """What a failure of this class is."""
        return ABOUT[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time that is looked at, in equal parts.

    Attributes:
        now: its end.
        each: how long a part is.
        parts: how many.
        form: how the beginning of a part is told, as strftime takes it.
    """

    now: datetime
    each: timedelta
    parts: int
    form: str

    @property
    def since(self) -> datetime:
        """When it begins."""
        return self.now - self.each * self.parts

    @property
    def labels(self) -> list[str]:
        """When each part begins."""
        return [f"{self.since + self.each * n:{self.form}}" for n in range(self.parts)]

    def counts(self, failures: Sequence[ListedFailure]) -> list[float]:
        """Return how many there were in each part."""
        counts = [0.0] * self.parts
        for failure in failures:
            counts[min(max(int((failure.at - self.since) / self.each), 0), self.parts - 1)] += 1
        return counts


def grouped(failures: Sequence[ListedFailure], span: Span) -> list[Group]:
    """Return failures, the newest first, by their class; the largest class first."""
    kinds: dict[FailureKind, list[ListedFailure]] = defaultdict(list)
    for each in failures:
        kinds[_kind(each)].append(each)
    groups = [_group(kind, kinds[kind], span) for kind in KINDS if kind in kinds]
    return sorted(groups, key=lambda group: -group.times)


def chart(groups: Sequence[Group], span: Span) -> Chart:
    """Return how many failures of each class there were in each part of a time."""
    series = [
        Series(
            name=group.kind.replace("_", " "),
            values=group.counts,
            tone=TONES.get(group.kind, "calm"),
        )
        for group in groups
    ]
    return Chart(title="Runs that failed", labels=span.labels, series=series)


def _kind(failure: ListedFailure) -> FailureKind:
    known = next((each for each in KINDS if each == failure.kind), None)
    return known or kind_named(failure.error_type)


def _group(kind: FailureKind, failures: Sequence[ListedFailure], span: Span) -> Group:
    places: dict[tuple[str, str, str], list[ListedFailure]] = defaultdict(list)
    for each in failures:
        places[each.error_type, each.graph, each.node].append(each)
    cases = [
        Case(
            latest=found[0],
            times=len(found),
            counts=span.counts(found),
            open=sum(each.status == "open" for each in found),
        )
        for found in places.values()
    ]
    return Group(
        kind=kind,
        times=len(failures),
        counts=span.counts(failures),
        cases=sorted(cases, key=lambda case: -case.times),
    )
