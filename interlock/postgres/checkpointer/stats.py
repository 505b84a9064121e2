"""What a saver has done so far, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Counts since the saver was made; a saver's copies count into the same.

    Attributes:
        requests: checkpoints and writes that callers handed in.
        flushes: how often some of them were saved together.
        round_trips: statements sent for that, those repeated after a failure too.
        commits: transactions that were committed for that.
        rows: rows sent in them.
        content_bytes: bytes of content sent in them.
        reads: statements sent to read.
        retries: flushes that were sent again.
    """

    requests: int = 0
    flushes: int = 0
    round_trips: int = 0
    commits: int = 0
    rows: int = 0
    content_bytes: int = 0
    reads: int = 0
    retries: int = 0
