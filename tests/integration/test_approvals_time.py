"""Deadlines: reminders, escalation and defaults, by the database's clock, each step taken once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Approve, Edit, Interlock
from interlock.core.actions import digest
from interlock.errors import AnswerRefused
from tests.questions import ARGUMENTS, ask, happened, pass_time, sql, wait_for

CONFIG = Path(__file__).parents[1] / "sample" / "langgraph.json"
CHAIN = [{"after": 100, "who": ["boss"]}, {"after": 200, "who": ["owner", "ann"]}]


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def steps(il: Interlock) -> list[str]:
    return [each.step for each in await il.asweep()]


async def test_before_the_time_nothing_happens(il: Interlock, database_url: str) -> None:
    """A question with an hour left is left alone, and one without a deadline for ever."""
    await ask(il.store, {"within": 3600}, {})
    await pass_time(database_url, 3500)

    assert await il.asweep() == []
    assert len(await il.aquestions("t")) == 2


async def test_reminders_escalation_and_the_default_come_in_their_time(
    il: Interlock, database_url: str
) -> None:
    """Each is noted once, those of the chain may answer from then on, and at last nobody may."""
    terms = {"who": ["ann"], "within": 300, "remind": 150, "chain": CHAIN}
    [question] = await ask(il.store, terms)

    taken = []
    for _ in range(7):
        await pass_time(database_url, 50)
        taken.append(await steps(il))
    found, events = await il.aquestion(question.id)

    assert taken == [[], ["escalated"], ["reminded"], ["escalated"], [], ["expired"], []]
    assert (found.status, found.answered_by, found.level) == ("answered", "deadline", 2)
    assert found.assignees == ("ann", "boss", "owner")
    assert [each.detail.get("people") for each in events if each.kind == "escalated"] == [
        ["boss"],
        ["owner", "ann"],
    ]
    assert await happened(il, question.id) == [
        "asked",
        "escalated",
        "reminded",
        "escalated",
        "expired deadline",
    ]


async def test_who_was_escalated_to_may_answer_and_not_before(
    il: Interlock, database_url: str
) -> None:
    """A chain names people for later."""
    [question] = await ask(il.store, {"who": ["ann"], "chain": CHAIN})
    with pytest.raises(AnswerRefused, match="'boss' may not answer"):
        await il.asubmit_answer("t", Approve(question.id, "boss"))
    await pass_time(database_url, 100)
    await il.asweep()

    assert (await il.asubmit_answer("t", Approve(question.id, "boss"))).status == "queued"


async def test_where_anybody_may_answer_a_chain_shuts_nobody_out(
    il: Interlock, database_url: str
) -> None:
    """Naming more people does not make them the only ones."""
    [question] = await ask(il.store, {"chain": CHAIN})
    await pass_time(database_url, 100)
    await il.asweep()

    assert (await il.asubmit_answer("t", Approve(question.id, "zoe"))).status == "queued"


async def test_levels_that_were_missed_are_reached_at_once(
    il: Interlock, database_url: str
) -> None:
    """Nobody swept for a while: the question is at the level of its age, and reminded of once."""
    [question] = await ask(il.store, {"who": ["ann"], "remind": 10, "chain": CHAIN})
    await pass_time(database_url, 1_000)

    assert await steps(il) == ["escalated", "reminded"]
    assert (await il.aquestion(question.id))[0].level == 2


@pytest.mark.parametrize(
    ("default", "decision", "granted"),
    [
        ("reject", "reject", ""),
        ("approve", "approve", digest({"action": "pay", "arguments": ARGUMENTS})),
    ],
)
async def test_a_deadline_answers_with_the_default(
    il: Interlock, database_url: str, default: str, decision: str, granted: str
) -> None:
    """The answer says that it was the deadline, and a run goes on with it."""
    [question] = await ask(il.store, {"within": 60, "default": default})
    await pass_time(database_url, 60)

    await il.asweep()

    answer = await il.approvals.answer(question.id) or {}
    [row] = await sql(database_url, "select granted, answered_run from interlock.questions")
    assert (answer["by"], answer["decisions"][0]["type"]) == ("deadline", decision)
    assert "Nobody settled this by" in answer["decisions"][0]["message"]
    assert row["granted"] == granted
    run = await il.arun("t")
    assert (run.status, run.run_id) == ("queued", row["answered_run"])
    assert await il.approvals.left_by_deadline() == ["t"]


async def test_a_default_that_is_not_offered_rejects(il: Interlock, database_url: str) -> None:
    """What nobody could have approved is not approved by silence."""
    terms = {"within": 60, "default": "approve"}
    [question] = await ask(il.store, terms, decisions=("reject", "respond"))
    await pass_time(database_url, 60)
    await il.asweep()

    answer = await il.approvals.answer(question.id) or {}
    assert answer["decisions"][0]["type"] == "reject"


async def test_a_default_approves_nothing_that_one_of_two_has_changed(
    il: Interlock, database_url: str
) -> None:
    """Silence neither agrees to an edit that waits for a second person, nor brings the old arguments back."""
    [question] = await ask(il.store, {"needed": 2, "within": 60, "default": "approve"})
    await il.asubmit_answer("t", Edit(question.id, {"amount": 4}, "ann"))
    await pass_time(database_url, 60)
    await il.asweep()

    answer = await il.approvals.answer(question.id) or {}
    assert answer["decisions"][0]["type"] == "reject"


async def test_an_answer_after_the_deadline_is_refused_also_before_the_sweep(
    il: Interlock, database_url: str
) -> None:
    """The deadline holds whether or not somebody swept; a vote is too late as well."""
    [question] = await ask(il.store, {"within": 60, "needed": 2})
    await il.asubmit_answer("t", Approve(question.id, "ann"))
    await pass_time(database_url, 60)

    with pytest.raises(AnswerRefused, match=r"deadline of question .* No question of this thread"):
        await il.asubmit_answer("t", Approve(question.id, "bob"))

    assert await steps(il) == ["expired"]


async def test_questions_of_one_thread_expire_together(il: Interlock, database_url: str) -> None:
    """One run goes on with both defaults; one that has time left stays open."""
    a, b, c = await ask(il.store, {"within": 60}, {"within": 50}, {"within": 600})
    await pass_time(database_url, 60)

    taken = await il.asweep()

    assert sorted(each.question_id for each in taken) == sorted([a.id, b.id])
    assert [each.id for each in await il.aquestions("t")] == [c.id]


async def test_a_thread_that_is_worked_on_is_left_until_it_is_free(
    il: Interlock, database_url: str
) -> None:
    """A deadline that passes while another answer is being worked on is kept, and taken afterwards."""
    a, b = await ask(il.store, {}, {"within": 60})
    await il.asubmit_answer("t", Approve(a.id, "ann"))
    await pass_time(database_url, 60)
    assert await il.asweep() == []

    await ask(il.store, {}, {"within": 60})

    assert [each.question_id for each in await il.asweep()] == [b.id]


async def test_of_many_sweepers_one_takes_each_step(database_url: str) -> None:
    """Eight sweeps on four connections: twelve threads, each with one reminder, one level and one default."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as first,
        interlock.aopen(database_url, config=CONFIG) as second,
    ):
        terms = {"within": 100, "remind": 40, "chain": [{"after": 40, "who": ["boss"]}]}
        asked = [(await ask(first.store, terms, thread=f"t{n}"))[0] for n in range(12)]
        taken = []
        for _ in range(2):
            await pass_time(database_url, 50)
            sweeps = [il.asweep() for il in (first, second) * 4]
            taken += [step for swept in await asyncio.gather(*sweeps) for step in swept]

        for question in asked:
            mine = sorted(each.step for each in taken if each.question_id == question.id)
            assert mine == ["escalated", "expired", "reminded"]
        runs = await sql(database_url, "select thread_id from interlock.runs where kind = 'resume'")
        assert len(runs) == 12


