"""Notices that a model makes other vectors by now under the same name: a text that is always the same tells it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from interlock.errors import UsageError
from interlock.postgres.pool import Pool, connected, fetch
from interlock.postgres.queries import load

SQL = load("items")

PROBE: Final = "The harbour master wrote seven letters about copper, rain and an unpaid violin."
"""Several unrelated things, so that no two models are likely to agree on it."""

DIGITS: Final = 5
"""That are kept of each number."""

LEAST_ALIKE: Final = 0.98
"""The cosine from which on two vectors of the probe are one model's. On other machines, with other libraries or at a
provider a model rounds otherwise; that takes little from it, most where weights have 8 bits."""


class Probe:
    """The vector of the probe, as it was when vectors were first made.

    Args:
        pool: the connections.
        name: the model's, as langgraph.json has it.
    """

    def __init__(self, pool: Pool, name: str) -> None:
        self.passed = False
        self._pool = pool
        self._name = name

    async def check(self, vector: Sequence[float], *, keeps: bool) -> None:
        """Compare a vector of the probe with the one that is kept; keep it where none is.

        Raises:
            UsageError: they are not one model's.
        """
        if not any(vector):  # a model that has no word for any of it: nothing can be told
            self.passed = True
            return
        kept = await self._kept([round(each, DIGITS) for each in vector], keeps=keeps)
        if kept is None:
            return
        if (found := alike(vector, kept)) < LEAST_ALIKE:
            raise UsageError(
                f"`{self._name}` makes other vectors than when those of the store were made: "
                f"of the same text they are {found:.2f} alike.",
                hint="If it is another model by now, `interlock db index-items` makes them anew; "
                "otherwise give this process the model that the others have.",
            )
        self.passed = True

    async def _kept(self, vector: list[float], *, keeps: bool) -> list[float] | None:
        values = {"text": PROBE, "vector": vector}
        async with connected(self._pool) as connection:
            rows = await fetch(connection, SQL["probe"], values)
            if not rows and keeps:
                rows = await fetch(connection, SQL["keep_probe"], values)
        return rows[0]["vector"] if rows else None


def alike(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of two vectors; 0 where they have no common length or one has no direction."""
    lengths = math.hypot(*one) * math.hypot(*other)
    if len(one) != len(other) or not lengths:
        return 0.0
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths
