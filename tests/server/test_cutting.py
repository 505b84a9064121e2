"""Answers that are cut when a server stops: clients know that they are not whole, and the log has no fault."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import httpx

from tests.server.conftest import serving
from tests.server.test_lasting import _ended


def test_nothing_is_written_down(server_database: str) -> None:
    """A stream and a request that waits are cut, and the server writes no line of that."""
    said: list[str] = []
    ends: list[bool] = []
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(timeout=60))
        with serving(server_database, workers=1, said=said) as address:
            thread = http.post(f"{address}/threads", json={}).json()["thread_id"]
            body = {"assistant_id": "steps", "input": {"count": 1000, "seconds": 0.5}}
            run = http.post(f"{address}/threads/{thread}/runs", json=body).json()["run_id"]
            path = f"{address}/threads/{thread}/runs/{run}"
            open_ = [
                stack.enter_context(http.stream("GET", each))
                for each in (f"{path}/stream", f"{path}/join")
            ]
            reading = [
                threading.Thread(target=lambda each=each: ends.append(_ended(each)))
                for each in open_
            ]
            for each in reading:
                each.start()
        for each in reading:
            each.join(timeout=60)

    assert ends == [True, True]
    assert [line for line in said if "ASGI" in line or "Traceback" in line] == []
