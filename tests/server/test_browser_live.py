"""Pages of the dashboard that are open for long: whoever works with them is not disturbed, and nothing piles up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server.browsing import PATIENCE, at_a_desk, launched, needs_chromium, painted, walked
from tests.server.conftest import SAMPLE, serving

pytestmark = needs_chromium

FOLDER = SAMPLE.parent
UPDATES = 300
"""How often a page is read again; each time something of it is another."""

REFRESH = """async (times) => {
    const address = document.querySelector('script[src*="app.js"]').src.replace("app.js", "live.js");
    const { refresh } = await import(address);
    const part = document.querySelector("[data-live][data-every], [data-live][data-events]");
    for (let n = 0; n < times; n += 1) if (!(await refresh(part))) throw new Error("not refreshed");
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(server_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose graphs answer, take many steps, and count what is in a basket."""
    config = tmp_path_factory.mktemp("live") / "langgraph.json"
    graphs = {name: f"{FOLDER}/graphs.py:{name}" for name in ("echo", "steps", "asks")}
    graphs["basket"] = f"{FOLDER}/basket.py:basket"
    config.write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    with serving(server_database, config=config, workers=4) as address:
        yield address


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page at a desk."""
    with at_a_desk(chromium, address) as page:
        yield page


def test_a_page_that_lost_its_server_says_so_and_comes_back(
    chromium: Browser, server_database: str
) -> None:
    """A page says on top that its server is away; when one serves again it is live, without a hand on it."""
    with serving(server_database, config=SAMPLE, workers=1) as address:
        context = chromium.new_context(base_url=address)
        page = context.new_page()
        page.goto("/ui/")
        lost = page.get_by_text("The server cannot be reached.")
        expect(lost).to_be_hidden()
    expect(lost).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".live")).to_have_text("Not live")

    port = str(urlsplit(address).port)
    with serving(server_database, "--port", port, config=SAMPLE, workers=1):
        expect(lost).to_be_hidden(timeout=PATIENCE)
        expect(page.locator(".live")).to_have_text("Live")
        page.request.post("/ui/start/echo", form={"value:said": "back again"})
        expect(page.get_by_role("row", name=re.compile("back again"))).to_be_visible()
        context.close()


@pytest.mark.parametrize("path", ["/ui/", "thread", "/ui/workers"])
def test_a_page_that_is_open_for_hours_does_not_grow(page: Page, path: str) -> None:
    """It is read again hundreds of times, and holds as many elements as before."""
    page.goto(_thread(page) if path == "thread" else path)
    page.evaluate(REFRESH, 5)
    before = page.evaluate("document.querySelectorAll('*').length")

    page.evaluate(REFRESH, UPDATES)

    assert abs(page.evaluate("document.querySelectorAll('*').length") - before) <= 20


def test_what_is_new_takes_neither_focus_nor_place(page: Page) -> None:
    """A line that has the focus keeps it while lines come and move; so does what somebody types."""
    first = _started(page, "first of all")
    _started(page, "second of all")
    page.goto("/ui/?graph=echo")
    line = page.get_by_role("link", name="first of all")
    expect(line).to_be_visible()
    line.focus()

    again = {"assistant_id": "echo", "input": {"said": "once more"}}
    page.request.post(f"{first.removeprefix('/ui')}/runs", data=again)
    expect(page.get_by_role("row").nth(1)).to_contain_text("first of all", timeout=PATIENCE)
    expect(line).to_be_focused()

    page.get_by_label("Search runs").fill("of all")
    _started(page, "third of all")
    expect(page.get_by_role("link", name="third of all")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_label("Search runs")).to_be_focused()


@pytest.mark.parametrize(
    "path", ["/ui/", "thread", "fork", "/ui/approvals", "/ui/budgets", "/ui/new-cron/steps"]
)
def test_everything_is_reached_with_tab_and_seen(page: Page, path: str) -> None:
    """The first stop leads to the content; each is in sight and marked; every link, button and field is among them."""
    thread = _thread(page)
    named = {"thread": thread, "fork": f"{thread}/fork?at={_step(page, thread)}"}
    page.goto(named.get(path, path))
    painted(page)

    stops = walked(page)

    assert "Skip to the content" in stops[0]
    wanted = page.evaluate("""[...document.querySelectorAll(
        "a[href], button:not(:disabled), input:not([type=hidden]):not(:disabled), select, textarea, summary"
    )].filter((each) => each.checkVisibility({ visibilityProperty: true }) && each.tabIndex >= 0
        && !each.closest("details:not([open]) > :not(summary)")).length""")
    assert len(stops) >= wanted


def test_entries_are_added_to_a_list_in_a_form(page: Page) -> None:
    """What is begun has an empty entry behind it; what was written in both is given."""
    page.goto("/ui/start/basket")
    for number, name in enumerate(("apples", "pears")):
        page.get_by_text("Add one").nth(number).click()
        page.locator(f'[name="value:items.{number}.name"]').fill(name)
        page.locator(f'[name="value:items.{number}.many"]').fill("3")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#top .status")).to_have_text("succeeded", timeout=PATIENCE)
    page.get_by_role("link", name="State").click()
    expect(page.get_by_text("apples")).to_be_visible()
    expect(page.get_by_text("pears")).to_be_visible()


def _started(page: Page, said: str) -> str:
    answer = page.request.post("/ui/start/echo", form={"value:said": said})
    return urlsplit(answer.url).path


def _thread(page: Page) -> str:
    path = _started(page, "to look at")
    page.goto(path)
    expect(page.locator("#top .status")).to_have_text("succeeded", timeout=PATIENCE)
    return path


def _step(page: Page, thread: str) -> str:
    found = re.search(r'id="step-([0-9a-f-]+)"', page.request.get(thread).text())
    assert found is not None
    return found[1]
