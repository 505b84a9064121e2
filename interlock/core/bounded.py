"""What a graph declares of itself: its limits, where it lands, its loops, its schema's version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.typing import ContextT, InputT, OutputT, StateT

from interlock.core.budget import Limits
from interlock.core.declared import DeclaredGraph
from interlock.core.failures import Retries, check_retries
from interlock.core.guarding import guard_nodes
from interlock.core.landing import meter_nodes
from interlock.core.looping import Guard
from interlock.core.loops import Loops
from interlock.core.sync import sync_too
from interlock.core.trails import GUARD
from interlock.errors import UsageError

Migration = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Takes the values of a state of one version, and returns those of the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a graph declares of itself.

    Attributes:
        steps: supersteps of one run, over all loops.
        limits: what one run may take unless its caller says otherwise.
        land: the node that delivers what there is when a budget is spent; empty for none.
        loops: when it is taken to go round in circles; None for no guard.
        version: of the state's schema.
        migrations: version -> what makes values of the next version of its values.
        renamed_nodes: old name -> present one; threads that wait in a node go on in it.
        milestones: nodes whose checkpoints are always kept.
        retries: how failures of runs that workers do are retried, by kind; what is not named has its default.
        holds_when_dead: what is queued on a thread behind a run that died waits until its letter is closed.
    """

    steps: int
    limits: Limits = field(default_factory=Limits)
    land: str = ""
    loops: Loops | None = None
    version: int = 1
    migrations: Mapping[int, Migration] = field(default_factory=dict)
    renamed_nodes: Mapping[str, str] = field(default_factory=dict)
    milestones: tuple[str, ...] = ()
    retries: Retries = field(default_factory=dict)
    holds_when_dead: bool = False

    def __post_init__(self) -> None:
        """Refuse a number of steps that LangGraph would take for none given, and kinds that are not retried."""
        check_retries(self.retries)
        if self.steps < 1:
            raise UsageError(
                f"Declaration(steps={self.steps}) is no limit.",
                hint="Write how many supersteps one run may take, 1 or more.",
            )


_DECLARED: WeakKeyDictionary[StateGraph[Any, Any, Any, Any], Declaration] = WeakKeyDictionary()


def bounded(
    builder: StateGraph[StateT, ContextT, InputT, OutputT], declaration: Declaration, *, name: str
) -> CompiledStateGraph[StateT, ContextT, InputT, OutputT]:
    """Compile a graph, without a checkpointer, so that it keeps what it declares; for `ainvoke` and `invoke`."""
    if builder not in _DECLARED:
        guard_nodes(builder, graph=name)
    _DECLARED[builder] = declaration
    guard = (
        Guard(graph=name, loops=declaration.loops, land=declaration.land)
        if declaration.loops
        else None
    )
    if guard and GUARD not in builder.nodes:
        guard.join(builder)
    compiled = sync_too(builder).compile(name=name)
    if guard:
        guard.watch(compiled)
    meter_nodes(compiled, declaration.land)
    budgeted: DeclaredGraph[StateT, ContextT, InputT, OutputT] = DeclaredGraph(
        limits=declaration.limits, land=declaration.land, **_parts_of(compiled)
    )
    return budgeted.with_config(recursion_limit=declaration.steps)


def _parts_of(compiled: CompiledStateGraph[Any, Any, Any, Any]) -> dict[str, Any]:
    """Return what LangGraph makes a copy of a compiled graph from."""
    return {name: each for name, each in vars(compiled).items() if name != "__orig_class__"}


def declaration_of(graph: CompiledStateGraph[Any, Any, Any, Any]) -> Declaration | None:
    """Return what a compiled graph declares of itself; None for one that was not compiled by `bounded`."""
    return _DECLARED.get(graph.builder)
