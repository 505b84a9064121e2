"""Which checkpoints are kept, and into which ones the others are folded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from interlock.core.retention import Keep, Plan, Seam, Stand, plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LAST = Keep(last=1)


def line(ids: str, namespace: str = "", **around: str) -> list[Stand]:
    """Checkpoints one after the other."""
    return [
        Stand(namespace=namespace, checkpoint_id=each, parent_id=before.strip(), parents=around)
        for before, each in zip(f" {ids}", ids, strict=False)
    ]


def inside(namespace: str, ids: str, step: str, before: str = "") -> list[Stand]:
    """Checkpoints of a subgraph that ran in a step of the thread's own graph."""
    pairs = zip([before, *ids], ids, strict=False)
    return [
        Stand(namespace=namespace, checkpoint_id=each, parent_id=parent, parents={"": step})
        for parent, each in pairs
    ]


def left(found: Plan, namespace: str = "") -> str:
    """The ids that are kept in a namespace."""
    return "".join(sorted(each for space, each in found.kept if space == namespace))


def seams(found: Plan) -> Sequence[tuple[str, str, str]]:
    """Each seam as its id, its new parent, and what it takes."""
    return [(seam.key[1], seam.parent_id, "".join(seam.takes)) for seam in found.seams]


def test_the_first_and_the_last_are_kept_and_the_rest_is_folded_into_the_next() -> None:
    """The newest go first, and what is kept follows what is kept."""
    found = plan(line("abcdef"), {("", "c"): "fork"}, LAST)

    assert dict(found.kept) == {("", "c"): "fork", ("", "a"): "first", ("", "f"): "last"}
    assert seams(found) == [("c", "a", "b"), ("f", "c", "de")]
    assert [each for _, each in found.folded] == ["e", "d", "b"]
    assert found.reasons == {"fork": 1, "first": 1, "last": 1}


def test_so_many_as_are_asked_for_are_kept() -> None:
    """Counted from the newest; none is fewer than the last one."""
    assert left(plan(line("abcdef"), {}, Keep(last=3))) == "adef"
    assert left(plan(line("abcdef"), {}, Keep(last=0))) == "af"
    assert left(plan(line("abcdef"), {}, Keep(last=99))) == "abcdef"
    assert plan([], {}, LAST).seams == []


def test_what_is_young_is_kept() -> None:
    """From the moment that is given on."""
    stands = [
        Stand(
            namespace="", checkpoint_id=each, parent_id=before.strip(), at=NOW - timedelta(days=n)
        )
        for n, (before, each) in enumerate(zip(" fedcb", "fedcba", strict=True))
    ]
    since = NOW - timedelta(days=2)

    assert left(plan(stands, {}, Keep(last=1, since=since))) == "adef"


def test_the_end_of_a_run_is_kept_with_the_input_after_it() -> None:
    """A fork of the input starts from there."""
    stands = line("abcde")
    stands[3] = Stand(namespace="", checkpoint_id="d", parent_id="c", source="input")

    assert left(plan(stands, {("", "d"): "question"}, LAST)) == "acde"
    assert left(plan(stands, {}, LAST)) == "ae"


def test_a_branch_beside_the_line_follows_what_is_kept() -> None:
    """Two that shared what is folded both take it."""
    stands = [*line("abcd"), Stand(namespace="", checkpoint_id="e", parent_id="b")]
    found = plan(stands, {("", "d"): "fork"}, LAST)

    assert seams(found) == [("d", "a", "bc"), ("e", "a", "b")]


def test_what_lies_in_a_folded_step_goes_with_it() -> None:
    """And what is pinned inside keeps the step around it."""
    stands = [*line("abcd"), *inside("n:1", "uvw", "b"), *inside("n:2", "xyz", "c")]
    found = plan(stands, {("n:1", "v"): "effect"}, LAST)

    assert left(found) == "abd"
    assert left(found, "n:1") == "uvw"
    assert left(found, "n:2") == ""
    assert plan(stands, {}, LAST).kept.keys() == {("", "a"), ("", "d")}


def test_a_long_call_is_folded_inside_a_kept_step() -> None:
    """Its first and last stay, as those of a thread do."""
    found = plan([*line("ab"), *inside("n:1", "stuvw", "b")], {}, LAST)

    assert left(found, "n:1") == "sw"
    assert seams(found) == [("w", "s", "tuv")]


def test_a_memory_is_kept_as_it_was_at_each_kept_step() -> None:
    """It lies in the kept step before it from then on."""
    memory = [*inside("m", "pq", "b"), *inside("m", "rs", "c", "q"), *inside("m", "tu", "e", "s")]
    found = plan([*line("abcdef"), *memory], {("", "d"): "fork"}, LAST)
    moved = {seam.key[1]: dict(seam.parents) for seam in found.seams if seam.key[0] == "m"}

    assert left(found) == "adf"
    assert left(found, "m") == "su"
    assert moved == {"s": {"": "a"}, "u": {"": "d"}}
    assert Seam(key=("m", "u"), parent_id="s", parents={"": "d"}, takes=("t",)) in found.seams


def test_what_cannot_be_folded_stays_until_the_step_around_it_goes() -> None:
    """Of a memory all of it."""
    stands = [
        *line("abcd"),
        *inside("n:1", "uvw", "d"),
        *inside("n:2", "xyz", "b"),
        *inside("m", "op", "b"),
        *inside("m", "qr", "c", "p"),
    ]
    found = plan(stands, {}, LAST, whole=lambda stand: stand.namespace != "")

    assert left(found) == "ad"
    assert left(found, "n:1") == "uvw"
    assert left(found, "n:2") == ""
    assert left(found, "m") == "opqr"


def test_pins_of_what_is_gone_pin_nothing() -> None:
    """A pin may name a checkpoint of another thread, or one that was folded before."""
    assert left(plan(line("abc"), {("", "x"): "effect", ("n", "b"): "fork"}, LAST)) == "ac"


def test_a_second_plan_changes_nothing() -> None:
    """What was sewn is whole."""
    found = plan(line("abcdef"), {("", "c"): "fork"}, LAST)
    parents = {seam.key[1]: seam.parent_id for seam in found.seams} | {"a": ""}
    again = [Stand(namespace="", checkpoint_id=each, parent_id=parents[each]) for each in "acf"]
    second = plan(again, {("", "c"): "fork"}, LAST)

    assert (second.folded, second.seams) == ([], [])
