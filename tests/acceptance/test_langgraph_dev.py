"""LangGraph's development server serves our `langgraph.json`, driven by its SDK, offline."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

CONFIG = Path(__file__).parents[2] / "langgraph.json"
STARTS_WITHIN = 60
ANSWERS_WITHIN = 60

HARBOUR = """# The harbour of Brill

The harbour of Brill was opened in 1871. Its oldest pier is built of granite.

The lighthouse of Brill stands on the northern mole. Its lamp is lit every evening at dusk.
"""

Values = dict[str, Any]  # a run's values, as JSON


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the server on a free port; every address but this machine's is closed to it."""
    folder = tmp_path_factory.mktemp("server")
    port = _free_port()
    log = folder / "server.log"
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--config", str(CONFIG)]
    options = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("w") as output,
        subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            _until_ready(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _stop(process)


@pytest.fixture
async def client(server: str) -> AsyncIterator[LangGraphClient]:
    """Return the official client."""
    async with get_client(url=server) as client:
        yield client


async def test_server_finds_the_graph(client: LangGraphClient) -> None:
    """The graph of `langgraph.json` is offered under its name."""
    assistants = await client.assistants.search()

    assert [each["graph_id"] for each in assistants] == ["research"]


async def test_schemas_can_be_asked_for(client: LangGraphClient) -> None:
    """Studio and other clients can ask what a run takes and which knobs there are."""
    [assistant] = await client.assistants.search()
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])

    assert schemas["input_schema"] is not None
    assert {"question", "sources"} <= schemas["input_schema"]["properties"].keys()
    assert schemas["context_schema"] is not None
    assert "model" in schemas["context_schema"]["properties"]
    assert "ports" not in schemas["context_schema"]["properties"]


async def test_run_asks_before_it_publishes(client: LangGraphClient, tmp_path: Path) -> None:
    """A run over a folder stops with a question, and publishes when it is approved."""
    thread = (await client.threads.create())["thread_id"]
    asked = await _run(client, thread, input=_request(tmp_path))

    assert [each["name"] for each in _payload(asked)["action_requests"]] == ["publish_report"]
    assert list((tmp_path / "out").rglob("*.md")) == []

    done = await _run(client, thread, command={"resume": {"decisions": [{"type": "approve"}]}})
    [report] = (tmp_path / "out").rglob("*.md")

    assert "__interrupt__" not in done
    assert done["status"] == "published"
    assert "was opened in 1871" in report.read_text()


async def test_run_that_is_rejected_publishes_nothing(
    client: LangGraphClient, tmp_path: Path
) -> None:
    """A rejection with a reason leads to a new question, and no report."""
    thread = (await client.threads.create())["thread_id"]
    first = await _run(client, thread, input=_request(tmp_path))
    decision = {"type": "reject", "message": "Name the year first."}
    second = await _run(client, thread, command={"resume": {"decisions": [decision]}})

    assert first["__interrupt__"] != []
    assert second["__interrupt__"] != []
    assert list((tmp_path / "out").rglob("*.md")) == []


async def _run(client: LangGraphClient, thread: str, **how: Any) -> Values:  # the SDK's arguments
    async with asyncio.timeout(ANSWERS_WITHIN):
        values = await client.runs.wait(thread, "research", **how)
    assert isinstance(values, dict)
    assert "__error__" not in values, values["__error__"]
    return values


def _request(folder: Path) -> Values:
    sources = folder / "sources"
    sources.mkdir()
    (sources / "harbour.md").write_text(HARBOUR)
    question = "When was the harbour of Brill opened?"
    return {"question": question, "sources": [str(sources)], "output": str(folder / "out")}


def _payload(values: Values) -> Values:
    [question] = values["__interrupt__"]
    payload = question["value"]
    assert isinstance(payload, dict)
    return payload


def _environment() -> dict[str, str]:
    """Return an environment without keys and with a dead proxy for every address but our own."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
    dead = "http://127.0.0.1:9"
    proxies = {"HTTP_PROXY": dead, "HTTPS_PROXY": dead, "NO_PROXY": "127.0.0.1,localhost"}
    quiet = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "NO_COLOR": "1"}
    return {**kept, **proxies, **quiet}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while not _ready(f"http://127.0.0.1:{port}/ok"):
        if _ended(process) or time.monotonic() > deadline:
            pytest.fail(log.read_text()[-2000:], pytrace=False)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=0.1)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
