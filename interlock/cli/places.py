"""What commands are about that are about no server, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

import click

from interlock.cli.call import Call
from interlock.errors import UsageError

AT_THE_DATABASE = "Run it where the database is, without --server and INTERLOCK_SERVER."

LOCAL: Mapping[str, str] = {
    "worker": "Run workers where the database is; `interlock serve --workers-inside N` has some, too.",
    "serve": "This command is the server: leave out --server and INTERLOCK_SERVER.",
    "demo": "It needs a database of its own: leave out --server and INTERLOCK_SERVER.",
    "check": "It looks at the code of graphs on this machine: leave out --server and INTERLOCK_SERVER.",
    "db": AT_THE_DATABASE,
    "storage": AT_THE_DATABASE,
    "keys": AT_THE_DATABASE,
    "tenants": AT_THE_DATABASE,
    "audit": f"{AT_THE_DATABASE} `GET /audit` of the server lists what was noted.",
    "trust": AT_THE_DATABASE,
    "approvals sweep": "Workers keep the time of questions; else run it where the database is.",
    "approvals watch": "Workers keep the time of questions; else run it where the database is.",
    "policy check": "It looks at a file on this machine: leave out --server and INTERLOCK_SERVER.",
    "policy test": "It looks at a file on this machine: leave out --server and INTERLOCK_SERVER.",
}
"""Commands, and all below them, that work on a database or on this machine alone."""


def check_place(ctx: click.Context) -> None:
    """Refuse what cannot be asked of a server, where the call names one.

    Raises:
        UsageError: the command is about a database or this machine, or an option is.
    """
    call = ctx.ensure_object(Call)
    if not call.address():
        return
    path = ctx.command_path.split()[1:]
    for length in range(1, len(path) + 1):
        if (advice := LOCAL.get(" ".join(path[:length]))) is not None:
            name = " ".join(path[:length])
            raise UsageError(f"`interlock {name}` asks no server.", hint=advice)
    if ctx.params.get("by"):
        raise UsageError(
            "A server writes down whose key it was, and takes no --by.", hint="Leave --by out."
        )
    if ctx.params.get("file"):
        raise UsageError(
            "The server has a policy of its own.", hint="Leave out --policy, or leave out --server."
        )
