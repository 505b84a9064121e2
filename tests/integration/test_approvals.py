"""Answers to questions: which are taken, which are refused, and that each question is answered once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Approve, Edit, Interlock, Reject, Respond, Resume
from interlock.answers import Desk, answer_form
from interlock.core.actions import digest
from interlock.core.answers import AnswerForm
from interlock.core.questions import OpenQuestion, Vote
from interlock.errors import AnswerRefused, NotFound, ThreadBusy, UsageError
from tests.questions import ARGUMENTS, ask, happened, pass_time, payload, put_back, sql, wait_for

CONFIG = Path(__file__).parents[1] / "sample" / "langgraph.json"
TWO = {"needed": 2}


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


def granted(arguments: Mapping[str, Any]) -> str:
    return digest({"action": "pay", "arguments": dict(arguments)})


async def row(url: str, question_id: str) -> Mapping[str, Any]:
    return (
        await sql(url, "select * from interlock.questions where question_id = %s", question_id)
    )[0]


# --- one answer ---


async def test_an_answer_stands_under_its_question_s_id(il: Interlock, database_url: str) -> None:
    """The gate looks it up there; the run that goes on carries no value that another gate could take."""
    [question] = await ask(il.store, {})
    assert await il.approvals.answer(question.id) is None

    run = await il.asubmit_answer("t", Approve(question.id, "bob", "fine"))

    assert await il.approvals.answer(question.id) == {
        "decisions": [{"type": "approve", "message": "fine"}],
        "digest": question.digest,
        "by": "bob",
    }
    assert (run.status, run.kind) == ("queued", "resume")
    assert (await il.store.latest("t")).answers is None
    assert (await row(database_url, question.id))["granted"] == granted(ARGUMENTS)
    assert await happened(il, question.id) == ["asked", "answered bob"]


async def test_a_question_keeps_what_it_was_asked_with(il: Interlock) -> None:
    """Kind, effect, cost, the policy's verdict and its terms are read back from the row."""
    await ask(il.store, {"who": ["Ann", "Bob"], "needed": 2, "within": 60})

    [found] = await il.aquestions("t")

    assert (found.kind, found.effect, found.cost) == ("approval", "e1", 0.25)
    assert (found.verdict["rule"], found.assignees, found.needed) == ("payments", ("Ann", "Bob"), 2)
    assert found.deadline is not None
    assert (found.deadline - found.asked_at).total_seconds() == 60


async def test_the_second_answer_is_refused_and_told_who_was_first(il: Interlock) -> None:
    """A second click answers nothing."""
    [question] = await ask(il.store, {})
    await il.asubmit_answer("t", Approve(question.id, "bob"))

    with pytest.raises(
        AnswerRefused, match=r"is answered by bob. No question of this thread is open"
    ):
        await il.asubmit_answer("t", Reject(question.id, "no", "cleo"))

    assert (await il.approvals.answer(question.id) or {})["by"] == "bob"


