"""How a graph is driven, beyond what it is given: what a client of the server may say of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Durability = Literal["sync", "async", "exit"]
"""When LangGraph saves: after each superstep, while the next one runs, or at the end alone."""

ALL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driving:
    """What LangGraph is told of a run beside its input; all of it is JSON, and is stored with the run.

    Attributes:
        stream_modes: what of it goes to the log of streams; empty for nothing.
        stream_subgraphs: whether what subgraphs do goes there, too.
        interrupt_before: nodes that it stops before; `("*",)` for all.
        interrupt_after: nodes that it stops after; as above.
        durability: when it saves.
        configurable: for nodes, as `config["configurable"]`; keys that are Interlock's or LangGraph's own are refused.
        tags: of its traces.
        recursion_limit: supersteps; never more than its graph declares, None for that.
        metadata: a client's own, written into its checkpoints.
        checkpoint: that it starts from, as `{"checkpoint_id", "checkpoint_ns"}`; empty for the thread's latest.
        command: LangGraph's `Command` as JSON, `update` and `goto`; an answer (`resume`) is none: it goes through
            `Answers`.
        goes_on: it has no input, and goes on from the checkpoint.
    """

    stream_modes: tuple[str, ...] = ()
    stream_subgraphs: bool = False
    interrupt_before: tuple[str, ...] = ()
    interrupt_after: tuple[str, ...] = ()
    durability: Durability = "sync"
    configurable: Mapping[str, Any] = field(default_factory=dict)  # JSON
    tags: tuple[str, ...] = ()
    recursion_limit: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON
    checkpoint: Mapping[str, str] = field(default_factory=dict)
    command: Mapping[str, Any] = field(default_factory=dict)  # JSON
    goes_on: bool = False
