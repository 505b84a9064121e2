"""A client's `command.resume`: bound to the question that is open when it is submitted, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock, Run
from interlock.core.driving import Driving
from interlock.core.queueing import Options
from interlock.errors import AnswerRefused, NotFound, ThreadBusy, UsageError
from interlock.settings import Settings
from tests.questions import sql
from tests.submitting import PATIENCE, events, working

SAMPLES = Path(__file__).parents[1] / "sample"
CONFIG = SAMPLES / "driven" / "langgraph.json"
APPROVED = {"decisions": [{"type": "approve"}]}
PAYMENT = SAMPLES / "langgraph.json"


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    settings = Settings(user="ann")
    async with (
        interlock.aopen(database_url, config=CONFIG, settings=settings) as opened,
        working(opened),
    ):
        yield opened


@pytest.fixture
async def bank(database_url: str) -> AsyncIterator[Interlock]:
    settings = Settings(user="ann")
    async with (
        interlock.aopen(database_url, config=PAYMENT, settings=settings) as opened,
        working(opened),
    ):
        yield opened


async def asked(il: Interlock, graph: str = "asks", given: Any = None) -> Run:
    """A run on the thread `t` that waits."""
    run = await il.asubmit(graph, given or {}, thread_id="t")
    return await il.await_run(run.run_id, PATIENCE)


async def resumed(il: Interlock, resume: Any, **more: Any) -> Run:
    """Take an answer, and wait until the thread rests."""
    await il.asubmit_resume("t", resume, **more)
    return await il.ajoin("t", PATIENCE)


async def told_of(il: Interlock) -> str:
    """What the question that is open says."""
    [question] = await il.aquestions("t")
    return str(question.payload["question"]["summary"])


async def interrupts(il: Interlock) -> dict[str, str]:
    """By node: the id of the interrupt that is open."""
    return {each.node: each.interrupt_id for each in await il.aquestions("t")}


async def test_a_bare_value_answers_what_is_open(il: Interlock, database_url: str) -> None:
    """It is stored under the interrupt's id, so that it never meets the next one."""
    first = await asked(il)
    ids = await interrupts(il)
    run = await il.asubmit_resume("t", "red")
    await il.ajoin("t", PATIENCE)

    assert (run.kind, (await il.store.stored(run.run_id)).answers) == (
        "resume",
        {ids["ask"]: "red"},
    )
    assert await events(database_url, run.run_id) == ["submitted", "claimed", "waiting"]
    assert (await resumed(il, "blue")).output["said"] == ["first red", "then blue"]
    assert (await il.await_run(first.run_id)).status == "succeeded"


async def test_values_are_given_by_interrupt(il: Interlock) -> None:
    """Two that wait at once, each with its own."""
    await asked(il, "both")
    ids = await interrupts(il)
    ended = await resumed(il, {ids["ask"]: 1, ids["ask_again"]: 2})

    assert ended.output["said"] == ["first 1", "then 2"]


async def test_one_of_several_is_answered(il: Interlock) -> None:
    """The other stays open."""
    await asked(il, "both")
    ids = await interrupts(il)
    await resumed(il, {ids["ask_again"]: 2})
    assert await interrupts(il) == {"ask": ids["ask"]}

    assert (await resumed(il, 1)).output["said"] == ["first 1", "then 2"]


async def test_a_bare_value_for_several_is_refused(il: Interlock) -> None:
    """It does not say which it is for."""
    await asked(il, "both")

    with pytest.raises(AnswerRefused, match="say which this is"):
        await il.asubmit_resume("t", "red")
    assert len(await il.aquestions("t")) == 2


async def test_an_object_that_names_no_interrupt_is_a_value(il: Interlock) -> None:
    """As LangGraph tells the two apart."""
    await asked(il)
    await resumed(il, {"colour": "red"})
    ended = await resumed(il, {})

    assert ended.output["said"] == ["first {'colour': 'red'}", "then {}"]


async def test_an_interrupt_that_is_not_open_is_refused(il: Interlock) -> None:
    """One that was answered before, too, whatever is open now."""
    await asked(il)
    ids = await interrupts(il)
    await resumed(il, {ids["ask"]: "red"})

    for name in (ids["ask"], "0" * 32):
        with pytest.raises(AnswerRefused, match="has no open question"):
            await il.asubmit_resume("t", {name: "blue"})
    assert list(await interrupts(il)) == ["ask_again"]


