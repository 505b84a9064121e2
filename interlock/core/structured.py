"""Questions to a model with typed answers, repaired up to three times with the validation error.

The answer is read from the model's own message and validated here. LangChain's parsers complete JSON that was cut
off, and OpenAI's client validates before anyone sees the answer: a call that was paid for would not be counted, and
the model would be asked to mend an answer that it is not shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, ValidationError

from interlock.core import prompts
from interlock.core.context import Context, context_of
from interlock.core.models import cause_of, failure_of
from interlock.core.offline import OfflineModel
from interlock.core.transient import status
from interlock.errors import OutputInvalid

REPAIRS = 3

ReplyT = TypeVar("ReplyT", bound=BaseModel)


class Request(BaseModel):
    """What a role is asked: its fields are the variables of its prompt.

    Attributes:
        prompt: name of the prompt, `group/name`.
        role: who is asked; lets a run use another model for one role.
    """

    model_config = ConfigDict(frozen=True)

    prompt: ClassVar[str]
    role: ClassVar[str]

    def variables(self) -> Mapping[str, str]:
        """Return the prompt's variables as text; override where a field needs a form of its own."""
        return {name: as_text(getattr(self, name)) for name in type(self).model_fields}

    def messages(self, pins: Mapping[str, str]) -> list[BaseMessage]:
        """Return the filled prompt, in the version that is pinned."""
        return prompts.load(self.prompt, pins.get(self.prompt)).messages(self.variables())


def as_text(value: object) -> str:
    """Return a field as a model reads it: text as it is, sequences as a list with dashes, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if isinstance(value, list | tuple):
        return "\n".join(f"- {as_text(item)}" for item in value) or "(none)"
    return "(none)" if value is None else str(value)


async def ask(runtime: Runtime[Context], request: Request, reply: type[ReplyT]) -> ReplyT:
    """Ask the model of the request's role, and return its answer as `reply`.

    Raises:
        OutputInvalid: the model refused, or its answer did not fit its schema after `REPAIRS` repairs.
        ModelFailed: the provider did not answer, or answered with an error.
        ModelUnavailable: the model cannot be built.
    """
    context = context_of(runtime)
    name = context.model_for(request.role)
    model = context.ports.models.model(name)
    messages = request.messages(context.prompts)
    if isinstance(model, OfflineModel):
        message = await model.ainvoke(messages, request=request, reply=reply)
        return reply.model_validate_json(str(message.content))
    return await _ask_and_repair(model, name, messages, reply, request.prompt)


def wire_schema(reply: type[BaseModel]) -> dict[str, Any]:  # JSON Schema
    """Return a reply's schema within what strict structured output accepts; what is left out is checked on arrival.

    Source: OpenAI's guide to structured outputs, "Supported schemas".
    """
    schema = reply.model_json_schema()
    strict = cast("dict[str, Any]", _strict(schema, schema.get("$defs", {})))
    return {**strict, "title": reply.__name__}


async def _ask_and_repair(
    model: BaseChatModel, name: str, messages: list[BaseMessage], reply: type[ReplyT], prompt: str
) -> ReplyT:
    fault = ""
    for attempt in range(REPAIRS + 1):
        answer = await _ask_once(model, name, messages, reply)
        _refuse_refusal(answer, name, prompt)
        found = _read(answer, reply)
        if isinstance(found, reply):
            return found
        fault = str(found)
        messages = [*messages, *_correction(answer, fault, reply if attempt == 0 else None)]
    raise OutputInvalid(
        f"The answer of {name} to {prompt} did not fit {reply.__name__} after {REPAIRS} repairs: {fault.rstrip('.')}.",
        hint="A larger model usually does; the run can be resumed with another --model.",
    )


async def _ask_once(
    model: BaseChatModel, name: str, messages: list[BaseMessage], reply: type[BaseModel]
) -> AIMessage:
    try:
        try:
            return await _ask_for_schema(model, messages, reply)
        except Exception as error:
            if not _knows_no_schemas(error):
                raise
        said = HumanMessage(f"Answer with one JSON object and nothing else.\n{_schema_text(reply)}")
        return await model.ainvoke([*messages, said])
    except Exception as error:
        failure = failure_of(error, name)
        if failure is None:
            raise
        raise failure from cause_of(error)


async def _ask_for_schema(
    model: BaseChatModel, messages: list[BaseMessage], reply: type[BaseModel]
) -> AIMessage:
    try:
        answer = await _bound(model, reply).ainvoke(messages)
    except (ValidationError, OutputParserException) as error:  # a client that parses by itself
        return AIMessage("", additional_kwargs={_FAULT: _shorten(error)})
    except Exception as error:
        if (cut := _cut_off(error)) is None:
            raise
        return cut
    return cast("AIMessage", answer["raw"])


def _bound(model: BaseChatModel, reply: type[BaseModel]) -> Any:  # LangChain's Runnable
    if model._llm_type not in _CLIENTS_THAT_PARSE:
        return model.with_structured_output(reply, include_raw=True)
    if _TOOLS_ONLY.match(str(getattr(model, "model_name", ""))):
        return model.with_structured_output(reply, include_raw=True, method="function_calling")
    return model.with_structured_output(
        wire_schema(reply), include_raw=True, method="json_schema", strict=True
    )


_CLIENTS_THAT_PARSE = ("openai-chat", "azure-openai-chat")
_TOOLS_ONLY = re.compile(r"gpt-3|gpt-4(-|$)")
"""OpenAI's models from before structured outputs."""

