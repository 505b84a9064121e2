"""The loop guard's verdicts, from trails that say only what matters; and what a print of a value tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from interlock.core.backtracking import cleared, noted
from interlock.core.fingerprints import fingerprint, identity, likeness, sketch
from interlock.core.loops import Loops, judge
from interlock.core.stepping import circle_of
from interlock.core.trails import Entry, Place, entry_of, extend, polled

CALL = {"name": "search", "args": {"q": "rome"}, "id": "1"}
AGAIN = {**CALL, "id": "2"}


def trail(*steps: tuple[str, str], **more: Sequence[int]) -> list[Entry]:
    """Entries of nodes and what they gave; each was given its own words, unless told otherwise."""
    return [
        Entry(
            step=number,
            nodes={node: 1},
            took=more["took"][number] if "took" in more else 0,
            gave=identity(gave),
            held=more["held"][number] if "held" in more else identity(node),
            words=list(fingerprint(gave).words),
            mark=more["mark"][number] if "mark" in more else 0,
            goal=more["goal"][number] if "goal" in more else 0,
            at=f"c{number}",
            said=f"{node}: {gave}",
        )
        for number, (node, gave) in enumerate(steps)
    ]


AB = [("a", "red house"), ("b", "blue sea")]
NOVEL = [
    ("a", f"{word} {word}")
    for word in ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
]


@pytest.mark.parametrize(
    ("steps", "kind", "path", "since"),
    [
        ([("a", "same")] * 3, "repeated", "a", "c0"),
        ([("z", "first"), *AB * 3], "repeated", "a → b", "c1"),
        (
            [("a", "one red house"), ("a", "red house one"), ("a", "house one red")],
            "near",
            "a",
            "c0",
        ),
    ],
)
def test_the_same_three_times_is_a_circle(
    steps: list[tuple[str, str]], kind: str, path: str, since: str
) -> None:
    """The verdict names its kind, one round of it, and the checkpoint before it."""
    found = judge(trail(*steps), Loops())

    assert found is not None
    assert (found.kind, found.path, found.since) == (kind, path, since)


@pytest.mark.parametrize("steps", [[("a", "same")] * 2, AB * 2 + AB[:1], NOVEL])
def test_twice_the_same_and_news_are_no_circle(steps: list[tuple[str, str]]) -> None:
    """A retry is honest, and so is whatever brings something new."""
    assert judge(trail(*steps), Loops()) is None


def test_equal_outputs_for_other_inputs_are_no_circle() -> None:
    """The same pair counts, not the same output; only what led into the first round may differ."""
    same = [("a", "ok")] * 3

    assert judge(trail(*same, took=[1, 2, 3], held=[1, 2, 3]), Loops()) is None
    assert judge(trail(*same, took=[1, 2, 2], held=[1, 2, 2]), Loops()) is not None


def test_back_and_forth_between_two_states_is_found_after_two_rounds() -> None:
    """A-B-A-B: the content of the state was the same before."""
    found = judge(trail(*AB * 2, mark=[1, 2, 3, 2]), Loops())

    assert found is not None
    assert found.kind == "oscillating"
    assert judge(trail(*AB * 2, mark=[1, 2, 2, 2]), Loops()) is None
    assert judge(trail(*AB * 2, mark=[1, 2, 3, 4]), Loops()) is None


def test_declared_progress_decides() -> None:
    """While one of its keys changes nothing is a circle; when none does for a window, everything is."""
    loops = Loops(progress=("rows",), window=6)

    assert judge(trail(*[("a", "same")] * 6, goal=[1, 2, 3, 4, 5, 6]), loops) is None
    found = judge(trail(*NOVEL[:6], goal=[1] * 6), loops)
    assert found is not None
    assert (found.kind, str(found)) == ("stalled", "a: the last 6 steps brought no progress")


def test_a_long_way_without_progress_is_no_circle_while_no_node_comes_again() -> None:
    """A pipeline may take its time."""
    way = [(name, f"{name} is done") for name in "abcdefghi"]

    assert judge(trail(*way, goal=[1] * 9), Loops(progress=("rows",))) is None


@pytest.mark.parametrize(
    ("loops", "turns", "then"),
    [
        (Loops(), 0, "backtrack"),
        (Loops(), 1, "ask"),
        (Loops(), 7, "ask"),
        (Loops(then=("backtrack",)), 1, "fail"),
        (Loops(then=("ask", "land")), 2, "fail"),
        (Loops(then=()), 0, "fail"),
    ],
)
def test_what_follows_is_declared_and_ends(loops: Loops, turns: int, then: str) -> None:
    """Only a person can be asked again and again."""
    assert loops.after(turns) == then


@pytest.mark.parametrize("wrong", [{"repeats": 1}, {"window": 2}, {"similarity": 0.0}])
def test_limits_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    """A guard that would stop everything, or nothing, is a mistake."""
    with pytest.raises(ValueError, match="it needs repeats"):
        Loops(**wrong)


# --- prints ---


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Permission denied", "permission   denied"),
        ("failed at 2026-03-01T10:00:01Z", "failed at 2026-03-01 11:30:59"),
        ("request 4be0643f-1d98-573b-97cd-ca98a65347dd", "request 9a1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"),
        ("attempt 1: refused", "attempt 2: refused"),
        ("done in 1.2 s", "done in 340 ms"),
        (AIMessage("Let me see.", tool_calls=[CALL]), AIMessage("Once more.", tool_calls=[AGAIN], id="a")),
        (ToolMessage("no", tool_call_id="1"), ToolMessage("no", tool_call_id="2")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)  # fmt: skip
def test_what_changes_and_means_nothing_does_not_count(a: object, b: object) -> None:
    """Ids, times of day, durations, attempts, and what a model says beside its calls."""
    assert identity([a]) == identity([b])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("page 1", "page 2"),
        ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"),
        ("4be0643f-1d98-573b-97cd-ca98a65347dd", "9a1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"),
        (AIMessage("yes"), HumanMessage("yes")),
        (AIMessage("", tool_calls=[CALL]), AIMessage("", tool_calls=[{**CALL, "args": {"q": "bern"}}])),
        ("x" * 300_000 + "a", "x" * 300_000 + "b"),
        ([1, 2], [2, 1]),
        (b"a", b"b"),
        (True, 1),
    ],
)  # fmt: skip
def test_what_means_something_counts(a: object, b: object) -> None:
    """A time or an id that stands alone is a name; numbers and calls are content."""
    assert identity([a]) != identity([b])


def test_near_texts_are_alike_and_others_are_not() -> None:
    """The order of words does not matter; most of the words must be the same."""
    one = fingerprint("The board approved the budget and thanked the treasurer.").words
    near = fingerprint("The board thanked the treasurer and approved its budget.").words
    other = fingerprint("A storm closed the harbour for nine days in March.").words

    assert likeness(one, near) == 1.0
    assert likeness(one, other) < 0.2


@given(st.sets(st.integers(0, 65535)), st.sets(st.integers(0, 65535)))
def test_a_sketch_of_a_union_is_made_of_sketches(a: set[int], b: set[int]) -> None:
    """So tasks of one superstep can be noted in any order."""
    assert sketch([*sketch(a), *sketch(b)]) == sketch(a | b)


# --- trails ---


def task(node: str, gave: object, step: int = 0) -> Entry:
    return entry_of(node, {"q": 1}, gave, Place(step=step))


def test_tasks_of_one_superstep_are_one_entry_in_any_order() -> None:
    """LangGraph sorts them by their path; nothing depends on it."""
    a, b, c = task("a", {"x": "red"}), task("b", {"x": "blue"}), task("a", {"x": "green"})

    one, other = {}, {}  # type: dict[str, Any], dict[str, Any]
    for each in (a, b, c):
        one = dict(extend(one, {"entry": each, "kept": 9}))  # type: ignore[arg-type]  # as stored
    for each in (c, b, a):
        other = dict(extend(other, {"entry": each, "kept": 9}))  # type: ignore[arg-type]  # as stored

    assert one == other
    assert one["steps"][0]["nodes"] == {"a": 2, "b": 1}


def test_a_trail_forgets_its_beginning_and_begins_anew_with_an_input() -> None:
    """It is bounded, and an input is news."""
    trail = extend({}, None)
    for number in range(10):
        trail = extend(trail, {"entry": task("a", {}, number), "kept": 4})

    assert [each["step"] for each in trail["steps"]] == [6, 7, 8, 9]
    assert extend(trail, None) == {}


@pytest.mark.parametrize(
    "key", ["attempts", "retry_count", "round", "total_tokens", "remaining_steps"]
)
def test_counters_are_known_by_their_names(key: str) -> None:
    """A counter that goes up is no progress; an index is."""
    one = entry_of("a", {key: 1}, {key: 2}, Place(step=0))
    two = entry_of("a", {key: 2}, {key: 3}, Place(step=1))

    assert (one["took"], one["gave"], one["held"]) == (two["took"], two["gave"], two["held"])
    index = entry_of("a", {"index": 1}, {"index": 2}, Place(step=0))
    later = entry_of("a", {"index": 2}, {"index": 3}, Place(step=1))
    assert index["held"] != later["held"]


@pytest.mark.parametrize(
    ("node", "gave", "waits"),
    [
        ("status", {}, True),
        ("agent", {"messages": [AIMessage("", tool_calls=[{**CALL, "name": "look"}])]}, True),
        ("tools", {"messages": [ToolMessage("no", name="look", tool_call_id="1")]}, True),
        ("agent", {"messages": [AIMessage("", tool_calls=[CALL])]}, False),
        ("agent", {"messages": [AIMessage("Done.")]}, False),
        ("other", {}, False),
    ],
)
def test_polls_are_nodes_or_tools(node: str, gave: object, waits: bool) -> None:
    """A tool that polls excuses the call and the answer, and nothing else of the agent's."""
    assert polled(node, gave, ("status", "look")) is waits


