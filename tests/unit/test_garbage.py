"""What was loaded when a process has settled is looked through no more."""

from __future__ import annotations

import gc

from interlock.core.garbage import THRESHOLDS, settle


def test_what_stands_is_left_out_of_every_look() -> None:
    """Once a process has settled nothing that lived then is looked at, and what comes later is."""
    before, thresholds = gc.get_freeze_count(), gc.get_threshold()
    kept: list[object] = [[]]
    try:
        settle()
        frozen = gc.get_freeze_count()
        assert frozen > before
        assert gc.get_threshold() == THRESHOLDS
        assert not any(each is kept for each in gc.get_objects())
        later: list[object] = [[]]
        assert any(each is later for each in gc.get_objects())
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
