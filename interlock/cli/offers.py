"""Which graphs can be run, and what they take: of the application here, or of a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from interlock.errors import InterlockError

if TYPE_CHECKING:
    from interlock.application import Application
    from interlock.cli.call import Call
    from interlock.remote.facts import GraphInput

Properties = Mapping[str, Mapping[str, Any]]
"""JSON Schema of each key of an input."""


class Offer(Protocol):
    """Graphs that can be run."""

    def names(self) -> list[str]:
        """Return their names."""

    def about(self, name: str) -> str:
        """Return what one says about itself; raises `NotFound`, `UsageError`."""

    def properties(self, name: str) -> Properties:
        """Return what its input takes; raises as `about`."""


def offer_of(call: Call) -> Offer:
    """Return what a call can run; raises `UsageError` where there is nothing."""
    from interlock.application import Application

    if call.address():
        return OfferThere(call)
    return OfferHere(Application.find(call.settings().config))


class OfferHere:
    """The graphs of a langgraph.json."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def names(self) -> list[str]:
        """Return their names."""
        return sorted(self._application.targets)

    def about(self, name: str) -> str:
        """Return the first paragraph of what the graph's module says about itself."""
        self._application.graph(name)
        return self._application.about(name)

    def properties(self, name: str) -> Properties:
        """Return what its input takes."""
        from interlock.inputs import input_properties

        return input_properties(self._application.graph(name))


class OfferThere:
    """The graphs of a server."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._known: dict[str, GraphInput] = {}

    def names(self) -> list[str]:
        """Return their names."""
        with self._call.remote() as remote:
            return sorted(each.name for each in remote.graphs())

    def about(self, name: str) -> str:
        """Return what one says about itself."""
        return self._input(name).about

    def properties(self, name: str) -> Properties:
        """Return what its input takes."""
        return self._input(name).properties

    def _input(self, name: str) -> GraphInput:
        if name not in self._known:
            with self._call.remote() as remote:
                self._known[name] = remote.graph_input(name)
        return self._known[name]


def names_of(call: Call) -> list[str]:
    """Return the names of what a call can run; none where there is no langgraph.json."""
    if call.address():
        return OfferThere(call).names()
    try:
        return offer_of(call).names()
    except InterlockError:
        return []
