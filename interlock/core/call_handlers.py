"""What LangChain tells a meter of model calls, before and after each; what a handler raises stops the call.

There are two faces of one meter, because LangChain drops what asynchronous handlers raise in synchronous calls, and
lets synchronous ones hold up asynchronous calls.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, manager
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import LLMResult

from interlock.core.context import Around
from interlock.core.joined_handlers import single
from interlock.core.refusing import begun_beside
from interlock.core.replaying import unrecorded
from interlock.errors import InterlockError

if TYPE_CHECKING:
    from interlock.core.metering import Meter


def meter_of(handlers: Sequence[object]) -> Meter | None:
    """Return what counts a model call, of the handlers that it met."""
    faces = (
        each for each in single(handlers) if isinstance(each, WaitingHandler | AwaitingHandler)
    )
    return next((each.meter for each in faces), None)


class WaitingHandler(BaseCallbackHandler):
    """The face for synchronous calls: it waits for the budgets."""

    raise_error = True
    run_inline = True
    ignore_chain = True  # LangChain would tell it of every node

    def __init__(self, meter: Meter, around: Around | None = None) -> None:
        self.meter = meter
        self.around = around

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,  # LangChain's signature
    ) -> None:
        """Reserve a call of a chat model."""
        if _is_synchronous(sys._getframe(1)):
            waits = self.around is not None and not unrecorded(self.around)
            self._begin(run_id, messages[0] if messages else [], kwargs, waits=waits)

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Reserve a call of a text model; one that was recorded is answered without coming here."""
        if _is_synchronous(sys._getframe(1)):
            self._begin(run_id, [HumanMessage(each) for each in prompts], kwargs)

    def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Settle a call."""
        meter = self.meter
        if call := meter.taken(run_id, synchronous=True):
            meter.allowance.budgets.wait(lambda budgets: meter.settle(call, response, budgets))

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Settle or release a call that failed."""
        meter, response = self.meter, kwargs.get("response")
        if call := meter.taken(run_id, synchronous=True):
            meter.allowance.budgets.wait(lambda budgets: meter.fail(call, error, response, budgets))

    def _begin(
        self,
        run_id: UUID,
        messages: Sequence[BaseMessage],
        kwargs: Mapping[str, Any],
        *,
        waits: bool = False,
    ) -> None:
        call = self.meter.call(run_id, messages, kwargs)
        call.synchronous, call.waits = True, waits
        if not self.meter.begun(run_id, call):
            return
        try:
            self.meter.admit_now(run_id)
        except InterlockError:
            self.meter.give_back_now(begun_beside(sys._getframe(1)))
            raise


class AwaitingHandler(AsyncCallbackHandler):
    """The face for asynchronous calls: it holds nobody up."""

    raise_error = True
    run_inline = True
    ignore_chain = True  # LangChain would tell it of every node

    def __init__(self, meter: Meter, around: Around | None = None) -> None:
        self.meter = meter
        self.around = around

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,  # LangChain's signature
    ) -> None:
        """Reserve a call of a chat model."""
        if _is_awaited(sys._getframe(1)):
            waits = self.around is not None and not unrecorded(self.around)
            await self._begin(run_id, messages[0] if messages else [], kwargs, waits=waits)

    async def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Reserve a call of a text model; one that was recorded is answered without coming here."""
        if _is_awaited(sys._getframe(1)):
            await self._begin(run_id, [HumanMessage(each) for each in prompts], kwargs)

    async def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Settle a call."""
        meter = self.meter
        if call := meter.taken(run_id, synchronous=False):
            await whole(
                meter.allowance.budgets.run(lambda budgets: meter.settle(call, response, budgets))
            )

    async def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Settle or release a call that failed."""
        meter, response = self.meter, kwargs.get("response")
        if call := meter.taken(run_id, synchronous=False):
            await whole(
                meter.allowance.budgets.run(
                    lambda budgets: meter.fail(call, error, response, budgets)
                )
            )

    async def _begin(
        self,
        run_id: UUID,
        messages: Sequence[BaseMessage],
        kwargs: Mapping[str, Any],
        *,
        waits: bool = False,
    ) -> None:
        call = self.meter.call(run_id, messages, kwargs)
        call.waits = waits
        if not self.meter.begun(run_id, call):
            return
        try:
            await self.meter.admit(run_id)
        except InterlockError:
            await self.meter.give_back(begun_beside(sys._getframe(1)))
            raise


async def whole(work: Awaitable[None]) -> None:
    """Do some work to its end, also where the caller is cancelled meanwhile."""
    await asyncio.shield(asyncio.ensure_future(work))


def _is_synchronous(frame: FrameType) -> bool:
    """Say whether LangChain's synchronous manager calls a handler."""
    return _caller(frame) == "handle_event"


def _is_awaited(frame: FrameType | None) -> bool:
    """Say whether LangChain's asynchronous manager awaits a handler; its synchronous one runs it on another loop."""
    return _caller(frame) == "_ahandle_event_for_handler"


def _caller(frame: FrameType | None) -> str:
    """Return which function of LangChain's managers told of a call."""
    while frame is not None and frame.f_code.co_filename != manager.__file__:
        frame = frame.f_back
    return frame.f_code.co_name if frame is not None else ""
