"""The store: what graphs and clients remember across threads."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import BadRequestError, UnprocessableEntityError

import interlock
from interlock.errors import UsageError
from interlock.postgres.encryption import KeyRing, sealed_json
from interlock.postgres.item_seals import SEALED
from interlock.settings import Settings
from interlock.worker.expiring import EXPIRE_SECONDS
from tests.server.conftest import serving

REMEMBERING = Path(__file__).parent / "remembering" / "langgraph.json"


@pytest.fixture(scope="module")
def server(server_database: str) -> Iterator[str]:
    """The address of a server whose graphs remember."""
    with serving(server_database, config=REMEMBERING) as address:
        yield address


@pytest.fixture
async def acme(server_database: str) -> AsyncIterator[interlock.Interlock]:
    """The runtime, on behalf of a tenant."""
    settings = Settings(tenant="acme.co")
    async with interlock.aopen(server_database, config=REMEMBERING, settings=settings) as il:
        yield il


async def test_an_item_that_is_kept_for_hardly_a_moment(acme: interlock.Interlock) -> None:
    """Minutes that are written with an exponent are minutes; more than a century is refused."""
    await acme.items().aput(("moment",), "k", {"x": 1}, ttl=1e-9)

    with pytest.raises(UsageError, match="1e\\+300 minutes"):
        await acme.items().aput(("moment",), "k", {"x": 2}, ttl=1e300)


async def test_an_item_is_kept(client: LangGraphClient) -> None:
    """What is put is there, until it is deleted; deleting it again is no fault."""
    await client.store.put_item(["kept", "here"], key="k", value={"x": 1, "deep": {"y": [2]}})
    item = await client.store.get_item(["kept", "here"], key="k")
    await client.store.delete_item(["kept", "here"], key="k")
    await client.store.delete_item(["kept", "here"], key="k")

    assert (item["namespace"], item["key"]) == (["kept", "here"], "k")
    assert item["value"] == {"x": 1, "deep": {"y": [2]}}
    assert item["created_at"] == item["updated_at"]
    assert await client.store.get_item(["kept", "here"], key="k") is None


def test_an_item_is_kept_for_synchronous_clients(sync_client: SyncLangGraphClient) -> None:
    """A later put takes the place of an earlier one."""
    sync_client.store.put_item(["sync"], key="k", value={"x": 1})
    sync_client.store.put_item(["sync"], key="k", value={"z": 2})

    assert sync_client.store.get_item(["sync"], key="k")["value"] == {"z": 2}


async def test_search(client: LangGraphClient) -> None:
    """A search finds what is under a prefix, by its labels and not by their beginnings, last changed first."""
    for namespace, key, value in [
        (["find"], "top", {"n": 1}),
        (["find", "a"], "one", {"n": 1}),
        (["find", "b"], "two", {"n": 2}),
        (["finder"], "other", {"n": 1}),
    ]:
        await client.store.put_item(namespace, key=key, value=value)

    async def keys(**asked: Any) -> list[str]:
        found = await client.store.search_items(["find"], **asked)
        return [each["key"] for each in found["items"]]

    assert await keys() == ["two", "one", "top"]
    assert await keys(filter={"n": 1}) == ["one", "top"]
    assert await keys(filter={"n": {"$ne": 1}}) == ["two"]
    assert await keys(limit=1, offset=1) == ["one"]
    assert await keys(query="without an index this is a list") == ["two", "one", "top"]


async def test_an_unknown_operator(client: LangGraphClient) -> None:
    """An operator that there is not is refused as LangGraph's server refuses it."""
    with pytest.raises(BadRequestError, match="Unsupported operator"):
        await client.store.search_items(["find"], filter={"n": {"$like": 1}})


async def test_namespaces(client: LangGraphClient) -> None:
    """Namespaces are listed by prefix, suffix and depth; no tenant's label is among them."""
    for namespace in (["ns", "a", "x"], ["ns", "b", "x"], ["ns", "b", "y"]):
        await client.store.put_item(namespace, key="k", value={})

    async def names(**asked: Any) -> list[list[str]]:
        return (await client.store.list_namespaces(**asked))["namespaces"]

    assert await names(prefix=["ns"]) == [["ns", "a", "x"], ["ns", "b", "x"], ["ns", "b", "y"]]
    assert await names(prefix=["ns"], suffix=["x"]) == [["ns", "a", "x"], ["ns", "b", "x"]]
    assert await names(prefix=["ns"], max_depth=2) == [["ns", "a"], ["ns", "b"]]
    assert await names(prefix=["*", "b", "y"]) == [["ns", "b", "y"]]
    assert await names(prefix=["ns"], limit=1, offset=1) == [["ns", "b", "x"]]
    await client.store.put_item(["alone"], key="k", value={})
    assert await names(suffix=["*", "alone"]) == []  # which fits behind the label of the tenant


