"""What other agents ask of an assistant: a message is a run, its context is a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson

from interlock.core.runs import Run
from interlock.core.stream_events import StreamEvent
from interlock.errors import NotFound
from interlock.postgres.assistants import Assistant
from interlock.postgres.run_cards import RunCards, Standing
from interlock.postgres.stored_runs import StoredRun
from interlock.server.a2a.messages import Message, Named, Sent, text_of
from interlock.server.a2a.wording import OVER, State, Task, Words
from interlock.server.documents_runs import ERROR, INTERRUPT, outcome, outward
from interlock.server.graph_documents import schemas
from interlock.server.requests import RunCreate, accept
from interlock.server.scope import Scope
from interlock.server.sse import HEARTBEAT_SECONDS
from interlock.server.waiting import ended
from interlock.server.wire import dumps

Json = dict[str, Any]

MODES = ("messages-tuple",)
"""What a run tells that another agent asked for."""

STATES: Mapping[str, State] = {
    "queued": "submitted",
    "running": "working",
    "waiting": "input-required",
    "succeeded": "completed",
    "cancelled": "canceled",
}
"""Of a run -> of a task; others have failed."""

FAILED = ("failed", "dead", "killed")

PARAMS, TASK, CANCEL, UNSUPPORTED = -32602, -32001, -32002, -32004
"""The protocol's codes for errors."""


class Refused(Exception):  # an answer, not a fault
    """A request that does nothing, with the protocol's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Agent:
    """An assistant as others call it, for one request."""

    scope: Scope
    assistant: Assistant
    words: Words

    async def send(self, sent: Sent) -> Json:
        """Take a message, and return what came of it; at once when that is asked for."""
        task_id, run = await self._taken(sent)
        if sent.configuration.waits:
            await ended(self.scope, run.run_id)
        task = await self._task(task_id, run.run_id)
        return self.words.sent(task, sent.configuration.history_length)

    async def stream(self, sent: Sent) -> AsyncGenerator[list[Json]]:
        """Take a message, and return what happens then."""
        task_id, run = await self._taken(sent)
        return self._told(task_id, run.run_id)

    async def get(self, named: Named) -> Json:
        """Return a task."""
        self.scope.require("read")
        task = await self._task(named.id, (await self._now(named.id)).run.run_id)
        return self.words.task(task, named.history_length)

    async def resubscribe(self, named: Named) -> AsyncGenerator[list[Json]]:
        """Return what happens to a task, from the beginning of the run that it is at."""
        self.scope.require("read")
        return self._told(named.id, (await self._now(named.id)).run.run_id)

    async def cancel(self, named: Named) -> Json:
        """Stop a task."""
        run = (await self._now(named.id)).run
        self.scope.require("run")
        if (await self._task(named.id, run.run_id)).state in OVER:
            raise Refused(CANCEL, f"Task {named.id} is over.")
        by = self.scope.caller.identity
        await self.scope.il.acancel(run.run_id, reason="Another agent cancelled it.", by=by)
        return self.words.task(await self._task(named.id, run.run_id))

    async def _taken(self, sent: Sent) -> tuple[str, Run]:
        """Return the task that a message is about, and the run that it became."""
        message = sent.message
        asking = await self._asking(message)
        said: Json = {"assistant_id": self.assistant.assistant_id, "metadata": sent.metadata}
        if asking is not None:
            said["command"] = {"resume": message.answer}
            thread_id = asking.run.thread_id
        else:
            said |= {"input": await self._input(message), "if_not_exists": "create"}
            thread_id = message.context_id or str(uuid4())
        request = RunCreate.model_validate(said)
        run = await accept(self.scope, thread_id, request, stream_modes=MODES)
        return (asking.chain[0] if asking is not None else run.run_id), run

    async def _asking(self, message: Message) -> StoredRun | None:
        """Return the run that a message is the answer to; None for none."""
        if message.task_id is not None:
            stored = await self._now(message.task_id)
            if stored.run.status != "waiting":
                why = f"Task {message.task_id} asks nothing: send the message without its id."
                raise Refused(UNSUPPORTED, why)
            return stored
        if message.context_id is None:
            return None
        try:
            stored = await self.scope.reader.store.latest(message.context_id)
        except NotFound:  # a thread on which nothing has run, or that will be made
            return None
        return stored if stored.run.status == "waiting" else None

    async def _input(self, message: Message) -> Json:
        """Return a message as the graph's input: data as it is, the rest as what a person says."""
        given: Json = {}
        for each in message.data:
            if not isinstance(each, dict):
                raise Refused(PARAMS, "Data that is no object is no input.")
            given |= each
        if message.content is None:
            return given
        if "messages" not in await self._fields():
            why = f"The graph {self.assistant.graph} takes no messages: send data by its input's names."
            raise Refused(PARAMS, why)
        said = {"role": "user", "content": message.content, "id": message.message_id}
        return {**given, "messages": [*given.get("messages", ()), said]}

    async def _fields(self) -> Mapping[str, Any]:  # JSON schemas
        graph = self.scope.il.graph(self.assistant.graph)
        known = await asyncio.to_thread(schemas, graph, self.assistant.graph)
        return dict((known["input_schema"] or {}).get("properties") or {})

    async def _now(self, task_id: str) -> StoredRun:
        """Return the run that a task is at."""
        store = self.scope.reader.store
        try:
            first = await store.stored(task_id)
            latest = await store.latest(first.run.thread_id)
        except NotFound:
            raise Refused(TASK, f"There is no task {task_id!r}.") from None
        if first.run.graph != self.assistant.graph:
            raise Refused(TASK, f"There is no task {task_id!r} of this agent.")
        return latest if task_id in latest.chain else first

    async def _task(self, task_id: str, run_id: str) -> Task:
        standing = await RunCards(self.scope.reader.pool).stands(run_id)
        output = orjson.loads(dumps(await self._output(standing)))
        known = output if isinstance(output, dict) else {}
        failed = known.pop(ERROR, None)
        return Task(
            task_id=task_id,
            context_id=standing.thread_id,
            state=STATES.get(standing.status, "failed"),
            why=outward(failed, run_id) if failed else "",
            asks=known.pop(INTERRUPT, ()),
            output=None if failed else output,
        )

    async def _output(self, standing: Standing) -> Any:  # the graph's output
        if standing.checkpoint_id is None or standing.status in FAILED:
            return outcome(standing, None)
        names = (standing.graph, standing.thread_id, standing.checkpoint_id)
        return outcome(standing, await self.scope.reader.aoutcome(*names))

    async def _told(self, task_id: str, run_id: str) -> AsyncGenerator[list[Json]]:
        task, said = await self._task(task_id, run_id), set[str]()
        yield [self.words.sent(task)]
        async with aclosing(self.scope.reader.atail_pages(run_id, beat=HEARTBEAT_SECONDS)) as pages:
            async for page in pages:
                pieces = [piece for each in page for piece in self._said(task, each, said)]
                if pieces or not page:
                    yield pieces
        await ended(self.scope, run_id)
        task = await self._task(task_id, run_id)
        made = [self.words.made(task)] if task.state == "completed" and not said else []
        yield [*made, self.words.changed(task)]

    def _said(self, task: Task, event: StreamEvent, said: set[str]) -> Iterator[Json]:
        if event.mode != "messages":
            return
        message, _ = orjson.loads(event.data)
        name, text = str(message.get("id")), text_of(message)
        if text and message.get("type") in ("AIMessageChunk", "ai"):
            last = message["type"] == "ai" or message.get("chunk_position") == "last"
            yield self.words.said(task, name, text, more=name in said, last=last)
            said.add(name)
