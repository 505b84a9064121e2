"""Threads, states and the store in synchronous Python, without a server."""

from __future__ import annotations

import interlock
from interlock.postgres.thread_cards import Ttl, Wanted
from interlock.threads import Expired
from tests.server.conftest import SAMPLE


def test_threads_without_a_server(server_database: str) -> None:
    """Each asynchronous method has a twin that does the same."""
    with interlock.open(server_database, config=SAMPLE) as il:
        made = il.create_thread("t", metadata={"a": 1}, graph="steps", ttl=Ttl(minutes=5))
        il.update_thread("t", metadata={"b": 2})
        il.note_thread("t", {"c": 3}, {"tags": ["x"]})
        il.update_state("t", {"count": 2, "done": [0]}, as_node="step")
        copied = il.copy_thread("t")
        run = il.invoke("steps", {"count": 3}, thread_id="t")
        thread = il.thread("t")

        assert (made.graph, made.status, run.status) == ("steps", "idle", "succeeded")
        assert thread.metadata == {"a": 1, "b": 2, "c": 3, "graph_id": "steps"}
        assert thread.config == {"tags": ["x"]}
        assert il.state("t").values == {"count": 3, "done": [0, 1, 2]}
        assert len(il.states("t")) == 5  # what was written, the input, its start, two steps
        assert il.state(copied.thread_id).values == {"count": 2, "done": [0]}
        assert [each.thread_id for each in il.search_threads(Wanted(status="idle"))] == ["t"]
        assert il.count_threads(Wanted(metadata={"a": 1})) == 2
        assert il.prune_threads(["t"], "keep_latest") == 1
        assert il.expire_threads() == Expired()
        il.delete_thread("t")
        assert il.count_threads(Wanted()) == 1


def test_the_store_without_a_server(server_database: str) -> None:
    """The store's synchronous methods belong to synchronous code."""
    with interlock.open(server_database, config=SAMPLE) as il:
        items = il.items()
        items.put(("a", "b"), "k", {"x": 1})
        found = items.get(("a", "b"), "k")

        assert found is not None
        assert (found.namespace, found.value) == (("a", "b"), {"x": 1})
        assert items.list_namespaces() == [("a", "b")]
        assert il.expire_items() == 0
