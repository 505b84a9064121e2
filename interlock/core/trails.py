"""The trail of a graph: of each superstep a small print of what its nodes were given and gave; it stands in the state.

It is a channel of the graph's own, bounded, and plain data. It is not among the keys of the state that streams,
`get_state` and histories show.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.types import Command
from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock.core.fingerprints import BITS, digest, fingerprint, identity, sketch

TRAIL: Final = "__interlock_trail"
"""The channel's name. It is stored in checkpoints: renaming it is a migration."""

GUARD = "loop_guard"
QUESTION = "loop_question"
OWN_NODES = (GUARD, QUESTION)
"""The guard's own nodes. Their names are stored in checkpoints: renaming one is a migration."""

SAID = 60
"""How much of an output is kept to be read by people."""
SUBSTANCE = 40
"""A text with more characters than this is content, and no status."""

_WHOLE = (1 << BITS) - 1
_MANAGED = frozenset({"remaining_steps", "is_last_step"})
_COUNTS = re.compile(
    r"(^|_)(attempts?|tries|retry|retries|rounds?|iterations?|turns?|loops?|ticks?|calls?|tokens?|usage|usd|"
    r"costs?|elapsed|seconds|revisions?)($|_)"
)


class Entry(TypedDict):
    """What is kept of a superstep.

    `nodes`: how often each node ran. `took`, `gave`: digests of what they were given and gave. `held`: of the numbers
    in both, and the names in what they gave. `words`: a sample of hashes of the words of what they gave. `mark`: of
    what the state held, without lists and short values, before the step; 0 where that is nothing. `goal`: of the keys
    that mean progress. `at`: the checkpoint that it started from. `said`: the beginning of what they gave.
    """

    step: int
    nodes: dict[str, int]
    took: int
    gave: int
    held: int
    words: list[int]
    mark: int
    goal: int
    at: str
    said: str


class Trail(TypedDict, total=False):
    """Everything that a graph keeps of its way.

    `steps`: the newest supersteps. `turned`: how often it was found going round in circles, in this run. `tried`: what
    the notes said. `stopped`: the tasks that did not run because of a verdict: names, or `Send` with its input.
    `answer`: of a person. `abandoned`: what was taken back, as pairs of checkpoint ids (since, before).
    """

    steps: list[Entry]
    turned: int
    tried: list[str]
    stopped: list[Any]  # str or Send
    answer: dict[str, str]
    abandoned: list[list[str]]


class Update(TypedDict, total=False):
    """What is written to a trail: a task's entry, a task that was stopped, or the trail that takes its place."""

    entry: Entry
    kept: int
    stopped: Any  # str or Send
    becomes: Trail


