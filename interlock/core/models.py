"""Chat models by name: `provider:name`, built when first used, with errors that say what to install or set."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from langchain_core.language_models import BaseChatModel

from interlock.core.offline import OfflineModel
from interlock.core.transient import is_transient, retry_after, status
from interlock.errors import ModelFailed, ModelUnavailable

EXAMPLES = "openai:gpt-5, anthropic:claude-sonnet-4-5, ollama:llama3.2, offline:extractive"

NO_KEY = "none"
"""Sent as the key to a server of one's own: it asks for none, but the client insists on a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What a provider needs before one of its models can be built.

    Attributes:
        package: the distribution that holds its LangChain class.
        key: the environment variable that holds the key; empty where none is needed.
        whole_seconds: whether its class takes only whole seconds for `timeout`.
        base_url: whether an address given to us is meant for it.
    """

    package: str
    key: str = ""
    whole_seconds: bool = False
    base_url: bool = False


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(package="langchain-openai", key="OPENAI_API_KEY", base_url=True),
    "anthropic": Provider(package="langchain-anthropic", key="ANTHROPIC_API_KEY"),
    "google_genai": Provider(package="langchain-google-genai", key="GOOGLE_API_KEY"),
    "mistralai": Provider(package="langchain-mistralai", key="MISTRAL_API_KEY", whole_seconds=True),
    "groq": Provider(package="langchain-groq", key="GROQ_API_KEY"),
    "deepseek": Provider(package="langchain-deepseek", key="DEEPSEEK_API_KEY"),
    "azure_openai": Provider(package="langchain-openai", key="AZURE_OPENAI_API_KEY"),
    "bedrock_converse": Provider(package="langchain-aws", whole_seconds=True),
    "google_vertexai": Provider(package="langchain-google-vertexai"),
    "ollama": Provider(package="langchain-ollama", base_url=True),
}
"""The providers that are checked before use; any other that `init_chat_model` knows is passed on to it."""


@runtime_checkable
class ModelSource(Protocol):
    """The port: turns a model's name into a chat model."""

    def model(self, name: str) -> BaseChatModel:
        """Return the model, the same object for the same name; raises `ModelUnavailable`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatModels:
    """Builds models with LangChain's `init_chat_model` and keeps them.

    Attributes:
        base_url: address of a server that speaks OpenAI's protocol (llama.cpp, vLLM); for `openai:` models.
        timeout: seconds that one request may take.
        max_retries: how often the provider's client repeats a request after 429 or 5xx, honouring `Retry-After`.
        temperature: sampling temperature; None leaves the provider's default.
        max_tokens: how many tokens an answer may have; None leaves the provider's default.
    """

    base_url: str | None = None
    timeout: float = 120.0
    max_retries: int = 4
    temperature: float | None = None
    max_tokens: int | None = None
    _built: dict[str, BaseChatModel] = field(default_factory=dict, repr=False, compare=False)

    def model(self, name: str) -> BaseChatModel:
        """Return the model, the same object for the same name; raises `ModelUnavailable`."""
        if name not in self._built:
            self._built[name] = self._build(name)
        return self._built[name]

    def _build(self, name: str) -> BaseChatModel:
        provider, separator, model = name.partition(":")
        if not (provider and separator and model):
            raise ModelUnavailable(
                f"{name!r} is not a model name.",
                hint=f"Write provider:name, for example {EXAMPLES}.",
            )
        if provider == "offline":
            return OfflineModel.named(model)
        check_provider(provider, has_base_url=self.base_url is not None)
        if _of(provider).base_url:
            _check_address(self.base_url)
        return self._init(provider, model)

    def _init(self, provider: str, model: str) -> BaseChatModel:
        from langchain.chat_models import (
            init_chat_model,
        )  # half a second to import, and only needed here

        try:
            built = init_chat_model(model, model_provider=provider, **self._options(provider))
        except (ValueError, ImportError) as error:
            raise ModelUnavailable(
                f"The model {provider}:{model} cannot be built: {redacted(str(error))}",
                hint=f"Known forms: {EXAMPLES}.",
            ) from cause_of(error)
        if not isinstance(built, BaseChatModel):
            raise ModelUnavailable(
                f"{provider}:{model} is not a chat model.", hint=f"Known forms: {EXAMPLES}."
            )
        return built

    def _options(
        self, provider: str
    ) -> dict[str, Any]:  # keyword arguments of the provider's own class
        options: dict[str, Any] = self._patience(provider)
        if self.temperature is not None:
            options["temperature"] = self.temperature
        if self.max_tokens is not None:
            options["num_predict" if provider == "ollama" else "max_tokens"] = self.max_tokens
        if self.base_url is not None and _of(provider).base_url:
            options["base_url"] = self.base_url
        if provider in ("openai", "azure_openai"):
            # LangChain asks for the usage of a stream only at the provider's own address.
            options["stream_usage"] = True
        if provider == "openai" and self.base_url and not os.environ.get("OPENAI_API_KEY"):
            options["api_key"] = NO_KEY
        return options

    def _patience(self, provider: str) -> dict[str, Any]:  # as above
        if provider == "ollama":
            return {"client_kwargs": {"timeout": self.timeout}}
        seconds = math.ceil(self.timeout) if _of(provider).whole_seconds else self.timeout
        return {"timeout": seconds, "max_retries": self.max_retries}


def check_provider(provider: str, *, has_base_url: bool = False) -> None:
    """Raise `ModelUnavailable` that says what to install or which variable to set, if anything is missing."""
    needs = PROVIDERS.get(provider)
    if needs is None:
        return
    if importlib.util.find_spec(needs.package.replace("-", "_")) is None:
        raise ModelUnavailable(
            f"Models of {provider} need the package {needs.package}, which is not installed.",
            hint=f"Run: pip install {needs.package}",
        )
    if needs.key and not os.environ.get(needs.key) and not (has_base_url and needs.base_url):
        raise ModelUnavailable(
            f"Models of {provider} need a key, and {needs.key} is not set.",
            hint=f"Run: export {needs.key}=…  or use --model offline:extractive, which needs none.",
        )


def _of(provider: str) -> Provider:
    return PROVIDERS.get(provider, _UNKNOWN)


_UNKNOWN = Provider(package="")


def _check_address(base_url: str | None) -> None:
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise ModelUnavailable(
            f"{base_url!r} is not the address of a server.",
            hint="Write it like http://127.0.0.1:8080/v1.",
        )


def failure_of(error: Exception, model: str) -> ModelFailed | None:
    """Return what to tell of an error that a provider's client raised; None for an error of another kind.

    Raise it `from cause_of(error)`: the original may carry a key.
    """
    code, transient, garbage = status(error), is_transient(error), _is_garbage(error)
    if code is None and not (transient or garbage):
        return None
    text = _sentence(error)
    if garbage:
        said = f"{model} answered with something that is not OpenAI's protocol or JSON: {text}"
        return ModelFailed(said, hint=_GARBAGE, model=model, status_code=code)
    out_of_credit = "insufficient_quota" in f"{text} {getattr(error, 'code', '')}"
    return ModelFailed(
        f"{model} failed: {text}",
        hint=_HINTS[402] if out_of_credit else _hint(code, model),
        model=model,
        status_code=code,
        transient=transient and not out_of_credit,
        retry_after=retry_after(error, datetime.now(UTC)),
    )


def _sentence(error: Exception) -> str:
    text = redacted(" ".join(str(error).split()))[:400] or type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."


def cause_of(error: Exception) -> Exception | None:
    """Return the error to chain to, or None if a traceback of it would show a key."""
    chain: BaseException | None = error
    seen: set[int] = set()  # `raise error from error` goes round
    while chain is not None and id(chain) not in seen:
        seen.add(id(chain))
        if redacted(str(chain)) != str(chain):
            return None
        chain = chain.__cause__ or chain.__context__
    return error


def redacted(text: str) -> str:
    """Blot out the keys that are set for providers, and whatever looks like one."""
    names = {each.key for each in PROVIDERS.values() if each.key}
    keys = sorted((os.environ.get(name, "") for name in names), key=len, reverse=True)
    for key in keys:
        if len(key) >= _SHORTEST_KEY:
            text = text.replace(key, "[key]")
    return _KEY.sub("[key]", text)


_SHORTEST_KEY = 6
_KEY = re.compile(
    r"\b(?:sk|pk|rk|xai)-[\w*.-]{6,}|\b(?:gsk|hf)_[\w*.-]{6,}|\bAIza[\w*-]{10,}|(?<=Bearer )[\w.~+/=-]{16,}"
)
"""How the keys of well-known providers begin, also when the provider has masked the middle."""

_BUGS_OF_CLIENTS = (TypeError, AttributeError, KeyError, json.JSONDecodeError)
"""What LangChain's classes raise when a server answers 200 with something else than a completion."""

_GARBAGE = "Check the address (INTERLOCK_BASE_URL): for most servers it ends in /v1."

_HINTS = {
    400: "The request does not suit this model: it may be too long, or the model too old.",
    401: "Check the key.",
    402: "The account has no credit left.",
    403: "This key may not use this model.",
    404: "Check the model's name, and INTERLOCK_BASE_URL if one is set.",
    413: "The request is too long for this model.",
    429: "The provider limits how much may be asked; go on later with `interlock resume`.",
}


def _hint(code: int | None, model: str) -> str:
    if code == 401:
        key = _of(model.partition(":")[0]).key
        return f"Check the key in {key}." if key else _HINTS[401]
    if code is None:
        return "Check that the server runs, INTERLOCK_BASE_URL if one is set, and INTERLOCK_MODEL_TIMEOUT."
    if code >= 500:
        return "The provider has a fault; go on later with `interlock resume`."
    return _HINTS.get(code, "")


def _is_garbage(error: Exception) -> bool:
    unexpected = "Unexpected response type" in str(error)  # langchain-openai's ValueError
    return isinstance(error, _BUGS_OF_CLIENTS) or unexpected or status(error) == 200
