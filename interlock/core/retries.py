"""Lets what a retry policy runs again find its subgraphs and called tasks under the names that they had before.

LangGraph numbers the subgraphs that a task runs and the `@task` functions that it calls, and tells a retried task to
let them go on where they were. But the numbers of 1.2 go on too, so that what is retried begins anew under a name that
nothing was recorded for: what it did would be done again.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from langgraph._internal._constants import (
    CONF,
    CONFIG_KEY_CALL,
    CONFIG_KEY_RESUMING,
    CONFIG_KEY_SCRATCHPAD,
)
from langgraph.pregel._algo import (
    LazyAtomicCounter,
)  # not public; versions are pinned, a test holds it

_retry: Any = import_module("langgraph.pregel._retry")  # it exports nothing
_patch = _retry.patch_configurable
_COUNTERS = ("subgraph_counter", "call_counter")


def number_anew() -> None:
    """Number what a task runs from the first again in each attempt that a retry policy makes, in this process."""
    _retry.patch_configurable = _patched


def _patched(config: Any, patch: dict[str, Any]) -> Any:  # LangGraph's configuration
    # LangGraph sets this flag in one place: after a failure, before the next attempt.
    if patch.get(CONFIG_KEY_RESUMING):
        _count_anew(config[CONF].get(CONFIG_KEY_SCRATCHPAD))
        _tell_the_called(config[CONF].get(CONFIG_KEY_CALL))
    return _patch(config, patch)


def _count_anew(scratchpad: object) -> None:
    for name in _COUNTERS:
        counter = getattr(scratchpad, name, None)
        if isinstance(counter, LazyAtomicCounter):
            counter._counter = None


def _tell_the_called(call: object) -> None:
    """Let the subgraphs of what the task calls go on too; LangGraph tells those that the task itself runs."""
    task = call.args[0]() if isinstance(call, partial) else None
    if task is not None:  # from its configuration that of the called one is made
        task.config[CONF][CONFIG_KEY_RESUMING] = True
