"""Two long threads that share nothing, side by side: the first page of their ways at once, the rest on request."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient

STEPS = 110


@pytest.fixture
def threads(sync_client: SyncLangGraphClient) -> list[str]:
    """Two threads of so many steps, whose ends differ."""
    made = []
    for more in (0, 1):
        thread = sync_client.threads.create()["thread_id"]
        given: Any = {"count": STEPS + more, "seconds": 0.0}
        sync_client.runs.wait(thread, "steps", input=given)
        made.append(thread)
    return made


def test_the_rest_of_their_ways_is_read_on_request(server: str, threads: list[str]) -> None:
    """The page tells what differs in the end, and leads to the whole way of each; there nothing is left out."""
    with httpx.Client(base_url=server, timeout=120) as client:
        first = client.get("/ui/compare", params={"a": threads[0], "b": threads[1]}).text
        more = re.search(r'<a class="small" href="([^"]+)">and (\d+) more steps</a>', first)
        assert more is not None
        whole = client.get(html.unescape(more[1])).text

    assert "They have no step in common." in first
    assert f"step ×{STEPS}" not in first  # noqa: RUF001  # as it is written
    assert f"step ×{STEPS}" in whole  # noqa: RUF001  # as above
    assert "more steps" not in whole
    assert _state(first) == _state(whole)
    assert "<code>count</code>" in _state(first)
    assert "<code>done</code>" in _state(first)


def _state(text: str) -> str:
    return text.partition('aria-label="State"')[2].partition("</section>\n<section")[0]
