"""`/ok`, `/info`, and how errors are told."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

from interlock.server.limits import Rates
from interlock.server.routes import meta


@pytest.mark.parametrize("query", ["", "?check_db=0", "?check_db=1"])
def test_it_lives(server: str, query: str) -> None:
    """A server says that it lives."""
    assert httpx.get(f"{server}/ok{query}").json() == {"ok": True}


def test_what_watches_asks_for_the_head_alone(server: str) -> None:
    """Watchers of services often ask so, as they may ask LangGraph's server."""
    answer = httpx.head(f"{server}/ok")

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [("/ok", "10.0.0.7:8000", 200), ("/ok", "", 200), ("/threads/ok", "10.0.0.7:8000", 403)],
)
def test_what_watches_knows_an_address(server: str, path: str, host: str, status: int) -> None:
    """Load balancers ask each process by its address: whether it lives is said under any name, and nothing else is."""
    assert httpx.get(f"{server}{path}", headers={"host": host}).status_code == status


async def test_a_database_that_is_away() -> None:
    """Who asks for the database, too, is told that it does not answer, and not where it is."""
    app = FastAPI()
    app.include_router(meta.router)
    pool = AsyncConnectionPool("host=/nowhere", open=False)
    app.state.house = SimpleNamespace(il=SimpleNamespace(pool=pool), rates=Rates(10))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://s") as http:
        alone = await http.get("/ok")
        both = await http.get("/ok?check_db=1")

    assert alone.status_code == 200
    assert (both.status_code, both.json()) == (503, {"detail": "The database does not answer."})


def test_it_says_what_it_can(server: str) -> None:
    """`/info` reports the flags of the protocol, strict resume among them."""
    flags = httpx.get(f"{server}/info").json()["flags"]

    assert (flags["assistants"], flags["strict_resume"]) == (True, True)


def test_a_wrong_path(server: str) -> None:
    """What is not there is told as the protocol tells errors."""
    answer = httpx.get(f"{server}/nowhere")

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_the_first_page_is_the_dashboard(server: str) -> None:
    """Whoever opens the address in a browser gets to the dashboard."""
    answer = httpx.get(server, follow_redirects=True)

    assert answer.url.path == "/ui/"
    assert answer.headers["content-type"].startswith("text/html")
