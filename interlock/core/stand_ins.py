"""What stands in for a model: all is the model's, but the calls of its client, which wait for their turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, Generic, TypeVar

from langchain_core.outputs import LLMResult

from interlock.core.faults import fault_of
from interlock.core.paced import Made, Ticket
from interlock.core.prices import FREE
from interlock.core.recordings import finished
from interlock.core.turns import Where, where_here
from interlock.core.usage import model_of, tokens_of

Chunk = TypeVar("Chunk")
Model = TypeVar("Model")


class StandIn(Generic[Model]):
    """Stands in for a model; what is made of it says how the client's calls wait."""

    def __init__(self, model: Model, name: str, where: Where) -> None:
        self._model = model
        self._name = name
        self._where = where

    def __getattr__(self, name: str) -> Any:  # whatever the model has
        return getattr(self._model, name)

    @classmethod
    def here(cls, model: Any) -> Any:  # a model, and what stands in for it
        """Return what LangChain's methods are called on: the model itself where nothing limits it."""
        where = None if isinstance(model, StandIn) else where_here()
        if where is None:
            return model
        name = model_of(model._get_ls_params())
        return model if name.startswith(FREE) else cls(model, name, where)


class Look(Generic[Chunk]):
    """Looks at the pieces of a stream that pass by.

    Attributes:
        tokens: what it took, as far as the pieces have told; None where they have not.
    """

    tokens: int | None = None

    def seen(self, chunk: Chunk) -> Chunk:
        """Return a piece as it goes on."""
        return chunk


def relayed(
    made: Made[tuple[Iterator[Chunk], Chunk | None]], look: Look[Chunk]
) -> Generator[Chunk]:
    """Yield a stream that has begun, and note how it ended."""
    chunks, chunk = made.answer
    try:
        while chunk is not None:
            yield look.seen(chunk)
            chunk = next(chunks, None)
    except BaseException as error:
        finished(_broke(made.ticket, error))
        raise
    finished(made.ticket.ended(look.tokens))


async def relayed_async(
    made: Made[tuple[AsyncIterator[Chunk], Chunk | None]], look: Look[Chunk]
) -> AsyncGenerator[Chunk]:
    """Do the same from asynchronous code."""
    chunks, chunk = made.answer
    try:
        while chunk is not None:
            yield look.seen(chunk)
            chunk = await anext(chunks, None)
    except BaseException as error:
        await _broke(made.ticket, error)
        raise
    await made.ticket.ended(look.tokens)


def tokens_in(result: LLMResult) -> int | None:
    """Return how many tokens a call took; None where its answer does not say."""
    told = tokens_of(result)
    return told.input + told.output if told else None


async def _broke(ticket: Ticket, error: BaseException) -> None:
    if isinstance(error, Exception):
        await ticket.failed(fault_of(error))
    else:
        await ticket.broken_off()
