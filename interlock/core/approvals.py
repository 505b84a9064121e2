"""Where the answers of people stand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from interlock.core.site import Site, forget_bare_answer, this_run


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
    done meanwhile asks no more, and what runs side by side asks in another order: so it is kept here which question
    each value answers.
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

    async def ask(
        self, site: Site, payload: Mapping[str, Any], form: Any
    ) -> Any:  # a schema, and its value
        """Stop the run until LangGraph has the value that answers this question, and return it.

        Args:
            site: where it is asked.
            payload: what the interrupt carries.
            form: its `response_schema`; a value that does not fit is refused, and the question stays open.
        """
        question = payload["question"]
        if question["kind"] == "approval" and question["effect"]:
            self._asked.add(question["effect"])
        own = _Place(question["id"], question["effect"], form)
        places, run = self._places.setdefault((site.thread_id, site.task), []), _run(site)
        while own not in places[: len(run.taken)]:
            run.take(places, own, payload)
            await forget_bare_answer()
        return run.taken[places.index(own)]

    def skip(self, site: Site, effect: str) -> None:
        """Take the values of the questions about an effect that asks no more, so that others do not get them."""
        places, run = self._places.get((site.thread_id, site.task), []), _run(site)
        about = [number for number, each in enumerate(places) if each.effect == effect]
        with suppress(GraphInterrupt):
            while about and len(run.taken) <= about[-1]:
                run.taken.append(interrupt(None, response_schema=places[len(run.taken)].form))


@dataclass(frozen=True, slots=True)
class _Place:
    """The question that a resume value answers, by its place in LangGraph's order."""

    question_id: str
    effect: str
    form: Any = field(compare=False)  # a type that pydantic validates


_NOBODY = _Place("", "", None)
"""Whose place it is where LangGraph has a value although nothing was asked: a second answer, or an old one."""


@dataclass(slots=True)
class _Run:
    """The values that LangGraph handed out in one attempt at a task, in their order."""

    taken: list[Any] = field(default_factory=list)
    stopped: bool = False

    def take(self, places: list[_Place], own: _Place, payload: Mapping[str, Any]) -> None:
        """Take the next value, whichever question it answers; without one the run stops, with this question."""
        place = len(self.taken)
        # Where nothing is known of the task, another process asked, and this must be the answer.
        whose = places[place] if place < len(places) else (_NOBODY if places else own)
        try:
            value = interrupt(payload, response_schema=whose.form)
        except GraphInterrupt:
            if not self.stopped:  # of several side by side, LangGraph shows the first
                self.stopped, places[place:] = True, [own]
            raise
        self.taken.append(value)
        places[place : place + 1] = [whose]


def _run(site: Site) -> _Run:
    return _runs.setdefault(this_run(), {}).setdefault(site.attempt, _Run())


_runs: WeakKeyDictionary[Any, dict[int, _Run]] = WeakKeyDictionary()
