"""Answers on their way out, and those who look at their heads."""

from __future__ import annotations

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.langgraph_json import Http
from interlock.server.answers import Answer, has_begun, seen_by
from interlock.server.headers import SecureAnswers
from interlock.server.metrics import Measured, Tally
from interlock.server.mounting import shared

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def part(text: bytes, *, more: bool = True) -> Message:
    """Return a part of a body."""
    return {"type": "http.response.body", "body": text, "more_body": more}


async def test_who_came_last_sees_a_head_first() -> None:
    """All who look, at once or by and by, see the head once, from the inside out, and no part behind it."""
    scope: Scope = {"type": "http"}
    sent: list[Message] = []
    seen: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def outer(message: Message) -> None:
        seen.append(f"outer {message['status']}")

    def inner(message: Message) -> None:
        seen.append(f"inner {message['status']}")
        message["status"] = 201

    first = seen_by(outer, scope, send)
    second = seen_by(inner, scope, first)
    before = has_begun(scope)
    for each in (dict(START), part(b"a"), part(b"b", more=False)):
        await second(each)

    assert second is first
    assert seen == ["inner 200", "outer 201"]
    assert [each.get("body") for each in sent] == [None, b"a", b"b"]
    assert (before, has_begun(scope)) == (False, True)


async def test_a_look_that_fails_holds_the_head_back() -> None:
    """Where somebody who looks at a head raises, nothing is sent, and another answer may be."""
    scope: Scope = {"type": "http"}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def broken(message: Message) -> None:
        if message["status"] == 200:
            raise ZeroDivisionError

    answer = seen_by(broken, scope, send)
    with pytest.raises(ZeroDivisionError):
        await answer(dict(START))
    begun = has_begun(scope)
    await answer({**START, "status": 500})

    assert begun is False
    assert [each["status"] for each in sent] == [500]


async def asked(app: ASGIApp, **headers: str) -> httpx.Response:
    """Ask an application."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get("/", headers=headers)


def counted(tally: Tally) -> dict[str, float]:
    """Return how many requests were counted, by their status."""
    return {
        sample.labels["status"]: sample.value
        for metric in tally.registry.collect()
        for sample in metric.samples
        if sample.name == "interlock_http_requests_total"
    }


async def test_the_layers_share_one_answer() -> None:
    """Parts of an answer pass one layer of ours, however many there are, and each has had its say."""
    given: list[Send] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        given.append(send)
        await send({**START, "headers": [(b"vary", b"Accept")]})
        await send(part(b"a", more=False))

    tally = Tally.new()
    layers = SecureAnswers(shared(Measured(app, tally), Http(), (), on_loopback=True))
    plain = await asked(layers)
    page = await asked(layers, origin="http://localhost:3000")

    answer = given[0]
    assert isinstance(answer, Answer)
    assert not isinstance(answer.send, Answer)
    assert plain.headers["vary"] == page.headers["vary"] == "Accept, Origin"
    assert "access-control-allow-origin" not in plain.headers
    assert page.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert plain.headers["x-frame-options"] == "DENY"
    assert counted(tally) == {"200": 2.0}


@pytest.mark.parametrize(
    ("said", "told"),
    [((), "Origin"), ((b"Accept",), "Accept, Origin"), ((b"a", b"b"), "a, b, Origin")],
)
@pytest.mark.parametrize("headers", [{}, {"origin": "http://localhost:3000"}])
async def test_whoever_asks_is_told_that_answers_vary(
    said: tuple[bytes, ...], told: str, headers: dict[str, str]
) -> None:
    """That an answer may be another for other pages is told to pages and to programs alike."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"vary", each) for each in said]})
        await send(part(b"a", more=False))

    answer = await asked(shared(app, Http(), (), on_loopback=True), **headers)

    assert answer.headers["vary"] == told


async def test_a_fault_is_counted_once() -> None:
    """A fault without an answer is counted, and not again when somebody further out answers it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    tally = Tally.new()
    answer = await asked(SecureAnswers(Measured(app, tally)))

    assert answer.status_code == 500
    assert counted(tally) == {"500": 1.0}
