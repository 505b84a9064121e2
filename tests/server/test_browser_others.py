"""The pages beside runs and threads in a browser: the inbox by keys, what is live, and all in both themes and sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has none
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.server.conftest import serving
from tests.server.test_browser import CHROMIUM, DESKTOP, LOOKS, PATIENCE, SHOTS, pytestmark

__all__ = ["pytestmark"]

CONFIG = Path(__file__).parent.parent / "sample" / "served" / "langgraph.json"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


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
    """A page at a desk, which may not log an error."""
    context = chromium.new_context(base_url=address, viewport=DESKTOP, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert faults == []


def test_the_inbox_is_worked_through_by_keys(
    page: Page, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """`j` opens the next question, `e` its arguments, `a` approves after a second key; the next one is open then."""
    for payee in ("Ada", "Bob", "Cyd"):
        _waiting(sdk, payee, tmp_path)
    page.goto("/ui/approvals")
    first = page.locator(".asking .arguments")
    expect(first).to_contain_text("Ada")
    _painted(page)

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
    _seen(page, "approvals")


def test_several_are_chosen_by_keys_and_rejected(
    page: Page, sdk: SyncLangGraphClient, tmp_path: Path
) -> None:
    """`x` chooses what is open; a bar appears that rejects all of them, after it asked."""
    for payee in ("Dee", "Eve"):
        _waiting(sdk, payee, tmp_path)
    page.goto("/ui/approvals?action=pay")
    rows = page.locator(".pending li")
    many = rows.count()
    _painted(page)

    page.keyboard.press("x")
    expect(page.get_by_text("1 chosen")).to_be_visible()
    page.keyboard.press("j")
    expect(rows.nth(1)).to_have_class("chosen")
    page.keyboard.press("x")
    expect(page.get_by_text("2 chosen")).to_be_visible()
    _seen(page, "approvals-chosen")
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
    ):
        page.goto(path)
        expect(page.locator(".empty .code")).to_have_count(0)
        _seen(page, name)


def test_pages_that_have_nothing_to_show_say_so(page: Page) -> None:
    """What a filter leaves nothing of is told, with a way back."""
    page.goto("/ui/letters?kind=poison")
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()
    page.get_by_role("link", name="Show open letters").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dead letters")
    page.goto("/ui/budgets?kind=tenant")
    expect(page.get_by_role("heading", name="Nothing was taken yet")).to_be_visible()
    _seen(page, "budgets-empty")


def _waiting(sdk: SyncLangGraphClient, payee: str, folder: Path) -> None:
    given: dict[str, Any] = {"payee": payee, "amount": 5, "ledger": str(folder / "paid")}
    sdk.runs.wait(sdk.threads.create()["thread_id"], "payment", input=given)


def _painted(page: Page) -> None:
    """Wait until a page was drawn: a browser takes no keys for one that nobody has seen."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def _seen(page: Page, name: str) -> None:
    """Look at a page in both themes and on a phone: nothing sticks out, nothing is hard to reach, and keep pictures."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for kind, (theme, size) in LOOKS.items():
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], (name, kind)
        assert _serious(page) == [], (name, kind)
        page.screenshot(path=SHOTS / f"{name}-{kind}.png", full_page=kind.startswith("phone"))
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESKTOP)


def _serious(page: Page) -> list[Any]:
    """Return what axe finds that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
