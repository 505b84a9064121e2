"""The saver as a drop-in: it gives back what it was given, to every kind of caller."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy
from enum import StrEnum
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from psycopg import AsyncConnection
from psycopg.errors import InvalidTextRepresentation
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from typing_extensions import TypedDict

from interlock.postgres import Checkpointer
from tests.savers import Story, count, dangling, place, talking


@pytest.fixture
async def saver(database_url: str) -> AsyncIterator[Checkpointer]:
    async with Checkpointer.from_conn_string(database_url) as opened:
        yield opened


def long(text: str) -> str:
    return text + " " + "lorem ipsum " * 30


async def test_setup_waits_for_nobody_where_all_is_made(
    saver: Checkpointer, database_url: str
) -> None:
    """A process that starts beside a long transaction on our tables neither waits nor holds others up."""
    async with await AsyncConnection.connect(database_url) as busy:
        await busy.execute("delete from checkpoint_references")
        await asyncio.wait_for(saver.setup(), timeout=10)


async def test_a_graph_runs_and_goes_on_in_another_process(database_url: str) -> None:
    """What one saver stored, a new one that knows nothing restores and continues."""
    for until in (10, 30):
        async with Checkpointer.from_conn_string(database_url) as saver:
            final = await talking(saver, until).ainvoke(
                {"said": [], "turns": 10 * (until > 10)}, place("t")
            )

    assert len(final["said"]) == 30
    assert [each.split()[0] for each in final["said"]] == [str(turn) for turn in range(30)]
    assert dangling(database_url) == 0


async def test_setup_needs_nothing_of_interlock_and_may_be_repeated(
    postgres_server: Any, short_folder: Any, database_url: str
) -> None:
    """In a database without any table, `setup` makes all that the saver needs; again it changes nothing."""
    name = "bare_" + database_url.split("@/")[1].split("?", maxsplit=1)[0]
    with_new = database_url.replace("@/" + name[5:], f"@/{name}")
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"create database {name}".encode())
    try:
        async with Checkpointer.from_conn_string(with_new) as saver:
            await saver.setup()
            await saver.setup()
            await talking(saver, 12).ainvoke({"said": [], "turns": 0}, place("t"))
            assert len((await Story(saver, "t").values())["said"]) == 12
    finally:
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute(f"drop database {name} with (force)".encode())


async def test_savers_that_set_up_at_once_all_find_the_tables(database_url: str) -> None:
    """LangGraph's setup does not expect company; ours tries again until all is made."""
    fresh = await _schema(database_url, "fresh")

    async def story(thread: str) -> Any:  # channel values
        async with Checkpointer.from_conn_string(fresh) as saver:
            await saver.setup()
            await Story(saver, thread).put(text=long(thread) * 20)
            return await Story(saver, thread).values()

    found = await asyncio.gather(*(story(thread) for thread in "abcd"))

    assert found == [{"text": long(thread) * 20} for thread in "abcd"]


async def test_each_schema_has_content_of_its_own(database_url: str) -> None:
    """Threads of one name in two schemas are two, though both see a third one with tables: one may be deleted."""
    items = [f"{n} " + "x" * 100 for n in range(40)]
    async with (
        Checkpointer.from_conn_string(await _schema(database_url, "first")) as first,
        Checkpointer.from_conn_string(await _schema(database_url, "second")) as second,
    ):
        await first.setup()
        await second.setup()
        await Story(first, "t").put(items=items)
        await Story(second, "t").put(items=items)

        await first.adelete_thread("t")

        assert await Story(second, "t").values() == {"items": items}


async def _schema(url: str, name: str) -> str:
    """Make a schema, and return an address in which it comes before `public`."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"create schema {name}".encode())
    return f"{url}&options=-c%20search_path%3D{name},public"


async def test_an_empty_checkpoint_id_is_none(saver: Checkpointer) -> None:
    """As LangGraph's saver takes it, and its clients send it."""
    await Story(saver, "t").put(n=1)
    config = place("t")
    config["configurable"]["checkpoint_id"] = ""

    found = await saver.aget_tuple(config)

    assert found is not None
    assert found.checkpoint["channel_values"] == {"n": 1}


