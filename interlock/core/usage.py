"""What model calls take: counted by a callback, in any node and subgraph, without the node's help."""

from __future__ import annotations

import asyncio
import re
import time
import tomllib
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

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

    def __init__(self, record: Callable[[ModelCall], Coroutine[Any, Any, None]]) -> None:
        self._record = record
        self._loop = _running_loop()
        self._late: list[Future[None]] = []
        self._started: dict[UUID, tuple[float, Mapping[str, Any]]] = {}  # LangChain's metadata

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
        if not isinstance(_generation(response), RecordedGeneration):
            call = self._call(_tokens(response), metadata, time.monotonic() - began)
            await self._written(call)

    async def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Record a call whose answer the client threw away; forget one that had no answer: it cost nothing."""
        began, metadata = self._started.pop(run_id, (time.monotonic(), {}))
        if tokens := _thrown_away(error):
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
        self, tokens: tuple[int, int] | None, metadata: Mapping[str, Any], seconds: float
    ) -> ModelCall:
        asked, said = tokens or (0, 0)
        provider, name = (
            str(metadata.get("ls_provider", "")),
            str(metadata.get("ls_model_name", "")),
        )
        model = name if name.startswith(f"{provider}:") else f"{provider}:{name}"
        return ModelCall(
            task_id=root_task(str(metadata.get("langgraph_checkpoint_ns", ""))),
            node=str(metadata.get("langgraph_node", "")),
            model=model,
            input_tokens=asked,
            output_tokens=said,
            cost=cost(model, asked, said) if tokens or model.startswith("offline:") else None,
            seconds=seconds,
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def root_task(checkpoint_ns: str) -> str:
    """Return the task of the root graph that a checkpoint namespace (`node:task|node:task`) lies in."""
    return checkpoint_ns.partition("|")[0].partition(":")[2]


def cost(model: str, input_tokens: int, output_tokens: int) -> float | None:
    """Return US dollars by the price table; None where the model is not in it."""
    if model.startswith("offline:"):
        return 0.0
    price = prices().get(model) or prices().get(_without_date(model))
    if price is None:
        return None
    return (input_tokens * price["input"] + output_tokens * price["output"]) / 1_000_000


@cache
def prices() -> Mapping[str, Mapping[str, float]]:
    """Return US dollars per million tokens, by model; the table's date and sources stand in prices.toml."""
    text = (resources.files("interlock.core") / "prices.toml").read_text(encoding="utf-8")
    models: Mapping[str, Mapping[str, float]] = tomllib.loads(text)["models"]
    return models


def _without_date(model: str) -> str:
    return _DATE.sub("", model)


_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
"""How providers name a release of a model; each has the price of its model."""


def _tokens(response: LLMResult) -> tuple[int, int] | None:
    """Return tokens in and out; None where the server did not say."""
    generation = _generation(response)
    message = generation.message if isinstance(generation, ChatGeneration) else None
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    return (usage["input_tokens"], usage["output_tokens"]) if usage else None


def _generation(response: LLMResult) -> Generation | None:
    return response.generations[0][0] if response.generations and response.generations[0] else None


def _thrown_away(error: BaseException) -> tuple[int, int] | None:
    """Return the tokens of an answer that OpenAI's client turned into an error: it was cut off, or filtered."""
    usage = getattr(getattr(error, "completion", None), "usage", None)
    asked, said = getattr(usage, "prompt_tokens", 0), getattr(usage, "completion_tokens", 0)
    return (asked, said) if asked or said else None
