"""Where in the state the arguments of a call stand, and the changes that put others there.

A tool call stands there as such. What the arguments of an act were made of is not recorded. So they are looked for:
their values, in one place; and the trial must come to the act with the new ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langgraph.channels import BinaryOperatorAggregate, DeltaChannel
from langgraph.checkpoint.serde.types import TASKS
from langgraph.types import Overwrite

from interlock.errors import UsageError
from interlock.forks import changes_of
from interlock.inputs import check_values
from interlock.postgres.forks import Change
from interlock.postgres.plain import plain
from interlock.repair.calls import Call, corrected, sends_of
from interlock.repair.remains import Remains

State = Mapping[str, Any]  # any graph's state


def changes_for(
    remains: Remains,
    call: Call,
    arguments: Mapping[str, Any],  # JSON
) -> tuple[list[Change], State]:
    """Return what gives a call other arguments, and the state as it is then; raises `UsageError` where nothing does."""
    before: State = remains.snapshot.values if isinstance(remains.snapshot.values, dict) else {}
    if call.what == "tool call":
        after: State = {key: corrected(each, call.id, arguments) for key, each in before.items()}
        sends = _sends(remains, call, arguments)
    else:
        after, sends = _put(before, call, arguments), []
    changed = {key: each for key, each in after.items() if each is not before.get(key)}
    check_values(remains.graph, changed)
    written = [_change(remains, key, before[key], each) for key, each in changed.items()]
    return [*changes_of(remains.graph, {}), *written, *sends], after


def _sends(remains: Remains, call: Call, arguments: Mapping[str, Any]) -> list[Change]:
    """Return all that is sent to nodes, where the call is among it: what is sent is replaced as a whole."""
    before = sends_of(remains)
    after = [corrected(each, call.id, arguments) for each in before]
    if all(a is b for a, b in zip(after, before, strict=True)):
        return []
    return [Change(channel=TASKS, value=each) for each in after]


def _change(remains: Remains, key: str, before: Any, after: Any) -> Change:  # of a state key
    channel = remains.graph.channels.get(key)
    if isinstance(channel, DeltaChannel):  # of messages: one with the same id takes the place
        return Change(
            channel=key,
            value=[new for old, new in zip(before, after, strict=True) if new is not old],
            alone=False,
        )
    if isinstance(channel, BinaryOperatorAggregate):
        return Change(channel=key, value=Overwrite(after))
    return Change(channel=key, value=after)


def _put(state: State, call: Call, arguments: Mapping[str, Any]) -> State:
    """Return the state with other arguments where those of an act stand."""
    changed = {key: each for key, each in arguments.items() if call.arguments.get(key) != each}
    whole = list(_holding(state, call.arguments))
    if len(whole) == 1:
        return dict(_replaced(state, whole[0], changed))
    after = dict(state)
    for name, value in changed.items():
        after[_key_of(state, call, name)] = value
    return after


def _holding(value: Any, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:  # any state
    """Yield the objects in a state that hold all arguments of an act."""
    if isinstance(value, dict):
        held = plain(value)
        if arguments and all(key in held and held[key] == arguments[key] for key in arguments):
            yield value
        for each in value.values():
            yield from _holding(each, arguments)
    elif isinstance(value, list):
        for each in value:
            yield from _holding(each, arguments)


def _replaced(value: Any, part: dict[str, Any], changed: Mapping[str, Any]) -> Any:  # any state
    if value is part:
        return {**part, **changed}
    if isinstance(value, dict):
        items = {key: _replaced(each, part, changed) for key, each in value.items()}
        return items if any(items[key] is not value[key] for key in items) else value
    if isinstance(value, list):
        parts = [_replaced(each, part, changed) for each in value]
        return parts if any(a is not b for a, b in zip(parts, value, strict=True)) else value
    return value


def _key_of(state: State, call: Call, name: str) -> str:
    """Return the key of the state that an argument was made of; raises `UsageError` where that is not beyond doubt."""
    old = call.arguments.get(name)
    if name in state and plain(state[name]) == old:
        return name
    found = [key for key, each in state.items() if old is not None and plain(each) == old]
    if len(found) == 1:
        return found[0]
    where = f"stands in {', '.join(found)}" if found else "does not stand in the state"
    raise UsageError(
        f"The argument {name} of {call.name} {where}, so it is not known what it was made of.",
        hint="Change the state, or go round the node.",
    )