def extend(trail: Trail, update: Update | None) -> Trail:
    """Add to a trail: the channel's reducer. None begins it anew, as each input does."""
    if update is None:
        return {}
    if "becomes" in update:
        return update["becomes"]
    if "stopped" in update:
        return {**trail, "stopped": [*trail.get("stopped", ()), update["stopped"]]}
    return {**trail, "steps": _added(trail.get("steps", []), update["entry"])[-update["kept"] :]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where on its way a task ran.

    Attributes:
        step: of the graph.
        state: the graph's, before the step.
        sent: whether the task's input was made for it by a `Send`, and is not the state.
        at: the checkpoint that it started from.
    """

    step: int
    state: Mapping[str, object] = field(default_factory=dict)
    sent: bool = False
    at: str = ""


def entry_of(
    node: str,
    given: object,
    gave: object,
    place: Place,
    *,
    progress: Collection[str] = (),
    ignores: Collection[str] = (),
) -> Entry:
    """Return what is kept of one task.

    Args:
        node: that ran.
        given: its input.
        gave: its output, before reducers.
        place: where.
        progress: keys of the state that mean progress.
        ignores: keys that mean nothing.
    """
    output = _told(_values(gave), ignores)
    took = identity(_told(_values(given), ignores), tail=1)
    made = fingerprint(output)
    held = took if place.sent else _numbers(_values(given), ignores)
    return Entry(
        step=place.step,
        nodes={node: 1},
        took=digest(f"{node} {took}"),
        gave=digest(f"{node} {made.digest}"),
        held=digest(f"{node} {held} {made.figures}"),
        words=list(made.words),
        mark=_mark(place.state, ignores),
        goal=identity({key: place.state.get(key) for key in progress}) if progress else 0,
        at=place.at,
        said=f"{node}: {_said(output)}"[:SAID],
    )


def polled(node: str, gave: object, polls: Collection[str]) -> bool:
    """Say whether a task only waits: its node is declared to poll, or its messages call and answer such tools alone."""
    if node in polls:
        return True
    tools = list(_tools(gave)) if polls else []
    return bool(tools) and all(each in polls for each in tools)


def _added(steps: list[Entry], entry: Entry) -> list[Entry]:
    if steps and steps[-1]["step"] == entry["step"]:
        return [*steps[:-1], _beside(steps[-1], entry)]
    return [*steps, entry]


def _beside(a: Entry, b: Entry) -> Entry:
    """Return one entry for tasks of one superstep; their order does not matter."""
    nodes = dict(a["nodes"])
    for node, times in b["nodes"].items():
        nodes[node] = nodes.get(node, 0) + times
    return {
        **a,
        "nodes": nodes,
        "took": a["took"] + b["took"] & _WHOLE,
        "gave": a["gave"] + b["gave"] & _WHOLE,
        "held": a["held"] + b["held"] & _WHOLE,
        "words": list(sketch([*a["words"], *b["words"]])),
        "said": min(a["said"], b["said"]),
    }


def _values(value: Any) -> Any:  # a node's input or output
    """Return a state, an update or an object with fields as a mapping; anything else as it is."""
    if isinstance(value, Command):
        return {**_updates(value), "goto": value.goto}
    if isinstance(value, BaseModel):
        return value.__dict__
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return value


def _updates(command: Command[Any]) -> dict[str, Any]:  # part of a state
    update = command.update
    return dict(update) if isinstance(update, Mapping) else {"update": update}


def _told(values: Any, ignores: Collection[str]) -> Any:  # a node's input or output
    if not isinstance(values, Mapping):
        return values
    return {key: each for key, each in values.items() if not _ignored(key, each, ignores)}


def _ignored(key: str, value: object, ignores: Collection[str]) -> bool:
    if key in ignores or key in _MANAGED or key == TRAIL:
        return True
    return isinstance(value, int | float) and _COUNTS.search(key) is not None


def _numbers(values: Any, ignores: Collection[str]) -> int:  # a node's input
    """Return a digest of the numbers in a state, as an index that a loop counts up."""
    if not isinstance(values, Mapping):
        return 0
    told = _told(values, ignores)
    return identity({k: v for k, v in told.items() if isinstance(v, int | float)})


def _mark(values: Mapping[str, object], ignores: Collection[str]) -> int:
    """Return a digest of a state's content: long texts, and mappings."""
    told: Mapping[str, object] = _told(values, ignores)
    content = {k: v for k, v in told.items() if (isinstance(v, Mapping) and v) or _long(v)}
    return identity(content) if content else 0


def _long(value: object) -> bool:
    return isinstance(value, str) and len(value) > SUBSTANCE


def _said(output: object) -> str:
    texts = (each.rstrip(".") for each in _texts(output))
    return " · ".join(each for each in texts if each)


def _texts(value: Any) -> Iterator[str]:  # a node's output
    if isinstance(value, BaseMessage):
        calls = [f"{each['name']}({each['args']})" for each in getattr(value, "tool_calls", ())]
        yield from calls or [" ".join(str(value.text).split())[:SAID]]
    elif isinstance(value, str):
        yield " ".join(value[: 2 * SAID].split())
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value[:4]:
            yield from _texts(each)


def _tools(value: Any) -> Iterator[str]:  # a node's output
    """Yield the names of the tools that messages in an output call or answer; an empty one for any other message."""
    if isinstance(value, ToolMessage):
        yield value.name or ""
    elif isinstance(value, AIMessage):
        yield from [each["name"] for each in value.tool_calls] or [""]
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tools(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tools(each)
