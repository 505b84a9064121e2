"""The application's own `langgraph_sdk.Auth`, which langgraph.json names: who calls, and what they may do."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph_sdk import Auth
from starlette.requests import HTTPConnection, Request

from interlock.application import Application
from interlock.core.identity import User
from interlock.errors import Forbidden, Unauthorized, UsageError
from interlock.server.callers import Caller, Role, roles_in

KNOWN = "interlock.handler"
"""Under which a request keeps whom the handler said it comes from: it is asked once."""

ARGUMENTS: Mapping[str, Callable[[HTTPConnection], Any]] = {  # whatever a handler asks for
    "request": lambda it: Request(it.scope),
    "scope": lambda it: it.scope,
    "path": lambda it: it.scope["path"],
    "path_params": lambda it: it.path_params,
    "query_params": lambda it: it.query_params,
    "headers": lambda it: dict(it.scope["headers"]),
    "authorization": lambda it: it.headers.get("authorization"),
    "method": lambda it: it.scope.get("method", "GET"),
}
"""What an authentication handler may ask for, by the name of its parameter."""

ROLES: tuple[Role, ...] = ("operator", "approver")
"""Of whom a handler knows and gives no roles of ours: all that LangGraph's protocol has, and nothing of governing."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """Asks an application's handlers."""

    auth: Auth

    @classmethod
    def of(cls, application: Application) -> Handlers | None:
        """Return what langgraph.json names as `auth.path`; None when it names nothing. Raises `UsageError`."""
        target = application.config.auth.path
        if target is None:
            return None
        found = application.found("`auth`", target)
        if not isinstance(found, Auth) or found._authenticate_handler is None:
            raise UsageError(
                f"{target} is no langgraph_sdk.Auth with an authentication handler.",
                hint="Decorate one with @auth.authenticate.",
            )
        if unknown := _needed(found._authenticate_handler) - ARGUMENTS.keys():
            raise UsageError(
                f"The authentication handler {target} asks for {', '.join(sorted(unknown))}.",
                hint=f"It can be given {', '.join(ARGUMENTS)}.",
            )
        return cls(found)

    async def caller(self, connection: HTTPConnection) -> Caller | None:
        """Return who the handler says a request comes from; raises `Unauthorized` or `Forbidden` as it does."""
        user = await self.user(connection)
        said = user.document()
        roles, tenant = roles_in(said.get("roles")) or ROLES, said.get("tenant")
        if tenant is not None and (not isinstance(tenant, str) or not tenant):
            raise Unauthorized("The authentication handler returned a `tenant` that is none.")
        return Caller(identity=user.identity, roles=roles, tenant=tenant, kind="handler", user=said)

    async def user(self, connection: HTTPConnection) -> User:
        """Return whom the handler says a request comes from."""
        if KNOWN not in connection.scope:
            connection.scope[KNOWN] = await self._asked(connection)
        user: User = connection.scope[KNOWN]
        return user

    async def _asked(self, connection: HTTPConnection) -> User:
        handler = self.auth._authenticate_handler
        assert handler is not None  # noqa: S101  # looked at when it was found
        names = inspect.signature(handler).parameters
        given = {name: make(connection) for name, make in ARGUMENTS.items() if name in names}
        try:
            said = await _called(handler, given)
        except Auth.exceptions.HTTPException as error:
            kind = Forbidden if error.status_code == 403 else Unauthorized
            raise kind(str(error.detail)) from error
        except AssertionError as error:
            raise Unauthorized(str(error) or "The handler did not let this pass.") from error
        permissions, user = said if isinstance(said, tuple) else (None, said)
        if permissions is not None and isinstance(user, str | Mapping):
            said = {"identity": user} if isinstance(user, str) else user
            user = {"permissions": permissions, **said}
        if user is None:
            raise Unauthorized("Nobody is known by this request.")
        return User(user)

    @property
    def decides(self) -> bool:
        """Whether there are handlers that say what callers may do."""
        return bool(self.auth._handlers or self.auth._global_handlers)

    def handler(self, resource: str, action: str) -> Callable[..., Any] | None:
        """Return the most specific handler of what is done to what; None when there is none."""
        known = self.auth._handlers
        for key in ((resource, action), (resource, "*"), ("*", action), ("*", "*")):
            if key in known:
                return known[key][-1]
        return self.auth._global_handlers[-1] if self.auth._global_handlers else None

    async def verdict(
        self,
        user: User,
        resource: Any,  # a literal of the SDK's
        action: Any,  # the same
        value: dict[str, Any],  # JSON, which the handler may change
    ) -> Mapping[str, Any]:  # a filter of metadata
        """Ask whether a user may do something, and to what; raises `Forbidden`. An empty filter fits everything."""
        handler = self.handler(resource, action)
        if handler is None:
            return {}
        context = Auth.types.AuthContext(
            permissions=user.permissions,
            user=user,
            resource=resource,
            action=action,
        )
        try:
            said = await _called(handler, {"ctx": context, "value": value})
        except Auth.exceptions.HTTPException as error:
            kind = Unauthorized if error.status_code == 401 else Forbidden
            raise kind(str(error.detail)) from error
        except AssertionError as error:
            raise Forbidden(str(error) or "The handler did not let this pass.") from error
        if said is None or said is True:
            return {}
        if not isinstance(said, Mapping):
            raise Forbidden(f"{user.identity} may not {action} {resource}.")
        return said


async def _called(handler: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    if inspect.iscoroutinefunction(handler):
        return await handler(**given)
    return await asyncio.to_thread(handler, **given)


def _needed(handler: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(handler).parameters.values()
    return {each.name for each in parameters if each.default is each.empty}
