"""Repairs that correct the arguments of a tool call, or of an act that was refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock
from interlock.core.answers import Approve
from interlock.core.repairs import Change, Setting
from interlock.core.runs import Run
from interlock.repair.asking import Diagnosis, Proposal
from interlock.settings import Settings
from interlock.testing import ScriptedModel
from tests.integration.test_repair import CONFIG, Models, answered, evidence, repairing
from tests.unattended import attempt


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel.of()


@pytest.fixture
async def il(database_url: str, model: ScriptedModel) -> AsyncIterator[Interlock]:
    opened = interlock.aopen(
        database_url, config=CONFIG, settings=Settings(user="ann"), models=Models(chat=model)
    )
    async with opened as il:
        yield il


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


async def died(il: Interlock, log: Path, graph: str, amount: int) -> Run:
    """Return a run that is dead of its amount."""
    run = await il.asubmit(graph, {"log": str(log), "amount": amount, "to": "bob"})
    dead = await attempt(il, run.run_id)
    assert dead.status == "dead"
    return dead


async def calls_of(il: Interlock) -> list[Any]:
    """Return the calls that a repair of the only letter would be shown."""
    (letter,) = await il.aletters()
    return await il.calls(await il.remains(letter))


def gives(call: str, **arguments: Any) -> Proposal:
    """Return the proposal of other arguments."""
    settings = [Setting(key=key, value=json.dumps(each)) for key, each in arguments.items()]
    return Proposal(change=Change(kind="arguments", call=call, values=settings, reason="a typo"))


async def proposed(il: Interlock, model: ScriptedModel, *proposals: Proposal) -> list[str]:
    """Return what the question of a repair shows that proposed these."""
    model.then(Diagnosis(cause="the amount is wrong"), *proposals)
    repair = await repairing(il)
    assert repair.status == "waiting", (repair.error, repair.output)
    (question,) = await il.aquestions(repair.thread_id)
    return evidence(question)


async def approved(il: Interlock) -> None:
    (question,) = await il.aquestions()
    await answered(il, await il.arun(question.thread_id), Approve)


async def test_a_tool_call_that_was_refused_gets_other_arguments(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """In its message: the act asked for next has them, and the model's call is kept under its id."""
    dead = await died(il, log, "called", -5)

    told = await proposed(il, model, gives("call_1", amount=5))

    asked = model.prompts("Proposal")[0]
    assert '"id": "call_1"' in asked
    assert "greater than or equal to 1" in asked
    assert "change: mended_wire: amount → 5" in told
    assert any(each.startswith("it would do: mended_wire(") for each in told)
    assert any("amount=5" in each and "it cannot be undone" in each for each in told)
    assert lines(log) == []
    await approved(il)
    assert (await attempt(il, dead.run_id)).status == "waiting"  # it cannot be undone
    await approved(il)
    assert lines(log) == ["wire 5 to bob"]
    first = (await il.arun(dead.thread_id)).output["messages"][0]
    assert first.tool_calls[0]["args"]["amount"] == 5
    assert first.tool_calls[0]["id"] == "call_1"


@pytest.mark.parametrize("graph", ["tools", "sent"])
async def test_the_call_of_a_plain_tool_gets_other_arguments(
    il: Interlock, log: Path, model: ScriptedModel, graph: str
) -> None:
    """Also one that was sent to its node alone; a trial does not call it, and the question says what is not known."""
    dead = await died(il, log, graph, 0)

    told = await proposed(il, model, gives("call_2", nights="many"), gives("call_2", nights=2))

    assert "change: book: nights → 2" in told
    assert "book is no action: whether it did something before it failed is not recorded" in told
    assert any(each.startswith("it would do: the tool book(") for each in told)
    assert "The arguments of book are wrong: nights: " in model.prompts("Proposal")[1]
    assert lines(log) == []
    await approved(il)
    assert (await attempt(il, dead.run_id)).status == "succeeded"
    assert lines(log) == ["book 2"]


async def test_an_act_that_was_refused_gets_other_arguments(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """Where they came from the state, and nothing else of it changes; what would be refused again is not tried."""
    dead = await died(il, log, "asked", 500)
    (call,) = await calls_of(il)
    assert (call.what, call.name, call.arguments["amount"]) == ("act", "mended_wire", 500)
    assert call.fault == "mended_wire was not run: more than 100."

    told = await proposed(il, model, gives(call.id, amount=200), gives(call.id, amount=50))

    assert "mended_wire would be refused again: more than 100." in model.prompts("Proposal")[1]
    assert "change: mended_wire: amount → 50" in told
    assert "state: amount: 500 → 50" in told
    await approved(il)
    assert (await attempt(il, dead.run_id)).status == "waiting"  # it cannot be undone
    await approved(il)
    assert lines(log) == ["wire 50 to bob"]


async def test_an_approval_is_not_one_of_other_arguments(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """An act that was approved, and then refused by its own function, is asked about anew once it has others."""
    run = await il.asubmit("asked", {"log": str(log), "amount": 5, "to": "nobody"})
    assert (await attempt(il, run.run_id)).status == "waiting"
    await approved(il)
    dead = await il.arun(run.thread_id)
    assert dead.status == "dead"
    (call,) = await calls_of(il)

    await proposed(il, model, gives(call.id, to="bob"))
    await approved(il)

    assert (await attempt(il, dead.run_id)).status == "waiting"
    (question,) = await il.aquestions()
    assert question.payload["action_requests"][0]["args"]["to"] == "bob"
    assert lines(log) == []
    await approved(il)
    assert lines(log) == ["wire 5 to bob"]


async def test_arguments_that_the_node_computes_are_not_guessed(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """Nor is a change promoted that does not reach the act."""
    await died(il, log, "doubled", 100)
    (call,) = await calls_of(il)

    wrong = [gives(call.id, amount=50), gives(call.id, to="eve", amount=50), gives("other", to="x")]
    told = "\n".join(await proposed(il, model, *wrong))

    assert "The argument amount of mended_wire does not stand in the state" in told
    assert "No call 'other' waits or was refused at the last checkpoint." in told
    assert f"There are: {call.id} (mended_wire)." in told
    assert lines(log) == []


async def test_a_trial_must_come_to_the_act(il: Interlock, log: Path, model: ScriptedModel) -> None:
    """With all of the new arguments: a value that only happens to be equal is not where one came from."""
    await died(il, log, "fixed", 500)
    (call,) = await calls_of(il)

    told = "\n".join(await proposed(il, model, *[gives(call.id, amount=50, to="eve")] * 3))

    assert 'it did not come to mended_wire(amount=50, to="eve"); it came to an act' in told
    assert lines(log) == []


async def test_what_is_in_doubt_is_not_repaired_so(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """Another act of the same name may have happened: a person finds out first."""
    await died(il, log, "shaken", -1)
    calls = await calls_of(il)
    assert [each.arguments["amount"] for each in calls] == [-1]

    told = "\n".join(await proposed(il, model, *[gives(calls[0].id, amount=2)] * 3))

    assert "is in doubt: it may have been done." in told
    assert "interlock effects show" in told
