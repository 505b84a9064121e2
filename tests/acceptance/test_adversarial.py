"""What would open a lever that must stay shut: each way that was seen to work elsewhere, tried here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Approve, Edit, Interlock, OpenQuestion, Reject, Respond
from interlock.errors import ActionRefused, AnswerRefused, ResumeRefused, UsageError
from interlock.settings import Settings
from tests.killing import Killable

SAMPLE = Path(__file__).parents[1] / "sample" / "guarded"
CONFIG = SAMPLE / "langgraph.json"

ALLOW = 'version = 1\n[otherwise]\nthen = "allow"\n'
ASK = 'version = 1\n[otherwise]\nthen = "ask"\n'
DENY = 'version = 1\n[otherwise]\nthen = "deny"\n'
NOT_TO_EVE = """
version = 1
[[rules]]
name = "large amounts are denied"
when = { action = "guarded_send", amount = { over = 100 } }
then = "deny"
[otherwise]
then = "ask"
"""


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(ASK)
    return path


@asynccontextmanager
async def opened(
    url: str, policy: Path | None = None, config: Path = CONFIG
) -> AsyncIterator[Interlock]:
    async with interlock.aopen(url, config=config, settings=Settings(policy=policy)) as il:
        yield il


@pytest.fixture
async def il(database_url: str, policy: Path) -> AsyncIterator[Interlock]:
    async with opened(database_url, policy) as il:
        yield il


def sent(outbox: Path) -> list[str]:
    return outbox.read_text().splitlines() if outbox.exists() else []


async def waiting(
    il: Interlock, graph: str, outbox: Path, **given: Any
) -> tuple[str, OpenQuestion]:
    run = await il.ainvoke(graph, {"outbox": str(outbox), **given})
    assert run.status == "waiting"
    return run.thread_id, run.interrupts[0]


async def test_an_answer_given_twice_opens_one_gate(il: Interlock, outbox: Path) -> None:
    """The second click is refused, and the next gate of the same node stays shut."""
    thread, first = await waiting(il, "two", outbox)
    run = await il.aresume(thread, Approve(first.id, by="ann"))

    with pytest.raises(AnswerRefused, match=run.interrupts[0].id):
        await il.aresume(thread, Approve(first.id, by="ann"))
    assert (run.interrupts[0].arguments["to"], sent(outbox)) == ("bob", ["ann 1"])


async def test_two_answers_at_once_open_one_gate(
    il: Interlock, database_url: str, policy: Path, outbox: Path
) -> None:
    """Of two people on two connections one is told that the other was faster."""
    thread, first = await waiting(il, "two", outbox)
    async with opened(database_url, policy) as other:
        outcomes = await asyncio.gather(
            il.asubmit_answer(thread, Approve(first.id, by="ann")),
            other.asubmit_answer(thread, Reject(first.id, by="bob")),
            return_exceptions=True,
        )

    refused = [each for each in outcomes if isinstance(each, AnswerRefused)]
    assert (len(refused), len(outcomes)) == (1, 2)


async def test_an_answer_without_its_question_is_refused(il: Interlock, outbox: Path) -> None:
    """After the second question opened, neither the first one's id nor no id at all answers it."""
    thread, first = await waiting(il, "two", outbox)
    run = await il.aresume(thread, Approve(first.id, by="ann"))
    second = run.interrupts[0]

    with pytest.raises(AnswerRefused, match=second.id):
        await il.aresume(thread, Reject(first.id, by="ann"))
    with pytest.raises(UsageError, match=second.id):
        await il.aresume(thread)
    assert (sent(outbox), (await il.arun(thread)).interrupts[0].id) == (["ann 1"], second.id)


async def test_an_approval_outlives_no_denial(il: Interlock, policy: Path, outbox: Path) -> None:
    """The policy turns to deny while the question is open: the approval does not open it."""
    thread, question = await waiting(il, "first", outbox, to="ann")
    policy.write_text(DENY)

    with pytest.raises(ActionRefused, match="denied"):
        await il.aresume(thread, Approve(question.id, by="ann"))
    assert sent(outbox) == []


async def test_a_rejection_outlives_an_allowance(il: Interlock, policy: Path, outbox: Path) -> None:
    """The policy turns to allow while the question is open: what a person rejects still does not happen."""
    thread, question = await waiting(il, "turns", outbox, payees=["ann"])
    policy.write_text(ALLOW)
    run = await il.aresume(thread, Reject(question.id, "too much", by="ann"))

    assert (run.status, run.output["said"]) == ("succeeded", ["not sent to ann: rejected"])
    assert sent(outbox) == []


async def test_an_open_question_is_not_skipped_when_the_policy_allows(
    il: Interlock, policy: Path, outbox: Path
) -> None:
    """A frozen verdict needs its answer: an allowance that comes later does not let the act slip through."""
    thread, question = await waiting(il, "wide", outbox, payees=["ann", "bob"])
    other = next(each for each in await il.aquestions(thread) if each.id != question.id)
    policy.write_text(ALLOW)
    run = await il.aresume(thread, Approve(question.id, by="ann"))

    assert (run.status, [each.id for each in run.interrupts]) == ("waiting", [other.id])
    assert sent(outbox) == [f"{question.arguments['to']} 1"]


