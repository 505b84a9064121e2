"""What waits for people, page by page: over HTTP, and in the dashboard's inbox."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import httpx
import pytest
from langgraph_sdk import get_sync_client

from tests.server.conftest import serving
from tests.server.many import answered, many_questions
from tests.server.test_dashboard_others import CONFIG


@pytest.fixture(scope="module")
def address(server_database: str) -> Iterator[str]:
    """The address of a server with 250 questions, the oldest first, and one of another graph behind them."""
    with serving(server_database, config=CONFIG) as address:
        many_questions(server_database, "t", 250)
        yield address


@pytest.fixture
def browser(address: str) -> Iterator[httpx.Client]:
    """Something that asks for pages, and follows where forms lead."""
    with httpx.Client(base_url=address, follow_redirects=True, timeout=60) as client:
        yield client


def test_the_list_is_paged_over_http(browser: httpx.Client) -> None:
    """A page says how many there are, and where the next one begins, unless it is the last."""
    first = browser.get("/approvals", params={"limit": 100, "graph": "asks"})
    last = browser.get("/approvals", params={"limit": 100, "graph": "asks", "offset": 200})

    assert [each["id"] for each in first.json()] == [f"q-t-{n}" for n in range(1, 101)]
    assert first.headers["X-Pagination-Total"] == "250"
    assert first.headers["X-Pagination-Next"] == "100"
    assert [each["id"] for each in last.json()] == [f"q-t-{n}" for n in range(201, 251)]
    assert "X-Pagination-Next" not in last.headers
    one = browser.get("/approvals", params={"thread_id": "t-7"})
    assert ([each["id"] for each in one.json()], one.headers["X-Pagination-Total"]) == (
        ["q-t-7"],
        "1",
    )
    assert browser.get("/approvals", params={"action": "pay"}).json() == []


def test_the_inbox_is_read_page_by_page(browser: httpx.Client) -> None:
    """Each page leads to the next and back, and every question is on one of them."""
    first = browser.get("/ui/approvals").text
    second = browser.get(_link(first, "next")).text
    third = browser.get(_link(second, "next")).text

    listed = [*_listed(first), *_listed(second), *_listed(third)]
    assert listed == [f"q-t-{n}" for n in range(1, 251)]
    assert "101–200 of 250" in second  # noqa: RUF001  # as it is written
    assert _link(third, "next") == _link(first, "prev") == ""
    assert _listed(browser.get(_link(third, "prev")).text) == _listed(second)
    assert _listed(browser.get(_link(second, "prev")).text) == _listed(first)


def test_a_question_is_shown_on_its_page(browser: httpx.Client) -> None:
    """An address that names a question alone shows it beside those around it."""
    text = browser.get("/ui/approvals/q-t-150").text

    assert "What of t-150?" in text
    assert _listed(text) == [f"q-t-{n}" for n in range(101, 201)]


def test_a_page_begins_where_it_began(browser: httpx.Client, server_database: str) -> None:
    """Where others answer what stands before a page it stays what it was, and also where its first one is answered."""
    many_questions(server_database, "u", 150)
    page = "/ui/approvals?from=q-u-11"
    answered(server_database, "q-u-1", "q-u-2", "q-u-11")

    listed = _listed(browser.get(page).text)
    answered(server_database, *(f"q-u-{n}" for n in range(1, 151)))
    behind = browser.get(page).text

    assert listed[:2] == ["q-u-12", "q-u-13"]
    assert "q-t-250" in _listed(behind)


def test_answering_goes_on_where_it_was(address: str, browser: httpx.Client) -> None:
    """After an answer the next question is open on the same page; several at once lead back to it, too."""
    with get_sync_client(url=address, api_key=None) as sdk:
        asked = []
        for topic in ("one", "two", "three"):
            thread = sdk.threads.create()["thread_id"]
            sdk.runs.wait(thread, "asks", input={"topic": topic})
            asked += [browser.get("/approvals", params={"thread_id": thread}).json()[0]["id"]]
    here = {"in:from": asked[0], "in:graph": "asks"}

    one = browser.post(
        f"/ui/approvals/{asked[0]}", data={"decision": "value", "value": "x", **here}
    )
    several = browser.post(
        "/ui/approvals/answers",
        data={"decision": "approve", "chosen": f"{asked[1]}:", **here},
    )

    assert dict(one.url.params) | {"said": ""} == {
        "graph": "asks",
        "from": asked[0],
        "open": asked[1],
        "said": "",
    }
    assert _listed(one.text)[:2] == asked[1:]
    assert several.url.params["from"] == asked[0]
    assert "1 thread refused" in html.unescape(several.text)


def _listed(text: str) -> list[str]:
    return re.findall(r'<li id="item-([^"]+)"', text)


def _link(text: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', text)
    return html.unescape(found[1]) if found else ""
