"""From a note in a thread's manifest back to what it came from."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AnyMessage

from interlock.application import Graph
from interlock.core import originals as in_state
from interlock.core.context import Ports
from interlock.core.runs import Step
from interlock.core.sync import run_sync
from interlock.errors import NotFound
from interlock.postgres.pool import translated
from interlock.postgres.runs import RunStore

_PASSAGE = re.compile(r"passage:(?P<collection>.+)/(?P<document>[^/]+)/(?P<start>\d+)-(?P<end>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What a note came from.

    Attributes:
        source: `message:ID`, `passage:COLLECTION/DOCUMENT/START-END` or `checkpoint:ID`.
        text: what it says: the message's text, the passage, or the state of that step as JSON.
        message: the message as it was said; None where it is none.
    """

    source: str
    text: str
    message: AnyMessage | None = None


class Originals(ABC):
    """The part of the runtime that finds what a note came from."""

    store: RunStore
    _ports: Ports

    @abstractmethod
    def _durable(self, name: str) -> Graph: ...

    @abstractmethod
    async def ahistory(self, thread_id: str, *, inside: bool = False) -> list[Step]:
        """Return the steps of a thread."""

    @abstractmethod
    async def astep(self, thread_id: str, at: int | str) -> Step:
        """Return one step."""

    async def aoriginal(self, thread_id: str, source: str) -> list[Original]:
        """Return what a note came from, over as many folds as there were.

        Args:
            thread_id: the thread.
            source: the id of a note, or one of the sources that notes name.

        Raises:
            NotFound: there is no such thread, note, message, passage or step.
        """
        thread_id = await self.store.full_thread_id(thread_id)
        values = await self._newest(thread_id)
        return [
            each
            for leaf in in_state.leaves(values, source)
            for each in await self._original(thread_id, leaf, values)
        ]

    async def _newest(self, thread_id: str) -> Mapping[str, Any]:  # a state
        graph = self._durable((await self.store.thread(thread_id))["graph"])
        with translated():
            return (await graph.aget_state({"configurable": {"thread_id": thread_id}})).values

    async def _original(
        self, thread_id: str, source: str, values: Mapping[str, Any]
    ) -> list[Original]:
        if source.startswith("checkpoint:"):
            step = await self.astep(thread_id, source.partition(":")[2])
            return [Original(source=source, text=json.dumps(step.values, default=str))]
        if passage := _PASSAGE.fullmatch(source):
            document = await self._ports.corpus.document(passage["collection"], passage["document"])
            start, end = int(passage["start"]), int(passage["end"])
            return [Original(source=source, text=document.text[start:end])]
        async for state in self._states(thread_id, values):
            try:
                return [_said(each) for each in in_state.original(state, source)]
            except NotFound as error:
                missing = error
        raise missing

    async def _states(
        self, thread_id: str, newest: Mapping[str, Any]
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the newest state, and then earlier ones: what an application removed by itself is not archived."""
        yield newest
        for step in reversed(await self.ahistory(thread_id)):
            yield step.values


def _said(message: AnyMessage) -> Original:
    return Original(source=f"message:{message.id}", text=message.text, message=message)


class OriginalsNow(Originals):
    """The synchronous face of `Originals`."""

    def original(self, thread_id: str, source: str) -> list[Original]:
        """Return what a note came from; see `aoriginal`."""
        return run_sync(self.aoriginal(thread_id, source))
