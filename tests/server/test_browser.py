"""The dashboard in a browser: a research run from its start to two branches side by side, in both themes, on a phone.

It takes Debian's chromium, which `.ci/run` installs; where there is none these tests are skipped, in CI they fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from interlock.demo import write_documents
from tests.server.browsing import PATIENCE, PHONE, at_a_desk, launched, look_at, needs_chromium
from tests.server.conftest import serving

pytestmark = needs_chromium

GRAPHS = Path(__file__).parent / "sample" / "graphs.py"

QUESTION = "How does Python resolve a name, and what does the nonlocal statement do?"
CHANGED = "What is a generator function?"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an application, and documents to research."""
    folder = tmp_path_factory.mktemp("browser")
    names = ("echo", "talker", "asks", "steps", "fails")
    graphs = {name: f"{GRAPHS}:{name}" for name in names} | {"research": "graphs.research:graph"}
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    write_documents(folder / "documents")
    return folder


@pytest.fixture(scope="module")
def address(server_database: str, place: Path) -> Iterator[str]:
    """A server with workers inside, and a browser's way to it."""
    with serving(server_database, config=place / "langgraph.json", workers=4) as address:
        yield address


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page at a desk."""
    with at_a_desk(chromium, address) as page:
        yield page


def test_a_research_run_from_start_to_compared_branches(page: Page, place: Path) -> None:
    """A run is started, watched, approved, forked from step 3 with a changed question, and compared with its fork."""
    _started(page, place, QUESTION)
    approve = page.get_by_role("button", name="Approve", exact=True)
    expect(approve).to_be_visible(timeout=PATIENCE)  # the page told by itself
    expect(page.locator("#top .status")).to_have_text("waiting")
    look_at(page, "approval")
    approve.click()
    expect(page.locator("#top .status")).to_have_text("succeeded", timeout=PATIENCE)
    parent = page.url

    page.locator(
        "[data-item]", has=page.locator(".step-number", has_text=re.compile("^3$"))
    ).get_by_role("link").click()
    expect(page.get_by_role("heading", name=re.compile("^Step 3"))).to_be_visible()
    look_at(page, "step")
    page.get_by_role("link", name="Fork from here").click()
    expect(page.locator("#field-question")).to_have_value(QUESTION)
    look_at(page, "fork")
    page.locator("#field-question").fill(CHANGED)
    page.get_by_role("button", name="Fork").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(CHANGED)
    assert page.url != parent
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible(timeout=PATIENCE)

    page.get_by_role("link", name="Compare with parent").click()
    expect(page.get_by_role("heading", name="Compare two threads")).to_be_visible()
    changed = page.locator(".change", has=page.locator("h3", has_text=re.compile("^question$")))
    expect(changed.locator(".side-a")).to_have_text(QUESTION)
    expect(changed.locator(".side-b")).to_have_text(CHANGED)
    expect(page.get_by_text("steps in common")).to_be_visible()
    look_at(page, "compare")


def test_the_list_of_runs_is_live(page: Page) -> None:
    """A run that begins elsewhere appears by itself, and its status changes; what is searched for stays."""
    page.goto("/ui/")
    search = page.get_by_label("Search runs")
    search.fill("platypus")
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()

    page.request.post("/ui/start/echo", form={"value:said": "a platypus appears"})

    line = page.get_by_role("row", name=re.compile("a platypus appears"))
    expect(line.locator(".status")).to_have_text("succeeded", timeout=PATIENCE)
    expect(search).to_have_value("platypus")
    expect(search).to_be_focused()
    page.goto("/ui/")
    expect(page.get_by_role("row", name=re.compile("a platypus appears"))).to_be_visible()
    look_at(page, "runs")


def test_what_a_model_says_is_shown_while_it_says_it(page: Page) -> None:
    """A run that tells something of itself shows it on its page, in words, without a reload; then its end."""
    page.goto("/ui/start/steps")
    page.get_by_label("count").fill("12")
    page.get_by_label("seconds").fill("0.5")
    page.get_by_role("button", name="Start").click()

    expect(page.locator("#said")).to_be_visible()
    expect(page.locator("#said [data-lines]")).to_contain_text("step 2")
    expect(page.locator("#top .status")).to_have_text("running")
    expect(page.locator("#top .status")).to_have_text("succeeded", timeout=PATIENCE)
    expect(page.locator("#said")).to_have_count(0)
    look_at(page, "steps")


def test_pages_are_used_with_the_keyboard(page: Page) -> None:
    """Keys walk the list and open a run, walk its steps, show all keys, and go to other pages."""
    page.request.post("/ui/start/echo", form={"value:said": "with the keyboard"})
    page.goto("/ui/?graph=echo")
    page.wait_for_load_state()  # before that nothing listens to keys
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    look_at(page, "keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("with the keyboard")
    page.get_by_role("link", name=re.compile("^1 echo")).click()
    expect(page.get_by_role("heading", name=re.compile("^Step 1"))).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("[")
    expect(page.get_by_role("heading", name=re.compile("^Step 0"))).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name=re.compile("^Step 1"))).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("f")
    expect(page.get_by_role("heading", name="Fork at step 1")).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()


def test_light_and_dark_are_chosen_and_stay(page: Page) -> None:
    """The switch changes between light and dark; the server draws the next page as chosen."""
    page.goto("/ui/")
    light = page.evaluate("getComputedStyle(document.body).color")
    page.get_by_role("button", name="Switch between light and dark").click()

    assert page.evaluate("getComputedStyle(document.body).color") != light
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).color") == light


def test_what_is_wrong_with_json_is_told_while_it_is_written(page: Page) -> None:
    """A field that takes JSON says what is wrong before the form is sent."""
    page.request.post("/ui/start/steps", form={"value:count": "1", "value:seconds": "0"})
    page.goto("/ui/?graph=steps")
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(page.locator("#top .status")).to_have_text("succeeded", timeout=PATIENCE)
    page.get_by_role("link", name=re.compile("^1 step")).click()
    page.get_by_role("link", name="Fork from here").click()
    field = page.get_by_label("done")
    field.fill("[1,")
    expect(page.locator("#box-done .fault")).to_contain_text("This is not JSON")
    field.fill("[1]")
    expect(page.locator("#box-done .fault")).to_be_hidden()


def test_asking_first_keeps_a_run(page: Page) -> None:
    """Cancelling asks first: going back keeps the run, agreeing ends it."""
    page.goto("/ui/start/steps")
    page.get_by_label("count").fill("200")
    page.get_by_label("seconds").fill("0.5")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#top .status")).to_have_text("running", timeout=PATIENCE)

    page.get_by_role("button", name="Cancel run").click()
    look_at(page, "confirm")
    page.get_by_role("button", name="Go back").click()
    expect(page.locator("#top .status")).to_have_text("running")
    page.get_by_role("button", name="Cancel run").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    expect(page.locator("#top .status")).to_have_text("cancelled", timeout=PATIENCE)


def test_everything_works_without_scripts(chromium: Browser, address: str) -> None:
    """With scripts off a run is started, its steps are read, and it is forked."""
    context = chromium.new_context(base_url=address, viewport=PHONE, java_script_enabled=False)
    page = context.new_page()
    page.goto("/ui/")
    page.get_by_role("link", name="Start a run").click()
    page.get_by_role("link", name="echo").click()
    page.get_by_label("said").fill("no scripts")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("no scripts")
    for _ in range(100):  # without scripts a page is loaded again by hand
        if page.locator("#top .status").inner_text() == "succeeded":
            break
        page.reload()
    page.get_by_role("link", name=re.compile("^1 echo")).click()
    page.get_by_role("link", name="Fork from here").click()
    page.get_by_role("button", name="Fork").click()
    expect(page.get_by_role("link", name="Compare with parent")).to_be_visible()
    context.close()


@pytest.mark.parametrize("view", ["talk", "state", "calls", "acts", "tree", "runs"])
def test_every_view_of_a_thread_can_be_read_by_all(page: Page, view: str) -> None:
    """Each view of a thread that talked holds on a desk and a phone, in both themes, for who sees and who listens."""
    page.request.post("/ui/start/talker", form={"value:messages": "Tell me a proverb."})
    page.goto("/ui/?graph=talker")
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(page.locator("#top .status")).to_have_text("succeeded", timeout=PATIENCE)

    page.goto(f"{page.url.partition('?')[0]}?view={view}")
    look_at(page, f"view-{view}")
    if view == "talk":
        expect(page.locator(".message-ai")).to_contain_text("All is well that ends well.")


def _started(page: Page, place: Path, question: str) -> None:
    page.goto("/ui/start/research")
    page.get_by_label("question").fill(question)
    page.get_by_label("sources").fill(str(place / "documents"))
    page.get_by_label("output").fill(str(place / "reports"))
    look_at(page, "start")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(question)
