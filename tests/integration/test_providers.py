"""Models of a real provider's client, over HTTP, against a server that follows a script."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import Runtime

from interlock.core.context import Context, Ports
from interlock.core.models import ChatModels
from interlock.core.structured import ask
from interlock.core.transient import is_fatal, is_transient
from interlock.core.usage import ModelCall, UsageRecorder
from interlock.errors import ModelFailed, OutputInvalid
from tests.openai_server import (
    Answer,
    Calls,
    Fails,
    Hangs,
    OpenAIServer,
    Says,
    Sends,
)
from tests.unit.test_structured import BERN, WHOLE, City, CityRequest

MODEL = "openai:test-model"
QUESTION = ("user", "The capital of Switzerland?")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@contextmanager
def serving(*script: Answer) -> Iterator[OpenAIServer]:
    """A server whose script must be used up, and not more."""
    with OpenAIServer(*script) as server:
        yield server
        assert server.left == 0
        assert len(server.requests) == len(script)


def models(server: OpenAIServer, **options: Any) -> ChatModels:  # fields of ChatModels
    return ChatModels(base_url=server.base_url, **{"timeout": 20.0, **options})


def model(server: OpenAIServer, name: str = MODEL, **options: Any) -> BaseChatModel:  # as above
    return models(server, **options).model(name)


async def asked(server: OpenAIServer, name: str = MODEL, **options: Any) -> City:  # as above
    ports = Ports(models=models(server, **options))
    runtime: Runtime[Context] = Runtime(context=Context(model=name, ports=ports))
    return await ask(runtime, CityRequest(country="Switzerland"), City)


class Book:
    """Where calls are written down."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []
        self.config: Any = {"callbacks": [UsageRecorder(self.write)]}  # a RunnableConfig

    async def write(self, call: ModelCall) -> None:
        self.calls.append(call)

    @property
    def tokens(self) -> list[tuple[str, int, int]]:
        return [(call.model, call.input_tokens, call.output_tokens) for call in self.calls]


# --- the client: no key, patience, retries ---


async def test_a_server_of_ones_own_is_asked_without_a_key() -> None:
    """The request carries the model's name and the question, and no key of anybody."""
    with serving(Says(text="Bern")) as server:
        answer = await model(server, temperature=0.5).ainvoke("The capital?")
        (request,) = server.requests

    assert answer.text == "Bern"
    assert (request.path, request.body["model"]) == ("/v1/chat/completions", "test-model")
    assert request.messages == [("user", "The capital?")]
    assert request.body["temperature"] == 0.5
    assert request.headers["authorization"] == "Bearer none"


