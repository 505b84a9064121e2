"""A chat model that takes what a test says, and tells it as providers do."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

Usage = tuple[int, int] | None


class Priced(BaseChatModel):
    """Answers what it was asked; a model of OpenAI's by its name, so that it has a price.

    Attributes:
        usage: tokens in and out of each call; None for a provider that does not count.
        max_tokens: the cap on its answers; None for none.
        waits: whether its calls never end.
        stops_at: the question that it never answers.
    """

    name_: str = "gpt-4o"
    provider: str = "openai"
    usage: Usage = (10, 5)
    max_tokens: int | None = 20
    details: dict[str, Any] | None = None
    waits: bool = False
    stops_at: str = ""
    _fails: list[BaseException] = PrivateAttr(default_factory=list)
    _asked: list[str] = PrivateAttr(default_factory=list)
    _begun: asyncio.Event | None = PrivateAttr(default=None)

    def failing(self, *errors: BaseException) -> Priced:
        """Raise these first."""
        self._fails = list(errors)
        return self

    @property
    def asked(self) -> list[str]:
        """The last message of each call, in their order."""
        return self._asked

    @property
    def begun(self) -> asyncio.Event:
        """Set when a call has begun."""
        self._begun = self._begun or asyncio.Event()
        return self._begun

    @property
    def _llm_type(self) -> str:
        return "priced"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.name_} | ({"max_tokens": self.max_tokens} if self.max_tokens else {})

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": self.name_}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._answer(messages, int(kwargs.get("n", 1)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.waits or messages[-1].text == self.stops_at:
            self.begun.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # others begin meanwhile
        return self._answer(messages, int(kwargs.get("n", 1)))

    def _answer(self, messages: list[BaseMessage], copies: int) -> ChatResult:
        self._asked.append(messages[-1].text)
        if self._fails:
            raise self._fails.pop(0)
        answers = [self._said(messages[-1].text) for _ in range(copies)]
        return ChatResult(generations=[ChatGeneration(message=each) for each in answers])

    def _said(self, text: str) -> AIMessage:
        message = AIMessage(f"said {text}")
        if self.usage is not None:
            asked, said = self.usage
            usage = UsageMetadata(input_tokens=asked, output_tokens=said, total_tokens=asked + said)
            message.usage_metadata = usage
            if self.details:
                message.usage_metadata["input_token_details"] = self.details  # type: ignore[typeddict-item]
        return message
