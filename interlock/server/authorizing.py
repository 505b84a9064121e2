"""Lets an application's `@auth.on` handlers decide on requests: refuse them, change them, or filter what they reach.

A filter is of metadata, as LangGraph's server has it. Who comes with a key of ours, or a session, is not asked about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.core.identity import User
from interlock.errors import Forbidden, InterlockError, NotFound, ThreadBusy
from interlock.postgres.authorizing import metadata_of
from interlock.postgres.pool import Pool
from interlock.server.callers import roles_in
from interlock.server.failures import status_of
from interlock.server.gatekeeping import Gatekeeper, key_in
from interlock.server.handlers import Handlers
from interlock.server.slashes import restored
from interlock.server.wire import Wire

READS = ("GET", "WEBSOCKET")

AGAIN = "interlock.again"
"""Under which a request keeps how the handlers are asked about it again, for as long as it is answered."""

Again = Callable[[HTTPConnection], Awaitable[None]]
"""Raises where a request would be refused now."""

Resource = Literal["threads", "assistants", "crons", "store"]

ONLY_LISTENS = "interlock.only_listens"
"""Under which a WebSocket keeps that its caller was let read: commands are not asked about one by one there."""

FREE = re.compile(r"/(ok|info|docs|openapi\.json|metrics|access/me|ui/(login|logout|static/.*))")
"""Paths that tell of nobody, or ask by themselves who calls."""

Filter = Mapping[str, Any]  # of metadata, as handlers return it


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request does to what.

    Attributes:
        path: matches the whole path; a group `id` names one thing.
        kind: how a filter is applied: to the one thing that is named, or to all that is searched.
    """

    methods: str
    path: re.Pattern[str]
    resource: Resource
    action: str
    kind: Literal["one", "search", "create", "run", "many", "store"]


def _rule(methods: str, path: str, what: str, kind: Any) -> Rule:  # a literal
    resource, _, action = what.partition(".")
    return Rule(methods, re.compile(path.replace("{id}", "(?P<id>[^/]+)")), resource, action, kind)  # type: ignore[arg-type]  # written below


RULES = (
    _rule("POST", "/threads", "threads.create", "create"),
    _rule("POST", "/threads/(search|count)", "threads.search", "search"),
    _rule("POST", "/threads/prune", "threads.delete", "many"),
    _rule("POST", "/threads/{id}/(history|state/checkpoint|stream/events)", "threads.read", "one"),
    _rule("POST", "/threads/{id}/copy", "threads.read", "one"),
    _rule("POST", "/threads/{id}/state", "threads.update", "one"),
    _rule("POST", "/threads/{id}/runs/crons", "crons.create", "create"),
    _rule("POST", "/threads/{id}/(commands|runs(/wait|/stream)?)", "threads.create_run", "run"),
    _rule("POST", "/threads/{id}/runs/[^/]+/cancel", "threads.update", "one"),
    _rule("DELETE", "/threads/{id}/runs/[^/]+", "threads.delete", "one"),
    _rule("PATCH", "/threads/{id}", "threads.update", "one"),
    _rule("DELETE", "/threads/{id}", "threads.delete", "one"),
    _rule("GET WEBSOCKET", "/threads/{id}(/.*)?", "threads.read", "one"),
    _rule("POST", "/runs/crons", "crons.create", "create"),
    _rule("POST", "/runs/crons/(search|count)", "crons.search", "search"),
    _rule("GET", "/runs/crons/{id}", "crons.read", "one"),
    _rule("PATCH", "/runs/crons/{id}", "crons.update", "one"),
    _rule("DELETE", "/runs/crons/{id}", "crons.delete", "one"),
    _rule("POST", "/runs(/wait|/stream)?", "threads.create_run", "run"),
    _rule("POST", "/assistants", "assistants.create", "create"),
    _rule("POST", "/assistants/(search|count)", "assistants.search", "search"),
    _rule("POST", "/assistants/{id}/versions", "assistants.read", "one"),
    _rule("POST", "/assistants/{id}/latest", "assistants.update", "one"),
    _rule("PATCH", "/assistants/{id}", "assistants.update", "one"),
    _rule("DELETE", "/assistants/{id}", "assistants.delete", "one"),
    _rule("GET", "/assistants/{id}(/.*)?", "assistants.read", "one"),
    _rule("PUT", "/store/items", "store.put", "store"),
    _rule("GET", "/store/items", "store.get", "store"),
    _rule("DELETE", "/store/items", "store.delete", "store"),
    _rule("POST", "/store/items/search", "store.search", "store"),
    _rule("POST", "/store/namespaces", "store.list_namespaces", "store"),
)
"""What is not named here is refused: nobody could say whose it is."""

