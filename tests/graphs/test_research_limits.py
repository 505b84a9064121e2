"""Every cycle of the research graph has a limit, and says what happens there."""

from __future__ import annotations

from itertools import pairwise

import pytest

from graphs.research import graph
from interlock.errors import LimitReached
from interlock.testing import Turn
from nodes.research.questions import Critique, Plan, Supervision
from state.research import REVISIONS, ROUNDS, SEARCHES, STEPS
from tests.graphs.harbour import (
    CRITERION,
    QUOTES,
    Team,
    accepted,
    enough,
    finds,
    judges,
    looks,
    reads,
    task,
)

DUSK = "The north lamp is lit at dusk."


async def test_researcher_stops_at_its_last_search(team: Team) -> None:
    """After the last search the task is partial, with what is unmet, and the report is written."""
    await team.start(
        Plan(tasks=[task("north")]),
        looks("north", "dusk"),
        reads("north", DUSK),
        judges("north", CRITERION),
        looks("north", "zeppelin"),
        looks("north", "airship"),
        enough(),
        team.report(team.says("north", DUSK).model_copy(update={"citations": [dusk(team)]})),
        accepted(),
    )

    outcome = (await team.state()).values["outcomes"]["north"]
    assert SEARCHES == 3
    assert outcome == {
        "task": "north",
        "status": "partial",
        "attempts": 1,
        "strategy": "focused",
        "queries": ["dusk", "zeppelin", "airship"],
        "unmet": [CRITERION],
        "reason": "not met: names the reach in miles",
    }
    assert (
        "- How far does the north lamp reach? (not met: names the reach in miles)"
        in (team.model.prompts("Report")[0])
    )
    team.model.assert_done()


async def test_researcher_that_repeats_itself_stops(team: Team) -> None:
    """The same words again find the same, so a repeated query ends the search before its limit."""
    await team.start(
        Plan(tasks=[task("north")]),
        looks("north", "dusk"),
        reads("north", DUSK),
        judges("north", CRITERION),
        looks("north", " Dusk"),
        enough(),
        team.report(team.says("north", DUSK).model_copy(update={"citations": [dusk(team)]})),
        accepted(),
    )

    outcome = (await team.state()).values["outcomes"]["north"]
    assert (outcome["status"], outcome["queries"]) == ("partial", ["dusk", " Dusk"])
    team.model.assert_done()


def dusk(team: Team) -> str:
    """Return the id of what was found about dusk."""
    return team.finding("north", DUSK)


async def test_supervisor_stops_at_the_last_round(team: Team) -> None:
    """In the last round nobody is asked for gaps any more."""
    names = ["second", "third"]
    gaps = [Supervision(missing="More.", tasks=[task(name)]) for name in names]
    await team.start(
        Plan(tasks=[task("north")]),
        *finds("north"),
        gaps[0],
        looks("second", "dusk"),
        reads("second", DUSK),
        judges("second"),
        gaps[1],
        looks("third", "dusk"),
        reads("third", DUSK),
        judges("third"),
        team.report(team.says("north")),
        accepted(),
    )

    assert ROUNDS == 3
    assert (await team.state()).values["round"] == 3
    assert (await team.nodes()).count("researcher") == 3
    assert team.model.schemas.count("Supervision") == 2
    team.model.assert_done()


async def test_critic_cannot_ask_for_research_after_the_last_round(team: Team) -> None:
    """The writer gets its reasons instead."""
    gaps = [Supervision(missing="More.", tasks=[task(name)]) for name in ("second", "third")]
    await team.start(
        Plan(tasks=[task("north")]),
        *finds("north"),
        gaps[0],
        looks("second", "dusk"),
        reads("second", DUSK),
        judges("second"),
        gaps[1],
        looks("third", "dusk"),
        reads("third", DUSK),
        judges("third"),
        team.report(team.says("north")),
        Critique(verdict="research", reasons=["The south lamp is missing."]),
        team.report(team.says("north")),
        accepted(),
    )

    nodes = await team.nodes()
    assert ("critique", "write") in pairwise(nodes)
    assert ("critique", "supervise") not in pairwise(nodes)
    assert "critic: The south lamp is missing." in team.model.prompts("Report")[1]
    team.model.assert_done()


