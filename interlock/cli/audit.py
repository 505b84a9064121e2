"""`audit`: who did what, and whether the log of it was tampered with."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.administering import with_pool
from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples
from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.postgres.audit import Audited, Verified, Wanted
    from interlock.postgres.pool import Pool


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "interlock audit",
        "interlock audit list --identity ann --act key.create",
        "interlock audit verify",
        "interlock audit verify --anchor 1204:5f0c…",
        "interlock audit export > audit.jsonl",
    ),
)
@click.pass_context
def audit(ctx: click.Context) -> int | None:
    """See who did what, and verify that nobody changed the log of it."""
    return _list(20, {}) if ctx.invoked_subcommand is None else None


@audit.command("list", epilog=examples("interlock audit list --limit 50 --subject 3f2a9c1e"))
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--identity", metavar="NAME", help="Who.")
@click.option("--tenant", metavar="NAME", help="On whose behalf.")
@click.option("--act", metavar="ACT", help="What was done, as it is listed.")
@click.option("--subject", metavar="ID", help="To what.")
def list_(limit: int, **chosen: str | None) -> int:
    """List what was done, the latest first."""
    return _list(limit, chosen)


@audit.command(epilog=examples("interlock audit verify", "interlock audit verify --anchor 9:ab12…"))
@click.option(
    "--anchor",
    metavar="NUMBER:HASH",
    default="",
    help="As an earlier call printed it, and as it was kept elsewhere.",
)
def verify(anchor: str) -> int:
    """Look whether each row follows from those before it; the exit code is 1 when one does not.

    The last line is an anchor. Kept where whoever owns the database cannot change it, it shows also that nobody wrote
    the whole log anew, or cut off its end.
    """
    from interlock.cli.output import print_json, results
    from interlock.postgres.audit import AuditStore

    if anchor and not re.fullmatch(r"[1-9][0-9]*:[0-9a-f]{64}", anchor):
        raise UsageError(f"{anchor!r} is no anchor.", hint="It is a number, `:`, and a hash.")

    async def looked(pool: Pool) -> Verified:
        return await AuditStore(pool).verify(anchor)

    found = with_pool(this_call(), looked)
    if this_call().as_json:
        print_json(_verdict(found))
    elif found.broken_at is not None:
        results().print(f"Row {found.broken_at} is wrong: {found.why}.", markup=False)
        results().print(f"Right up to {found.last}:{found.hash}", markup=False, soft_wrap=True)
    else:
        results().print(f"{found.rows} rows, all right.", markup=False)
        if found.rows:
            results().print(f"{found.last}:{found.hash}", markup=False, soft_wrap=True)
    return int(found.broken_at is not None)


@audit.command(epilog=examples("interlock audit export > audit.jsonl"))
def export() -> int:
    """Print the whole log, one JSON document a line, the oldest first: each as it was hashed, with its hash."""
    from interlock.postgres.audit import AuditStore

    async def printed(pool: Pool) -> None:
        async for row in AuditStore(pool).all():
            click.echo(json.dumps(_document(row) | {"entry": row.text}, ensure_ascii=False))

    with_pool(this_call(), printed)
    return 0


def _list(limit: int, chosen: dict[str, str | None]) -> int:
    from interlock.cli.output import on_a_line, print_json, results
    from interlock.postgres.audit import AuditStore, Wanted

    wanted: Wanted = Wanted(**chosen)

    async def found(pool: Pool) -> list[Audited]:
        return await AuditStore(pool).latest(wanted, limit=limit)

    shown = with_pool(this_call(), found)
    if this_call().as_json:
        print_json({"audit": [_document(each) for each in shown]})
        return 0
    for each in shown:
        entry = each.entry
        detail = json.dumps(entry.detail, ensure_ascii=False) if entry.detail else ""
        whose = f" for {entry.tenant}" if entry.tenant else ""
        line = f"{each.number}  {each.at:%Y-%m-%d %H:%M:%S}  {entry.identity}{whose}  {entry.act}"
        results().print(on_a_line(f"{line}  {entry.subject}  {detail}".rstrip()), markup=False)
    if not shown:
        results().print("Nothing is noted.")
    return 0


def _document(row: Audited) -> dict[str, Any]:  # JSON
    return {
        "number": row.number,
        "at": row.at.isoformat(),
        **json.loads(row.text),
        "hash": row.hash,
    }


def _verdict(found: Verified) -> dict[str, Any]:  # JSON
    return {
        "rows": found.rows,
        "right": found.broken_at is None,
        "broken_at": found.broken_at,
        "why": found.why or None,
        "anchor": f"{found.last}:{found.hash}" if found.last else None,
    }