async def test_an_answer_and_the_deadline_at_the_same_moment_are_never_both(
    database_url: str,
) -> None:
    """Forty rounds on two connections, the deadline passing in the middle: one answer, one run, one record."""
    async with (
        interlock.aopen(database_url, config=CONFIG) as first,
        interlock.aopen(database_url, config=CONFIG) as second,
    ):
        winners = []
        for number in range(40):
            thread = f"t{number}"
            terms = {"within": 0.0005 + number * 0.0001}
            [question] = await ask(first.store, terms, thread=thread)
            answer, _ = await asyncio.gather(
                first.asubmit_answer(thread, Approve(question.id, "ann")),
                second.asweep(),
                return_exceptions=True,
            )
            while (await first.aquestion(question.id))[0].status == "open":
                await second.asweep()
            by = (await first.approvals.answer(question.id) or {})["by"]
            winners.append(by)
            assert isinstance(answer, AnswerRefused) == (by == "deadline")
            kinds = [each.partition(" ")[0] for each in await happened(first, question.id)]
            assert kinds in (["asked", "answered"], ["asked", "expired"])

        runs = await sql(database_url, "select thread_id from interlock.runs where kind = 'resume'")
        assert len(runs) == 40
        assert set(winners) <= {"ann", "deadline"}


@pytest.mark.parametrize("hours", [-30, 30])
async def test_a_worker_s_own_clock_decides_nothing(
    il: Interlock, database_url: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A process whose clock is a day off asks, sweeps and answers: what is due is what the database says."""
    shifted = time.time() + hours * 3600

    class Moved(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Moved:  # as the class it replaces
            return cls.fromtimestamp(shifted, tz or UTC)

    monkeypatch.setattr(time, "time", lambda: shifted)
    monkeypatch.setattr("tests.questions.datetime", Moved)
    early, late = await ask(il.store, {"within": 600}, {"within": 60})
    await pass_time(database_url, 60)

    taken = await il.asweep()

    assert [each.question_id for each in taken] == [late.id]
    [row] = await sql(
        database_url,
        "select extract(epoch from deadline - asked_at)::int as seconds, "
        "asked_at > now() - interval '5 minutes' as asked_now from interlock.questions "
        "where question_id = %s",
        early.id,
    )
    assert row == {"seconds": 600, "asked_now": True}


async def test_a_deadline_s_answer_that_the_code_refuses_is_not_tried_for_ever(
    il: Interlock, database_url: str
) -> None:
    """The node was renamed: the question is open again, without the deadline, until a person looks."""
    [question] = await ask(il.store, {"within": 60})
    await pass_time(database_url, 60)
    await il.asweep()
    await sql(
        database_url,
        "update interlock.questions set status = 'answered' where question_id = %s",
        question.id,
    )
    run = (await il.store.latest("t")).run
    await il.store.start(run, "test", {})
    await il.store.end(run, refused())

    assert [each.deadline for each in await il.aquestions("t")] == [None]
    assert await il.asweep() == []
    assert (await happened(il, question.id))[-1] == "reopened"


def refused() -> Any:  # an Ending
    from interlock.postgres.stored_runs import Ending

    return Ending(status="waiting", error="renamed", error_kind="ResumeRefused")


async def test_a_withdrawn_question_has_no_deadline(il: Interlock, database_url: str) -> None:
    """What nothing waits for is neither reminded of nor answered."""
    a, _ = await ask(il.store, {}, {"within": 60, "remind": 10})
    await il.asubmit_answer("t", Approve(a.id, "ann"))
    await wait_for(il.store, [])
    await pass_time(database_url, 100)

    assert await il.asweep() == []