async def test_a_key_that_is_set_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway with an address of its own gets the key."""
    monkeypatch.setenv("OPENAI_API_KEY", "tulip-forty-two")
    with serving(Says(text="Bern")) as server:
        await model(server).ainvoke("The capital?")

    assert server.requests[0].headers["authorization"] == "Bearer tulip-forty-two"


async def test_synchronous_code_is_served_too() -> None:
    """A model answers `invoke` as it answers `ainvoke`."""
    with serving(Says(text="Bern")) as server:
        assert model(server).invoke("The capital?").text == "Bern"


@pytest.mark.parametrize("headers", [{"retry-after": "0.3"}, {"retry-after-ms": "300"}])
async def test_retry_after_is_honoured(headers: dict[str, str]) -> None:
    """After 429 the client waits as long as the server says, no less, and not its own back-off."""
    with serving(Fails(status=429, headers=headers), Says(text="Bern")) as server:
        await model(server).ainvoke("The capital?")

    assert 0.3 <= server.pauses[0] < 0.37


async def test_a_fault_of_the_server_is_retried() -> None:
    """Errors of the 500s and dropped answers are tried again until one succeeds."""
    answers: list[Answer] = [
        Fails(status=500, headers={"retry-after-ms": "10"}),
        Fails(status=503, headers={"retry-after-ms": "10"}),
        Sends(body=b'{"id": "chatcmpl-1", "choi', promised=500),
        Says(text="Bern"),
    ]
    with serving(*answers) as server:
        assert (await model(server).ainvoke("The capital?")).text == "Bern"


@pytest.mark.parametrize("status", [429, 500])
async def test_a_fault_that_stays_is_told(status: int) -> None:
    """After the last retry the error names model and reason, and says that it may pass."""
    fault = Fails(status=status, message="too much to do", headers={"retry-after-ms": "10"})
    with serving(fault, fault, fault) as server, pytest.raises(ModelFailed) as caught:
        await asked(server, max_retries=2)

    assert str(caught.value).startswith(f"openai:test-model failed: Error code: {status}")
    assert "too much to do" in str(caught.value)
    assert caught.value.status_code == status
    assert (is_transient(caught.value), is_fatal(caught.value)) == (True, False)


async def test_a_server_that_hangs_is_given_up() -> None:
    """The timeout counts for each attempt; then the error says what can be set."""
    with serving(Hangs(), Hangs()) as server, pytest.raises(ModelFailed) as caught:
        await asked(server, timeout=0.3, max_retries=1)

    assert 0.3 <= server.pauses[0] < 1.5
    assert "Request timed out." in str(caught.value)
    assert "INTERLOCK_MODEL_TIMEOUT" in caught.value.hint
    assert is_transient(caught.value)


async def test_nobody_there() -> None:
    """A refused connection is told with where to look."""
    with OpenAIServer() as gone:
        pass
    with pytest.raises(ModelFailed) as caught:
        await asked(gone, max_retries=0)

    assert str(caught.value) == (
        "openai:test-model failed: Connection error."
        " Check that the server runs, INTERLOCK_BASE_URL if one is set, and INTERLOCK_MODEL_TIMEOUT."
    )
    assert is_transient(caught.value)


@pytest.mark.parametrize(
    ("status", "message", "hint"),
    [
        (401, "who are you", "Check the key in OPENAI_API_KEY."),
        (403, "not you", "This key may not use this model."),
        (404, "no such model", "Check the model's name, and INTERLOCK_BASE_URL if one is set."),
    ],
)
async def test_a_refusal_of_the_provider_is_not_repeated(
    status: int, message: str, hint: str
) -> None:
    """What only a person can mend is asked once, and says what to mend."""
    with (
        serving(Fails(status=status, message=message)) as server,
        pytest.raises(ModelFailed) as caught,
    ):
        await asked(server)

    assert message in str(caught.value)
    assert caught.value.hint == hint
    assert (is_transient(caught.value), is_fatal(caught.value)) == (False, True)


async def test_no_credit_is_not_transient() -> None:
    """A 429 that says that the money is gone is nothing to wait for."""
    broke = Fails(status=429, message="You exceeded your quota", code="insufficient_quota")
    with serving(broke) as server, pytest.raises(ModelFailed) as caught:
        await asked(server, max_retries=0)

    assert caught.value.hint == "The account has no credit left."
    assert not is_transient(caught.value)


# --- keys stay secret ---


@pytest.mark.parametrize("key", ["sk-proj-Abc123Def456Ghi789", "tulip-forty-two"])
async def test_a_key_is_in_no_error_and_no_log(
    key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider that repeats the key in its refusal does not make us repeat it."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    refusal = Fails(status=401, message=f"Incorrect API key provided: {key}. Find yours online.")
    with (
        caplog.at_level(logging.DEBUG),
        serving(refusal) as server,
        pytest.raises(ModelFailed) as caught,
    ):
        await asked(server)

    assert "Incorrect API key provided: [key]" in str(caught.value)
    assert key not in "".join(traceback.format_exception(caught.value))
    assert key not in caplog.text
    assert key not in repr(models(server)) + repr(model(server))


# --- garbage ---


@pytest.mark.parametrize(
    "answer",
    [
        Sends(body=b"\xff\xfe\x00 nonsense"),
        Sends(body=b"<html>Welcome to nginx!</html>", content_type="text/html"),
        Sends(body=b'{"id": "chatcmpl-1", "choices": [{"mess'),
        Sends(body=b'{"hello": "world"}'),
        Sends(body=b"[1, 2, 3]"),
        Sends(body=b""),
    ],
    ids=["bytes", "html", "truncated", "another object", "a list", "nothing"],
)
async def test_garbage_is_told_as_garbage(answer: Sends) -> None:
    """An answer that is no answer is not repaired: the address is most likely wrong."""
    with serving(answer) as server, pytest.raises(ModelFailed) as caught:
        await asked(server)

    assert str(caught.value).startswith(
        "openai:test-model answered with something that is not OpenAI's protocol or JSON: "
    )
    assert caught.value.hint == (
        "Check the address (INTERLOCK_BASE_URL): for most servers it ends in /v1."
    )
    assert is_fatal(caught.value)


# --- typed answers ---


async def test_a_schema_is_asked_for_strictly() -> None:
    """A model of today gets the schema as `response_format`, strict, and no tools."""
    with serving(Says(text=WHOLE)) as server:
        assert await asked(server) == BERN
        body = server.requests[0].body

    assert "tools" not in body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "City",
            "description": "A city.",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "As its people write it."},
                    "people": {"type": "integer", "minimum": 0},
                },
                "required": ["name", "people"],
                "additionalProperties": False,
            },
        },
    }


async def test_an_old_model_is_asked_by_a_tool() -> None:
    """A model from before structured outputs is made to call a tool, and its arguments are the answer."""
    with serving(Calls(name="City", arguments=WHOLE)) as server:
        assert await asked(server, "openai:gpt-4") == BERN
        body = server.requests[0].body

    assert "response_format" not in body
    assert body["tool_choice"] == {"type": "function", "function": {"name": "City"}}


async def test_a_bad_answer_goes_back_with_its_fault() -> None:
    """The next request holds the answer as it was given, and what is wrong with it."""
    with serving(Says(text='{"name": "Bern"}'), Says(text=WHOLE)) as server:
        assert await asked(server) == BERN
        first, second = server.requests

    assert first.messages == [QUESTION]
    assert second.messages[:2] == [QUESTION, ("assistant", '{"name": "Bern"}')]
    assert second.messages[2][0] == "user"
    assert second.messages[2][1].startswith(
        "That answer was not accepted: people: Field required\nAnswer again"
    )
    assert second.body["response_format"] == first.body["response_format"]


async def test_a_bad_call_goes_back_as_the_tools_result() -> None:
    """A call's fault is its result, or the provider would refuse the conversation."""
    bad = Calls(name="City", arguments='{"name": "Bern"}')
    with serving(bad, Calls(name="City", arguments=WHOLE)) as server:
        assert await asked(server, "openai:gpt-4") == BERN
        _, said, result = server.requests[1].body["messages"]

    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"name": "Bern"}
    assert (result["role"], result["tool_call_id"]) == ("tool", said["tool_calls"][0]["id"])
    assert result["content"].startswith("That answer was not accepted: people: Field required")


