"""The store is searched by meaning: as LangGraph's store in memory does it, whatever else the table holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.store.base import BaseStore, PutOp, SearchItem
from langgraph.store.memory import InMemoryStore

from interlock.app import abeside, aopen
from interlock.errors import UsageError
from interlock.facade import Interlock
from interlock.postgres.probing import PROBE
from interlock.postgres.tenants import TenantStore, seen_by
from interlock.settings import Settings
from tests.integration.meaning import meaning_graphs
from tests.integration.meaning.meaning_graphs import DIMS, embed, vector
from tests.saying import Say

FOLDER = Path(__file__).parent / "meaning"

ANIMALS: list[tuple[str, dict[str, Any]]] = [
    ("fox", {"text": "quick brown fox", "legs": 4}),
    ("dog", {"text": "lazy brown dog", "legs": 4}),
    ("hen", {"text": "clucking white hen", "legs": 2, "notes": ["lays eggs", "brown eggs"]}),
    ("eel", {"text": "slippery eel", "legs": 0}),
]

Found = list[tuple[str, float | None]]


def config(folder: Path, **index: Any) -> Path:
    """Write the application's langgraph.json with another index, and return where it is."""
    said = json.loads((FOLDER / "langgraph.json").read_text())
    said["dependencies"] = [str(FOLDER)]
    said["graphs"] = {"remember": f"{FOLDER}/meaning_graphs.py:remember"}
    embed = f"{FOLDER}/meaning_graphs.py:{index.pop('embed', 'embed')}"
    said["store"]["index"] |= {"embed": embed, **index}
    path = folder / "langgraph.json"
    path.write_text(json.dumps(said))
    return path


@pytest.fixture
def settings(database_url: str) -> Settings:
    """The settings of a runtime whose store is searched by meaning."""
    return Settings(database_url=database_url, config=FOLDER / "langgraph.json")


@pytest.fixture
def dotted(settings: Settings, tmp_path: Path) -> Settings:
    """The same application, whose model is the very module that the tests see, so that they can change it."""
    path = config(tmp_path)
    said = json.loads(path.read_text())
    said["store"]["index"]["embed"] = f"{meaning_graphs.__name__}:embed"
    path.write_text(json.dumps(said))
    return Settings(database_url=settings.database_url, config=path)


@pytest.fixture
async def il(settings: Settings) -> AsyncIterator[Interlock]:
    """The runtime."""
    async with aopen(settings=settings) as il:
        yield il


@pytest.fixture
def memory() -> InMemoryStore:
    """LangGraph's own store with the same index."""
    return InMemoryStore(index={"dims": DIMS, "embed": embed, "fields": ["text", "notes[*]"]})


async def fill(store: BaseStore) -> None:
    for key, value in ANIMALS:
        await store.aput(("animals",), key, value)


def scored(items: list[SearchItem]) -> Found:
    return [(item.key, None if item.score is None else round(item.score, 5)) for item in items]


@pytest.mark.parametrize(
    "asked",
    [
        {"query": "brown fox"},
        {"query": "brown eggs", "limit": 1},
        {"query": "brown fox", "filter": {"legs": 4}},
        {"query": "brown fox", "filter": {"legs": {"$ne": 4}}},
        {"query": "quick lazy brown dog", "limit": 2, "offset": 2},
    ],
    ids=["query", "an element", "filter", "operator", "offset"],
)
async def test_what_is_nearest_is_found_first(
    il: Interlock, memory: InMemoryStore, asked: dict[str, Any]
) -> None:
    """The items, their order and their scores are those of LangGraph's store in memory."""
    await fill(il.items())
    await fill(memory)

    found = scored(await il.items().asearch(("animals",), **asked))

    expected = scored(await memory.asearch(("animals",), **asked))
    assert len(found) == len(expected) > 0
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])
    assert dict(found) == pytest.approx(dict(expected))


