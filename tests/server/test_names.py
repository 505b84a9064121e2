"""Names of threads may have any printable character: each route finds them, and links of the dashboard lead there."""

from __future__ import annotations

import re
from urllib.parse import quote

import httpx
import pytest
from langgraph_sdk import get_sync_client
from websockets.sync.client import connect

NAMES = (
    *("tickets/4711", "/x", "x/", "a//b", "../x", "a%2Fb", "a%b", "a?b", "a#b", "a\\b", "a;b&c=d"),
    *("ü☃", "\U0001d54f b", " lead", "a'\"<b>", "runs", "search", "-x", "x" * 255, "/" * 255),
)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_thread_is_found_under_its_name(server: str, name: str) -> None:
    """Whatever its name, a thread is looked at, run, listed, shown and deleted under it, and under no other."""
    path = f"/threads/{quote(name, safe='')}"
    run = {"assistant_id": "echo", "input": {"said": name}}
    with httpx.Client(base_url=server) as client:
        made = client.post("/threads", json={"thread_id": name})
        waited = client.post(f"{path}/runs/wait", json=run)
        found = client.get(path)
        looked = [client.get(f"{path}/{each}").status_code for each in ("state", "runs", "history")]
        page = client.get(f"/ui{path}")
        streamed = client.post(f"{path}/runs/stream", json=run)
        gone = client.delete(path)

        assert made.json()["thread_id"] == found.json()["thread_id"] == name
        assert waited.json()["said"] == name
        assert looked == [200, 200, 200]
        assert page.status_code == streamed.status_code == 200
        assert gone.status_code == 204
        assert client.get(path).status_code == 404


def test_links_of_the_dashboard_lead_there(server: str) -> None:
    """The list of runs links a thread whose name has a slash so that its page is found."""
    name = "links/to?it"
    run = {"assistant_id": "echo", "input": {"said": "x"}, "if_not_exists": "create"}
    httpx.post(f"{server}/threads/{quote(name, safe='')}/runs/wait", json=run).raise_for_status()

    listed = httpx.get(f"{server}/ui/").text
    links = {each for each in re.findall(r'href="(/ui/threads/[^"?]*)', listed) if "links" in each}

    assert links
    assert {httpx.get(server + each).status_code for each in links} == {200}


def test_a_socket_finds_it(server: str) -> None:
    """A WebSocket on a thread whose name has a slash stays open."""
    httpx.post(f"{server}/threads", json={"thread_id": "socket/1"}).raise_for_status()
    place = f"{server.replace('http', 'ws')}/threads/socket%2F1/stream/events"

    with connect(place) as socket:
        socket.send('{"id": 1, "method": "subscription.nothing", "params": {}}')
        assert '"id":1' in str(socket.recv(timeout=10)).replace(" ", "")


@pytest.mark.parametrize(
    "name", [".", "..", "", " ", "a\0b", "a\nb", "a\u202eb", "x" * 256, "x" * 4096]
)
def test_names_that_nobody_could_ask_for(server: str, name: str) -> None:
    """A name that no path can hold, that does not show, or that is too long, is refused when a thread is made."""
    run = {"assistant_id": "echo", "input": {"said": "x"}, "thread_id": name}
    made = httpx.post(f"{server}/threads", json={"thread_id": name})

    assert made.status_code == 422
    assert httpx.post(f"{server}/runs/crons", json=run).status_code < 500


@pytest.mark.parametrize("path", ["a%00b", "%FF%FE", "a%0Ab", "x" * 300, "x" * 4096, "%2F" * 500])
@pytest.mark.parametrize(
    "route", ["/threads/{}", "/threads/{}/runs", "/ui/threads/{}", "/budgets/thread/{}"]
)
def test_names_that_are_none(server: str, route: str, path: str) -> None:
    """A path with what can be no name is refused, or finds nothing."""
    url = httpx.URL(server).copy_with(raw_path=route.format(path).encode())

    assert httpx.get(url).status_code in (400, 404, 422)


def test_the_client_finds_it(server: str) -> None:
    """LangGraph's client asks for a thread whose name has a slash, and finds it."""
    with get_sync_client(url=server, api_key=None) as client:
        client.threads.create(thread_id="sdk/1")

        assert client.threads.get("sdk/1")["thread_id"] == "sdk/1"
