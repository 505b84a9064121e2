"""A node that leaves its process, as it thinks: the server that works on its run stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from tests.server.conftest import serving

CONFIG = Path(__file__).parents[1] / "sample" / "working" / "langgraph.json"


@pytest.fixture(scope="module")
def server(server_database: str) -> Iterator[str]:
    """A server whose graph does what files in a folder say; it must end well."""
    with serving(server_database, config=CONFIG) as address:
        yield address


@pytest.mark.parametrize("file", ["exit-1", "interrupt-1"])
def test_a_node_that_exits_ends_its_run_and_not_the_server(
    server: str, tmp_path: Path, file: str
) -> None:
    """The run is an error, and the next one on the same server ends as it should."""
    (tmp_path / file).touch()
    given: dict[str, Any] = {"folder": str(tmp_path), "steps": 1}  # a state
    with get_sync_client(url=server, api_key=None) as client:
        failed = client.runs.wait(None, "working", input=given, raise_error=False)
        (tmp_path / file).unlink()
        done = client.runs.wait(None, "working", input=given)

    assert isinstance(failed, dict)
    assert "__error__" in failed
    assert done == {"done": 1}
