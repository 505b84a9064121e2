"""A name that means one thing to a tenant and another thing to everybody: what is done, is done to the tenant's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest

from tests.server.conftest import serving
from tests.server.test_tenants import make_keys


class Two(NamedTuple):
    """Two tenants' administrators; the other's thread `42` waits in a run."""

    mine: httpx.Client
    theirs: httpx.Client
    run_id: str


@pytest.fixture(scope="module")
def two(server_database: str) -> Iterator[Two]:
    """One server, two tenants."""
    keys = asyncio.run(make_keys(server_database))
    with (
        serving(server_database) as server,
        client_of(server, keys["acme"]) as mine,
        client_of(server, keys["bolt"]) as theirs,
    ):
        theirs.post("/threads", json={"thread_id": "42"}).raise_for_status()
        begin(theirs, "42", "asks", {"topic": "x"})
        (run,) = theirs.get("/threads/42/runs").json()
        yield Two(mine, theirs, run["run_id"])


def client_of(server: str, key: str) -> httpx.Client:
    """Return a client that shows a key."""
    return httpx.Client(base_url=server, headers={"x-api-key": key}, timeout=30)


def begin(client: httpx.Client, thread_id: str, graph: str, given: dict[str, str]) -> None:
    """Run a graph on a thread."""
    body = {"assistant_id": graph, "input": given, "if_not_exists": "create"}
    client.post(f"/threads/{thread_id}/runs/wait", json=body).raise_for_status()


def beginning_with_42() -> str:
    """Return a name as they are generated, which begins as the other tenant's thread is called."""
    return f"42{str(uuid4())[2:]}"


def test_a_beginning_is_not_another_tenants_whole_name(two: Two) -> None:
    """The beginning of my thread's name is all of the name of another tenant's: my thread is meant."""
    mine = beginning_with_42()
    begin(two.mine, mine, "echo", {"said": "x"})

    killed = two.mine.post("/kills", json={"scope": "thread", "name": "42", "reason": "x"})
    limited = two.mine.put("/budgets/thread/42", json={"limits": {"usd": 1}})

    assert (killed.status_code, killed.json()["name"]) == (200, mine)
    assert (limited.status_code, limited.json()["name"]) == (200, mine)
    assert two.theirs.get("/kills").json() == []
    assert two.theirs.get("/budgets/thread/42").json()["limits"] == {}


def test_a_thread_that_is_called_as_another_tenants_run_leads_to_no_run(two: Two) -> None:
    """My thread has the name of another tenant's run: that run is neither stopped, nor switched off, nor limited."""
    begin(two.mine, two.run_id, "echo", {"said": "x"})

    killed = two.mine.post("/kills", json={"scope": "run", "name": two.run_id, "reason": "x"})
    limited = two.mine.put(f"/budgets/run/{two.run_id}", json={"limits": {"usd": 1}})
    cancelled = two.mine.post(f"/ui/threads/{two.run_id}/cancel")

    own = two.mine.get(f"/threads/{two.run_id}/runs").json()[0]["run_id"]
    assert killed.status_code == 404
    assert (limited.status_code, limited.json()["name"]) == (200, own)
    assert cancelled.status_code == 303
    assert two.theirs.get("/kills").json() == []
    assert two.theirs.get(f"/budgets/run/{two.run_id}").json()["limits"] == {}
    assert len(two.theirs.get("/approvals").json()) == 1


def test_a_budget_is_set_for_a_run_by_its_name(two: Two) -> None:
    """A run that has taken nothing yet has a budget, too."""
    mine = str(uuid4())
    begin(two.mine, mine, "echo", {"said": "x"})
    run_id = two.mine.get(f"/threads/{mine}/runs").json()[0]["run_id"]

    limited = two.mine.put(f"/budgets/run/{run_id}", json={"limits": {"usd": 2}})

    assert limited.json()["name"] == run_id


def test_rate_limits_are_no_tenants(two: Two) -> None:
    """A tenant that asks for rate limits sees none: they hold for several tenants."""
    assert two.mine.get("/limits").status_code == 200
