"""`run` and `resume`: work on a thread until it ends, waits for a person, or is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.budget import limits_from
from interlock.cli.call import Call, Command, Group, this_call
from interlock.errors import InterlockError

if TYPE_CHECKING:
    from interlock.cli.offers import Offer
    from interlock.core.answers import AnswerForm
    from interlock.core.runs import Run
    from interlock.facade import Interlock

OWN_OPTIONS = ("--json", "--debug", "--help")
SHARED_OPTIONS = ("--config", "--data-dir", "--url", "--server")
BACKGROUND = "Work in the background."


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a graph is to be run with, as the command line says.

    Attributes:
        input: fits the graph's input schema.
        run: what else `submit` takes.
        params: click's values of all options.
    """

    graph: str
    input: Mapping[str, Any]
    run: Mapping[str, Any]
    params: Mapping[str, Any]


class Graphs(Group):
    """One command per graph that langgraph.json names; its options come from the graph's input schema."""

    def own_options(self) -> list[click.Parameter]:
        """Return the options that each of them has beside those of its input."""
        return [*given_options(), click.Option(["--detach"], is_flag=True, help=BACKGROUND)]

    def begin(self, call: Call, given: Given) -> int:
        """Do with a graph what the command is for, and return the exit code."""
        from interlock.cli.administering import asked_here

        with call.runtime() as il:
            accepted = il.submit(
                given.graph, given.input, **given.run, driving=asked_here(call), attended=True
            )
            return work_on(il, call, accepted, detached=given.params["detach"])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the graphs; none where there is no langgraph.json."""
        from interlock.cli.offers import names_of

        return names_of(ctx.ensure_object(Call))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command that runs a graph; raises `NotFound`, `UsageError`."""
        from interlock.cli.offers import offer_of

        return _graph_command(offer_of(ctx.ensure_object(Call)), cmd_name, self)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an option where the graph's name belongs."""
        if args and args[0].startswith("-"):
            raise click.UsageError("The name of a graph comes first.", ctx)
        return args[0], self.get_command(ctx, args[0]), args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the graphs; one that cannot be imported says so."""
        rows = [(name, self._about(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Graphs"):
            formatter.write_dl(rows or [("none", "There is no langgraph.json here.")])

    def _about(self, ctx: click.Context, name: str) -> str:
        try:
            return self.get_command(ctx, name).get_short_help_str(limit=80)
        except InterlockError as error:
            return str(error.args[0])


class GraphCommand(Command):
    """Runs one graph."""

    many: tuple[str, ...] = ()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, after letting one option take several values."""
        from interlock.cli.graph_options import spread

        return super().parse_args(ctx, spread(args, self.many))


@click.group(cls=Graphs, subcommand_metavar="GRAPH [OPTIONS]")
def run() -> None:
    """Run a graph; its options come from its input schema (`run GRAPH --help`)."""


@click.command(cls=Command)
@click.argument("thread")
@click.option("--model", metavar="NAME", help="Go on with another model, provider:name.")
@click.option("--budget", metavar="LIMITS", help="What the run may take now: usd=1,tokens=50000.")
@click.option("--detach", is_flag=True, help="Work in the background.")
def resume(thread: str, model: str | None, budget: str | None, detach: bool) -> int:
    """Go on with a thread that crashed, was stopped, failed, or is queued."""
    call = this_call()
    if call.address():
        from interlock.cli.remotely import resume_there

        limits = limits_from([budget], "--budget") if budget else None
        return resume_there(call, thread, model=model, limits=limits, detached=detach)
    with call.runtime() as il:
        found = il.run(thread)
        if budget:
            il.set_budget("run", found.thread_id, limits_from([budget], "--budget"))
        return work_on(il, call, found, model=model, detached=detach)


def work_on(
    il: Interlock, call: Call, run: Run, *, model: str | None = None, detached: bool = False
) -> int:
    """Work on a thread, here or in the background; report it and return the exit code."""
    if call.address():
        from interlock.cli.remotely import work_there

        return work_there(il, call, run, detached=detached)
    from interlock.cli.detached import detach
    from interlock.cli.following import exit_code, follow
    from interlock.cli.reports import report_detached, report_run

    if detached:
        report_detached(run, detach(il, call, run, model=model), call)
        return 0
    ended = follow(il, call, run, model=model)
    while (answer := answer_here(il, call, ended)) is not None:
        ended = il.submit_answer(ended.thread_id, answer, attended=True)
        if ended.status == "waiting":  # others must agree too
            break
        ended = follow(il, call, ended)
    report_run(ended, call)
    return exit_code(ended, call)


def answer_here(il: Interlock, call: Call, run: Run) -> AnswerForm | None:
    """Ask the person at this terminal, if there is one; None means later."""
    from interlock.cli.asking import ask_here, login_name, print_question
    from interlock.cli.output import is_conversation, remarks

    if run.status != "waiting" or not run.interrupts or call.as_json or not is_conversation():
        return None
    print_question(run.interrupts[0], remarks(), here=True)
    return ask_here(run.interrupts[0], il.settings.user or login_name())


def _graph_command(offer: Offer, name: str, group: Graphs) -> click.Command:
    from interlock.cli.graph_options import flag, options_of

    properties = offer.properties(name)
    own = group.own_options()
    taken = [*OWN_OPTIONS, *SHARED_OPTIONS, *(each for option in own for each in option.opts)]
    command = GraphCommand(
        name,
        params=[*options_of(properties, taken), *own],
        callback=lambda **params: group.begin(this_call(), given_by(name, properties, params)),
        help=offer.about(name),
    )
    command.many = tuple(flag(key) for key, each in properties.items() if _is_list(each))
    return command


def given_options() -> list[click.Parameter]:
    """Return the options that say what a graph is run with, its input's own apart."""
    texts = {
        "--model": ("NAME", "The chat model, provider:name  [INTERLOCK_MODEL]"),
        "--thread": ("ID", "Run on this thread; without it on a new one."),
        "--budget": ("LIMITS", "What the run may take: usd=0.5,tokens=20000,landing=0.2."),
        "--input": ("JSON", "The whole input as JSON, or @FILE; options go over it."),
    }
    return [
        click.Option([name], metavar=metavar, help=text) for name, (metavar, text) in texts.items()
    ]


def given_by(
    name: str, properties: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any]
) -> Given:  # click's values
    """Return what a graph is to be run with; raises `UsageError` when its input is not complete."""
    from interlock.cli.graph_options import check_complete, read_input, values_of

    given = read_input(params["input"]) if params["input"] else {}
    given |= values_of(params)
    check_complete(name, properties, given)
    limits = limits_from([params["budget"]], "--budget") if params["budget"] else None
    run = {"thread_id": params["thread"], "model": params["model"], "limits": limits}
    return Given(graph=name, input=given, run=run, params=params)


def _is_list(schema: Mapping[str, Any]) -> bool:  # JSON Schema
    return schema.get("type") == "array"
