"""A process that lets one contestant work as often as it is told.

    python -m benchmarks.savers.worker CONTESTANT URL

It says when it is ready. A line of its input is JSON: how many threads side by side, and how many steps each. When all
are done it answers with the seconds of CPU that it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from benchmarks.savers.work import COMMITS, committing, stepping


async def _serve(name: str, url: str) -> None:
    async with committing(url) if name == COMMITS else stepping(name, url) as work:
        _say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            threads, steps = json.loads(line)
            begun = time.process_time()
            await work(threads, steps)
            _say(f"{time.process_time() - begun}")


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