_FAULT = "interlock_fault"


def _knows_no_schemas(error: Exception) -> bool:
    """Say whether a server refused the request because it does not know structured output."""
    names = ("response_format", "json_schema")
    return status(error) in (400, 422) and any(name in str(error) for name in names)


def _cut_off(error: Exception) -> AIMessage | None:
    """Return the answer inside an error of OpenAI's client that only says how the answer ended."""
    choices = getattr(getattr(error, "completion", None), "choices", None)
    if not choices:
        return None
    ended = {"finish_reason": choices[0].finish_reason}
    return AIMessage(choices[0].message.content or "", response_metadata=ended)


def _refuse_refusal(answer: AIMessage, name: str, prompt: str) -> None:
    refusal = str(answer.additional_kwargs.get("refusal") or "")
    if refusal or _ending(answer) in _REFUSALS:
        raise OutputInvalid(
            f"{name} refused to answer {prompt}: {refusal or 'its content filter stepped in'}",
            hint="Change the question or the sources, or resume the run with another --model.",
        )


def _ending(answer: AIMessage) -> str:
    names = ("finish_reason", "stop_reason", "done_reason")  # OpenAI and Google, Anthropic, Ollama
    return next(
        (str(answer.response_metadata[n]) for n in names if answer.response_metadata.get(n)), ""
    )


_REFUSALS = ("content_filter", "refusal", "SAFETY", "PROHIBITED_CONTENT")
_CUT = ("length", "max_tokens", "MAX_TOKENS")


def _read(answer: AIMessage, reply: type[ReplyT]) -> ReplyT | str:
    """Return the object that an answer holds, or what is wrong with it."""
    if _FAULT in answer.additional_kwargs:
        return str(answer.additional_kwargs[_FAULT])
    if _ending(answer) in _CUT:
        return "the answer was cut off at the length limit; answer more briefly"
    try:
        if answer.tool_calls:
            return reply.model_validate(answer.tool_calls[0]["args"])
        if answer.invalid_tool_calls:
            return f"the call's arguments are not JSON: {answer.invalid_tool_calls[0]['error']}"
        return reply.model_validate_json(_json_in(answer.text))
    except ValidationError as error:
        return _shorten(error)


def _json_in(text: str) -> str:
    """Return the outermost object in a text; small models think aloud before it, and put fences around it."""
    said = text.rpartition("</think>")[2]
    start, end = said.find("{"), said.rfind("}")
    return said[start : end + 1] if 0 <= start < end else said


def _correction(answer: AIMessage, fault: str, reply: type[BaseModel] | None) -> list[BaseMessage]:
    said = f"That answer was not accepted: {fault}\nAnswer again with the whole object, corrected, and nothing else."
    if answer.tool_calls:  # each call needs its answer, or the provider refuses the conversation
        results = [
            ToolMessage(said, tool_call_id=call["id"] or "", status="error")
            for call in answer.tool_calls
        ]
        return [AIMessage(answer.content, tool_calls=answer.tool_calls), *results]
    if reply is not None:  # a server that ignores the schema has not told the model of it
        said = f"{said}\n{_schema_text(reply)}"
    return [AIMessage(_said(answer)), HumanMessage(said)]


def _said(answer: AIMessage) -> str:
    calls = [str(call["args"]) for call in answer.invalid_tool_calls]
    return answer.text or "\n".join(calls) or "(nothing)"


def _schema_text(reply: type[BaseModel]) -> str:
    return f"Its JSON Schema: {json.dumps(wire_schema(reply), separators=(',', ':'))}"


def _shorten(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        faults = [
            f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['msg']}"
            for each in error.errors()
        ]
        return "; ".join(faults[:8])
    return " ".join(str(error).split())[:600]


_LEFT_OUT = ("title", "default", "discriminator", "minLength", "maxLength", "uniqueItems")


def _strict(node: Any, definitions: Mapping[str, Any]) -> Any:  # JSON Schema
    if isinstance(node, list):
        return [_strict(each, definitions) for each in node]
    if "$ref" in node and len(node) > 1:  # a reference may have nothing beside it
        target = definitions[str(node["$ref"]).rpartition("/")[2]]
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _strict({**target, **beside}, definitions)
    kept = {_RENAMED.get(key, key): value for key, value in node.items() if key not in _LEFT_OUT}
    if "properties" in kept:
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    for key in kept.keys() & _NAMED:
        kept[key] = {name: _strict(each, definitions) for name, each in kept[key].items()}
    for key in kept.keys() & _NESTED:
        kept[key] = _strict(kept[key], definitions)
    return kept


_RENAMED = {"oneOf": "anyOf"}
_NAMED = ("properties", "$defs")
"""Their keys are names, not keywords."""
_NESTED = ("items", "anyOf", "allOf")
