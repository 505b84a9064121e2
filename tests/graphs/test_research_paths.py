"""The paths of the research graph: what runs, what is asked, what is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from langgraph.types import Command

from graphs.research import RETRY, graph
from interlock.core.corpus_memory import MemoryCorpus
from interlock.errors import ModelFailed
from interlock.testing import Turn
from nodes.research.questions import Critique, Plan, PlannedTask, Query, Supervision
from state.research import SEARCHES
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

APPROVE = {"type": "approve"}


async def test_run_without_disturbance_waits_for_approval(team: Team) -> None:
    """Nothing is written before a person agrees."""
    await team.start(*team.happy())

    assert (await team.state()).next == ("approve",)
    assert await team.nodes() == [
        "__start__",
        "gather",
        "plan",
        "researcher",
        "researcher",
        "supervise",
        "write",
        "verify",
        "critique",
        "approve",
    ]
    assert (team.ledger.begun, team.output.exists()) == ([], False)
    team.model.assert_done()


async def test_approved_report_is_published_once(team: Team) -> None:
    """The one effect is the report, in both forms, where the question said."""
    await team.start(*team.happy())
    output = await team.answer(APPROVE)

    published = output["published"]
    assert output["status"] == "published"
    assert team.ledger.done == ["publish_report"]
    assert sorted(each.suffix for each in team.output.iterdir()) == [".html", ".md"]
    assert Path(published["markdown"]).parent == team.output
    assert "The north lamp reaches 18 miles" in Path(published["markdown"]).read_text()
    assert "The north lamp reaches 18 miles" in Path(published["html"]).read_text()
    assert (await team.state()).next == ()


async def test_findings_say_exactly_where_they_stand(team: Team) -> None:
    """A finding holds the document's own text and its lines."""
    await team.start(*team.happy())

    found = {each["task"]: each for each in (await team.state()).values["findings"]}
    assert found["north"] == {
        "id": team.finding("north"),
        "task": "north",
        "claim": "The north lamp's reach is stated.",
        "quote": "The north lamp reaches 18 miles\nin clear weather.",
        "document": team.ids["north.md"],
        "source": "north.md",
        "title": "North pier",
        "location": {"kind": "line", "first": 3, "last": 4},
    }


async def test_each_step_is_told_while_it_happens(team: Team) -> None:
    """The events of a run tell its course."""
    await team.start(*team.happy())
    await team.answer(APPROVE)

    assert list(dict.fromkeys(each["event"] for each in team.events)) == [
        "gather",
        "gathered",
        "plan",
        "search",
        "findings",
        "judged",
        "task",
        "supervise",
        "draft",
        "verified",
        "critique",
        "published",
    ]
    searches = sorted(team.told("search"), key=lambda each: str(each["task"]))
    assert searches == [
        {"event": "search", "task": "north", "query": "north reaches", "hits": 2},
        {"event": "search", "task": "south", "query": "south reaches", "hits": 2},
    ]


async def test_gap_sends_researchers_out_again(team: Team) -> None:
    """A gap that the supervisor sees becomes a new task, and a second round."""
    gap = Supervision(missing="The south lamp.", tasks=[task("south")])
    await team.start(
        Plan(tasks=[task("north")]),
        *finds("north"),
        gap,
        *finds("south"),
        enough(),
        team.good_report(),
        accepted(),
    )

    values = (await team.state()).values
    assert [each["id"] for each in values["plan"]] == ["north", "south"]
    assert values["round"] == 2
    assert (await team.nodes()).count("researcher") == 2
    assert [each["missing"] for each in team.told("supervise")] == ["The south lamp.", ""]
    team.model.assert_done()


async def test_tasks_run_in_waves(team: Team) -> None:
    """A task starts when what it needs has ended, knows what was found, and costs no model call."""
    await team.start(
        Plan(tasks=[task("north"), task("south", "north")]),
        *finds("north"),
        *finds("south"),
        enough(),
        team.good_report(),
        accepted(),
    )

    assert (await team.nodes())[3:7] == ["researcher", "supervise", "researcher", "supervise"]
    first, second = team.model.prompts("Query")
    assert "The north lamp's reach is stated." not in first
    assert "The north lamp's reach is stated." in second
    team.model.assert_done()