async def test_an_edit_to_denied_arguments_is_refused(
    il: Interlock, policy: Path, outbox: Path
) -> None:
    """The policy judges what an edit makes of an act; the question stays open."""
    policy.write_text(NOT_TO_EVE)
    thread, question = await waiting(il, "first", outbox, to="ann")

    with pytest.raises(AnswerRefused, match="large amounts are denied"):
        await il.aresume(thread, Edit(question.id, {"amount": 101}, by="ann"))
    run = await il.aresume(thread, Edit(question.id, {"amount": 99}, by="ann"))
    assert (run.status, sent(outbox)) == ("succeeded", ["ann 99"])


async def test_the_same_place_asks_again_for_other_arguments(il: Interlock, outbox: Path) -> None:
    """Each turn of a loop asks about its own arguments; no earlier answer fits."""
    thread, first = await waiting(il, "turns", outbox, payees=["ann", "bob"])
    run = await il.aresume(thread, Approve(first.id, by="ann"))
    second = run.interrupts[0]

    assert (first.node, second.node, first.id != second.id) == ("turn", "turn", True)
    assert (first.digest != second.digest, second.arguments["to"]) == (True, "bob")
    run = await il.aresume(thread, Reject(second.id, by="ann"))
    assert sent(outbox) == ["ann 1"]


async def test_the_same_arguments_at_the_same_place_are_asked_again(
    il: Interlock, outbox: Path
) -> None:
    """An approval permits one act: the same one in the next turn needs another."""
    thread, first = await waiting(il, "turns", outbox, payees=["ann", "ann"])
    run = await il.aresume(thread, Approve(first.id, by="ann"))

    assert (run.status, sent(outbox)) == ("waiting", ["ann 1"])
    assert run.interrupts[0].id != first.id
    said = "this thread has done the same, with the same arguments, once before"
    assert (said in first.evidence, said in run.interrupts[0].evidence) == (False, True)


async def test_a_jump_past_the_middleware_does_not_pass_the_action(
    il: Interlock, outbox: Path
) -> None:
    """A middleware that jumps to the tools skips the question of another; the action asks itself."""
    run = await il.ainvoke("agent", {"messages": [{"role": "user", "content": str(outbox)}]})
    question = run.interrupts[0]

    assert (run.status, question.node, question.arguments["to"]) == ("waiting", "tools", "ann")
    assert sent(outbox) == []
    run = await il.aresume(run.thread_id, Approve(question.id, by="ann"))
    assert (run.status, sent(outbox)) == ("succeeded", ["ann 1"])


async def test_questions_in_subgraphs_of_branches_are_all_seen(il: Interlock, outbox: Path) -> None:
    """Each branch's subgraph asks; they are answered one by one, each for its own act."""
    thread, _ = await waiting(il, "wide", outbox, payees=["ann", "bob", "eve"])
    questions = {each.arguments["to"]: each for each in await il.aquestions(thread)}
    run = await il.aresume(thread, Reject(questions["bob"].id, "not him", by="ann"))

    assert sorted(questions) == ["ann", "bob", "eve"]
    assert ({each.arguments["to"] for each in run.interrupts}, sent(outbox)) == ({"ann", "eve"}, [])
    run = await il.aresume(thread, Approve(questions["eve"].id, by="ann"))
    run = await il.aresume(thread, Reject(questions["ann"].id, by="ann"))
    assert (run.status, sorted(run.output["said"]), sent(outbox)) == (
        "succeeded",
        ["not sent to ann: rejected", "not sent to bob: rejected", "sent to eve"],
        ["eve 1"],
    )


async def test_questions_of_one_step_are_answered_together(il: Interlock, outbox: Path) -> None:
    """All answers of a step are taken at once, and each branch goes on with its own."""
    thread, _ = await waiting(il, "wide", outbox, payees=["ann", "bob"])
    answers = [Approve(each.id, by="ann") for each in await il.aquestions(thread)]
    run = await il.aresume(thread, answers)

    assert (run.status, sorted(sent(outbox))) == ("succeeded", ["ann 1", "bob 1"])


async def test_a_renamed_node_loses_no_approval(
    il: Interlock, database_url: str, policy: Path, outbox: Path
) -> None:
    """Code that no longer has the waiting node refuses to go on; the code that asked still can."""
    thread, question = await waiting(il, "two", outbox)
    async with opened(database_url, policy, SAMPLE / "renamed.json") as newer:
        with pytest.raises(ResumeRefused, match="no longer has"):
            await newer.aresume(thread, Approve(question.id, by="ann"))
        assert [each.id for each in await newer.aquestions(thread)] == [question.id]

    run = await il.aresume(thread, Approve(question.id, by="ann"))
    assert (run.status, sent(outbox)) == ("waiting", ["ann 1"])


