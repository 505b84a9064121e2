"""The gate: what a question carries, and which answers fit it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.runtime import Runtime
from pydantic import ValidationError

from interlock.core.actions import Action, action
from interlock.core.context import Context
from interlock.core.gate import (
    ALL_DECISIONS,
    Decision,
    DecisionType,
    Payload,
    Question,
    ask_person,
    decide,
    read_answer,
)
from interlock.core.site import Site
from interlock.errors import ActionRefused, AnswerRefused
from tests.acting import APPROVE, REJECT, Purse, Rules, Thread, context, one_node, own_actions


@pytest.fixture
def pay() -> Iterator[Action[int]]:
    """A declared action."""
    with own_actions():

        @action(name="unit_pay", touches="the purse", nodes=("pay",), reversible=False)
        async def pay(amount: int, to: str = "Ada") -> int:
            return amount

        yield pay


def ask(pay: Action[int], *decisions: DecisionType, **arguments: Any) -> Payload:
    """Return the payload of a question about a payment."""
    return Question(
        action=pay,
        arguments=arguments or {"amount": 3},
        summary="Pay Ada?",
        evidence=("an invoice",),
        consequences={"approve": "She is paid."},
        decisions=decisions or ALL_DECISIONS,
    ).payload("q1", "c1")


def test_payload_is_that_of_the_human_in_the_loop_middleware(pay: Action[int]) -> None:
    """Clients that know `HITLRequest` can show it; ours find more beside it."""
    payload = ask(pay, "approve", "reject")

    assert payload["action_requests"] == [
        {"name": "unit_pay", "args": {"amount": 3, "to": "Ada"}, "description": "Pay Ada?"}
    ]
    (config,) = payload["review_configs"]
    assert (config["action_name"], config["allowed_decisions"]) == (
        "unit_pay",
        ["approve", "reject"],
    )
    assert payload["question"]["summary"] == "Pay Ada?"
    assert payload["question"]["evidence"] == ["an invoice"]
    assert payload["question"]["consequences"] == {"approve": "She is paid."}
    assert (payload["question"]["id"], payload["question"]["checkpoint_id"]) == ("q1", "c1")


def test_question_about_wrong_arguments_cannot_be_asked(pay: Action[int]) -> None:
    """A person is not asked about an act that could not be done."""
    with pytest.raises(ActionRefused, match="The arguments of unit_pay are wrong: amount"):
        ask(pay, amount="much")


def test_digest_binds_the_question_to_its_arguments(pay: Action[int]) -> None:
    """The same arguments are the same question, other arguments another one."""
    three, also_three, four = ask(pay, amount=3), ask(pay, amount="3", to="Ada"), ask(pay, amount=4)

    assert three["question"]["digest"] == also_three["question"]["digest"]
    assert three["question"]["digest"] != four["question"]["digest"]


APPROVED: Decision = {
    "type": "approve",
    "arguments": {"amount": 3, "to": "Ada"},
    "message": "",
    "by": "",
    "question": "q1",
}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"decisions": [{"type": "approve"}], "by": "Bob"}, {**APPROVED, "by": "Bob"}),
        ([{"type": "accept", "args": None}], APPROVED),
        (
            {"decisions": [{"type": "reject", "message": "No."}]},
            {**APPROVED, "type": "reject", "message": "No."},
        ),
        ([{"type": "ignore", "args": None}], {**APPROVED, "type": "reject"}),
        (
            {"decisions": [{"type": "respond", "message": "Why?"}]},
            {**APPROVED, "type": "respond", "message": "Why?"},
        ),
        (
            [{"type": "response", "args": "Why?"}],
            {**APPROVED, "type": "respond", "message": "Why?"},
        ),
        (
            {
                "decisions": [
                    {"type": "edit", "edited_action": {"name": "unit_pay", "args": {"amount": 2}}}
                ]
            },
            {**APPROVED, "type": "edit", "arguments": {"amount": 2, "to": "Ada"}},
        ),
        (
            [{"type": "edit", "args": {"action": "unit_pay", "args": {"amount": 2, "to": "Eve"}}}],
            {**APPROVED, "type": "edit", "arguments": {"amount": 2, "to": "Eve"}},
        ),
    ],
    ids=[
        "approve",
        "accept",
        "reject",
        "ignore",
        "respond",
        "response",
        "edit",
        "older edit",
    ],
)
def test_answer_in_each_form_is_a_decision(
    pay: Action[int], answer: object, expected: Decision
) -> None:
    """Both formats that are about are understood."""
    payload = ask(pay)

    assert decide(payload, read_answer(payload, answer)) == expected


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"decisions": []}, "at least 1 item"),
        ({"decisions": [{"type": "approve"}] * 2}, "at most 1 item"),
        ({"decisions": [{"type": "maybe"}]}, "'approve', 'edit', 'reject' or 'respond'"),
        ({"decisions": [{"type": "approve"}], "digest": "0" * 64}, "it answers question 000000"),
        ({"decisions": [{"type": "respond", "message": " "}]}, "a response needs a message"),
        ({"decisions": [{"type": "edit"}]}, "an edit needs edited_action"),
        (
            {"decisions": [{"type": "edit", "edited_action": {"args": {"amount": "much"}}}]},
            "The arguments of unit_pay are wrong: amount",
        ),
        (
            {"decisions": [{"type": "edit", "edited_action": {"name": "rob", "args": {}}}]},
            "may change the arguments of unit_pay, not the action",
        ),
        ("yes", "valid dictionary"),
        (["yes"], "valid dictionary"),
    ],
    ids=[
        "none",
        "two",
        "unknown",
        "other question",
        "empty response",
        "empty edit",
        "wrong edit",
        "other action",
        "text",
        "list of text",
    ],
)
def test_answer_that_does_not_fit_is_refused(pay: Action[int], answer: object, said: str) -> None:
    """The error says what is wrong with it, and nothing is decided."""
    with pytest.raises(AnswerRefused, match=said):
        read_answer(ask(pay), answer)


def test_answer_that_is_not_offered_is_refused(pay: Action[int]) -> None:
    """A question may offer less than everything."""
    with pytest.raises(AnswerRefused, match="'reject' is not offered here; choose from approve"):
        read_answer(ask(pay, "approve"), {"decisions": [{"type": "reject"}]})


async def test_wrong_answer_leaves_the_question_open(pay: Action[int]) -> None:
    """The same thread can still be answered rightly."""

    async def gate(state: Purse, runtime: Runtime[Context]) -> Purse:
        question = Question(action=pay, arguments={"amount": 3}, summary="Pay?")
        return {"said": await ask_person(runtime, question)}

    thread = Thread(graph=one_node(gate))
    await thread.start()
    with pytest.raises(ValidationError, match="it answers question"):
        await thread.answer(APPROVE, digest="f")
    (payload,) = await thread.questions()
    output = await thread.answer(APPROVE)

    assert payload["question"]["verdict"]["ruling"] == "allow"
    assert output["said"] == {**APPROVED, "question": payload["question"]["id"]}


async def test_equal_questions_of_one_node_are_two(pay: Action[int]) -> None:
    """Who approved one has not approved the other."""

    async def gate(state: Purse, runtime: Runtime[Context]) -> Purse:
        question = Question(action=pay, arguments={"amount": 3}, summary="Pay?")
        decisions = [await ask_person(runtime, question) for _ in range(2)]
        return {"said": [each["type"] for each in decisions]}

    thread = Thread(graph=one_node(gate))
    await thread.start()
    (first,) = await thread.questions()
    await thread.answer(APPROVE)
    (second,) = await thread.questions()
    output = await thread.answer(REJECT)

    assert first["question"]["id"] != second["question"]["id"]
    assert output["said"] == ["approve", "reject"]


async def test_nobody_is_asked_about_what_the_policy_denies(pay: Action[int]) -> None:
    """A person's approval would not open it, so it is not asked for."""

    async def gate(state: Purse, runtime: Runtime[Context]) -> Purse:
        question = Question(action=pay, arguments={"amount": 3}, summary="Pay?")
        return {"said": await ask_person(runtime, question)}

    with pytest.raises(ActionRefused, match="unit_pay is denied by the rule “otherwise”") as told:
        await Thread(graph=one_node(gate), context=context(policy=Rules("deny"))).start()

    assert (told.value.kind, told.value.rule) == ("policy", "otherwise")


class Stored:
    """Approvals that have every answer already."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self.asked: list[tuple[str, str, str]] = []

    async def answer(self, question_id: str, *, site: Site, digest: str) -> dict[str, Any]:
        """Return the answer, and note who asked for it."""
        self.asked.append((question_id, site.node, digest))
        return self._answer


async def test_stored_answer_is_found_by_the_question(pay: Action[int]) -> None:
    """Where answers are kept, the run does not stop: the question's own answer is looked up."""
    question = Question(action=pay, arguments={"amount": 3}, summary="Pay?")
    stored = Stored({"decisions": [{"type": "approve"}], "by": "Bob"})

    async def gate(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await ask_person(runtime, question)}

    thread = Thread(graph=one_node(gate), context=context(approvals=stored))
    output = await thread.start()

    ((name, node, asked),) = stored.asked
    assert (node, asked) == ("pay", question.digest())
    assert output["said"] == {**APPROVED, "by": "Bob", "question": name}