async def test_an_old_question_s_id_does_not_answer_the_new_one(il: Interlock) -> None:
    """The refusal names the question that is open now, and that one stays open."""
    [first] = await wait_for(il.store, [payload("first-question", {})])
    await il.asubmit_answer("t", Approve(first.id, "bob"))
    [second] = await wait_for(il.store, [payload("second-question", {})])

    with pytest.raises(
        AnswerRefused, match=r"first-question is answered by bob\. Open now: second"
    ):
        await il.asubmit_answer("t", Approve(first.id, "bob"))

    assert [each.id for each in await il.aquestions("t")] == [second.id]
    assert await il.approvals.answer(second.id) is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda q: Approve(q.id, "bob", digest="0" * 12), "to other arguments than question"),
        (lambda q: Approve(q.id, "bob", digest=q.digest[:4]), "to other arguments than question"),
        (lambda q: Reject(q.id, "no", "bob", digest="0" * 12), "to other arguments than question"),
        (lambda q: Approve(q.id, "mallory"), "'mallory' may not answer question"),
        (lambda q: Approve(q.id), "Somebody unnamed may not answer question"),
        (lambda q: Approve(q.id, "deadline"), "'deadline' is no person"),
        (lambda q: Respond(q.id, "why?", "bob"), "'respond' is not offered here"),
        (
            lambda q: Edit(q.id, {"amount": "lots"}, "bob"),
            "amount: Input should be a valid integer",
        ),
        (lambda q: Edit(q.id, {"ledger": "mine"}, "bob"), "ledger may not be changed here"),
        (lambda q: Edit(q.id, {"bribe": 1}, "bob"), "bribe: Extra inputs are not permitted"),
        (lambda q: Resume(q.id, "yes", "bob"), "is an approval, which no plain value answers"),
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    il: Interlock, answer: Any, message: str
) -> None:  # a function of the question
    """Each refusal says why, and the question stays open."""
    [question] = await ask(
        il.store,
        {"who": ["Bob"]},
        decisions=("approve", "edit", "reject"),
        fixed=("ledger",),
    )

    with pytest.raises(AnswerRefused, match=message):
        await il.asubmit_answer("t", answer(question))

    assert [each.id for each in await il.aquestions("t")] == [question.id]
    assert await happened(il, question.id) == ["asked"]
    assert (await il.arun("t")).status == "waiting"


async def test_the_digest_that_was_read_may_come_with_the_answer(il: Interlock) -> None:
    """Its first eight characters are enough."""
    [question] = await ask(il.store, {})

    run = await il.asubmit_answer("t", Approve(question.id, "bob", digest=question.digest[:8]))

    assert run.status == "queued"


async def test_a_foreign_question_takes_values_and_an_approval_of_ours_does_not(
    il: Interlock,
) -> None:
    """A decision on a plain interrupt is refused, and a value reaches the interrupt by its id."""
    [question] = await wait_for(il.store, [{"value": "Where?"}])

    with pytest.raises(AnswerRefused, match="is no approval"):
        await il.asubmit_answer("t", Approve(question.id, "bob"))
    await il.asubmit_answer("t", Resume(question.id, "Rome", "bob"))

    assert (await il.store.latest("t")).answers == {"i0": "Rome"}


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ({"decisions": [{"type": "approve"}]}, Approve("q", "bob")),
        ([{"type": "accept", "args": None}], Approve("q", "bob")),
        ([{"type": "ignore", "args": "no"}], Reject("q", "no", "bob")),
        ([{"type": "response", "args": "why?"}], Respond("q", "why?", "bob")),
        (
            [{"type": "edit", "args": {"action": "pay", "args": {"amount": 4}}}],
            Edit("q", {"amount": 4}, "bob"),
        ),
    ],
)
async def test_answers_of_other_inboxes_are_read(
    il: Interlock, value: object, answer: AnswerForm
) -> None:
    """`HITLResponse`, and the older list of `HumanInterrupt`; nonsense is refused."""
    [question] = await wait_for(il.store, [payload("q", {})])
    il.graph("payment")

    assert answer_form(question, value, "bob") == answer
    with pytest.raises(AnswerRefused, match="does not fit the question"):
        answer_form(question, "yes", "bob")


async def test_a_withdrawn_question_and_one_of_another_thread_are_refused(il: Interlock) -> None:
    """An answer reaches only what is open on its thread."""
    gone, stays = await ask(il.store, {}, {})
    await il.asubmit_answer("t", Approve(stays.id, "bob"))
    await wait_for(il.store, [])
    await ask(il.store, {}, thread="other")

    with pytest.raises(AnswerRefused, match="is withdrawn"):
        await il.asubmit_answer("t", Approve(gone.id, "bob"))
    with pytest.raises(AnswerRefused, match="belongs to thread t, not to other"):
        await il.asubmit_answer("other", Approve(gone.id, "bob"))
    with pytest.raises(NotFound, match="There is no question 'nonsense'"):
        await il.asubmit_answer("t", Approve("nonsense", "bob"))


