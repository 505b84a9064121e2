"""Handlers that no call escapes.

Handlers that stand in a run's configuration are inherited by each call in it, unless that call is given callbacks of
its own: LangChain then forgets the inherited ones. Those that stand here are added to every call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

PLACES = 2
"""How many handlers may stand around a run: LangChain wants a variable for each, and looks at all for each node."""

_Place = ContextVar[BaseCallbackHandler | None]

_PLACES: tuple[_Place, ...] = tuple(
    ContextVar(f"interlock_handler_{number}", default=None) for number in range(PLACES)
)
for _place in _PLACES:  # a handler that a call has inherited, too, is told once
    register_configure_hook(_place, inheritable=True)


@contextmanager
def inescapable(handlers: Sequence[BaseCallbackHandler]) -> Iterator[None]:
    """Let every call of a model or a tool in a block, and in tasks begun in it, meet these handlers, in this order."""
    if len(handlers) > PLACES:
        raise ValueError(f"at most {PLACES} handlers stand around a run")
    standing = zip(_PLACES, [*handlers, *[None] * PLACES], strict=False)
    tokens = [(place, place.set(handler)) for place, handler in standing]
    try:
        yield
    finally:
        for place, token in tokens:
            place.reset(token)
