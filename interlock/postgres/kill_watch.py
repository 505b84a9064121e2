"""Sees the switches that are thrown in any process, and the orders to stop, on a thread and a connection of its own.

So it sees them also while the runtime's event loop is held up by synchronous code.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg.rows import DictRow, dict_row

from interlock.core.kills import Kill, Subject, Watched, first_over
from interlock.core.queueing import StopOrder
from interlock.errors import DatabaseUnavailable
from interlock.postgres.queries import load
from interlock.postgres.schema import ours

SQL = load("kills")
STOPS = load("stops")

POLL_SECONDS = 0.5
"""How often it looks while something runs here, whether it was told of anything or not: the news may be lost."""

FRESH_SECONDS = 1.0
"""How old what it saw may be for a call to be permitted."""

PATIENCE = 2.0
"""Seconds that a call waits for a fresh look before it is refused."""

REMEMBERED = 10_000
"""How many runs that were stopped here are kept in mind; none of them ever goes on."""

LINGER_SECONDS = 5.0
"""How long it keeps its rhythm when nothing runs here any more: the next run need not wake it."""

MOMENT = 0.02
"""Seconds from one look to the next, at least."""

RETRY_SECONDS = 0.2
NAME = "interlock kills"


@dataclass(frozen=True, slots=True)
class _View:
    standing: list[Kill] = field(default_factory=list)
    at: float = float("-inf")  # of the monotonic clock, before it was read

    @property
    def fresh(self) -> bool:
        return time.monotonic() - self.at < FRESH_SECONDS


class KillWatch:
    """The switches as this process knows them; safe to be used by several threads. Started when first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._watched: list[Watched] = []
        self._came = 0  # how many were ever watched
        self._view = _View()
        self._stopped: OrderedDict[str, StopOrder] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wake = _Wake()
        self._closing = False
        self._listens = False  # to the news, and looks every now and then
        self._left_at = float("-inf")

    @contextmanager
    def watching(
        self,
        subject: Subject,
        stop: Callable[[Kill], None],
        ordered: Callable[[StopOrder], None] | None = None,
    ) -> Iterator[None]:
        """Call a function once when a switch over a run is thrown, or stands; the other when it is ordered to stop."""
        watched = Watched(subject, stop, ordered)
        with self._changed:
            self._watched.append(watched)
            self._came += 1
            self._start()
            listens = self._listens
        if (
            not listens
        ):  # else it is told at once, and what was thrown just before it sees when it looks
            self._wake.set()
        try:
            yield
        finally:
            with self._changed:
                self._watched.remove(watched)
                self._left_at = time.monotonic()

    def over(self, subject: Subject) -> Kill | None:
        """Return a switch that stands over a run; one that is known is looked for again, for it may have been lifted.

        Raises:
            RunCancelled: it was ordered to stop here; what is left of it, as in threads, does nothing more.
            DatabaseUnavailable: it could not look lately.
        """
        if subject.runs and (order := self._stopped.get(subject.runs[-1])) is not None:
            raise order.error
        known = first_over(self._latest().standing, subject)
        if known is None:
            return None
        now = time.monotonic()
        view = self._looked(lambda: self._view.at >= now)
        return known if view is None else first_over(view.standing, subject)

    def close(self) -> None:
        """Give the connection back and end the thread."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                return  # it hangs in connecting; it is a daemon, and holds up nobody
        self._wake.close()

    def _latest(self) -> _View:
        view = self._view
        if view.fresh:
            return view
        if (newer := self._looked(lambda: self._view.fresh)) is not None:
            return newer
        raise DatabaseUnavailable(
            "Whether the kill switch was thrown is not known: the database does not answer.",
            hint="Check that it runs (interlock db url); then resume the run.",
        )

    def _looked(self, enough: Callable[[], bool]) -> _View | None:
        """Have it look, and return what it saw when that is enough; None when it does not come to that in time."""
        with self._changed:
            self._start()
            self._wake.set()
            return self._view if self._changed.wait_for(enough, PATIENCE) else None

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._work, name=NAME, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while not self._closing:
            try:
                with _connection(self._url) as connection:
                    connection.execute(SQL["listen"])
                    connection.execute(STOPS["listen"])
                    while not self._closing:
                        self._look(connection)
                        self._wait(connection)
            except psycopg.Error:
                self._listens = False
                # What it knows grows old meanwhile, and then nothing is permitted.
                self._wake.wait(RETRY_SECONDS if self._watched else None)

    def _look(self, connection: psycopg.Connection[DictRow]) -> None:
        with self._changed:
            # Who comes later is told by the next look: what is read here may have been lifted before that one began.
            watched, came = tuple(self._watched), self._came
        at = time.monotonic()
        standing = [
            kill_of(row) for row in connection.execute(ours(connection, SQL["standing"])).fetchall()
        ]
        with self._changed:
            self._view = _View(standing, at)
            self._changed.notify_all()
            if standing and self._came > came:
                self._wake.set()
        orders = _orders(connection, watched)
        self._note(orders)
        for each in watched:
            each.tell(standing)
            each.order(orders)

    def _note(self, orders: Mapping[str, StopOrder]) -> None:
        self._stopped.update(orders)
        while len(self._stopped) > REMEMBERED:
            self._stopped.popitem(last=False)

    def _wait(self, connection: psycopg.Connection[DictRow]) -> None:
        while not self._wake.wait(self._pause(), connection.fileno()) and not self._watched:
            pass  # it lingers
        # Hundreds of runs may begin in a second: one look serves all of a moment.
        time.sleep(max(0.0, MOMENT - (time.monotonic() - self._view.at)))

    def _pause(self) -> float | None:
        """Return after how many seconds to look, whether there is news or not; None: only when it is woken."""
        with self._changed:
            lingers = time.monotonic() - self._left_at < LINGER_SECONDS
            self._listens = bool(self._watched) or lingers
            return POLL_SECONDS if self._listens else None


class _Wake:
    """Wakes a thread that waits for a connection."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def set(self) -> None:
        with suppress(BlockingIOError):  # it is full: the thread will wake
            os.write(self._write, b"\0")

    def wait(self, seconds: float | None, *files: int) -> bool:
        """Return whether it was woken, or something has arrived."""
        waiting = select.poll()
        for file in (self._read, *files):
            waiting.register(file, select.POLLIN)
        woken = bool(waiting.poll(None if seconds is None else seconds * 1000))
        with suppress(BlockingIOError):
            os.read(self._read, 4096)
        return woken

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