def test_a_forked_process_is_told_to_make_its_own(database_url: str) -> None:
    """The event loop does not run in the child: a call there would wait for ever."""
    script = f"""
import os
from interlock.postgres import Checkpointer
with Checkpointer.from_conn_string({database_url!r}) as saver:
    child = os.fork()
    if child == 0:
        try:
            saver.get_tuple({{"configurable": {{"thread_id": "t"}}}})
        except Exception as error:
            print(error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert "made before this process was forked" in done.stdout


@pytest.mark.parametrize("autocommit", [True, False])
async def test_it_works_over_a_pool_and_over_one_connection(
    database_url: str, autocommit: bool
) -> None:
    """Made like the stock saver, with what the caller opened; an acknowledged checkpoint is committed either way."""
    kwargs: dict[str, Any] = {"autocommit": autocommit, "row_factory": dict_row}
    async with AsyncConnectionPool(
        database_url, min_size=1, max_size=1, open=False, kwargs=kwargs
    ) as pool:
        await Story(Checkpointer(pool), "pool").put(said=[long("a")] * 20)
    async with await AsyncConnection.connect(database_url, **kwargs) as connection:
        story = Story(Checkpointer(connection), "connection")
        await asyncio.gather(*(Story(story.saver, f"c{n}").put(n=n) for n in range(20)))
        await story.put(said=[long("a")] * 20)
        assert count(database_url, "select count(*) from checkpoints") == 22


VALUES: dict[str, Any] = {
    "none": None,
    "flag": True,
    "number": 2**60,
    "real": 0.1,
    "whole real": 1e16,
    "infinite": math.inf,
    "text": "plain",
    "nul": "a\0b",
    "long text": "ü" * 5_000,
    "huge text": "".join(map(chr, range(32, 127))) * 12_000,
    "bytes": b"\0\1" * 2_000,
    "huge bytes": bytes(range(256)) * 1_000,
    "buffer": bytearray(b"abc"),
    "empty": [],
    "few": [1, "two", None],
    "numbers": list(range(5_000)),
    "same": ["again"] * 3_000,
    "same long": [long("again")] * 300,
    "mixed": [1, long("b"), {"a": [long("c")]}, None, "x", b"y" * 100, ["t", 1], long("b")] * 9,
    "huge items": ["x" * 100_000, "y" * 100_000, "x" * 100_000, 4, 5],
    "nested": {"list": [long(str(n)) for n in range(300)]},
    "messages": [
        SystemMessage("be brief", id="1"),
        HumanMessage(long("hello"), id="2", name="ann"),
        AIMessage(
            long("I look"),
            id="3",
            tool_calls=[{"name": "look", "args": {"at": "x"}, "id": "c", "type": "tool_call"}],
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        ),
        ToolMessage(long("seen"), tool_call_id="c", id="4", artifact={"raw": 1}),
        AIMessage([{"type": "text", "text": long("done")}], id="5"),
        AIMessage(long("b"), id="6", additional_kwargs={"own": 1}),
        HumanMessage(long("bye"), id="7", extra_of_mine="kept"),
    ],
}


@pytest.mark.parametrize("name", VALUES)
async def test_a_value_comes_back_as_it_was(saver: Checkpointer, name: str) -> None:
    """As a channel's value and as a write, at the step and after it, in a list of checkpoints too."""
    value = VALUES[name]
    story = Story(saver)
    first = await story.put(value=deepcopy(value))
    await saver.aput_writes(first, [("value", value), ("other", 1)], "task")
    await story.put(other=1)

    assert await story.values(first) == {"value": value}
    found = [each async for each in saver.alist(place(story.thread))]
    assert found[1].pending_writes == [("task", "value", value), ("task", "other", 1)]
    assert found[1].checkpoint["channel_values"] == {"value": value}
    assert [type(each) for each in _items(found[1].checkpoint["channel_values"]["value"])] == [
        type(each) for each in _items(value)
    ]


async def test_a_plain_value_is_still_there_at_a_step_that_did_not_change_it(
    saver: Checkpointer,
) -> None:
    """A long text has its row from the step that wrote it, as the channel's version says."""
    story = Story(saver)
    await story.put(text="ü" * 5_000, real=math.inf)
    checkpoint = (await saver.aget_tuple(story.config)).checkpoint  # type: ignore[union-attr]  # it is there
    following = {**checkpoint, "id": "9" + checkpoint["id"][1:]}
    await saver.aput(story.config, following, {"source": "loop", "step": 1}, {})  # type: ignore[arg-type]  # as above

    assert await story.values() == {"text": "ü" * 5_000, "real": math.inf}


edits = st.lists(
    st.tuples(
        st.sampled_from(["append", "insert", "remove", "replace", "mutate", "trim", "swap"]),
        st.integers(0, 400),
    ),
    min_size=1,
    max_size=12,
)


