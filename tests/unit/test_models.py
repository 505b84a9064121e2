"""Models by name, and what is told when one cannot be built or does not answer."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from interlock.core.models import PROVIDERS, ChatModels, cause_of, failure_of, redacted
from interlock.core.offline import OfflineModel
from interlock.core.transient import is_fatal, is_transient
from interlock.errors import ModelFailed, ModelUnavailable

LOCAL = "http://127.0.0.1:1/v1"


class Answered(Exception):
    """An error of a provider's client, with the status that the provider sent."""

    def __init__(self, status_code: int, message: str = "no", code: str = "") -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code


class APITimeoutError(Exception):
    """Named as the clients of OpenAI and Anthropic name theirs."""


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        monkeypatch.delenv(provider.key or "NONE", raising=False)


def installed(monkeypatch: pytest.MonkeyPatch, *, there: bool) -> None:
    spec = importlib.util.find_spec("json") if there else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_the_same_name_is_the_same_model() -> None:
    """A model is built once."""
    models = ChatModels(base_url=LOCAL)

    assert models.model("openai:test") is models.model("openai:test")


def test_the_offline_model_needs_nothing() -> None:
    """`offline:extractive` is built without a package, a key or an address."""
    assert isinstance(ChatModels().model("offline:extractive"), OfflineModel)


@pytest.mark.parametrize("name", ["gpt-5", "", ":", "openai:", ":gpt-5"])
def test_a_name_without_its_provider_is_refused(name: str) -> None:
    """The error quotes what was written, and shows how to write it."""
    with pytest.raises(ModelUnavailable) as caught:
        ChatModels().model(name)

    assert str(caught.value).startswith(f"{name!r} is not a model name. Write provider:name")


def test_an_unknown_provider_is_refused() -> None:
    """A provider that LangChain does not know is named."""
    with pytest.raises(ModelUnavailable, match="nowhere:model cannot be built"):
        ChatModels().model("nowhere:model")