async def test_a_call_with_broken_arguments_goes_back_as_text() -> None:
    """Arguments that are no JSON cannot be sent as a call again; they are quoted."""
    bad = Calls(name="City", arguments='{"name": "Bern", "peo')
    with serving(bad, Calls(name="City", arguments=WHOLE)) as server:
        assert await asked(server, "openai:gpt-4") == BERN

    assert server.requests[1].messages[1] == ("assistant", '{"name": "Bern", "peo')
    assert "the call's arguments are not JSON" in server.requests[1].messages[2][1]


@pytest.mark.parametrize("finish", ["stop", "length"])
async def test_an_answer_that_was_cut_off_is_not_completed(finish: Any) -> None:
    """JSON that ends in the middle goes back, also where a lenient parser would accept what there is."""
    cut = Says(text='{"name": "Bern", "people": 134', finish=finish)
    with serving(cut, Says(text=WHOLE)) as server:
        assert await asked(server) == BERN

    fault = {"stop": "Invalid JSON", "length": "cut off at the length limit"}[finish]
    assert fault in server.requests[1].messages[2][1]


async def test_four_bad_answers_are_enough() -> None:
    """After three repairs the error says what did not fit."""
    with (
        serving(*[Says(text="Bern, I think")] * 4) as server,
        pytest.raises(OutputInvalid) as caught,
    ):
        await asked(server)

    assert str(caught.value).startswith(
        "The answer of openai:test-model to test/city did not fit City after 3 repairs: answer: Invalid JSON"
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Says(text=None, refusal="I do not talk about capitals."), "I do not talk about capitals."),
        (Says(text="", finish="content_filter"), "its content filter stepped in"),
    ],
)
async def test_a_refusal_is_told(answer: Says, reason: str) -> None:
    """A model that will not answer is not asked again; the error quotes it."""
    with serving(answer) as server, pytest.raises(OutputInvalid) as caught:
        await asked(server)

    assert str(caught.value).startswith(f"openai:test-model refused to answer test/city: {reason}")


