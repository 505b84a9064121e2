"""A process that goes on with a repair and hangs behind what its bench did, to be killed there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import interlock
from interlock.repair.bench import Bench


async def main(url: str, config: str, thread: str, name: str) -> None:
    """Resume a thread; say so once the method of the bench has done its work."""
    method = getattr(Bench, name)

    async def hang(self: Bench, *given: Any, **more: Any) -> None:
        await method(self, *given, **more)
        sys.stdout.write("there\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    setattr(Bench, name, hang)
    async with interlock.aopen(url, config=Path(config)) as il:
        await il.aresume(thread)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
