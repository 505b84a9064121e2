"""What the store holds is encrypted where there is a key, and is searched all the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.store.base import BaseStore, PutOp, SearchItem

import interlock
from interlock import Interlock
from interlock.errors import KeyMissing, UsageError
from interlock.postgres import item_searches
from interlock.postgres.encryption import fingerprint
from interlock.postgres.maintenance import keys_in_use, plain_items
from interlock.settings import Settings
from tests.saying import Say

MEANING = Path(__file__).parent / "meaning" / "langgraph.json"
VISITS = Path(__file__).parents[1] / "server" / "remembering" / "langgraph.json"
WORD = "open-sesame"
ONE, OTHER = (bytes([each]) * 32 for each in (1, 2))
Open = Callable[..., AbstractAsyncContextManager[Interlock]]

VALUES: dict[str, dict[str, Any]] = {
    "one": {"n": 1, "word": "fox", "deep": {"b": 1, "aa": [1.5, None]}},
    "ten": {"n": 10, "word": "hen"},
    "real": {"n": 1.0, "word": "Fox"},
    "true": {"n": True},
    "null": {"n": None, "word": ""},
    "text": {"n": "1", "word": "fox"},
    "tiny": {"n": 0.0000001},
    "large": {"n": 1e22},
    "list": {"n": [1, "a"]},
    "none": {},
    "vast": {"vast": 10**32 + 1},
    "near": {"vast": 10**32},
}

DAY = date(2026, 3, 1)

FILTERS: list[dict[str, Any]] = [
    {"n": 1},
    {"n": True},
    {"n": None},
    {"n": "1"},
    {"n": [1.0, "a"]},
    {"n": {"$eq": 10.0}},
    {"n": {"$ne": 1}},
    {"n": {"$gt": 1}},
    {"n": {"$gte": 1, "$lt": 11}},
    {"n": {"$lte": "0.0000001"}},
    {"n": {"$gte": "10000000000000000000000"}},
    {"n": {"$gte": True}},
    {"n": {"$gt": "["}},
    {"word": "fox", "n": "1"},
    {"word": {"$ne": "fox"}},
    {"deep": {"$eq": {"aa": [1.5, None], "b": 1}}},
    {"deep": {"$gte": '{"b": 1, "aa": [1.5, null]}', "$lte": '{"b": 1, "aa": [1.5, null]}'}},
    {"gone": {"$ne": 1}},
    {"vast": 10**32 + 1},
    {"vast": {"$gte": 10**32}},
]


@pytest.fixture
def opened(database_url: str) -> Open:
    """Open the runtime with some keys."""

    def open_(*keys: bytes, config: Path = VISITS) -> AbstractAsyncContextManager[Interlock]:
        settings = Settings(encryption_key=keys)
        return interlock.aopen(database_url, config=config, settings=settings)

    return open_


async def fill(store: BaseStore) -> None:
    for key, value in VALUES.items():
        await store.aput(("kinds",), key, value)


def keys_of(items: list[SearchItem]) -> list[str]:
    return [item.key for item in items]


def stored(url: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("select key, value::text from store").fetchall())


async def test_values_stand_in_no_row(opened: Open, database_url: str) -> None:
    """Neither those of clients nor those of nodes; both read them as they were put."""
    async with opened(ONE) as il:
        await il.items().aput(("a",), "k", {WORD: WORD, "n": [1, 2.5, None]})
        for _ in range(2):
            last = await il.ainvoke("visits", {"name": "ann"})
        item = await il.items().aget(("a",), "k")
        [listed] = await il.items().asearch(("a",))

    assert last.output["known"] == "visit 2"
    assert item is not None
    assert item.value == listed.value == {WORD: WORD, "n": [1, 2.5, None]}
    values = stored(database_url)
    assert values.keys() == {"k", "count"}
    assert not any(WORD in each or "times" in each for each in values.values())


@pytest.mark.parametrize("having", FILTERS, ids=str)
async def test_filters_mean_what_they_mean_in_postgres(
    opened: Open, having: dict[str, Any]
) -> None:
    """The same items are found, in the same order, whether the values are encrypted or not."""
    async with opened() as il:
        await fill(il.items())
        plain = keys_of(await il.items().asearch(("kinds",), filter=having))
    async with opened(ONE) as il:
        mixed = keys_of(await il.items().asearch(("kinds",), filter=having))
        await fill(il.items())
        sealed = keys_of(await il.items().asearch(("kinds",), filter=having))

    assert plain == mixed == sealed


async def test_pages_of_a_search_hold_each_item_once(opened: Open) -> None:
    """Also where all were put at once, and more are looked into than are read at a time."""
    async with opened(ONE) as il:
        store = il.items()
        await store.abatch([PutOp(("many",), str(n), {"odd": n % 2}) for n in range(350)])
        await store.aput(("many2",), "other", {"odd": 1})
        pages = [
            keys_of(await store.asearch(("many",), filter={"odd": 1}, limit=40, offset=offset))
            for offset in range(0, 200, 40)
        ]

    found = [key for page in pages for key in page]
    assert [len(page) for page in pages] == [40, 40, 40, 40, 15]
    assert sorted(found, key=int) == [str(n) for n in range(1, 350, 2)]


@pytest.mark.parametrize("keys", [(), (ONE,)], ids=["plain", "encrypted"])
@pytest.mark.parametrize("having", [None, {"of": "us"}], ids=["all", "filter"])
async def test_pages_of_what_was_put_at_once_hold_each_item_once(
    opened: Open, keys: tuple[bytes, ...], having: dict[str, Any] | None
) -> None:
    """Their times are the same: each page has them in the order of their keys, as if it were read with the others."""
    async with opened(*keys) as il:
        store = il.items()
        await store.abatch([PutOp(("many",), f"{n:03}", {"of": "us"}) for n in range(200)])
        pages = [
            keys_of(await store.asearch(("many",), filter=having, limit=30, offset=offset))
            for offset in range(0, 210, 30)
        ]

    assert [key for page in pages for key in page] == [f"{n:03}" for n in range(200)]


async def test_a_search_that_would_open_too_much_is_refused(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do; one that finds enough before that, and one without a filter, are answered."""
    monkeypatch.setattr(item_searches, "MOST_OPENED", 200)
    async with opened(ONE) as il:
        store = il.items()
        await store.abatch([PutOp(("many",), str(n), {"odd": n % 2}) for n in range(201)])

        with pytest.raises(UsageError, match=r"more than 200 encrypted items below \['many'\]"):
            await store.asearch(("many",), filter={"odd": 2})
        assert len(await store.asearch(("many",), filter={"odd": 1}, limit=90)) == 90
        assert len(await store.asearch(("many",), limit=300)) == 201


