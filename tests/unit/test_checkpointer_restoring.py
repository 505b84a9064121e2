"""Restoring the items of a list together, whatever stands between them."""

import gc
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from interlock.postgres.checkpointer import format as form
from interlock.postgres.checkpointer.messages import restored
from interlock.postgres.checkpointer.reading import AT_ONCE, Reader
from interlock.postgres.checkpointer.sealing import Seal

SERDE = JsonPlusSerializer()


class Loads:
    """LangGraph's way, with a count of how often it was gone."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, data: bytes) -> Any:
        self.count += 1
        return SERDE.loads_typed(("msgpack", data))


def _packed(values: Sequence[object]) -> list[bytes]:
    return [SERDE.dumps_typed(value)[1] for value in values]


def test_one_message_for_langgraph_to_restore_does_not_take_the_others_with_it() -> None:
    """Of three messages only the one with a provider's own arguments goes LangGraph's slower way."""
    given = [
        HumanMessage("one", id="1"),
        AIMessage("two", id="2", additional_kwargs={"own": 1}),
        HumanMessage("three", id="3"),
    ]
    loads = Loads()

    found = restored(_packed(given), loads)

    assert found == given
    assert loads.count == 1


def test_messages_among_other_values_are_restored_as_they_were() -> None:
    """A list may hold messages, dicts and numbers."""
    given = [{"a": 1}, HumanMessage("one", id="1"), 7, AIMessage("two", id="2"), {1: "not a text"}]

    assert restored(_packed(given), Loads()) == given


def test_plain_items_are_restored_in_one_call() -> None:
    """Items that are no messages need one call of the serializer, however many they are."""
    loads = Loads()

    assert restored(_packed([{"n": n} for n in range(100)]), loads) == [
        {"n": n} for n in range(100)
    ]
    assert loads.count == 1


def _reader(content: Sequence[tuple[bytes, int, bytes]]) -> Reader:
    async def nothing(hashes: Sequence[bytes]) -> Sequence[tuple[bytes, int, bytes]]:
        return ()

    reader = Reader(Seal.of(SERDE), nothing, sharing=False)
    reader.know(content)
    return reader


def test_items_that_are_not_packed_stay_where_they_were() -> None:
    """Bytes and None have types of their own, and stand between packed items of segments and of the list itself."""
    pack = ([SERDE.dumps_typed({"n": n})[1] for n in range(6)]).__getitem__
    segment, single = b"s" * form.HASH, b"v" * form.HASH
    entries = [["null", b""], pack(0), ["bytes", b"raw"]]
    content = [
        (segment, form.SEGMENT, form.pack([], form.dump(["s", entries]))),
        (single, form.VALUE, form.typed("bytes", b"alone")),
    ]
    says = ["l", [2, pack(1), ["null", b""], pack(2)], False]
    body = form.pack([segment, single], form.dump(says))

    found = _reader(content).value(form.REFERENCE, body)

    assert found == [None, {"n": 0}, b"raw", b"alone", {"n": 1}, None, {"n": 2}]


def test_a_list_longer_than_what_is_restored_together_keeps_its_order() -> None:
    """Segments follow each other across what is restored at once, and so does what stands behind their items."""
    packed: list[Any] = [SERDE.dumps_typed(n)[1] for n in range(3 * AT_ONCE)]
    segments = [packed[at : at + 48] for at in range(0, len(packed), 48)]
    names = [bytes([number]) * form.HASH for number, _ in enumerate(segments)]
    for each in segments[4:7]:
        each.append(["null", b""])
    content = [
        (name, form.SEGMENT, form.pack([], form.dump(["s", each])))
        for name, each in zip(names, segments, strict=True)
    ]
    body = form.pack(names, form.dump(["l", [len(names)], False]))

    found = _reader(content).value(form.REFERENCE, body)

    assert [each for each in found if each is not None] == list(range(3 * AT_ONCE))
    assert [at for at, each in enumerate(found) if each is None] == [240, 289, 338]


def test_the_garbage_collector_goes_on_after_a_list_was_restored() -> None:
    """It rests while a list is restored, also where that fails, and is left alone by whoever had it off."""
    body = form.pack([b"x" * form.HASH], form.dump(["l", [1], False]))

    for on in (True, False):
        (gc.enable if on else gc.disable)()
        try:
            with pytest.raises(KeyError):
                _reader(()).value(form.REFERENCE, body)
            assert gc.isenabled() is on
        finally:
            gc.enable()
