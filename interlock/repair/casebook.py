"""What is known of a dead run, cut to a size that a model and a person can read. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from langgraph.channels import BinaryOperatorAggregate, DeltaChannel
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from interlock.application import Graph
from interlock.core import prompts
from interlock.core.effects import Effect
from interlock.core.letters import Letter, LetterDetail, RunEvent
from interlock.core.repairs import GRAPH, CallInfo, Case, KeyInfo, PromptInfo
from interlock.failing import blotted
from interlock.repair.calls import Call, schema_of
from interlock.repair.remains import Remains
from interlock.repair.routes import ways_of

VALUE = 1_000
STATE = 12_000
TRACE = 4_000
"""Characters that are shown: of a value, of the whole state, of the end of a traceback."""

LINES = 30
"""Acts and tries that are shown."""

HOPELESS: Mapping[str, str] = {
    "poison": "It ended its worker; a trial would end the one that tries. Run it where that does no harm.",
    "budget": "A budget is spent, which no change of the state gives back: `interlock budget` shows and raises it.",
    "in_doubt": "An act is in doubt, and only a person can find out: `interlock effects` shows and settles it.",
    "changed": "This code does not fit what is stored; deploy the code that does, or declare a migration.",
    "transient": "What failed passes by itself: replay the letter once it has.",
    "rate_limit": "A provider wanted to be asked later: replay the letter then.",
}
"""Kinds of failure that no change of these kinds helps."""


def hopeless(detail: LetterDetail) -> str:
    """Return why no change can be tried on a dead run; empty when one can."""
    letter = detail.letter
    if letter.graph == GRAPH:
        return "It is a repair itself; look at its letter, and replay or discard it."
    if detail.refused:
        return detail.refused
    if letter.kind in HOPELESS:
        return HOPELESS[letter.kind]
    return _out_of_reach(detail)


def _out_of_reach(detail: LetterDetail) -> str:
    if detail.state is None:
        return detail.state_problem or "Its state cannot be read."
    if " / " in detail.letter.node:
        return _inside(detail.letter)
    if (detail.step or 0) < 0:
        return "It died before its input was taken in; submit it again with another one."
    return ""


def _inside(letter: Letter) -> str:
    thread = letter.thread_id
    return (
        f"It died inside a subgraph ({letter.node}), whose checkpoints no repair changes. Do it by hand:"
        f" `interlock history {thread} --inside` names the last step in there,"
        f" `interlock fork {thread} --at STEP --set KEY=VALUE` goes on from it with another state, on a thread of its"
        f" own, and does nothing again that was done; then `interlock letters discard {letter.id[:8]} --reason TEXT`."
    )


def case_of(
    detail: LetterDetail,
    graph: Graph | None,
    pins: Mapping[str, str],
    remains: Remains | None = None,
    calls: Sequence[Call] = (),
) -> Case:
    """Return what is known of a dead run.

    Args:
        detail: its letter.
        graph: of its thread; None when the code is not here.
        pins: the versions of prompts that the run uses.
        remains: its last checkpoint; None where nothing can be tried on it.
        calls: whose arguments can be changed.
    """
    letter, events = detail.letter, detail.tries[-LINES:]
    return Case(
        **_facts(letter),
        hopeless=hopeless(detail),
        step=detail.step,
        next=list(detail.next),
        state=_keys(graph, detail.state or {}) if graph is not None else {},
        prompts=_released(pins),
        tries=[_try(each) for each in events],
        done=[line_of(each) for each in detail.done[-LINES:]],
        in_doubt=[line_of(each) for each in detail.in_doubt[-LINES:]],
        ways=ways_of(remains.graph, remains.node) if remains and remains.failed else [],
        calls=[_told(remains.graph, each) for each in calls[-LINES:]] if remains else [],
    )


def _told(graph: Graph, call: Call) -> CallInfo:
    schema = schema_of(graph, call.name)
    return CallInfo(
        id=call.id,
        what=call.what,
        name=call.name,
        arguments=shown(call.arguments),
        type=cut(json.dumps(schema)) if schema else "",
        fault=cut(blotted(call.fault)),
    )


def line_of(effect: Effect) -> str:
    """Return an act in one line."""
    given = ", ".join(f"{name}={shown(value)}" for name, value in effect.arguments.items())
    return cut(f"{effect.action}({given})")


def shown(value: Any) -> str:  # anything
    """Return a value as JSON text, cut."""
    return cut(json.dumps(value, ensure_ascii=False, default=str))


def cut(text: str, size: int = VALUE) -> str:
    """Return the beginning of a text, with a mark where there was more."""
    return text if len(text) <= size else f"{text[:size]}… ({len(text)} characters)"


def _facts(letter: Letter) -> dict[str, Any]:
    return {
        "letter": letter.id,
        "thread": letter.thread_id,
        "graph": letter.graph,
        "kind": letter.kind,
        "node": letter.node,
        "error": cut(letter.error),
        "error_type": letter.error_type,
        "traceback": letter.traceback[-TRACE:],
        "because": letter.because,
    }


def _try(event: RunEvent) -> str:
    return cut(f"{event.detail.get('failure', '')}: {event.detail.get('error', '')}")


def _released(pins: Mapping[str, str]) -> dict[str, PromptInfo]:
    known = prompts.registered_groups()
    ours = {name: pins[name] for name in pins if name.partition("/")[0] in known}
    found = {name: prompts.versions(name) for name in ours}
    return {
        name: PromptInfo(pinned=ours[name], released=found[name])
        for name in ours
        if ours[name] in found[name]
    }


def _keys(graph: Graph, values: Mapping[str, Any]) -> dict[str, KeyInfo]:
    hints = get_type_hints(graph.builder.state_schema, include_extras=True)
    room, found = STATE, {}
    for key, hint in hints.items():
        adds = isinstance(graph.channels.get(key), BinaryOperatorAggregate | DeltaChannel)
        info = _key(hint, values.get(key), adds=adds)
        room -= len(info.value) + len(info.type)
        found[key] = info if room > 0 else KeyInfo(value="… (left out)", adds=adds)
    return found


def _key(hint: Any, value: Any, *, adds: bool) -> KeyInfo:  # a type; a value of the state, as JSON
    text = "" if value is None else shown(value)
    try:
        adapter = TypeAdapter(hint)
        schema = cut(json.dumps(adapter.json_schema()))
    except (
        PydanticUserError,
        TypeError,
    ):  # a type of another application that pydantic does not know
        return KeyInfo(value=text, adds=adds)
    if value is None:
        return KeyInfo(type=schema, adds=adds)
    fault, fitting = _misfit(adapter, value)
    return KeyInfo(type=schema, value=text, adds=adds, fault=fault, fitting=fitting)


def _misfit(adapter: TypeAdapter[Any], value: Any) -> tuple[str, str]:  # as JSON
    """Return why a value does not fit its type, and the same value in its type where pydantic knows it."""
    text = json.dumps(value)
    try:
        adapter.validate_json(text, strict=True)
    except ValidationError as error:
        fault = cut("; ".join(each["msg"] for each in error.errors()[:3]), 200)
    else:
        return "", ""
    try:
        return fault, adapter.dump_json(adapter.validate_json(text)).decode()
    except (ValidationError, ValueError):
        return fault, ""
