"""Names with a slash in a request's path: `/threads/tickets%2F4711` is about the thread `tickets/4711`.

Servers undo the percent signs before routes look at a path, and a slash of a name would part it then. So another
character, which is in no name, stands for it until the parts of the path are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

STANDS_FOR = "\uf02f"  # of no script: names are printable, and this is not

SLASHED = "interlock.slashed"
"""Under which a request keeps that a part of its path has a slash."""

_ENCODED = re.compile(rb"%2f", re.IGNORECASE)

_OURS = re.compile(rb"/(threads|ui|budgets)/")
"""Where such names may stand; an application's own routes see what they always saw."""


@dataclass(frozen=True, slots=True)
class Slashes:
    """Lets routes see a slash that is a part of a name as such."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        raw = scope.get("raw_path") or b""
        if b"%2" in raw and _ENCODED.search(raw) and _OURS.search(raw):
            path = unquote(_ENCODED.sub(quote(STANDS_FOR).encode(), raw).decode("latin-1"))
            scope = {**scope, "path": path, SLASHED: True}
        await self.app(scope, receive, send)


def restored(name: str) -> str:
    """Return a name as its client meant it."""
    return name.replace(STANDS_FOR, "/")


def restore(scope: Scope) -> None:
    """Let the parts of a request's path be as its client meant them."""
    if SLASHED in scope:
        found = scope.get("path_params", {}).items()
        scope["path_params"] = {
            key: restored(each) if isinstance(each, str) else each for key, each in found
        }
