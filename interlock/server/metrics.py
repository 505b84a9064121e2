"""What this process has served, counted for Prometheus; and how the installation stands, as Prometheus reads it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.core.health import Health
from interlock.server.answers import seen_by

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"

SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

ELSEWHERE = "unmatched"
"""The route of requests that have none: a path may be anything, and each label is a series for good."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names a folder in which prometheus_client adds up what several processes count."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one server process has served since it began; or, of several side by side, all of them.

    Attributes:
        registry: what is told.
    """

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    streams: Gauge
    _alike: dict[tuple[str, str, int], tuple[Counter, Histogram]] = field(default_factory=dict)

    @classmethod
    def new(cls) -> Tally:
        """Begin to count."""
        registry = told = CollectorRegistry()
        if SHARED in os.environ:
            told = CollectorRegistry()
            MultiProcessCollector(told)  # type: ignore[no-untyped-call]  # of prometheus_client
        else:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)
        return cls(
            registry=told,
            requests=Counter(
                "interlock_http_requests",
                "Requests that were answered.",
                ("method", "route", "status"),
                registry=registry,
            ),
            seconds=Histogram(
                "interlock_http_response_seconds",
                "Until an answer began.",
                ("method", "route"),
                buckets=SECONDS,
                registry=registry,
            ),
            streams=Gauge(
                "interlock_open_streams",
                "Streams that go on now.",
                registry=registry,
                multiprocess_mode="livesum",
            ),
        )

    def of(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """Return what counts and what times the requests that are alike."""
        alike = (method, route, status)
        if alike not in self._alike:
            self._alike[alike] = (
                self.requests.labels(method, route, str(status)),
                self.seconds.labels(method, route),
            )
        return self._alike[alike]

    def text(self, health: Health) -> bytes:
        """Return all of it, and how the installation stands, as Prometheus reads it."""
        installation = CollectorRegistry()
        installation.register(_Installation(health))
        return generate_latest(self.registry) + generate_latest(installation)

    def document(self, health: Health) -> dict[str, Any]:  # JSON
        """Return the same in the few words of LangGraph's server."""
        waited = health.oldest_seconds if health.ready else None
        queue = {
            "n_pending": health.ready + health.behind,
            "n_running": health.claimed,
            "pending_runs_wait_time_max_secs": waited,
            "pending_unblocked_runs_wait_time_max_secs": waited,
        }
        slots = sum(each.concurrency for each in health.workers)
        active = sum(each.runs for each in health.workers)
        workers = {"max": slots, "active": active, "available": slots - active}
        return {"queue": queue, "workers": workers, "api": {"http_requests_total": self._counts()}}

    def _counts(self) -> list[dict[str, Any]]:  # JSON
        return [
            {
                "method": sample.labels["method"],
                "path": sample.labels["route"],
                "status": int(sample.labels["status"]),
                "count": int(sample.value),
            }
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "interlock_http_requests_total"
        ]


@dataclass(slots=True)
class Measured:
    """ASGI middleware that counts what passes."""

    app: ASGIApp
    tally: Tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it when its answer has begun."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        one = _One(self.tally, scope)
        try:
            await self.app(scope, receive, seen_by(one.begins, scope, send))
        except BaseException:
            one.failed()
            raise
        finally:
            one.ended()


@dataclass(slots=True)
class _One:
    """One request while it is answered."""

    tally: Tally
    scope: Scope
    began: float = field(default_factory=time.monotonic)
    streams: bool = False
    answered: bool = False

    def begins(self, message: Message) -> None:
        """Note how an answer begins."""
        if message["type"] == "websocket.accept":
            self._stream(True)
        elif not self.answered:  # behind a fault another one may come
            self._count(message["status"])
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            self._stream(kind.startswith(b"text/event-stream"))

    def ended(self) -> None:
        """Note that an answer is over."""
        if self.streams:
            self.tally.streams.dec()

    def failed(self) -> None:
        """Note that there is no answer but the one to a fault."""
        if self.scope["type"] == "http" and not self.answered:
            self._count(500)

    def _count(self, status: int) -> None:
        self.answered = True
        method = self.scope["method"] if self.scope["method"] in _METHODS else "OTHER"
        route = getattr(self.scope.get("route"), "path", ELSEWHERE)
        requests, seconds = self.tally.of(method, route, status)
        requests.inc()
        seconds.observe(time.monotonic() - self.began)

    def _stream(self, streams: bool) -> None:
        if streams:
            self.streams = True
            self.tally.streams.inc()


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps collectors by what they are
class _Installation:
    """How an installation stands, for Prometheus: read anew at each visit, and the same from each process."""

    health: Health

    def collect(self) -> Iterator[Metric]:
        """Return it as gauges; nothing in it is named by a thread, a run or a tenant."""
        health = self.health
        yield _by("runs", "Runs that have not ended.", "status", health.runs)
        yield _by("letters", "Dead letters that are open.", "kind", health.letters)
        yield _by(
            "timers",
            "Timers that are set.",
            "kind",
            {each.kind: each.timers for each in health.timers},
        )
        yield _by(
            "rate_waits",
            "Model calls that wait for a limit.",
            "name",
            {each.name: each.waiting for each in health.brakes},
        )
        events = {kind: health.pace.rate(kind) for kind in health.pace.events}
        yield _by("run_events_per_second", "What happened to runs lately.", "kind", events)
        for name, text, value in _numbers(health):
            yield GaugeMetricFamily(f"interlock_{name}", text, value=value)


def _numbers(health: Health) -> Iterator[tuple[str, str, float]]:
    yield "queue_ready", "Runs that a worker may begin now.", health.ready
    yield "queue_behind", "Runs that wait for another one of their thread.", health.behind
    yield "queue_claimed", "Runs that a worker works on.", health.claimed
    yield (
        "queue_oldest_seconds",
        "How long the first of those that are ready has waited.",
        health.oldest_seconds,
    )
    yield "workers", "Workers that are registered.", len(health.workers)
    yield (
        "worker_slots",
        "Runs that they work on at most.",
        sum(each.concurrency for each in health.workers),
    )
    yield "timers_overdue", "Timers that are due.", sum(each.overdue for each in health.timers)
    yield "timers_failed", "Timers that were set aside.", health.failed_timers
    yield "questions", "Questions that wait for a person.", health.questions.questions
    yield (
        "questions_oldest_seconds",
        "How long the first of them has waited.",
        health.questions.oldest_seconds,
    )
    yield (
        "breakers_open",
        "Providers whose circuit breaker is open.",
        sum(each.is_open for each in health.brakes),
    )
    yield "kill_switches", "Kill switches that stand.", len(health.kills)
    yield "effects_in_doubt", "Effects of which nobody knows whether they happened.", health.doubts
    yield "notifications_given_up", "Notifications that were given up.", health.unsent
    yield (
        "alarms",
        "Findings that need a person.",
        sum(each.severity == "alarm" for each in health.findings),
    )
    if health.server:
        yield "database_connections", "Connections to the database.", health.server.connections
        yield "database_bytes", "What the tables take.", health.server.bytes


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"interlock_{name}", text, labels=(label,))
    for each, value in values.items():
        family.add_metric([each], value)
    return family
