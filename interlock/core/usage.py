"""What model calls take: counted by a callback, in any node and subgraph, without the node's help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from interlock.core.prices import FREE, PriceTable, Tokens, builtin
from interlock.core.recordings import RecordedGeneration
from interlock.core.runs import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call of a chat model.

    Attributes:
        task_id: LangGraph's id of the task of the thread's own graph in which it was made, also inside subgraphs.
        cost: US dollars; None where no price is known, or the server did not count the tokens.
        seconds: from the request to the whole answer.
    """

    task_id: str
    node: str
    model: str
    input_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float


@runtime_checkable
class Spending(Protocol):
    """The port: what the model calls of a thread took so far; in Postgres in `interlock.postgres.runs`."""

    async def spent(self, thread_id: str) -> Usage | None:
        """Return the sum of the thread's model calls; None where nobody counts them."""
        ...


class Uncounted:
    """The spending of plain `graph.invoke`: nobody counts it."""

    async def spent(self, thread_id: str) -> Usage | None:
        """Return None."""
        return None


def in_words(usage: Usage | None) -> str:
    """Say in one phrase what model calls took: tokens, and money where the price is known."""
    if usage is None:
        return "tokens and cost were not counted"
    tokens = usage.input_tokens + usage.output_tokens
    if not tokens:
        return "no tokens, no cost"
    money = "cost not known" if usage.cost is None else f"${usage.cost:,.4f}"
    return f"{tokens:,} tokens in {usage.calls} calls, {money}"


