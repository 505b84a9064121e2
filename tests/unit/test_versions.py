"""Stored values of an older version, brought up; what does not fit; nodes under their old names. Pure."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, empty_checkpoint
from langgraph.graph import START, StateGraph
from langgraph.types import Overwrite
from typing_extensions import TypedDict

from interlock.core.bounded import Declaration, bounded
from interlock.core.renaming import joined_anew, renamed_in, with_old_names
from interlock.core.versions import (
    MARK,
    NoWay,
    Stored,
    brought_up,
    migrated,
    misfits,
    stored_version,
)


def to_cents(values: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = {key: values[key] for key in values if key != "euros"}
    return kept | {"cents": values.get("euros", 0) * 100, "currency": "EUR"}


def to_lines(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**values, "lines": [{"text": each} for each in values.get("lines", [])]}


DECLARED = Declaration(steps=5, version=3, migrations={1: to_cents, 2: to_lines})


def checkpoint(values: dict[str, Any]) -> Checkpoint:
    versions: ChannelVersions = dict.fromkeys(values, "00000000000000000000000000000004.0.77")
    return {**empty_checkpoint(), "channel_values": values, "channel_versions": versions}


def test_migrations_run_one_after_the_other_on_a_copy() -> None:
    """Values of each older version come to the same end, and what was stored is left alone."""
    first = {"euros": 7, "lines": ["a"]}
    second = {"cents": 700, "currency": "EUR", "lines": ["a"]}
    third = {"cents": 700, "currency": "EUR", "lines": [{"text": "a"}]}

    assert migrated(first, DECLARED, 1) == migrated(second, DECLARED, 2) == third
    assert migrated(third, DECLARED, 3) == third
    assert first == {"euros": 7, "lines": ["a"]}


def test_a_migration_that_changes_what_it_is_given_changes_a_copy() -> None:
    """Restored values are shared between the steps of a history."""

    def append(values: Mapping[str, Any]) -> Mapping[str, Any]:
        values["lines"].append("b")
        return values

    stored = {"lines": ["a"]}
    declared = Declaration(steps=5, version=2, migrations={1: append})

    assert (migrated(stored, declared, 1), stored) == ({"lines": ["a", "b"]}, {"lines": ["a"]})


@pytest.mark.parametrize(
    ("declared", "stored", "message"),
    [
        (Declaration(steps=5, version=2), 1, "declares no migration from version 1"),
        (Declaration(steps=5, version=2), 3, "stored in version 3 .* this code has version 2"),
        (None, 2, "stored in version 2 .* this code has version 1"),
        (
            Declaration(steps=5, version=2, migrations={1: lambda values: values["gone"]}),
            1,
            "the migration from version 1 .* raised KeyError: 'gone'",
        ),
        (
            Declaration(steps=5, version=2, migrations={1: lambda values: None}),  # type: ignore[dict-item,return-value]  # the mistake
            1,
            "returned NoneType, no values",
        ),
    ],
)
def test_where_there_is_no_way_it_says_why(
    declared: Declaration | None, stored: int, message: str
) -> None:
    """A missing migration, newer values, and a migration that fails are three things."""
    with pytest.raises(NoWay, match=message):
        migrated({"a": 1}, declared, stored)


def test_a_checkpoint_without_a_version_is_of_the_first() -> None:
    """What was stored before there were versions says nothing of one."""
    assert [stored_version(each) for each in (None, {}, {"schema_version": 4})] == [1, 1, 4]


def test_changed_channels_get_versions_of_their_own() -> None:
    """The saver would otherwise take a migrated value for the one that it has; what is gone leaves no version."""
    stored = checkpoint({"euros": 7, "lines": ["a"], "branch:to:next": None})

    found = brought_up(Stored(checkpoint=stored), DECLARED, 1)

    versions = found.checkpoint["channel_versions"]
    name = "00000000000000000000000000000004.migrated-from-1"
    assert found.changed == {"cents", "currency", "lines"}
    assert {key: versions[key] for key in found.changed} == dict.fromkeys(found.changed, name)
    assert versions.keys() == {"cents", "currency", "lines", "branch:to:next"}
    assert versions["branch:to:next"] == stored["channel_versions"]["euros"]


def test_what_a_task_wrote_is_migrated_as_an_update() -> None:
    """Keys are renamed and values changed; what the migration adds by itself is not written again."""
    stored = checkpoint({"euros": 7, "lines": ["a"]})
    writes = [("t", "euros", 9), ("t", "lines", ["b"]), ("u", "lines", Overwrite(["c"]))]
    writes += [("u", "branch:to:next", None), ("v", "__interrupt__", ("asks",))]

    found = brought_up(Stored(checkpoint=stored, writes=writes), DECLARED, 1)

    assert sorted(found.writes[:2]) == [("t", "cents", 900), ("t", "lines", [{"text": "b"}])]
    assert found.writes[2:] == [
        ("u", "lines", Overwrite([{"text": "c"}])),
        ("u", "branch:to:next", None),
        ("v", "__interrupt__", ("asks",)),
    ]


def test_writes_behind_a_mark_are_of_its_version() -> None:
    """Newer code wrote them at an older checkpoint; each task has its own mark, which is not shown to LangGraph."""
    stored = checkpoint({"euros": 7, "lines": ["a"]})
    writes = [("t", "lines", ["b"]), ("u", MARK, 2), ("u", "lines", ["c"]), ("u", "cents", 5)]
    writes += [("v", MARK, 3), ("v", "lines", [{"text": "d"}])]

    found = brought_up(Stored(checkpoint=stored, writes=writes), DECLARED, 1)

    assert list(found.writes) == [
        ("t", "lines", [{"text": "b"}]),
        ("u", "lines", [{"text": "c"}]),
        ("u", "cents", 5),
        ("v", "lines", [{"text": "d"}]),
    ]


def test_a_mark_of_newer_code_is_refused_by_older_code() -> None:
    """The checkpoint fits the code, but what was written at it since does not."""
    writes = [("t", MARK, 4), ("t", "lines", [])]

    with pytest.raises(NoWay, match="stored in version 4"):
        brought_up(Stored(checkpoint=checkpoint({"cents": 1}), writes=writes), DECLARED, 3)


def test_the_first_writes_of_a_thread_are_migrated_together() -> None:
    """The input is written key by key before there is a state; the migration sees all of it at once."""
    writes = [("t", "euros", 7), ("t", "lines", ["a"])]
    start = checkpoint({"__start__": {"euros": 7, "lines": ["a"]}})

    found = brought_up(Stored(checkpoint=start, writes=writes), DECLARED, 1)

    new = {"cents": 700, "currency": "EUR", "lines": [{"text": "a"}]}
    assert found.checkpoint["channel_values"] == {"__start__": new}
    assert {channel: value for _, channel, value in found.writes} == new


def test_misfits_are_keys_that_are_gone_and_values_that_are_refused() -> None:
    """LangGraph's own channels are no keys."""
    known = {"a": lambda value: "", "b": lambda value: f"{value} is no number"}

    assert misfits({"a": 1, "b": "x", "c": 2, "branch:to:d": None}, known) == [
        "the state has no key 'c' any more",
        "the value of b does not fit: x is no number",
    ]


