"""Sixty trails by hand: the loop guard finds what goes round in circles, and leaves honest work alone."""

from __future__ import annotations

import pytest

from benchmarks.loops import HALVES, Half, scored, written

PRECISION = {"tuned": 1.0, "held_out": 0.94}
RECALL = {"tuned": 1.0, "held_out": 1.0}
"""What was measured; the held-out half was looked at twice, and nothing was changed for it."""


def test_there_are_sixty_trails_and_each_says_what_it_is() -> None:
    """Thirty of each kind, half of them held out, under names of their own."""
    trails = [each for half in HALVES for each in written(half)]

    assert len({each.name for each in trails}) == len(trails) == 60
    assert sum(each.looping for each in trails) == 30
    assert all(each.says.endswith(".") and len(each.steps) > 1 for each in trails)


@pytest.mark.parametrize("half", HALVES)
def test_precision_and_recall_do_not_fall(half: Half) -> None:
    """On the half that the limits were tuned on, and on the one that nothing was tuned on."""
    score = scored(written(half))

    assert round(score.precision, 2) >= PRECISION[half], score.mistaken
    assert round(score.recall, 2) >= RECALL[half], score.missed
