"""Dead runs that are repaired: a change is tried without effects, a person agrees, and the run goes on with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock
from interlock.core.repairs import Change, Setting
from interlock.core.runs import Approve, OpenQuestion, Run
from interlock.repair.asking import Diagnosis, Proposal
from interlock.settings import Settings
from interlock.testing import OneModel, ScriptedModel
from tests.unattended import attempt

CONFIG = Path(__file__).parents[1] / "sample" / "mended" / "langgraph.json"
DIED = ["reserve stock", "reserve carrier"]


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel.of()


@pytest.fixture
async def il(database_url: str, model: ScriptedModel) -> AsyncIterator[Interlock]:
    settings = Settings(user="ann", tenant="acme")
    opened = interlock.aopen(
        database_url, config=CONFIG, settings=settings, models=OneModel(chat=model)
    )
    async with opened as il:
        yield il


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


async def died(il: Interlock, log: Path, graph: str = "orders", **state: Any) -> Run:
    """Return a run that is dead of its number of pieces."""
    run = await il.asubmit(graph, {"log": str(log), "pieces": 0, **state})
    dead = await attempt(il, run.run_id)
    assert dead.status == "dead"
    return dead


def sets(**values: str) -> Proposal:
    """Return the proposal of a change of the state; values are JSON text."""
    settings = [Setting(key=key, value=value) for key, value in values.items()]
    return Proposal(change=Change(kind="state", values=settings, reason="it must be positive"))


async def repairing(il: Interlock, **more: Any) -> Run:
    """Begin a repair of the only letter, and return it as it stands after one attempt."""
    (letter,) = await il.aletters()
    run = await il.aletter_repair(letter.id[:4], model="scripted:model", **more)
    await attempt(il, run.run_id)
    return await il.arun(run.thread_id)


async def answered(il: Interlock, run: Run, how: type[Any], message: str = "") -> Run:
    """Answer the question of a repair, and return it as it stands then."""
    (question,) = await il.aquestions(run.thread_id)
    await il.asubmit_answer(run.thread_id, how(question.id, by="ben", message=message))
    await attempt(il, (await il.arun(run.thread_id)).run_id)
    return await il.arun(run.thread_id)


def evidence(question: OpenQuestion) -> list[str]:
    found: list[str] = question.payload["question"]["evidence"]
    return found


async def test_the_second_proposal_helps(il: Interlock, log: Path, model: ScriptedModel) -> None:
    """The trial does nothing; after approval the run goes on with the change, and repeats nothing."""
    dead = await died(il, log)
    model.then(Diagnosis(cause="no pieces"), sets(pieces="-1"), sets(pieces="4"))

    repair = await repairing(il)

    assert repair.status == "waiting", repair.error
    assert lines(log) == DIED
    (question,) = await il.aquestions(repair.thread_id)
    assert "change: pieces: 0 → 4" in evidence(question)
    assert any("it would do: mended_pay(" in each for each in evidence(question))

    done = await answered(il, repair, Approve)

    assert done.output["status"] == "promoted", done
    assert (await il.arun(dead.thread_id)).status == "queued"
    (letter,) = await il.aletters(status="repaired")
    assert (letter.closed_by, (letter.proposal or {})["kind"]) == ("ben", "state")
    assert (await attempt(il, dead.run_id)).status == "succeeded"
    assert lines(log) == [*DIED, "pay 12"]
    assert (await il.arun(dead.thread_id)).output["pieces"] == 4
    model.assert_done()
