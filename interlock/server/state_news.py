"""What was written to a thread's state, as whoever looks on at the thread is told of it."""

from __future__ import annotations

from dataclasses import replace

import orjson

from interlock.core.stream_events import StreamEvent
from interlock.errors import DatabaseUnavailable, InterlockError, StreamCut
from interlock.facade import Interlock
from interlock.server.documents import state_document
from interlock.server.wire import dumps

STATE_UPDATE = "state_update"


async def with_state(reader: Interlock, thread_id: str, event: StreamEvent) -> StreamEvent | None:
    """Return an event with the state that it tells of; None where that was folded, or deleted, meanwhile.

    Args:
        reader: as the caller.
        thread_id: the thread.
        event: names the checkpoint.

    Raises:
        StreamCut: the database does not answer; the client goes on behind the last event that it has.
    """
    checkpoint_id = orjson.loads(event.data)["checkpoint_id"]
    try:
        state = await reader.astate(thread_id, {"checkpoint_id": checkpoint_id})
    except DatabaseUnavailable as error:
        raise StreamCut(
            "The database does not answer.", hint="Go on behind the last event."
        ) from error
    except InterlockError:
        return None
    if state.created_at is None:
        return None
    return replace(event, data=dumps({"state": state_document(state), "thread_id": thread_id}))
