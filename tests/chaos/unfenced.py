"""A worker without a fence, which the suite must find out."""

from __future__ import annotations

UNFENCED = "RUNNING_UNFENCED"
"""The variable that takes the fence away from a worker."""


def take_away_the_fence() -> None:
    """Let this process write whatever it likes, although others may have taken its runs over."""
