"""A client's request for a run, and the one way in which it becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interlock.core.cards import OnCompletion
from interlock.core.driving import Durability
from interlock.core.queueing import MultitaskStrategy, OnlyOn
from interlock.core.runs import Run
from interlock.core.sleeping import LONGEST
from interlock.errors import NotFound, UsageError
from interlock.postgres.thread_metadata import MetadataChanged
from interlock.server import hooks
from interlock.server.asking import asked_by
from interlock.server.assisting import resolve
from interlock.server.orders import Order, order
from interlock.server.scope import Scope

StreamMode = Literal[
    "values",
    "messages",
    "messages-tuple",
    "updates",
    "events",
    "tasks",
    "checkpoints",
    "debug",
    "custom",
    "tools",
]

Json = dict[str, Any]
Nodes = Literal["*"] | list[str]
AssistantName = UUID | Annotated[str, Field(min_length=1, max_length=1000)]


def _none() -> Any:  # a field, of any type
    """Return a field that is an empty object unless it is said: a plain default would be copied to its depth."""
    return Field(default_factory=dict, json_schema_extra={"default": {}})


class Config(BaseModel):
    """LangGraph's configuration of a run."""

    tags: list[str] = Field(default_factory=list, json_schema_extra={"default": []})
    recursion_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    configurable: Json = _none()
    metadata: Json = _none()


class Command(BaseModel):
    """LangGraph's `Command`: an answer, or what to write and where to go on."""

    resume: Any = None  # whatever the graph's interrupt expects
    update: Json | list[Any] | None = None
    goto: Any = None  # a node, `{"node", "input"}`, or a list of these

    @property
    def resumes(self) -> bool:
        """Whether it answers."""
        return self.resume is not None

    @property
    def steering(self) -> dict[str, Any]:  # JSON
        """All of it but the answer."""
        said = {"update": self.update, "goto": self.goto}
        return {key: each for key, each in said.items() if each is not None}


class RunCreate(BaseModel):
    """A run that a client asks for; what it says beside this is ignored."""

    model_config = ConfigDict(extra="ignore")

    assistant_id: AssistantName
    input: Any = None  # the graph's input schema; null goes on from the checkpoint
    command: Command | None = None
    config: Config = Field(
        default_factory=Config
    )  # a plain default would be copied to its depth each time
    context: Json | None = None
    metadata: Json = _none()
    checkpoint: Json | None = None
    checkpoint_id: str | None = None
    checkpoint_during: bool | None = None
    durability: Durability | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    stream_mode: StreamMode | list[StreamMode] | None = None
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    feedback_keys: list[str] | None = None
    multitask_strategy: MultitaskStrategy = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: OnCompletion | None = None
    webhook: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    after_seconds: Annotated[float, Field(ge=0, le=LONGEST)] | None = None

    @property
    def resumes(self) -> bool:
        """Whether it answers a question."""
        return self.command is not None and self.command.resumes

    @property
    def begins_anew(self) -> bool:
        """Whether it has an input, and nothing that depends on how its thread stands."""
        said = (self.command, self.checkpoint, self.checkpoint_id)
        told = "checkpoint_id" in self.config.configurable
        return self.input is not None and not told and all(each is None for each in said)

    @property
    def stream_modes(self) -> tuple[str, ...]:
        """What is streamed, as a tuple; empty unless it says so."""
        if isinstance(self.stream_mode, str):
            return (self.stream_mode,)
        return tuple(dict.fromkeys(self.stream_mode or ()))


class StatelessCreate(RunCreate):
    """A run that has a thread of its own unless it names one; Agent Protocol's words are understood.

    Attributes:
        as_agent: it was asked of an agent, and is answered so.
    """

    thread_id: str | None = None
    as_agent: Annotated[bool, Field(exclude=True)] = False

    @model_validator(mode="before")
    @classmethod
    def _understand(cls, said: Any) -> Any:  # a body
        if not isinstance(said, dict) or "agent_id" not in said or "assistant_id" in said:
            return said
        meant = {**said, "assistant_id": said["agent_id"], "as_agent": True}
        if said.get("messages") is not None and isinstance(said.get("input") or {}, dict):
            meant["input"] = {**(said.get("input") or {}), "messages": said["messages"]}
        return meant


