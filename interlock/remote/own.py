"""What the command line asks a server beside the runtime's own methods: their signatures bind both sides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from interlock.core.budget import Limits
from interlock.core.kills import KillScope
from interlock.core.runs import Run
from interlock.documents.bounds import Told
from interlock.drawing import Drawing
from interlock.remote.facts import (
    Explained,
    GraphFacts,
    GraphInput,
    PolicyFacts,
    ReplayFacts,
)


class Own(ABC):
    """Questions to a server."""

    @abstractmethod
    def ask(self, method: str, **arguments: Any) -> Any:  # as the method's signature says
        """Ask a server, and return what it says."""

    def graphs(self) -> list[GraphFacts]:
        """Return the graphs that it serves, by name."""
        found: list[GraphFacts] = self.ask("graphs")
        return found

    def graph_input(self, graph: str) -> GraphInput:
        """Return what a graph takes; raises `NotFound`, `UsageError`."""
        found: GraphInput = self.ask("graph_input", graph=graph)
        return found

    def drawing(self, graph: str, *, xray: bool) -> Drawing:
        """Return a graph as it is drawn; raises `NotFound`, `UsageError`."""
        found: Drawing = self.ask("drawing", graph=graph, xray=xray)
        return found

    def fitting(
        self, thread_id: str, at: int | str, values: Mapping[str, Any]
    ) -> dict[str, Any]:  # the state at a step
        """Return values as the state at a step takes them; raises `NotFound`, `UsageError`."""
        found: dict[str, Any] = self.ask("fitting", thread_id=thread_id, at=at, values=values)
        return found

    def go_on(
        self, thread_id: str, *, model: str | None = None, limits: Limits | None = None
    ) -> Run:
        """Hand a thread that crashed, was stopped or failed to the workers again, and return its run.

        Raises:
            NotFound: no such thread.
            ThreadBusy: a process works on it.
            UsageError: there is nothing to go on with.
        """
        found: Run = self.ask("go_on", thread_id=thread_id, model=model, limits=limits)
        return found

    def kills_told(self, *, lifted: bool) -> list[Told]:
        """Return the kill switches with what they hold; also those that were lifted, if wanted."""
        found: list[Told] = self.ask("kills_told", lifted=lifted)
        return found

    def kill_told(self, number: int) -> Told:
        """Return one switch; raises `NotFound`."""
        found: Told = self.ask("kill_told", number=number)
        return found

    def kill_thrown(self, kind: KillScope, name: str, *, reason: str) -> Told:
        """Throw a switch, and return it as it stands at once."""
        found: Told = self.ask("kill_thrown", kind=kind, name=name, reason=reason)
        return found

    def kill_lifted(self, number: int, *, reason: str) -> Told:
        """Lift a switch; raises `NotFound`."""
        found: Told = self.ask("kill_lifted", number=number, reason=reason)
        return found

    def policy_told(self) -> PolicyFacts:
        """Return the policy that holds there."""
        found: PolicyFacts = self.ask("policy_told")
        return found

    def policy_explained(self, facts: Mapping[str, Any]) -> Explained:  # JSON
        """Return which rule decides on an act, and why those before it do not; raises `UsageError`."""
        found: Explained = self.ask("policy_explained", facts=facts)
        return found

    def replayed(
        self, thread_id: str, *, at: int | str | None = None, live_tools: Sequence[str] = ()
    ) -> ReplayFacts:
        """Run a thread again out of its records, in the server; as `Interlock.replay`."""
        found: ReplayFacts = self.ask("replayed", thread_id=thread_id, at=at, live_tools=live_tools)
        return found
