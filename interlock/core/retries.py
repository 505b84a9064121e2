"""Lets what a retry policy runs again find its subgraphs under the names that they had before.

LangGraph numbers the subgraphs that a task runs, and tells a retried task to let them go on where they were. But the
numbers of 1.2 go on too, so that the retried subgraph begins anew under a name that nothing was recorded for: what it
did would be done again.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from langgraph._internal._constants import CONF, CONFIG_KEY_RESUMING, CONFIG_KEY_SCRATCHPAD
from langgraph.pregel._algo import (
    LazyAtomicCounter,
)  # not public; versions are pinned, a test holds it

_retry: Any = import_module("langgraph.pregel._retry")  # it exports nothing
_patch = _retry.patch_configurable


def number_anew() -> None:
    """Number a task's subgraphs from the first again in each attempt that a retry policy makes, in this process."""
    _retry.patch_configurable = _patched


def _patched(config: Any, patch: dict[str, Any]) -> Any:  # LangGraph's configuration
    # LangGraph sets this flag in one place: after a failure, before the next attempt.
    if patch.get(CONFIG_KEY_RESUMING):
        counter = getattr(config[CONF].get(CONFIG_KEY_SCRATCHPAD), "subgraph_counter", None)
        if isinstance(counter, LazyAtomicCounter):
            counter._counter = None
    return _patch(config, patch)
