"""A chat model that is none: rules registered by an application answer, one per output schema.

It lets the same graph, loops, checks and approvals run without a key, and it never pretends: its name, each
screen and each report say `offline: extractive, no language model`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel

from interlock.errors import ModelUnavailable

NOTICE = "offline: extractive, no language model"

RequestT = TypeVar("RequestT", bound=BaseModel)
ReplyT = TypeVar("ReplyT", bound=BaseModel)

_RULES: dict[
    tuple[type[BaseModel], type[BaseModel]], Callable[[Any], BaseModel]
] = {}  # by request and reply


def rule(
    request: type[RequestT], reply: type[ReplyT]
) -> Callable[[Callable[[RequestT], ReplyT]], Callable[[RequestT], ReplyT]]:
    """Register the function that answers a request with a reply when there is no language model."""

    def register(function: Callable[[RequestT], ReplyT]) -> Callable[[RequestT], ReplyT]:
        _RULES[request, reply] = function
        return function

    return register


class OfflineModel(BaseChatModel):
    """Answers with the registered rule for the request and the reply that it is bound to."""

    name: str | None = "extractive"

    @classmethod
    def named(cls, name: str) -> OfflineModel:
        """Return the offline model of that name; there is one, `extractive`."""
        if name != "extractive":
            raise ModelUnavailable(
                f"There is no offline model {name!r}.", hint="Use offline:extractive."
            )
        return cls()

    @property
    def _llm_type(self) -> str:
        return "offline"

    def _get_ls_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> Any:  # LangChain's hook for traces
        params = cast("dict[str, Any]", super()._get_ls_params(stop=stop, **kwargs))
        return params | {"ls_provider": "offline", "ls_model_name": "offline:extractive"}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        return _answer(kwargs.get("request"), kwargs.get("reply"))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # LangChain's signature
    ) -> ChatResult:
        return _answer(kwargs.get("request"), kwargs.get("reply"))

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:  # LangChain's signature
        """Refuse: rules do not call tools."""
        raise ModelUnavailable(
            f"This step needs a language model ({NOTICE}).", hint="Pass --model provider:name."
        )


def _answer(request: BaseModel | None, reply: type[BaseModel] | None) -> ChatResult:
    found = (
        _RULES.get((type(request), reply)) if request is not None and reply is not None else None
    )
    if found is None:
        asked = f"{type(request).__name__} -> {getattr(reply, '__name__', reply)}"
        raise ModelUnavailable(
            f"No offline rule answers {asked} ({NOTICE}).",
            hint="Pass --model provider:name, or register one with interlock.core.offline.rule.",
        )
    message = AIMessage(content=found(request).model_dump_json())
    return ChatResult(generations=[ChatGeneration(message=message)])