async def test_the_scores_are_cosines(il: Interlock) -> None:
    """Two words of three that are shared are the cosine of two vectors of three words."""
    await fill(il.items())

    found = scored(await il.items().asearch(("animals",), query="lazy brown fox", limit=2))

    assert dict(found) == pytest.approx({"fox": 2 / 3, "dog": 2 / 3}, abs=1e-4)


async def test_others_leave_room(il: Interlock) -> None:
    """A thousand nearer items of other tenants and namespaces hide none, nor do many vectors of one item."""
    near = {"text": "quick brown fox"}
    for store in (il.items("bolt"), il.items()):
        await store.abatch([PutOp(("other",), str(number), near) for number in range(1000)])
    await il.items().aput(("animals",), "many", {"notes": ["brown fox"] * 200})
    await fill(il.items())

    found = await il.items().asearch(("animals",), query="brown fox", limit=5)

    assert found[0].key == "many"
    assert {item.key for item in found} == {"many", "fox", "dog", "hen", "eel"}


async def test_a_put_says_what_is_indexed(il: Interlock) -> None:
    """`index=False` leaves an item out of searches by meaning, and paths name other fields."""
    store = il.items()
    await store.aput(("put",), "not", {"text": "brown fox"}, index=False)
    await store.aput(("put",), "title", {"text": "eel", "title": "brown fox"}, index=["title"])

    found = await store.asearch(("put",), query="brown fox")

    assert scored(found) == [("title", 1.0)]
    assert {item.key for item in await store.asearch(("put",))} == {"not", "title"}


async def test_what_an_item_said_before_finds_it_no_more(il: Interlock) -> None:
    """A put takes the vectors of the one before with it, of elements and fields that are gone too."""
    store = il.items()
    for value, index in [
        ({"notes": ["brown fox", "eel"]}, None),
        ({"notes": ["hen"]}, None),
    ]:
        await store.aput(("again",), "k", value, index=index)
    await store.aput(("again",), "left", {"text": "brown fox"})
    await store.aput(("again",), "left", {"text": "brown fox"}, index=False)

    assert [score for _, score in scored(await store.asearch(("again",), query="hen"))] == [1.0]
    [found] = await store.asearch(("again",), query="brown fox")
    assert found.key == "k"
    assert found.score == pytest.approx(0.0, abs=1e-6)


async def test_nothing_said_is_near_to_nothing(il: Interlock) -> None:
    """A text without a word has no direction: it is not found, and finds all without a score."""
    store = il.items()
    await store.aput(("none",), "empty", {"text": ""})
    await store.aput(("none",), "fox", {"text": "brown fox"})

    assert scored(await store.asearch(("none",), query="brown fox")) == [("fox", 1.0)]
    assert scored(await store.asearch(("none",), query=" ")) == [("fox", None)]


async def test_a_field_that_is_named_twice_is_indexed_once(il: Interlock) -> None:
    """The same path twice is no fault, nor are two puts of one item in a batch: the later counts."""
    store = il.items()
    puts = [PutOp(("twice",), "k", {"text": said}, ["text", "text"]) for said in ("eel", "hen")]
    await store.abatch(puts)

    assert scored(await store.asearch(("twice",), query="hen")) == [("k", 1.0)]


async def test_tenants_find_their_own(il: Interlock, database_url: str) -> None:
    """A tenant's search finds its own, and its session of the database sees its own vectors."""
    for tenant in ("acme", "bolt.io"):
        await il.items(tenant).aput(("notes",), tenant[:4], {"text": "brown fox"})
        await TenantStore(il.pool).add(tenant, by="tests")

    found = await il.items("acme").asearch((), query="brown fox")
    with psycopg.connect(database_url, autocommit=True) as sql:
        role = sql.execute(
            "select role_name from interlock.tenants where tenant = 'acme'"
        ).fetchone()
        assert role is not None
        sql.execute(f"set role {role[0]}")
        seen = sql.execute("select key from store_vectors").fetchall()

    assert scored(found) == [("acme", 1.0)]
    assert seen == [("acme",)]


