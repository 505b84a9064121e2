"""Where model calls wait for their turn: in LangChain's own classes, behind their cache and around their client.

There every call comes by, of whatever model, in any node, subgraph, tool or middleware, and only when its answer is not
recorded. LangChain's methods are called on a stand-in for the model, whose calls of the client are ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, TypeVar
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from langgraph.config import get_config, get_stream_writer
from langgraph.runtime import Runtime

from interlock.core.allowance import allowance_here
from interlock.core.context import Around, Context, around_here
from interlock.core.estimating import most_of
from interlock.core.fallbacks import as_asked, asked_of, mark, schema_of
from interlock.core.kills import refuse
from interlock.core.metering import Meter, meter_of
from interlock.core.paced import Doing, Made, PacedCall, Ticket, fault_of, log
from interlock.core.prices import FREE, PriceTable
from interlock.core.rates import Caller, RatePlan, Rates
from interlock.core.recordings import finished
from interlock.core.site import here
from interlock.core.usage import model_of, tokens_of
from interlock.core.walltime import clocks_of
from interlock.errors import ModelUnavailable, UsageError

T = TypeVar("T")
Messages = Any  # LangChain's messages, or the texts of a model of text
Manager = Any  # LangChain's callback manager of one call, synchronous or not

ANSWER = 1_000
"""Tokens that are set aside for an answer whose length nobody limits; what it takes is corrected after the call."""

LOOK_SECONDS = 0.1
"""How often synchronous code that waits looks whether its run was stopped."""


def pace() -> None:
    """Let all calls of chat models in this process wait for their turn; doing it again does nothing."""
    for name in ("_generate_with_cache", "stream", "_chat_model_stream_v3"):
        _replace(name, _paced_here)
    for name in ("_agenerate_with_cache", "astream", "_achat_model_stream_v3"):
        _replace(name, _paced_here)


def _replace(name: str, stand_in: Callable[[BaseChatModel], Any]) -> None:
    original = getattr(BaseChatModel, name)
    if hasattr(original, _OURS):
        return

    @wraps(original)
    def on_stand_in(self: Any, *args: Any, **kwargs: Any) -> Any:  # LangChain's signature
        return original(stand_in(self), *args, **kwargs)

    setattr(on_stand_in, _OURS, True)
    setattr(BaseChatModel, name, on_stand_in)


_OURS = "__interlock_paced__"


@dataclass(frozen=True, slots=True)
class _Where:
    """Where a call is made: what limits it, and for whom."""

    rates: Rates
    context: Context | None
    around: Around | None

    @property
    def tenant(self) -> str:
        if self.around is not None:
            return self.around.tenant
        return self.context.tenant if self.context else ""

    def check(self) -> None:
        """Raise what stops the run."""
        if self.around is not None:
            self.around.check_halted()
            refuse(self.around.ports.kills, self.around.subject, "A model call was stopped")

    def model(self, name: str) -> BaseChatModel:
        """Return another model."""
        ports = self.around.ports if self.around else (self.context or Context()).ports
        return ports.models.model(name)

    def available(self, name: str) -> bool:
        """Say whether another model can be asked; one without its package or its key is left out."""
        try:
            self.model(name)
        except ModelUnavailable as error:
            log.warning("%s", error)
            return False
        return True


def _where() -> _Where | None:
    """Return where the running node's calls are limited; None where nobody limits them."""
    if (around := around_here()) is not None:
        replays = around.lineage.asks_no_model
        return None if replays else _Where(around.ports.rates, None, around)
    context = _context()
    if context is None or context.ports.rates.plan == RatePlan():
        return None
    return _Where(context.ports.rates, context, None)


def _context() -> Context | None:
    """Return the context of a graph in plain LangGraph."""
    try:
        runtime = get_config().get("configurable", {}).get("__pregel_runtime")
    except RuntimeError:
        return None
    found = runtime.context if isinstance(runtime, Runtime) else None
    return found if isinstance(found, Context) else None


def _paced_here(model: Any) -> Any:  # a chat model, and what stands in for it
    """Return what LangChain's methods are called on: the model itself where nothing limits it."""
    if isinstance(model, _Paced):
        return model
    where = _where()
    if where is None:
        return model
    name = model_of(model._get_ls_params())
    return model if name.startswith(FREE) else _Paced(model, name, where)