async def test_unsupported_sentences_are_dropped_at_the_last_revision(team: Team) -> None:
    """The report goes on without them, and the approver is told which."""
    wrong = team.report(team.says("north"), team.says("south", "The south lamp reaches 21 miles."))
    await team.start(*team.research(), *[wrong] * (REVISIONS + 1), accepted())

    values = (await team.state()).values
    (section,) = values["draft"]["sections"]
    evidence = (await team.question())["question"]["evidence"]
    assert [each["text"] for each in section["sentences"]] == ["The north lamp reaches 18 miles."]
    assert {each["sentence"] for each in values["dropped"]} == {"The south lamp reaches 21 miles."}
    assert any(each.startswith("dropped: The south lamp reaches 21 miles. (") for each in evidence)
    assert team.told("verified")[-1]["dropped"] == 1
    team.model.assert_done()


async def test_report_of_which_nothing_stands_is_an_error(team: Team) -> None:
    """An empty report is not offered for approval."""
    wrong = team.report(team.says("north", "The north lamp reaches 81 miles."))
    with pytest.raises(LimitReached, match=r"No sentence of the report stands after 3 revisions"):
        await team.start(*team.research(), *[wrong] * (REVISIONS + 1))

    assert (await team.state()).next == ("verify",)
    team.model.assert_done()


async def test_critic_becomes_an_objection_at_the_last_revision(team: Team) -> None:
    """The report goes to the approver together with what the critic still holds against it."""
    drafts = [
        turn
        for _ in range(REVISIONS + 1)
        for turn in (team.good_report(), Critique(verdict="revise", reasons=["Too dry."]))
    ]
    await team.start(*team.research(), *drafts)

    evidence = (await team.question())["question"]["evidence"]
    assert (await team.state()).next == ("approve",)
    assert "the critic objects: Too dry." in evidence
    team.model.assert_done()


async def test_third_rejection_ends_the_run(team: Team) -> None:
    """A person who rejects again and again is not asked for ever."""
    await team.start(*team.happy())
    for _ in range(2):
        await team.answer(no("Shorter."), team.good_report(), accepted())
    output = await team.answer(no("Still too long."))

    assert output["status"] == "rejected"
    assert output["message"] == (
        "Rejected by Ada 3 times, the last time because: Still too long. Nothing was published."
    )
    assert ((await team.state()).next, team.ledger.begun) == ((), [])
    team.model.assert_done()


def no(message: str) -> dict[str, str]:
    """Return a rejection."""
    return {"type": "reject", "message": message}


async def test_rejection_gives_the_writer_its_revisions_back(team: Team) -> None:
    """What verifier and critic used up before a person spoke does not count against the wish."""
    await team.start(
        *team.research(),
        team.good_report(),
        Critique(verdict="revise", reasons=["Too dry."]),
        team.good_report(),
        accepted(),
    )
    used = (await team.state()).values["revision"]
    await team.answer(no("Shorter."), team.good_report(), accepted())

    assert (used, (await team.state()).values["revision"]) == (1, 0)


def test_steps_are_limited() -> None:
    """Under all limits lies a limit of steps."""
    assert graph.config is not None
    assert graph.config["recursion_limit"] == STEPS


async def test_same_task_is_not_given_out_again(team: Team) -> None:
    """A supervisor that asks for what was asked before makes no round of it."""
    again = Supervision(missing="The north lamp.", tasks=[task("north")])
    await team.start(
        Plan(tasks=[task("north")]),
        *finds("north"),
        again,
        Turn(reply=team.report(team.says("north")), when=QUOTES["north"]),
        accepted(),
    )

    values = (await team.state()).values
    assert ([each["id"] for each in values["plan"]], values["round"]) == (["north"], 1)
    team.model.assert_done()
