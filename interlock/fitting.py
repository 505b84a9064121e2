"""Whether this code can go on with what a thread has stored: what would break, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_type_hints

from langgraph._internal._constants import (
    ERROR_SOURCE_NODE,
    INTERRUPT,
    NULL_TASK_ID,
    PUSH,
)  # not public by name; versions are pinned and a test holds them
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.types import TASKS
from langgraph.graph import StateGraph
from langgraph.pregel._algo import task_path_str  # as above
from langgraph.types import Send
from pydantic import (
    BaseModel,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from interlock.application import Graph
from interlock.core import actions, gate
from interlock.core.bounded import declaration_of
from interlock.core.langgraph_names import BRANCH, INTERNAL, JOIN
from interlock.core.renaming import arrived
from interlock.core.versions import misfits
from interlock.errors import ActionRefused
from interlock.inputs import takes_our_context

_PUSHED = f"~{PUSH}, "
_CALLED = f"{_PUSHED}~"
"""Begins the path of what a task called, as it is stored; the path of the task that called it follows."""

_BLOCKED: ContextVar[list[str] | None] = ContextVar("blocked", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a thread cannot go on.

    Attributes:
        kind: `graph`, `policy`, `prompt`, `version`, `node`, `key`, `class`, `action`, `blob` or `unreadable`.
        text: what is wrong, as the rest of a sentence about the thread.
        hint: what to do.
    """

    kind: str
    text: str
    hint: str = ""


def nodes_gone(graph: Graph, found: CheckpointTuple) -> Iterator[Problem]:
    """Yield a problem for each node that is to run next and is not in the graph, which has its old names too."""
    values = found.checkpoint["channel_values"]
    next_nodes = [key.removeprefix(BRANCH) for key in values if key.startswith(BRANCH)]
    sent = [each.node for each in values.get(TASKS) or () if isinstance(each, Send)]
    for name in sorted({*next_nodes, *sent} - graph.nodes.keys()):
        yield Problem(
            kind="node",
            text=f"it waits in the node {name!r}, which the graph no longer has",
            hint="Deploy the code that has it, or declare its present name in `Declaration.renamed_nodes`.",
        )
    for channel in sorted(each for each in values if each.startswith(JOIN)):
        if channel not in graph.channels and arrived(values[channel]):
            yield Problem(
                kind="node",
                text=f"it is on its way over an edge that the graph no longer has: {channel.removeprefix(JOIN)}",
                hint="Deploy the code that has it, or fork the thread from an earlier step.",
            )


def tasks_gone(found: CheckpointTuple, tasks: Collection[str]) -> Iterator[Problem]:
    """Yield a problem when what a task asked or wrote belongs to none of the tasks that the graph would run now.

    LangGraph derives a task's id from its node's name and its edges from several nodes.
    """
    writes = found.pending_writes or []
    if any(channel == ERROR_SOURCE_NODE for _, channel, _ in writes):
        return  # an error handler's task, which is not planned but called
    gone = {
        task: channel for task, channel, _ in writes if task not in tasks and task != NULL_TASK_ID
    }
    if gone:
        asked = INTERRUPT in gone.values()
        yield Problem(
            kind="node",
            text="the node that it is in is reached over other edges by now, so that "
            + ("its question would be lost" if asked else "it would run again"),
            hint="Deploy the code that it was begun with, or fork the thread from an earlier step.",
        )


def called_by(path: str, tasks: Collection[Sequence[Any]]) -> bool:  # LangGraph's paths
    """Say whether one of some tasks has called what has this path, itself or through what it called."""
    own = path
    while own.startswith(_CALLED):
        own = own.removeprefix(_PUSHED)
    return any(own.startswith(f"{task_path_str(tuple(each))}, ") for each in tasks)


def state_problems(graph: Graph, found: CheckpointTuple) -> Iterator[Problem]:
    """Yield a problem for each key of the state that does not fit the schema of a graph that declares itself.

    Other applications' graphs need not keep to the types that they annotate; of them only models are checked.
    """
    channels = found.checkpoint["channel_values"]
    values = {key: each for key, each in channels.items() if not key.startswith(INTERNAL)}
    if values and (isinstance(graph.builder.state_schema, type)):
        hint = (
            "Declare a new version of the schema with a migration, or deploy the code that has it."
        )
        texts = _model_faults(graph.builder.state_schema, values)
        if declaration_of(graph) is not None:
            texts += misfits(values, _checks(graph.builder)) + _missing(graph, values)
        yield from (Problem(kind="key", text=text, hint=hint) for text in texts)


