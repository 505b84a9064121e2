"""`letters`: runs that died while nobody waited for them: look, replay, repair, discard."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples
from interlock.cli.repair import repair
from interlock.core.failures import KINDS
from interlock.errors import InterlockError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.core.failures import FailureKind
    from interlock.core.letters import Closed, Letter
    from interlock.facade import Interlock

LIMIT = click.IntRange(1, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which letters are meant."""

    kind: FailureKind | None = None
    graph: str | None = None
    tenant: str | None = None
    since: datetime | None = None

    def arguments(self) -> dict[str, Any]:  # keyword arguments of the runtime's methods
        """Return it as the runtime takes it."""
        return {name: getattr(self, name) for name in ("kind", "graph", "tenant", "since")}


def _filtering(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say which letters are meant."""
    for option in (
        click.option("--since", metavar="WHEN", help="Only later ones: 2h, 3d, or a date."),
        click.option("--tenant", metavar="NAME", help="Only of runs on behalf of this tenant."),
        click.option("--graph", metavar="GRAPH", help="Only of this graph."),
        click.option("--kind", type=click.Choice(KINDS), help="Only of this kind of failure."),
    ):
        command = option(command)
    return command


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "interlock letters list",
        "interlock letters show 3f2a9c1e",
        'interlock letters replay 3f2a9c1e --reason "the key was renewed"',
        'interlock letters replay --all --kind refused --since 2h --reason "the key was renewed"',
        "interlock letters repair 3f2a9c1e",
        'interlock letters discard 3f2a9c1e --reason "the order was cancelled"',
    ),
)
@click.pass_context
def letters(ctx: click.Context) -> int | None:
    """List dead letters, runs that failed for good while nobody waited for them, and deal with them."""
    return _list(Filter(), closed=False, limit=50) if ctx.invoked_subcommand is None else None


@letters.command(
    "list",
    epilog=examples(
        "interlock letters list",
        "interlock letters list --kind bug --graph research --since 2h",
        "interlock letters list --all --json",
    ),
)
@_filtering
@click.option("--all", "closed", is_flag=True, help="Also those that are closed.")
@click.option("--limit", metavar="N", type=LIMIT, default=50, show_default=True, help="How many.")
def list_(closed: bool, limit: int, **given: Any) -> int:  # the options of a filter
    """List dead letters, the newest first."""
    return _list(_filter(given), closed=closed, limit=limit)


@letters.command(
    epilog=examples("interlock letters show 3f2a9c1e", "interlock letters show 3f2a --full")
)
@click.argument("letter", metavar="ID")
@click.option("--full", is_flag=True, help="The whole traceback and state, and every event.")
def show(letter: str, full: bool) -> int:
    """Show what failed, where and why, what was done to the world, and what a replay would do."""
    from interlock.cli.letter_views import print_detail
    from interlock.cli.output import print_json, results
    from interlock.documents.letters import detail_document

    with this_call().runtime() as il:
        found = il.letter(letter)
    if this_call().as_json:
        print_json(detail_document(found))
    else:
        print_detail(found, results(), full=full)
    return 0


@letters.command(
    epilog=examples(
        'interlock letters replay 3f2a9c1e --reason "the key was renewed"',
        'interlock letters replay --all --graph research --reason "mended in 1.4.2"',
    )
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every open letter that fits the options.")
@_filtering
@click.option("--reason", metavar="TEXT", default="", help="What has changed, for whoever looks.")
@click.option("--by", metavar="NAME", help="Who says so; default: the login name.")
def replay(
    ids: Sequence[str], every: bool, reason: str, by: str | None, **given: Any
) -> int:  # as above
    """Hand the run to the workers again, from its last checkpoint, with its tries forgotten."""
    chosen = _filter(given)
    _check(ids, every, chosen)
    with this_call().runtime() as il:
        who = _who(il, by)
        if every:
            done = il.letters_replay(**chosen.arguments(), reason=reason, by=who)
        else:
            done = _each(il, ids, lambda one: il.letter_replay(one, reason=reason, by=who))
    return _report(done, "replayed")


letters.add_command(repair)


@letters.command(
    epilog=examples(
        'interlock letters discard 3f2a9c1e --reason "the order was cancelled"',
        'interlock letters discard --all --kind budget --reason "not worth more money"',
    )
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every open letter that fits the options.")
@_filtering
@click.option("--reason", metavar="TEXT", required=True, help="Why nobody needs the run any more.")
@click.option("--by", metavar="NAME", help="Who says so; default: the login name.")
def discard(
    ids: Sequence[str], every: bool, reason: str, by: str | None, **given: Any
) -> int:  # as above
    """Give the run up for good: it is cancelled, and what waits on its thread goes on."""
    chosen = _filter(given)
    _check(ids, every, chosen)
    with this_call().runtime() as il:
        who = _who(il, by)
        if every:
            done = il.letters_discard(**chosen.arguments(), reason=reason, by=who)
        else:
            done = _each(il, ids, lambda one: il.letter_discard(one, reason=reason, by=who))
    return _report(done, "discarded")


def _list(chosen: Filter, *, closed: bool, limit: int) -> int:
    from interlock.cli.letter_views import print_letters
    from interlock.cli.output import print_json, results
    from interlock.documents.letters import letter_facts

    with this_call().runtime() as il:
        found = il.letters(status=None if closed else "open", limit=limit, **chosen.arguments())
    if this_call().as_json:
        print_json({"letters": [letter_facts(each) for each in found]})
    else:
        print_letters(found, results(), filtered=chosen != Filter())
    return 0


def _filter(given: dict[str, Any]) -> Filter:  # the options of a filter
    since = given.pop("since", None)
    return Filter(**given, since=None if since is None else _moment(since))


def _moment(text: str) -> datetime:
    """Return the time that a person means by an age or a date; raises `UsageError`."""
    from datetime import UTC, datetime, timedelta

    if found := _AGE.fullmatch(text.strip()):
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: float(found[1])})
    try:
        return datetime.fromisoformat(text).astimezone()  # without a zone it is the local time
    except ValueError as error:
        raise UsageError(
            f"--since {text} is no time.", hint="Write 30m, 2h, 3d, or 2026-03-01T08:00."
        ) from error


_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _check(ids: Sequence[str], every: bool, chosen: Filter) -> None:
    if bool(ids) == every:
        raise UsageError(
            "Name letters, or say --all." if not ids else "Name letters or say --all, not both.",
            hint="`interlock letters list` lists them.",
        )
    if ids and chosen != Filter():
        raise UsageError(
            "The options that choose letters go with --all.", hint="Leave the ids out."
        )


def _who(il: Interlock, by: str | None) -> str:
    from interlock.cli.asking import login_name

    return by or il.settings.user or login_name()


def _each(il: Interlock, ids: Sequence[str], close: Callable[[str], Letter]) -> list[Closed]:
    """Close letters that are named: of several, one that cannot be hinders no other."""
    from interlock.core.letters import Closed

    if len(ids) == 1:
        return [Closed(letter=close(ids[0]))]
    done = []
    for letter in [il.letter(each).letter for each in ids]:  # before any is closed, all are there
        try:
            done.append(Closed(letter=close(letter.id)))
        except InterlockError as error:
            done.append(Closed(letter=letter, refused=str(error)))
    return done


def _report(done: list[Closed], what: str) -> int:
    from interlock.cli.letter_views import print_closed
    from interlock.cli.output import print_json, results
    from interlock.documents.letters import closed_document

    if this_call().as_json:
        print_json({"letters": [closed_document(each) for each in done]})
    else:
        print_closed(done, what, results())
    return 1 if any(each.refused for each in done) else 0
