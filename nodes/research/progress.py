"""Tell whoever watches what a node just did."""

from __future__ import annotations

from langgraph.runtime import Runtime

from interlock.core.context import Context
from state.research import Event


def tell(runtime: Runtime[Context], event: Event) -> None:
    """Send one event to the stream mode `custom`; nobody has to listen."""
    runtime.stream_writer(event)
