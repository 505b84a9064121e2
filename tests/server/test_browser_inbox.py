"""The inbox of many questions in a browser: by keys from page to page, and by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server.browsing import at_a_desk, launched, look_at, needs_chromium, painted
from tests.server.conftest import serving
from tests.server.many import many_questions

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(server_database: str) -> Iterator[str]:
    """The address of a server with 150 questions."""
    with serving(server_database, workers=1) as address:
        many_questions(server_database, "m", 150)
        yield address


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page at a desk."""
    with at_a_desk(chromium, address) as page:
        yield page


def test_keys_lead_from_page_to_page(page: Page) -> None:
    """`j` at the end of a page opens the next one, and `k` at its beginning the last question before it."""
    shown, pager = page.locator(".asking .lead"), page.locator(".pager")
    page.goto("/ui/approvals?open=q-m-100")
    expect(shown).to_have_text("What of m-100?")
    painted(page)

    page.keyboard.press("j")
    expect(shown).to_have_text("What of m-101?")
    expect(pager).to_contain_text("101–150 of 150")  # noqa: RUF001  # as it is written
    page.keyboard.press("k")
    expect(shown).to_have_text("What of m-100?")
    expect(pager).to_contain_text("1–100 of 150")  # noqa: RUF001  # as above


def test_a_page_begins_at_its_top(page: Page) -> None:
    """The link to the next page shows its first question, in both themes and on a phone."""
    page.goto("/ui/approvals")
    page.get_by_role("link", name="Newer").click()
    first = page.locator("#item-q-m-101")

    expect(first).to_be_in_viewport()
    look_at(page, "inbox-page")