NAMES: Mapping[str, tuple[str, str]] = {
    "threads": ("thread", "thread_id"),
    "assistants": ("assistant", "assistant_id"),
    "crons": ("cron", "cron_id"),
}

NAMESPACES = {"search": "namespace_prefix", "list_namespaces": "prefix"}
"""What a body calls the namespace that handlers know as `namespace`."""

OF_A_RUN = ("assistant_id", "metadata", "multitask_strategy", "if_not_exists", "after_seconds")


@dataclass(slots=True)
class Asked:
    """A request with its body, as handlers see and change it.

    Attributes:
        around: the command whose parameters the body is; None where it is none.
    """

    rule: Rule
    id: str | None
    body: dict[str, Any]  # JSON
    around: dict[str, Any] | None = None  # JSON
    changed: bool = False
    nothing: bool = False

    @property
    def whole(self) -> dict[str, Any]:  # JSON
        """The body as it is sent on."""
        return self.body if self.around is None else {**self.around, "params": self.body}


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizing:
    """Asks the handlers about each request.

    Attributes:
        prefix: under which the server is mounted.
    """

    app: ASGIApp
    handlers: Handlers
    gatekeeper: Gatekeeper
    pool: Pool
    prefix: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] not in ("http", "websocket") or FREE.fullmatch(self._path(scope)):
            return await self.app(scope, receive, send)
        try:
            return await self._serve(scope, receive, send)
        except InterlockError as error:
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            answer = Wire({"detail": str(error)}, status_code=status_of(error))
            return await answer(scope, receive, send)

    def _path(self, scope: Scope) -> str:
        """Return a request's path as routes are written."""
        path = str(scope["path"])
        return path.removeprefix(self.prefix) if path.startswith(f"{self.prefix}/") else path

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        known = key_in(connection) or await self.gatekeeper.sessions.caller(connection)
        if known or not self.handlers.decides:
            return await self.app(scope, receive, send)
        user = await self.handlers.user(connection)
        if "admin" in roles_in(user.document().get("roles")):
            return await self.app(scope, receive, send)
        method = scope.get("method", "WEBSOCKET")
        rule, named = rule_of(method, self._path(scope))
        if method == "WEBSOCKET":
            scope[ONLY_LISTENS] = True
        scope[AGAIN] = partial(self._ask_again, method, rule, named)
        if method in READS:
            asked = Asked(rule, named, _query(connection) if rule.kind == "store" else {})
            await self._decide(user, asked)
            if asked.changed:
                scope["query_string"] = _as_query(asked.body)
            return await self.app(scope, receive, send)
        text = await _whole(receive)
        asked = _asked(rule, named, _body(text), is_command=self._path(scope).endswith("/commands"))
        await self._decide(user, asked)
        if asked.nothing:
            count = self._path(scope).endswith("/count")
            return await Wire(0 if count else [])(scope, receive, send)
        if asked.changed:
            text = json.dumps(asked.whole).encode()
            MutableHeaders(scope=scope)["content-length"] = str(len(text))
        return await self.app(scope, _again(text, receive), send)

    async def _ask_again(
        self, method: str, rule: Rule, named: str | None, connection: HTTPConnection
    ) -> None:
        """Ask whether what is being read may still be read; raises as its request would now."""
        user = await self.handlers.user(connection)
        reads = method in READS or rule.action == "read"
        if reads and "admin" not in roles_in(user.document().get("roles")):
            body = _query(connection) if rule.kind == "store" else {}
            await self._decide(user, Asked(rule, named, body))

    async def _decide(self, user: User, asked: Asked) -> None:
        rule = asked.rule
        value = value_of(asked)
        before = json.dumps(value, default=str)
        wanted = await self.handlers.verdict(user, rule.resource, rule.action, value)
        if json.dumps(value, default=str) != before:
            write_back(asked, value)
        await self._apply(asked, wanted)
        if rule.kind in ("run", "create") and rule.resource in ("threads", "crons"):
            for each in _assistants(asked.body):
                await self._check_assistant(user, each)

    async def _apply(self, asked: Asked, wanted: Filter) -> None:
        match asked.rule.kind:
            case "search":
                asked.nothing = not narrow(asked, wanted)
            case "many":
                for each in asked.body.get("thread_ids", []):
                    await self._check(asked.rule.resource, str(each), wanted)
            case "create":
                await self._check_new(asked, wanted)
            case "one" | "run" | "store":
                if asked.id is not None:
                    await self._check(asked.rule.resource, asked.id, wanted)

    async def _check_new(self, asked: Asked, wanted: Filter) -> None:
        """Refuse a name that something has already which the filter does not fit."""
        named = asked.body.get(NAMES[asked.rule.resource][1])
        if asked.id is not None:  # a cron of a thread
            await self._check("threads", asked.id, wanted)
        elif isinstance(named, str):
            try:
                await self._check(asked.rule.resource, named, wanted)
            except NotFound as error:
                raise ThreadBusy(f"{named} is taken.") from error

    async def _check_assistant(self, user: User, named: str) -> None:
        wanted = await self.handlers.verdict(
            user, "assistants", "read", {"assistant_id": named, "metadata": {}}
        )
        metadata = await metadata_of(self.pool, "assistants", named)
        if metadata is not None and metadata.get("created_by") != "system":
            await self._check("assistants", named, wanted)

    async def _check(self, resource: Resource, name: str, wanted: Filter) -> None:
        """Raise `NotFound` when something is there and its metadata do not fit; what is not there, routes tell."""
        if not wanted:
            return
        metadata = await metadata_of(self.pool, resource, name)
        if metadata is not None and not fits(metadata, wanted):
            raise NotFound(f"There is no {NAMES[resource][0]} {name!r}.")