class _Paced:
    """Stands in for a chat model: all is the model's, but the calls of its client wait for their turn."""

    _stream_chat_model_events = None  # LangChain then makes events of `_stream`
    _astream_chat_model_events = None

    def __init__(self, model: BaseChatModel, name: str, where: _Where) -> None:
        self._model = model
        self._name = name
        self._where = where

    def __getattr__(self, name: str) -> Any:  # whatever the model has
        return getattr(self._model, name)

    def _iter_v2_events(self, *args: Any, **kwargs: Any) -> Any:  # LangChain's signature
        return BaseChatModel._iter_v2_events(self, *args, **kwargs)  # type: ignore[arg-type]  # it stands in

    def _aiter_v2_events(self, *args: Any, **kwargs: Any) -> Any:  # as above
        return BaseChatModel._aiter_v2_events(self, *args, **kwargs)  # type: ignore[arg-type]  # as above

    def _generate(
        self, messages: Messages, stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> ChatResult:
        """Call the client when it is the call's turn."""
        given = _Given(self._model, self._name, messages, stop, run_manager, kwargs)

        async def attempt(name: str) -> ChatResult:
            model, taken = given.of(name, self._where)
            return model._generate(messages, **_taking(model._generate, run_manager, stop, taken))

        made = finished(_call(given, self._where, _Blocking(self._where)).made(attempt))
        finished(made.ticket.ended(_tokens(made.answer)))
        return given.told(made)

    async def _agenerate(
        self, messages: Messages, stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> ChatResult:
        """Do the same from asynchronous code."""
        given = _Given(self._model, self._name, messages, stop, run_manager, kwargs)

        async def attempt(name: str) -> ChatResult:
            model, taken = given.of(name, self._where)
            taken = _taking(model._agenerate, run_manager, stop, taken)
            return await model._agenerate(messages, **taken)

        made = await _call(given, self._where, _Awaiting()).made(attempt)
        await made.ticket.ended(_tokens(made.answer))
        return given.told(made)

    def _stream(
        self, messages: Messages, stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        """Begin a stream when it is the call's turn; once it has begun it is not begun again."""
        given = _Given(self._model, self._name, messages, stop, run_manager, kwargs)

        async def attempt(name: str) -> tuple[Iterator[ChatGenerationChunk], Any]:
            model, taken = given.of(name, self._where)
            if name != self._name and given.wants_schema:
                whole = model._generate(messages, **_taking(model._generate, None, stop, taken))
                return iter(()), given.chunk(whole)
            chunks = model._stream(messages, **_taking(model._stream, run_manager, stop, taken))
            return chunks, next(chunks, None)

        made = finished(_call(given, self._where, _Blocking(self._where)).made(attempt))
        chunks, first = made.answer
        streamed = _Streamed(given, made.ticket)
        try:
            while first is not None:
                yield streamed.seen(first)
                first = next(chunks, None)
        except BaseException as error:
            finished(streamed.broke(error))
            raise
        finished(streamed.ended())

    async def _astream(
        self, messages: Messages, stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Do the same from asynchronous code."""
        given = _Given(self._model, self._name, messages, stop, run_manager, kwargs)

        async def attempt(name: str) -> tuple[AsyncIterator[ChatGenerationChunk], Any]:
            model, taken = given.of(name, self._where)
            if name != self._name and given.wants_schema:
                taken = _taking(model._agenerate, None, stop, taken)
                return _none(), given.chunk(await model._agenerate(messages, **taken))
            chunks = model._astream(messages, **_taking(model._astream, run_manager, stop, taken))
            return chunks, await anext(chunks, None)

        made = await _call(given, self._where, _Awaiting()).made(attempt)
        chunks, first = made.answer
        streamed = _Streamed(given, made.ticket)
        try:
            while first is not None:
                yield streamed.seen(first)
                first = await anext(chunks, None)
        except BaseException as error:
            await streamed.broke(error)
            raise
        await streamed.ended()


@dataclass(frozen=True, slots=True)
class _Given:
    """What a client is called with."""

    model: BaseChatModel
    name: str
    messages: Messages
    stop: Any
    manager: Manager
    kwargs: Mapping[str, Any]

    def of(self, name: str, where: _Where) -> tuple[BaseChatModel, dict[str, Any]]:
        """Return a model, the one that was asked or another, and the parameters for it."""
        if name == self.name:
            return self.model, dict(self.kwargs)
        other = where.model(name)
        return other, asked_of(other, self.kwargs)

    def told(self, made: Made[ChatResult]) -> ChatResult:
        """Return the answer; one of another model says so, and has the form that was asked for."""
        if made.ticket.model != self.name:
            as_asked(made.answer.generations, self.kwargs)
            for each in made.answer.generations:
                mark(each, made.ticket.model)
        return made.answer

    @property
    def wants_schema(self) -> bool:
        """Whether the answer must fit a schema: of another model it is a tool's call, which is turned into that."""
        return schema_of(self.kwargs) is not None

    def chunk(self, result: ChatResult) -> ChatGenerationChunk:
        """Return another model's answer as the only piece of a stream."""
        as_asked(result.generations, self.kwargs)
        return _whole_chunk(result)

    def tokens(self) -> int:
        """Return how many tokens the call is thought to take at most."""
        most, unknown = most_of(self.name, self.messages, self.parameters(), _NO_PRICES)
        return most.input_tokens + (ANSWER if "tokens" in unknown else most.output_tokens)

    def parameters(self) -> dict[str, Any]:
        """Return LangChain's parameters of the call."""
        return dict(self.model._get_invocation_params(stop=self.stop, **self.kwargs))


_NO_PRICES = PriceTable(version="", models={})
"""A call that says nothing of its answer's length is not thought to take all that its model is able to say."""


@dataclass(slots=True)
class _Streamed:
    """What came of a stream so far."""

    given: _Given
    ticket: Ticket
    tokens: int | None = None
    _begun: bool = False

    def seen(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        """Return a piece, after what it tells was noted."""
        if self.ticket.model != self.given.name and not self._begun:
            mark(chunk, self.ticket.model)  # once: pieces are put together
        self._begun = True
        usage = getattr(chunk.message, "usage_metadata", None)
        if usage:
            self.tokens = (self.tokens or 0) + int(usage["total_tokens"])
        return chunk

    async def ended(self) -> None:
        """Note that it came to its end."""
        await self.ticket.ended(self.tokens)

    async def broke(self, error: BaseException) -> None:
        """Note that it did not."""
        if isinstance(error, Exception):
            await self.ticket.failed(fault_of(error))
        else:
            await self.ticket.broken_off()


def _whole_chunk(result: ChatResult) -> ChatGenerationChunk:
    """Return an answer as the only piece of a stream."""
    message = result.generations[0].message
    fields = message.model_dump(include={"content", "additional_kwargs", "usage_metadata", "id"})
    return ChatGenerationChunk(message=AIMessageChunk(**fields, chunk_position="last"))


async def _none() -> AsyncIterator[ChatGenerationChunk]:
    """Yield nothing more."""
    nothing: tuple[ChatGenerationChunk, ...] = ()
    for each in nothing:
        yield each


def _taking(
    function: Callable[..., Any], manager: Manager, stop: Any, kwargs: Mapping[str, Any]
) -> dict[str, Any]:  # LangChain's keyword arguments
    """Return the keyword arguments of a client's call; some classes take no callback manager."""
    own = {"run_manager": manager} if "run_manager" in signature(function).parameters else {}
    return {"stop": stop, **own, **kwargs}


def _tokens(result: ChatResult) -> int | None:
    llm_output = result.llm_output or {}
    told = tokens_of(LLMResult(generations=[list(result.generations)], llm_output=llm_output))
    return told.input + told.output if told else None


def _call(given: _Given, where: _Where, doing: Doing) -> PacedCall:
    meter = meter_of(getattr(given.manager, "handlers", ()))
    run_id = getattr(given.manager, "run_id", None)
    budget = _Budget(meter, run_id, given) if meter is not None and run_id is not None else None
    return PacedCall(
        rates=where.rates,
        doing=doing,
        caller=_caller(given.name, where),
        tokens=given.tokens,
        tell=_tell,
        budget=budget,
        clocks=clocks_of(allowance_here()),
        available=where.available,
    )


def _caller(model: str, where: _Where) -> Caller:
    graph = where.around.graph if where.around else ""
    try:
        site = here()
    except UsageError:  # a thread that was started without the node's context
        return Caller(model=model, graph=graph, tenant=where.tenant)
    return Caller(
        model=model,
        run_id=site.run_id,
        thread_id=site.thread_id,
        graph=graph,
        tenant=where.tenant,
        node=site.node,
    )


def _tell(event: Mapping[str, Any]) -> None:
    """Show in the graph's stream that a call waits; outside of a graph nobody looks."""
    with suppress(RuntimeError, KeyError, AttributeError):
        get_stream_writer()(dict(event))


@dataclass(frozen=True, slots=True)
class _Budget:
    """The budgets' side of a call."""

    meter: Meter
    run_id: UUID
    given: _Given

    async def lay_down(self) -> None:
        """Hold nothing for a call that waits."""
        await self.meter.lay_down(self.run_id)

    async def take_up(self) -> None:
        """Hold what it may take again."""
        await self.meter.hold(self.run_id)

    async def stand_in(self, model: str) -> None:
        """Hold what another model may take in its place."""
        given = self.given
        await self.meter.stand_in(self.run_id, model, given.messages, given.parameters())


class _Awaiting:
    """A call on an event loop: a cancellation reaches it wherever it waits."""

    async def on(self, rates: Rates, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits."""
        return await rates.run(work)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def whole(self, work: Awaitable[T]) -> T:
        """Do some work to its end, also where the caller is cancelled meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise


@dataclass(frozen=True, slots=True)
class _Blocking:
    """A call in a thread, which no cancellation reaches: it never awaits, and looks itself whether it may go on."""

    where: _Where

    async def on(self, rates: Rates, work: Callable[[Rates], Coroutine[Any, Any, T]]) -> T:
        """Do some work on the limits."""
        return rates.wait(work)

    async def sleep(self, seconds: float) -> None:
        """Wait, for as long as nobody stops the run."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))  # noqa: ASYNC251  # in a thread of its own
            self.where.check()

    async def whole(self, work: Awaitable[T]) -> T:
        """Do some work."""
        return await work