@pytest.mark.parametrize("namespace", [["a.b"], ["a", ""], ["nul\0"]])
def test_a_label_that_is_none(server: str, namespace: list[str]) -> None:
    """Labels are not empty and hold no periods, in every request."""
    item = {"namespace": namespace, "key": "k", "value": {}}
    answers = [
        httpx.put(f"{server}/store/items", json=item),
        httpx.request("DELETE", f"{server}/store/items", json=item),
        httpx.post(f"{server}/store/items/search", json={"namespace_prefix": namespace}),
        httpx.post(f"{server}/store/namespaces", json={"prefix": namespace}),
        httpx.post(f"{server}/store/namespaces", json={"suffix": namespace}),
    ]

    assert [each.status_code for each in answers] == [422] * 5


def test_no_namespace(server: str) -> None:
    """Nothing is stored at the root, nor where LangGraph keeps its own; an item is asked for by its namespace."""
    put = f"{server}/store/items"

    assert httpx.put(put, json={"namespace": [], "key": "k", "value": {}}).status_code == 400
    assert (
        httpx.put(put, json={"namespace": ["langgraph"], "key": "k", "value": {}}).status_code
        == 400
    )
    assert httpx.get(put, params={"namespace": "a..b", "key": "k"}).status_code == 422
    assert httpx.get(put, params={"key": "k"}).status_code == 422
    assert httpx.get(put, params={"namespace": "a"}).status_code == 422


async def test_a_value_that_is_none(client: LangGraphClient) -> None:
    """A value is an object."""
    with pytest.raises(UnprocessableEntityError):
        await client.store.put_item(["a"], key="k", value=[1])  # type: ignore[arg-type]  # that is the point


async def test_what_postgres_cannot_hold(client: LangGraphClient) -> None:
    """A character that Postgres cannot store is replaced, and fails nothing."""
    await client.store.put_item(["odd"], key="k", value={"x": "a\0b"})

    assert (await client.store.get_item(["odd"], key="k"))["value"] == {"x": "a\ufffdb"}


def test_a_filter_that_postgres_cannot_hold(server: str) -> None:
    """What no item can hold is found nowhere, and a number is compared however large it is."""

    def status(having: str) -> int:
        return httpx.post(
            f"{server}/store/items/search",
            content=f'{{"filter": {having}}}',
            headers={"content-type": "application/json"},
        ).status_code

    assert status('{"x": "\\ud800"}') == 200
    assert status('{"x": 123456789012345678901234567890}') == 200


async def test_items_expire(client: LangGraphClient, server_database: str) -> None:
    """An item whose time is over is not there any more, and is soon deleted; one that was refreshed lives on."""
    await client.store.put_item(["ttl"], key="short", value={"x": 1}, ttl=1)
    await client.store.put_item(["ttl"], key="read", value={"x": 1}, ttl=1)
    await _age(server_database, "ttl", seconds=50)
    await client.store.get_item(["ttl"], key="short", refresh_ttl=False)
    await client.store.get_item(["ttl"], key="read")
    await _age(server_database, "ttl", seconds=30)

    found = await client.store.search_items(["ttl"], refresh_ttl=False)
    async with asyncio.timeout(4 * EXPIRE_SECONDS):
        while await _stored(server_database, "ttl") != ["read"]:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.2)

    assert [each["key"] for each in found["items"]] == ["read"]
    assert await client.store.get_item(["ttl"], key="short") is None


async def test_a_search_refreshes(client: LangGraphClient, server_database: str) -> None:
    """What a search finds lives on, unless the client says that it should not."""
    await client.store.put_item(["found"], key="k", value={"x": 1}, ttl=1)
    for refresh in (None, False):
        await _age(server_database, "found", seconds=40)
        await client.store.search_items(["found"], refresh_ttl=refresh)

    await _age(server_database, "found", seconds=15)
    assert await client.store.get_item(["found"], key="k", refresh_ttl=False) is not None
    await _age(server_database, "found", seconds=10)
    assert await client.store.get_item(["found"], key="k", refresh_ttl=False) is None


