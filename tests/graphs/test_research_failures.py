"""What the research graph does when something fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.errors import GraphDrained

from graphs.research import RETRY
from interlock.core.context import Context, Ports
from interlock.core.models import ChatModels
from interlock.errors import (
    InterlockError,
    LimitReached,
    ModelFailed,
    ModelUnavailable,
    OutputInvalid,
    PromptError,
    SourceError,
    UsageError,
)
from interlock.testing import Turn
from nodes.research.failures import surviving
from nodes.research.questions import Plan, Query
from state.research import ResearcherOutput, ResearcherState
from tests.graphs.harbour import Team, accepted, enough, finds, looks, meant_for, task


class ApiError(Exception):
    """What a provider's client raises: an error with an HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the provider answered {status}")
        self.status_code = status


def fails(name: str, error: BaseException) -> Turn:
    """A researcher's model call fails."""
    return Turn(reply=error, schema="Query", when=meant_for(name))


def goes_down(name: str) -> list[Turn]:
    """A researcher's model stays away in all attempts of a step."""
    return [fails(name, ApiError(503)) for _ in range(RETRY.max_attempts)]


async def test_failed_call_is_repeated(team: Team) -> None:
    """A provider that is busy for a moment costs nothing but the moment."""
    busy = [fails("north", ApiError(429)), fails("north", TimeoutError("too slow"))]
    await team.start(
        Plan(tasks=[task("north")]),
        *busy,
        *finds("north"),
        enough(),
        team.report(team.says("north")),
        accepted(),
    )

    outcome = (await team.state()).values["outcomes"]["north"]
    assert (outcome["status"], outcome["attempts"]) == ("met", 1)
    team.model.assert_done()


async def test_failed_task_is_given_out_again_with_the_other_strategy(team: Team) -> None:
    """The others' work stays; the second attempt searches broadly, and succeeds."""
    await team.start(
        Plan(tasks=[task("north"), task("south")]),
        *goes_down("north"),
        *finds("south"),
        *finds("north"),
        enough(),
        team.good_report(),
        accepted(),
    )

    outcomes = (await team.state()).values["outcomes"]
    strategies = [
        prompt.rpartition("Strategy: ")[2].split()[0]
        for prompt in team.model.prompts("Query")
        if meant_for("north") in prompt
    ]
    assert strategies == ["focused", "focused", "focused", "broad"]
    assert (outcomes["north"]["status"], outcomes["north"]["attempts"]) == ("met", 2)
    assert (outcomes["south"]["status"], outcomes["south"]["attempts"]) == ("met", 1)
    assert (await team.nodes())[3:7] == ["researcher", "researcher", "supervise", "researcher"]
    assert [each["status"] for each in team.told("task") if each["task"] == "north"] == [
        "failed",
        "met",
    ]
    team.model.assert_done()


async def test_task_that_fails_again_is_reported_as_open(team: Team) -> None:
    """After the last attempt the report is written without it, and says why."""
    await team.start(
        Plan(tasks=[task("north"), task("south")]),
        *goes_down("north"),
        *finds("south"),
        *goes_down("north"),
        enough(),
        team.report(team.says("south")),
        accepted(),
    )

    outcome = (await team.state()).values["outcomes"]["north"]
    evidence = (await team.question())["question"]["evidence"]
    assert (outcome["status"], outcome["attempts"], outcome["strategy"]) == ("open", 2, "broad")
    assert outcome["reason"].startswith("the researcher failed: ")
    assert "the provider answered 503" in outcome["reason"]
    assert f"open: north: {outcome['reason']}" in evidence
    assert "1 of 2 criteria met" in evidence
    team.model.assert_done()


async def test_task_that_needs_an_open_one_is_still_done(team: Team) -> None:
    """What was given up does not block what needed it."""
    await team.start(
        Plan(tasks=[task("north"), task("south", "north")]),
        *goes_down("north"),
        *goes_down("north"),
        *finds("south"),
        enough(),
        team.report(team.says("south")),
        accepted(),
    )

    assert (await team.state()).values["outcomes"]["south"]["status"] == "met"
    team.model.assert_done()


async def test_request_that_the_provider_refuses_is_not_repeated(team: Team) -> None:
    """A request that was too long is no better a moment later, but may be with other passages."""
    await team.start(
        Plan(tasks=[task("north")]),
        fails("north", ApiError(400)),
        *finds("north"),
        enough(),
        team.report(team.says("north")),
        accepted(),
    )

    assert (await team.state()).values["outcomes"]["north"]["attempts"] == 2
    team.model.assert_done()


async def test_run_without_any_search_is_an_error(team: Team) -> None:
    """If no researcher can work at all, the sources are not blamed for it."""
    down = [*goes_down("north"), *goes_down("north")]
    with pytest.raises(LimitReached, match=r"None of 1 tasks could be worked on.* answered 503"):
        await team.start(Plan(tasks=[task("north")]), *down)

    team.model.assert_done()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ModelUnavailable("no key"), ModelUnavailable),
        (PromptError("changed"), PromptError),
        (SourceError("gone"), SourceError),
        (UsageError("wrong"), UsageError),
        (ApiError(401), ModelFailed),
        (AssertionError("a bug"), AssertionError),
    ],
    ids=["model", "prompt", "source", "usage", "key", "bug"],
)
async def test_what_a_person_must_mend_fails_the_run_at_once(
    team: Team, error: Exception, raised: type[Exception]
) -> None:
    """It is neither repeated nor turned into an open task."""
    with pytest.raises(raised, match=str(error)):
        await team.start(Plan(tasks=[task("north")]), fails("north", error))

    assert (await team.state()).next == ("researcher",)
    team.model.assert_done()


