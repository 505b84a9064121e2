"""Where the answers of people stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from langgraph.types import interrupt

from interlock.core.site import Site, nth


@runtime_checkable
class Approvals(Protocol):
    """The port: where answers stand; in Postgres in `interlock.postgres.approvals`."""

    async def answer(self, question_id: str) -> Mapping[str, Any] | None:
        """Return the stored answer, `{"decisions": [...], "by": ...}`; None while the question is open."""
        ...


class InProcess:
    """The approvals of plain `graph.invoke`: an answer comes with LangGraph's own resume value.

    LangGraph hands resume values out by the order of a task's `interrupt` calls. When the task runs again, what was
    done meanwhile asks no more, and the order would shift: so it is kept here.
    """

    def __init__(self) -> None:
        self._order: dict[tuple[str, str], list[str]] = {}

    async def answer(self, question_id: str) -> Mapping[str, Any] | None:
        """Return None."""
        return None

    def skip(self, site: Site, question_id: str) -> None:
        """Take the values that belong to the questions which this task asked earlier and does not ask again."""
        order = self._order.setdefault((site.thread_id, site.task), [])
        if question_id not in order:
            order.append(question_id)
        called = nth(_CALLED)
        while called < order.index(question_id):
            interrupt(None)
            called = nth(_CALLED)


_CALLED = "interrupt"