@given(start=st.integers(0, 150), changes=edits)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_step_of_an_edited_list_is_kept(
    database_url: str, start: int, changes: list[tuple[str, int]]
) -> None:
    """Appended, inserted, removed, replaced, changed in place, cut off: each checkpoint has the list of its moment."""

    async def steps() -> None:
        async with Checkpointer.from_conn_string(database_url) as saver:
            story = Story(saver)
            items: list[Any] = [_item(number) for number in range(start)]
            expected = []
            for number, (kind, at) in enumerate(changes, 1_000):
                _edit(items, kind, at, number)
                expected.append((await story.put(items=items), deepcopy(items)))
            for config, then in expected:
                assert (await story.values(config))["items"] == then
            async with Checkpointer.from_conn_string(database_url) as other:
                async for found in other.alist(place(story.thread)):
                    number = found.metadata["step"]
                    assert found.checkpoint["channel_values"]["items"] == expected[number][1]

    asyncio.run(steps())


def _item(number: int) -> Any:
    kinds = (
        lambda: HumanMessage(long(str(number)), id=str(number)),
        lambda: {"text": long(str(number)), "n": [number]},
        lambda: number,
    )
    return kinds[number % 3]()


def _edit(items: list[Any], kind: str, at: int, number: int) -> None:
    at = at % (len(items) or 1)
    match kind:
        case "append":
            items.append(_item(number))
        case "insert":
            items.insert(at, _item(number))
        case "remove" | "trim" if items:
            del items[at if kind == "remove" else slice(0, at)]
        case "replace" if items:
            items[at] = _item(number)
        case "swap" if items:
            items[at], items[0] = items[0], items[at]
        case "mutate" if items and isinstance(items[at], HumanMessage):
            items[at].content = long(f"changed {number}")
        case "mutate" if items and isinstance(items[at], dict):
            items[at]["n"].append(number)
        case _:
            pass


async def test_a_change_in_place_is_noticed_whatever_its_type(saver: Checkpointer) -> None:
    """One for True, text for bytes: equal in some eyes, and not the same value."""
    swaps: list[tuple[Any, Any]] = [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("x", b"x"),
        (None, "x"),
    ]
    for before, after in swaps:
        items = [{"text": long(str(number)), "value": before} for number in range(100)]
        story = Story(saver)
        await story.put(items=items)
        items[10]["value"] = after
        await story.put(items=items)

        found = (await story.values())["items"][10]["value"]
        assert (type(found), repr(found)) == (type(after), repr(after))


async def test_the_stock_savers_thread_opens_and_goes_on(database_url: str) -> None:
    """An old thread is read as it is, and continued; its history is one."""
    async with AsyncPostgresSaver.from_conn_string(database_url) as stock:
        await talking(stock, 10).ainvoke({"said": [], "turns": 0}, place("t"))
    async with Checkpointer.from_conn_string(database_url) as saver:
        final = await talking(saver, 20).ainvoke({"said": [], "turns": 10}, place("t"))
        history = [each async for each in saver.alist(place("t"))]

    assert len(final["said"]) == 20
    assert [len(each.checkpoint["channel_values"].get("said", [])) for each in history] == [
        *range(20, 9, -1), 10, *range(10, -1, -1), 0
    ]  # fmt: skip


async def test_a_thread_is_exported_to_the_stock_saver(database_url: str) -> None:
    """After the export LangGraph's saver reads the whole history and goes on; nothing of ours is left."""
    async with Checkpointer.from_conn_string(database_url) as saver:
        await talking(saver, 30).ainvoke({"said": [], "turns": 0}, place("t"))
        ours = [each async for each in saver.alist(place("t"))]
        assert await saver.aexport("t") > 0
        assert [each async for each in saver.alist(place("t"))] == ours
    async with AsyncPostgresSaver.from_conn_string(database_url) as stock:
        assert [each async for each in stock.alist(place("t"))] == ours
        final = await talking(stock, 40).ainvoke({"said": [], "turns": 30}, place("t"))

    assert len(final["said"]) == 40
    assert count(database_url, "select count(*) from checkpoint_content") == 0


def _added(state: list[Any], writes: list[Any]) -> list[Any]:
    return [*state, *(each for write in writes for each in write)]


class Deltas(TypedDict):
    said: Annotated[list[str], DeltaChannel(_added, snapshot_frequency=7)]
    turns: int


async def test_delta_channels_are_rebuilt_from_writes_that_refer_to_content(
    database_url: str,
) -> None:
    """With snapshots now and then, and at a step in the middle as well as at the end."""
    builder = StateGraph(Deltas)
    builder.add_node(
        "speak",
        lambda state: {"said": [long(str(state["turns"])) * 4], "turns": state["turns"] + 1},
    )
    builder.add_edge(START, "speak")
    builder.add_conditional_edges(
        "speak", lambda s: END if s["turns"] >= 20 else "speak", ["speak", END]
    )
    async with Checkpointer.from_conn_string(database_url) as saver:
        graph: Any = builder.compile(checkpointer=saver)
        await graph.ainvoke({"said": [], "turns": 0}, place("t"))
    async with Checkpointer.from_conn_string(database_url) as saver:
        graph = builder.compile(checkpointer=saver)
        states = [each async for each in graph.aget_state_history(place("t"))]

    expected = [long(str(turn)) * 4 for turn in range(20)]
    assert states[0].values["said"] == expected
    assert states[5].values["said"] == expected[:15]


