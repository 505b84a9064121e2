"""A graph with something in its state, its messages, a model's answer and a blob that nobody else may read."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from interlock.core.blobs import BlobRef, read
from interlock.core.context import Context


class State(TypedDict, total=False):
    """What is kept."""

    word: str
    letters: list[str]
    number: int
    messages: Annotated[list[AnyMessage], add_messages]
    blob: BlobRef
    seen: str


class Oracle(BaseChatModel):
    """A model that says what it was asked."""

    @property
    def _llm_type(self) -> str:
        return "oracle"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        message = AIMessage(f"You said {messages[-1].text}")
        return ChatResult(generations=[ChatGeneration(message=message)])


async def think(state: State, runtime: Runtime[Context]) -> State:
    """Put the word everywhere."""
    word = state["word"]
    answer = await Oracle().ainvoke(word)
    blob = await runtime.context.ports.blobs.put(word.encode() * 9)
    return {"messages": [answer], "letters": [word] * 9, "number": 4711_0815, "blob": blob}


async def wait(state: State, runtime: Runtime[Context]) -> State:
    """Ask, and read it all again."""
    interrupt("Go on?")
    bare = await read(runtime.context.ports.blobs, state["blob"])
    said = state["messages"][-1].text
    return {"seen": f"{bare.decode()[: len(state['word'])]} {said} {len(state['letters'])}"}


builder = StateGraph(State, context_schema=Context)
builder.add_node("think", think)
builder.add_node("wait", wait)
builder.add_edge(START, "think")
builder.add_edge("think", "wait")
graph = builder.compile(name="vault")
