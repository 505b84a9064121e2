"""LangGraph's internal names that are read or written here: a release of it may change them, and a test holds them."""

from __future__ import annotations

from typing import Final

READ: Final = "__pregel_read"
"""Under which a task's configuration has what reads its channels."""

CHECKPOINTER: Final = "__pregel_checkpointer"
"""Under which a task's configuration has what saves the graphs in it."""

RUNTIME: Final = "__pregel_runtime"
"""Under which a task's configuration has its `Runtime`."""

BRANCH: Final = "branch:to:"
"""Begins the channel that leads to a node, whose name follows."""

JOIN: Final = "join:"
"""Begins the channel of an edge from several nodes."""

INTERNAL: Final = ("__", "branch:", JOIN)
"""How channels begin that are no keys of the state."""


def is_key(channel: str) -> bool:
    """Say whether a channel is a key of the state."""
    return not channel.startswith(INTERNAL)