class UsageRecorder(AsyncCallbackHandler):
    """Hand each finished model call to a function; a failure to record fails the call: nothing goes uncounted.

    The function runs on the event loop on which this was made. A call of synchronous code, which may hold up that
    loop, is recorded behind it, at the latest when its node ends; then a failure fails the node.
    """

    raise_error = True
    run_inline = True

    def __init__(
        self,
        record: Callable[[ModelCall], Coroutine[Any, Any, None]],
        prices: PriceTable | None = None,
    ) -> None:
        self._record = record
        self._prices = prices or builtin()
        self._loop = _running_loop()
        self._late: list[Future[None]] = []
        self._started: dict[UUID, tuple[float, Mapping[str, Any]]] = {}  # LangChain's metadata

    @property
    def ignore_chain(self) -> bool:
        """Whether it need not be told of nodes: nothing is left to be recorded when they end."""
        return not self._late

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> None:
        """Note when the call began, and where."""
        self._started[run_id] = (time.monotonic(), metadata or {})

    async def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Record what the call took, unless it was answered from a record."""
        began, metadata = self._started.pop(run_id, (time.monotonic(), {}))
        if not was_recorded(response):
            seconds, by = time.monotonic() - began, answered_by(response)
            await self._written(self._call(tokens_of(response), metadata, seconds, by))

    async def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Record a call whose answer the client threw away; forget one that had no answer: it cost nothing."""
        began, metadata = self._started.pop(run_id, (time.monotonic(), {}))
        if tokens := thrown_away(error):
            await self._written(self._call(tokens, metadata, time.monotonic() - began))

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:  # LangChain's signature
        """Wait for what synchronous code left to be recorded."""
        await self._settled()

    async def on_chain_error(
        self, error: BaseException, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Wait for what synchronous code left to be recorded."""
        await self._settled()

    async def _written(self, call: ModelCall) -> None:
        if self._loop in (None, _running_loop()):
            await self._record(call)
        elif (
            self._loop is not None
        ):  # it may stand still until this returns, so nobody waits for it here
            self._late.append(asyncio.run_coroutine_threadsafe(self._record(call), self._loop))

    async def _settled(self) -> None:
        while self._late and self._loop is _running_loop():
            await asyncio.wrap_future(self._late.pop())

    def _call(
        self, tokens: Tokens | None, metadata: Mapping[str, Any], seconds: float, by: str = ""
    ) -> ModelCall:
        used, model = tokens or Tokens(), by or model_of(metadata)
        known = tokens is not None or model.startswith(FREE)
        return ModelCall(
            task_id=root_task(str(metadata.get("langgraph_checkpoint_ns", ""))),
            node=str(metadata.get("langgraph_node", "")),
            model=model,
            input_tokens=used.input,
            output_tokens=used.output,
            cost=self._prices.cost(model, used) if known else None,
            seconds=seconds,
        )


def answered_by(response: LLMResult) -> str:
    """Return the model that answered in another's place; empty where the one that was asked did."""
    first = _first(response)
    message = first.message if isinstance(first, ChatGeneration) else None
    return str(message.response_metadata.get(ANSWERED_BY, "")) if message else ""


ANSWERED_BY = "interlock_answered_by"
"""Under which an answer's metadata names the model that gave it in another's place."""


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def root_task(checkpoint_ns: str) -> str:
    """Return the task of the root graph that a checkpoint namespace (`node:task|node:task`) lies in."""
    return checkpoint_ns.partition("|")[0].partition(":")[2]


def model_of(metadata: Mapping[str, Any]) -> str:  # LangChain's
    """Return the name of the model that a callback tells of, as `provider:name`."""
    provider, name = str(metadata.get("ls_provider", "")), str(metadata.get("ls_model_name", ""))
    return name if name.startswith(f"{provider}:") else f"{provider}:{name}"


def was_recorded(response: LLMResult) -> bool:
    """Say whether an answer came from a record, or from an application's cache: nobody pays for it now."""
    first = _first(response)
    message = first.message if isinstance(first, ChatGeneration) else None
    usage: Mapping[str, Any] = getattr(message, "usage_metadata", None) or {}
    return isinstance(first, RecordedGeneration) or usage.get("total_cost") == 0  # LangChain's mark


def tokens_of(response: LLMResult) -> Tokens | None:
    """Return what a provider says that a call took; None where it does not say."""
    told = [usage for each in _all(response) if (usage := _told(each)) is not None]
    if not told:
        return _in_total(response)
    # Of several answers to one prompt each carries the whole, or each its part.
    if all(each == told[0] for each in told):
        return told[0]
    return Tokens(
        input=max(each.input for each in told),
        output=sum(each.output for each in told),
        cached=max(each.cached for each in told),
        written=max(each.written for each in told),
    )


def thrown_away(error: BaseException) -> Tokens | None:
    """Return the tokens of an answer that OpenAI's client turned into an error: it was cut off, or filtered."""
    usage = getattr(getattr(error, "completion", None), "usage", None)
    asked, said = getattr(usage, "prompt_tokens", 0), getattr(usage, "completion_tokens", 0)
    return Tokens(input=asked, output=said) if asked or said else None


def _told(generation: Generation) -> Tokens | None:
    message = generation.message if isinstance(generation, ChatGeneration) else None
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    if not usage or "input_tokens" not in usage:
        return None
    details: Mapping[str, Any] = usage.get("input_token_details") or {}
    return Tokens(
        input=usage["input_tokens"],
        output=usage["output_tokens"],
        cached=details.get("cache_read") or 0,
        written=_written(details),
    )


def _written(details: Mapping[str, Any]) -> int:
    """Return the tokens that went into the provider's cache: in all, or by how long they stay there."""
    parts = [details.get(f"ephemeral_{stay}_input_tokens") or 0 for stay in ("5m", "1h")]
    return max(details.get("cache_creation") or 0, sum(parts))


def _in_total(response: LLMResult) -> Tokens | None:
    """Return what models of text tell beside their answers; of several prompts the first has the sum."""
    usage = (response.llm_output or {}).get("token_usage")
    if not isinstance(usage, Mapping):
        return None
    return Tokens(input=usage.get("prompt_tokens") or 0, output=usage.get("completion_tokens") or 0)


def _first(response: LLMResult) -> Generation | None:
    return next(iter(_all(response)), None)


def _all(response: LLMResult) -> list[Generation]:
    """Return the answers to one prompt."""
    found = response.generations[0] if response.generations else []
    return list(found)  # chunks of streams are of a class of their own