class State(TypedDict, total=False):
    seen: Annotated[list[str], operator.add]


def joined(renamed: dict[str, str]) -> Any:
    builder = StateGraph(State)
    for name in ("left", "right", "both"):
        builder.add_node(name, lambda state, name=name: {"seen": [name]})
        if name != "both":
            builder.add_edge(START, name)
    builder.add_edge(["left", "right"], "both")
    return bounded(builder, Declaration(steps=9, renamed_nodes=renamed), name="joined")


def test_a_node_that_was_renamed_twice_is_found_under_both_names() -> None:
    """Only old threads come there: the graph itself is as it was, and new threads take the present names."""
    graph = joined({"first": "second", "second": "left"})
    found = with_old_names(graph)

    assert renamed_in(graph) == {"first": "left", "second": "left"}
    assert {"first", "second", "left"} < found.nodes.keys()
    assert not {"first", "second"} & graph.nodes.keys()
    assert found.invoke({})["seen"] == graph.invoke({})["seen"] == ["left", "right", "both"]


@pytest.mark.parametrize(
    ("arrived", "channel", "value"),
    [
        ({"old"}, "join:left+right:both", {"left"}),
        ({"right"}, "join:left+right:both", {"right"}),
        ({"old", "right"}, "join:left+right:both", {"left", "right"}),
        (({"old"}, False), "join:left+right:both", ({"left"}, False)),
    ],
)
def test_a_join_waits_for_the_present_names(arrived: Any, channel: str, value: Any) -> None:
    """Whoever had arrived under an old name has arrived; what arrives later is under a new one."""
    graph = with_old_names(joined({"old": "left"}))
    stored = checkpoint({"join:old+right:both": arrived})
    writes = [("t", "join:old+right:both", "old")]

    found = joined_anew(Stored(checkpoint=stored, writes=writes), graph)

    assert found.checkpoint["channel_values"] == {channel: value}
    assert list(found.writes) == [("t", "join:left+right:both", "left")]
    assert found.changed == {channel}


def test_a_join_that_is_complete_waits_where_its_renamed_end_is() -> None:
    """The node behind it may have asked already, and its question's id is made of its old name and edges."""
    graph = with_old_names(joined({"end": "both"}))
    complete = checkpoint({"join:left+right:end": {"left", "right"}})
    stored = Stored(checkpoint=complete, writes=[])

    assert joined_anew(stored, graph) == stored
    assert graph.nodes["end"].triggers == ["branch:to:end", "join:left+right:end"]
