"""What one caller wants saved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from interlock.postgres.checkpointer.encoding import Encoder
from interlock.postgres.checkpointer.ending import End
from interlock.postgres.checkpointer.rows import Rows
from interlock.postgres.checkpointer.sealing import Seal

OUTDATED = -2
"""No generation: the rows were made by what was known before, and are made anew before they are sent."""

Check = Callable[[], Awaitable[None]]
Fill = Callable[[Encoder], None]


@dataclass(slots=True, eq=False)
class Request:
    """What one caller wants saved.

    Attributes:
        seal: what its values are serialized with.
        fill: makes its rows, by what is known to be stored.
        check: raises when the caller must not write any more; asked before rows are sent a second time.
        patient: nobody waits for it, and another request of its thread is likely to follow at once.
        fence: the worker for whom it is saved; nothing is saved when that was removed. Empty for none.
        end: the run that ends with it; None for none.
        brings: what was held back of its thread: saved with it, or not at all.
        ended: whether its run has ended with it.
        given: whether it is over, though its caller may be gone.
    """

    thread: str
    seal: Seal
    fill: Fill
    check: Check | None = None
    patient: bool = False
    fence: str = ""
    end: End | None = None
    brings: list[Request] = field(default_factory=list)
    ended: bool = False
    given: bool = False
    rows: Rows = field(init=False)
    generation: int = field(init=False)
    answer: asyncio.Future[bool] = field(init=False)
    since: float = field(init=False)

    @property
    def parts(self) -> list[Request]:
        """It and what it brings, in the order in which they came."""
        return [*self.brings, self] if self.brings else [self]

    @property
    def count(self) -> int:
        """How many rows it is."""
        return self.rows.count + sum(each.rows.count for each in self.brings)

    @property
    def size(self) -> int:
        """About how many bytes it is."""
        return self.rows.size + sum(each.rows.size for each in self.brings)

    def outdate(self) -> None:
        """Have its rows made anew before they are sent."""
        for each in self.parts:
            each.generation = OUTDATED

    def give(self, error: BaseException | None = None) -> None:
        """Answer the caller, once."""
        self.given = True
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(self.ended)
        else:
            self.answer.set_exception(error)
            self.answer.exception()  # a caller that is gone has nobody to look at it
