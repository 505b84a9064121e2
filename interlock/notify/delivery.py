"""Delivery: claim what is due, send it, note how that went. Nothing here fails the one who calls it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from interlock.errors import InterlockError
from interlock.notify.targets import SECONDS, NotDelivered, Target, fingerprint
from interlock.postgres.outbox import Notice, Outbox

ATTEMPT_SECONDS = SECONDS * 2
"""How long one try may take in all; well under the lease of the outbox."""

log = logging.getLogger("interlock.notify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """How many notifications were sent, and how many were not: those are tried again, or given up."""

    sent: int = 0
    not_sent: int = 0

    def __add__(self, other: Delivered) -> Delivered:
        return Delivered(sent=self.sent + other.sent, not_sent=self.not_sent + other.not_sent)


class Deliverer:
    """Sends what is due to its targets; any number of processes may."""

    def __init__(self, outbox: Outbox, targets: Sequence[Target]) -> None:
        self.targets = {fingerprint(each): each for each in targets}
        self._outbox = outbox
        self._names = {key: each.name for key, each in self.targets.items()}

    async def deliver(self) -> Delivered:
        """Send all that is due now; raises `DatabaseUnavailable`."""
        total = Delivered()
        while self.targets and (notices := await self._outbox.claim(self._names)):
            for went in await asyncio.gather(*(self._send(each) for each in notices)):
                total += went
        return total

    async def try_to(self, seconds: float) -> None:
        """Send what is due, for a while and without ever raising: what stays undone is due again."""
        if not self.targets:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.deliver()
        except (InterlockError, TimeoutError) as error:
            log.warning("notify.interrupted reason=%s", type(error).__name__)

    async def _send(self, notice: Notice) -> Delivered:
        name = self._names[notice.target]
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await self.targets[notice.target].send(notice)
        except NotDelivered as error:
            reason = str(error)
        except TimeoutError:
            reason = f"no answer within {ATTEMPT_SECONDS:.0f} seconds"
        except (
            Exception
        ) as error:  # whatever a target's library raises; its text may hold an address
            reason = type(error).__name__
        else:
            await self._outbox.sent(notice, name)
            return Delivered(sent=1)
        log.warning("notify.not_sent notification=%s target=%s reason=%s", notice.id, name, reason)
        await self._outbox.not_sent(notice, name, reason)
        return Delivered(not_sent=1)
