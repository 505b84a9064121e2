"""Who asks for a run, as it is stored with the run: its nodes find it, in whatever process they work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson
from starlette.datastructures import Headers

from interlock.core.driving import Driving
from interlock.core.identity import asker
from interlock.langgraph_json import ConfigurableHeaders
from interlock.postgres.assistants import default_id
from interlock.postgres.encryption import kept_json
from interlock.server.callers import Caller
from interlock.server.headers import THIS_REQUEST
from interlock.server.scope import Scope
from interlock.server.wire import dumps

SECRET = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-csrf-token",
        "x-service-key",
        "x-tenant-id",
    }
)
"""Headers that say who calls: they reach no run, whatever an application lists."""

LONGEST = 4096
"""Characters of a header that nodes find."""


def asked_by(scope: Scope) -> dict[str, Any]:  # JSON
    """Return who asks, and what of their request nodes find; encrypted where values are."""
    headers, settings = scope.headers, scope.house.il.settings
    rules = scope.house.il.application.config.http.configurable_headers
    said = asker(
        _user(scope.caller),
        permissions=permissions_of(scope.caller),
        request_id=THIS_REQUEST.get(),
        headers=chosen(headers, rules) if rules else None,
    )
    hides = said.keys() - {"request_id"}
    kept: dict[str, Any] = kept_json(settings.encryption_key, said) if hides else said
    return kept


def driven_for(scope: Scope, graph: str, driving: Driving) -> Driving:
    """Return how a run is driven for whoever asks: with the graph's own assistant, unless it names another."""
    own = {"graph_id": graph, "assistant_id": str(default_id(graph))}
    return replace(
        driving,
        configurable={**own, **driving.configurable},
        metadata={**own, **driving.metadata},
        asker=asked_by(scope),
    )


async def going_on(scope: Scope, thread_id: str) -> Driving:
    """Return how the run is driven that goes on with a thread for whoever asks, else as the one that it is at."""
    stored = await scope.reader.store.latest(thread_id)
    return driven_for(scope, stored.run.graph, stored.driving.lasting())


def chosen(headers: Headers, rules: ConfigurableHeaders) -> dict[str, str]:
    """Return the headers that an application lets reach its runs."""
    listed, left_out = _pattern(rules.included), _pattern(rules.excluded)
    return {
        name: value[:LONGEST]
        for name, value in headers.items()
        if listed.fullmatch(name) and not left_out.fullmatch(name) and name not in SECRET
    }


def permissions_of(caller: Caller) -> Sequence[str]:
    """Return what a caller may do: as the application's handler says it, else their roles."""
    if caller.kind == "handler":
        return [str(each) for each in caller.user.get("permissions") or ()]
    return () if caller.kind == "loopback" else caller.roles


def _user(caller: Caller) -> Mapping[str, Any]:  # JSON
    """Return a caller as nodes know them: whom the handler returned, or who holds a key or a token."""
    if caller.kind == "loopback":
        return {}
    if caller.kind == "handler":
        said: dict[str, Any] = orjson.loads(dumps(caller.user))
        return said
    return {
        "identity": caller.identity,
        "display_name": caller.identity,
        "is_authenticated": True,
        "permissions": list(caller.roles),
        **({"tenant": caller.tenant} if caller.tenant else {}),
    }


@lru_cache(maxsize=8)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches any of some names, where `*` stands for anything."""
    return re.compile(
        "|".join(".*".join(map(re.escape, each.lower().split("*"))) for each in names) or r"(?!)",
        re.DOTALL,
    )