async def test_of_two_at_once_one_is_taken(il: Interlock) -> None:
    """The others are refused, and answer nothing that is asked later."""
    for _ in range(5):
        await il.asubmit("asks", {}, thread_id="t", options=Options(multitask_strategy="rollback"))
        await il.ajoin("t", PATIENCE)
        ids = await interrupts(il)

        async def answer(value: int, name: str = ids["ask"]) -> str:
            try:
                await il.asubmit_resume("t", {name: value})
            except (AnswerRefused, ThreadBusy):
                return "refused"
            return "taken"

        answers = await asyncio.gather(*(answer(value) for value in range(4)))
        await il.ajoin("t", PATIENCE)

        assert sorted(answers) == ["refused", "refused", "refused", "taken"]
        assert list(await interrupts(il)) == ["ask_again"]


async def test_nothing_that_waits_is_not_answered(il: Interlock) -> None:
    """A thread that has ended, one that stopped at a breakpoint, and one that is not there."""
    run = await il.asubmit("line", {}, thread_id="t")
    await il.await_run(run.run_id, PATIENCE)
    with pytest.raises(AnswerRefused, match="waits for no answer"):
        await il.asubmit_resume("t", "red")

    run = await il.asubmit("line", {}, thread_id="t", driving=Driving(interrupt_before=("b",)))
    await il.await_run(run.run_id, PATIENCE)
    with pytest.raises(AnswerRefused, match="a run without an input goes on"):
        await il.asubmit_resume("t", "red")

    with pytest.raises(NotFound):
        await il.asubmit_resume("nowhere", "red")
    await sql(il.url, "insert into interlock.threads (thread_id, graph) values ('new', '')")
    with pytest.raises(AnswerRefused, match="waits for no answer"):
        await il.asubmit_resume("new", "red")


async def test_an_answer_comes_with_an_update(il: Interlock) -> None:
    """Both are used once."""
    await asked(il)
    command = Driving(command={"update": {"said": ["u"]}})
    await resumed(il, "red", driving=command)
    ended = await resumed(il, "blue")

    assert ended.output["said"] == ["u", "first red", "then blue"]


async def test_what_goes_on_is_driven_as_it_is_told(il: Interlock) -> None:
    """Or as the run that asked."""
    await asked(il)
    told = Driving(interrupt_before=("ask_again",), configurable={"who": "ann"})
    stopped = await resumed(il, "red", driving=told)
    assert stopped.error_kind == "breakpoint"
    again = await il.asubmit("asks", None, thread_id="t", driving=Driving(goes_on=True))
    await il.await_run(again.run_id, PATIENCE)
    last = await il.asubmit_resume("t", "blue", driving=told)

    assert (await il.store.stored(last.run_id)).driving == told
    assert (await il.await_run(last.run_id, PATIENCE)).output["said"] == ["first red", "then blue"]