async def test_a_policy_judges_an_edit_before_it_is_taken(il: Interlock) -> None:
    """It is asked about all arguments; a refusal leaves the question open, and what is not edited is not judged."""
    asked: list[Mapping[str, Any]] = []

    async def judge(question: OpenQuestion, arguments: Mapping[str, Any]) -> str | None:
        asked.append(arguments)
        return "over the limit" if arguments["amount"] > 9 else None

    [question] = await ask(il.store, {})
    il.graph("payment")
    desk = Desk(approvals=il.approvals, rejudge=judge)

    with pytest.raises(AnswerRefused, match=r"The policy refuses pay .*: over the limit"):
        await desk.take("t", [Edit(question.id, {"amount": 10}, "bob")])
    await desk.take("t", [Edit(question.id, {"amount": 9}, "bob")])

    assert [each["amount"] for each in asked] == [10, 9]
    assert (await il.approvals.answer(question.id) or {})["decisions"][0]["edited_action"] == {
        "name": "pay",
        "args": {**ARGUMENTS, "amount": 9},
    }


async def test_an_edit_grants_the_edited_arguments_only(il: Interlock, database_url: str) -> None:
    """The digest of what may be done is that of the arguments after the edit."""
    [question] = await ask(il.store, {})

    await il.asubmit_answer("t", Edit(question.id, {"amount": 4}, "bob"))

    assert (await row(database_url, question.id))["granted"] == granted({**ARGUMENTS, "amount": 4})


async def test_a_rejection_grants_nothing(il: Interlock, database_url: str) -> None:
    """No digest stands there that an act could show."""
    [question] = await ask(il.store, {})

    await il.asubmit_answer("t", Reject(question.id, "no", "bob"))

    assert (await row(database_url, question.id))["granted"] == ""


# --- two people at once ---


