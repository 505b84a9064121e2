"""The pages beside runs and threads in a browser: the inbox by keys, what is live, and all in both themes and sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from playwright.sync_api import Browser, Page, expect

from tests.server.browsing import PATIENCE, at_a_desk, launched, look_at, needs_chromium, painted
from tests.server.conftest import serving

pytestmark = needs_chromium

CONFIG = Path(__file__).parent.parent / "sample" / "served" / "langgraph.json"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(server_database: str) -> Iterator[str]:
    """The address of a server whose graphs pay, ask, fail and echo."""
    with serving(server_database, config=CONFIG, workers=4) as address:
        yield address


@pytest.fixture
def sdk(address: str) -> Iterator[SyncLangGraphClient]:
    """LangGraph's client, which starts what the pages show."""
    with get_sync_client(url=address, api_key=None) as client:
        yield client


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page at a desk."""
    with at_a_desk(chromium, address) as page:
        yield page


def test_the_inbox_is_worked_through_by_keys(
    page: Page, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """`j` opens the next question, `e` its arguments, `a` approves after a second key; the next one is open then."""
    for payee in ("Ada", "Bob", "Cyd"):
        _waiting(sdk, payee, tmp_path)
    page.goto("/ui/approvals")
    first = page.locator(".asking .arguments")
    expect(first).to_contain_text("Ada")
    painted(page)

    page.keyboard.press("j")
    expect(first).to_contain_text("Bob")
    page.keyboard.press("e")
    expect(page.get_by_label("payee")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve").last).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_text("Answered")).to_be_visible()
    expect(first).to_contain_text("Cyd")
    look_at(page, "approvals")


def test_several_are_chosen_by_keys_and_rejected(
    page: Page, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """`x` chooses what is open; a bar appears that rejects all of them, after it asked."""
    for payee in ("Dee", "Eve"):
        _waiting(sdk, payee, tmp_path)
    page.goto("/ui/approvals?action=pay")
    rows = page.locator(".pending li")
    many = rows.count()
    painted(page)

    page.keyboard.press("x")
    expect(page.get_by_text("1 chosen")).to_be_visible()
    page.keyboard.press("j")
    expect(rows.nth(1)).to_have_class("chosen")
    page.keyboard.press("x")
    expect(page.get_by_text("2 chosen")).to_be_visible()
    look_at(page, "approvals-chosen")
    bar = page.locator(".several")
    bar.get_by_role("button", name="Reject").click()
    page.get_by_role("dialog").get_by_role("button", name="Reject").click()

    expect(page.get_by_text("Answered 2 questions")).to_be_visible()
    page.goto("/ui/approvals?action=pay")
    expect(rows).to_have_count(many - 2)


def test_what_waits_appears_by_itself(page: Page, sdk: SyncLangGraphClient, tmp_path: Path) -> None:
    """A question that is asked meanwhile appears in the inbox, and the figure beside it changes on any page."""
    page.goto("/ui/policies")
    figure = page.locator('[data-figure="approvals"]')
    before = int(re.sub(r"\D", "", figure.inner_text() if figure.is_visible() else "0"))
    _waiting(sdk, "Flo", tmp_path)
    expect(figure).to_contain_text(str(before + 1), timeout=PATIENCE)

    page.goto("/ui/approvals")
    _waiting(sdk, "Gus", tmp_path)
    expect(page.locator(".pending")).to_contain_text("Gus", timeout=PATIENCE)


def test_every_page_is_easy_to_read_everywhere(
    page: Page, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """Letters, failures, budgets, the switch, policies and workers: nothing sticks out, nothing is hard to reach."""
    thread = sdk.threads.create()["thread_id"]
    sdk.runs.wait(thread, "fails", input={"said": "boo"}, raise_error=False)
    page.request.put("/budgets/graph/fails", data={"limits": {"steps": 3, "usd": 1}})
    page.request.post("/kills", data={"scope": "graph", "name": "echo", "reason": "to look at it"})
    page.request.post(
        "/ui/new-cron/echo",
        form={"name": "report", "schedule": "0 7 * * *", "value:said": "good morning"},
    )
    (letter,) = [x for x in page.request.get("/letters").json() if x["thread_id"] == thread]

    for name, path in (
        ("letters", "/ui/letters"),
        ("letter", f"/ui/letters/{letter['id']}"),
        ("failures", "/ui/failures"),
        ("budgets", "/ui/budgets"),
        ("budget", "/ui/budgets/graph/fails"),
        ("switch", "/ui/budgets/switch?scope=graph&name=payment"),
        ("policies", "/ui/policies?action=pay&amount=7"),
        ("workers", "/ui/workers"),
        ("crons", "/ui/crons"),
        ("cron", "/ui/crons/report"),
        ("cron-form", "/ui/new-cron/payment"),
        ("limit", "/ui/workers/limits?target=provider:acme"),
        ("choose", "/ui/start"),
        ("sign-in", "/ui/login"),
    ):
        page.goto(path)
        expect(page.locator(".empty .code")).to_have_count(0)
        look_at(page, name)
        page.keyboard.press("Escape")  # leaves the field that the page begins in
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")


def test_pages_that_have_nothing_to_show_say_so(page: Page) -> None:
    """What a filter leaves nothing of is told, with a way back."""
    page.goto("/ui/letters?kind=poison")
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()
    page.get_by_role("link", name="Show open letters").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dead letters")
    page.goto("/ui/budgets?kind=tenant")
    expect(page.get_by_role("heading", name="Nothing was taken yet")).to_be_visible()
    look_at(page, "budgets-empty")


def _waiting(sdk: SyncLangGraphClient, payee: str, folder: Path) -> None:
    given: dict[str, Any] = {"payee": payee, "amount": 5, "ledger": str(folder / "paid")}
    sdk.runs.wait(sdk.threads.create()["thread_id"], "payment", input=given)
