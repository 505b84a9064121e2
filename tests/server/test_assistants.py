"""Assistants, as LangGraph's client makes, changes, finds and reads them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    UnprocessableEntityError,
)

from interlock.core.sync import run_sync
from interlock.postgres.assistants import AssistantStore
from interlock.postgres.keys import KeyStore
from interlock.postgres.pool import open_pool
from interlock.postgres.tenants import TenantStore
from tests.server.conftest import serving

ECHO = "046b5dc7-2108-582c-9c6c-31d556d138f0"
"""What LangGraph's server calls the assistant of a graph named `echo`."""

STEPPING = {
    "count": {"title": "Count", "type": "integer"},
    "seconds": {"title": "Seconds", "type": "number"},
    "done": {"items": {"type": "integer"}, "title": "Done", "type": "array"},
}


async def test_each_graph_has_the_assistant_that_langgraph_gives_it(
    client: LangGraphClient,
) -> None:
    """Ids of default assistants that a client has stored stay true, and the graph's name is one of them."""
    by_id, by_name = await client.assistants.get(ECHO), await client.assistants.get("echo")

    assert by_id == by_name
    assert by_id["graph_id"] == by_id["name"] == "echo"
    assert by_id["metadata"] == {"created_by": "system"}
    assert by_id["version"] == 1


