"""`trust`: how far each agent is trusted with each action, and the judgements that it rests on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from interlock.cli.call import Call, Group, this_call
from interlock.cli.examples import examples
from interlock.errors import NotFound, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from interlock.core.policy import PolicySource
    from interlock.core.trust import Standing, TrustRules
    from interlock.postgres.trust import PostgresTrust

T = TypeVar("T")
SHORTEST = 8
"""Characters of a key that the screens show at least: what is shorter is no short form."""


@click.group(
    cls=Group,
    epilog=examples(
        "interlock trust list",
        'interlock trust judge support refund --wrong --about 3f2a9c1e --reason "paid twice"',
    ),
)
def trust() -> None:
    """See how far agents are trusted, and judge what they did."""


@trust.command(
    "list",
    epilog=examples(
        "interlock trust list --json",
    ),
)
def list_() -> int:
    """List every agent and action that was judged, with its stage and its evidence."""
    from interlock.cli.output import print_json, results
    from interlock.core.trust import rules_of

    call = this_call()
    policies = _policies(call)
    standings = _with_trust(call, policies, lambda each: each.standings())
    rules = rules_of(policies)
    if call.as_json:
        print_json({"standings": [_document(each, rules) for each in standings]})
    else:
        _print(standings, rules, results())
    return 0


@trust.command(
    epilog=examples(
        "interlock trust judge support refund --right --about 3f2a9c1e",
        'interlock trust judge support refund --wrong --about 3f2a9c1e --reason "paid twice"',
    )
)
@click.argument("agent")
@click.argument("action")
@click.option("--right/--wrong", default=None, help="Whether the outcome was right.  [required]")
@click.option(
    "--about", metavar="KEY", required=True, help="The effect or the question; it counts once."
)
@click.option("--reason", metavar="TEXT", default="", help="For whoever looks later.")
def judge(agent: str, action: str, right: bool | None, about: str, reason: str) -> int:
    """Judge what an agent did, or proposed; the first wrong outcome costs trust at once."""
    from interlock.cli.output import print_json
    from interlock.cli.policy import declared_facts
    from interlock.core.trust import rules_of

    call = this_call()
    if right is None:
        raise UsageError("Was it right?", hint="Say --right or --wrong.")
    policies = _policies(call)
    _check_earned(policies, agent, action)
    reversible = bool(declared_facts(call, action).get("reversible", False))

    key = _whole(call, about, agent, action)

    async def judged(trust: PostgresTrust) -> Standing:
        await _check_new(trust, key)
        return await trust.judge(
            agent, action, right=right, about=key, reason=reason, reversible=reversible
        )

    standing = _with_trust(call, policies, judged)
    if call.as_json:
        print_json(_document(standing, rules_of(policies)))
    else:
        click.echo(
            f"{agent} with {action}: {standing.stage}, {standing.right} right, {standing.wrong} wrong."
        )
    return 0


def _whole(call: Call, about: str, agent: str, action: str) -> str:
    """Return the whole key of what is judged, so that its short form and it count once; any other word stays."""
    if len(about) < SHORTEST:
        return about
    with call.runtime() as il:
        with suppress(NotFound):
            effect = il.effect(about)
            _check_whose(about, f"{effect.agent} with {effect.action}", f"{agent} with {action}")
            return effect.key
        with suppress(NotFound):
            return il.question(about)[0].id
    return about


def _check_whose(about: str, whose: str, judged: str) -> None:
    if whose != judged:
        raise UsageError(
            f"Effect {about} is of {whose}, not of {judged}.",
            hint=f"`interlock effects show {about}` shows it.",
        )


def _policies(call: Call) -> PolicySource:
    from interlock.core.policy_file import policies_from

    return policies_from(call.settings().policy)


def _with_trust(
    call: Call, policies: PolicySource, work: Callable[[PostgresTrust], Awaitable[T]]
) -> T:
    """Do something with the trust of the database that the call is about."""
    from interlock.core.sync import run_sync
    from interlock.postgres.pool import open_pool
    from interlock.postgres.trust import PostgresTrust

    async def on(url: str) -> T:
        async with open_pool(url, size=1) as pool:
            return await work(PostgresTrust(pool, policies))

    with call.runtime() as il:
        return run_sync(on(il.url))


def _check_earned(policies: PolicySource, agent: str, action: str) -> None:
    if not policies.current().trusts(agent, action):
        raise UsageError(
            f"The policy lets {agent} earn no trust with {action}.",
            hint="Add the pair to [[trust.earned_by]], or check the names; capitals matter.",
        )


async def _check_new(trust: PostgresTrust, about: str) -> None:
    before = await trust.judgement(about)
    if before is not None:
        word = "right" if before.right else "wrong"
        raise UsageError(
            f"{about} was judged before: {before.agent} with {before.action}, {word}.",
            hint="A judgement counts once; judge the outcome under a key of its own.",
        )


def _document(standing: Standing, rules: TrustRules) -> dict[str, Any]:  # JSON
    since = standing.since.isoformat() if standing.since else None
    return asdict(standing) | {"since": since, **_evidence(standing, rules)}


def _evidence(standing: Standing, rules: TrustRules) -> dict[str, float | None]:
    from interlock.core.trust import lower_bound

    bound = lower_bound(standing.right, standing.wrong, rules.confidence)
    needed = rules.needed(standing.stage) if standing.stage != "act" else None
    return {"lower_bound": round(bound, 4), "needed": needed}


def _print(standings: list[Standing], rules: TrustRules, console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not standings:
        console.print("Nobody was judged yet.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for title in (
        "agent",
        "action",
        "stage",
        "right",
        "wrong",
        "at least right",
        "needed",
        "since",
    ):
        table.add_column(title, overflow="fold")
    for each in standings:
        evidence = _evidence(each, rules)
        table.add_row(
            Text(each.agent),
            Text(each.action),
            each.stage,
            str(each.right),
            str(each.wrong),
            f"{evidence['lower_bound']:.0%}",
            f"{evidence['needed']:.0%}" if evidence["needed"] is not None else "",
            f"{each.since:%Y-%m-%d %H:%M}" if each.since else "the start",
        )
    console.print(table)