async def test_a_deleted_item_leaves_no_vector(il: Interlock, database_url: str) -> None:
    """Neither a deletion nor the end of its time leaves a vector."""
    store = il.items()
    await store.aput(("gone",), "deleted", {"text": "brown fox"})
    await store.aput(("gone",), "over", {"text": "brown fox"}, ttl=1)
    await store.adelete(("gone",), "deleted")
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute("update store set expires_at = now() - interval '1 minute'")
        assert await store.asearch(("gone",), query="brown fox") == []
        assert await il.aexpire_items() == 1
        left = sql.execute("select count(*) from store_vectors").fetchone()

    assert left == (0,)


async def test_a_synchronous_node_searches_by_meaning(il: Interlock) -> None:
    """The run's store has the same index."""
    await fill(il.items())

    run = await il.ainvoke("remember", {"asked": "slippery eel"})

    assert run.output["found"][0] == "eel"


async def test_vectors_of_two_models_are_not_compared(
    il: Interlock, settings: Settings, tmp_path: Path
) -> None:
    """Another model is refused with what to do; made anew, the vectors are its own."""
    await fill(il.items())
    other = config(tmp_path, embed="embed_at_once", dims=8)
    async with aopen(settings=Settings(database_url=settings.database_url, config=other)) as later:
        with pytest.raises(
            UsageError, match=r"16 numbers each; langgraph.json now names .* 8"
        ) as refused:
            await later.items().asearch(("animals",), query="brown fox")
        count = await later.aindex_items()
        found = await later.items().asearch(("animals",), query="slippery eel", limit=1)

    assert "interlock db index-items" in str(refused.value.hint)
    assert (count, scored(found)) == (4, [("eel", 1.0)])


async def test_items_from_before_are_indexed(settings: Settings, tmp_path: Path) -> None:
    """What was put while there was no index is found once vectors are made; when it changed is left."""
    path = tmp_path / "langgraph.json"
    path.write_text(json.dumps({"graphs": {"remember": f"{FOLDER}/meaning_graphs.py:remember"}}))
    async with aopen(settings=Settings(database_url=settings.database_url, config=path)) as before:
        await fill(before.items())
        [eel] = await before.items().asearch(("animals",), filter={"legs": 0})

    async with aopen(settings=settings) as il:
        assert await il.items().asearch(("animals",), query="slippery eel") == []
        assert await il.aindex_items() == 4
        [found] = await il.items().asearch(("animals",), query="slippery eel", limit=1)

    assert (found.key, found.updated_at) == ("eel", eel.updated_at)


async def test_a_vector_of_another_length_is_refused(settings: Settings, tmp_path: Path) -> None:
    """The refusal names the function, and both lengths."""
    other = config(tmp_path, embed="embed_short")
    async with aopen(settings=Settings(database_url=settings.database_url, config=other)) as il:
        with pytest.raises(
            UsageError, match=r"a vector of 3 numbers; `store.index.dims` .* says 16"
        ):
            await il.items().aput(("animals",), "fox", {"text": "brown fox"})
        assert await il.items().aget(("animals",), "fox") is None


async def test_vectors_stay_until_the_model_is_tried(
    il: Interlock, settings: Settings, tmp_path: Path
) -> None:
    """A model that does not do what langgraph.json says leaves the vectors that are there."""
    await fill(il.items())
    other = config(tmp_path, embed="embed_short")
    async with aopen(settings=Settings(database_url=settings.database_url, config=other)) as later:
        with pytest.raises(UsageError, match="a vector of 3 numbers"):
            await later.aindex_items()

    assert len(await il.items().asearch(("animals",), query="brown fox")) == 4


