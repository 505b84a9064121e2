"""How well the loop guard tells circles from honest work, and what it costs a step.

    python -m benchmarks.loops [--quick] [--json]

Sixty trails were written by hand, in `tests/data/trails`: thirty go round in circles, thirty look like it and do not.
The limits of the guard were tuned on one half; nothing was tuned on the other. A looping trail counts as found when
the guard says so by its end; an honest one as mistaken when the guard says so at any of its steps.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from benchmarks import Goal, Row, below, options, report
from interlock.core.loops import Loops, Verdict, judge
from interlock.core.trails import Entry, Place, Trail, entry_of, extend, polled

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "trails"
Half = Literal["tuned", "held_out"]
HALVES: tuple[Half, ...] = ("tuned", "held_out")

FLOOR = 0.15
"""The share that may be mistaken, of what is found, or missed, of what is there."""

_ids = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A trail as it was written down.

    Attributes:
        looping: whether it goes round in circles.
        says: what it is, in a sentence.
        steps: each is `[node, update]`, `[node, update, input]` for a task that was sent out, or `{beside: [...]}`.
        adds: keys whose lists grow by an update; any other takes the old value's place.
        sums: keys whose numbers are added up.
    """

    name: str
    looping: bool
    says: str
    steps: list[Any]  # TOML
    state: dict[str, Any] = field(default_factory=dict)  # TOML
    adds: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    loops: dict[str, Any] = field(default_factory=dict)  # TOML

    def verdicts(self) -> Iterator[Verdict | None]:
        """Yield what the guard says after each superstep."""
        loops = Loops(**{key: _declared(value) for key, value in self.loops.items()})
        state, trail = _said(self.state), Trail()
        for number, step in enumerate(self.steps):
            tasks = step["beside"] if isinstance(step, dict) else [step]
            for entry in [_entry(number, each, state, loops) for each in tasks]:
                if entry is not None:
                    trail = extend(trail, {"entry": entry, "kept": loops.kept})
            for each in tasks:
                state = self._applied(state, _said(each[1]))
            yield judge(trail.get("steps", []), loops)

    def found(self) -> Verdict | None:
        """Return the first verdict."""
        return next((each for each in self.verdicts() if each is not None), None)

    def _applied(self, state: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
        applied = dict(state)
        for key, value in update.items():
            adds = key in self.adds or key in self.sums
            applied[key] = applied[key] + value if adds and key in applied else value
        return applied


def written(half: Half) -> list[Written]:
    """Return the trails of a half."""
    return [
        Written(looping=kind == "looping", **_tuples(each))
        for kind in ("looping", "honest")
        for each in tomllib.loads((FOLDER / half / f"{kind}.toml").read_text())["trail"]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What the guard made of some trails."""

    right: tuple[str, ...]
    mistaken: tuple[str, ...]
    missed: tuple[str, ...]

    @property
    def precision(self) -> float:
        """The share of real circles among those that it found."""
        return len(self.right) / max(1, len(self.right) + len(self.mistaken))

    @property
    def recall(self) -> float:
        """The share of the circles that it found."""
        return len(self.right) / max(1, len(self.right) + len(self.missed))


def scored(trails: list[Written]) -> Scored:
    """Judge trails."""
    found = {each.name: each.found() is not None for each in trails}
    return Scored(
        right=tuple(each.name for each in trails if each.looping and found[each.name]),
        mistaken=tuple(each.name for each in trails if not each.looping and found[each.name]),
        missed=tuple(each.name for each in trails if each.looping and not found[each.name]),
    )


def main() -> None:
    """Judge all trails, measure, and print a table or JSON."""
    given = options((__doc__ or "").splitlines()[0])
    rows, goals = list[Row](), list[Goal]()
    for half in HALVES:
        score = scored(written(half))
        rows.append(_row(half, score))
        goals.append(below(f"{half}: mistaken", _share(1 - score.precision), "", FLOOR))
        goals.append(below(f"{half}: missed", _share(1 - score.recall), "", FLOOR))
    for name, measured in _costs(20 if given.quick else 200).items():
        rows.append({"name": name, "ms a step": f"{measured:.3f}"})
        goals.append(below(f"a step, {name}", _share(measured), "ms", 5))
    report(goals, rows, as_json=given.as_json)


def _share(value: float) -> float:
    return round(value, 3)


def _row(half: Half, score: Scored) -> Row:
    return {
        "name": half,
        "found": len(score.right),
        "mistaken": ", ".join(score.mistaken) or 0,
        "missed": ", ".join(score.missed) or 0,
        "precision": f"{score.precision:.2f}",
        "recall": f"{score.recall:.2f}",
    }


def _costs(rounds: int) -> dict[str, float]:
    """Return the milliseconds that a print and a verdict take, by what the state holds."""
    messages: list[BaseMessage] = [
        HumanMessage(f"message {n} " + "word " * 200) for n in range(2000)
    ]
    update = {"messages": [AIMessage("A short answer.")]}
    return {
        "a state of 1 kB": _timed({"question": "word " * 200}, update, rounds),
        "2,000 messages of 1 kB": _timed({"messages": messages}, update, rounds),
        "a document of 1 MB": _timed({"document": "line of text\n" * 80_000}, update, rounds),
        "a document of 10 MB": _timed({"document": "line of text\n" * 800_000}, update, rounds),
    }


def _timed(state: dict[str, Any], update: dict[str, Any], rounds: int) -> float:
    trail, loops = Trail(), Loops()

    def once(number: int) -> None:
        nonlocal trail
        entry = entry_of("agent", state, update, Place(step=number, state=state))
        trail = extend(trail, {"entry": {**entry, "gave": number}, "kept": loops.kept})
        judge(trail["steps"], loops)

    return median(_milliseconds(partial(once, number)) for number in range(rounds))


def _milliseconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _entry(number: int, task: list[Any], state: Mapping[str, Any], loops: Loops) -> Entry | None:
    node, gave = task[0], _said(task[1])
    if polled(node, gave, loops.polls):
        return None
    given = task[2] if len(task) > 2 else state
    return entry_of(
        node,
        given,
        gave,
        Place(step=number, state=state, sent=len(task) > 2),
        progress=loops.progress,
        ignores=loops.ignores,
    )


def _said(values: Mapping[str, Any]) -> dict[str, Any]:  # TOML -> a state
    messages = [_message(each) for each in values.get("messages", ())]
    return {**values, "messages": messages} if messages else dict(values)


def _message(told: Mapping[str, Any]) -> BaseMessage:  # TOML
    name = f"message-{next(_ids)}"
    match told:
        case {"call": tool, "with": arguments}:
            call = {"name": tool, "args": arguments, "id": f"call_{name}"}
            return AIMessage(told.get("say", ""), tool_calls=[call], id=name)
        case {"tool": tool, "text": text}:
            return ToolMessage(text, name=tool, tool_call_id=f"call_{name}", id=name)
        case {"ai": text}:
            return AIMessage(text, id=name)
        case _:
            return HumanMessage(told["human"], id=name)


def _declared(value: Any) -> Any:  # TOML
    return tuple(value) if isinstance(value, list) else value


def _tuples(told: Mapping[str, Any]) -> dict[str, Any]:  # TOML
    return {k: tuple(v) if k in ("adds", "sums") else v for k, v in told.items()}


if __name__ == "__main__":
    main()
