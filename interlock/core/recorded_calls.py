"""LangChain's cache as the place where model calls are recorded and answered: every chat model asks it first."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import chat_models
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import BaseModel

from interlock.core.context import Around, around_here
from interlock.core.divergence import diverged
from interlock.core.model_requests import request_here
from interlock.core.recordings import (
    Answer,
    ModelRequest,
    RecordedGeneration,
    Recordings,
)

Generations = Sequence[Generation]


class RecordedCalls(BaseCache):
    """LangChain's cache while a runtime is open: it records for our runs, and passes all else on.

    A process has one, `CALLS`; beneath it lies the cache that the application has set, if any.
    """

    def __init__(self) -> None:
        self._beneath: BaseCache | None = None
        self._users = 0
        self._lock = threading.Lock()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Be LangChain's cache while somebody needs it; then put the application's own back."""
        with self._lock:
            self._users += 1
        self.take_place()
        try:
            yield
        finally:
            self._leave()

    def take_place(self) -> None:
        """Be LangChain's cache, also when the application has set another one meanwhile: that one goes beneath."""
        with self._lock:
            present = get_llm_cache()
            if present is not self and self._users:
                self._beneath = present
                set_llm_cache(self)

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and get_llm_cache() is self:
                set_llm_cache(self._beneath)
                self._beneath = None

    async def alookup(self, prompt: str, llm_string: str) -> Generations | None:
        """Return what was recorded, or what the application's own cache knows."""
        call = _call(prompt, llm_string)
        if call is None:
            return await self._beneath.alookup(prompt, llm_string) if self._beneath else None
        recorded = await call.recordings.run(call.answer)
        if recorded is not None:
            return _generations(recorded)
        known = await self._beneath.alookup(prompt, llm_string) if self._beneath else None
        if known is None:
            _expect(call)
            if (meter := call.around.meter) and (run_id := _asking(sys._getframe(1))):
                await meter.admit(run_id)
            return None
        await call.recordings.run(partial(call.keep, known))
        return _generations(_answer(known))

    async def aupdate(self, prompt: str, llm_string: str, return_val: Generations) -> None:
        """Record what the model answered; a failure to record fails the call."""
        if call := _take(prompt, llm_string):
            await call.recordings.run(partial(call.keep, return_val))
        if self._beneath:
            await self._beneath.aupdate(prompt, llm_string, return_val)

    def lookup(self, prompt: str, llm_string: str) -> Generations | None:
        """Return what was recorded, or what the application's own cache knows."""
        call = _call(prompt, llm_string)
        if call is None:
            return self._beneath.lookup(prompt, llm_string) if self._beneath else None
        recorded = call.recordings.wait(call.answer)
        if recorded is not None:
            return _generations(recorded)
        known = self._beneath.lookup(prompt, llm_string) if self._beneath else None
        if known is None:
            _expect(call)
            if (meter := call.around.meter) and (run_id := _asking(sys._getframe(1))):
                meter.admit_now(run_id)
            return None
        call.recordings.wait(partial(call.keep, known))
        return _generations(_answer(known))

    def update(self, prompt: str, llm_string: str, return_val: Generations) -> None:
        """Record what the model answered; a failure to record fails the call."""
        if call := _take(prompt, llm_string):
            call.recordings.wait(partial(call.keep, return_val))
        if self._beneath:
            self._beneath.update(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:  # LangChain's signature
        """Clear the application's own cache; records stay."""
        if self._beneath:
            self._beneath.clear(**kwargs)


CALLS = RecordedCalls()
"""The process's one."""


@dataclass(frozen=True, slots=True)
class _Call:
    around: Around
    request: ModelRequest
    place: tuple[str, str]

    @property
    def recordings(self) -> Recordings:
        return self.around.ports.recordings

    async def answer(self, recordings: Recordings) -> Answer | None:
        """Return the recorded answer, or None when the model must be asked; raises `ReplayDiverged`."""
        self.around.check_replay()
        found = await recordings.find(self.request, self.around.lineage)
        if found is None and self.around.lineage.asks_no_model:
            nearest = await recordings.nearest(self.request, self.around.lineage)
            raise self.around.stop(diverged(self.request, nearest))
        return found.answer if found else None

    async def keep(self, generations: Generations, recordings: Recordings) -> None:
        await recordings.keep(self.request, _answer(generations))


_expected: ContextVar[tuple[_Call, ...]] = ContextVar("_expected", default=())
"""The calls of this task that were not recorded, the latest first: LangChain names them by their text only."""


def _call(prompt: str, llm_string: str) -> _Call | None:
    around = around_here()
    if around is None:
        return None
    request = request_here(prompt, llm_string)
    again = request.key in around.asked
    around.asked.add(request.key)
    return _Call(around, replace(request, again=again), (prompt, llm_string))


def _expect(call: _Call) -> None:
    _expected.set((call, *_expected.get()))


def _asking(frame: FrameType | None) -> UUID | None:
    """Return LangChain's id of the chat model's call that asks its cache here; a cache is not told."""
    while frame is not None:
        if frame.f_code.co_filename == chat_models.__file__ and "run_manager" in frame.f_locals:
            return getattr(frame.f_locals["run_manager"], "run_id", None)
        frame = frame.f_back
    return None


def _take(prompt: str, llm_string: str) -> _Call | None:
    calls = _expected.get()
    found = next((each for each in calls if each.place == (prompt, llm_string)), None)
    _expected.set(tuple(each for each in calls if each is not found))
    return found


def _answer(generations: Generations) -> Answer:
    return [_saved(each) for each in generations]


def _saved(generation: Generation) -> Mapping[str, Any]:  # plain data and LangChain's messages
    if isinstance(generation, ChatGeneration):
        return {"message": _plain(generation.message), "info": generation.generation_info}
    return {"text": generation.text, "info": generation.generation_info}


def _plain(message: BaseMessage) -> BaseMessage:
    """Return the message without objects of the application's classes, which structured output leaves in it."""
    kept = {
        name: value.model_dump() if isinstance(value, BaseModel) else value
        for name, value in message.additional_kwargs.items()
    }
    return message.model_copy(update={"additional_kwargs": kept})


def _generations(answer: Answer) -> list[Generation]:
    return [_restored(each) for each in answer]


def _restored(saved: Mapping[str, Any]) -> Generation:  # what `_saved` gave
    if "message" in saved:
        return RecordedGeneration(message=saved["message"], generation_info=saved["info"])
    return Generation(text=saved["text"], generation_info=saved["info"])
