"""What a request asks for, as the runtime takes it: decided from the request, its assistant and its graph alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_type_hints

from interlock.application import Graph
from interlock.core.cards import Card
from interlock.core.driving import ALL, Driving, Durability, without_reserved
from interlock.core.identity import SERVERS
from interlock.core.queueing import OnlyOn, Options
from interlock.errors import UsageError
from interlock.inputs import takes_our_context
from interlock.postgres.assistants import Assistant

if TYPE_CHECKING:
    from interlock.server.requests import RunCreate

KEPT = {
    "config",
    "context",
    "stream_mode",
    "stream_subgraphs",
    "stream_resumable",
    "interrupt_before",
    "interrupt_after",
    "webhook",
    "feedback_keys",
    "command",
    "checkpoint",
    "checkpoint_id",
    "durability",
    "after_seconds",
}
"""What is kept of a request, to be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run as it is submitted.

    Attributes:
        given: the input; None to go on from the checkpoint, or with a command.
        context: for a graph with a context schema of its own; None for no context.
        model: for a graph that takes Interlock's `Context`.
    """

    graph: str
    given: Mapping[str, Any] | None  # the graph's input schema
    context: Mapping[str, Any] | None  # JSON
    model: str | None
    options: Options
    driving: Driving


def order(
    request: RunCreate,
    assistant: Assistant,
    graph: Graph,
    *,
    stream_modes: Sequence[str] = (),
    idempotency_key: str = "",
    only_on: OnlyOn | None = None,
    asked: Mapping[str, Any] | None = None,
    thread: Mapping[str, Any] | None = None,
) -> Order:
    """Return what a request asks for; raises `UsageError` when that means nothing.

    Args:
        request: of the client.
        assistant: that it names.
        graph: of the assistant.
        stream_modes: what of it is streamed unless the request says so.
        idempotency_key: two requests under one key are one run.
        only_on: the threads on which it is accepted.
        asked: who asks, for the run's nodes.
        thread: the metadata of its thread.
    """
    configurable, context = _settings(request, assistant)
    ours = takes_our_context(graph)
    theirs = inherited(request, assistant, thread) if thread else {}
    return Order(
        graph=assistant.graph,
        given=_input(request.input),
        context=None if ours else fitting(graph, context, configurable),
        model=_model(context) if ours else None,
        options=_options(request, card(request, assistant, theirs), idempotency_key, only_on),
        driving=_driving(request, assistant, configurable, stream_modes, theirs, asked or {}),
    )


def named(assistant: Assistant, metadata: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    """Return a client's metadata, over those of the assistant, with the names of what it is about."""
    return {**assistant.metadata, **metadata, **names(assistant)}


def inherited(
    request: RunCreate, assistant: Assistant, thread: Mapping[str, Any]
) -> dict[str, Any]:  # JSON
    """Return what a run has of its thread's metadata: it goes before its assistant's, and behind what is asked for."""
    said = own_keys(request, assistant)
    return {key: thread[key] for key in thread if key not in said}


def own_keys(request: RunCreate, assistant: Assistant) -> set[str]:
    """Return which metadata a run has whatever its thread's are."""
    return request.config.metadata.keys() | request.metadata.keys() | names(assistant).keys()


def names(assistant: Assistant) -> dict[str, str]:
    """Return what nodes, too, are told of an assistant."""
    return {"graph_id": assistant.graph, "assistant_id": str(assistant.assistant_id)}


def fitting(
    graph: Graph, context: Mapping[str, Any], configurable: Mapping[str, Any]
) -> dict[str, Any] | None:  # JSON
    """Return the context for a graph; what was asked for as `configurable` is part of it where it has a name there."""
    if graph.context_schema is None:
        return None
    known = _names(graph.context_schema)  # type: ignore[arg-type]  # classes can be hashed
    meant = {key: configurable[key] for key in configurable if key in known}
    return {**meant, **context} or None


def _settings(
    request: RunCreate, assistant: Assistant
) -> tuple[dict[str, Any], dict[str, Any]]:  # JSON
    own = _own(request.config.configurable)
    configurable = {**_own(assistant.config.get("configurable") or {}), **own}
    context = {**assistant.context, **(request.context or {})}
    theirs = {key: each for key, each in context.items() if not key.startswith(SERVERS)}
    return {**theirs, **configurable}, context


