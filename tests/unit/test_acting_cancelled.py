"""A run that is cancelled while an action works in a thread: the thread cannot be stopped, so it is waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from langgraph.runtime import Runtime

from interlock.core.acting import act
from interlock.core.actions import Action, Happened, action
from interlock.core.context import Context
from tests.acting import Purse, Thread, one_node, own_actions

MOMENT = 0.1
"""Seconds in which a cancelled run would end if nothing held it."""
PATIENCE = 120


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    with own_actions():
        yield


@dataclass
class Slow:
    """A synchronous action that has its effect only when it is let go; its probe sees what is done by then."""

    done: list[str] = field(default_factory=list)
    probes: int = 0
    working: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    def thread(self) -> Thread:
        async def look(key: str) -> Happened[str] | None:
            self.probes += 1
            return Happened("sent") if key in self.done else None

        @action(name="unit_send", touches="the post", reversible=True, probe=look)
        def send(idempotency_key: str) -> str:
            """Send it."""
            self.working.set()
            assert self.go.wait(PATIENCE)
            self.done.append(idempotency_key)
            if self.fails:
                raise ConnectionError("no answer")
            return "sent"

        return Thread(graph=one_node(_sending(send)))


def _sending(send: Action[str]) -> Any:  # a node
    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, send)}

    return step


async def cancelled(slow: Slow, thread: Thread) -> asyncio.Task[Any]:
    """Begin, and cancel twice what works; return it while it still does."""
    run = asyncio.ensure_future(thread.start())
    assert await asyncio.to_thread(slow.working.wait, PATIENCE)
    for _ in range(2):
        run.cancel()
        await asyncio.wait([run], timeout=MOMENT)
        assert not run.done()
    return run


async def test_a_cancellation_waits_for_the_thread() -> None:
    """It ends only after the act, whose result is written: the next attempt gets it, and nobody has to look."""
    slow = Slow()
    thread = slow.thread()
    run = await cancelled(slow, thread)

    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    output = await thread.again()

    assert output["said"] == "sent"
    assert (len(slow.done), slow.probes) == (1, 0)


async def test_what_failed_while_it_was_cancelled_is_in_doubt() -> None:
    """The function raised after its act: the next attempt asks the probe, and repeats nothing."""
    slow = Slow(fails=True)
    thread = slow.thread()
    run = await cancelled(slow, thread)

    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    output = await thread.again()

    assert output["said"] == "sent"
    assert (len(slow.done), slow.probes) == (1, 1)