async def test_a_server_that_knows_no_schemas_is_asked_in_words() -> None:
    """A server that refuses `response_format` gets the schema as text."""
    refusal = Fails(status=400, message="'response_format.type' must be 'json_object' or 'text'")
    with serving(refusal, Says(text=f"Sure!\n```json\n{WHOLE}\n```")) as server:
        assert await asked(server) == BERN
        second = server.requests[1]

    assert "response_format" not in second.body
    assert re.search(
        r'^Answer with one JSON object and nothing else\.\nIts JSON Schema: \{.*"people"',
        second.messages[1][1],
    )


async def test_another_bad_request_is_told() -> None:
    """Any other 400 is the request's own fault: told once, and no reason to stop the whole run."""
    too_long = Fails(status=400, message="maximum context length is 8192 tokens")
    with serving(too_long) as server, pytest.raises(ModelFailed) as caught:
        await asked(server)

    assert "maximum context length" in str(caught.value)
    assert (is_transient(caught.value), is_fatal(caught.value)) == (False, False)


# --- usage ---


async def test_a_plain_call_is_counted() -> None:
    """Tokens and the model's name come from the answer and the request."""
    book = Book()
    with serving(Says(text="Bern", usage=(21, 3))) as server:
        await model(server).ainvoke("The capital?", book.config)

    assert book.tokens == [("openai:test-model", 21, 3)]


async def test_a_streamed_call_is_counted() -> None:
    """Usage is asked for in a stream, also at an address of one's own, and arrives in its last piece."""
    book = Book()
    with serving(Says(text="Bern, on the Aare", usage=(21, 3))) as server:
        pieces = [piece.text async for piece in model(server).astream("The capital?", book.config)]

    assert "".join(pieces) == "Bern, on the Aare"
    assert sum(map(bool, pieces)) > 1
    assert server.requests[0].body["stream_options"] == {"include_usage": True}
    assert book.tokens == [("openai:test-model", 21, 3)]


async def test_streamed_tool_calls_arrive_whole() -> None:
    """The pieces of a call's arguments are put together."""
    book = Book()
    with serving(Calls(name="City", arguments=WHOLE, usage=(21, 3))) as server:
        bound = model(server).bind_tools([City])
        pieces = [piece async for piece in bound.astream("The capital?", book.config)]
    chunks = [piece for piece in pieces if isinstance(piece, AIMessageChunk)]
    arguments = [call["args"] or "" for chunk in chunks for call in chunk.tool_call_chunks]

    assert json.loads("".join(arguments)) == {"name": "Bern", "people": 134_000}
    assert len(arguments) > 1
    assert book.tokens == [("openai:test-model", 21, 3)]


async def test_a_typed_answer_is_counted_once_when_streamed() -> None:
    """A consumer of messages makes LangChain stream the call; it is counted once all the same."""
    book = Book()
    with serving(Says(text=WHOLE, usage=(21, 3))) as server:
        bound = model(server).with_structured_output(City.model_json_schema(), include_raw=True)
        async for _ in bound.astream("The capital?", book.config):
            pass

    assert server.requests[0].body["stream"] is True
    assert book.tokens == [("openai:test-model", 21, 3)]


async def test_every_repair_is_counted_and_no_retry() -> None:
    """A bad answer was paid for, also one that the client threw away; an error of the server was not."""
    answers: list[Answer] = [
        Fails(status=500, headers={"retry-after-ms": "10"}),
        Says(text='{"name": "Bern"}', usage=(10, 1)),
        Says(text='{"name": "Be', finish="length", usage=(20, 2)),
        Says(text=WHOLE, usage=(30, 3)),
    ]
    book = Book()
    with serving(*answers) as server, book_everything(book):
        assert await asked(server) == BERN

    assert [each[1:] for each in book.tokens] == [(10, 1), (20, 2), (30, 3)]


async def test_a_known_model_has_a_cost() -> None:
    """Tokens times the price of the table, in dollars."""
    book = Book()
    with serving(Says(text="Bern", usage=(1_000_000, 100_000))) as server:
        await model(server, "openai:gpt-4o-mini").ainvoke("The capital?", book.config)

    assert book.calls[0].cost == pytest.approx(0.15 + 0.06)


@contextmanager
def book_everything(book: Book) -> Iterator[None]:
    """Count all calls in this block, as a run's callbacks do."""
    token = var_child_runnable_config.set(book.config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
