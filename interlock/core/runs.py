"""What callers of the runtime see: runs, what they took, and the steps, the summary and the forks of a thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from interlock.core.questions import OpenQuestion
from interlock.core.run_states import RunStatus

RunKind = Literal["invoke", "resume", "fork"]

BREAKPOINT = "breakpoint"
"""The kind of a stop before or after a node that was named for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a graph on a thread.

    Attributes:
        status: how it stands.
        output: the graph's output once it succeeded, else None.
        interrupts: the questions that it waits for.
        error: what stopped it; empty unless it failed or was handed back.
        alive: whether a process is working on it now; a `running` run that is not alive lost its process.
        partial: why it was steered to its landing before it was through; empty when it was not.
        wakes_at: until when it sleeps; None when it does not.
    """

    run_id: str
    thread_id: str
    graph: str
    kind: RunKind
    status: RunStatus
    model: str
    attempts: int
    created_at: datetime
    output: Any = None  # the graph's output schema
    interrupts: tuple[OpenQuestion, ...] = ()
    error: str = ""
    error_kind: str = ""
    alive: bool = False
    partial: str = ""
    wakes_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What model calls took: tokens, US dollars (None where a price is not known) and seconds."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=cost,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One checkpoint of a thread.

    Attributes:
        number: LangGraph's step number, -1 for the input.
        nodes: the nodes that ran to make it.
        next: the nodes that run next.
        changed: the state keys whose values differ from the step before.
        values: the whole state.
        seconds: wall time since the step before.
        usage: model calls made in this step, subgraphs included; none for a step inside a subgraph, as they are
            counted by the steps of the thread's own graph.
        inside: the checkpoint namespace of the subgraph that it is a step of; empty for the thread's own graph.
        path: the names of the nodes that lead to that subgraph, from the thread's own graph inwards.
        folded: how many steps were folded into it when its thread was pruned; `nodes`, `changed` and `usage` tell of
            these, too.
        folded_nodes: how often each node ran in those.
    """

    number: int
    checkpoint_id: str
    created_at: datetime
    source: str
    run_id: str
    nodes: tuple[str, ...]
    next: tuple[str, ...]
    changed: tuple[str, ...]
    values: Mapping[str, Any] = field(repr=False)
    questions: tuple[str, ...] = ()
    seconds: float = 0.0
    usage: Usage = Usage()
    inside: str = ""
    path: tuple[str, ...] = ()
    folded: int = 0
    folded_nodes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSummary:
    """A thread as a list shows it."""

    thread_id: str
    graph: str
    title: str
    status: str
    alive: bool
    updated_at: datetime
    parent_thread_id: str | None
    error: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A thread with all that was forked from it.

    Attributes:
        purpose: `fork`, `replay`, or empty for the thread that all others come from.
        forked_at: number of the step that it was forked from; None when that step is gone, or for no fork.
        forked_inside: the names of the nodes that lead to the subgraph that this step is of.
        effects: how many actions it did; what a fork took from its parent's records is not counted.
        tokens: what its own model calls took.
        asked: whether it is the thread that the tree was asked for.
        children: oldest first.
    """

    thread_id: str
    title: str
    status: str
    purpose: str
    created_at: datetime
    effects: int
    tokens: int
    forked_at: int | None = None
    forked_inside: tuple[str, ...] = ()
    asked: bool = False
    children: tuple[Tree, ...] = ()
