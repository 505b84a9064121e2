"""Threads and their states as LangGraph's clients read them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.types import Interrupt, PregelTask, StateSnapshot

from interlock.postgres.thread_cards import ThreadCard
from interlock.states import place_of

Document = dict[str, Any]
"""JSON but for messages and models, which `interlock.server.wire` writes."""


def state_document(snapshot: StateSnapshot) -> Document:
    """Return the state of a thread."""
    place, parent = place_of(snapshot.config), place_of(snapshot.parent_config)
    known = "checkpoint_id" in place
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_task(each) for each in snapshot.tasks],
        "metadata": snapshot.metadata,
        "created_at": snapshot.created_at,
        "checkpoint": place if known else None,
        "parent_checkpoint": parent or None,
        "interrupts": [interrupt_document(each) for each in snapshot.interrupts],
        "checkpoint_id": place.get("checkpoint_id"),
        "parent_checkpoint_id": parent.get("checkpoint_id"),
    }


def thread_document(
    card: ThreadCard, snapshot: StateSnapshot | None = None, *, ttl: bool = False
) -> Document:
    """Return a thread; without its state the values and interrupts that it had are left out.

    Args:
        card: the thread.
        snapshot: its latest state.
        ttl: whether its expiry is told.
    """
    document: Document = {
        "thread_id": card.thread_id,
        "created_at": card.created_at,
        "updated_at": card.updated_at,
        "state_updated_at": card.state_updated_at,
        "metadata": card.metadata,
        "status": card.status,
        "config": card.config,
        "error": _error(card) if card.status == "error" else None,
    }
    if snapshot is not None:
        document["values"] = snapshot.values if snapshot.created_at else None
        document["interrupts"] = interrupts_by_task(snapshot.tasks)
    if ttl and card.ttl is not None:
        document["ttl"] = {
            "strategy": card.ttl.strategy,
            "ttl_minutes": card.ttl.minutes,
            "expires_at": card.expires_at,
        }
    return document


def interrupts_by_task(tasks: Sequence[PregelTask]) -> Document:
    """Return what each task waits for."""
    return {
        task.id: [interrupt_document(each) for each in task.interrupts]
        for task in tasks
        if task.interrupts
    }


def interrupt_document(interrupt: Interrupt) -> Document:
    """Return what a person is asked."""
    document: Document = {"id": interrupt.id, "value": interrupt.value}
    schema = interrupt.response_schema
    if schema is not None:
        document["response_schema"] = schema if isinstance(schema, Mapping) else _schema(schema)
    return document


def _task(task: PregelTask) -> Document:
    state = task.state
    inner = state.config if isinstance(state, StateSnapshot) else state
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": _text(task.error),
        "interrupts": [interrupt_document(each) for each in task.interrupts],
        "checkpoint": place_of(inner) or None,
        "state": state_document(state) if isinstance(state, StateSnapshot) else None,
        "result": task.result,
    }


def _error(card: ThreadCard) -> Document:
    text, kind = card.error
    return {"error": kind or "Error", "message": text.removeprefix(f"{kind}: ")}


def _text(error: object) -> str | None:
    return error if error is None or isinstance(error, str) else repr(error)


def _schema(kind: Any) -> Any:  # a pydantic model or any other type -> JSON schema
    from pydantic import TypeAdapter

    return TypeAdapter(kind).json_schema()
