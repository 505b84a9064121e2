"""Which messages are folded: never half of a tool call, never the newest, never one that is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.graph.message import add_messages

from interlock.core.folding import (
    Bounds,
    after,
    batches,
    foldable,
    replacing,
    to_fold,
    tokens_of,
    units,
)
from interlock.errors import UsageError


def conversation(*said: str) -> list[AnyMessage]:
    """Messages by letter: s(ystem), h(uman), a(gent), c1,2 (calls 1 and 2), i1 (a broken call), t1 (answers 1)."""
    return [_message(place, each) for place, each in enumerate(said)]


def _message(place: int, said: str) -> AnyMessage:
    kind, rest, name = said[0], said[1:], f"m{place}"
    calls = [each for each in rest.split(",") if each]
    if kind == "s":
        return SystemMessage("rules", id=name)
    if kind == "h":
        return HumanMessage("please", id=name)
    if kind == "t":
        return ToolMessage("found", tool_call_id=rest, id=name)
    if kind == "i":
        broken = [{"name": "look", "args": "{", "id": rest, "error": "no JSON"}]
        return AIMessage("", id=name, invalid_tool_calls=broken)
    return AIMessage(
        "well", id=name, tool_calls=[{"name": "look", "args": {}, "id": each} for each in calls]
    )


def reduced(messages: Sequence[Any], update: Sequence[Any]) -> list[AnyMessage]:
    """What LangGraph makes of messages and an update, of which its types say less than they are."""
    return cast("list[AnyMessage]", add_messages(list(messages), list(update)))


@pytest.mark.parametrize(
    ("said", "keep", "folded"),
    [
        ("h a h a h a", 2, "0 1 2 3"),
        ("s h a s h a a", 1, "1 2 5"),  # system messages and the last human one stay
        ("h a a a", 1, "1 2"),  # the only human message stays
        ("h c1 t1 c2 t2 a", 2, "1 2"),  # an answer that is kept keeps its call
        ("h c1,2 t1 t2 a a", 3, ""),  # a call keeps all its answers
        ("h c1,2 t1 t2 a a", 2, "1 2 3"),
        ("h c1,2 t1 h t2 a a", 2, "0 1 2 4"),  # whatever stands between them
        ("h c1,2 t1 a a a", 1, "3 4"),  # a call that waits for an answer stays, with those it has
        ("h c1 t1 c1 t1 c1 t1 a", 2, "1 2 3 4"),  # ids that are used again: the nearest call's
        ("h t9 a t8 a", 3, "1 3"),  # an answer whose call is gone is put away
        ("h c1 t1 t9 a", 3, "3"),  # beside a call that is whole
        ("h i1 t1 a a", 1, "1 2 3"),  # a broken call and its answer
        ("h i1 a a", 1, "2"),
        ("h c1 t1 t1 a", 1, "1 2 3"),  # answered twice
        ("h a", 5, ""),
        ("", 1, ""),
    ],
)
def test_what_is_folded(said: str, keep: int, folded: str) -> None:
    """Units before the newest messages, but what must stay stays."""
    messages = conversation(*said.split())

    found = foldable(messages, keep=keep)

    assert [each.id for each in found] == [f"m{place}" for place in folded.split()]


def test_the_message_that_shows_the_manifest_stays() -> None:
    """It is no human message that was said last, either."""
    messages = conversation(*["h", "a", "h", "a"])

    assert [each.id for each in foldable(messages, keep=1, shown_as="m2")] == ["m1"]


def test_nothing_is_folded_below_the_threshold_or_for_little() -> None:
    """At the threshold nothing is; above it only if a quarter of it goes."""
    small, large = HumanMessage("x" * 300, id="1"), AIMessage("x" * 2800, id="2")
    last: list[AnyMessage] = [HumanMessage("x" * 40, id="3"), AIMessage("x" * 40, id="4")]
    size = tokens_of([small, large, *last])

    assert to_fold([small, large, *last], Bounds(threshold=size, keep=2, limit=size)) == []
    bounds = Bounds(threshold=size - 1, keep=2, limit=size)
    assert to_fold([small, large, *last], bounds) == [small, large]
    assert to_fold([small, *last, large], bounds) == []


@pytest.mark.parametrize(
    ("threshold", "keep", "limit"), [(499, 1, 999), (500, 0, 999), (500, 1, 499)]
)
def test_bounds_that_mean_nothing_are_refused(threshold: int, keep: int, limit: int) -> None:
    """The error says what would do."""
    with pytest.raises(UsageError, match="at least 500"):
        Bounds(threshold=threshold, keep=keep, limit=limit)


def test_another_branch_loses_nothing() -> None:
    """Messages that are added beside a fold stay, whichever of both updates is applied first."""
    messages = conversation(*["s", "h", "a", "h", "a"])
    folded = foldable(messages, keep=1)
    update = replacing(messages, folded, HumanMessage("notes", id="m1"))
    beside: list[Any] = [AIMessage("beside", id="x")]  # messages, or what removes them

    for one, two in ((update, beside), (beside, update)):
        left = reduced(reduced(messages, one), two)
        assert [each.id for each in left] == ["m0", "m1", "m3", "m4", "x"]
    assert all(isinstance(each, RemoveMessage) for each in update[1:])


@st.composite
def conversations(draw: st.DrawFn) -> list[AnyMessage]:
    """Any order of messages, with calls that are answered late, twice, never, or whose call is gone."""
    kinds = st.sampled_from(["s", "h", "a", "c", "t", "i"])
    words: list[str] = []
    for kind in draw(st.lists(kinds, max_size=24)):
        ids = draw(st.lists(st.sampled_from("12345"), min_size=1, max_size=3, unique=True))
        words.append(
            {"c": f"c{','.join(ids)}", "t": f"t{ids[0]}", "i": f"i{ids[0]}"}.get(kind, kind)
        )
    return conversation(*words)


def pairs(messages: Sequence[AnyMessage]) -> list[frozenset[str | None]]:
    """Sets of ids that a provider wants together: each call's message with each of its answers."""
    return [
        frozenset(messages[place].id for place in unit)
        for unit in units(messages)
        if isinstance(messages[unit[0]], AIMessage)
    ]


