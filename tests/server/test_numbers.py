"""Each answer names its request, and a fault of the server is told to programs and to people in their own ways."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from interlock.server import failures
from interlock.server.dashboard.routing import failure
from interlock.server.headers import SecureAnswers, named


@pytest.mark.parametrize("path", ["/ok", "/nowhere", "/ui/login", "/threads/none"])
def test_each_answer_names_its_request(server: str, path: str) -> None:
    """An answer of whatever kind has an id, another each time."""
    first, second = (httpx.get(server + path).headers["x-request-id"] for _ in range(2))

    assert len(first) == 16
    assert first != second


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("01J9-abc.D_e:f", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("two words", False),
        ("<script>", False),
        ("", False),
    ],
)
def test_a_client_may_name_it(server: str, given: str, taken: bool) -> None:
    """An id of a client's is its request's when it is short and plain."""
    said = httpx.get(f"{server}/ok", headers={"x-request-id": given}).headers["x-request-id"]

    assert (said == given) is taken


def faulty() -> Any:
    """Return an application with a fault."""
    app = FastAPI()
    failures.install(app, failure)

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("secret")

    return SecureAnswers(app)


async def asked(app: Any, accept: str) -> httpx.Response:
    """Ask an application for what is broken."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get("/broken", headers={"accept": accept, "x-request-id": "this-one"})


async def test_a_program_is_told_in_json() -> None:
    """A program is given JSON with the id to look for, and nothing of the fault itself."""
    answer = await asked(faulty(), "*/*")

    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "The server has a fault; its log says more, under request this-one."
    }
    assert answer.headers["x-request-id"] == "this-one"


async def test_a_person_is_told_on_a_page() -> None:
    """A browser is given a page with the id to look for, and nothing of the fault itself."""
    answer = await asked(faulty(), "text/html,application/xhtml+xml,*/*;q=0.8")

    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "Something went wrong here" in answer.text
    assert "request this-one" in answer.text
    assert "secret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


async def test_a_fault_before_any_route_is_told() -> None:
    """A fault of what stands before the routes is told in JSON, and passed on to whoever writes it down."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError("secret")

    answer = await asked(SecureAnswers(broken), "text/html")

    assert answer.status_code == 500
    assert answer.json()["detail"].endswith("under request this-one.")


async def test_the_log_names_the_request() -> None:
    """What is logged while a request is served names it."""
    logged = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "It broke\n", None, None)
    outside = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "It begins", None, None)
    assert named(outside)

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        assert named(logged)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    await asked(SecureAnswers(noting), "*/*")

    assert logged.getMessage() == "It broke [request this-one]"
    assert outside.getMessage() == "It begins"


def test_a_wrong_key_without_scripts(server: str) -> None:
    """A browser that sends a wrong key by itself is shown the page again, with what is wrong."""
    browser = {"accept": "text/html,*/*;q=0.8"}
    form = {"key": "ilk_000000000000_" + "a" * 43, "next": "/ui/letters"}

    answer = httpx.post(f"{server}/ui/login", data=form, headers=browser)

    assert answer.status_code == 401
    assert "The key is not valid" in answer.text
    assert 'value="/ui/letters"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "set-cookie" not in answer.headers
    assert "aria-invalid" not in httpx.get(f"{server}/ui/login").text
