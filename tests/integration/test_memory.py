"""The summarize node in the durable runtime: it resumes, forks and replays, and originals stay in reach."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langchain_core.messages import HumanMessage

import interlock
from interlock import Interlock
from interlock.core.manifest import Manifest
from interlock.core.originals import original
from interlock.errors import NotFound

CONFIG = Path(__file__).parents[1] / "sample" / "memory" / "langgraph.json"
OBJECTIVE = "Find how high each lamp stands, and buy nothing."
GIVEN = {"messages": [HumanMessage(OBJECTIVE, id="h")]}


@pytest.fixture
async def il(database_url: str) -> AsyncIterator[Interlock]:
    async with interlock.aopen(database_url, config=CONFIG) as opened:
        yield opened


async def values_of(il: Interlock, thread_id: str) -> Mapping[str, Any]:
    return (await il.ahistory(thread_id))[-1].values


async def test_a_long_thread_is_folded_and_each_note_leads_back(il: Interlock) -> None:
    """Under the strict serializer, with LangGraph's own tools."""
    run = await il.ainvoke("reader", GIVEN)
    values = await values_of(il, run.thread_id)
    notes = [*values["manifest"]["facts"], *values["manifest"]["failures"]]

    assert run.status == "succeeded"
    assert values["manifest"]["objective"] == OBJECTIVE
    assert values["manifest"]["folds"] >= 3
    for note in notes:
        found = await il.aoriginal(run.thread_id, note["id"])
        assert all(each.message is not None for each in found)
        assert found
    (call, answer) = original(values, "tool_call:p1")
    assert [each.message for each in await il.aoriginal(run.thread_id, "tool_call:p1")] == [
        call,
        answer,
    ]


async def test_a_foreign_graph_is_folded_with_a_model_of_its_own(il: Interlock) -> None:
    """A context that is not ours changes nothing, when the node names a model."""
    run = await il.ainvoke("foreign", GIVEN, context={"city": "Rome"})
    values = await values_of(il, run.thread_id)

    assert (run.status, values["manifest"]["by"]) == ("succeeded", "offline:extractive")
    assert values["manifest"]["folds"] >= 3


async def test_a_fork_from_before_a_fold_folds_the_same(il: Interlock) -> None:
    """Folding is made of the state alone: the same notes with the same ids, whoever comes to it again."""
    run = await il.ainvoke("reader", GIVEN)
    steps = await il.ahistory(run.thread_id)
    at = next(step for step in steps if step.next == ("summarize",) and step.number > 5)
    fork = await il.afork(run.thread_id, at=at.checkpoint_id)
    replay = await il.areplay(run.thread_id, at=at.checkpoint_id, live_tools=["read_page"])
    mine, theirs = await values_of(il, run.thread_id), await values_of(il, fork.thread_id)

    assert theirs["manifest"]["facts"][-1]["text"] == mine["manifest"]["facts"][-1]["text"]
    assert theirs["manifest"]["folded"] == mine["manifest"]["folded"]
    assert replay.same, replay


async def test_originals_need_no_checkpoint_but_the_newest(
    il: Interlock, database_url: str
) -> None:
    """All earlier ones may be pruned: the archive is part of the state."""
    run = await il.ainvoke("reader", GIVEN)
    values = await values_of(il, run.thread_id)
    oldest = values["manifest"]["facts"][0]
    before = await il.aoriginal(run.thread_id, oldest["id"])
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "DELETE FROM checkpoints WHERE checkpoint_id <> (SELECT max(checkpoint_id) FROM checkpoints)"
        )

    assert len(await il.ahistory(run.thread_id)) == 1
    assert await il.aoriginal(run.thread_id, oldest["id"]) == before
    assert len(values["archive"]) > 40


async def test_a_message_that_was_not_folded_by_us_is_found_in_the_history(il: Interlock) -> None:
    """An application that removes messages by itself leaves them in earlier checkpoints."""
    run = await il.ainvoke("reader", GIVEN)
    found = await il.aoriginal(run.thread_id, "message:h")

    assert [(each.source, each.text) for each in found] == [("message:h", OBJECTIVE)]


async def test_passages_and_checkpoints_are_originals_too(il: Interlock, tmp_path: Path) -> None:
    """An application's own notes may name them; the corpus and the history hold what they say."""
    (tmp_path / "lamps.txt").write_text("The north lamp stands at 31 m. It is lit at dusk.")
    corpus = il._ports.corpus
    ingested = await corpus.ingest([str(tmp_path / "lamps.txt")])
    (document,) = await corpus.documents(ingested["collection"])
    passage = f"passage:{ingested['collection']}/{document['id']}/0-30"
    first = await il.ainvoke("reader", GIVEN)
    checkpoint = f"checkpoint:{(await il.ahistory(first.thread_id))[3].checkpoint_id}"
    manifest = Manifest(objective=OBJECTIVE).noting("facts", "It is high.", [passage])
    manifest = manifest.noting("failures", "We looked there.", [checkpoint])
    run = await il.ainvoke("reader", {**GIVEN, "manifest": manifest.stored()})
    other = await il.aoriginal(run.thread_id, "n1")

    assert [each.text for each in other] == ["The north lamp stands at 31 m."]
    with pytest.raises(NotFound):  # another thread's
        await il.aoriginal(run.thread_id, "n2")
    (step,) = await il.aoriginal(first.thread_id, checkpoint)
    assert "a1" in step.text


@pytest.mark.parametrize("source", ["message:nobody", "n000", "passage:a/b/1-2", "checkpoint:ffff"])
async def test_what_is_not_there_is_told(il: Interlock, source: str) -> None:
    """Each kind of source has its error."""
    run = await il.ainvoke("reader", GIVEN)

    with pytest.raises(NotFound):
        await il.aoriginal(run.thread_id, source)


def test_the_synchronous_twin_finds_the_same(database_url: str) -> None:
    """`original` is `aoriginal`."""
    with interlock.open(database_url, config=CONFIG) as il:
        run = il.invoke("reader", GIVEN)

        assert [each.text for each in il.original(run.thread_id, "message:h")] == [OBJECTIVE]