async def accept(
    scope: Scope,
    thread_id: str | None,
    request: RunCreate,
    *,
    stream_modes: Sequence[str] = (),
    idempotency_key: str = "",
) -> Run:
    """Accept a run for a caller, and return once that is committed.

    Args:
        scope: of the caller.
        thread_id: the thread; None for one of its own, which is removed when it has ended unless it is to be kept.
        request: what is asked for.
        stream_modes: what is written to the log of streams, unless the request says so.
        idempotency_key: two requests under one key are one run.

    Raises:
        NotFound: no such assistant or thread.
        UsageError: something of it means nothing.
        ThreadBusy: the thread has a run that has not ended, and the strategy is `reject`.
        AnswerRefused: it answers what was answered.
    """
    while True:
        ordered = await prepare(
            scope,
            thread_id,
            request,
            stream_modes=stream_modes,
            idempotency_key=idempotency_key,
            sees=False,
        )
        try:
            return await submit(scope, thread_id, request, ordered)
        except MetadataChanged:  # they are read this time, and nothing is compared with them
            scope.house.thread_metadata.forget(thread_id or "")


async def prepare(
    scope: Scope,
    thread_id: str | None,
    request: RunCreate,
    *,
    stream_modes: Sequence[str] = (),
    idempotency_key: str = "",
    sees: bool = True,
) -> Order:
    """Check all of a request that can be checked before it is accepted; raises as `accept`.

    `sees`: look at the thread now. Without it the run is accepted only where the thread is there for the caller.
    """
    scope.require("answer" if request.resumes else "run")
    only_on, thread = None, None
    completion = "keep" if thread_id is not None else request.on_completion or "delete"
    if completion != (request.on_completion or "keep"):  # nothing said is "keep" for its card
        request = request.model_copy(update={"on_completion": completion})
    if thread_id is not None:
        creates = request.if_not_exists == "create"
        if sees or not request.begins_anew:
            await see_thread(scope, thread_id, create=creates)
        elif not (creates or idempotency_key):
            thread = scope.house.thread_metadata.known(thread_id)
        only_on = OnlyOn(tenant=scope.caller.tenant, must_exist=not creates, metadata=thread)
        if thread is None:
            # Of another tenant's thread nothing is told: no run is accepted there.
            thread = await scope.house.thread_metadata.of(scope.house.il.pool, thread_id)
    if request.webhook is not None:
        policy = hooks.Policy.of(scope.house.il.application.config, scope.house.il.settings)
        policy.check(request.webhook)
        if policy.off:
            request = request.model_copy(update={"webhook": None})
    assistant = await resolve(scope, request.assistant_id)
    graph = scope.il.graph(assistant.graph)
    return order(
        request,
        assistant,
        graph,
        stream_modes=stream_modes,
        idempotency_key=idempotency_key,
        only_on=only_on,
        asked=asked_by(scope),
        thread=thread,
    )


async def submit(scope: Scope, thread_id: str | None, request: RunCreate, ordered: Order) -> Run:
    """Accept a run that was prepared; raises as `accept`."""
    if request.command is not None and request.resumes:
        if thread_id is None:
            raise UsageError("A run without a thread has nothing to resume.")
        answered = await scope.il.asubmit_resume(
            thread_id,
            request.command.resume,
            options=ordered.options,
            driving=ordered.driving,
            by=scope.caller.identity,
        )
        await scope.house.audit.note(scope.caller, "answer", thread_id, {"run": answered.run_id})
        return answered
    return await scope.il.asubmit(
        ordered.graph,
        ordered.given,
        thread_id=thread_id,
        model=ordered.model,
        context=ordered.context,
        options=ordered.options,
        driving=ordered.driving,
    )


async def see_thread(scope: Scope, thread_id: str, *, create: bool = False) -> Mapping[str, Any]:
    """Return a thread's row as the caller may see it, or nothing where it may be made.

    Raises:
        NotFound: there is none, or it is another tenant's.
    """
    try:
        return await scope.reader.store.thread(thread_id)
    except NotFound:
        if not create:
            raise
    if await _exists(scope, thread_id):  # another tenant's, or somebody made it at this moment
        return await scope.reader.store.thread(thread_id)
    return {}


async def _exists(scope: Scope, thread_id: str) -> bool:
    """Say whether a thread is there that the caller does not see: then it is another tenant's."""
    try:
        await scope.house.il.store.thread(thread_id)
    except NotFound:
        return False
    return True