async def test_another_process_takes_the_answer(
    database_url: str, policy: Path, outbox: Path
) -> None:
    """The process that asked is gone; the one that answers does what was agreed to."""
    async with opened(database_url, policy) as il:
        thread, question = await waiting(il, "first", outbox, to="ann")
    async with opened(database_url, policy) as il:
        run = await il.aresume(thread, Approve(question.id, by="ann"))

    assert (run.status, sent(outbox)) == ("succeeded", ["ann 1"])


def test_an_answer_taken_before_a_kill_does_not_open_the_next_gate(
    database_url: str, tmp_path: Path, outbox: Path
) -> None:
    """Killed after the first act and before the next gate: the old answer is used for what it was given for."""
    thread = Killable(CONFIG, database_url, tmp_path)
    run = thread.begin("two", {"outbox": str(outbox)})
    assert run is not None
    Path(f"{outbox}.kill").touch()
    assert thread.resume(answer=run["questions"][0]) is None
    run = thread.resume()

    assert run is not None
    assert (run["status"], sent(outbox)) == ("waiting", ["ann 1"])
    run = thread.resume(answer=run["questions"][0])
    assert run is not None
    assert (run["status"], sent(outbox)) == ("succeeded", ["ann 1", "bob 1"])


@pytest.mark.parametrize("then", [ASK, ALLOW])
async def test_a_rejected_act_does_not_run_when_its_node_runs_again(
    il: Interlock, policy: Path, outbox: Path, then: str
) -> None:
    """The node fails after the rejection and is resumed, also under a policy that would allow by now."""
    thread, question = await waiting(il, "turns", outbox, payees=["ann"])
    Path(f"{outbox}.fail").touch()
    with pytest.raises(RuntimeError, match="told to fail"):
        await il.aresume(thread, Reject(question.id, by="ann"))
    policy.write_text(then)
    run = await il.aresume(thread)

    assert (run.status, run.output["said"]) == ("succeeded", ["not sent to ann: rejected"])
    assert sent(outbox) == []


async def test_words_are_no_permission(il: Interlock, outbox: Path) -> None:
    """A response in words goes to the agent; the act does not happen."""
    thread, question = await waiting(il, "turns", outbox, payees=["ann"])
    run = await il.aresume(thread, Respond(question.id, "yes, go ahead", by="ann"))

    assert (run.output["said"], sent(outbox)) == (["not sent to ann: answered"], [])


async def test_a_node_that_asks_for_something_else_when_it_runs_again_is_asked_about(
    il: Interlock, policy: Path, outbox: Path
) -> None:
    """It sent to Ann and failed; resumed, it would send to Bob: although that is allowed, a person is told of Ann."""
    policy.write_text(ALLOW)
    Path(f"{outbox}.whom").write_text("ann")
    Path(f"{outbox}.fail").touch()
    with pytest.raises(RuntimeError, match="told to fail"):
        await il.ainvoke("whims", {"outbox": str(outbox)}, thread_id="t")
    Path(f"{outbox}.whom").write_text("bob")
    run = await il.aresume("t")
    question = run.interrupts[0]

    assert (run.status, sent(outbox)) == ("waiting", ["ann 1"])
    assert "by an earlier attempt at this step" in question.summary
    assert any('"to": "ann"' in line for line in question.evidence)
    run = await il.aresume("t", Approve(question.id, by="ann"))
    assert (run.status, sent(outbox)) == ("succeeded", ["ann 1", "bob 1"])


async def test_what_one_branch_did_is_told_on_the_others(
    il: Interlock, policy: Path, outbox: Path
) -> None:
    """A waiting thread is forked, and the fork sends: neither its parent nor another fork sends again untold."""
    thread, question = await waiting(il, "first", outbox, to="ann")
    fork = await il.afork(thread, at=0)
    await il.aresume(fork.thread_id, Approve(fork.interrupts[0].id, by="ann"))
    run = await il.aresume(thread, Approve(question.id, by="ann"))
    again = run.interrupts[0]
    policy.write_text(ALLOW)
    other = await il.afork(thread, at=0)

    assert (run.status, other.status, sent(outbox)) == ("waiting", "waiting", ["ann 1"])
    for each in (again, other.interrupts[0]):
        assert f"on thread {fork.thread_id}, another branch" in each.summary
    run = await il.aresume(thread, Approve(again.id, by="ann"))
    assert (run.status, sent(outbox)) == ("succeeded", ["ann 1", "ann 1"])


async def test_a_rejection_stays_one_when_another_branch_acts(il: Interlock, outbox: Path) -> None:
    """What is learnt after a rejection makes no new question of it."""
    thread, question = await waiting(il, "turns", outbox, payees=["ann"])
    fork = await il.afork(thread, at=0)
    Path(f"{outbox}.fail").touch()
    with pytest.raises(RuntimeError, match="told to fail"):
        await il.aresume(thread, Reject(question.id, by="ann"))
    await il.aresume(fork.thread_id, Approve(fork.interrupts[0].id, by="ann"))
    run = await il.aresume(thread)

    assert (run.status, run.output["said"]) == ("succeeded", ["not sent to ann: rejected"])
    assert sent(outbox) == ["ann 1"]
