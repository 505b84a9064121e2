"""How much slower a claim is when thousands of runs are queued."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from benchmarks.queueing.filling import SHAPES, Shape, fill, settle
from benchmarks.queueing.places import Ground, place
from interlock.postgres.claiming import Claimed, Claims
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.pool import Pool, open_pool
from interlock.postgres.queue import hand_back
from interlock.postgres.workers import Plan, register

SHALLOW = 32
MOST = 16
"""So many runs are taken by a claim, where there are so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimer:
    """A worker that does nothing but claim, and hand back."""

    claims: Claims
    pool: Pool

    async def once(self, most: int) -> tuple[float, int]:
        """Return the seconds that a claim took, and how many runs it brought."""
        begun = time.perf_counter()
        found = await self.claims.claim(most, suspect=True)
        seconds = time.perf_counter() - begun
        await self._hand_back(found)
        return seconds, len(found)

    async def _hand_back(self, found: list[Claimed]) -> None:
        runs = [each.stored.run for each in found]
        for run in runs:
            self.claims.free(run.thread_id)
        await self.claims.flush()
        await hand_back(self.pool, self.claims.worker, [run.run_id for run in runs], "", "")


async def slowdowns(on: Ground, *, deep: int, rounds: int) -> Mapping[str, tuple[float, float]]:
    """Return, for each shape of a deep queue and each size of a claim, its median milliseconds, and the ratio."""
    async with AsyncExitStack() as stack:
        claimers = {
            (shape, number): await stack.enter_async_context(_claimer(on, shape, number))
            for shape in SHAPES
            for number in (SHALLOW, deep)
        }
        found = {}
        for most in (1, MOST):
            times = await _interleaved(claimers, most, rounds)
            for shape in SHAPES:
                shallow, many = times[shape, SHALLOW], times[shape, deep]
                ratio = statistics.median(a / b for a, b in zip(many, shallow, strict=True))
                found[f"{shape}, {most} a claim"] = (statistics.median(many) * 1000, ratio)
    return found


async def _interleaved(
    claimers: Mapping[tuple[Shape, int], Claimer], most: int, rounds: int
) -> dict[tuple[Shape, int], list[float]]:
    """Let them claim in turns; the first rounds are not counted, and who begins changes."""
    times: dict[tuple[Shape, int], list[float]] = {key: [] for key in claimers}
    for number in range(-5, rounds):
        for key in list(claimers)[:: 1 if number % 2 else -1]:
            seconds, taken = await claimers[key].once(most)
            if taken != (1 if key[0] == "one thread" else most):
                raise RuntimeError(f"A claim of {most} brought {taken} ({key}).")
            if number >= 0:
                times[key].append(seconds)
    return times


@asynccontextmanager
async def _claimer(on: Ground, shape: Shape, number: int) -> AsyncIterator[Claimer]:
    async with place(on) as where, open_pool(where.url) as pool:
        await fill(where.url, number, shape)
        await settle(where.url)
        locks = ThreadLocks(where.url)
        plan = Plan(concurrency=MOST, lease=3600)
        try:
            name = await register(locks, plan, "benchmark:1")
            claims = Claims(
                locks=locks, worker=name, plan=plan, graphs=["three"], process="benchmark:1"
            )
            yield Claimer(claims=claims, pool=pool)
        finally:
            await locks.close()
