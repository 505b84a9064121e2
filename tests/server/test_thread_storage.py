"""What a thread takes in the database, as LangGraph's protocol asks for it."""

from __future__ import annotations

from typing import Any

import httpx
from langgraph_sdk.client import SyncLangGraphClient


def stored(server: str, thread: str) -> dict[str, Any]:
    """Return what a thread takes."""
    answer = httpx.get(f"{server}/threads/{thread}/storage")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def said(client: SyncLangGraphClient, text: str, thread: str = "") -> str:
    """Say something to a model on a thread, which is made unless it is given, and return the thread."""
    thread = thread or client.threads.create()["thread_id"]
    given: Any = {"messages": [{"role": "user", "content": text}]}
    client.runs.wait(thread, "talker", input=given)
    return thread


def test_nothing_yet(server: str, sync_client: SyncLangGraphClient) -> None:
    """A thread on which nothing has run takes nothing; one that is not there is 404."""
    thread = sync_client.threads.create()["thread_id"]

    assert stored(server, thread) == {
        "thread_id": thread,
        "total_bytes": 0,
        "checkpoints": {"count": 0, "bytes": 0},
        "channel_values": {"count": 0, "bytes": 0, "by_channel": {}},
        "pending_writes": {"count": 0, "bytes": 0},
    }
    assert httpx.get(f"{server}/threads/nobody/storage").status_code == 404


def test_by_channel(server: str, sync_client: SyncLangGraphClient) -> None:
    """Each channel tells its versions and their bytes, and the sum is that of the three parts."""
    thread = said(sync_client, "Good morning")
    found = stored(server, thread)

    assert found["checkpoints"]["count"] == len(sync_client.threads.get_history(thread))
    channels = found["channel_values"]["by_channel"]
    assert channels["messages"]["versions"] == 2
    assert channels["messages"]["bytes"] > 100
    assert found["channel_values"]["bytes"] == sum(each["bytes"] for each in channels.values())
    assert found["channel_values"]["count"] == sum(each["versions"] for each in channels.values())
    parts = ("checkpoints", "channel_values", "pending_writes")
    assert found["total_bytes"] == sum(found[part]["bytes"] for part in parts)


def test_what_several_versions_share(server: str, sync_client: SyncLangGraphClient) -> None:
    """Content that versions of a value have in common counts once: a long conversation is not told at each step."""
    text = "".join(f"{n:08x}" for n in range(25_000))  # it does not compress to nothing
    thread = said(sync_client, text)
    once = stored(server, thread)["channel_values"]["by_channel"]["messages"]
    said(sync_client, "And now?", thread)
    twice = stored(server, thread)["channel_values"]["by_channel"]["messages"]

    assert once["bytes"] > 10_000
    assert twice["versions"] > once["versions"]
    assert twice["bytes"] < 1.5 * once["bytes"]
