"""Who may use the dashboard, and what they see of others: sessions, tokens of forms, roles, tenants."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest
from langgraph_sdk import get_sync_client

from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from interlock.postgres.tenants import TenantStore
from tests.server.conftest import serving

SECRET = "the secret plan of bolt"


class Place(NamedTuple):
    """A server with keys, and a thread of the tenant `bolt`."""

    address: str
    keys: dict[str, str]
    thread: str


@pytest.fixture(scope="module")
def place(server_database: str) -> Iterator[Place]:
    """A server with two tenants, one of which has a thread that waits."""
    keys = asyncio.run(_make_keys(server_database))
    with serving(server_database) as address:
        with get_sync_client(url=address, api_key=keys["bolt"]) as client:
            thread = client.threads.create()["thread_id"]
            client.runs.wait(thread, "asks", input={"topic": SECRET})
        yield Place(address, keys, thread)


async def _make_keys(database: str) -> dict[str, str]:
    async with open_pool(database, size=1) as pool:
        store = KeyStore(pool)
        made = {"viewer": (await store.create("viewer", ["viewer"])).secret}
        for name in ("acme", "bolt"):
            await TenantStore(pool).add(name)
            made[name] = (await store.create(name, ["admin"], tenant=name)).secret
        return made


def test_signing_in_keeps_a_session_and_not_the_key(place: Place) -> None:
    """A key gets a session, whose pages tell whose they are; signing out ends it; a wrong key is refused."""
    with _browser(place) as browser:
        wrong = browser.post("/ui/login", data={"key": "ilk_wrong"})
        assert wrong.status_code == 401

        home = browser.post("/ui/login", data={"key": place.keys["bolt"]})
        assert home.status_code == 200
        assert place.keys["bolt"] not in str(browser.cookies)
        assert "<span>bolt</span>" in home.text

        out = browser.post("/ui/logout", data={"csrf": _token(home.text)})
        assert out.url.path == "/ui/login"
        assert "Sign in" in out.text


def test_forms_of_a_session_carry_its_token(place: Place) -> None:
    """What would change something is refused without the token that the page's own forms carry."""
    with _browser(place) as browser:
        home = browser.post("/ui/login", data={"key": place.keys["bolt"]})

        refused = browser.post("/ui/start/echo", data={"value:said": "x"})
        taken = browser.post("/ui/start/echo", data={"value:said": "x", "csrf": _token(home.text)})

        assert refused.status_code == 403
        assert taken.status_code == 200
        assert taken.url.path.startswith("/ui/threads/")
        for path in (f"/ui/threads/{place.thread}", "/ui/start/echo"):
            forms = browser.get(path).text.split("<form")[1:]
            posting = [each for each in forms if 'method="post"' in each.partition(">")[0]]
            assert posting
            assert all('name="csrf"' in each.partition("</form>")[0] for each in posting)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ui/threads/{thread}"),
        ("GET", "/ui/threads/{thread}?view=state"),
        ("GET", "/ui/threads/{thread}?view=tree"),
        ("GET", "/ui/threads/{thread}/events"),
        ("GET", "/ui/threads/{thread}/fork?at=-1"),
        ("POST", "/ui/threads/{thread}/fork?at=-1"),
        ("POST", "/ui/threads/{thread}/cancel"),
        ("POST", "/ui/threads/{thread}/resume"),
        ("POST", "/ui/threads/{thread}/kill"),
        ("POST", "/ui/threads/{thread}/answer"),
        ("GET", "/ui/compare?a={thread}&b={thread}"),
    ],
)
def test_another_tenants_thread_is_not_there(place: Place, method: str, path: str) -> None:
    """Each page and each form about another tenant's thread says that there is none, and tells nothing of it."""
    with _browser(place, key="acme") as browser:
        answer = browser.request(method, path.format(thread=place.thread))

    assert answer.status_code == 404
    assert SECRET not in answer.text


def test_another_tenants_threads_are_not_listed(place: Place) -> None:
    """The list, its search and the figures beside the pages are of the caller's own."""
    with _browser(place, key="acme") as browser:
        for path in ("/ui/", "/ui/?q=secret", "/ui/?graph=asks", f"/ui/?q={place.thread}"):
            text = browser.get(path).text
            assert SECRET not in text
            assert "/ui/threads/" not in text
            assert not re.search(r'class="figure"[^>]*>[1-9]', text)


def test_who_may_only_look_is_offered_nothing_else(place: Place) -> None:
    """A viewer sees a thread without buttons, and is refused what they would do."""
    with _browser(place, key="viewer") as browser:
        text = browser.get(f"/ui/threads/{place.thread}").text
        cancelled = browser.post(f"/ui/threads/{place.thread}/cancel")
        answered = browser.post(f"/ui/threads/{place.thread}/answer")
        starting = browser.get("/ui/start/echo")

    assert SECRET in text
    assert "Your role may not answer it." in text
    assert 'action="/ui/threads' not in text
    assert [cancelled.status_code, answered.status_code, starting.status_code] == [403, 403, 403]


def _browser(place: Place, key: str = "") -> httpx.Client:
    headers = {"x-api-key": place.keys[key]} if key else {}
    return httpx.Client(base_url=place.address, headers=headers, follow_redirects=True, timeout=60)


def _token(text: str) -> str:
    found = re.search(r'<meta name="csrf" content="([^"]+)"', text)
    assert found is not None
    return found[1]