async def test_a_checkpoint_binds_also_in_a_race(
    il: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that names a checkpoint never opens what is asked at the next one, however close they come."""
    await asked(il)
    *_, step = await il.ahistory("t")
    read = il.approvals.open_questions

    async def overtaken(thread_id: str) -> Any:
        monkeypatch.undo()
        await resumed(il, "somebody else's")
        return await read(thread_id)

    monkeypatch.setattr(il.approvals, "open_questions", overtaken)
    with pytest.raises(AnswerRefused, match="has gone on from the checkpoint"):
        await il.asubmit_resume(
            "t", "late", driving=Driving(checkpoint={"checkpoint_id": step.checkpoint_id})
        )


async def test_an_answer_is_to_the_newest_checkpoint(il: Interlock) -> None:
    """Clients name the one that they show: another one than that of the question is refused."""
    await asked(il)
    before, now = [each.checkpoint_id for each in await il.ahistory("t")]

    with pytest.raises(AnswerRefused, match="has gone on from the checkpoint"):
        await il.asubmit_resume("t", "red", driving=Driving(checkpoint={"checkpoint_id": before}))
    with pytest.raises(UsageError, match="no node nowhere"):
        await il.asubmit_resume("t", "red", driving=Driving(interrupt_after=("nowhere",)))
    await resumed(il, "red", driving=Driving(checkpoint={"checkpoint_id": now}))
    assert list(await interrupts(il)) == ["ask_again"]


async def test_an_answer_goes_before_what_is_queued(il: Interlock) -> None:
    """Whatever strategy the client has for its runs."""
    await asked(il)
    behind = await il.asubmit(
        "line", {}, thread_id="other", options=Options(multitask_strategy="enqueue")
    )
    queued = await il.asubmit(
        "asks", {}, thread_id="t", options=Options(multitask_strategy="enqueue")
    )
    await il.asubmit_resume("t", "red", options=Options(multitask_strategy="rollback", priority=3))
    await il.await_run(behind.run_id, PATIENCE)
    await il.ajoin("t", PATIENCE)

    assert list(await interrupts(il)) == ["ask_again"]
    assert (await il.store.stored(queued.run_id)).run.status == "queued"


@pytest.mark.parametrize(
    "answer",
    [
        {"decisions": [{"type": "approve"}]},
        [{"type": "accept", "args": None}],
    ],
)
async def test_both_forms_of_an_approval_are_taken(
    bank: Interlock, tmp_path: Path, answer: Any
) -> None:
    """That of `HITLRequest`, and the older one; through the desk, with its digest."""
    ledger = tmp_path / "bank"
    await asked(bank, "payment", {"payee": "ann", "amount": 5, "ledger": str(ledger)})
    for _ in range(2):
        [question] = await bank.aquestions("t")
        assert question.digest
        last = await resumed(bank, answer)
        assert (await bank.aquestion(question.id))[0].answered_by == "ann"

    assert (last.status, ledger.read_text()) == ("succeeded", "ann 5\n")


async def test_what_cannot_be_undone_is_asked_about_on_another_branch(
    database_url: str, tmp_path: Path
) -> None:
    """The policy allows it; a run from an older checkpoint, and what goes on with it, ask all the same."""
    settings = Settings(user="ann", policy=CONFIG.parent / "policy.toml")
    async with interlock.aopen(database_url, config=CONFIG, settings=settings) as il, working(il):
        await asked(il, "fees", {"folder": str(tmp_path)})
        assert (await resumed(il, "yes")).status == "succeeded"
        old = next(each for each in await il.ahistory("t") if each.next == ("charge",))
        driving = Driving(checkpoint={"checkpoint_id": old.checkpoint_id}, goes_on=True)
        run = await il.asubmit("fees", None, thread_id="t", driving=driving)
        await il.await_run(run.run_id, PATIENCE)
        told = [await told_of(il)]
        await resumed(il, APPROVED)
        await resumed(il, "yes", driving=Driving(tags=("blue",)))
        told.append(await told_of(il))
        last = await resumed(il, APPROVED)

    assert all("in steps that this run was taken back from" in each for each in told)
    assert (last.status, last.output["said"]) == ("succeeded", ["1", "first yes", "2"])
    assert (tmp_path / "fees").read_text() == "1\n2\n1\n2\n"


async def test_an_edit_and_a_rejection_are_taken(bank: Interlock, tmp_path: Path) -> None:
    """Edited arguments are checked by the action's signature first."""
    ledger = tmp_path / "bank"
    await asked(bank, "payment", {"payee": "ann", "amount": 5, "ledger": str(ledger)})
    wrong = [{"type": "edit", "args": {"action": "pay", "args": {"amount": "much"}}}]
    with pytest.raises(AnswerRefused):
        await bank.asubmit_resume("t", wrong)
    with pytest.raises(AnswerRefused):
        await bank.asubmit_resume("t", "yes")
    await resumed(bank, {"decisions": [{"type": "reject", "message": "no"}]})

    assert not ledger.exists()


def test_the_synchronous_twins_do_the_same(database_url: str) -> None:
    """For who has no loop."""
    with interlock.open(database_url, config=CONFIG) as il:
        il.submit("asks", {}, thread_id="t", driving=Driving(tags=("blue",)), attended=True)
        il.resume("t")
        run = il.submit_resume("t", "red", driving=replace(Driving(), tags=("green",)))

        assert (run.kind, il.resume("t").status) == ("resume", "waiting")
