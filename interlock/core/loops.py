"""The loop guard: from a trail of what nodes were given and gave, a verdict whether a graph goes round in circles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from interlock.core.fingerprints import likeness
from interlock.core.trails import Entry

Then = Literal["backtrack", "ask", "land", "fail"]
"""What happens to a graph that goes round in circles.

`backtrack`: it goes back to the step before the circle, with its short-term memory cleared and a note of what was
tried. `ask`: a person says how it goes on. `land`: the node that the graph declares as `land` delivers what there is.
`fail`: the run ends with `LimitReached`.
"""

Kind = Literal["repeated", "near", "oscillating", "stalled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """When a graph is taken to go round in circles, and what happens then.

    Attributes:
        repeats: how often the same steps may bring the same.
        window: after so many steps that brought nothing new, in any order, it is stalled.
        similarity: the share of common words, from 0 to 1, from which on two outputs are near duplicates.
        memory: state keys of the short-term memory, which are cleared when the run is taken back.
        notes: the state key (a list, messages or text) that is told what was tried; empty for none.
        progress: state keys of which one changes when there is progress; empty: whatever is new counts.
        polls: nodes, or tools, that may bring the same again and again, as they wait for something.
        ignores: state keys that say nothing about progress, as thoughts or clocks; counters of attempts, rounds,
            tokens and the like are known by their names.
        then: what happens the first time, the second time, and so on. After the last, `ask` is asked again; anything
            else ends the run with `LimitReached`.
    """

    repeats: int = 3
    window: int = 9
    similarity: float = 0.7
    memory: tuple[str, ...] = ()
    notes: str = ""
    progress: tuple[str, ...] = ()
    polls: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    then: tuple[Then, ...] = ("backtrack", "ask")

    def __post_init__(self) -> None:
        if self.repeats < 2 or self.window < self.repeats or not 0 < self.similarity <= 1:
            raise ValueError("it needs repeats >= 2, window >= repeats, and 0 < similarity <= 1")

    @property
    def kept(self) -> int:
        """How many steps of a trail are kept."""
        return max(2 * self.window, 6 * self.repeats)

    def after(self, turns: int) -> Then:
        """Return what happens when it goes round in circles, and did so before so many times."""
        if turns < len(self.then):
            return self.then[turns]
        return "ask" if self.then[-1:] == ("ask",) else "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """That a graph goes round in circles, and how.

    Attributes:
        kind: the same again, nearly the same, back and forth between states, or nothing new for a while.
        circle: the steps of one round, oldest first.
        times: how often it went round.
        since: the checkpoint before the first round; empty without one.
    """

    kind: Kind
    circle: tuple[Entry, ...]
    times: int
    since: str

    @property
    def path(self) -> str:
        """The nodes of one round: `agent → tools`."""
        return " → ".join(" and ".join(sorted(each["nodes"])) for each in self.circle)

    def __str__(self) -> str:
        said = {
            "repeated": f"{self.path} brought the same {self.times} times",
            "near": f"{self.path} brought nearly the same {self.times} times",
            "oscillating": f"{self.path} went back and forth between the same states",
            "stalled": f"{self.path}: the last {self.times} steps brought no progress",
        }
        return said[self.kind]


def judge(steps: Sequence[Entry], loops: Loops) -> Verdict | None:
    """Return how the newest steps of a trail go round in circles, or None."""
    return _repeated(steps, loops) or _oscillating(steps) or _stalled(steps, loops)


def _repeated(steps: Sequence[Entry], loops: Loops) -> Verdict | None:
    for period in range(1, len(steps) // loops.repeats + 1):
        rounds = steps[-period * loops.repeats :]
        if len({each["goal"] for each in rounds}) > 1:
            continue
        if all(map(_same, _later(rounds, period), rounds, _lenient(rounds, period, loops))):
            return _verdict("repeated", rounds, period, loops.repeats)
        if all(_near(a, b, loops) for a, b in zip(_later(rounds, period), rounds, strict=False)):
            return _verdict("near", rounds, period, loops.repeats)
    return None


def _oscillating(steps: Sequence[Entry]) -> Verdict | None:
    """A-B-A-B: two rounds of the same outputs, between which the state was what it had been before."""
    for period in range(2, len(steps) // 2 + 1):
        rounds = steps[-2 * period :]
        states = [each["mark"] for each in rounds[1:]]
        back = states[period:] == states[: period - 1] and len(set(states)) > 1 and all(states)
        goal = len({each["goal"] for each in rounds}) == 1
        if back and goal and all(map(_gave_same, _later(rounds, period), rounds)):
            return _verdict("oscillating", rounds, period, 2)
    return None


def _stalled(steps: Sequence[Entry], loops: Loops) -> Verdict | None:
    window = steps[-loops.window :]
    if len(window) < loops.window or len({each["goal"] for each in window}) > 1:
        return None
    visits = Counter(node for each in window for node in each["nodes"])
    often = [node for node, times in visits.items() if times >= loops.repeats]
    if not often or not (loops.progress or _few_kinds(window, loops)):
        return None
    first = {node: each for each in reversed(window) for node in each["nodes"] if node in often}
    circle = sorted({each["step"]: each for each in first.values()}.items())
    return Verdict(
        kind="stalled",
        circle=tuple(each for _, each in circle),
        times=loops.window,
        since=window[0]["at"],
    )


def _few_kinds(window: Sequence[Entry], loops: Loops) -> bool:
    """Say whether so few different things happened that each happened `repeats` times, on average."""
    kinds: list[Entry] = []
    for each in window:
        if not any(_same(each, kind, False) or _near(each, kind, loops) for kind in kinds):
            kinds.append(each)
    return len(kinds) <= loops.window // loops.repeats


def _later(rounds: Sequence[Entry], period: int) -> Sequence[Entry]:
    return rounds[period:]


def _lenient(rounds: Sequence[Entry], period: int, loops: Loops) -> list[bool]:
    """What led into the first round is not what led from one round into the next."""
    return [loops.repeats > 2 and index < period for index in range(len(rounds) - period)]


def _same(a: Entry, b: Entry, output_only: bool) -> bool:
    return _gave_same(a, b) and (output_only or a["took"] == b["took"])


def _gave_same(a: Entry, b: Entry) -> bool:
    return a["nodes"] == b["nodes"] and a["gave"] == b["gave"]


def _near(a: Entry, b: Entry, loops: Loops) -> bool:
    alike = a["nodes"] == b["nodes"] and a["held"] == b["held"]
    return alike and likeness(a["words"], b["words"]) >= loops.similarity


def _verdict(kind: Kind, rounds: Sequence[Entry], period: int, times: int) -> Verdict:
    return Verdict(kind=kind, circle=tuple(rounds[-period:]), times=times, since=rounds[0]["at"])