async def test_a_copy_with_an_allowlist_shares_the_queue(saver: Checkpointer) -> None:
    """LangGraph copies the saver of each graph; the copy saves on the same queue, and counts into the same counts."""
    strict = copy(saver)
    strict.serde = JsonPlusSerializer(allowed_msgpack_modules=[("a", "B")])
    copied = strict.with_allowlist([("somewhere", "Something")])
    assert isinstance(copied, Checkpointer)
    assert copied is not strict

    await asyncio.gather(Story(strict, "a").put(n=1), Story(copied, "b").put(n=2))

    assert copied.stats is saver.stats
    assert saver.stats.flushes == 1


def test_synchronous_code_uses_it_from_any_thread(database_url: str) -> None:
    """`with`, `setup()`, `graph.invoke` in many threads at once, `get_state_history`: nothing is awaited."""
    with Checkpointer.from_conn_string(database_url) as saver:
        saver.setup()
        graph = talking(saver, 10)
        graph.builder.nodes["speak"].runnable.func = lambda state: {
            "said": [long(str(state["turns"]))],
            "turns": state["turns"] + 1,
        }
        with ThreadPoolExecutor(8) as threads:
            finals = list(
                threads.map(
                    lambda n: graph.invoke({"said": [], "turns": 0}, place(f"t{n}")), range(8)
                )
            )
        assert [len(each["said"]) for each in finals] == [10] * 8
        assert len(list(saver.list(place("t3")))) == 12
        saver.delete_thread("t3")
        assert saver.get_tuple(place("t3")) is None


async def test_it_is_used_from_another_event_loop(saver: Checkpointer) -> None:
    """A coroutine of another loop, and a synchronous caller in a thread, are served on the loop of the saver."""
    found: list[int] = []

    async def elsewhere() -> None:
        final = await talking(saver, 5).ainvoke({"said": [], "turns": 0}, place("other"))
        found.append(len(final["said"]))
        found.append(len([each async for each in saver.alist(place("other"))]))

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    await asyncio.to_thread(thread.join)
    synchronous = await asyncio.to_thread(saver.get_tuple, place("other"))

    assert found == [5, 7]
    assert synchronous is not None


async def test_a_synchronous_call_on_the_savers_own_loop_is_refused(saver: Checkpointer) -> None:
    """It would wait for itself for ever; the error says what to call instead."""
    with pytest.raises(asyncio.InvalidStateError, match="aget_tuple"):
        saver.get_tuple(place("t"))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


async def test_what_states_have_in_common_is_one_object_in_their_history(
    saver: Checkpointer,
) -> None:
    """An element that stood for itself in early states, and in a longer part of the list later, is restored once."""
    story = Story(saver, "t")
    items = [{"number": n, "text": f"{n}" * 100} for n in range(80)]
    for length in range(4, 81):
        await story.put(items=items[:length])

    found = [each.checkpoint["channel_values"]["items"] async for each in saver.alist(place("t"))]

    assert [len(each) for each in found] == list(range(80, 3, -1))
    assert found[0] == items
    assert len({id(item) for each in found for item in each}) == 80


async def test_numbers_and_texts_that_a_quick_encoder_refuses_are_stored(
    saver: Checkpointer,
) -> None:
    """Integers of more than 64 bits, members of an enumeration and small floats come back from the checkpoint's row."""
    values = {"large": 1 << 70, "name": _Colour.RED, "share": 0.1, "tiny": 1e-7}

    story = Story(saver)
    await story.put(**values)

    assert await story.values() == {
        "large": 1 << 70,
        "name": "red",
        "share": 0.1,
        "tiny": 1e-7,
    }


class _Colour(StrEnum):
    RED = "red"


async def test_metadata_that_is_no_json_is_refused(saver: Checkpointer) -> None:
    """A number that is none is not stored as null; what is null, and text that only looks like it, are stored."""
    story = Story(saver)
    config = await story.put(n=1)
    found = await saver.aget_tuple(config)
    assert found is not None
    odd: Any = {"source": "loop", "step": 1, "score": float("nan")}  # as nobody should
    even: Any = {"source": "loop", "step": 1, "score": None, "said": "null", "ratio": 0.5}

    with pytest.raises(InvalidTextRepresentation):
        await saver.aput(config, found.checkpoint, odd, {})
    await saver.aput(config, found.checkpoint, even, {})

    again = await saver.aget_tuple(config)
    assert again is not None
    assert again.metadata == even