async def test_servers_that_start_at_once_make_each_assistant_once(server_database: str) -> None:
    """The assistants of graphs are rows: of two servers one makes each, and a restart makes none anew."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(_started, [server_database] * 2))

    with psycopg.connect(server_database) as connection:
        made = connection.execute(
            "select graph, count(*) from interlock.assistant_versions where tenant = '*' group by 1"
        ).fetchall()

    assert len(made) >= 6
    assert {number for _, number in made} == {1}


def _started(database: str) -> None:
    with serving(database, workers=0):
        pass


async def test_an_assistant_is_what_it_was_made_as(client: LangGraphClient) -> None:
    """What was given is kept; a context is `configurable` too, its older name."""
    made = await client.assistants.create(
        "echo",
        {"recursion_limit": 7, "tags": ["a"]},
        context={"city": "Rome"},
        metadata={"team": "red"},
        name="Mine",
        description="For Rome.",
    )

    found = await client.assistants.get(made["assistant_id"])

    assert found == made
    assert found["config"] == {
        "recursion_limit": 7,
        "tags": ["a"],
        "configurable": {"city": "Rome"},
    }
    assert found["context"] == {"city": "Rome"}
    assert found["metadata"] == {"team": "red"}
    assert (found["name"], found["description"]) == ("Mine", "For Rome.")


async def test_configurable_is_the_context_too(client: LangGraphClient) -> None:
    """An older client that gives `configurable` alone gives the context with it; both at once mean nothing."""
    made = await client.assistants.create("echo", {"configurable": {"city": "Rome"}})

    assert made["context"] == {"city": "Rome"}
    assert made["name"] == "Untitled"
    with pytest.raises(BadRequestError):
        await client.assistants.create("echo", {"configurable": {"a": 1}}, context={"b": 2})


async def test_an_id_that_is_taken(client: LangGraphClient) -> None:
    """It is a conflict, or the one that there is, as the client wants."""
    wanted = str(uuid4())
    made = await client.assistants.create("echo", assistant_id=wanted, name="first")

    with pytest.raises(ConflictError):
        await client.assistants.create("echo", assistant_id=wanted, name="second")
    again = await client.assistants.create(
        "echo", assistant_id=wanted, name="second", if_exists="do_nothing"
    )

    assert again == made


async def test_a_change_is_a_version_and_a_version_can_be_had_again(
    client: LangGraphClient,
) -> None:
    """What is not said stays, metadata is merged, and the number of a version is never given twice."""
    made = await client.assistants.create("echo", context={"a": 1}, metadata={"x": 1}, name="one")
    assistant_id = made["assistant_id"]

    second = await client.assistants.update(
        assistant_id, graph_id="steps", metadata={"y": 2}, name="two", description="d"
    )
    third = await client.assistants.update(assistant_id, config={"tags": ["t"]}, context={})

    assert (second["version"], second["graph_id"], second["name"]) == (2, "steps", "two")
    assert second["metadata"] == {"x": 1, "y": 2}
    assert second["context"] == {"a": 1}
    assert (third["version"], third["config"], third["context"]) == (3, {"tags": ["t"]}, {})

    first = await client.assistants.set_latest(assistant_id, 1)

    assert (first["version"], first["name"], first["context"]) == (1, "one", {"a": 1})
    assert first["metadata"] == {"x": 1}
    fourth = await client.assistants.update(assistant_id, name="four")
    assert (fourth["version"], fourth["graph_id"]) == (4, "echo")
    versions = await client.assistants.get_versions(assistant_id)
    assert [each["version"] for each in versions] == [4, 3, 2, 1]
    assert [each["name"] for each in versions] == ["four", "two", "two", "one"]
    page = await client.assistants.get_versions(assistant_id, {"y": 2}, limit=1, offset=1)
    assert [each["version"] for each in page] == [2]
    with pytest.raises(NotFoundError):
        await client.assistants.set_latest(assistant_id, 99)


async def test_two_changes_at_once_are_two_versions(server_database: str, server: str) -> None:
    """The second sees what the first did."""
    async with get_client(url=server, api_key=None) as client:
        made = await client.assistants.create("echo", name="both")

        def change(number: int) -> int:
            async def changed() -> int:
                async with get_client(url=server, api_key=None) as other:
                    metadata = {str(number): number}
                    found = await other.assistants.update(made["assistant_id"], metadata=metadata)
                    return found["version"]

            return run_sync(changed())

        with ThreadPoolExecutor(8) as pool:
            versions = list(pool.map(change, range(8)))

        found = await client.assistants.get(made["assistant_id"])
    assert sorted(versions) == list(range(2, 10))
    assert found["metadata"] == {str(number): number for number in range(8)}


async def test_a_default_assistant_that_is_changed_is_so_at_once(client: LangGraphClient) -> None:
    """This process remembers such assistants for a moment, and forgets what it changes itself."""
    await client.assistants.get("talker")
    await client.assistants.update("talker", name="Talker the second")

    assert (await client.assistants.get("talker"))["name"] == "Talker the second"
    assert (await client.assistants.set_latest("talker", 1))["name"] == "talker"


async def test_search_finds_by_graph_name_and_metadata(client: LangGraphClient) -> None:
    """Names by a part in any case, metadata by what it contains; the newest come first."""
    mark = str(uuid4())
    for number, name in enumerate(["Alpha", "beta", "Alphabet"]):
        graph = "echo" if number < 2 else "steps"
        await client.assistants.create(graph, metadata={"mark": mark, "n": number}, name=name)

    async def names(**wanted: object) -> list[str]:
        found = await client.assistants.search(metadata={"mark": mark}, **wanted)  # type: ignore[call-overload]  # each is one of its
        return [each["name"] for each in found]

    assert await names() == ["Alphabet", "beta", "Alpha"]
    assert await names(graph_id="echo") == ["beta", "Alpha"]
    assert await names(name="aLPHA") == ["Alphabet", "Alpha"]
    assert await names(name="%") == []
    assert await names(sort_by="name", sort_order="asc") == ["Alpha", "Alphabet", "beta"]
    assert await names(sort_by="graph_id", sort_order="desc", limit=1) == ["Alphabet"]
    assert await client.assistants.count(metadata={"mark": mark}, name="alpha") == 2
    with pytest.raises(NotFoundError):
        await client.assistants.search(graph_id="no such graph")


async def test_search_tells_where_the_next_page_begins(client: LangGraphClient) -> None:
    """The client is given the next offset, and none with the last page."""
    mark = str(uuid4())
    for number in range(3):
        await client.assistants.create("echo", metadata={"mark": mark}, name=str(number))

    first = await client.assistants.search(
        metadata={"mark": mark}, limit=2, select=["name"], response_format="object"
    )
    last = await client.assistants.search(
        metadata={"mark": mark}, limit=2, offset=2, select=["name"], response_format="object"
    )

    assert [dict(each) for each in first["assistants"]] == [{"name": "2"}, {"name": "1"}]
    assert [dict(each) for each in last["assistants"]] == [{"name": "0"}]
    assert (first["next"], last["next"]) == ("2", None)


async def test_an_assistant_that_is_deleted_is_gone(client: LangGraphClient) -> None:
    """It is not found after that, by whatever is asked for."""
    assistant_id = (await client.assistants.create("echo"))["assistant_id"]

    await client.assistants.delete(assistant_id)

    for asked in (
        client.assistants.get(assistant_id),
        client.assistants.get_graph(assistant_id),
        client.assistants.get_schemas(assistant_id),
        client.assistants.get_subgraphs(assistant_id),
        client.assistants.get_versions(assistant_id),
        client.assistants.set_latest(assistant_id, 1),
        client.assistants.update(assistant_id, name="x"),
        client.assistants.delete(assistant_id),
        client.assistants.get("no such graph"),
        client.assistants.create("no such graph"),
    ):
        with pytest.raises(NotFoundError):
            await asked


async def test_the_threads_of_an_assistant_go_with_it_if_wanted(client: LangGraphClient) -> None:
    """Those whose latest run was its; the others stay, and all of them do when nothing is said of them."""
    gone, kept = await client.assistants.create("echo"), await client.assistants.create("echo")
    threads = {}
    for assistant in (gone, kept):
        thread_id = threads[assistant["assistant_id"]] = (await client.threads.create())[
            "thread_id"
        ]
        await client.runs.wait(thread_id, assistant["assistant_id"], input={"said": "hi"})

    await client.assistants.delete(gone["assistant_id"], delete_threads=True)
    await client.assistants.delete(kept["assistant_id"])

    with pytest.raises(NotFoundError):
        await client.threads.get(threads[gone["assistant_id"]])
    state = await client.threads.get_state(threads[kept["assistant_id"]])
    assert state["values"] == {"said": "hi", "answered": "ih"}


async def test_what_means_nothing_is_refused_in_words(client: LangGraphClient) -> None:
    """The client's error says which field is wrong."""
    with pytest.raises(UnprocessableEntityError, match="assistant_id"):
        await client.assistants.create("echo", assistant_id="mine")
    with pytest.raises(UnprocessableEntityError, match="limit"):
        await client.assistants.search(limit=0)
    with pytest.raises(UnprocessableEntityError, match="xray"):
        await client.assistants.get_graph("echo", xray=-1)


