"""Who calls, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, get_args

Role = Literal["viewer", "operator", "approver", "admin"]

Right = Literal["read", "run", "answer", "govern"]
"""To look; to start, steer and stop runs; to answer questions; to set budgets, policies, switches and keys."""

RIGHTS: Mapping[Role, frozenset[Right]] = {
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "run"}),
    "approver": frozenset({"read", "answer"}),
    "admin": frozenset({"read", "run", "answer", "govern"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who calls the server.

    Attributes:
        identity: the name that answers, cancellations and the audit log are written under.
        roles: what they are.
        tenant: whose rows they see and on whose behalf their runs act; None for everybody's.
        kind: how they were known: `loopback` (nobody asked), `key`, `token` (OIDC), `handler` (the application's own).
        user: what the application's own handler returned.
        csrf: the token that forms and requests of a session of the dashboard carry; empty for who needs none.
    """

    identity: str
    roles: tuple[Role, ...] = ()
    tenant: str | None = None
    kind: Literal["loopback", "key", "token", "handler"] = "key"
    user: Mapping[str, Any] = field(default_factory=dict)  # JSON
    csrf: str = field(default="", repr=False)

    @property
    def rights(self) -> frozenset[Right]:
        """All that their roles allow."""
        return _rights(self.roles)


@lru_cache(maxsize=64)
def _rights(roles: tuple[Role, ...]) -> frozenset[Right]:
    return frozenset[Right]().union(*(RIGHTS[role] for role in roles))


def roles_in(said: Any) -> tuple[Role, ...]:  # JSON, of whoever vouches for a caller
    """Return the roles that a list has, or a text names with spaces; what is none of ours is left out."""
    names = (
        said.split() if isinstance(said, str) else said if isinstance(said, list | tuple) else ()
    )
    return tuple(each for each in get_args(Role) if each in names)


LOOPBACK = Caller(identity="loopback", roles=("admin",), kind="loopback")
"""Whoever sits at this machine: a server that is bound to loopback alone asks for no key unless it is told to."""