async def test_run_goes_on_after_a_person_mended_it(team: Team) -> None:
    """Finished steps are not done again, those inside a researcher neither."""
    no_key = Turn(reply=ModelUnavailable("no key"), schema="Extraction", when=meant_for("south"))
    with pytest.raises(ModelUnavailable):
        await team.start(
            Plan(tasks=[task("north"), task("south", "north")]),
            *finds("north"),
            looks("south"),
            no_key,
        )
    await team.go_on(*finds("south")[1:], enough(), team.good_report(), accepted())

    assert (await team.state()).next == ("approve",)
    assert team.model.schemas == [
        *["Plan", "Query", "Extraction", "Judgement"],
        *["Query", "Extraction", "Extraction", "Judgement"],
        *["Supervision", "Report", "Critique"],
    ]


async def test_unknown_provider_is_named(team: Team) -> None:
    """The error of the model factory arrives as it is."""
    with pytest.raises(ModelUnavailable, match="'gpt' is not a model name"):
        await team.graph.ainvoke(
            team.given(),
            team.config,
            context=Context(model="gpt", ports=Ports(models=ChatModels())),
        )


async def test_garbage_is_repaired(team: Team) -> None:
    """An answer that does not fit goes back with what is wrong with it."""
    circle = Turn(
        reply=Plan.model_construct(tasks=[task("north", "north")]),
        schema="Plan",
    )
    await team.start(
        Turn(reply="I would rather not.", schema="Plan"),
        circle,
        *team.happy(),
    )

    first, second, third = team.model.prompts("Plan")
    assert second.startswith(first)
    assert "I would rather not.\n\nThat answer was not accepted: " in second
    assert "tasks need each other in a circle: north -> north" in third
    assert (await team.state()).next == ("approve",)
    team.model.assert_done()


async def test_garbage_four_times_fails_the_run(team: Team) -> None:
    """Where nobody else can do the step, the run stops with what was wrong."""
    garbage = [Turn(reply="{}", schema="Plan") for _ in range(4)]
    with pytest.raises(OutputInvalid, match="research/plan did not fit Plan after 3 repairs"):
        await team.start(*garbage)

    assert (await team.state()).next == ("plan",)
    team.model.assert_done()


async def test_garbage_four_times_from_a_researcher_is_given_to_another(team: Team) -> None:
    """A researcher that cannot answer fails, and its task goes out again."""
    garbage = [Turn(reply="{}", schema="Query", when=meant_for("north")) for _ in range(4)]
    await team.start(
        Plan(tasks=[task("north")]),
        *garbage,
        *finds("north"),
        enough(),
        team.report(team.says("north")),
        accepted(),
    )

    assert (await team.state()).values["outcomes"]["north"]["strategy"] == "broad"
    team.model.assert_done()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (lambda _: {"question": "  "}, UsageError, "The question is empty"),
        (lambda _: {"sources": []}, UsageError, "No sources are given"),
        (lambda team: {"sources": [f"{team.folder}/no"]}, SourceError, "no"),
    ],
    ids=["question", "sources", "folder"],
)
async def test_input_that_cannot_be_used_is_refused(
    team: Team,
    given: Callable[[Team], dict[str, object]],
    error: type[InterlockError],
    said: str,
) -> None:
    """Wrong input is refused before any model is asked."""
    with pytest.raises(error, match=said):
        await team.start(**given(team))

    assert team.model.calls == []


async def test_script_that_breaks_is_not_taken_for_a_failed_task(team: Team) -> None:
    """A test whose script is wrong fails, whatever node asks."""
    with pytest.raises(AssertionError, match="Call 2 asked for Query, but the script has nothing"):
        await team.start(Plan(tasks=[task("north")]))


async def test_script_with_turns_left_is_reported(team: Team) -> None:
    """A test whose script is too long fails."""
    team.model.then(Query(query="never asked"))

    with pytest.raises(AssertionError, match="1 turns were never asked for: Query"):
        team.model.assert_done()


def test_failed_task_is_given_out_again_in_a_synchronous_run(team: Team) -> None:
    """Plain `invoke` survives a failing researcher as `ainvoke` does."""
    team.model.then(
        Plan(tasks=[task("north")]),
        fails("north", ApiError(400)),
        *finds("north"),
        enough(),
        team.report(team.says("north")),
        accepted(),
    )
    team.graph.invoke(team.given(), team.config, context=team.context)

    state = team.graph.get_state(team.config)
    assert state.next == ("approve",)
    assert state.values["outcomes"]["north"]["strategy"] == "broad"


async def test_drained_researcher_is_not_a_failed_one() -> None:
    """A run that is asked to stop stops inside of a researcher, too, and goes on there later."""

    def drain(state: ResearcherState) -> ResearcherOutput:
        raise GraphDrained("shutdown")

    researcher = surviving(RunnableLambda(drain))

    with pytest.raises(GraphDrained):
        await researcher.ainvoke({})
    with pytest.raises(GraphDrained):
        researcher.invoke({})