async def test_graphs_remember(client: LangGraphClient) -> None:
    """A run has the store that clients see, in asynchronous and in synchronous nodes, across threads."""
    for _ in range(2):
        last = await client.runs.wait(None, "visits", input={"name": "ann"})

    assert last == {"name": "ann", "known": "visit 2"}
    item = await client.store.get_item(["visits", "ann"], key="count")
    assert item["value"] == {"times": 2}


async def test_a_store_of_its_own(client: LangGraphClient) -> None:
    """A graph that was compiled with a store keeps it."""
    await client.runs.wait(None, "own", input={"name": "eve"})

    assert await client.store.get_item(["visits", "eve"], key="count") is None


async def test_tenants_are_parted(client: LangGraphClient, acme: interlock.Interlock) -> None:
    """A tenant's runs and items are its own: nobody else's are seen, whatever is asked for."""
    run = await acme.ainvoke("visits", {"name": "bob"})
    mine = await acme.items().asearch(())
    theirs = await client.store.search_items([])

    assert run.output == {"name": "bob", "known": "visit 1"}
    assert [(each.namespace, each.key) for each in mine] == [(("visits", "bob"), "count")]
    assert ["visits", "bob"] not in [each["namespace"] for each in theirs["items"]]
    assert await acme.items().alist_namespaces() == [("visits", "bob")]
    assert await acme.items("other").asearch(()) == []


async def test_a_replay_remembers_nothing(
    client: LangGraphClient, acme: interlock.Interlock
) -> None:
    """A replay reads the store, and writes nothing to it."""
    run = await acme.ainvoke("visits", {"name": "cy"})
    await acme.areplay(run.thread_id)
    item = await acme.items().aget(("visits", "cy"), "count")

    assert item is not None
    assert item.value == {"times": 1}


def test_the_labels_of_tenants(server_database: str) -> None:
    """The database writes the label of a tenant as the store does."""
    from interlock.postgres.items import label_of

    with psycopg.connect(server_database) as connection:
        names = ["", "acme", "acme.co", "50%.2E"]
        rows = connection.execute(
            "select interlock.store_label(n) from unnest(%s::text[]) as n", [names]
        )
        labels = [row[0] for row in rows.fetchall()]

    assert labels == ["tenant=", "tenant=acme", "tenant=acme%2Eco", "tenant=50%25%2E2E"]
    assert [label_of(each) for each in names] == labels


def test_a_server_with_a_key(database_url: str) -> None:
    """What clients put stands in no row, is found by filters, and lives on; what another key encrypted is told of."""
    foreign = sealed_json(KeyRing((b"o" * 32,)), {"n": 1}, SEALED)
    environment = {"INTERLOCK_ENCRYPTION_KEY": base64.b64encode(b"k" * 32).decode()}
    with (
        serving(database_url, config=REMEMBERING, environment=environment) as address,
        psycopg.connect(database_url, autocommit=True) as sql,
    ):
        for n in (1, 2):
            item = {"namespace": ["a"], "key": f"k{n}", "value": {"n": n, "who": "ann"}, "ttl": 1}
            httpx.put(f"{address}/store/items", json=item).raise_for_status()
        sql.execute("update store set expires_at = now() + interval '30 seconds'")
        search = {"namespace_prefix": ["a"], "filter": {"n": 2}}
        found = httpx.post(f"{address}/store/items/search", json=search).json()["items"]
        live = sql.execute(
            "select key from store where expires_at > now() + interval '45 seconds'"
        ).fetchall()
        rows = sql.execute("select value::text from store").fetchall()
        sql.execute(
            "insert into store (prefix, key, value) values ('tenant=.b', 'k', %s)",
            [json.dumps(foreign)],
        )
        search["namespace_prefix"] = []
        refused = httpx.post(f"{address}/store/items/search", json=search)

    assert [each["value"] for each in found] == [{"n": 2, "who": "ann"}]
    assert live == [("k2",)]
    assert not any("ann" in row[0] for row in rows)
    assert (refused.status_code, "which is not among those that are set" in refused.text) == (
        500,
        True,
    )


async def _age(database: str, label: str, *, seconds: float) -> None:
    """Let items of a namespace grow old."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(
            "update store set expires_at = expires_at - %s * interval '1 second' where prefix = %s",
            [seconds, f"tenant=.{label}"],
        )


async def _stored(database: str, label: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        rows = await connection.execute(
            "select key from store where prefix = %s order by key", [f"tenant=.{label}"]
        )
        return [row[0] for row in await rows.fetchall()]
