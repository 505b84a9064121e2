"""The life of questions against a model of a few lines: any order of asking, answering, voting, editing and waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import interlock
from interlock import Approve, Edit, Interlock, Reject
from interlock.core.answers import AnswerForm
from interlock.core.questions import OpenQuestion
from interlock.errors import AnswerRefused, ThreadBusy
from tests.questions import ask, identity, pass_time, sql

CONFIG = Path(__file__).parents[1] / "sample" / "langgraph.json"
WITHIN = 100
TERMS: tuple[dict[str, Any], ...] = (
    {},
    {"who": ["ann", "bob"]},
    {"needed": 2, "within": WITHIN},
    {"needed": 2, "who": ["ann", "bob"], "within": WITHIN, "default": "approve"},
)
PEOPLE = st.sampled_from(["ann", "Ann ", "bob", "cleo", ""])
NUMBERS = st.integers(0, len(TERMS) - 1)


@dataclass
class Model:
    """What a question is, said as shortly as possible."""

    terms: dict[str, Any]
    status: str = "open"
    amount: int = 5
    edited: bool = False
    agreed: list[str] = field(default_factory=list)
    answered: str = ""
    age: int = 0

    @property
    def over(self) -> bool:
        return "within" in self.terms and self.age >= WITHIN

    def takes(self, by: str) -> bool:
        """Whether an answer of this person counts at all."""
        name, needed = by.strip().lower(), self.terms.get("needed", 1)
        may = not self.terms.get("who") or name in self.terms["who"]
        return bool(self.status == "open" and not self.over and may and (name or needed == 1))

    def agrees(self, by: str) -> bool:
        """Count an approval of what is proposed now; return whether it settles the question."""
        self.agreed.append(by.strip().lower())
        return len(self.agreed) >= int(self.terms.get("needed", 1))


class Life(RuleBasedStateMachine):
    """Four questions of one thread, each with other terms; the thread's run is started when an answer was taken."""

    url: ClassVar[str]
    loop: ClassVar[asyncio.AbstractEventLoop]
    il: ClassVar[Interlock]
    rounds: ClassVar[int] = 0
    thread: str
    models: dict[str, Model]
    busy: bool

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # whatever it returns
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        type(self).rounds += 1
        self.thread = f"t{self.rounds}"
        self.run(ask(self.il.store, *TERMS, thread=self.thread))
        self.models = {identity(self.thread, str(n)): Model(each) for n, each in enumerate(TERMS)}
        self.busy = False
        self.seen: set[str] = set()

    @rule(number=NUMBERS, by=PEOPLE)
    def approve(self, number: int, by: str) -> None:
        question, model = self.pick(number)
        fits = model.takes(by) and not (
            model.terms.get("needed", 1) > 1 and by.strip().lower() in model.agreed
        )
        named = question.request if model.edited else ""
        if self.takes(Approve(question.id, by, digest=named), fits, lambda: model.agrees(by)):
            model.answered = "edit" if model.edited else "approve"

    @rule(number=NUMBERS, by=PEOPLE)
    def approve_unread(self, number: int, by: str) -> None:
        """An approval that names the first digest after an edit is never counted."""
        question, model = self.pick(number)
        if model.edited:
            self.takes(Approve(question.id, by, digest=question.digest), False, lambda: False)

    @rule(number=NUMBERS, by=PEOPLE, amount=st.sampled_from([3, 4]))
    def edit(self, number: int, by: str, amount: int) -> None:
        question, model = self.pick(number)
        named = question.request if model.edited else ""

        def settle() -> bool:
            model.amount, model.edited, model.agreed = amount, True, []
            return model.agrees(by)

        answer = Edit(question.id, {"amount": amount}, by, digest=named)
        if self.takes(answer, model.takes(by), settle):
            model.answered = "edit"

    @rule(number=NUMBERS, by=PEOPLE)
    def reject(self, number: int, by: str) -> None:
        question, model = self.pick(number)
        if self.takes(Reject(question.id, "no", by), model.takes(by), lambda: True):
            model.answered = "reject"

    @rule(seconds=st.sampled_from([10, 60]))
    def wait(self, seconds: int) -> None:
        self.run(pass_time(self.url, seconds))
        for model in self.models.values():
            model.age += seconds

    @rule()
    def sweep(self) -> None:
        taken = {each.question_id for each in self.run(self.il.asweep()) if each.step == "expired"}
        due = {name for name, each in self.models.items() if each.status == "open" and each.over}
        assert taken & self.models.keys() == (set() if self.busy else due)
        for name in taken & self.models.keys():
            model = self.models[name]
            approves = model.terms.get("default") == "approve" and not model.edited
            model.answered = "approve" if approves else "reject"
            model.status = "answered"
            self.busy = True

    @rule()
    def work(self) -> None:
        """The run that was accepted goes on and comes to the same questions again."""
        if self.busy:
            self.run(ask(self.il.store, *TERMS, thread=self.thread))
            self.busy = False

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "models"):
            return
        for question in self.run(self.il.approvals.questions(self.thread)):
            model = self.models[question.id]
            assert (question.status, question.arguments["amount"]) == (model.status, model.amount)
            if model.status == "open":
                assert [each.by.strip().lower() for each in question.votes] == model.agreed
            elif question.id not in self.seen:
                self.seen.add(question.id)
                self.check_answer(question, model)

    def check_answer(self, question: OpenQuestion, model: Model) -> None:
        answer = self.run(self.il.approvals.answer(question.id))
        statement = "select granted from interlock.questions where question_id = %s"
        [row] = self.run(sql(self.url, statement, question.id))
        assert answer["decisions"][0]["type"] == model.answered
        assert row["granted"] == ("" if model.answered == "reject" else question.request)

    def pick(self, number: int) -> tuple[OpenQuestion, Model]:
        name = identity(self.thread, str(number))
        return self.run(self.il.approvals.question(name)), self.models[name]

    def takes(
        self, answer: AnswerForm, fits: bool, settle: Any
    ) -> bool:  # returns whether it settles
        """Give an answer and return whether it settled its question."""
        model = self.models[answer.question_id]
        if not fits:
            with pytest.raises(AnswerRefused):
                self.run(self.il.asubmit_answer(self.thread, answer))
            return False
        before = (model.amount, model.edited, list(model.agreed))
        settled = bool(settle())
        if settled and self.busy:
            model.amount, model.edited, model.agreed = before
            with pytest.raises(ThreadBusy):
                self.run(self.il.asubmit_answer(self.thread, answer))
            return False
        self.run(self.il.asubmit_answer(self.thread, answer))
        if settled:
            model.status, self.busy = "answered", True
        return settled


def test_the_life_of_questions_is_that_of_the_model(database_url: str) -> None:
    """Whatever is done in whatever order, each question stands where the model says, with what was granted."""
    with asyncio.Runner() as runner:
        manager = interlock.aopen(database_url, config=CONFIG)
        Life.loop, Life.url, Life.rounds = runner.get_loop(), database_url, 0
        Life.il = runner.run(manager.__aenter__())
        try:
            run_state_machine_as_test(
                Life,
                settings=settings(
                    max_examples=25,
                    stateful_step_count=15,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(manager.__aexit__(None, None, None))
