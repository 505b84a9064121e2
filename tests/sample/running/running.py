"""A graph of twelve steps that act, ask a model, block their process and compute; each step is noted outside.

Whoever starts a worker for it names a folder (`RUNNING_FOLDER`) in which each beginning of a step becomes a line, and
the recorder of the effects (`CHAOS_RECORDER`).
"""

from __future__ import annotations

import asyncio
import operator
import os
import time
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import Action, Happened, action
from tests.chaos import client
from tests.chaos.steps import FOLDER, STEPS, note

THINKING = (0.1, 0.7)
"""Seconds that the model takes: at least, and at most."""

SLOWLY = "slowly"
"""What the names of runs begin with about whose questions the model thinks for long."""

BLOCKING = 0.05


class Work(TypedDict, total=False):
    """What the run is called, which acts it does, and what each step brought.

    `acts` is `keyed` where the world must not act twice although a process that is taken for dead may still act:
    nothing but an idempotency key prevents that. With `all`, some acts have a probe, and some nothing.
    """

    name: str
    acts: Literal["keyed", "all"]
    steps: Annotated[list[str], operator.add]


def seconds(asked: str) -> float:
    """Return how long the model thinks about a question: always the same."""
    if asked.startswith(SLOWLY):
        return 4
    least, most = THINKING
    return least + (most - least) * (zlib.crc32(asked.encode()) % 97) / 97


class Slow(BaseChatModel):
    """A model that answers each question with the question, after a while; each request is noted outside."""

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        raise NotImplementedError("it is only called asynchronously")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        asked = messages[-1].text
        await asyncio.sleep(seconds(asked))
        answer = AIMessage(content=f"thought about {asked}")
        return ChatResult(generations=[ChatGeneration(message=answer)])


MODEL = Slow()


@action(name="send_keyed", touches="the recorder")
async def keyed(item: str, idempotency_key: str) -> str:
    """Have an effect once for each key."""
    return await client.ado("keyed", item, idempotency_key)


async def _look(key: str) -> Happened[str] | None:
    found = await client.aprobe("send_probed", key)
    return None if found is None else Happened(found)


@action(name="send_probed", touches="the recorder", probe=_look)
async def probed(item: str, idempotency_key: str) -> str:
    """Have an effect, and leave the key where it can be found."""
    return await client.ado("probed", item, idempotency_key)


@action(name="send_plain", touches="the recorder")
async def plain(item: str) -> str:
    """Have an effect, and tell nobody about it."""
    return await client.ado("plain", item)


def done(state: Work, step: int, what: str) -> Work:
    """Return what a step brought."""
    return {"steps": [f"{step}: {what.removeprefix(state['name'])}"]}


async def think(state: Work, step: int, runtime: Runtime[Any]) -> Work:
    """Ask the model."""
    answer = await MODEL.ainvoke([HumanMessage(f"{state['name']}/{step}")])
    return done(state, step, answer.text.replace(state["name"], ""))


def doing(how: Action[str]) -> Any:  # a step
    """Return a step that acts."""

    async def do(state: Work, step: int, runtime: Runtime[Any]) -> Work:
        chosen = how if state.get("acts") == "all" else keyed
        result = await act(runtime, chosen, item=f"{state['name']}/{step}")
        return done(state, step, result)

    return do


async def block(state: Work, step: int, runtime: Runtime[Any]) -> Work:
    """Keep the whole process from doing anything else for a moment, as careless code does."""
    time.sleep(BLOCKING)  # noqa: ASYNC251  # that is the point
    return done(state, step, "blocked")


async def compute(state: Work, step: int, runtime: Runtime[Any]) -> Work:
    """Compute something small."""
    return done(state, step, str(sum(range(step * 1000))))


KINDS: tuple[Any, ...] = (
    compute,
    think,
    doing(keyed),
    think,
    doing(probed),
    block,
    think,
    doing(plain),
    think,
    doing(keyed),
    compute,
    doing(keyed),
)
ACTING = (3, 5, 8, 10, 12)
"""The steps that have an effect."""


def step_of(number: int) -> Any:  # a node
    """Return a node that notes that it begins, and does its step."""
    kind = KINDS[number - 1]

    async def step(state: Work, runtime: Runtime[Any]) -> Work:
        note(Path(os.environ[FOLDER]), state["name"], number)
        result: Work = await kind(state, number, runtime)
        return result

    return step


def build() -> StateGraph[Work, None, Work, Work]:
    """Return the graph's shape: one step after the other."""
    builder = StateGraph(Work)
    before = START
    for number in range(1, STEPS + 1):
        builder.add_node(f"step_{number}", step_of(number))
        builder.add_edge(before, f"step_{number}")
        before = f"step_{number}"
    builder.add_edge(before, END)
    return builder


graph = build().compile(name="running")
