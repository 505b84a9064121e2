"""The research team with a budget: what is spent lands, with what there is."""

from __future__ import annotations

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from graphs.research import Graph, graph
from interlock.core.budget import Limits
from interlock.errors import BudgetSpent
from nodes.research.failures import researcher_failed
from nodes.research.questions import Plan
from state.research import ResearcherState
from tests.graphs.harbour import QUOTES, Team, finds, looks, task


def limited(limits: Limits) -> Graph:
    """The team as it is published, with limits."""
    return graph.copy({"checkpointer": InMemorySaver(), "limits": limits})


async def test_spent_in_a_researcher_the_team_lands(team: Team) -> None:
    """With the quotations of the tasks that had ended, word for word, and no further call."""
    team.graph = limited(Limits(model_calls=5))
    plan = Plan(tasks=[task("north"), task("south", "north")])
    output = await team.start(plan, *finds("north"), looks("south"))

    assert output["status"] == "partial"
    assert output["message"].startswith(
        "Partial, and not published: the quotations alone, 1 findings."
    )
    assert "0 of 5 model calls are left" in output["message"]
    draft = output["draft"]
    assert [each["heading"] for each in draft["sections"]] == [task("north").question]
    assert draft["sections"][0]["sentences"] == [
        {"text": f"“{QUOTES['north']}”", "citations": [team.finding("north")]}
    ]
    assert draft["unknown"] == [task("south").question]
    assert (await team.nodes())[-2:] == ["researcher", "land"]
    assert team.ledger.done == []
    team.model.assert_done()


async def test_spent_behind_the_writer_its_draft_is_delivered(team: Team) -> None:
    """It says that nobody checked it to its end."""
    team.graph = limited(Limits(model_calls=9))
    output = await team.start(*team.research(), team.good_report())

    assert output["status"] == "partial"
    assert "a draft that was not checked to its end" in output["message"]
    assert output["draft"]["title"] == "The lamps' reach (partial)"
    assert len(output["draft"]["sections"]) == 1
    team.model.assert_done()


async def test_spent_before_there_is_anything(team: Team) -> None:
    """An empty draft, under the question."""
    team.graph = limited(Limits(model_calls=0))
    output = await team.start()

    assert output["draft"]["sections"] == []
    assert output["draft"]["title"] == "How far do the harbour's lamps reach? (partial)"
    assert [each["message"] for each in team.told("landed")] == [output["message"]]


async def test_enough_budget_changes_nothing(team: Team) -> None:
    """The team asks for its approval as without one."""
    team.graph = limited(Limits(model_calls=10, steps=9))
    await team.start(*team.happy())

    assert (await team.state()).next == ("approve",)


def test_researcher_does_not_survive_a_spent_budget() -> None:
    """It is no failure of its task that another attempt would mend."""
    spent = BudgetSpent("The budget is spent.", scope="run r", unit="tokens")
    state: ResearcherState = {"attempt": 1}
    with pytest.raises(BudgetSpent):
        researcher_failed(state, spent)
