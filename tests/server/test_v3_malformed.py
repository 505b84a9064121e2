"""What is no command and no subscription, as LangGraph's server answers it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

JSON = {"content-type": "application/json"}


@pytest.fixture
def http(server: str) -> Iterator[httpx.Client]:
    """A client."""
    with httpx.Client(base_url=server, headers=JSON, timeout=30) as client:
        yield client


@pytest.fixture
def thread(http: httpx.Client) -> str:
    """A thread."""
    return str(http.post("/threads", json={}).json()["thread_id"])


@pytest.mark.parametrize("path", ["commands", "stream/events"])
@pytest.mark.parametrize(
    "text",
    [
        *(b"{", b"", b'{"id": NaN, "method": "x", "channels": ["values"]}', b'{"id": 1} x'),
        *(b'{"id": 1, "method": "\\ud800"}', b'{"channels": ["\\ud800"]}'),
        b'{"id": 1, "method": "run.start", "params": {"input": {"\\udfff": 1}}}',
        *(b'{"id": 1, "method": "\xff"}', b'{"id": 1, "method": "\xed\xa0\x80"}'),
    ],
)
def test_no_json(http: httpx.Client, thread: str, path: str, text: bytes) -> None:
    """What is no JSON is 400, and told as other errors are."""
    answer = http.post(f"/threads/{thread}/{path}", content=text)

    assert (answer.status_code, answer.json()) == (400, {"detail": "The body is no JSON."})


@pytest.mark.parametrize("path", ["commands", "stream/events"])
@pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream", ";;;"])
def test_what_says_that_it_is_something_else(
    http: httpx.Client, thread: str, path: str, kind: str
) -> None:
    """A body that does not say that it is JSON is 400: a page of any website may send it without being asked."""
    said = {"id": 1, "method": "zz", "channels": ["values"]}
    request = http.build_request("POST", f"/threads/{thread}/{path}", content=json.dumps(said))
    del request.headers["content-type"]
    if kind:
        request.headers["content-type"] = kind
    answer = http.send(request)

    assert answer.status_code == 400
    assert "send it with Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["commands", "stream/events"])
@pytest.mark.parametrize("text", ["[" * 900 + "]" * 900, '{"id":' * 900 + "1" + "}" * 900])
def test_what_is_too_deep(http: httpx.Client, thread: str, path: str, text: str) -> None:
    """What is nested too deep is 400 here, and not read."""
    answer = http.post(f"/threads/{thread}/{path}", content=text)

    assert answer.status_code == 400
    assert "nested more than 100 deep" in answer.json()["detail"]


@pytest.mark.parametrize("name", [True, False])
def test_true_and_false_name_a_command(http: httpx.Client, thread: str, name: bool) -> None:
    """They are numbers to LangGraph's server, and handed back as they came."""
    start = {"assistant_id": "echo", "input": {"said": "x"}}
    done = http.post(
        f"/threads/{thread}/commands", json={"id": name, "method": "run.start", "params": start}
    )
    refused = http.post(f"/threads/{thread}/commands", json={"id": name, "method": "zz"})
    odd = http.post(f"/threads/{thread}/commands", json={"id": name, "method": 3})

    told = [(each.status_code, each.json()["type"]) for each in (done, refused, odd)]
    assert told == [(200, "success"), (200, "error"), (400, "error")]
    assert all(each.json()["id"] is name for each in (done, refused, odd))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ([], None),
        (None, None),
        ({"method": "run.start"}, None),
        ({"id": 1}, 1),
        ({"id": "x", "method": "run.start"}, "x"),
        ({"id": 1.5, "method": "run.start"}, 1.5),
        ({"id": 1, "method": 3}, 1),
        ({"id": 2**70, "method": "run.start"}, 2.0**70),
        ({"id": {"a": 1}, "method": "run.start"}, None),
    ],
)
def test_no_command(http: httpx.Client, thread: str, said: Any, name: Any) -> None:
    """What has no number and no method is 400, in the words of the protocol and under the id that it has."""
    answer = http.post(f"/threads/{thread}/commands", content=json.dumps(said))

    told = answer.json()
    assert (answer.status_code, told["type"], told["id"]) == (400, "error", name)
    assert told["error"] == "invalid_argument"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"id": -1, "method": "run.start", "params": {}}, "invalid_argument"),
        ({"id": 1, "method": "run.start", "params": []}, "invalid_argument"),
        ({"id": 1, "method": "run.start", "params": None}, "invalid_argument"),
        ({"id": 1, "method": "", "params": {}}, "unknown_command"),
        ({"id": 1, "method": "x" * 200, "more": 1}, "unknown_command"),
    ],
)
def test_a_command_that_does_nothing(
    http: httpx.Client, thread: str, said: dict[str, Any], error: str
) -> None:
    """What is a command is answered with 200, also where nothing comes of it."""
    answer = http.post(f"/threads/{thread}/commands", json=said)

    told = answer.json()
    assert (answer.status_code, told["type"], told["id"]) == (200, "error", said["id"])
    assert told["error"] == error


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "valid dictionary"),
        (None, "valid dictionary"),
        ({}, "channels: Field required"),
        ({"channels": []}, "channels: List should have at least 1 item"),
        ({"channels": "values"}, "channels: Input should be a valid list"),
        ({"channels": ["zzz"]}, "channels.0: String should match"),
        ({"channels": ["values"], "since": "x"}, "since: Input should be a valid integer"),
    ],
)
def test_no_subscription(http: httpx.Client, thread: str, said: Any, told: str) -> None:
    """A subscription that means nothing is 400, and says what of it."""
    answer = http.post(f"/threads/{thread}/stream/events", content=json.dumps(said))

    assert answer.status_code == 400
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("{", None), ("[]", None), ('{"id": 7}', 7), ('{"id": "x"}', "x"), ('{"id":', None)),
        ('{"id": true}', True),
        ('{"id": 1, "method": "\\ud800"}', None),
        ('{"id": 1, "method": "zz", "params": ' + '{"a":' * 150 + "1" + "}" * 151, None),
    ],
)
def test_over_a_socket(server: str, thread: str, text: str, name: Any) -> None:
    """A connection outlives what is no command, and tells it under the id that it has."""
    address = f"{server.replace('http', 'ws')}/threads/{thread}/stream/events"
    with connect(address) as socket:
        socket.send(text)
        told = json.loads(socket.recv(timeout=30))
        socket.send('{"id": 8, "method": "odd"}')
        later = json.loads(socket.recv(timeout=30))

    assert (told["type"], told["id"], told["error"]) == ("error", name, "invalid_argument")
    assert (later["id"], later["error"]) == (8, "unknown_command")
