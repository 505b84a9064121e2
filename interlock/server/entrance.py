"""Which ways in a server has, by its settings, its application and the address that it is bound to."""

from __future__ import annotations

import logging
import re
from typing import cast

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Scope

from interlock.errors import Unauthorized, UsageError
from interlock.facade import Interlock
from interlock.langgraph_json import Cors
from interlock.postgres.keys import KeyStore
from interlock.server.authorizing import Authorizing
from interlock.server.bodies import Bodies, Vouch
from interlock.server.gatekeeping import Gatekeeper, Known
from interlock.server.handlers import Handlers
from interlock.server.headers import Doors, SecureAnswers, hosts_of, named
from interlock.server.house import House
from interlock.server.lasting import Lasting
from interlock.server.limits import Streams
from interlock.server.mounting import NEIGHBOURS, shared
from interlock.server.scope import stranger
from interlock.server.slashes import Slashes
from interlock.server.tokens import Tokens
from interlock.server.v3.malformed import unread
from interlock.server.witness import Witness
from interlock.settings import Settings


async def gatekeeper_of(il: Interlock, *, loopback: bool) -> Gatekeeper:
    """Return what knows the callers of a server.

    Args:
        il: the runtime.
        loopback: whether only this machine can reach the server.

    Raises:
        UsageError: others can reach it, and nobody would be known; or what says who calls cannot be used.
    """
    keys = KeyStore(il.pool)
    handlers = Handlers.of(il.application)
    others: tuple[Known, ...] = tuple(
        each.caller for each in (handlers, Tokens.of(il.settings)) if each is not None
    )
    if not loopback and not others and not any(each.valid for each in await keys.keys()):
        raise UsageError(
            "Others than this machine could reach the server, and it has no key.",
            hint="Make one with `interlock keys create NAME --role admin`, or bind 127.0.0.1.",
        )
    return Gatekeeper(
        open_to_loopback=loopback and not others and il.settings.server_key is not True,
        until_there_is_a_key=il.settings.server_key is None,
        keys=keys,
        others=others,
    )


def guarded(served: FastAPI, house: House, *, loopback: bool) -> ASGIApp:
    """Return an application behind what keeps out, limits and notes its requests; the first line is the innermost."""
    logging.getLogger("uvicorn.error").addFilter(named)
    settings, app = house.il.settings, cast("ASGIApp", served)
    http = house.il.application.config.http
    if (handlers := Handlers.of(house.il.application)) is not None:
        app = Authorizing(
            app=app,
            handlers=handlers,
            gatekeeper=house.gatekeeper,
            pool=house.il.pool,
            prefix=http.mount_prefix,
        )
    app = Bodies(
        app=app,
        size=settings.server_body,
        depth=settings.server_depth,
        vouch=_vouching(served, house),
        unread=unread,
    )
    app = Lasting(app=app, gatekeeper=house.gatekeeper)
    app = Streams(app=app, each=settings.server_streams, all=settings.server_all_streams)
    app = shared(app, http, settings.server_origins, on_loopback=loopback)
    app = Doors(
        app=app,
        hosts=hosts_of(loopback, settings.server_hosts),
        probes=(f"{http.mount_prefix}/ok", "/ok"),
        origins=origins_of(settings, house.il),
        alike=alike_of(http.cors, loopback=loopback),
    )
    app = Witness(app=app, audit=house.audit)
    return SecureAnswers(Slashes(app))


def _vouching(served: FastAPI, house: House) -> Vouch:
    """Return what raises unless it is known who sends a request; what an application's own app serves is its own."""
    config = house.il.application.config.http

    async def vouch(scope: Scope) -> None:
        if config.app is not None and not _is_ours(served, scope, config.mount_prefix):
            return
        connection = HTTPConnection(scope)
        try:
            await house.gatekeeper.holder(connection)
        except Unauthorized:
            house.rates.take(stranger(connection))
            raise

    return vouch


def _is_ours(served: FastAPI, scope: Scope, prefix: str) -> bool:
    here = {**scope, "root_path": prefix}
    return any(
        each.matches(here)[0] != Match.NONE for each in served.routes if not isinstance(each, Mount)
    )


def origins_of(settings: Settings, il: Interlock) -> frozenset[str]:
    """Return the sites whose pages may send requests: those of the settings, and those of langgraph.json."""
    cors = il.application.config.http.cors
    named = cors.allow_origins if cors is not None else ()
    return frozenset({*settings.server_origins, *(each.lower().rstrip("/") for each in named)})


def alike_of(cors: Cors | None, *, loopback: bool) -> re.Pattern[str] | None:
    """Return what else the names of such sites look like: as langgraph.json says; else, on loopback, its neighbours."""
    if cors is not None:
        return re.compile(cors.allow_origin_regex) if cors.allow_origin_regex else None
    return re.compile(NEIGHBOURS) if loopback else None
