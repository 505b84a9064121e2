"""What a research run knows, and how it grows."""

from __future__ import annotations

from interlock.core.corpus import Location
from nodes.research.plan import revised
from nodes.research.questions import PlannedTask
from state.research import (
    Finding,
    Outcome,
    Task,
    finding_id,
    merge_findings,
    merge_names,
    merge_outcomes,
    ready_tasks,
)


def finding(name: str, claim: str = "It is so.") -> Finding:
    return Finding(
        id=name,
        task="a",
        claim=claim,
        quote="So it is.",
        document="d",
        source="d.md",
        title="D",
        location=Location(kind="line", first=1, last=1),
    )


def outcome(task: str, status: str, attempts: int = 1) -> Outcome:
    return Outcome(
        task=task,
        status=status,  # type: ignore[typeddict-item]  # the tests name literals
        attempts=attempts,
        strategy="focused",
        queries=[],
        unmet=[],
        reason="",
    )


def task(name: str, *needs: str) -> Task:
    return Task(id=name, question=f"What is {name}?", criteria=["says it"], needs=list(needs))


def planned(name: str, question: str, *needs: str) -> PlannedTask:
    return PlannedTask(id=name, question=question, criteria=["says it"], needs=list(needs))


def test_finding_ids_are_stored_and_never_change() -> None:
    """An id is derived from task, document and quotation, in one way for ever."""
    # By hand: printf 'a\0d\0So it is.' | sha256sum | cut -c1-10
    assert finding_id("a", "d", "So it is.") == "f7aed40cb34"


def test_same_quotation_is_one_finding() -> None:
    """A finding that comes again takes the place of the first one."""
    merged = merge_findings([finding("f1"), finding("f2")], [finding("f1", "Rather so.")])

    assert [(each["id"], each["claim"]) for each in merged] == [
        ("f1", "Rather so."),
        ("f2", "It is so."),
    ]


def test_later_attempt_takes_the_place_of_the_earlier() -> None:
    """Only the last attempt of a task counts."""
    merged = merge_outcomes({"a": outcome("a", "failed", 1)}, {"a": outcome("a", "met", 2)})

    assert merged["a"]["status"] == "met"


def test_earlier_attempt_that_arrives_late_changes_nothing() -> None:
    """A repeated update of the first attempt does not undo the second."""
    merged = merge_outcomes({"a": outcome("a", "met", 2)}, {"a": outcome("a", "failed", 1)})

    assert merged["a"]["status"] == "met"


def test_names_keep_their_order() -> None:
    """A name that is there already is not added again."""
    assert merge_names(["b", "a"], ["a", "c"]) == ["b", "a", "c"]


def test_tasks_without_needs_are_ready_at_once() -> None:
    """The first wave is what needs nothing."""
    ready = ready_tasks([task("a"), task("b", "a"), task("c")], {})

    assert [each["id"] for each in ready] == ["a", "c"]


def test_failed_task_is_ready_again_and_holds_back_what_needs_it() -> None:
    """A failed task has not ended."""
    ready = ready_tasks([task("a"), task("b", "a")], {"a": outcome("a", "failed")})

    assert [each["id"] for each in ready] == ["a"]


def test_task_is_ready_when_what_it_needs_was_given_up() -> None:
    """An open task has ended, too."""
    ready = ready_tasks([task("a"), task("b", "a")], {"a": outcome("a", "open")})

    assert [each["id"] for each in ready] == ["b"]


def test_nothing_is_ready_when_all_have_ended() -> None:
    """Met and partial tasks are not given out again."""
    outcomes = {"a": outcome("a", "met"), "b": outcome("b", "partial")}

    assert ready_tasks([task("a"), task("b")], outcomes) == []


def test_new_task_gets_an_id_of_its_own() -> None:
    """A supervisor that takes a name twice does not overwrite a task."""
    plan = revised([task("a")], [planned("a", "And else?"), planned("b", "Then?", "a")])

    assert [(each["id"], each["needs"]) for each in plan] == [
        ("a", []),
        ("a-2", []),
        ("b", ["a-2"]),
    ]


def test_needs_that_are_not_in_the_plan_are_dropped() -> None:
    """A new task needs what is there, so that it is given out some day, and no circle arises."""
    plan = revised([task("a")], [planned("b", "And b?", "c", "a"), planned("c", "And c?", "b")])

    assert [(each["id"], each["needs"]) for each in plan[1:]] == [("b", ["a"]), ("c", ["b"])]


def test_question_that_was_asked_is_not_asked_again() -> None:
    """Letter case and white space do not make another question."""
    assert revised([task("a")], [planned("b", "what  is A?")]) == [task("a")]
