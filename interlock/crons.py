"""Crons, as the runtime offers them: runs that are submitted again and again at certain times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from interlock.application import Graph
from interlock.core.bounded import declaration_of
from interlock.core.cards import Card
from interlock.core.context import Ports
from interlock.core.cron import UNTIL, Cron, Firing, check
from interlock.core.driving import Driving, without_reserved
from interlock.core.queueing import Options
from interlock.core.sleeping import LONGEST
from interlock.core.sync import run_sync
from interlock.core.timing import CatchUp
from interlock.core.versions import version_of
from interlock.errors import UsageError
from interlock.forks import title_of
from interlock.inputs import check_input, check_thread_id
from interlock.postgres.crons import CronStore
from interlock.postgres.pool import Connection
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import NewRun
from interlock.postgres.thread_metadata import metadata_of
from interlock.settings import Settings
from interlock.steering import check_driving, kept_of

CARD, CLIENT = "card", "client"
"""Under which a cron's context keeps what its runs are noted with, and what a client of the server said of it."""

OWN = "own"
"""Under which the latter names the metadata that its runs have whatever their thread's are."""


class Crons(ABC):
    """The part of the runtime that sets crons, and accepts their runs."""

    settings: Settings
    store: RunStore
    cron_store: CronStore
    _ports: Ports

    @abstractmethod
    def graph(self, name: str) -> Graph:
        """Return the application's compiled graph."""

    @abstractmethod
    def _new_context(
        self, graph: Graph, model: str | None, given: Mapping[str, Any] | None
    ) -> dict[str, Any]: ...

    async def acron_set(  # noqa: PLR0913  # each is a choice of the user's
        self,
        name: str,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002  # LangGraph's own word for it
        schedule: str,
        *,
        zone: str = "UTC",
        catch_up: CatchUp = "once",
        thread_id: str = "",
        model: str | None = None,
        context: Mapping[str, Any] | None = None,  # JSON
        options: Options | None = None,
        within: float | None = None,
        enabled: bool = True,
        driving: Driving | None = None,
        until: datetime | None = None,
        client: Mapping[str, Any] | None = None,  # JSON
    ) -> Cron:
        """Make a cron, or change the one of this name; it fires at the first of its times after now.

        Args:
            name: of the cron.
            graph: of its runs.
            input: of its runs; it must fit the graph now, and again at each time.
            schedule: minute, hour, day of month, month, day of week; six fields begin with a second.
            zone: the IANA time zone in which the schedule is read.
            catch_up: what happens at times that were missed because no worker was there.
            thread_id: on which all of its runs are; by default each begins a thread of its own.
            model: for a graph that takes Interlock's `Context`.
            context: for a graph with a context schema of its own.
            options: the priority of its runs, and what they do when their thread is busy.
            within: seconds after which a run that has not ended is stopped.
            enabled: False makes it paused.
            driving: what LangGraph is told of its runs beside the input.
            until: after which it fires no more.
            client: what a client of the server said of it.

        Raises:
            NotFound: no such graph.
            UsageError: the schedule or the zone means nothing, or the input or the context does not fit the graph.
        """
        check(schedule, zone)
        options = _checked(options or Options(), within)
        compiled = self.graph(graph)
        driving = check_driving(compiled, driving or Driving())
        cron = Cron(
            name=_name(name),
            graph=graph,
            input=check_input(compiled, input),
            schedule=schedule,
            zone=zone,
            catch_up=catch_up,
            thread_id=check_thread_id(thread_id) if thread_id else "",
            context={
                "model": model,
                "given": context,
                "tenant": self.settings.tenant,
                **_kept(driving, options, until, client),
            },
            multitask_strategy=options.multitask_strategy,
            priority=options.priority,
            within=within,
            enabled=enabled,
            created_by=self.settings.user,
        )
        self._new_context(compiled, model, context)  # refused now, and not at its first time
        return await self.cron_store.set(cron)

    async def acrons(self) -> list[Cron]:
        """Return all crons, by name."""
        return await self.cron_store.crons()

    async def acron(self, name: str) -> tuple[Cron, list[Firing]]:
        """Return a cron with what it did lately, newest first; raises `NotFound`."""
        return await self.cron_store.cron(name)

    async def acron_pause(self, name: str) -> Cron:
        """Let a cron fire no more until `acron_resume`; raises `NotFound`."""
        return await self.cron_store.switch(name, enabled=False)

    async def acron_resume(self, name: str) -> Cron:
        """Let a cron fire again; what was due while it was paused is not made up for. Raises `NotFound`."""
        return await self.cron_store.switch(name, enabled=True)

    async def acron_remove(self, name: str) -> None:
        """Forget a cron; the runs that it submitted stay. Raises `NotFound`."""
        await self.cron_store.remove(name)

    async def acron_clock(self) -> datetime:
        """Return what time it is for timers and crons: the database's."""
        return await self.cron_store.now()

    async def _accept_cron(
        self, connection: Connection, cron: Cron, due: datetime
    ) -> tuple[str, str]:
        """Accept the run of one of a cron's times, inside a transaction; return its id and its thread's."""
        self._ports.policy.current()
        compiled = self.graph(cron.graph)
        given = dict(cron.context)
        context = self._new_context(compiled, given.get("model"), given.get("given"))
        values = check_input(compiled, cron.input)
        run_id = str(uuid4())
        driving, options = await _as_its_thread_says(
            connection, cron, Driving.of(given, ""), _options(cron, due)
        )
        context |= kept_of(driving, options, run_id)
        new = NewRun(
            run_id=run_id,
            thread_id=cron.thread_id or str(uuid4()),
            graph=cron.graph,
            kind="invoke",
            context=context | {"tenant": given.get("tenant") or ""},
            input=values,
            title=title_of(values),
            schema_version=version_of(declaration_of(compiled)),
        )
        run_id = await self.store.accept(connection, new, options, enqueue=True)
        return run_id, new.thread_id


