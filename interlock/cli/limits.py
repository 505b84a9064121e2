"""`limits`: how often models may be called by all processes together, how full that is, and who waits."""

from __future__ import annotations

from typing import Any

import click

from interlock.cli.call import Group, this_call
from interlock.cli.examples import examples

COUNT = click.FloatRange(min=0, min_open=True)


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "interlock limits",
        "interlock limits set provider:openai --rpm 500 --tpm 200000 --concurrent 20",
        "interlock limits set 'tenant:*' --rpm 60",
        "interlock limits set model:openai:gpt-5/tenant:acme --tpm 50000",
        "interlock limits show provider:openai",
        "interlock limits remove provider:openai",
    ),
)
@click.pass_context
def limits(ctx: click.Context) -> int | None:
    """Limit how often models are called, and see how full each limit is, who waits, and what is out of order."""
    return _list(every=False) if ctx.invoked_subcommand is None else None


@limits.command("list", epilog=examples("interlock limits list --all --json"))
@click.option("--all", "every", is_flag=True, help="Also what was asked and is not limited.")
def list_(every: bool) -> int:
    """List limits, breakers that are not closed, and the calls that wait."""
    return _list(every=every)


@limits.command(epilog=examples("interlock limits show model:openai:gpt-5"))
@click.argument("target")
def show(target: str) -> int:
    """Show one provider, model or tenant, with the calls that wait for it."""
    call = this_call()
    with call.runtime() as il:
        standing, waits = il.rate(target), il.rate_waits()
    return _report(standing, [each for each in waits if each.name == target])


@limits.command("set", epilog=examples("interlock limits set provider:anthropic --rpm 50"))
@click.argument("target")
@click.option("--rpm", metavar="N", type=COUNT, help="Requests a minute.")
@click.option("--tpm", metavar="N", type=COUNT, help="Tokens a minute, of prompts and answers.")
@click.option("--concurrent", metavar="N", type=click.IntRange(min=1), help="Calls at one time.")
@click.option(
    "--burst",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Whose share may come at once; default: 1.",
)
@click.option("--by", metavar="NAME", help="Who says so; default: the login name.")
def set_(
    target: str,
    rpm: float | None,
    tpm: float | None,
    concurrent: int | None,
    burst: float | None,
    by: str | None,
) -> int:
    """Store a limit, over what a file declares; numbers that are not given stay as they are."""
    from interlock.cli.asking import login_name
    from interlock.core.rates import Rate

    call = this_call()
    who = by or call.settings().user or login_name()
    rate = Rate(requests=rpm, tokens=tpm, concurrent=concurrent, burst=burst)
    with call.runtime() as il:
        return _report(il.set_rate(target, rate, by=who))


@limits.command(epilog=examples("interlock limits remove provider:openai"))
@click.argument("target")
def remove(target: str) -> int:
    """Remove a stored limit; what a file declares holds on."""
    from interlock.cli.output import print_json, results

    call = this_call()
    with call.runtime() as il:
        removed = il.remove_rate(target)
    if call.as_json:
        print_json({"target": target, "removed": removed})
    elif removed:
        results().print(f"The stored limit of {target} is removed.", soft_wrap=True)
    else:
        results().print(f"{target} has no stored limit: nothing was removed.", soft_wrap=True)
    return 0


def _list(*, every: bool) -> int:
    from interlock.cli.limit_views import matters, print_limits
    from interlock.cli.output import print_json, results
    from interlock.documents.bounds import limits_document

    call = this_call()
    with call.runtime() as il:
        found, waits = il.rates(), il.rate_waits()
    shown = [each for each in found if every or matters(each)]
    if call.as_json:
        print_json(limits_document(shown, waits))
    else:
        print_limits(shown, waits, results())
    return 0


def _report(standing: Any, waits: Any = ()) -> int:  # a `Standing`, and those that wait for it
    from interlock.cli.limit_views import print_limits
    from interlock.cli.output import print_json, results
    from interlock.documents.bounds import limits_document

    if this_call().as_json:
        print_json(limits_document([standing], waits))
    else:
        print_limits([standing], waits, results())
    return 0