@given(conversations(), st.integers(1, 6))
def test_no_call_is_parted_from_its_answers(messages: list[AnyMessage], keep: int) -> None:
    """What is left holds each call with all the answers that it had, or none of them."""
    folded = {each.id for each in foldable(messages, keep=keep)}

    for together in pairs(messages):
        assert together <= folded or not together & folded


@given(conversations(), st.integers(1, 6))
def test_what_must_stay_stays(messages: list[AnyMessage], keep: int) -> None:
    """The newest (but for answers without a call), system messages, the last human one, and unanswered calls."""
    folded = foldable(messages, keep=keep)
    humans = [each for each in messages if isinstance(each, HumanMessage)]
    orphans = [
        messages[unit[0]] for unit in units(messages) if isinstance(messages[unit[0]], ToolMessage)
    ]

    assert all(each in orphans for each in messages[-keep:] if each in folded)
    assert not any(isinstance(each, SystemMessage) for each in folded)
    assert humans[-1:] == [] or humans[-1] not in folded
    assert all(each in folded for each in orphans)


@given(conversations(), st.integers(1, 6))
def test_no_message_is_lost(messages: list[AnyMessage], keep: int) -> None:
    """What was folded and what is left are the conversation, and LangGraph's reducer agrees."""
    folded = foldable(messages, keep=keep)
    if not folded:
        return
    shown = HumanMessage("notes", id=folded[0].id)
    left = after(messages, folded, shown)
    others = [each for each in left if each is not shown]

    assert sorted(each.id or "" for each in (*folded, *others)) == sorted(
        e.id or "" for e in messages
    )
    assert reduced(messages, replacing(messages, folded, shown)) == left


@given(conversations(), st.integers(1, 60))
def test_batches_keep_units_whole_and_lose_nothing(messages: list[AnyMessage], size: int) -> None:
    """Each message is in one batch, with all that belongs to it."""
    parted = list(batches(messages, size))
    ids = [{each.id for each in batch} for batch in parted]

    assert sum(map(len, parted)) == len(messages)
    assert all(tokens_of(each) <= size or len(list(units(each))) == 1 for each in parted)
    for together in pairs(messages):
        assert any(together <= each for each in ids)


@given(conversations(), st.integers(1, 6))
def test_folding_what_was_folded_folds_nothing(messages: list[AnyMessage], keep: int) -> None:
    """After a fold there is nothing to fold until something new is said."""
    folded = foldable(messages, keep=keep)
    if not folded:
        return
    shown = HumanMessage("notes", id=folded[0].id)
    left = after(messages, folded, shown)

    assert foldable(left, keep=keep, shown_as=str(shown.id)) == []
