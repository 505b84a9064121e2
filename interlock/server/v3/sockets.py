"""A thread over one WebSocket: commands come in, events go out for each subscription, each event once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import orjson
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from interlock.errors import Forbidden, InterlockError, StreamCut, UsageError
from interlock.server.authorizing import ONLY_LISTENS
from interlock.server.bodies import shape_of
from interlock.server.failures import status_of
from interlock.server.scope import Scope, may
from interlock.server.slashes import restored
from interlock.server.v3.commanding import Command, NotDone, Response, answer, no_command, refusal
from interlock.server.v3.folding import Event
from interlock.server.v3.wanting import Wanted
from interlock.server.v3.watching import pages
from interlock.server.wire import dumps

MOST = 32
"""Subscriptions of one connection."""

REMEMBERED = 10_000
"""Events of which it is known that they were sent: what two subscriptions want is sent once."""

FAULT, RESTART = 1011, 1012
"""What a connection is closed with when the server has a fault, and when it stops: the client goes on elsewhere."""


async def serve(websocket: WebSocket, thread_id: str) -> None:
    """Serve a connection until the client or the server goes; it is refused by closing it with 4000 and the status."""
    await websocket.accept()
    thread_id = restored(thread_id)
    try:
        scope = await may("read", "run", "answer")(websocket)
        await scope.reader.store.thread(thread_id)
    except (InterlockError, HTTPException) as error:
        status = error.status_code if isinstance(error, HTTPException) else status_of(error)
        await websocket.close(4000 + status, str(error)[:100])
    else:
        await _Connection(websocket, scope, thread_id).serve()


@dataclass(slots=True)
class _Connection:
    websocket: WebSocket
    scope: Scope
    thread_id: str
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    _sent: OrderedDict[int, None] = field(default_factory=OrderedDict)

    async def serve(self) -> None:
        try:
            with suppress(WebSocketDisconnect):
                while True:
                    await self._receive(await self.websocket.receive_text())
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _receive(self, text: str) -> None:
        said = _read(text, self.scope.house.il.settings.server_depth)
        try:
            command = Command.model_validate(said)
        except ValidationError:
            return await self._send(no_command(said))
        try:
            await self._do(command)
        except (NotDone, ValidationError, InterlockError, HTTPException) as error:
            await self._send(refusal(command.id, error))

    async def _do(self, command: Command) -> None:
        caller = self.scope.caller
        self.scope.house.rates.take(f"{caller.kind} {caller.tenant} {caller.identity}")
        match command.method:
            case "subscription.subscribe":
                await self._subscribe(command)
            case "subscription.unsubscribe":
                await self._unsubscribe(command)
            case _ if self.websocket.scope.get(ONLY_LISTENS):
                raise Forbidden(
                    "The application's handlers decide on each command.",
                    hint=f"Send it to POST /threads/{self.thread_id}/commands.",
                )
            case _:
                await self._send(await answer(self.scope, self.thread_id, command))

    async def _subscribe(self, command: Command) -> None:
        wanted = Wanted.model_validate(command.params)
        self.scope.require("read")
        if len(self._tasks) >= MOST:
            raise UsageError(f"A connection has at most {MOST} subscriptions.")
        made = await pages(self.scope, self.thread_id, wanted)
        name = str(uuid4())
        await self._send(Response(id=command.id, result={"subscription_id": name}))
        self._tasks[name] = asyncio.create_task(self._forward(made), name="interlock-socket")

    async def _unsubscribe(self, command: Command) -> None:
        name = str(command.params.get("subscription_id"))
        if (task := self._tasks.pop(name, None)) is None:
            raise NotDone("no_such_subscription", f"There is no subscription {name[:40]!r}.")
        task.cancel()
        await self._send(Response(id=command.id, result={}))

    async def _forward(self, made: AsyncGenerator[list[Event]]) -> None:
        try:
            async with aclosing(made):
                async for page in made:
                    for event in page:
                        await self._send_event(event)
        except StreamCut:
            await self.websocket.close(RESTART, "The server stops.")
        except WebSocketDisconnect:
            pass
        except InterlockError as error:
            await self._send(refusal(None, error))
            await self.websocket.close(FAULT, "The stream has ended.")

    async def _send_event(self, event: Event) -> None:
        if event.seq in self._sent:
            return
        self._sent[event.seq] = None
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        await self._send(event.message)

    async def _send(self, message: BaseModel | dict[str, Any]) -> None:  # JSON
        async with self._sending:
            await self.websocket.send_text(dumps(message).decode())


def _read(text: str, depth: int) -> Any:  # JSON, or nothing
    body = text.encode()
    if shape_of(body)[0] > depth:
        return None
    with suppress(ValueError):
        return orjson.loads(body)
    return None