def kill_of(row: DictRow) -> Kill:
    """Return the switch of a row."""
    return Kill(
        id=row["id"],
        scope=row["scope"],
        name=row["name"],
        reason=row["reason"],
        by=row["thrown_by"],
        at=row["thrown_at"],
        lifted_at=row["lifted_at"],
        lifted_by=row["lifted_by"],
    )


def _orders(
    connection: psycopg.Connection[DictRow], watched: Sequence[Watched]
) -> dict[str, StopOrder]:
    """Return, by run, the orders to stop some of the runs that work here."""
    if not (runs := [each.run_id for each in watched if each.ordered is not None]):
        return {}
    rows = connection.execute(ours(connection, STOPS["orders"]), {"run_ids": runs}).fetchall()
    return {row["run_id"]: StopOrder(**row) for row in rows}


def _connection(url: str) -> psycopg.Connection[DictRow]:
    connection = psycopg.connect(
        url,
        autocommit=True,
        row_factory=dict_row,
        connect_timeout=5,
        application_name=NAME,
        tcp_user_timeout=2000,  # milliseconds: a network that swallows everything counts as cut
    )
    connection.add_notify_handler(_heard)
    return connection


def _heard(notice: psycopg.Notify) -> None:
    """Take the news from the driver, which would keep it: to wake up is all that it is for."""
