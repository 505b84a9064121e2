"""What a callback handler must see to when it refuses a model call: LangChain leaves things behind.

It logs a warning, which is none; it begins several calls together, and tells nobody of those that were begun beside
the refused one; and it makes the coroutines of all handlers before it awaits the first, so that the rest of them
would be complained of as never awaited.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from uuid import UUID

_EXPECTED = ("BudgetSpent(", "Killed(", "ReplayDiverged(", "RunCancelled(")


def _unexpected(record: logging.LogRecord) -> bool:
    return not any(str(each).startswith(_EXPECTED) for each in record.args or ())


logging.getLogger("langchain_core.callbacks.manager").addFilter(_unexpected)


@contextmanager
def refusing() -> Iterator[None]:
    """End what LangChain would leave unawaited, when a handler raises in this block."""
    try:
        yield
    except Exception:
        begun_beside(sys._getframe(1))
        raise


def begun_beside(frame: FrameType | None) -> list[UUID]:
    """Return the calls that LangChain begins together with a refused one; end what it would leave unawaited."""
    while frame is not None and "managers" not in frame.f_locals:
        frame = frame.f_back
    if frame is None:
        return []
    for task in frame.f_locals.get("inline_tasks", ()):
        if inspect.getcoroutinestate(task) == inspect.CORO_CREATED:
            task.close()
    return [manager.run_id for manager in frame.f_locals["managers"]]
