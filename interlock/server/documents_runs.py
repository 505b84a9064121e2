"""Runs as JSON, as LangGraph's client reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, get_args

from langgraph.checkpoint.serde.base import SerializerProtocol
from pydantic import BaseModel

from interlock.core.queueing import MultitaskStrategy
from interlock.errors import InterlockError
from interlock.outcomes import Outcome
from interlock.postgres.run_cards import ClientRun, ClientStatus, Standing

RunField = Literal[
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "cancel_reason",
]
RUN_FIELDS: tuple[str, ...] = get_args(RunField)

FAILED = ("failed", "dead", "killed")
"""How a run stands whose client is told of an error alone; its state may not even be readable."""

ERROR = "__error__"
INTERRUPT = "__interrupt__"


class Failure(BaseModel):
    """What a run failed with."""

    error: str
    message: str


class RunDocument(BaseModel):
    """A run; a part of it where only that was asked for."""

    run_id: str | None = None
    thread_id: str | None = None
    assistant_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    status: ClientStatus | None = None
    metadata: dict[str, Any] | None = None
    kwargs: dict[str, Any] | None = None
    multitask_strategy: MultitaskStrategy | None = None
    cancel_reason: str | None = None
    error: Failure | None = None


def run_document(
    run: ClientRun, serde: SerializerProtocol, select: Sequence[str] | None = None
) -> dict[str, Any]:  # JSON
    """Return a run as JSON.

    Args:
        run: the run.
        serde: that restores its input.
        select: only these fields.
    """
    document: dict[str, Any] = {  # JSON
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "status": run.status,
        "metadata": dict(run.metadata),
        "kwargs": None,
        "multitask_strategy": run.multitask_strategy,
    }
    if run.error != ("", ""):
        document["error"] = failure(*run.error)
    if select is None or "kwargs" in select:
        document["kwargs"] = _kwargs(run, serde)
    return document if select is None else {key: document.get(key) for key in select}


def failure(error: str, kind: str) -> dict[str, str]:
    """Return what a run failed with, as LangGraph's server tells it."""
    kind = kind or "Error"
    return {"error": kind, "message": error.removeprefix(f"{kind}: ")}


def outward(failed: Mapping[str, str], run_id: str) -> str:
    """Return what a run failed with for whom its application does not know, such as other agents and models.

    What an exception of a graph says may hold anything: only errors of Interlock's own are told as they are.
    """
    kind = failed["error"]
    if kind in _kinds(InterlockError):
        return f"{kind}: {failed['message']}"
    return f"Run {run_id} failed: {kind}. What it says is shown where the run is."


def _kinds(error: type[Exception]) -> frozenset[str]:
    """Return the names of a kind of error, and of all below it."""
    below = (_kinds(each) for each in error.__subclasses__())
    return frozenset({error.__name__}).union(*below)


def outcome(standing: Standing, came: Outcome | None) -> Any:  # the graph's output schema
    """Return what somebody who waited for a run is told: its values, what it asks, or what it failed with.

    Args:
        standing: of the run.
        came: what stood at its last checkpoint; None when it made none.
    """
    if standing.status in FAILED:
        return {ERROR: failure(standing.error, standing.error_kind)}
    if came is None:
        return {}
    if standing.status == "waiting" and came.interrupts and isinstance(came.output, Mapping):
        return {**came.output, INTERRUPT: list(came.interrupts)}
    return came.output


def _kwargs(run: ClientRun, serde: SerializerProtocol) -> dict[str, Any]:  # JSON
    return {"input": run.input(serde), "command": None, **run.kwargs}
