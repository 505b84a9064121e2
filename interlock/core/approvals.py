"""Where the answers of people stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from interlock.core.site import Site, keep_answers, this_run


@runtime_checkable
class Approvals(Protocol):
    """The port: where answers stand; in Postgres in `interlock.postgres.approvals`."""

    async def answer(
        self, question_id: str, *, site: Site, digest: str
    ) -> Mapping[str, Any] | None:
        """Return the stored answer, `{"decisions": [...], "by": ...}`; None while the question is open.

        Args:
            question_id: the same in each attempt at the task.
            site: where it is asked.
            digest: of the action and its arguments; with the site it finds the answer on the thread that is replayed.

        Raises:
            ReplayDiverged: this is a replay, and the question was not asked then.
        """
        ...


class InProcess:
    """The approvals of plain `graph.invoke`: an answer comes with LangGraph's own resume value.

    LangGraph hands a task's resume values out by the order of its `interrupt` calls. When the task runs again, what was
    done meanwhile asks no more, what runs side by side asks in another order, and a retry goes on counting: so which
    question each value answers is kept here.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[_Place]] = {}
        self._asked: set[str] = set()

    async def answer(
        self, question_id: str, *, site: Site, digest: str
    ) -> Mapping[str, Any] | None:
        """Return None."""
        return None

    def was_asked(self, effect: str) -> bool:
        """Say whether a person was asked for permission for an effect: then only the answer may open it."""
        return effect in self._asked

    def ask(
        self, site: Site, question_id: str, payload: Any, form: Any, *, permits: str = ""
    ) -> Any:  # an interrupt's value, its schema, and what the schema makes of the answer
        """Stop the run until LangGraph has the value that answers this question, and return it.

        Args:
            site: where it is asked.
            question_id: the same in each attempt at the task.
            payload: what the interrupt carries.
            form: its `response_schema`; a value that does not fit is refused, and the question stays open.
            permits: key of the effect that the answer permits.
        """
        if permits:
            self._asked.add(permits)
        places = self._places.setdefault((site.thread_id, site.task), [])
        own, run = _Place(question_id, form), _runs.setdefault(this_run(), _Run())
        while own not in places[: len(run.taken)]:
            run.take(places, own, payload)
        keep_answers()
        return run.taken[places.index(own)]


@dataclass(frozen=True, slots=True)
class _Place:
    """The question that a resume value answers, by its place in LangGraph's order."""

    question_id: str
    form: Any = field(compare=False)  # a type that pydantic validates


@dataclass(slots=True, weakref_slot=True)
class _Run:
    """The values that LangGraph handed out in one run of a task, in their order."""

    taken: list[Any] = field(default_factory=list)
    stopped: bool = False

    def take(self, places: list[_Place], own: _Place, payload: Any) -> None:
        """Take the next value, whichever question it answers; without one the run stops, with this question."""
        place = len(self.taken)
        whose = places[place] if place < len(places) else own
        try:
            self.taken.append(interrupt(payload, response_schema=whose.form))
        except GraphInterrupt:
            if not self.stopped:  # of several side by side, LangGraph shows the first
                self.stopped, places[place:] = True, [own]
            raise
        places[place:] = [whose, *places[place + 1 :]]


_runs: WeakKeyDictionary[Any, _Run] = WeakKeyDictionary()
