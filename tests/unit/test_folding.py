"""Subgraphs of a drawn graph that are folded, and the addresses that say so."""

from __future__ import annotations

import pytest

from interlock.drawing import shape_of
from interlock.drawing.shape import Shape, holders
from interlock.server.dashboard.drawn import Marked, draw
from interlock.server.dashboard.folding import folds_of
from tests.server.deep.graphs import deep


@pytest.fixture(scope="module")
def shape() -> Shape:
    """A graph with two subgraphs, one of which has one of its own."""
    return shape_of(deep.get_graph(xray=True))


def test_what_can_be_folded(shape: Shape) -> None:
    """Each node that holds a graph, at any depth."""
    assert list(holders(shape)) == [("research",), ("research", "read"), ("write",)]


@pytest.mark.parametrize(
    ("said", "drawn", "left_out"),
    [
        ([], ["search", "open", "draft"], []),
        (["research:read"], ["search", "draft"], ["open", "quote"]),
        (["research"], ["draft"], ["search", "open"]),
        (["research", "write", "nobody", "research:search"], ["research"], ["search", "draft"]),
    ],
)
def test_what_is_drawn(
    shape: Shape, said: list[str], drawn: list[str], left_out: list[str]
) -> None:
    """What is inside a folded node is left out; names that fit nothing mean nothing."""
    text = draw(folds_of(shape, said, {}).drawn, Marked(), about="It")

    assert [each for each in drawn if f">{each}</text>" not in text] == []
    assert [each for each in left_out if f">{each}</text>" in text] == []


def test_addresses(shape: Shape) -> None:
    """Each mark leads to the same page with one more folded, or one less; other links carry what is folded."""
    folds = folds_of(shape, ["research"], {"view": "state", "at": "7"})

    assert folds.changed == {
        ("research",): "?view=state&at=7",
        ("research", "read"): "?view=state&at=7&fold=research&fold=research%3Aread",
        ("write",): "?view=state&at=7&fold=research&fold=write",
    }
    assert folds.kept == "&fold=research"
    assert folds.all_changed == "?view=state&at=7"
    none = folds_of(shape, [], {})
    assert (none.kept, none.all_changed) == ("", "?fold=research&fold=write")


def test_the_step_that_is_looked_at(shape: Shape) -> None:
    """A folded node stands for those inside it: what ran in the chosen step is marked there."""
    marked = Marked(chosen=frozenset({("research", "read", "open")}))
    folded = draw(folds_of(shape, ["research"], {}).drawn, marked, about="It")
    unfolded = draw(folds_of(shape, [], {}).drawn, marked, about="It")

    assert 'class="shape shape-node chosen folded"' in folded
    assert 'class="shape shape-group chosen' not in unfolded
