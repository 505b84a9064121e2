"""`/ok`, `/info`, and how errors are told."""

from __future__ import annotations

import httpx


def test_it_lives(server: str) -> None:
    """A server says that it lives."""
    assert httpx.get(f"{server}/ok").json() == {"ok": True}


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