async def test_the_graph_of_an_assistant(client: LangGraphClient) -> None:
    """Nodes and edges; `xray` shows those of subgraphs in place of the node that runs them."""
    plain = await client.assistants.get_graph("nested")
    deep = await client.assistants.get_graph("nested", xray=True)
    one_deep = await client.assistants.get_graph("nested", xray=1)

    assert plain == {
        "nodes": [
            {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
            {"id": "inner", "type": "runnable", "data": {"name": "inner"}},
            {"id": "after", "type": "runnable", "data": {"name": "after"}},
            {"id": "__end__"},
        ],
        "edges": [
            {"source": "__start__", "target": "inner"},
            {"source": "inner", "target": "after"},
            {"source": "after", "target": "__end__"},
        ],
    }
    assert {node["id"] for node in deep["nodes"]} == {
        "__start__",
        "after",
        "__end__",
        "inner:step",
    }
    assert one_deep == deep


async def test_the_schemas_of_a_graph(client: LangGraphClient) -> None:
    """What goes in, what comes out and the state, for forms and checks; null where there is none."""
    found = await client.assistants.get_schemas("nested")

    assert found["graph_id"] == "nested"
    assert found["input_schema"]["properties"] == STEPPING  # type: ignore[index]  # it is there
    assert found["output_schema"]["properties"] == STEPPING  # type: ignore[index]  # it is there
    assert found["state_schema"]["title"] == "nested_state"  # type: ignore[index]  # it is there
    assert list(found["state_schema"]["properties"]) == list(STEPPING)  # type: ignore[index]  # as above
    assert found["config_schema"] == {}
    assert found["context_schema"] is None


async def test_the_subgraphs_of_a_graph(client: LangGraphClient) -> None:
    """Their schemas by namespace; a namespace that is not there has none."""
    found = await client.assistants.get_subgraphs("nested", recurse=True)

    assert list(found) == ["inner"]
    assert found["inner"]["input_schema"]["properties"] == STEPPING  # type: ignore[index]  # it is there
    assert await client.assistants.get_subgraphs("nested", "inner") == found
    assert await client.assistants.get_subgraphs("nested", "other") == {}
    assert await client.assistants.get_subgraphs("echo") == {}


def test_the_synchronous_client_does_the_same(sync_client: SyncLangGraphClient) -> None:
    """Every method of it is served."""
    assistants = sync_client.assistants
    made = assistants.create("echo", name="in sync", metadata={"mark": "in sync"})
    assistant_id = made["assistant_id"]

    assert assistants.get(assistant_id) == made
    assert assistants.update(assistant_id, name="later")["version"] == 2
    assert len(assistants.get_versions(assistant_id)) == 2
    assert assistants.set_latest(assistant_id, 1)["name"] == "in sync"
    assert [each["name"] for each in assistants.search(metadata={"mark": "in sync"})] == ["in sync"]
    assert assistants.count(metadata={"mark": "in sync"}) == 1
    assert len(assistants.get_graph(assistant_id)["nodes"]) == 3
    assert assistants.get_schemas(assistant_id)["graph_id"] == "echo"
    assert assistants.get_subgraphs(assistant_id) == {}
    assistants.delete(assistant_id)
    with pytest.raises(NotFoundError):
        assistants.get(assistant_id)


async def test_a_default_assistant_of_another_application_is_not_shown(
    client: LangGraphClient, server_database: str
) -> None:
    """Servers of several applications may share a database; each shows the graphs that it has."""
    async with open_pool(server_database) as pool:
        await AssistantStore(pool).make_defaults(["elsewhere"])

    assert await client.assistants.search(name="elsewhere") == []
    with pytest.raises(NotFoundError):
        await client.assistants.get("elsewhere")


def test_tenants_use_what_is_everybodys_and_change_what_is_their_own(
    server: str, server_database: str, sync_client: SyncLangGraphClient
) -> None:
    """An assistant that the server made is refused a change; metrics, which are of all tenants, are too."""
    sync_client.assistants.create("echo", name="nobody's")
    key = run_sync(_tenant_key(server_database))
    with get_sync_client(url=server, api_key=key) as client:
        everybodys = client.assistants.get("echo")
        own = client.assistants.create("echo", name="acme's")
        changed = client.assistants.update(own["assistant_id"], name="acme's own")

        assert everybodys["assistant_id"] == ECHO
        assert changed["name"] == "acme's own"
        for refused in (
            lambda: client.assistants.update("echo", name="acme's"),
            lambda: client.assistants.set_latest(ECHO, 1),
            lambda: client.assistants.delete("echo"),
            lambda: client.http.get("/metrics"),
        ):
            with pytest.raises(PermissionDeniedError):
                refused()
        names = {each["name"] for each in client.assistants.search(limit=100)}
        assert {"echo", "acme's own"} <= names
        assert "nobody's" not in names


async def _tenant_key(database: str) -> str:
    async with open_pool(database, size=1) as pool:
        await TenantStore(pool).add("acme")
        return (await KeyStore(pool).create("acme-admin", ["admin"], tenant="acme")).secret


async def test_the_assistant_of_a_graph_that_was_deleted(client: LangGraphClient) -> None:
    """Who asks for the graph by its name is told what became of its assistant, and how it comes back."""
    own = await client.assistants.get("both")
    await client.assistants.delete(own["assistant_id"])

    with pytest.raises(NotFoundError, match=r"graph 'both' was deleted\. A server makes it again"):
        await client.runs.create(None, "both", input={})
