"""A model that answers in another's place: what it is asked, and how its answer says whose it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables import RunnableBinding
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from interlock.core.usage import ANSWERED_BY

_KEPT = ("temperature", "top_p", "max_tokens", "stop")
"""Parameters of one call that all providers' classes call alike."""


def mark(generation: ChatGeneration, model: str) -> None:
    """Let an answer say which model gave it; also where it is read from a record later."""
    metadata = generation.message.response_metadata
    generation.message.response_metadata = {**metadata, ANSWERED_BY: model}


def asked_of(model: BaseChatModel, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's parameters as another provider's class takes them: tools and schemas are bound anew."""
    kept = {name: kwargs[name] for name in _KEPT if kwargs.get(name) is not None}
    tools = [convert_to_openai_tool(each) for each in kwargs.get("tools") or ()]
    choice = _choice(kwargs.get("tool_choice"))
    if schema := schema_of(kwargs):
        tools, choice = [schema], str(schema["function"]["name"])
    if not tools:
        return kept
    chosen = {"tool_choice": choice} if choice else {}
    bound = model.bind_tools(tools, **chosen)
    return {**kept, **(bound.kwargs if isinstance(bound, RunnableBinding) else {})}


def schema_of(kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema that an answer must fit, in OpenAI's form of a tool; None where none is asked for."""
    wanted = kwargs.get("response_format")
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        return convert_to_openai_tool(wanted)
    named = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    if not isinstance(named, Mapping) or "schema" not in named:
        return None
    function = {
        "name": str(named.get("name", "answer")),
        "description": str(named.get("description", "")),
        "parameters": named["schema"],
    }
    return {"type": "function", "function": function}


def as_asked(generations: Sequence[ChatGeneration], kwargs: Mapping[str, Any]) -> None:
    """Turn a tool's call into the JSON text that the caller asked for with a schema."""
    if schema_of(kwargs) is None:
        return
    wanted = kwargs["response_format"]
    for each in generations:
        message = each.message
        if isinstance(message, AIMessage) and message.tool_calls:
            args = message.tool_calls[0]["args"]
            parsed = {} if isinstance(wanted, Mapping) else {"parsed": wanted.model_validate(args)}
            each.message = _told(message, json.dumps(args, ensure_ascii=False), parsed)
            each.text = each.message.text


def _told(message: AIMessage, text: str, parsed: Mapping[str, Any]) -> BaseMessage:
    extra = {**message.additional_kwargs, **parsed}
    extra.pop("tool_calls", None)
    return message.model_copy(
        update={"content": text, "tool_calls": [], "additional_kwargs": extra}
    )


def _choice(given: Any) -> str | None:  # each provider's own form
    """Return which tool must be called: its name, `any`, `auto`; None where nothing is said."""
    if isinstance(given, Mapping):
        named = given.get("name") or (given.get("function") or {}).get("name")
        return str(named or given.get("type") or "") or None
    if given is True or given == "required":
        return "any"
    return str(given) if given and given != "none" else None
