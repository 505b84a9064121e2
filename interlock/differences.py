"""The difference of two threads. Pure: steps and effects in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage

from interlock.core.effects import Effect
from interlock.core.runs import Step, Usage
from interlock.history import same


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two threads differ.

    Attributes:
        common_steps: how many steps both have in common, from the beginning.
        changed: state key -> (value in a, value in b), where they differ at the end.
        path_a: the nodes that ran after the common steps, in order; parallel nodes joined with `+`.
        more_a: steps whose nodes are left out of the path, where not all were to be looked at.
        usage_a: the model calls after the common steps.
        effects_a: the actions done on the thread.
        effects_both: what both did, or one did and the other took from its records.
        effects_only_a: what only the one did.
    """

    a: str
    b: str
    common_steps: int
    changed: Mapping[str, tuple[Any, Any]]
    path_a: tuple[str, ...]
    path_b: tuple[str, ...]
    usage_a: Usage
    usage_b: Usage
    effects_a: tuple[str, ...]
    effects_b: tuple[str, ...]
    effects_both: tuple[Effect, ...] = ()
    effects_only_a: tuple[Effect, ...] = ()
    effects_only_b: tuple[Effect, ...] = ()
    more_a: int = 0
    more_b: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What is known of a thread whose steps are not all looked at; there is none that the other one has, too.

    Attributes:
        steps: how many are left out.
        values: the state at its end.
        usage: all model calls, also those of the steps that are looked at.
    """

    steps: int
    values: Mapping[str, Any]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A thread that is compared.

    Attributes:
        steps: the last one that both have, and those behind it; or all.
        before: how many there are before these.
        effects: what was done on it, oldest first.
        behind: keys of those effects that were done before the two threads parted.
        rest: what is behind the steps; None where these are all.
    """

    thread_id: str
    steps: Sequence[Step]
    before: int = 0
    effects: Sequence[Effect] = ()
    behind: AbstractSet[str] = frozenset()
    rest: Rest | None = None


def difference(a: Side, b: Side) -> Difference:
    """Compare two threads."""
    common_a, common_b = _common(a.steps, b.steps)
    after_a, after_b = a.steps[common_a:], b.steps[common_b:]
    both = _both(a, b)
    return Difference(
        a=a.thread_id,
        b=b.thread_id,
        common_steps=max(common_a + a.before, common_b + b.before),
        changed=changed(_last(a), _last(b)),
        path_a=_path(after_a),
        path_b=_path(after_b),
        more_a=a.rest.steps if a.rest else 0,
        more_b=b.rest.steps if b.rest else 0,
        usage_a=_usage(a, after_a),
        usage_b=_usage(b, after_b),
        effects_a=tuple(each.action for each in a.effects),
        effects_b=tuple(each.action for each in b.effects),
        effects_both=tuple(each for each in a.effects if each.key in both)
        + tuple(each for each in b.effects if each.key in b.behind),
        effects_only_a=tuple(each for each in a.effects if each.key not in both),
        effects_only_b=tuple(each for each in b.effects if each.key not in both),
    )


def _both(a: Side, b: Side) -> set[str]:
    """Return the keys of effects that both threads have: done before they parted, or one record used by both."""
    records_a = {each.key: each.source or each.key for each in a.effects}
    records_b = {each.key: each.source or each.key for each in b.effects}
    shared = set(records_a.values()) & set(records_b.values())
    used = {key for key, record in (records_a | records_b).items() if record in shared}
    return used | a.behind | b.behind


def changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:  # states
    """Return the keys whose values differ, with both."""
    keys = sorted(a.keys() | b.keys())
    return {
        k: (a.get(k), b.get(k)) for k in keys if not same(_unnamed(a.get(k)), _unnamed(b.get(k)))
    }


def _common(a: Sequence[Step], b: Sequence[Step]) -> tuple[int, int]:
    """Return how many steps of each lead to the last one that both have; of either some may have been folded."""
    ids = {step.checkpoint_id: number for number, step in enumerate(b, start=1)}
    shared = [
        (number, ids[step.checkpoint_id])
        for number, step in enumerate(a, start=1)
        if step.checkpoint_id in ids
    ]
    return shared[-1] if shared else (0, 0)


def _last(side: Side) -> Mapping[str, Any]:
    if side.rest is not None:
        return side.rest.values
    return side.steps[-1].values if side.steps else {}


def _usage(side: Side, after: Sequence[Step]) -> Usage:
    return side.rest.usage if side.rest else sum((step.usage for step in after), Usage())


def _path(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple("+".join(step.nodes) for step in steps if step.nodes)


def _unnamed(value: Any) -> Any:  # a value of any graph's state
    """Return a value without the ids that LangGraph makes up for messages: they are others in each run."""
    if isinstance(value, BaseMessage):
        return value.model_copy(update={"id": None}) if _made_up(value.id) else value
    if isinstance(value, Mapping):
        return {key: _unnamed(each) for key, each in value.items()}
    if isinstance(value, str) and value.startswith("message:"):  # a source of a note
        return "message:" if _made_up(value.removeprefix("message:")) else value
    return [_unnamed(each) for each in value] if isinstance(value, list) else value


def _made_up(name: str | None) -> bool:
    try:
        return name is not None and str(UUID(name)) == name
    except ValueError:
        return False
