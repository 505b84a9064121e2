"""Folding the subgraphs of a drawn graph in a browser: by mouse, by keys and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph_sdk import get_sync_client
from playwright.sync_api import Browser, Page, expect

from tests.server.browsing import (
    PHONE,
    at_a_desk,
    launched,
    look_at,
    needs_chromium,
    painted,
)
from tests.server.conftest import serving

pytestmark = needs_chromium

CONFIG = Path(__file__).parent / "deep" / "langgraph.json"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(server_database: str) -> Iterator[str]:
    """The address of a server whose graph has subgraphs in subgraphs."""
    with serving(server_database, config=CONFIG, workers=2) as address:
        yield address


@pytest.fixture(scope="module")
def thread(address: str) -> str:
    """A thread of that graph."""
    with get_sync_client(url=address, api_key=None) as client:
        thread = client.threads.create()["thread_id"]
        client.runs.wait(thread, "deep", input={"said": "a"})
        return thread


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page at a desk."""
    with at_a_desk(chromium, address) as page:
        yield page


def _names(page: Page) -> list[str]:
    return page.locator(".drawn text.name-node").all_text_contents()


def test_a_subgraph_is_folded_and_stays_so(page: Page, thread: str) -> None:
    """A mark folds what is inside; it stays folded at another step, and going back unfolds it."""
    page.goto(f"/ui/threads/{thread}")
    search = page.locator(".drawn text", has_text=re.compile("^search$"))
    expect(search).to_be_visible()
    look_at(page, "graph-unfolded")
    page.get_by_role("link", name="Fold research", exact=True).click()
    expect(search).to_have_count(0)
    look_at(page, "graph-folded")
    assert _names(page) == ["research", "write", "draft"]

    page.locator("[data-item] a").last.click()
    expect(page.get_by_role("heading", name=re.compile("^Step"))).to_be_visible()
    assert _names(page) == ["research", "write", "draft"]
    page.get_by_role("link", name="State", exact=True).click()
    expect(page.get_by_role("heading", name=re.compile("^State after"))).to_be_visible()
    assert _names(page) == ["research", "write", "draft"]
    page.get_by_role("link", name="Unfold research", exact=True).click()
    expect(search).to_be_visible()
    page.go_back()
    expect(search).to_have_count(0)


def test_by_keys(page: Page, thread: str) -> None:
    """A mark is reached and pressed by keys, and keeps the focus; all are folded by one link."""
    page.goto(f"/ui/threads/{thread}")
    painted(page)
    page.get_by_role("link", name="Fold research / read", exact=True).focus()
    page.keyboard.press("Enter")
    mark = page.get_by_role("link", name="Unfold research / read", exact=True)
    expect(mark).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Fold research / read", exact=True)).to_be_focused()

    page.get_by_role("link", name="Fold all", exact=True).click()
    expect(page.locator(".drawn text.name-node")).to_have_count(2)
    page.get_by_role("link", name="Unfold all", exact=True).click()
    expect(page.locator(".drawn text.name-node")).to_have_count(7)


def test_on_a_phone(page: Page, thread: str) -> None:
    """The mark is large enough for a finger."""
    page.set_viewport_size(PHONE)
    page.goto(f"/ui/threads/{thread}")
    box = page.get_by_role("link", name="Fold research", exact=True).bounding_box()

    assert box is not None
    assert min(box["width"], box["height"]) >= 24


def test_where_a_run_is_started(page: Page) -> None:
    """Folding there leaves what was typed as it is."""
    page.goto("/ui/start/deep")
    page.locator("#field-said").fill("half a sentence")
    page.get_by_role("link", name="Fold research", exact=True).click()
    expect(page.locator(".drawn text.name-node")).to_have_count(3)

    expect(page.locator("#field-said")).to_have_value("half a sentence")
    look_at(page, "start-folded")
