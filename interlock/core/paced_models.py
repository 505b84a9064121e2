"""Where calls of chat models wait for their turn: in LangChain's own class, behind its cache and around its client.

There every call comes by, of whatever model, in any node, subgraph, tool or middleware, and only when its answer is not
recorded. LangChain's methods are called on a stand-in for the model, whose calls of the client are ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult

from interlock.core.fallbacks import as_asked, asked_of, mark, schema_of
from interlock.core.paced import Made
from interlock.core.paced_texts import pace_texts
from interlock.core.recordings import finished
from interlock.core.stand_ins import Look, StandIn, relayed, relayed_async, tokens_in
from interlock.core.turns import (
    Awaiting,
    Blocking,
    Manager,
    Where,
    call_of,
    replaced,
    taking,
)

Messages = Any  # LangChain's messages


def pace() -> None:
    """Let all calls of models in this process wait for their turn; doing it again does nothing."""
    for name in ("_generate_with_cache", "stream", "_chat_model_stream_v3"):
        replaced(BaseChatModel, name, _Paced.here)
    for name in ("_agenerate_with_cache", "astream", "_achat_model_stream_v3"):
        replaced(BaseChatModel, name, _Paced.here)
    pace_texts()


class _Paced(StandIn[BaseChatModel]):
    """Stands in for a chat model: all is the model's, but the calls of its client wait for their turn."""

    _stream_chat_model_events = None  # LangChain then makes events of `_stream`
    _astream_chat_model_events = None

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
            return model._generate(messages, **taking(model._generate, run_manager, stop, taken))

        made = finished(call_of(given, self._where, Blocking(self._where)).made(attempt))
        finished(made.ticket.ended(_tokens(made.answer)))
        return given.told(made)

    async def _agenerate(
        self, messages: Messages, stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> ChatResult:
        """Do the same from asynchronous code."""
        given = _Given(self._model, self._name, messages, stop, run_manager, kwargs)

        async def attempt(name: str) -> ChatResult:
            model, taken = given.of(name, self._where)
            taken = taking(model._agenerate, run_manager, stop, taken)
            return await model._agenerate(messages, **taken)

        made = await call_of(given, self._where, Awaiting()).made(attempt)
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
                whole = model._generate(messages, **taking(model._generate, None, stop, taken))
                return iter(()), given.chunk(whole)
            chunks = model._stream(messages, **taking(model._stream, run_manager, stop, taken))
            return chunks, next(chunks, None)

        made = finished(call_of(given, self._where, Blocking(self._where)).made(attempt))
        yield from relayed(made, _Look(given, made.ticket.model))

    async def _astream(
        self, messages: Messages, stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Do the same from asynchronous code."""
        given = _Given(self._model, self._name, messages, stop, run_manager, kwargs)

        async def attempt(name: str) -> tuple[AsyncIterator[ChatGenerationChunk], Any]:
            model, taken = given.of(name, self._where)
            if name != self._name and given.wants_schema:
                taken = taking(model._agenerate, None, stop, taken)
                return _none(), given.chunk(await model._agenerate(messages, **taken))
            chunks = model._astream(messages, **taking(model._astream, run_manager, stop, taken))
            return chunks, await anext(chunks, None)

        made = await call_of(given, self._where, Awaiting()).made(attempt)
        async with aclosing(relayed_async(made, _Look(given, made.ticket.model))) as chunks:
            async for chunk in chunks:
                yield chunk


@dataclass(frozen=True, slots=True)
class _Given:
    """What a client is called with."""

    model: BaseChatModel
    name: str
    messages: Messages
    stop: Any
    manager: Manager
    kwargs: Mapping[str, Any]

    def of(self, name: str, where: Where) -> tuple[BaseChatModel, dict[str, Any]]:
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

    @property
    def prompt(self) -> Sequence[BaseMessage]:
        """What is asked."""
        return cast("Sequence[BaseMessage]", self.messages)

    def parameters(self) -> dict[str, Any]:
        """Return LangChain's parameters of the call."""
        return dict(self.model._get_invocation_params(stop=self.stop, **self.kwargs))


class _Look(Look[ChatGenerationChunk]):
    """Looks at a stream of a chat model, the one that was asked or another."""

    def __init__(self, given: _Given, model: str) -> None:
        self._unmarked = model if model != given.name else ""

    def seen(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        """Return a piece; the first of another model says whose it is, once: pieces are put together."""
        if self._unmarked:
            mark(chunk, self._unmarked)
            self._unmarked = ""
        if usage := getattr(chunk.message, "usage_metadata", None):
            self.tokens = (self.tokens or 0) + int(usage["total_tokens"])
        return chunk


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


def _tokens(result: ChatResult) -> int | None:
    llm_output = result.llm_output or {}
    return tokens_in(LLMResult(generations=[list(result.generations)], llm_output=llm_output))
