"""What this process knows to be stored, so that it is not sent again; forgotten when another process deletes it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from interlock.postgres.checkpointer.rows import Rows

UNKNOWN = -1
"""The generation before the database was asked for it."""

MOST = 400_000
"""How many hashes are kept in mind, about 100 MB; the threads that were longest not written to go first."""

Channel = tuple[str, str]  # namespace and name


@dataclass(slots=True)
class ThreadKnowledge:
    """What is known to be stored of one thread.

    Attributes:
        hashes: content that the thread refers to.
        blobs: by namespace and channel, the latest version whose value has a row.
        lists: how the latest list of a channel was cut.
        cuts: how the latest large values of a channel were cut.
    """

    hashes: set[bytes] = field(default_factory=set)
    blobs: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    lists: dict[Channel, Any] = field(default_factory=dict)  # segments.Layout
    cuts: dict[Channel, Any] = field(default_factory=dict)  # pieces.Cuts, the latest first


class Knowledge:
    """What is known of all threads, up to a generation of sweeps."""

    def __init__(self, most: int = MOST) -> None:
        self.generation = UNKNOWN
        self._most = most
        self._count = 0
        self._threads: OrderedDict[str, ThreadKnowledge] = OrderedDict()

    def of(self, thread: str) -> ThreadKnowledge:
        """Return what is known of a thread; what is added to it must be committed."""
        known = self._threads.get(thread)
        if known is None:
            known = self._threads[thread] = ThreadKnowledge()
        self._threads.move_to_end(thread)
        return known

    def learn(self, thread: str, hashes: Iterable[bytes]) -> None:
        """Remember that a thread refers to some content in a committed row."""
        known = self.of(thread).hashes
        before = len(known)
        known.update(hashes)
        self._count += len(known) - before
        self._shed()

    def saved(self, rows: Rows) -> None:
        """Remember what one caller's rows brought; they are committed."""
        if rows.content:
            self.learn(rows.thread, rows.content)
        if rows.blobs:
            known = self.of(rows.thread).blobs
            for blob in rows.blobs:
                known[blob.ns, blob.channel] = blob.version

    def catch_up(self, sweeps: Sequence[tuple[int, str]], present: int) -> None:
        """Forget the threads that others swept, and know of the present generation.

        Args:
            sweeps: generation and thread of what is recorded of sweeps after the known generation, oldest first.
            present: the latest generation.
        """
        first = sweeps[0][0] if sweeps else UNKNOWN
        if (
            self.generation == UNKNOWN or first != self.generation + 1
        ):  # some are not recorded any more
            self.forget_all()
        for _, thread in sweeps:
            self.forget(thread)
        self.generation = max([present, *(generation for generation, _ in sweeps)])

    def forget(self, thread: str) -> None:
        """Forget a thread."""
        known = self._threads.pop(thread, None)
        self._count -= len(known.hashes) if known else 0

    def forget_all(self) -> None:
        """Forget all threads."""
        self._threads.clear()
        self._count = 0

    def doubt(self) -> None:
        """Forget all threads, and what generation it is."""
        self.forget_all()
        self.generation = UNKNOWN

    def _shed(self) -> None:
        while self._count > self._most and len(self._threads) > 1:
            self.forget(next(iter(self._threads)))