def rule_of(method: str, path: str) -> tuple[Rule, str | None]:
    """Return what a request does, and the name of what it does it to; raises `Forbidden` for what nobody decides on."""
    for rule in RULES:
        if method in rule.methods.split() and (found := rule.path.fullmatch(path)):
            named = found.groupdict().get("id")
            return rule, None if named is None else restored(named)
    raise Forbidden(f"No handler decides on {method} {path}.")


def value_of(asked: Asked) -> dict[str, Any]:  # JSON
    """Return what a handler is shown, and may change."""
    body = asked.body
    if asked.rule.kind == "store":
        name = NAMESPACES.get(asked.rule.action, "namespace")
        return {**body, "namespace": tuple(body.get(name) or ())}
    value = {**body, "metadata": dict(body.get("metadata") or {})}
    if asked.rule.kind == "run":
        given = {key: each for key, each in value.items() if key in OF_A_RUN}
        rest = {key: each for key, each in body.items() if key not in OF_A_RUN}
        value = {**given, "kwargs": rest}
    if asked.id is not None:
        of_thread = asked.rule.action == "create"
        value["thread_id" if of_thread else NAMES[asked.rule.resource][1]] = asked.id
    return value


def write_back(asked: Asked, value: Mapping[str, Any]) -> None:  # JSON
    """Put what a handler changed into the body."""
    asked.changed = True
    if asked.rule.kind == "store":
        name = NAMESPACES.get(asked.rule.action, "namespace")
        rest = {key: each for key, each in value.items() if key != "namespace"}
        asked.body = {**rest, name: list(value["namespace"])}
        return
    kept = {key: each for key, each in value.items() if key != "kwargs"}
    asked.body = {**asked.body, **value.get("kwargs", {}), **kept}