async def test_of_two_people_at_the_same_moment_one_wins(database_url: str) -> None:
    """On two connections, many times: one answer is taken, the other one is told whose."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as first,
        interlock.aopen(database_url, config=CONFIG) as second,
    ):
        for number in range(20):
            [question] = await ask(first.store, {}, thread=f"t{number}")
            both = [
                first.asubmit_answer(f"t{number}", Approve(question.id, "ann")),
                second.asubmit_answer(f"t{number}", Reject(question.id, "no", "bob")),
            ]
            results = await asyncio.gather(*both, return_exceptions=True)
            refused = [each for each in results if isinstance(each, AnswerRefused)]
            winner = (await first.approvals.answer(question.id) or {})["by"]

            assert len(refused) == 1
            assert f"is answered by {winner}" in str(refused[0])


# --- several questions ---


async def test_several_questions_are_answered_together(il: Interlock) -> None:
    """One run goes on with all of them."""
    a, b = await ask(il.store, {}, {})

    run = await il.asubmit_answers("t", [Approve(a.id, "bob"), Reject(b.id, "no", "bob")])

    assert run.status == "queued"
    assert await il.aquestions("t") == []


async def test_of_several_answers_none_is_taken_if_one_is_wrong(il: Interlock) -> None:
    """The good one is not half of anything: it can be given again."""
    a, b = await ask(il.store, {}, {"who": ["ann"]})
    wrong: list[list[AnswerForm]] = [
        [Approve(a.id, "bob"), Approve(b.id, "bob")],
        [Approve(a.id, "bob"), Edit(b.id, {"amount": "x"}, "ann")],
    ]

    for answers in wrong:
        with pytest.raises(AnswerRefused):
            await il.asubmit_answers("t", answers)
    with pytest.raises(UsageError, match="Two answers are to one question"):
        await il.asubmit_answers("t", [Approve(a.id, "bob"), Reject(a.id, "no", "bob")])
    with pytest.raises(UsageError, match="There is no answer to take"):
        await il.asubmit_answers("t", [])

    assert [each.id for each in await il.aquestions("t")] == [a.id, b.id]
    assert await happened(il, a.id) == ["asked"]


async def test_while_one_answer_is_being_worked_on_another_waits(il: Interlock) -> None:
    """The thread has a run; the second answer is refused as a whole and its question stays open."""
    a, b = await ask(il.store, {}, {})
    await il.asubmit_answer("t", Approve(a.id, "bob"))

    with pytest.raises(ThreadBusy):
        await il.asubmit_answer("t", Approve(b.id, "bob"))

    assert [each.id for each in await il.aquestions("t")] == [b.id]
    assert await happened(il, b.id) == ["asked"]


# --- four eyes ---


async def test_two_different_people_must_agree(il: Interlock, database_url: str) -> None:
    """After the first the question is open and says who agreed; after the second the run goes on."""
    [question] = await ask(il.store, TWO)

    half = await il.asubmit_answer("t", Approve(question.id, "Ann", "looks right"))
    [still] = half.interrupts
    whole = await il.asubmit_answer("t", Approve(question.id, "Bob"))

    assert (half.status, still.votes) == (
        "waiting",
        (Vote(by="Ann", decision="approve", message="looks right"),),
    )
    assert whole.status == "queued"
    assert await il.approvals.answer(question.id) == {
        "decisions": [{"type": "approve", "message": "looks right"}],
        "digest": question.digest,
        "by": "Ann, Bob",
    }
    assert (await row(database_url, question.id))["granted"] == granted(ARGUMENTS)
    assert await happened(il, question.id) == [
        "asked",
        "voted Ann",
        "voted Bob",
        "answered Ann, Bob",
    ]


@pytest.mark.parametrize("again", ["Ann", "ann", " ANN ", "\uff21nn"])
async def test_one_person_is_not_two_however_the_name_is_written(il: Interlock, again: str) -> None:
    """Capitals, spaces and wide letters make nobody else."""
    [question] = await ask(il.store, TWO)
    await il.asubmit_answer("t", Approve(question.id, "Ann"))

    with pytest.raises(AnswerRefused, match="needs 2 different people"):
        await il.asubmit_answer("t", Approve(question.id, again))
    with pytest.raises(AnswerRefused, match="needs 2 different people: say who answers"):
        await il.asubmit_answer("t", Approve(question.id))

    assert (await il.arun("t")).status == "waiting"


async def test_two_people_who_agree_at_the_same_moment_both_count(database_url: str) -> None:
    """Neither vote is lost, whichever is written first."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as first,
        interlock.aopen(database_url, config=CONFIG) as second,
    ):
        for number in range(10):
            [question] = await ask(first.store, TWO, thread=f"t{number}")
            await asyncio.gather(
                first.asubmit_answer(f"t{number}", Approve(question.id, "ann")),
                second.asubmit_answer(f"t{number}", Approve(question.id, "bob")),
            )
            assert (await first.arun(f"t{number}")).status == "queued"


async def test_anybody_s_rejection_ends_it(il: Interlock) -> None:
    """One who agrees and one who does not: it does not happen."""
    [question] = await ask(il.store, TWO)
    await il.asubmit_answer("t", Approve(question.id, "ann"))

    run = await il.asubmit_answer("t", Reject(question.id, "too much", "bob"))

    answer = await il.approvals.answer(question.id) or {}
    assert (run.status, answer["by"], answer["decisions"][0]["type"]) == ("queued", "bob", "reject")


