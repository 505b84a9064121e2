"""What a langgraph.json says of its server is what the server does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from langgraph_sdk import get_client

from tests.server.conftest import SAMPLE, serving

OWN_APP = """
import contextlib
from fastapi import FastAPI

lived = []

@contextlib.asynccontextmanager
async def lifespan(app):
    lived.append("begun")
    yield

app = FastAPI(lifespan=lifespan)

@app.get("/weather")
async def weather():
    return {"lived": lived}
"""


@pytest.fixture(scope="module")
def dressed(server_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose langgraph.json says much."""
    folder = tmp_path_factory.mktemp("dressed")
    (folder / "graphs.py").write_text(SAMPLE.with_name("graphs.py").read_text())
    (folder / "own.py").write_text(OWN_APP)
    (folder / "broken.py").write_text("raise ValueError('not today')")
    http = {
        "app": "./own.py:app",
        "mount_prefix": "agents-of/ours",
        "disable_store": True,
        "disable_runs": True,
        "cors": {"allow_origins": ["https://chat.example"], "allow_credentials": True},
    }
    graphs = {"echo": "./graphs.py:echo", "broken": "./broken.py:graph"}
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": graphs, "http": http, "ui": {"a": "./a.tsx"}}))
    loud = {"PYTHONWARNINGS": "error::UserWarning"}  # whoever starts a server would be shown them
    with serving(server_database, config=config, environment=loud) as address:
        yield address


async def test_a_server_may_stand_under_a_prefix(dressed: str) -> None:
    """The client reaches it there, and a proxy that takes the prefix away reaches it too."""
    for address in (f"{dressed}/agents-of/ours", dressed):
        async with get_client(url=address, api_key=None) as client:
            assert (await client.assistants.get("echo"))["graph_id"] == "echo"


def test_a_graph_that_cannot_be_imported_leaves_the_others_alone(dressed: str) -> None:
    """The server starts, and what is asked of that graph is refused with its error."""
    answer = httpx.get(f"{dressed}/assistants/broken/schemas")

    assert answer.status_code == 422
    assert "ValueError: not today" in answer.json()["detail"]
    assert httpx.get(f"{dressed}/assistants/echo/schemas").status_code == 200


@pytest.mark.parametrize("prefix", ["", "/agents-of/ours"])
@pytest.mark.parametrize(
    "path", ["/store/namespaces", "/runs/wait", "/threads/a/runs", "/threads/a/runs/b/join"]
)
def test_what_is_disabled_is_not_there(dressed: str, prefix: str, path: str) -> None:
    """It answers as a path that never was, and the reference does not name it."""
    answer = httpx.post(f"{dressed}{prefix}{path}", json={})
    paths = httpx.get(f"{dressed}/openapi.json").json()["paths"]

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    assert not [each for each in paths if "/runs" in each or each.startswith("/store")]
    assert "/threads/{thread_id}" in paths


def test_pages_of_other_places_are_let_in_as_it_says(dressed: str) -> None:
    """A browser is told so, with the headers that the client reads."""
    asked = {"Access-Control-Request-Method": "POST"}
    good, bad = "https://chat.example", "https://elsewhere.example"

    before = httpx.options(f"{dressed}/threads", headers={"Origin": good, **asked})
    answer = httpx.get(f"{dressed}/ok", headers={"Origin": good})
    other = httpx.get(f"{dressed}/ok", headers={"Origin": bad})

    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == good
    assert "Content-Location" in answer.headers["access-control-expose-headers"]
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in other.headers


def test_an_application_of_ones_own_has_the_other_paths(dressed: str) -> None:
    """It begins with the server, and answers what the server does not have."""
    assert httpx.get(f"{dressed}/weather").json() == {"lived": ["begun"]}
    assert httpx.get(f"{dressed}/no/such/path").json() == {"detail": "Not Found"}


def test_on_loopback_pages_of_this_machine_are_let_in(server: str) -> None:
    """A chat on another port works without more; a page from anywhere else does not."""
    near = httpx.get(f"{server}/ok", headers={"Origin": "http://localhost:3000"})
    far = httpx.get(f"{server}/ok", headers={"Origin": "http://localhost.example:3000"})

    assert near.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "access-control-allow-origin" not in far.headers
