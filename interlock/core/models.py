"""Chat models by name: `provider:name`, built when first used, with errors that say what to install or set."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from langchain_core.language_models import BaseChatModel

from interlock.core.offline import OfflineModel
from interlock.errors import ModelUnavailable

EXAMPLES = "openai:gpt-5, anthropic:claude-sonnet-4-5, ollama:llama3.2, offline:extractive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What a provider needs before one of its models can be built."""

    package: str
    key: str = ""
    """The environment variable that holds the key; empty where none is needed."""


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(package="langchain-openai", key="OPENAI_API_KEY"),
    "anthropic": Provider(package="langchain-anthropic", key="ANTHROPIC_API_KEY"),
    "google_genai": Provider(package="langchain-google-genai", key="GOOGLE_API_KEY"),
    "mistralai": Provider(package="langchain-mistralai", key="MISTRAL_API_KEY"),
    "groq": Provider(package="langchain-groq", key="GROQ_API_KEY"),
    "deepseek": Provider(package="langchain-deepseek", key="DEEPSEEK_API_KEY"),
    "azure_openai": Provider(package="langchain-openai", key="AZURE_OPENAI_API_KEY"),
    "bedrock_converse": Provider(package="langchain-aws"),
    "google_vertexai": Provider(package="langchain-google-vertexai"),
    "ollama": Provider(package="langchain-ollama"),
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
    """

    base_url: str | None = None
    timeout: float = 120.0
    max_retries: int = 4
    temperature: float | None = None
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
        return self._init(provider, model)

    def _init(self, provider: str, model: str) -> BaseChatModel:
        from langchain.chat_models import (
            init_chat_model,
        )  # half a second to import, and only needed here

        try:
            built = init_chat_model(model, model_provider=provider, **self._options(provider))
        except (ValueError, ImportError) as error:
            raise ModelUnavailable(
                f"The model {provider}:{model} cannot be built: {error}",
                hint=f"Known forms: {EXAMPLES}.",
            ) from error
        if not isinstance(built, BaseChatModel):
            raise ModelUnavailable(
                f"{provider}:{model} is not a chat model.", hint=f"Known forms: {EXAMPLES}."
            )
        return built

    def _options(
        self, provider: str
    ) -> dict[str, Any]:  # keyword arguments of the provider's own class
        options: dict[str, Any] = {"timeout": self.timeout, "max_retries": self.max_retries}
        if provider == "ollama":
            options = {"client_kwargs": {"timeout": self.timeout}}
        if self.temperature is not None:
            options["temperature"] = self.temperature
        if self.base_url is not None and provider in ("openai", "ollama"):
            options["base_url"] = self.base_url
        if (
            self.base_url is not None
            and provider == "openai"
            and not os.environ.get("OPENAI_API_KEY")
        ):
            options["api_key"] = (
                "none"  # local servers ask for none, but the client insists on a value
            )
        return options


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
    if needs.key and not os.environ.get(needs.key) and not has_base_url:
        raise ModelUnavailable(
            f"Models of {provider} need a key, and {needs.key} is not set.",
            hint=f"Run: export {needs.key}=…  or use --model offline:extractive, which needs none.",
        )