def narrow(asked: Asked, wanted: Filter) -> bool:
    """Add a filter to what is searched for; False when nothing can fit both."""
    metadata = dict(asked.body.get("metadata") or {})
    for key, want in wanted.items():
        operator, value = _operator(want)
        if operator == "$contains":
            value = [*_listed(metadata.get(key, [])), *_listed(value)]
        elif metadata.get(key, value) != value:
            return False
        metadata[key] = value
    if wanted:
        asked.body, asked.changed = {**asked.body, "metadata": metadata}, True
    return True


def fits(metadata: Mapping[str, Any], wanted: Filter) -> bool:  # JSON
    """Say whether metadata fit a filter: all of its keys, each equal, or a list that contains what it names."""
    return all(_fits(metadata.get(key), want) for key, want in wanted.items())


def _fits(has: Any, want: Any) -> bool:  # JSON
    operator, value = _operator(want)
    if operator == "$contains":
        return isinstance(has, list) and all(each in has for each in _listed(value))
    return bool(has == value) and has is not None


def _operator(want: Any) -> tuple[str, Any]:  # JSON
    if not isinstance(want, Mapping):
        return "$eq", want
    if len(want) != 1 or next(iter(want)) not in ("$eq", "$contains"):
        raise Forbidden(f"A handler filters by {dict(want)}, which means nothing here.")
    return next(iter(want.items()))


def _listed(value: Any) -> list[Any]:  # JSON
    return list(value) if isinstance(value, list | tuple) else [value]


def _asked(
    rule: Rule,
    named: str | None,
    body: dict[str, Any],  # JSON
    *,
    is_command: bool,
) -> Asked:
    """Return a request; a run that is asked for without a thread in the path may name one all the same."""
    if is_command and isinstance(params := body.get("params"), dict):
        return Asked(rule, named, params, body)
    within = body.get("thread_id")
    if rule.kind == "run" and named is None and isinstance(within, str):
        named = within
    return Asked(rule, named, body)


def _assistants(body: Mapping[str, Any]) -> list[str]:  # JSON
    """Return the assistants that a body names: as LangGraph has it, as Agent Protocol has it, or within a command."""
    within = body.get("params")
    places = (body, within) if isinstance(within, dict) else (body,)
    names = [each.get(key) for each in places for key in ("assistant_id", "agent_id")]
    return [str(each) for each in names if each is not None]


def _body(text: bytes) -> dict[str, Any]:  # JSON
    """Return a body as a mapping; empty for what is none: the route refuses it."""
    try:
        found = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _query(connection: HTTPConnection) -> dict[str, Any]:  # JSON
    """Return the query of a look into the store as a body would say it."""
    said = dict(connection.query_params)
    labels = ".".join(connection.query_params.getlist("namespace")).split(".")
    return {**said, "namespace": [each for each in labels if each]}


def _as_query(body: Mapping[str, Any]) -> bytes:  # JSON
    return urlencode({**body, "namespace": ".".join(body["namespace"])}).encode()


async def _whole(receive: Receive) -> bytes:
    text = b""
    while True:
        message = await receive()
        text += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return text


def _again(text: bytes, receive: Receive) -> Receive:
    left: list[Message] = [{"type": "http.request", "body": text, "more_body": False}]

    async def received() -> Message:
        return left.pop() if left else await receive()

    return received
