"""JSON-RPC: a call is one method with its parameters, and is answered with a result, a stream or an error."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ValidationError

from interlock.core.stream_events import StreamEvent
from interlock.errors import DatabaseUnavailable, Forbidden, InterlockError
from interlock.postgres.assistants import Assistant
from interlock.server.a2a.messages import Named, Sent
from interlock.server.a2a.serving import PARAMS, UNSUPPORTED, Agent, Refused
from interlock.server.a2a.wording import Words
from interlock.server.scope import Scope
from interlock.server.wire import dumps
from interlock.streaming import Page

Json = dict[str, Any]

PARSE, REQUEST, METHOD, PUSH = -32700, -32600, -32601, -32003

Act = Literal["send", "stream", "get", "cancel", "resubscribe"]

METHODS: Mapping[str, tuple[Act, bool]] = {
    "message/send": ("send", False),
    "message/stream": ("stream", False),
    "tasks/get": ("get", False),
    "tasks/cancel": ("cancel", False),
    "tasks/resubscribe": ("resubscribe", False),
    "SendMessage": ("send", True),
    "SendStreamingMessage": ("stream", True),
    "GetTask": ("get", True),
    "CancelTask": ("cancel", True),
    "SubscribeToTask": ("resubscribe", True),
}
"""What each method does, and whether it is of version 1.0."""

UNSERVED: Mapping[str, int] = {
    "tasks/list": UNSUPPORTED,
    "ListTasks": UNSUPPORTED,
    "agent/getAuthenticatedExtendedCard": -32007,
    "GetExtendedAgentCard": -32007,
    **dict.fromkeys(
        (f"tasks/pushNotificationConfig/{verb}" for verb in ("set", "get", "list", "delete")), PUSH
    ),
    **dict.fromkeys(
        (f"{verb}TaskPushNotificationConfig" for verb in ("Create", "Get", "Delete")), PUSH
    ),
    "ListTaskPushNotificationConfigs": PUSH,
}
"""Methods that are not served -> the protocol's code for that."""


class Call(BaseModel):
    """A request."""

    jsonrpc: Literal["2.0"]
    id: str | int | None = None
    method: str
    params: Json = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back: one document, or a stream of them."""

    document: Json | None = None
    pages: AsyncGenerator[Page] | None = None


async def answer(scope: Scope, assistant: Assistant, body: bytes) -> Answer:
    """Do what a call says.

    Raises:
        Forbidden: the caller may not do this.
        DatabaseUnavailable: nothing can be said of it.
    """
    try:
        call = Call.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError:
        return Answer(document=_error(None, PARSE, "The body is no JSON."))
    except ValidationError as error:
        return Answer(document=_error(None, REQUEST, _faults(error)))
    try:
        return await _done(scope, assistant, call)
    except Refused as refused:
        return Answer(document=_error(call.id, refused.code, str(refused)))
    except ValidationError as error:
        return Answer(document=_error(call.id, PARAMS, _faults(error)))
    except (Forbidden, DatabaseUnavailable):
        raise
    except InterlockError as error:
        return Answer(document=_error(call.id, PARAMS, str(error)))


async def _done(scope: Scope, assistant: Assistant, call: Call) -> Answer:
    if (code := UNSERVED.get(call.method)) is not None:
        raise Refused(code, f"This server does not serve {call.method}.")
    if (known := METHODS.get(call.method)) is None:
        raise Refused(METHOD, f"There is no method {call.method[:60]!r}.")
    act, new = known
    agent = Agent(scope, assistant, Words(new))
    match act:
        case "send":
            return _result(call, await agent.send(Sent.model_validate(call.params)))
        case "get":
            return _result(call, await agent.get(Named.model_validate(call.params)))
        case "cancel":
            return _result(call, await agent.cancel(Named.model_validate(call.params)))
        case "stream":
            told = await agent.stream(Sent.model_validate(call.params))
        case "resubscribe":
            told = await agent.resubscribe(Named.model_validate(call.params))
    return Answer(pages=_framed(call, told))


async def _framed(call: Call, told: AsyncGenerator[list[Json]]) -> AsyncGenerator[Page]:
    async with aclosing(told):
        async for page in told:
            yield [_event(_document(call, each)) for each in page]


def _event(document: Json) -> StreamEvent:
    return StreamEvent(id="", event="message", data=dumps(document), run_id="")


def _result(call: Call, result: Json) -> Answer:
    return Answer(document=_document(call, result))


def _document(call: Call, result: Json) -> Json:
    return {"jsonrpc": "2.0", "id": call.id, "result": result}


def _error(call_id: str | int | None, code: int, message: str) -> Json:
    return {"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": message}}


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
        for each in error.errors(include_url=False)[:5]
    )
