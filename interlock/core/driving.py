"""How a graph is driven, beyond what it is given: what a client of the server may say of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal

Durability = Literal["sync", "async", "exit"]
"""When LangGraph saves: after each superstep, while the next one runs, or at the end alone."""

ALL = "*"
"""Stands for every node."""

KEY = "driving"
"""Under which a run's stored context keeps it."""

YIELDS = "replaces_questions"
"""Under which a run's stored context says that what its thread waits for people for makes way when its turn comes."""

RESERVED = frozenset(
    {
        "thread_id",
        "run_id",
        "checkpoint_id",
        "checkpoint_ns",
        "checkpoint_map",
        "checkpoint_during",
        "thread_ts",
    }
)
"""Keys of `config["configurable"]` that say what LangGraph works on; those that begin with `__` are its own, too."""


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
        inherited: its thread's metadata as it was when the run was asked for, of what the client did not say.
        checkpoint: that it starts from, as `{"checkpoint_id", "checkpoint_ns"}`; empty for the thread's latest.
        command: LangGraph's `Command` as JSON, `update` and `goto`; an answer (`resume`) is none: it goes through
            `Answers`.
        goes_on: it has no input, and goes on from the checkpoint.
        asker: who asked for it, for its nodes, as `identity.asker` returns it; encrypted where values are.
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
    inherited: Mapping[str, Any] = field(default_factory=dict)  # JSON
    checkpoint: Mapping[str, str] = field(default_factory=dict)
    command: Mapping[str, Any] = field(default_factory=dict)  # JSON
    goes_on: bool = False
    asker: Mapping[str, Any] = field(default_factory=dict)  # JSON

    @classmethod
    def of(cls, context: Mapping[str, Any], run_id: str) -> Driving:  # as it is stored with a run
        """Return how a run is driven; what its context took over from another run is without what that began with."""
        said = context.get(KEY)
        if not isinstance(said, Mapping):
            return cls()
        known = _names()  # later versions may store more
        given = {name: _frozen(value) for name, value in said.items() if name in known}
        driving = cls(**given)
        return driving if said.get("run_id") == run_id else driving.lasting()

    def lasting(self) -> Driving:
        """Return what also holds for the run that goes on after an answer or a sleep.

        The checkpoint tells it what its branch leaves behind; it starts where the other one stood.
        """
        return replace(self, command={}, goes_on=False)

    def after(self, context: Mapping[str, Any]) -> Driving:  # as it is stored with the run before
        """Return how a run is driven that goes on with another one, in the same branch of its thread."""
        return replace(self, checkpoint=Driving.of(context, "").checkpoint)

    def stored(self, run_id: str) -> dict[str, Any]:  # JSON
        """Return what a run's context keeps of it: what differs from nothing said, and whose it is."""
        plain = Driving()
        said = {name: getattr(self, name) for name in _names()}
        changed = {name: said[name] for name in said if said[name] != getattr(plain, name)}
        return {KEY: {**changed, "run_id": run_id}} if changed else {}


@cache
def _names() -> tuple[str, ...]:
    return tuple(each.name for each in fields(Driving))


def is_reserved(name: str) -> bool:
    """Say whether a key of `config["configurable"]` is Interlock's or LangGraph's own."""
    return name.startswith("__") or name in RESERVED


def without_reserved(configurable: Mapping[str, Any]) -> dict[str, Any]:  # JSON
    """Return what a client may set of `config["configurable"]`: some send all that they were given."""
    return {key: value for key, value in configurable.items() if not is_reserved(key)}


def _frozen(value: Any) -> Any:  # a field of Driving, as JSON
    return tuple(value) if isinstance(value, list) else value
