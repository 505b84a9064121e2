"""Answers on their way out: whoever has something to do with the head of one is called once, with no layer of its own.

A layer that wrapped `send` would be passed by each part of an answer, and each stream has thousands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.types import Message, Scope, Send

ANSWER = "interlock.answer"
"""Under which a request keeps its answer."""

_HEADS = ("http.response.start", "websocket.accept")

Look = Callable[[Message], Awaitable[None] | None]
"""Sees the head of an answer before it is sent, and may change it; what it returns is awaited before."""


@dataclass(slots=True)
class Answer:
    """An answer as it is sent.

    Attributes:
        begun: its head is on its way.
        looks: who sees its head; who came last is nearest to what answers, and sees it first.
    """

    send: Send
    begun: bool = False
    looks: list[Look] = field(default_factory=list)

    async def __call__(self, message: Message) -> None:
        """Send a part of it."""
        if not self.begun and message["type"] in _HEADS:
            for look in reversed(self.looks):
                if (at_work := look(message)) is not None:
                    await at_work
            self.begun = True
        await self.send(message)


def seen_by(look: Look, scope: Scope, send: Send) -> Send:
    """Let the head of a request's answer be seen, and return what sends the answer."""
    answer: Answer | None = scope.get(ANSWER)
    if answer is None:
        answer = scope[ANSWER] = Answer(send)
        send = answer
    answer.looks.append(look)
    return send


def has_begun(scope: Scope) -> bool:
    """Say whether the head of a request's answer was sent, as far as anybody looks at it."""
    answer: Answer | None = scope.get(ANSWER)
    return answer is not None and answer.begun