class CronsNow(Crons):
    """The synchronous twins."""

    def cron_set(  # noqa: PLR0913  # as above
        self,
        name: str,
        graph: str,
        input: Mapping[str, Any],  # noqa: A002
        schedule: str,
        *,
        zone: str = "UTC",
        catch_up: CatchUp = "once",
        thread_id: str = "",
        model: str | None = None,
        context: Mapping[str, Any] | None = None,  # JSON
        options: Options | None = None,
        within: float | None = None,
        enabled: bool = True,
        driving: Driving | None = None,
        until: datetime | None = None,
        client: Mapping[str, Any] | None = None,  # JSON
    ) -> Cron:
        """Make a cron, or change it; see `acron_set`."""
        return run_sync(
            self.acron_set(
                name,
                graph,
                input,
                schedule,
                zone=zone,
                catch_up=catch_up,
                thread_id=thread_id,
                model=model,
                context=context,
                options=options,
                within=within,
                enabled=enabled,
                driving=driving,
                until=until,
                client=client,
            )
        )

    def crons(self) -> list[Cron]:
        """Return all crons; see `acrons`."""
        return run_sync(self.acrons())

    def cron(self, name: str) -> tuple[Cron, list[Firing]]:
        """Return a cron with what it did lately; see `acron`."""
        return run_sync(self.acron(name))

    def cron_pause(self, name: str) -> Cron:
        """Let a cron fire no more; see `acron_pause`."""
        return run_sync(self.acron_pause(name))

    def cron_resume(self, name: str) -> Cron:
        """Let a cron fire again; see `acron_resume`."""
        return run_sync(self.acron_resume(name))

    def cron_clock(self) -> datetime:
        """Return what time it is for timers and crons; see `acron_clock`."""
        return run_sync(self.acron_clock())

    def cron_remove(self, name: str) -> None:
        """Forget a cron; see `acron_remove`."""
        run_sync(self.acron_remove(name))


async def _as_its_thread_says(
    connection: Connection, cron: Cron, driving: Driving, options: Options
) -> tuple[Driving, Options]:
    """Return how a client's cron begins a run: with its thread's metadata as they are at this time."""
    if not cron.thread_id or (card := options.card) is None:
        return driving, options
    (thread,) = await metadata_of(connection, cron.thread_id)
    said = cron.context[CLIENT].get(OWN, card.metadata)
    theirs = {key: thread[key] for key in thread if key not in said}
    inherited = {**driving.inherited, **without_reserved(theirs)}
    noted = replace(card, metadata={**card.metadata, **theirs})
    return replace(driving, inherited=inherited), replace(options, card=noted)


def _options(cron: Cron, due: datetime) -> Options:
    return Options(
        idempotency_key=f"cron:{cron.name}:{due.isoformat()}",
        multitask_strategy=cron.multitask_strategy,
        priority=cron.priority,
        deadline=None if cron.within is None else due + timedelta(seconds=cron.within),
        replaces_questions=CARD in cron.context,
        card=Card(**cron.context[CARD]) if CARD in cron.context else None,
    )


def _kept(
    driving: Driving,
    options: Options,
    until: datetime | None,
    client: Mapping[str, Any] | None,
) -> dict[str, Any]:  # JSON
    """Return what a cron's context keeps of what only clients of the server say."""
    said = {
        CARD: None if options.card is None else asdict(options.card),
        UNTIL: None if until is None else until.astimezone(UTC).isoformat(),
        CLIENT: client,
    }
    return driving.stored("") | {key: each for key, each in said.items() if each is not None}


def _checked(options: Options, within: float | None) -> Options:
    if options.idempotency_key or options.start_at or options.deadline:
        raise UsageError(
            "A cron's runs have keys and times of their own.",
            hint="Give it a priority and a strategy; `within` is what a deadline is for one run.",
        )
    if within is not None and not 0 < within <= LONGEST:
        raise UsageError(
            f"A run that must end within {within} seconds cannot.",
            hint="Write seconds greater than 0, or leave it out.",
        )
    return options


def _name(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise UsageError(f"A cron cannot be named {name!r}.", hint="Use up to 100 characters.")
    return name
