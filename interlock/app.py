"""The composition root: `open()` gives the durable runtime. The only file that names concrete adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import replace
from functools import partial
from pathlib import Path

from interlock import web
from interlock.application import Application
from interlock.bounds import ceilings_of
from interlock.core.context import Ports
from interlock.core.lineage import Lineage
from interlock.core.models import ChatModels, ModelSource
from interlock.core.paced_models import pace
from interlock.core.policy_file import policies_from
from interlock.core.prices import prices_from
from interlock.core.rates_file import rates_from
from interlock.core.recorded_calls import CALLS
from interlock.core.sync import run_sync
from interlock.embeddings import MiniLM
from interlock.facade import Interlock
from interlock.postgres import embedded
from interlock.postgres.approvals import PostgresApprovals
from interlock.postgres.aside import Aside
from interlock.postgres.blobs import PostgresBlobs
from interlock.postgres.budgets import PostgresBudgets
from interlock.postgres.checkpointer import Core
from interlock.postgres.checkpoints import strict_serializer
from interlock.postgres.corpus import PostgresCorpus
from interlock.postgres.encryption import ring_of
from interlock.postgres.kill_watch import KillWatch
from interlock.postgres.kills import PostgresKills
from interlock.postgres.ledger import PostgresLedger
from interlock.postgres.locks import ThreadLocks
from interlock.postgres.migrations import migrate
from interlock.postgres.pool import Pool, open_pool
from interlock.postgres.rates import PostgresRates
from interlock.postgres.recorded_answers import RecordedAnswers
from interlock.postgres.recordings import PostgresRecordings
from interlock.postgres.runs import RunStore
from interlock.postgres.schema import placed
from interlock.postgres.sleeps import PostgresSleeps
from interlock.postgres.trust import PostgresTrust
from interlock.repair.bench import Bench
from interlock.running import PortsFor
from interlock.settings import Settings
from interlock.settings import load as load_settings

FEW = 4
"""Connections of a runtime that stands beside another."""

IDLE_SECONDS = 30.0
"""How long such a connection stays open when nobody uses it."""


@asynccontextmanager
async def aopen(
    url: str | None = None,
    *,
    data_dir: Path | str | None = None,
    config: Path | str | None = None,
    settings: Settings | None = None,
    models: ModelSource | None = None,
) -> AsyncIterator[Interlock]:
    """Open the durable runtime on this event loop.

    Args:
        url: a Postgres; without it `INTERLOCK_DATABASE_URL`, without that an embedded server.
        data_dir: where the embedded server keeps its data.
        config: the application's langgraph.json; default: found in this folder or above.
        settings: all other settings; default: read from the environment.
        models: where chat models come from; default: LangChain's providers.

    Raises:
        DatabaseUnavailable: the database does not answer, or the embedded server does not start.
        UsageError: a setting is wrong, or there is no langgraph.json.
    """
    settings = (settings or load_settings()).with_(
        database_url=url, data_dir=_path(data_dir), config=_path(config)
    )
    application = Application.find(settings.config)
    async with AsyncExitStack() as stack:
        database = placed(
            settings.database_url or await _embedded(stack, settings), settings.schema
        )
        await migrate(database)
        stack.enter_context(CALLS.installed())
        pace()
        yield await _opened(stack, settings, application, database, models)


@asynccontextmanager
async def abeside(il: Interlock, url: str, *, tenant: str) -> AsyncIterator[Interlock]:
    """Open a runtime beside another for the same application, with a few connections of its own.

    Args:
        il: the other one.
        url: its database, with other options: so that a role that sees less looks at it.
        tenant: on whose behalf it is.
    """
    async with AsyncExitStack() as stack:
        settings = il.settings.with_(tenant=tenant)
        few = partial(open_pool, size=FEW, least=0, idle=IDLE_SECONDS)
        beside = await _opened(stack, settings, il.application, url, None, few)
        beside.stream_news = il.stream_news  # one connection listens for all
        yield beside


async def _opened(
    stack: AsyncExitStack,
    settings: Settings,
    application: Application,
    database: str,
    models: ModelSource | None,
    opening: Callable[[str], AbstractAsyncContextManager[Pool]] = open_pool,
) -> Interlock:
    pool = await stack.enter_async_context(opening(database))
    thread_locks = ThreadLocks(database)
    stack.push_async_callback(thread_locks.close)
    aside = Aside(database)
    stack.push_async_callback(aside.close)
    kill_watch = KillWatch(database)
    stack.callback(kill_watch.close)
    kills = PostgresKills(pool, kill_watch)
    bench = Bench()
    ports = _ports(pool, aside, thread_locks, kills, settings, models, bench)
    core = Core.at(database)
    stack.push_async_callback(core.close)
    il = Interlock(settings, application, database, pool, thread_locks, ports, core)
    bench.il = il
    stack.push_async_callback(il.endings.close)
    stack.push_async_callback(il.stream_news.close)
    stack.push_async_callback(il.stream_log.close)
    return il


@contextmanager
def open(  # noqa: A001  # `interlock.open()` reads as the sentence it is; nothing here opens files
    url: str | None = None,
    *,
    data_dir: Path | str | None = None,
    config: Path | str | None = None,
    settings: Settings | None = None,
    models: ModelSource | None = None,
) -> Iterator[Interlock]:
    """Open the durable runtime for synchronous code; arguments and errors as for `aopen`."""
    manager = aopen(url, data_dir=data_dir, config=config, settings=settings, models=models)
    il = run_sync(manager.__aenter__())
    try:
        yield il
    finally:
        run_sync(manager.__aexit__(None, None, None))


def _ports(
    pool: Pool,
    aside: Aside,
    thread_locks: ThreadLocks,
    kills: PostgresKills,
    settings: Settings,
    models: ModelSource | None,
    bench: Bench,
) -> PortsFor:
    """Return what makes the ports of a run: all but the ledger are the same for every run."""
    built = ChatModels(
        base_url=settings.base_url,
        timeout=settings.model_timeout,
        max_retries=0,  # what passes by itself is tried again by ourselves, and then everybody knows of it
        temperature=settings.temperature,
        max_tokens=settings.max_output_tokens,
    )
    fetch = partial(web.fetch, allow_private=settings.allow_private_urls)
    embedder = MiniLM.installed() if settings.embeddings else None
    policies = policies_from(settings.policy)
    budgets = PostgresBudgets(pool, aside, thread_locks)
    ceilings_of(settings)  # refused now when wrong, and not at the first run
    shared = Ports(
        models=models or built,
        corpus=PostgresCorpus(pool, fetch=fetch, searcher=web.search_tool, embedder=embedder),
        ledger=PostgresLedger(pool, thread_locks),
        approvals=PostgresApprovals(pool),
        policy=policies,
        trust=PostgresTrust(pool, policies),
        spending=RunStore(pool, strict_serializer()),
        recordings=PostgresRecordings(pool, aside, ring_of(settings.encryption_key)),
        blobs=PostgresBlobs(
            pool, limit=settings.blob_limit, cipher=ring_of(settings.encryption_key)
        ),
        budgets=budgets,
        prices=prices_from(settings.prices),
        rates=PostgresRates(pool, aside, thread_locks, rates_from(settings.rates)),
        kills=kills,
        workshop=bench,
    )

    def made(lineage: Lineage) -> Ports:
        own = replace(
            shared,
            ledger=PostgresLedger(pool, thread_locks, lineage),
            sleeps=PostgresSleeps(pool, lineage),
        )
        if not lineage.recorded_only:
            return own
        return replace(own, approvals=RecordedAnswers(pool, lineage))

    ordinary = made(Lineage())  # of all runs that are on no fork
    return lambda lineage: ordinary if lineage == Lineage() else made(lineage)


async def _embedded(stack: AsyncExitStack, settings: Settings) -> str:
    server = await asyncio.to_thread(embedded.start, settings.data_dir, port=settings.postgres_port)
    stack.callback(server.close)
    return server.url


def _path(value: Path | str | None) -> Path | None:
    return Path(value) if value is not None else None


__all__ = ["abeside", "aopen", "open"]
