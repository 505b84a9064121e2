"""What servers do beside requests: tell the ends of runs, and remove threads that were to leave nothing behind.

Any number of server processes may: each telling, and each thread, is one's at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from langgraph.errors import InvalidUpdateError

from interlock.core.endless import side_by_side
from interlock.errors import DatabaseUnavailable, InterlockError, NotFound
from interlock.facade import Interlock
from interlock.notify.targets import NotDelivered
from interlock.postgres.leftovers import Leftovers
from interlock.postgres.run_cards import ClientStatus, RunCards
from interlock.postgres.webhooks import Ended, Webhooks
from interlock.server.calling import call
from interlock.server.documents_runs import failure, run_document
from interlock.server.hooks import Policy, shown
from interlock.server.serializing import serializer_of
from interlock.server.wire import dumps
from interlock.worker.listening import keep_listening

POLL_SECONDS = 5.0
"""How often it looks whatever it was told."""

LINGER_SECONDS = 5.0
"""How long the thread of a run that leaves nothing behind stays: whoever was cut off may still ask what came of it."""

FORGET_SECONDS = 600.0
RETRY_SECONDS = 0.5

_ENDED: Mapping[str, ClientStatus] = {
    "succeeded": "success",
    "waiting": "success",
    "failed": "error",
    "dead": "error",
}

log = logging.getLogger("interlock.server")


class Chores:
    """The work of one server process beside its requests."""

    def __init__(self, il: Interlock) -> None:
        self._il = il
        self._policy = Policy.of(il.application.config, il.settings)
        self._webhooks = Webhooks(il.pool)
        self._cards = RunCards(il.pool)
        self._leftovers = Leftovers(il.pool)
        self._news = asyncio.Event()
        self._forget_at = 0.0

    async def keep(self) -> None:
        """Do what there is to do, until it is cancelled."""
        hearing = keep_listening(self._il.url, "listen interlock_webhooks", self._news.set)
        await side_by_side(hearing, self._work())

    async def turn(self) -> float:
        """Do what is due now, and return in how many seconds to look again."""
        while due := await self._webhooks.claim():
            await asyncio.gather(*(self._tell(each) for each in due))
        while await self._leftovers.remove(LINGER_SECONDS):
            pass
        await self._forget()
        following = await self._webhooks.next_due()
        return POLL_SECONDS if following is None else min(POLL_SECONDS, max(following, 0.0))

    async def _work(self) -> None:
        while True:
            self._news.clear()
            try:
                pause = await self.turn()
            except Exception as error:  # one fault must not end the telling
                log.warning("chores.failed reason=%s", type(error).__name__)
                pause = RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    async def _tell(self, ended: Ended) -> None:
        try:
            headers = {"Content-Type": "application/json", "Interlock-Webhook": str(ended.id)}
            body = dumps(shown(await self._document(ended), self._policy))
            secret = self._il.settings.notify_secret
            await call(ended.url, body, headers, self._policy, secret)
        except DatabaseUnavailable:
            raise
        except InterlockError as error:
            reason = str(error) if isinstance(error, NotDelivered) else str(error.args[0])
        except Exception as error:  # its text may hold an address
            reason = type(error).__name__
        else:
            await self._webhooks.sent(ended)
            return
        log.warning("webhook.not_sent webhook=%s run=%s reason=%s", ended.id, ended.run_id, reason)
        await self._webhooks.not_sent(ended, reason)

    async def _document(self, ended: Ended) -> dict[str, Any]:  # JSON
        """Return a run as it ended, with what came of it; what was forgotten meanwhile is left out."""
        document = {"run_id": ended.run_id, "thread_id": ended.thread_id, "values": None}
        with suppress(NotFound):
            run = await self._cards.run(ended.run_id)
            document |= run_document(run, serializer_of(self._il.settings))
            document |= await self._outcome(ended)
        return document | _end(ended, document.get("status"))

    async def _outcome(self, ended: Ended) -> dict[str, Any]:  # JSON
        standing = await self._cards.stands(ended.ended_by)
        if standing.checkpoint_id is None:
            return {}
        try:
            came = await self._il.aoutcome(
                standing.graph, standing.thread_id, standing.checkpoint_id
            )
        except InvalidUpdateError:  # it failed for what it wrote, which still stands there
            return {}
        asks = {"interrupts": list(came.interrupts)} if came.interrupts else {}
        return {"values": came.output, **asks}

    async def _forget(self) -> None:
        if (now := time.monotonic()) >= self._forget_at:
            self._forget_at = now + FORGET_SECONDS
            await self._webhooks.forget()


def _end(ended: Ended, now: Any) -> dict[str, Any]:  # JSON
    """Return how a run ended; it may have been taken up again since."""
    told = failure(ended.error, ended.error_kind)
    return {
        "status": _ENDED.get(ended.ended_as, "timeout" if now == "timeout" else "interrupted"),
        "run_started_at": ended.started_at,
        "run_ended_at": ended.ended_at,
        "webhook_sent_at": datetime.now(UTC),
        **({"error": told} if ended.ended_as in ("failed", "dead") else {}),
    }