async def test_a_process_that_was_not_restarted_mixes_nothing(
    il: Interlock, settings: Settings, tmp_path: Path
) -> None:
    """Its vectors are of another length, and are refused."""
    await fill(il.items())
    other = config(tmp_path, embed="embed_at_once", dims=8)
    async with aopen(settings=Settings(database_url=settings.database_url, config=other)) as later:
        await later.aindex_items()
        with pytest.raises(psycopg.DataError, match="expected 8 dimensions, not 16"):
            await il.items().aput(("animals",), "late", {"text": "brown fox"})
        found = await later.items().asearch(("animals",), query="brown fox")

    assert len(found) == 4


def test_the_command_makes_vectors_anew(
    say: Say, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells how many items have new vectors."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", str(settings.database_url))
    monkeypatch.setenv("INTERLOCK_CONFIG", str(settings.config))

    assert say("db", "index-items") == (0, {"indexed": 0})


async def test_a_model_that_changed_under_its_name_is_noticed(
    dotted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its puts and searches by meaning are refused with what to do; the rest works, and made anew so do these."""
    async with aopen(settings=dotted) as il:
        await fill(il.items())
    monkeypatch.setattr(meaning_graphs, "vector", lambda text: vector(text)[::-1])
    async with aopen(settings=dotted) as later:
        store = later.items()
        with pytest.raises(UsageError, match=r"other vectors .* they are 0\.\d\d alike") as refused:
            await store.asearch(("animals",), query="brown fox")
        with pytest.raises(UsageError, match="other vectors"):
            await store.aput(("animals",), "cat", {"text": "brown cat"})
        assert await store.aget(("animals",), "cat") is None
        assert len(await store.asearch(("animals",))) == 4
        count = await later.aindex_items()
        found = await store.asearch(("animals",), query="slippery eel", limit=1)

    assert "interlock db index-items" in str(refused.value.hint)
    assert (count, scored(found)) == (4, [("eel", 1.0)])


async def test_a_model_that_rounds_otherwise_is_the_same(
    dotted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another library or machine changes the last digits."""
    async with aopen(settings=dotted) as il:
        await fill(il.items())
    monkeypatch.setattr(meaning_graphs, "vector", lambda text: [x + 0.01 for x in vector(text)])
    async with aopen(settings=dotted) as later:
        assert len(await later.items().asearch(("animals",), query="brown fox")) == 4


async def test_the_probe_costs_no_call_of_its_own(
    dotted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked once, with the first texts of a process."""
    asked: list[str] = []

    def heard(text: str) -> list[float]:
        asked.append(text)
        return vector(text)

    monkeypatch.setattr(meaning_graphs, "vector", heard)
    async with aopen(settings=dotted) as il:
        await il.items().aget(("animals",), "fox")
        for key in ("fox", "dog"):
            await il.items().aput(("animals",), key, {"text": key})

    assert asked == ["fox", PROBE, "dog"]


async def test_a_tenants_reader_compares_and_keeps_nothing(
    il: Interlock, database_url: str
) -> None:
    """Whoever may only read searches by meaning, also before the first put was compared."""
    await il.items("acme").aput(("notes",), "k", {"text": "brown fox"})
    await TenantStore(il.pool).add("acme", by="tests")
    await TenantStore(il.pool).part()
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute("delete from interlock.item_probe")
        known = await TenantStore(il.pool).tenant("acme")
        async with abeside(il, seen_by(il.url, known), tenant="acme") as reader:
            found = await reader.items().asearch((), query="brown fox", refresh_ttl=False)
        kept = sql.execute("select * from interlock.item_probe").fetchall()

    assert (scored(found), kept) == ([("k", 1.0)], [])


async def test_vectors_can_be_deleted(il: Interlock, database_url: str) -> None:
    """The items stay, and what is put from then on has vectors again while langgraph.json says so."""
    await fill(il.items())
    await il.aunindex_items()
    with psycopg.connect(database_url) as sql:
        left = sql.execute("select count(*) from store_vectors").fetchone()
    await il.items().aput(("animals",), "cat", {"text": "brown cat"})

    assert left == (0,)
    assert len(await il.items().asearch(("animals",))) == 5
    assert scored(await il.items().asearch(("animals",), query="brown cat")) == [("cat", 1.0)]
