"""`/metrics`, as Prometheus reads it and as LangGraph's server tells it."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def series(server: str) -> Series:
    """Return what Prometheus would store of one visit."""
    answer = httpx.get(f"{server}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=1.0.0")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_requests_are_counted_by_route_and_status(server: str) -> None:
    """A route is its template: ids and what nobody serves make no series of their own."""
    httpx.get(f"{server}/assistants/echo")
    httpx.get(f"{server}/assistants/talker")
    httpx.get(f"{server}/assistants/no-such")
    httpx.get(f"{server}/nowhere/at/all")
    httpx.request("PURGE", f"{server}/nowhere/at/all")

    found = series(server)

    named = {"method": "GET", "route": "/assistants/{assistant_id}"}
    assert value(found, "interlock_http_requests_total", status="200", **named) == 2
    assert value(found, "interlock_http_requests_total", status="404", **named) == 1
    assert value(found, "interlock_http_response_seconds_count", **named) == 3
    elsewhere = {"route": "unmatched", "status": "404"}
    assert value(found, "interlock_http_requests_total", method="GET", **elsewhere) == 1
    assert value(found, "interlock_http_requests_total", method="OTHER", **elsewhere) == 1


def test_how_the_installation_stands_is_told(server: str) -> None:
    """Workers, slots, the queue and what waits are there, also when there is nothing of them."""
    found = series(server)

    assert value(found, "interlock_workers") == 1
    assert value(found, "interlock_worker_slots") == 8
    for name in ("queue_ready", "queue_oldest_seconds", "questions", "timers_overdue", "alarms"):
        assert value(found, f"interlock_{name}") == 0
    assert value(found, "interlock_database_connections") > 0
    assert value(found, "process_resident_memory_bytes") > 0


async def test_streams_that_are_open_are_counted(server: str) -> None:
    """A stream counts while somebody reads it, and its answer is timed until it began."""
    run = {"assistant_id": "steps", "input": {"count": 2, "seconds": 0.3}}
    async with (
        httpx.AsyncClient(base_url=server) as client,
        client.stream("POST", "/runs/stream", json=run) as stream,
    ):
        lines = stream.aiter_lines()
        await anext(lines)
        assert value(series(server), "interlock_open_streams") == 1
        async for _ in lines:
            pass

    assert value(series(server), "interlock_open_streams") == 0


def test_the_same_as_langgraph_tells_it(server: str) -> None:
    """`?format=json` has the keys that LangGraph's server has."""
    httpx.get(f"{server}/ok")

    found = httpx.get(f"{server}/metrics", params={"format": "json"}).json()

    assert found["queue"] == {
        "n_pending": 0,
        "n_running": 0,
        "pending_runs_wait_time_max_secs": None,
        "pending_unblocked_runs_wait_time_max_secs": None,
    }
    assert found["workers"] == {"max": 8, "active": 0, "available": 8}
    counted = {
        (each["method"], each["path"], each["status"]): each["count"]
        for each in found["api"]["http_requests_total"]
    }
    assert counted["GET", "/ok", 200] >= 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_series_is_named_by_what_a_client_sends(server: str, method: str) -> None:
    """A thousand wrong paths make no more series than one does."""
    httpx.request(method, f"{server}/never/0")
    before = counted(server)

    for number in range(1, 20):
        httpx.request(method, f"{server}/never/{number}")

    assert counted(server) == before


def counted(server: str) -> set[frozenset[tuple[str, str]]]:
    """Return the labels of the requests that were counted."""
    return {labels for name, labels in series(server) if name == "interlock_http_requests_total"}