def _own(configurable: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    """Return what is a client's own of what it sends: some hand back all that LangGraph's server told them."""
    said = without_reserved(configurable)
    return {key: said[key] for key in said if not key.startswith(SERVERS)}


@lru_cache(maxsize=256)
def _names(schema: type) -> frozenset[str]:
    if dataclasses.is_dataclass(schema):
        return frozenset(each.name for each in dataclasses.fields(schema))
    return frozenset(get_type_hints(schema))


def _model(context: Mapping[str, Any]) -> str | None:
    if unknown := sorted(context.keys() - {"model"}):
        raise UsageError(
            f"The graph's context is made by the runtime; it takes no {', '.join(unknown)}.",
            hint="Name a `model`, or leave the context out.",
        )
    return str(context["model"]) if context.get("model") else None


def _input(given: Any) -> Mapping[str, Any] | None:  # JSON
    if given is None or isinstance(given, Mapping):
        return given
    raise UsageError("The input is not an object.", hint="Send the graph's input by its keys.")


def _options(request: RunCreate, card: Card, key: str, only_on: OnlyOn | None) -> Options:
    after = request.after_seconds
    return Options(
        idempotency_key=key,
        multitask_strategy=request.multitask_strategy,
        start_at=datetime.now(UTC) + timedelta(seconds=after) if after else None,
        replaces_questions=True,
        card=card,
        only_on=only_on,
    )


def card(request: RunCreate, assistant: Assistant, thread: Mapping[str, Any] | None = None) -> Card:
    """Return what is kept of a request, with what the run has of its thread's metadata."""
    kept = request.model_dump(mode="json", include=KEPT, exclude_unset=True)
    return Card(
        assistant_id=str(assistant.assistant_id),
        metadata={
            **named(assistant, {**request.config.metadata, **request.metadata}),
            **(thread or {}),
        },
        kwargs=kept,
        webhook=request.webhook or "",
        on_completion=request.on_completion or "keep",
    )


def _driving(
    request: RunCreate,
    assistant: Assistant,
    configurable: Mapping[str, Any],
    stream_modes: Sequence[str],
    theirs: Mapping[str, Any],  # JSON
    asked: Mapping[str, Any],  # JSON
) -> Driving:
    command = request.command.steering if request.command else {}
    config = assistant.config
    return Driving(
        stream_modes=request.stream_modes or tuple(stream_modes),
        stream_subgraphs=request.stream_subgraphs,
        interrupt_before=_nodes(request.interrupt_before),
        interrupt_after=_nodes(request.interrupt_after),
        durability=_durability(request),
        configurable={**configurable, **names(assistant)},
        tags=tuple(dict.fromkeys([*(config.get("tags") or ()), *request.config.tags])),
        recursion_limit=request.config.recursion_limit or config.get("recursion_limit"),
        metadata=without_reserved(
            named(assistant, {**request.config.metadata, **request.metadata})
        ),
        inherited=without_reserved(theirs),
        checkpoint=_checkpoint(request),
        command=command,
        goes_on=request.input is None and not command,
        asker=asked,
    )


def _nodes(nodes: str | Sequence[str] | None) -> tuple[str, ...]:
    return (ALL,) if nodes == ALL else tuple(nodes or ())


def _durability(request: RunCreate) -> Durability:
    if request.durability is None and request.checkpoint_during is False:
        return "exit"
    return request.durability or "sync"


def _checkpoint(request: RunCreate) -> dict[str, str]:
    """Return the checkpoint that is named in any of the three ways in which clients do."""
    named = {**request.config.configurable, **(request.checkpoint or {})}
    checkpoint_id = request.checkpoint_id or named.get("checkpoint_id")
    if not checkpoint_id:
        return {}
    namespace = (request.checkpoint or {}).get("checkpoint_ns") or ""
    return {"checkpoint_id": str(checkpoint_id), "checkpoint_ns": str(namespace)}