async def test_an_edit_voids_the_votes_before_it(il: Interlock, database_url: str) -> None:
    """Who agreed to 5 has not agreed to 4: the editor's vote counts, and everybody else must name what they read."""
    [question] = await ask(il.store, TWO)
    await il.asubmit_answer("t", Approve(question.id, "ann"))

    half = await il.asubmit_answer("t", Edit(question.id, {"amount": 4}, "bob"))
    [edited] = half.interrupts

    assert (half.status, edited.arguments["amount"]) == ("waiting", 4)
    assert [each.by for each in edited.votes] == ["bob"]
    assert edited.request == granted({**ARGUMENTS, "amount": 4})
    with pytest.raises(AnswerRefused, match=f"changed by bob; .* {edited.request[:8]}"):
        await il.asubmit_answer("t", Approve(question.id, "ann"))
    with pytest.raises(AnswerRefused, match="to other arguments than"):
        await il.asubmit_answer("t", Approve(question.id, "ann", digest=question.digest))
    with pytest.raises(AnswerRefused, match="bob has agreed to question"):
        await il.asubmit_answer("t", Approve(question.id, "bob", digest=edited.request))
    await il.asubmit_answer("t", Approve(question.id, "ann", digest=edited.request))

    answer = await il.approvals.answer(question.id) or {}
    assert answer["by"] == "bob, ann"
    assert answer["decisions"][0]["edited_action"]["args"] == {**ARGUMENTS, "amount": 4}
    assert (await row(database_url, question.id))["granted"] == edited.request


async def test_an_edit_and_an_approval_at_the_same_moment_never_mix(database_url: str) -> None:
    """An approval of 5 that comes after an edit to 4 is refused: nothing happens that two people did not read."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as first,
        interlock.aopen(database_url, config=CONFIG) as second,
    ):
        for number in range(10):
            thread = f"t{number}"
            [question] = await ask(first.store, TWO, thread=thread)
            await asyncio.gather(
                first.asubmit_answer(thread, Edit(question.id, {"amount": 4}, "ann")),
                second.asubmit_answer(thread, Approve(question.id, "bob")),
                return_exceptions=True,
            )
            [left] = (await first.arun(thread)).interrupts
            assert (left.arguments["amount"], [each.by for each in left.votes]) == (4, ["ann"])


# --- asked again ---


async def test_asking_again_while_it_is_open_changes_nothing(il: Interlock) -> None:
    """A node that runs again does not give its question more time, and votes stand."""
    [question] = await ask(il.store, {"needed": 2, "within": 60})
    await il.asubmit_answer("t", Approve(question.id, "ann"))
    [before] = await il.aquestions("t")
    await put_back(il.url, "queued")

    await ask(il.store, {"needed": 2, "within": 9_999})

    assert await il.aquestions("t") == [before]
    assert await happened(il, question.id) == ["asked", "voted ann"]


async def test_a_withdrawn_question_that_is_asked_again_is_open_anew(
    il: Interlock, database_url: str
) -> None:
    """With new deadlines, and without the votes of before."""
    [question] = await ask(il.store, {"needed": 2, "within": 60})
    await il.asubmit_answer("t", Approve(question.id, "ann"))
    await pass_time(database_url, 50)
    await put_back(database_url, "queued")
    await wait_for(il.store, [])

    await ask(il.store, {"needed": 2, "within": 60})

    [found] = await il.aquestions("t")
    assert found.deadline is not None
    assert (found.votes, (found.deadline - found.asked_at).total_seconds()) == ((), 60)
    assert await happened(il, question.id) == ["asked", "voted ann", "withdrawn", "asked"]


async def test_an_answered_question_of_ours_stays_answered_and_a_foreign_one_opens_anew(
    il: Interlock,
) -> None:
    """The gate finds ours again in each attempt; LangGraph forgets what it handed to a plain interrupt."""
    [ours] = await ask(il.store, {})
    await il.asubmit_answer("t", Approve(ours.id, "ann"))
    await ask(il.store, {})
    [foreign] = await wait_for(il.store, [{"value": "Where?"}], "f")
    await il.asubmit_answer("f", Resume(foreign.id, "Rome"))
    await wait_for(il.store, [{"value": "Where?"}], "f")

    assert (await il.aquestion(ours.id))[0].status == "answered"
    assert [each.id for each in await il.aquestions()] == [foreign.id]