async def test_critic_rejects_twice(team: Team) -> None:
    """The writer gets the critic's reasons, and its own draft, each time."""
    await team.start(
        *team.research(),
        team.good_report("First"),
        Critique(verdict="revise", reasons=["Say it in miles."]),
        team.good_report("Second"),
        Critique(verdict="revise", reasons=["Name both lamps."]),
        team.good_report("Third"),
        accepted(),
    )

    values = (await team.state()).values
    _, second, third = team.model.prompts("Report")
    assert (values["draft"]["title"], values["revision"], values["faults"]) == ("Third", 2, [])
    assert "critic: Say it in miles." in second
    assert "# First" in second
    assert ("critic: Name both lamps." in third, "Say it in miles." in third) == (True, False)
    assert (await team.nodes()).count("critique") == 3
    team.model.assert_done()


async def test_critic_asks_for_research(team: Team) -> None:
    """What the writer cannot mend goes to the supervisor, with the critic's reasons."""
    await team.start(
        Plan(tasks=[task("north")]),
        *finds("north"),
        enough(),
        team.report(team.says("north")),
        Critique(verdict="research", reasons=["The south lamp is missing."]),
        Supervision(missing="The south lamp.", tasks=[task("south")]),
        *finds("south"),
        enough(),
        team.good_report(),
        accepted(),
    )

    assert (await team.nodes())[3:] == [
        "researcher",
        "supervise",
        "write",
        "verify",
        "critique",
        "supervise",
        "researcher",
        "supervise",
        "write",
        "verify",
        "critique",
        "approve",
    ]
    assert "- The south lamp is missing." in team.model.prompts("Supervision")[1]
    team.model.assert_done()


async def test_writer_mends_what_the_verifier_finds(team: Team) -> None:
    """A number that is not in its quotation goes back to the writer before any critic sees it."""
    wrong = team.report(team.says("north", "The north lamp reaches 81 miles."))
    await team.start(*team.research(), wrong, team.good_report(), accepted())

    assert (await team.nodes())[6:] == ["write", "verify", "write", "verify", "critique", "approve"]
    mended = team.model.prompts("Report")[1]
    assert "verifier: " in mended
    assert "81" in mended
    team.model.assert_done()


async def test_researcher_reformulates_until_its_criteria_are_met(team: Team) -> None:
    """A second query knows the first one and what is unmet, and passages are read once."""
    await team.start(
        Plan(tasks=[task("north")]),
        looks("north", "dusk"),
        reads("north", "The north lamp is lit at dusk."),
        judges("north", CRITERION),
        looks("north", "north reaches"),
        reads("north"),
        judges("north"),
        enough(),
        team.report(
            team.says("north", "The north lamp is lit at dusk.").model_copy(
                update={"citations": [team.finding("north", "The north lamp is lit at dusk.")]}
            )
        ),
        accepted(),
    )

    outcome = (await team.state()).values["outcomes"]["north"]
    again = team.model.prompts("Query")[1]
    assert (outcome["status"], outcome["queries"]) == ("met", ["dusk", "north reaches"])
    assert "Still unmet:\n- names the reach in miles" in again
    assert "Queries tried already:\n- dusk" in again
    assert [each["hits"] for each in team.told("search")] == [1, 1]
    team.model.assert_done()


async def test_quotation_that_is_not_in_its_passage_is_dropped_and_counted(team: Team) -> None:
    """A planted quotation does not become a finding."""
    await team.start(
        Plan(tasks=[task("north")]),
        looks("north"),
        reads("north", QUOTES["north"], "The north lamp reaches 80 miles."),
        judges("north"),
        enough(),
        team.report(team.says("north")),
        accepted(),
    )

    assert [each["id"] for each in (await team.state()).values["findings"]] == [
        team.finding("north")
    ]
    assert team.told("findings") == [
        {"event": "findings", "task": "north", "count": 1, "dropped": 1}
    ]


