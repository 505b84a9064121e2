"""Where calls of models of text wait for their turn, as those of chat models do; no other model answers in their place.

A call of several prompts at one time is one turn where their client sends them together, else a turn for each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import LLM, BaseLLM
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import GenerationChunk, LLMResult

from interlock.core.faults import fault_of
from interlock.core.paced import PacedCall, Ticket
from interlock.core.prices import FREE
from interlock.core.recordings import finished
from interlock.core.turns import (
    Awaiting,
    Blocking,
    Manager,
    Where,
    call_of,
    replaced,
    taking,
    where_here,
)
from interlock.core.usage import model_of, tokens_of


def pace_texts() -> None:
    """Let all calls of models of text in this process wait for their turn; doing it again does nothing."""
    for name in ("_generate_helper", "_agenerate_helper"):
        replaced(BaseLLM, name, _paced_here)
    for name in ("stream", "astream"):
        replaced(BaseLLM, name, _streamed_here)


def _paced_here(model: Any) -> Any:  # a model of text, and what stands in for it
    """Return what LangChain's methods are called on: the model itself where nothing limits it."""
    where = None if isinstance(model, _PacedText) else where_here()
    if where is None:
        return model
    name = model_of(model._get_ls_params())
    return model if name.startswith(FREE) else _PacedText(model, name, where)


def _streamed_here(model: Any) -> Any:  # as above
    """Return the same for streams; what does not stream is called as a whole, and comes by then."""
    own = type(model)
    streams = own._stream is not BaseLLM._stream or own._astream is not BaseLLM._astream
    return _paced_here(model) if streams else model


class _PacedText:
    """Stands in for a model of text: all is the model's, but the calls of its client wait for their turn."""

    def __init__(self, model: BaseLLM, name: str, where: Where) -> None:
        self._model = model
        self._name = name
        self._where = where

    def __getattr__(self, name: str) -> Any:  # whatever the model has
        return getattr(self._model, name)

    def _generate(
        self, prompts: list[str], stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> LLMResult:
        """Call the client when it is the call's turn."""
        model = self._model

        def one(given: _Given) -> LLMResult:
            async def attempt(_: str) -> LLMResult:
                taken = taking(model._generate, run_manager, stop, kwargs)
                return model._generate(given.prompts, **taken)

            made = finished(self._call(given, Blocking(self._where)).made(attempt))
            finished(made.ticket.ended(_tokens(made.answer)))
            return made.answer

        return _joined([one(each) for each in self._turns(prompts, stop, run_manager, kwargs)])

    async def _agenerate(
        self, prompts: list[str], stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> LLMResult:
        """Do the same from asynchronous code."""
        model = self._model

        async def one(given: _Given) -> LLMResult:
            async def attempt(_: str) -> LLMResult:
                taken = taking(model._agenerate, run_manager, stop, kwargs)
                return await model._agenerate(given.prompts, **taken)

            made = await self._call(given, Awaiting()).made(attempt)
            await made.ticket.ended(_tokens(made.answer))
            return made.answer

        turns = self._turns(prompts, stop, run_manager, kwargs)
        return _joined([await one(each) for each in turns])

    def _stream(
        self, prompt: str, stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> Iterator[GenerationChunk]:
        """Begin a stream when it is the call's turn; once it has begun it is not begun again."""
        model = self._model
        given = _Given(model, self._name, [prompt], stop, run_manager, kwargs)

        async def attempt(_: str) -> tuple[Iterator[GenerationChunk], GenerationChunk | None]:
            taken = taking(model._stream, run_manager, stop, kwargs)
            chunks = model._stream(prompt, **taken)
            return chunks, next(chunks, None)

        made = finished(self._call(given, Blocking(self._where)).made(attempt))
        chunks, chunk = made.answer
        try:
            while chunk is not None:
                yield chunk
                chunk = next(chunks, None)
        except BaseException as error:
            finished(_broke(made.ticket, error))
            raise
        finished(made.ticket.ended(None))

    async def _astream(
        self, prompt: str, stop: Any = None, run_manager: Manager = None, **kwargs: Any
    ) -> AsyncIterator[GenerationChunk]:
        """Do the same from asynchronous code."""
        model = self._model
        given = _Given(model, self._name, [prompt], stop, run_manager, kwargs)

        async def attempt(_: str) -> tuple[AsyncIterator[GenerationChunk], GenerationChunk | None]:
            taken = taking(model._astream, run_manager, stop, kwargs)
            chunks = model._astream(prompt, **taken)
            return chunks, await anext(chunks, None)

        made = await self._call(given, Awaiting()).made(attempt)
        chunks, chunk = made.answer
        try:
            while chunk is not None:
                yield chunk
                chunk = await anext(chunks, None)
        except BaseException as error:
            await _broke(made.ticket, error)
            raise
        await made.ticket.ended(None)

    def _call(self, given: _Given, doing: Awaiting | Blocking) -> PacedCall:
        return call_of(given, self._where, doing, falls_back=False, reserves=given.alone)

    def _turns(
        self, prompts: list[str], stop: Any, manager: Manager, kwargs: Mapping[str, Any]
    ) -> list[_Given]:
        """Return what is asked in each turn: LangChain's simple class asks for each prompt by itself."""
        apart = type(self._model)._generate is LLM._generate
        turns = [[each] for each in prompts] if apart else [prompts]
        alone = len(prompts) == 1
        return [
            _Given(self._model, self._name, each, stop, manager, kwargs, alone=alone)
            for each in turns
        ]


@dataclass(frozen=True, slots=True)
class _Given:
    """What a client is called with.

    Attributes:
        alone: no other prompt was given with it, so the callback manager is of this call alone.
    """

    model: BaseLLM
    name: str
    prompts: list[str]
    stop: Any
    manager: Manager
    kwargs: Mapping[str, Any]
    alone: bool = True

    @property
    def prompt(self) -> Sequence[BaseMessage]:
        """What is asked, as messages."""
        return [HumanMessage(each) for each in self.prompts]

    def parameters(self) -> dict[str, Any]:
        """Return LangChain's parameters of the call."""
        return {**self.model._dict_for_compat(), "stop": self.stop, **self.kwargs}


async def _broke(ticket: Ticket, error: BaseException) -> None:
    """Note that a stream did not come to its end."""
    if isinstance(error, Exception):
        await ticket.failed(fault_of(error))
    else:
        await ticket.broken_off()


def _joined(results: list[LLMResult]) -> LLMResult:
    """Return the answers of several turns as those of one call."""
    if len(results) == 1:
        return results[0]
    answers = [some for each in results for some in each.generations]
    return LLMResult(generations=answers)


def _tokens(result: LLMResult) -> int | None:
    told = tokens_of(result)
    return told.input + told.output if told else None