def test_an_unknown_offline_model_is_refused() -> None:
    """There is one offline model."""
    with pytest.raises(ModelUnavailable, match=r"no offline model 'clever'.*offline:extractive"):
        ChatModels().model("offline:clever")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_missing_package_is_named(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each provider the error says which package to install."""
    installed(monkeypatch, there=False)
    package = {
        "openai": "langchain-openai",
        "anthropic": "langchain-anthropic",
        "google_genai": "langchain-google-genai",
        "mistralai": "langchain-mistralai",
        "groq": "langchain-groq",
        "deepseek": "langchain-deepseek",
        "azure_openai": "langchain-openai",
        "bedrock_converse": "langchain-aws",
        "google_vertexai": "langchain-google-vertexai",
        "ollama": "langchain-ollama",
    }[provider]

    with pytest.raises(ModelUnavailable) as caught:
        ChatModels().model(f"{provider}:any")

    assert str(caught.value) == (
        f"Models of {provider} need the package {package}, which is not installed."
        f" Run: pip install {package}"
    )


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("google_genai", "GOOGLE_API_KEY"),
        ("mistralai", "MISTRAL_API_KEY"),
        ("groq", "GROQ_API_KEY"),
        ("deepseek", "DEEPSEEK_API_KEY"),
        ("azure_openai", "AZURE_OPENAI_API_KEY"),
    ],
)
def test_a_missing_key_is_named(
    provider: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each provider that asks for a key the error says which variable to set, and what needs none."""
    installed(monkeypatch, there=True)

    with pytest.raises(ModelUnavailable) as caught:
        ChatModels().model(f"{provider}:any")

    assert str(caught.value) == (
        f"Models of {provider} need a key, and {variable} is not set."
        f" Run: export {variable}=…  or use --model offline:extractive, which needs none."
    )


def test_a_server_of_ones_own_needs_no_key() -> None:
    """With an address, a model of OpenAI's protocol is built without a key."""
    built: Any = ChatModels(base_url=LOCAL).model("openai:test")  # ChatOpenAI, which is an extra

    assert built.openai_api_key.get_secret_value() == "none"


def test_an_address_replaces_no_other_providers_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of a local server is not Anthropic's: its key is still asked for."""
    installed(monkeypatch, there=True)

    with pytest.raises(ModelUnavailable, match="ANTHROPIC_API_KEY is not set"):
        ChatModels(base_url=LOCAL).model("anthropic:any")


def test_every_provider_is_documented() -> None:
    """docs/models.md names each provider with its package and its key."""
    lines = (Path(__file__).parents[2] / "docs" / "models.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("| `")]
    said = {
        name
        for name, needs in PROVIDERS.items()
        for line in table
        if f"`{name}`" in line and f"`{needs.package}`" in line and needs.key in line
    }

    assert said == PROVIDERS.keys()


def test_an_address_without_a_scheme_is_refused() -> None:
    """The error shows what an address looks like."""
    with pytest.raises(ModelUnavailable, match=r"'localhost:8080/v1' is not.*http://127"):
        ChatModels(base_url="localhost:8080/v1").model("openai:test")


def test_options_reach_the_providers_class() -> None:
    """Patience, temperature and address arrive where the client reads them."""
    models = ChatModels(base_url=LOCAL, timeout=3.5, max_retries=1, temperature=0.25)
    built: Any = models.model("openai:test")  # ChatOpenAI, which is an extra

    assert (built.request_timeout, built.max_retries, built.temperature, built.openai_api_base) == (
        3.5,
        1,
        0.25,
        LOCAL,
    )


@pytest.mark.parametrize(
    ("error", "transient", "fatal"),
    [
        (Answered(429), True, False),
        (Answered(408), True, False),
        (Answered(500), True, False),
        (Answered(503), True, False),
        (APITimeoutError("late"), True, False),
        (ConnectionResetError("gone"), True, False),
        (TimeoutError(), True, False),
        (Answered(400, "too long"), False, False),
        (Answered(401), False, True),
        (Answered(404), False, True),
        (Answered(429, "You exceeded your quota", code="insufficient_quota"), False, True),
        (json.JSONDecodeError("Expecting value", "<html>", 0), False, True),
    ],
)
def test_a_failure_says_whether_to_try_again(
    error: Exception, transient: bool, fatal: bool
) -> None:
    """A failed call is worth another attempt, or the request's own fault, or something for a person."""
    failure = failure_of(error, "openai:test")

    assert isinstance(failure, ModelFailed)
    assert (is_transient(failure), is_fatal(failure)) == (transient, fatal)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            Answered(401, "Who are you?"),
            "openai:test failed: Who are you? Check the key in OPENAI_API_KEY.",
        ),
        (
            Answered(404, "no such model."),
            "openai:test failed: no such model."
            " Check the model's name, and INTERLOCK_BASE_URL if one is set.",
        ),
        (
            ConnectionRefusedError("refused"),
            "openai:test failed: refused."
            " Check that the server runs, INTERLOCK_BASE_URL if one is set, and INTERLOCK_MODEL_TIMEOUT.",
        ),
        (
            AttributeError("'str' object has no attribute 'choices'"),
            "openai:test answered with something that is not OpenAI's protocol or JSON:"
            " 'str' object has no attribute 'choices'."
            " Check the address (INTERLOCK_BASE_URL): for most servers it ends in /v1.",
        ),
    ],
)
def test_a_failure_says_what_to_do(error: Exception, text: str) -> None:
    """The message names the model, what happened, and what a person can do."""
    assert str(failure_of(error, "openai:test")) == text


def test_other_errors_are_not_the_providers() -> None:
    """What has nothing to do with the provider is left as it is."""
    assert failure_of(RuntimeError("a bug of ours"), "openai:test") is None


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefgh12345",
        "sk-ant-REDACTED",
        "sk-abc***xyz",
        "AIzaSyAbCdEfGhIj",
        "gsk_xabcdefghi",
    ],
)
def test_what_looks_like_a_key_is_blotted_out(key: str) -> None:
    """A key is recognised by its beginning, masked or not, with nothing set."""
    assert redacted(f"Incorrect API key provided: {key} (see docs)") == (
        "Incorrect API key provided: [key] (see docs)"
    )


def test_a_key_that_is_set_is_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of any form is known by the variable that holds it."""
    monkeypatch.setenv("MISTRAL_API_KEY", "tulip42")

    assert redacted("key tulip42 is wrong") == "key [key] is wrong"


def test_ordinary_words_are_left_alone() -> None:
    """Text without keys stays as it is."""
    text = "The risk-adjusted, task-oriented model gpt-5 is risk-free; Bearer tokens: none. key-value pairs"

    assert redacted(text) == text


def test_an_error_with_a_key_is_not_chained_to() -> None:
    """A traceback would print the original error: it is left out when it shows a key."""
    innocent, telling = Answered(401, "who?"), Answered(401, "sk-abcdefgh12345 is wrong")
    wrapped = Answered(401, "wrong key")
    wrapped.__cause__ = telling

    assert [cause_of(each) for each in (innocent, telling, wrapped)] == [innocent, None, None]


def test_an_error_that_was_raised_from_itself_is_its_own_cause() -> None:
    """Code that writes `raise error from error` does not make us go round for ever."""
    error = ValueError("no")
    error.__cause__ = error

    assert cause_of(error) is error
