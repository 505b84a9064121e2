"""What of a thread a client wants to hear."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from interlock.server.v3.folding import Event, Namespace

LARGEST = 2**53
"""Numbers that JavaScript holds."""

CHANNELS = "values|updates|messages|tools|lifecycle|input|checkpoints|tasks|custom(:.+)?"

Channel = Annotated[str, Field(pattern=f"^({CHANNELS})$", max_length=200)]
Path = Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=50)]


class Wanted(BaseModel):
    """A subscription.

    Attributes:
        channels: what is sent; `custom:NAME` for what a graph writes under a name.
        namespaces: of which subgraphs; default: of all. `inner` stands for each `inner:…`.
        depth: how far below these.
        since: the last `seq` that the client has; default: from the beginning of the run that the thread is at.
    """

    channels: Annotated[list[Channel], Field(min_length=1, max_length=100)]
    namespaces: Annotated[list[Path], Field(max_length=100)] | None = None
    depth: Annotated[int, Field(ge=0, le=100)] | None = None
    since: Annotated[int, Field(ge=0, le=LARGEST)] | None = None

    def wants(self, event: Event) -> bool:
        """Say whether an event is sent."""
        return self._names(event.method, event.data) and self._reaches(event.namespace)

    def _names(self, method: str, data: Any) -> bool:
        if method == "input.requested":
            return "input" in self.channels
        if method == "custom" and "name" in data:
            return f"custom:{data['name']}" in self.channels or "custom" in self.channels
        return method in self.channels

    def _reaches(self, namespace: Namespace) -> bool:
        if not self.namespaces:
            return True
        return any(
            _begins(namespace, prefix)
            and (self.depth is None or len(namespace) - len(prefix) <= self.depth)
            for prefix in self.namespaces
        )


def _begins(namespace: Namespace, prefix: list[str]) -> bool:
    if len(prefix) > len(namespace):
        return False
    return all(
        part == wanted or part.partition(":")[0] == wanted
        for part, wanted in zip(namespace, prefix, strict=False)
    )
