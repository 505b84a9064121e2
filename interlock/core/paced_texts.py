"""Where calls of models of text wait for their turn, as those of chat models do; no other model answers in their place.

A call of several prompts at one time is one turn where their client sends them together, else a turn for each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import LLM, BaseLLM
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import GenerationChunk, LLMResult

from interlock.core.paced import PacedCall
from interlock.core.recordings import finished
from interlock.core.stand_ins import Look, StandIn, relayed, relayed_async, tokens_in
from interlock.core.turns import (
    Awaiting,
    Blocking,
    Manager,
    call_of,
    replaced,
    taking,
)


def pace_texts() -> None:
    """Let all calls of models of text in this process wait for their turn; doing it again does nothing."""
    for name in ("_generate_helper", "_agenerate_helper"):
        replaced(BaseLLM, name, _PacedText.here)
    for name in ("stream", "astream"):
        replaced(BaseLLM, name, _streamed_here)


def _streamed_here(model: Any) -> Any:  # a model of text, and what stands in for it
    """Return what streams are asked of; what does not stream is called as a whole, and comes by then."""
    own = type(model)
    streams = own._stream is not BaseLLM._stream or own._astream is not BaseLLM._astream
    return _PacedText.here(model) if streams else model


class _PacedText(StandIn[BaseLLM]):
    """Stands in for a model of text: all is the model's, but the calls of its client wait for their turn."""

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
            finished(made.ticket.ended(tokens_in(made.answer)))
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
            await made.ticket.ended(tokens_in(made.answer))
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
        yield from relayed(made, Look())

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
        async with aclosing(relayed_async(made, Look[GenerationChunk]())) as chunks:
            async for chunk in chunks:
                yield chunk

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


def _joined(results: list[LLMResult]) -> LLMResult:
    """Return the answers of several turns as those of one call."""
    if len(results) == 1:
        return results[0]
    answers = [some for each in results for some in each.generations]
    return LLMResult(generations=answers)
