"""Commands of the protocol: each is answered with what came of it, or with why nothing did."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
)

from interlock.core.runs import Run
from interlock.errors import (
    AnswerRefused,
    DatabaseUnavailable,
    Forbidden,
    InterlockError,
    NotFound,
    ResumeRefused,
    StateRefused,
    UsageError,
)
from interlock.postgres.run_cards import RunCards, Wanted
from interlock.server.requests import RunCreate, accept
from interlock.server.scope import Scope
from interlock.server.v3.folding import MODES
from interlock.server.v3.wanting import LARGEST

Json = dict[str, Any]

STARTS = (
    "assistant_id",
    "input",
    "config",
    "context",
    "metadata",
    "durability",
    "multitask_strategy",
)
"""What of a run `run.start` says."""

UNSERVED: Mapping[str, str] = {
    "agent.getTree": "GET /assistants/{assistant_id}/graph draws a graph, and `lifecycle` tells of its parts.",
    "input.inject": "Start a run with the message as its input.",
    "state.get": "GET /threads/{thread_id}/state tells it.",
    "state.listCheckpoints": "POST /threads/{thread_id}/history lists them.",
    "state.fork": "Start a run whose config names the checkpoint.",
    "subscription.subscribe": "POST /threads/{thread_id}/stream/events, or open a WebSocket there.",
    "subscription.unsubscribe": "Close the stream.",
    "subscription.reconnect": "Subscribe with the last `seq` as `since`.",
}
"""Commands that are not served, and what to do instead; docs/server-protocols.md lists the same."""


Number = StrictBool | Annotated[StrictInt, Field(ge=-LARGEST, le=LARGEST)]
"""What names a command: LangGraph's server takes true and false for numbers, and hands them back as they are."""


class Command(BaseModel):
    """A command; `params` that are no object are none."""

    id: Number
    method: StrictStr
    params: Json = {}

    @field_validator("params", mode="before")
    @classmethod
    def _object(cls, said: Any) -> Any:  # JSON
        return said if isinstance(said, Mapping) else {}


class Answer(BaseModel):
    """One person's answer."""

    interrupt_id: Annotated[str, Field(min_length=1, max_length=200)]
    response: Any = None  # whatever the graph's interrupt expects


class Answers(BaseModel):
    """Answers that are taken together, or not at all."""

    responses: Annotated[list[Answer], Field(min_length=1, max_length=1000)]

    @property
    def resume(self) -> Json:
        """Return them as a client's `command.resume`.

        One that names its question with what is no name would be taken for a value, and answer any question.
        """
        for each in self.responses:
            if not re.fullmatch("[0-9a-f]{16}|[0-9a-f]{32}", each.interrupt_id):
                why = f"There is no open question {each.interrupt_id!r}."
                raise NotDone("no_such_interrupt", why)
        return {each.interrupt_id: each.response for each in self.responses}


class Response(BaseModel):
    """What came of a command."""

    type: Literal["success"] = "success"
    id: Number
    result: Json
    meta: Json = {"applied_through_seq": 0}


class Refusal(BaseModel):
    """Why nothing came of a command."""

    type: Literal["error"] = "error"
    id: bool | int | float | str | None
    error: str
    message: str


class NotDone(Exception):  # an answer, not a fault
    """A command that does nothing, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def answer(scope: Scope, thread_id: str, command: Command) -> Response | Refusal:
    """Do what a command says.

    Raises:
        DatabaseUnavailable: nothing can be said of it.
    """
    try:
        result = await _chosen(command.method)(scope, thread_id, command.params)
    except DatabaseUnavailable:
        raise
    except (NotDone, ValidationError, InterlockError) as error:
        return refusal(command.id, error)
    return Response(id=command.id, result=result)


def no_command(said: Any) -> Refusal:  # JSON
    """Return the answer to what is no command, under the id that it has."""
    name = said.get("id") if isinstance(said, Mapping) else None
    plain = isinstance(name, str | float) or (isinstance(name, int) and abs(name) <= LARGEST)
    return Refusal(
        id=name if plain else None,
        error="invalid_argument",
        message="A command has a whole number as its `id`, and a text as its `method`.",
    )


def refusal(command_id: int | None, error: Exception) -> Refusal:
    """Return an error as the protocol tells it."""
    message = _faults(error) if isinstance(error, ValidationError) else str(error)
    return Refusal(id=command_id, error=_code(error), message=message)


def _chosen(method: str) -> Callable[[Scope, str, Json], Awaitable[Json]]:
    if (known := {"run.start": _start, "input.respond": _respond}.get(method)) is not None:
        return known
    if method in UNSERVED:
        why = f"This server does not serve {method}. {UNSERVED[method]}"
        raise NotDone("not_supported", why)
    raise NotDone("unknown_command", f"There is no command {method[:40]!r}.")


async def _start(scope: Scope, thread_id: str, params: Json) -> Json:
    said = {key: params[key] for key in STARTS if params.get(key) is not None}
    run = await _accepted(scope, thread_id, {**said, "if_not_exists": "create"})
    return {"run_id": run.run_id}


async def _respond(scope: Scope, thread_id: str, params: Json) -> Json:
    answers = Answers.model_validate(params if "responses" in params else {"responses": [params]})
    steering = {key: params[key] for key in ("update", "goto") if params.get(key) is not None}
    more = {key: params[key] for key in ("config", "metadata") if params.get(key) is not None}
    said = {
        "assistant_id": await _asking(scope, thread_id),
        "command": {"resume": answers.resume, **steering},
        **more,
    }
    run = await _accepted(scope, thread_id, said)
    return {"run_id": run.run_id}


async def _asking(scope: Scope, thread_id: str) -> str:
    """Return the assistant that asks on a thread."""
    runs = await RunCards(scope.reader.pool).runs(Wanted(thread_id=thread_id, limit=1))
    if not runs:
        raise NotDone("no_such_run", f"Nothing has run on thread {thread_id}.")
    return runs[0].assistant_id


async def _accepted(scope: Scope, thread_id: str, said: Json) -> Run:
    request = RunCreate.model_validate(
        {**said, "stream_mode": list(MODES), "stream_subgraphs": True, "stream_resumable": True}
    )
    return await accept(scope, thread_id, request)


def _code(error: Exception) -> str:
    match error:
        case NotDone():
            return error.code
        case AnswerRefused() | ResumeRefused():
            return "no_such_interrupt"
        case Forbidden():
            return "permission_denied"
        case NotFound() | UsageError() | StateRefused() | ValidationError():
            return "invalid_argument"
        case _:
            return "unknown_error"


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
        for each in error.errors(include_url=False)[:5]
    )
