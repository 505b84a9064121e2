"""Which recorded work a fork may use, worked out by hand; and which checkpoints it takes over."""

from __future__ import annotations

import pytest

from interlock.branching import lineage_of, names_in, recorded_since, redone, taken, way_to
from interlock.core.lineage import Lineage, Source
from interlock.postgres.forks import Ancestor, Place


def source(thread: str, since: str = "", before: str = "") -> Source:
    return Source(thread_id=thread, since=since, before=before)


@pytest.mark.parametrize(
    ("line", "at", "sources"),
    [
        ([("a", "")], "5", [source("a", "5")]),
        ([("b", "3"), ("a", "")], "5", [source("b", "5")]),
        ([("b", "3"), ("a", "")], "3", [source("b", "3")]),
        ([("b", "3"), ("a", "")], "2", [source("b", "3"), source("a", "2", "3")]),
        (
            [("c", "6"), ("b", "3"), ("a", "")],
            "1",
            [source("c", "6"), source("b", "3", "6"), source("a", "1", "3")],
        ),
        (
            [("c", "6"), ("b", "3"), ("a", "")],
            "4",
            [source("c", "6"), source("b", "4", "6")],
        ),
    ],
    ids=[
        "no fork",
        "behind the fork",
        "at the fork",
        "before the fork",
        "before two forks",
        "between two forks",
    ],
)
def test_a_fork_may_use_what_was_done_after_its_step(
    line: list[tuple[str, str]], at: str, sources: list[Source]
) -> None:
    """Each thread's own work, from the step on, and what its parents did up to where it parted from them."""
    ancestors = [Ancestor(thread_id=thread, began=began, until=began) for thread, began in line]

    assert lineage_of(ancestors, at, recorded_only=False).sources == tuple(sources)


def test_a_fork_from_before_its_parents_own_work_shares_none_of_that() -> None:
    """A fork of a fork, from a step that was copied: its line is its parent's parent's, up to there."""
    line = [
        Ancestor(thread_id=thread, began=began, until=began)
        for thread, began in (("c", "2"), ("b", "4"), ("a", ""))
    ]

    found = lineage_of(line, "1", recorded_only=False)

    assert found.sources == (source("c", "2"), source("a", "1", "2"))


@pytest.mark.parametrize(
    ("at", "until", "sources"),
    [
        ("31", "4", [source("b", "31"), source("a", "31", "4")]),
        ("31", "", [source("b", "31"), source("a", "31")]),
        ("5", "4", [source("b", "5")]),
        ("2", "4", [source("b", "3"), source("a", "2", "4")]),
    ],
    ids=["in a branch beside", "where the step had not ended", "behind the step", "before it"],
)
def test_a_fork_inside_a_step_shares_it_with_its_parent(
    at: str, until: str, sources: list[Source]
) -> None:
    """What the parent did in branches beside the fork came later than the fork's checkpoint, and counts."""
    line = [Ancestor(thread_id="b", began="3", until=until), Ancestor(thread_id="a")]

    assert lineage_of(line, at, recorded_only=False).sources == tuple(sources)


def test_a_replay_says_so() -> None:
    """It goes by records alone."""
    assert lineage_of([Ancestor(thread_id="a")], "1", recorded_only=True).recorded_only


def test_a_lineage_is_what_was_stored_of_it() -> None:
    """To JSON and back; a thread without one has none."""
    lineage = Lineage(sources=(source("a", "1", "2"), source("b")), recorded_only=True)

    assert Lineage.from_json(lineage.to_json()) == lineage
    assert Lineage.from_json({}) == Lineage()


def place(namespace: str, checkpoint: str, parent: str = "", **parents: str) -> Place:
    """A checkpoint; the keyword `root` is the root's checkpoint, others are of tasks of `desk`."""
    around = {"": parents["root"]} if "root" in parents else {}
    around |= {f"desk:{task}": at for task, at in parents.items() if task != "root"}
    return Place(namespace=namespace, checkpoint_id=checkpoint, parent_id=parent, parents=around)


ROOT = [place("", "1"), place("", "2", "1"), place("", "9", "2")]
DESK_A = [place("desk:a", "3", root="2"), place("desk:a", "4", "3", root="2")]
DESK_B = [place("desk:b", "5", root="2"), place("desk:b", "6", "5", root="2")]
LETTER = [place("desk:a|letter:x", "7", root="2", a="4")]
EARLIER = [place("desk:z", "1.5", root="1"), place("memory", "1.6", root="1")]
LATER = [place("memory", "3.5", "1.6", root="2")]
ALL = [*ROOT, *DESK_A, *DESK_B, *LETTER, *EARLIER, *LATER]


def test_a_fork_between_steps_takes_over_what_is_behind_it() -> None:
    """What ran from earlier steps is taken over whole, memories too; nothing that ran from the step itself."""
    assert sorted(taken(ALL, [("", "2")])) == [
        ("", "1", "whole"),
        ("", "2", "last"),
        ("desk:z", "1.5", "whole"),
        ("memory", "1.6", "whole"),
    ]


def test_a_fork_inside_takes_over_the_way_and_what_stands_beside_it() -> None:
    """Of the way only what is behind; of tasks beside it all, as far as they had come."""
    way = way_to(DESK_A[0])

    assert way == [("", "2"), ("desk:a", "3")]
    assert sorted(taken(ALL, way)) == [
        ("", "1", "whole"),
        ("", "2", "open"),
        ("desk:a", "3", "last"),
        ("desk:b", "5", "open"),
        ("desk:b", "6", "open"),
        ("desk:z", "1.5", "whole"),
        ("memory", "1.6", "whole"),
        ("memory", "3.5", "open"),
    ]
    assert redone(way) == [("desk", "a")]


def test_a_fork_two_graphs_deep_lets_both_tasks_run_on() -> None:
    """Each graph on the way keeps what is behind."""
    way = way_to(LETTER[0])

    assert way == [("", "2"), ("desk:a", "4"), ("desk:a|letter:x", "7")]
    assert redone(way) == [("desk", "a"), ("letter", "x")]
    assert [each for each in taken(ALL, way) if each[0].startswith("desk:a")] == [
        ("desk:a", "3", "whole"),
        ("desk:a", "4", "open"),
        ("desk:a|letter:x", "7", "last"),
    ]


def test_a_later_call_in_the_same_task_is_not_taken_over() -> None:
    """A function that runs a subgraph three times: the first is behind the second, the third is not."""
    first, second, third = (
        place(f"desk:a{n}", str(3 + i), root="2") for i, n in enumerate(("", "|1", "|2"))
    )

    found = taken([*ROOT[:2], first, second, third], way_to(second))

    assert [(namespace, extent) for namespace, _, extent in found[2:]] == [
        ("desk:a", "open"),
        ("desk:a|1", "last"),
    ]


@pytest.mark.parametrize(("places", "since"), [(ALL, "3"), ([*ROOT[:2], *DESK_A], "2")])
def test_where_a_step_had_not_ended_all_of_it_may_ask_again(
    places: list[Place], since: str
) -> None:
    """A fork inside a step that had ended asks again from its own checkpoint on."""
    assert recorded_since(places, way_to(DESK_A[0])) == since


@pytest.mark.parametrize(
    ("namespace", "path"),
    [
        ("", ()),
        ("desk:a|letter:x", ("desk", "letter")),
        ("desk:a|1", ("desk",)),
        ("memory", ("memory",)),
    ],
)
def test_a_namespace_names_its_nodes(namespace: str, path: tuple[str, ...]) -> None:
    """Without the ids of tasks and the numbers of calls."""
    assert names_in(namespace) == path
