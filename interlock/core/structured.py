"""Questions to a model with typed answers, repaired up to three times with the validation error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, ValidationError

from interlock.core import prompts
from interlock.core.context import Context, context_of
from interlock.core.offline import OfflineModel
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
        OutputInvalid: the answer did not fit its schema after `REPAIRS` repairs.
        ModelUnavailable: the model cannot be built.
    """
    context = context_of(runtime)
    model = context.ports.models.model(context.model_for(request.role))
    messages = request.messages(context.prompts)
    if isinstance(model, OfflineModel):
        message = await model.ainvoke(messages, request=request, reply=reply)
        return reply.model_validate_json(str(message.content))
    return await _ask_and_repair(model, messages, reply, request.prompt)


async def _ask_and_repair(
    model: BaseChatModel, messages: list[BaseMessage], reply: type[ReplyT], prompt: str
) -> ReplyT:
    fault = ""
    for _ in range(REPAIRS + 1):
        raw, parsed, fault = await _ask_once(model, messages, reply)
        if parsed is not None:
            return parsed
        messages = [*messages, *_correction(raw, fault)]
    raise OutputInvalid(
        f"The answer to {prompt} did not fit {reply.__name__} after {REPAIRS} repairs: {fault}",
        hint="A larger model usually does; the run can be resumed with another --model.",
    )


async def _ask_once(
    model: BaseChatModel, messages: list[BaseMessage], reply: type[ReplyT]
) -> tuple[AIMessage | None, ReplyT | None, str]:
    structured = model.with_structured_output(reply, include_raw=True)
    try:
        answer = cast("dict[str, Any]", await structured.ainvoke(messages))
    except (
        ValidationError,
        OutputParserException,
    ) as error:  # some providers' clients parse before we can
        return None, None, _shorten(error)
    parsed, fault, raw = answer["parsed"], answer["parsing_error"], answer["raw"]
    if isinstance(parsed, reply):
        return raw, parsed, ""
    return raw, None, _shorten(fault) if fault else "the answer holds no such object"


def _correction(raw: AIMessage | None, fault: str) -> list[BaseMessage]:
    said = f"That answer was not accepted: {fault}\nAnswer again with the whole object, corrected, and nothing else."
    if raw is None:
        return [HumanMessage(said)]
    if raw.tool_calls:  # each call needs its answer, or the provider refuses the conversation
        return [
            raw,
            *(
                ToolMessage(said, tool_call_id=call["id"] or "", status="error")
                for call in raw.tool_calls
            ),
        ]
    return [AIMessage(raw.text or "(nothing)"), HumanMessage(said)]


def _shorten(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        faults = [
            f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['msg']}"
            for each in error.errors()
        ]
        return "; ".join(faults[:8])
    return " ".join(str(error).split())[:600]