async def test_question_that_the_sources_do_not_cover_is_declined(team: Team) -> None:
    """Without a finding nothing is written: the message says where was searched, and for what."""
    zeppelin = PlannedTask(id="z", question="Who flew it?", criteria=["names a pilot"], needs=[])
    queries = [Query(query=words) for words in ("zeppelin", "airship", "pilot")]
    output = await team.start(Plan(tasks=[zeppelin]), *queries)

    assert len(queries) == SEARCHES
    assert output["status"] == "not_covered"
    assert output["message"] == (
        f"The sources do not cover the question. Searched 2 documents of {team.folder} for: "
        "“zeppelin”; “airship”; “pilot”. Ask in the sources' own words, or give others."
    )
    assert (await team.nodes())[-2:] == ["supervise", "decline"]
    assert ((await team.state()).next, team.ledger.begun) == ((), [])
    team.model.assert_done()


async def test_passages_without_an_answer_are_declined_too(team: Team) -> None:
    """Passages that share words with the question are no answer."""
    await team.start(
        Plan(tasks=[task("north")]),
        looks("north", "lamp"),
        reads("north"),
        looks("north", "lamp dusk"),
        looks("north", "north"),
    )

    values = (await team.state()).values
    assert values["status"] == "not_covered"
    assert values["outcomes"]["north"]["status"] == "open"
    assert values["findings"] == []
    team.model.assert_done()


async def test_second_question_on_a_thread_begins_anew(team: Team) -> None:
    """Nothing of the first run is in the second one."""
    await team.start(*team.happy())
    await team.answer(APPROVE)
    await team.start(
        Plan(tasks=[task("south")]),
        *finds("south"),
        enough(),
        team.report(team.says("south"), title="South"),
        accepted(),
        question="How far does the south lamp reach?",
    )

    values = (await team.state()).values
    assert [each["task"] for each in values["findings"]] == ["south"]
    assert list(values["outcomes"]) == ["south"]
    assert (values["published"], values["status"]) == (None, "working")
    assert "(none yet)" in team.model.prompts("Report")[1]


async def test_run_goes_on_where_the_documents_are_not_in_memory(team: Team) -> None:
    """In another process a corpus in memory is empty: researcher and verifier read the sources again."""
    down = [Turn(reply=ConnectionError("down"), schema="Supervision")] * RETRY.max_attempts
    with pytest.raises(ModelFailed, match="down"):
        await team.start(Plan(tasks=[task("north")]), *finds("north"), *down)
    team.corpus = MemoryCorpus()
    gap = Supervision(missing="The south lamp.", tasks=[task("south")])
    await team.go_on(gap, *finds("south"), enough(), team.good_report(), accepted())

    assert (await team.state()).next == ("approve",)
    assert (await team.nodes()).count("gather") == 1
    team.model.assert_done()


def test_graph_runs_synchronously(team: Team) -> None:
    """Plain `invoke` takes the same path as `ainvoke`."""
    team.model.then(*team.happy())
    team.graph.invoke(team.given(), team.config, context=team.context)
    waiting = team.graph.get_state(team.config).next
    answer: Command[str] = Command(resume={"decisions": [APPROVE]})
    output = team.graph.invoke(answer, team.config, context=team.context)

    assert waiting == ("approve",)
    assert output["status"] == "published"
    assert team.ledger.done == ["publish_report"]
    team.model.assert_done()


async def test_graph_runs_up_to_its_question_without_a_checkpointer(team: Team) -> None:
    """Without a place to wait in, the question is still what comes back."""
    team.model.then(*team.happy())
    output = await graph.ainvoke(team.given(), context=team.context)

    (interrupt,) = output["__interrupt__"]
    assert interrupt.value["action_requests"][0]["name"] == "publish_report"
    assert team.ledger.begun == []