async def test_items_that_are_not_encrypted_are_looked_into_without_an_end(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation of before that is given a key goes on finding what it found."""
    monkeypatch.setattr(item_searches, "MOST_OPENED", 100)
    async with opened() as il:
        await il.items().abatch([PutOp(("many",), str(n), {"n": n}) for n in range(301)])
    async with opened(ONE) as il:
        assert keys_of(await il.items().asearch(("many",), filter={"n": 300})) == ["300"]
        assert keys_of(await il.items().asearch(("many",), filter={"n": -1})) == []


async def test_only_what_is_found_lives_on(opened: Open, database_url: str) -> None:
    """A search refreshes what it returns, and not what it looked into."""
    async with opened(ONE) as il:
        for key, n in (("found", 1), ("not", 2)):
            await il.items().aput(("ttl",), key, {"n": n}, ttl=1)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("update store set expires_at = now() + interval '30 seconds'")
            await il.items().asearch(("ttl",), filter={"n": 1}, refresh_ttl=False)
            unread = connection.execute(LONGER).fetchall()
            await il.items().asearch(("ttl",), filter={"n": 1})
            read = connection.execute(LONGER).fetchall()

    assert (unread, read) == ([], [("found",)])


LONGER = "select key from store where expires_at > now() + interval '45 seconds'"


async def test_searches_by_meaning_with_a_filter(opened: Open, database_url: str) -> None:
    """The nearest that fits comes first, with its cosine; the vectors are those of the texts."""
    texts = {"fox": "quick brown fox", "dog": "lazy brown dog", "hen": "white hen", "mute": ""}
    async with opened(ONE, config=MEANING) as il:
        store = il.items()
        for key, text in texts.items():
            await store.aput(("animals",), key, {"text": text, "name": key})
        asked: dict[str, Any] = {"query": "quick brown dog", "filter": {"name": {"$ne": "dog"}}}
        found = await store.asearch(("animals",), **asked)
        second = await store.asearch(("animals",), **asked, limit=1, offset=1)
        count = await il.aindex_items()
        again = await store.asearch(("animals",), **asked)

    assert [(item.key, round(item.score or 0, 3)) for item in found] == [
        ("fox", 0.667),
        ("hen", 0.0),
    ]
    assert keys_of(second) == ["hen"]
    assert (count, keys_of(again)) == (4, ["fox", "hen"])
    assert not any("brown" in each for each in stored(database_url).values())


async def test_an_unknown_operator(opened: Open) -> None:
    """It is refused although there is nothing to look into."""
    async with opened(ONE) as il:
        with pytest.raises(ValueError, match=r"Unsupported operator: \$like"):
            await il.items().asearch(("none",), filter={"n": {"$like": 1}})


@pytest.mark.parametrize("keys", [(), (ONE,)], ids=["plain", "sealed"])
@pytest.mark.parametrize(
    "said", [DAY, {"$eq": DAY}, {"$gt": DAY}, [1, {DAY: 2}], {1, 2}, b"fox"], ids=str
)
async def test_what_a_filter_cannot_compare_with(
    opened: Open, keys: tuple[bytes, ...], said: Any
) -> None:
    """What is no JSON is refused in the same words, whether values are encrypted or not."""
    async with opened(*keys) as il:
        await fill(il.items())
        with pytest.raises(UsageError, match="compares 'word' with is no JSON: "):
            await il.items().asearch(("kinds",), filter={"n": 1, "word": said})


@pytest.mark.parametrize("keys", [(), (OTHER,)], ids=["none", "another"])
async def test_without_its_key_an_item_is_told_of_and_not_passed_over(
    opened: Open, keys: tuple[bytes, ...]
) -> None:
    """A search whose filter would have to look into it says so, too; elsewhere searches go on."""
    async with opened(ONE) as il:
        await il.items().aput(("locked",), "k", {"n": 1})
    async with opened(*keys) as il:
        store = il.items()
        await store.aput(("free",), "k", {"n": 1})
        for ask in (
            lambda: store.aget(("locked",), "k"),
            lambda: store.asearch(("locked",)),
            lambda: store.asearch((), filter={"n": 1}),
            lambda: store.asearch(("locked",), filter={"n": 2}),
        ):
            with pytest.raises(KeyMissing, match=f"the key {fingerprint(ONE)}, which is not"):
                await ask()
        assert keys_of(await store.asearch(("free",), filter={"n": 1})) == ["k"]
        assert await store.aget(("locked",), "other") is None


async def test_a_key_is_rotated(opened: Open, database_url: str) -> None:
    """Old items are read with the old key, encrypted anew by the command, and then do without it; their times stay."""
    async with opened() as il:
        await il.items().aput(("keys",), "plain", {"n": 0})
    async with opened(ONE) as il:
        await il.items().aput(("keys",), "old", {"n": 1})
    async with opened(OTHER, ONE) as il:
        await il.items().aput(("keys",), "new", {"n": 2})
        before = {item.key: item for item in await il.items().asearch(("keys",))}
        rows = await keys_in_use(database_url)
        unsealed = await plain_items(database_url)
        counts = [await il.aseal_items(), await il.aseal_items()]
    async with opened(OTHER) as il:
        after = {item.key: item for item in await il.items().asearch(("keys",))}

    assert (rows, unsealed) == ({fingerprint(ONE): 1, fingerprint(OTHER): 1}, 1)
    assert counts == [2, 0]
    assert await keys_in_use(database_url) == {fingerprint(OTHER): 3}
    assert await plain_items(database_url) == 0
    assert after == before
    assert {key: item.value["n"] for key, item in after.items()} == {"plain": 0, "old": 1, "new": 2}


async def test_many_are_encrypted(opened: Open, database_url: str) -> None:
    """More than in one go; what an application put there without us is left alone."""
    async with opened() as il:
        await il.items().abatch([PutOp(("many",), str(n), {"n": n}) for n in range(250)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into store (prefix, key, value) values ('own', 'k', '{\"n\": 1}')"
        )
    async with opened(ONE) as il:
        assert await il.aseal_items() == 250
        assert keys_of(await il.items().asearch(("many",), filter={"n": 123})) == ["123"]

    assert [key for key, value in stored(database_url).items() if "sealed" not in value] == ["k"]


async def test_an_installation_of_before_begins_with_the_command(
    opened: Open, database_url: str
) -> None:
    """Until then items are put as its old workers can read them; from then on no process puts plain ones."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("delete from interlock.item_sealing")
    async with opened(ONE) as il, opened(ONE) as beside:
        await beside.items().aput(("old",), "before", {"n": 1})
        plain = stored(database_url)
        sealed = await il.aseal_items()
        await beside.items().aput(("old",), "after", {"n": 1})
        found = await beside.items().asearch(("old",), filter={"n": 1})

    assert (plain, sealed) == ({"before": '{"n": 1}'}, 1)
    assert keys_of(found) == ["after", "before"]
    assert await plain_items(database_url) == 0


async def test_nothing_is_encrypted_with_no_key(opened: Open) -> None:
    """The command says which setting it is about."""
    async with opened() as il:
        with pytest.raises(UsageError, match="INTERLOCK_ENCRYPTION_KEY is not set"):
            await il.aseal_items()


async def test_vectors_stay_when_a_key_is_missing(opened: Open, database_url: str) -> None:
    """Making them anew would need to read what cannot be read: it is refused before any is deleted."""
    async with opened(ONE, config=MEANING) as il:
        await il.items().aput(("animals",), "fox", {"text": "brown fox"})
    async with opened(OTHER, config=MEANING) as il:
        with pytest.raises(KeyMissing):
            await il.aindex_items()
        with pytest.raises(KeyMissing):
            await il.aseal_items()

    with psycopg.connect(database_url) as connection:
        assert connection.execute("select key from store_vectors").fetchall() == [("fox",)]


async def test_a_value_that_looks_encrypted_is_refused(opened: Open) -> None:
    """Whoever put it would make searches of others fail for want of a key."""
    async with opened() as il:
        with pytest.raises(UsageError, match="cannot have the key `__interlock_sealed__`"):
            await il.items().aput(("a",), "k", {"__interlock_sealed__": "aes-00000000:AAAA"})


def test_the_commands(say: Say, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is plain is told of, encrypted, and told of no more; vectors can be deleted without an index."""
    monkeypatch.setenv("INTERLOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(VISITS))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into store (prefix, key, value) values (%s, 'k', %s)",
            ["tenant=.a", json.dumps({"n": 1})],
        )
    monkeypatch.setenv("INTERLOCK_ENCRYPTION_KEY", base64.b64encode(ONE).decode())

    assert say("db", "keys")[1]["plain_items"] == 1
    assert say("db", "seal-items") == (0, {"sealed": 1})
    assert say("db", "keys") == (
        0,
        {
            "writes": fingerprint(ONE),
            "keys": {fingerprint(ONE): {"rows": 1, "set": True}},
            "plain_items": 0,
        },
    )
    assert say("db", "index-items", "--forget") == (0, {"indexed": 0})