def question_problems(payload: Mapping[str, Any]) -> Iterator[Problem]:  # a question's
    """Yield a problem when the action that an open question asks about is gone, or takes other arguments."""
    asked = payload.get("question")
    requests = payload.get("action_requests") or []
    if not gate.is_ours(asked) or not requests:
        return
    name, arguments = requests[0]["name"], requests[0]["args"]
    if asked.get("kind") == "in_doubt":  # about another act, which it carries
        name, arguments = arguments["action"], arguments["arguments"]
    question = f"question {asked.get('id', '')} asks about the action {name!r}"
    hint = "Deploy the code that asked, or fork the thread from before the question."
    if not actions.is_declared(name):
        yield Problem(kind="action", text=f"{question}, which is no longer declared", hint=hint)
        return
    declared = actions.find(name)
    try:
        request = declared.request(declared.validate_arguments(arguments))
    except ActionRefused as error:
        text = f"{question}, which no longer takes what was asked: {clause(error)}"
        yield Problem(kind="action", text=text, hint=hint)
        return
    if asked.get("kind") == "approval" and request != asked.get("digest"):
        text = f"{question}, which takes other arguments by now, so that an answer would permit nothing"
        yield Problem(kind="action", text=text, hint=hint)


@contextmanager
def noting_blocked() -> Iterator[list[str]]:
    """Give a list that fills with the classes that the strict serializer does not restore meanwhile."""
    blocked: list[str] = []
    token = _BLOCKED.set(blocked)
    try:
        yield blocked
    finally:
        _BLOCKED.reset(token)


def class_problems(blocked: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each class that is stored and may not be restored."""
    for name in sorted(set(blocked)):
        yield Problem(
            kind="class",
            text=f"it has a value of the class {name}, which none of the graph's schemas names any more",
            hint="Name the class in a schema of the graph, or deploy the code that does.",
        )


def clause(error: Exception) -> str:
    """Return what an error says, to be a part of a sentence."""
    return str(error.args[0] if error.args else type(error).__name__).rstrip(".")


def _note_blocked(event: SerdeEvent) -> None:
    blocked = _BLOCKED.get()
    if blocked is not None and event["kind"] == "msgpack_blocked":
        blocked.append(f"{event['module']}.{event['name']}")


register_serde_event_listener(_note_blocked)


@lru_cache(maxsize=256)
def _checks(builder: StateGraph[Any, Any, Any, Any]) -> dict[str, Callable[[Any], str]]:
    """Return what says of each key of the state what is wrong with a value."""
    known: dict[str, Callable[[Any], str]] = {
        key: _anything for key in builder.channels if not key.startswith(INTERNAL)
    }
    for schema in builder.schemas:
        hints = get_type_hints(schema, include_extras=True)
        known |= {key: _check(hint) for key, hint in hints.items() if key in known}
    return known


def _check(hint: Any) -> Callable[[Any], str]:  # a type
    try:
        adapter = TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return _anything  # a type that pydantic does not know
    return lambda value: _fault(adapter.validate_python, value)


def _anything(value: Any) -> str:  # a value of any key
    return ""


def _fault(validate: Callable[[Any], object], value: Any) -> str:  # a value of any key
    try:
        validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"])
        return f"{place}: {first['msg']}" if place else first["msg"]
    except Exception as error:  # a validator of the application's own
        return f"{type(error).__name__}: {error}"
    return ""


def _model_faults(schema: type, values: Mapping[str, Any]) -> list[str]:  # any state
    if not issubclass(schema, BaseModel):
        return []
    fault = _fault(schema.model_validate, dict(values))
    return [f"the state does not fit {schema.__name__}: {fault}"] if fault else []


def _missing(graph: Graph, values: Mapping[str, Any]) -> list[str]:  # any state
    schema = graph.builder.input_schema
    if not takes_our_context(graph):
        return []  # whatever others are given is not checked, so they may well have begun without it
    required: frozenset[str] = getattr(schema, "__required_keys__", frozenset())
    return [
        f"the state lacks the key {key!r}, which each run is given by now"
        for key in sorted(required)
        if key not in values
    ]
