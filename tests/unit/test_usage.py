"""What model calls take: tokens, money, and where they were made."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from interlock.core.offline import OfflineModel, rule
from interlock.core.prices import Tokens, builtin
from interlock.core.usage import ModelCall, UsageRecorder, root_task
from interlock.testing import ScriptedModel, Turn
from tests.unit.test_structured import BERN, City, CityRequest


class Talk(TypedDict):
    """What was said."""

    said: Annotated[list[str], operator.add]


class Counting(BaseChatModel):
    """Says what it cost; a model of another provider, under its own name."""

    provider: str = "openai"
    model_name: str = "gpt-5-mini-2025-08-07"
    usage: tuple[int, int] | None = (1000, 200)

    @property
    def _llm_type(self) -> str:
        return "counting"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": self.model_name}

    def _generate(self, *_: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("only asynchronous calls are made")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = AIMessage("hello")
        if self.usage:
            asked, said = self.usage
            message.usage_metadata = {
                "input_tokens": asked,
                "output_tokens": said,
                "total_tokens": asked + said,
            }
        return ChatResult(generations=[ChatGeneration(message=message)])


@rule(CityRequest, City)
def the_capital(request: CityRequest) -> City:
    return BERN


class Book:
    """Where calls are written down."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []
        self.recorder = UsageRecorder(self.write)

    async def write(self, call: ModelCall) -> None:
        self.calls.append(call)

    @property
    def figures(self) -> list[tuple[str, int, int, float | None]]:
        return [(c.model, c.input_tokens, c.output_tokens, c.cost) for c in self.calls]


@pytest.fixture
def book() -> Book:
    return Book()


async def test_a_call_is_written_down_with_its_cost(book: Book) -> None:
    """Tokens are multiplied by the price of the model, whose date does not matter."""
    await Counting().ainvoke("hi", {"callbacks": [book.recorder]})

    assert book.figures == [("openai:gpt-5-mini-2025-08-07", 1000, 200, 0.00065)]


async def test_a_model_without_a_price_has_no_cost(book: Book) -> None:
    """An unknown price is not nought."""
    await Counting(model_name="llama").ainvoke("hi", {"callbacks": [book.recorder]})

    assert book.figures == [("openai:llama", 1000, 200, None)]


async def test_a_server_that_does_not_count_is_recorded_without_tokens(book: Book) -> None:
    """A call without usage is still a call, and what it cost is not known."""
    await Counting(usage=None).ainvoke("hi", {"callbacks": [book.recorder]})

    assert book.figures == [("openai:gpt-5-mini-2025-08-07", 0, 0, None)]


async def test_rules_cost_nothing(book: Book) -> None:
    """The offline model is named as what it is, and is free."""
    request = CityRequest(country="Switzerland")
    await OfflineModel().ainvoke("hi", {"callbacks": [book.recorder]}, request=request, reply=City)

    assert book.figures == [("offline:extractive", 0, 0, 0.0)]


async def test_a_call_that_failed_is_not_counted(book: Book) -> None:
    """A call without an answer cost nothing; the one after it is counted alone."""
    model = ScriptedModel.of(Turn(reply=ConnectionError("gone")), Turn(reply="hello"))
    with pytest.raises(ConnectionError):
        await model.ainvoke("hi", {"callbacks": [book.recorder]})
    await model.ainvoke("hi", {"callbacks": [book.recorder]})

    assert len(book.calls) == 1


async def test_a_failure_to_record_fails_the_call() -> None:
    """Nothing goes uncounted: when the book cannot be written, the call fails."""

    async def lost(call: ModelCall) -> None:
        raise OSError("the book is gone")

    with pytest.raises(OSError, match="the book is gone"):
        await Counting().ainvoke("hi", {"callbacks": [UsageRecorder(lost)]})


async def test_a_call_in_a_subgraph_belongs_to_the_root_graphs_task(book: Book) -> None:
    """Calls name the node that made them, and the task of the thread's own graph."""

    async def speak(state: Talk) -> Talk:
        return {"said": [(await Counting().ainvoke("hi")).text]}

    inner = StateGraph(Talk).add_node("speak", speak)
    inner.add_edge(START, "speak").add_edge("speak", END)
    outer = StateGraph(Talk).add_node("team", inner.compile()).add_node("lone", speak)
    outer.add_edge(START, "team").add_edge("team", "lone").add_edge("lone", END)
    tasks = {}
    async for part in outer.compile().astream(
        {"said": []}, {"callbacks": [book.recorder]}, stream_mode="tasks"
    ):
        tasks[part["name"]] = part["id"]

    assert [(call.node, call.task_id) for call in book.calls] == [
        ("speak", tasks["team"]),
        ("lone", tasks["lone"]),
    ]


def test_the_root_task_is_the_first_of_the_path() -> None:
    """A checkpoint namespace names nodes and tasks from the outside to the inside."""
    assert [root_task(each) for each in ("team:1|speak:2|x:3", "lone:9", "")] == ["1", "9", ""]


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("openai:gpt-4o", 2.5 + 10.0),
        ("openai:gpt-4o-2024-08-06", 2.5 + 10.0),
        ("anthropic:claude-sonnet-4-5-20250929", 3.0 + 15.0),
        ("openai:gpt-4o-audio", None),
        ("azure_openai:gpt-4o", None),
        ("offline:extractive", 0.0),
    ],
)
def test_a_million_tokens_each_way(model: str, dollars: float | None) -> None:
    """A price is looked up by the whole name, with or without a date; a name that only begins alike has none."""
    tokens = Tokens(input=1_000_000, output=1_000_000)

    assert builtin().cost(model, tokens) == dollars
