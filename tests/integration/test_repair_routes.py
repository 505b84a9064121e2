"""Repairs that go round the node that failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Interlock
from interlock.core.answers import Approve, Reject, Resume
from interlock.core.repairs import Change, Setting
from interlock.core.runs import Run
from interlock.repair.asking import Diagnosis, Proposal
from interlock.settings import Settings
from interlock.testing import ScriptedModel
from tests.integration.test_repair import CONFIG, Models, answered, evidence, lines, repairing
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


async def died(il: Interlock, log: Path, graph: str) -> Run:
    """Return a run that is dead of its node `look`, or of one of its parts."""
    run = await il.asubmit(graph, {"log": str(log)})
    dead = await attempt(il, run.run_id)
    assert dead.status == "dead"
    return dead


def goes(*goto: str, **values: str) -> Proposal:
    """Return the proposal of another route; values are JSON text."""
    settings = [Setting(key=key, value=value) for key, value in values.items()]
    change = Change(kind="route", goto=list(goto), values=settings, reason="the size is known")
    return Proposal(change=change)


async def proposed(il: Interlock, model: ScriptedModel, *proposals: Proposal) -> Run:
    """Return a repair that proposed these."""
    model.then(Diagnosis(cause="nobody knows it"), *proposals)
    return await repairing(il)


async def question_of(il: Interlock, repair: Run) -> list[str]:
    assert repair.status == "waiting", (repair.error, repair.output)
    (question,) = await il.aquestions(repair.thread_id)
    return evidence(question)


@pytest.mark.parametrize("graph", ["ways", "bare"])
async def test_the_node_that_failed_is_skipped(
    il: Interlock, log: Path, model: ScriptedModel, graph: str
) -> None:
    """Its own router decides on what it would have brought; the node beside it is not run again."""
    dead = await died(il, log, graph)

    repair = await proposed(il, model, goes(size="5"))

    told = await question_of(il, repair)
    assert "change: look is not run; the run goes on where its edges lead" in told
    assert "change: size: not set → 5" in told
    assert 'it would do: mended_note(path="' in "".join(told)
    assert 'line="ship"). What follows is not known.' in "".join(told)
    assert any(each.startswith('stays done: mended_note(line="looked"') for each in told)
    assert sorted(lines(log)) == ["beside", "looked"]
    done = await answered(il, repair, Approve)
    assert done.output["status"] == "promoted", done.output
    assert (await attempt(il, dead.run_id)).status == "succeeded"
    assert sorted(lines(log)[:2]) == ["beside", "looked"]
    assert lines(log)[2:] == ["ship"]
    output = (await il.arun(dead.thread_id)).output
    assert output["size"] == 5
    assert output["way"] == "ship"
    assert output["heard"] == ["begun", "beside"]
    (letter,) = await il.aletters(status="repaired")
    assert (letter.proposal or {})["kind"] == "route"


async def test_the_run_goes_on_at_another_node(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """At one that the graph declares, and only there: its edges are not followed."""
    dead = await died(il, log, "ways")

    repair = await proposed(il, model, goes("by_hand"))

    told = await question_of(il, repair)
    assert "change: look is not run; the run goes on at by_hand" in told
    assert not any("nodes that it finished" in each and "look" in each for each in told)
    await answered(il, repair, Approve)
    assert (await attempt(il, dead.run_id)).status == "succeeded"
    assert lines(log)[2:] == ["hand"]


async def test_a_route_that_is_not_declared_is_refused(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """Neither a node that is not there, nor one that the node does not lead to; nor a value that does not fit."""
    await died(il, log, "ways")

    repair = await proposed(il, model, goes("nowhere"), goes("begin"), goes(size='"big"'))

    told = "\n".join(await question_of(il, repair))
    assert "The node look does not lead to nowhere, as its graph declares it." in told
    assert "The node look does not lead to begin, as its graph declares it." in told
    assert "It leads to: by_hand, large, small." in told
    assert "The value of size does not fit" in told
    assert sorted(lines(log)) == ["beside", "looked"]


async def test_of_several_tasks_the_one_that_failed_is_skipped(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """The others keep what they brought, or are run again where they were cancelled, and do nothing twice."""
    dead = await died(il, log, "fanned")

    repair = await proposed(il, model, goes(heard='["part 2 by hand"]'))

    await question_of(il, repair)
    await answered(il, repair, Approve)
    assert (await attempt(il, dead.run_id)).status == "succeeded"
    assert sorted(lines(log)) == ["part 1", "part 2", "part 3"]
    output = (await il.arun(dead.thread_id)).output
    assert output["way"] == "begun and part 1 and part 2 by hand and part 3"


async def test_a_node_that_failed_behind_an_answer_is_gone_round(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """The run that took the answer goes on behind the node, and nobody is asked again."""
    run = await il.asubmit("lost", {"log": str(log)})
    assert (await attempt(il, run.run_id)).status == "waiting"
    (question,) = await il.aquestions(run.thread_id)
    resumed = await il.asubmit_answer(run.thread_id, Resume(question.id, "9"))
    assert (await attempt(il, resumed.run_id)).status == "dead"

    repair = await proposed(il, model, goes(heard='["skipped"]'))
    await answered(il, repair, Approve)
    again = await attempt(il, resumed.run_id)

    assert (again.status, again.error) == ("succeeded", "")
    assert (await il.arun(run.thread_id)).output["heard"] == ["begun", "skipped"]


async def test_a_rejected_route_leaves_the_run_as_it_was(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """It can be replayed, and fails in the same node again."""
    dead = await died(il, log, "ways")
    repair = await proposed(il, model, goes())

    await answered(il, repair, Reject)

    (letter,) = await il.aletters()
    await il.aletter_replay(letter.id)
    again = await attempt(il, dead.run_id)
    assert (again.status, again.error) == ("dead", "ValueError: nobody knows this size")


async def test_the_model_is_told_where_the_node_may_lead(
    il: Interlock, log: Path, model: ScriptedModel
) -> None:
    """And what kinds of change there are."""
    await died(il, log, "ways")

    await proposed(il, model, goes())

    asked: Any = model.prompts("Proposal")[0]
    assert '"by_hand",\n  "large",\n  "small"' in asked
    assert "- route:" in asked