# --- memory and notes ---


def test_clearing_keeps_what_people_said_and_calls_that_wait() -> None:
    """A tool node that runs next finds the calls that it is there for."""
    asked, calls = HumanMessage("Who?"), AIMessage("", tool_calls=[CALL])

    assert cleared([asked, AIMessage("I think."), calls]) == [asked, calls]
    assert cleared([asked, calls, ToolMessage("no", tool_call_id="1")]) == [asked]
    assert [cleared(each) for each in (["a"], {"a": 1}, "a", 3, None)] == [[], {}, "", 0, None]


def test_notes_are_added_once_to_whatever_holds_them() -> None:
    """A list, a text, or nothing yet."""
    assert noted(["a"], ["a", "b"]) == ["a", "b"]
    assert noted("a", ["a", "b"]) == "a\nb"
    assert noted(None, ["a"]) == ["a"]
    messages = noted([HumanMessage("Who?")], ["a"], as_messages=True)
    assert [each.text for each in messages] == ["Who?", "a"]
    assert noted(messages, ["a"], as_messages=True) == messages


@pytest.mark.parametrize(
    ("ran", "circle"),
    [
        ([("begin",), ("a",), ("b",), ("a",), ("b",)], "a → b"),
        ([("a",), ("a",)], "a"),
        ([("a", "b"), ("c",), ("a", "b"), ("c",)], "a and b → c"),
        ([("a",), ("b",), ("a",), ("c",)], "a"),
        ([("a",), ("b",)], ""),
        ([], ""),
    ],
)
def test_the_circle_is_read_from_the_steps(ran: list[tuple[str, ...]], circle: str) -> None:
    """The shortest circle at the end, or else whatever ran most often."""
    assert circle_of(ran) == circle
