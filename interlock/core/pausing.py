"""The way in which a node pauses, for a person or until a time, and what becomes of one that catches that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from langgraph._internal._constants import CONF, CONFIG_KEY_SEND  # pinned, and a test holds them
from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from interlock.errors import UsageError


def pause(value: Any, what: str, *, response_schema: Any = None) -> Any:  # LangGraph's `interrupt`
    """Stop the running node until LangGraph has a value for it, and return that.

    What stops a node is an exception of LangGraph's. A node that catches everything would go on as if it had not
    asked, or had slept; here it cannot end then: what it returns is refused, and its run fails.

    Args:
        value: what the interrupt carries.
        what: the node does, as in "caught what its sleep raises".
        response_schema: a value that does not fit is refused.
    """
    try:
        return interrupt(value, response_schema=response_schema)
    except GraphInterrupt:
        _seal(what)
        raise


def _seal(what: str) -> None:
    """Let the running task write nothing more."""
    config = get_config()
    node = config.get("metadata", {}).get("langgraph_node", "")

    def refuse(_: Sequence[Any]) -> NoReturn:  # LangGraph's writes
        raise UsageError(
            f"The node {node!r} caught what {what} raises, and went on.",
            hint="Write `except GraphBubbleUp: raise` (from langgraph.errors) before `except Exception`.",
        )

    config[CONF][CONFIG_KEY_SEND] = refuse
