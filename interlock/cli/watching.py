"""`approvals watch`: keep the time of questions in one process until it is told to stop."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interlock.cli.call import Call
from interlock.cli.following import handled, say_now
from interlock.cli.output import print_json, remarks
from interlock.cli.questions import swept_line
from interlock.core.sync import background_loop, run_sync
from interlock.errors import InterlockError, ThreadBusy, UsageError

if TYPE_CHECKING:
    from interlock.facade import Interlock

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
AT_ONCE = 4
"""Threads that are gone on with at the same time."""


def seconds_of(text: str) -> float:
    """Return the seconds that `5s`, `500ms` or `2m` mean; raises `UsageError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", text.strip())
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise UsageError(f"{text!r} is no time.", hint="Write 5s, 500ms or 2m.")
    return seconds


def watch_questions(il: Interlock, call: Call, *, every: float, runs: bool) -> int:
    """Sweep, notify and go on until Ctrl-C or SIGTERM, and return 0; a second signal stops at once."""
    from interlock.notify.targets import check_installed

    check_installed(list(il.deliverer.targets.values()))
    watch = Watch(il, every=every, runs=runs, quiet=call.as_json)

    def stop(number: int, frame: Any) -> None:  # a frame
        if call.stopped_by:
            raise KeyboardInterrupt
        call.stopped_by = number
        il.drain()
        background_loop().call_soon_threadsafe(watch.stopped.set)
        say_now("Stopping.")

    with handled(stop):
        run_sync(watch.until_stopped())
    if call.as_json:
        print_json(watch.counts)
    return 0


@dataclass(slots=True)
class Watch:
    """One process that keeps the time.

    Attributes:
        every: seconds between two looks.
        runs: whether it goes on with threads whose question a deadline answered.
        counts: what it has done so far.
    """

    il: Interlock
    every: float
    runs: bool = True
    quiet: bool = False
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    counts: dict[str, int] = field(
        default_factory=lambda: {"steps": 0, "sent": 0, "not_sent": 0, "runs": 0}
    )
    _going: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def until_stopped(self) -> None:
        """Look again and again; a database that does not answer is asked again."""
        self._say("Watching. Ctrl-C stops it.")
        while not self.stopped.is_set():
            try:
                await self.look()
            except InterlockError as error:
                self._say(str(error))
            try:
                await asyncio.wait_for(self.stopped.wait(), self.every)
            except TimeoutError:
                continue
        await self.idle()

    async def idle(self) -> None:
        """Return when every thread that it goes on with has ended or waits."""
        await asyncio.gather(*self._going.values())

    async def look(self) -> None:
        """Take the steps that are due, go on with what they answered, and send what is to be told."""
        for swept in await self.il.asweep():
            self.counts["steps"] += 1
            self._say(swept_line(swept))
        if self.runs:
            await self._go_on()
        delivered = await self.il.adeliver()
        self.counts["sent"] += delivered.sent
        self.counts["not_sent"] += delivered.not_sent
        if delivered.not_sent:
            self._say(f"{delivered.not_sent} notifications were not sent; they are tried again.")

    async def _go_on(self) -> None:
        for thread in await self.il.approvals.left_by_deadline():
            if thread not in self._going and len(self._going) < AT_ONCE:
                self._going[thread] = asyncio.create_task(self._run(thread))

    async def _run(self, thread: str) -> None:
        try:
            run = await self.il.aresume(thread)
            self.counts["runs"] += 1
            self._say(f"thread {thread[:8]} {run.status}")
        except ThreadBusy:
            return  # another process goes on with it
        except Exception as error:  # a node's own error: its run says it, and the others go on
            self._say(f"thread {thread[:8]} failed: {type(error).__name__}")
        finally:
            del self._going[thread]

    def _say(self, text: str) -> None:
        if not self.quiet:
            remarks().print(text, markup=False)
