"""`history`, `show`, `fork`, `diff`: look at a thread's steps, and go another way from one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from interlock.cli.call import Command, this_call
from interlock.errors import NotFound, UsageError

if TYPE_CHECKING:
    from interlock.cli.call import Call
    from interlock.facade import Interlock
    from interlock.remote.remote import Remote

Check = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Returns values as a state takes them; raises `UsageError`."""


@click.command(cls=Command)
@click.argument("thread")
@click.option("--inside", is_flag=True, help="The steps of subgraphs too.")
@click.option("--tree", is_flag=True, help="Instead of steps: what was forked from what.")
def history(thread: str, inside: bool, tree: bool) -> int:
    """List a thread's steps: what ran, what changed, tokens, cost, time."""
    from interlock.cli.output import print_json, print_notice, results
    from interlock.cli.reports import asleep
    from interlock.cli.screens import print_history
    from interlock.cli.timeline import print_inside
    from interlock.documents.runs import notice_of, run_document, step_document

    call = this_call()
    if tree:
        return _tree(call, thread)
    with call.runtime() as il:
        run, steps = il.run(thread), il.history(thread, inside=inside)
    if call.as_json:
        print_json(run_document(run) | {"steps": [step_document(each) for each in steps]})
        return 0
    console = results()
    console.print(f"[bold]{run.graph}[/] [cyan]{run.thread_id}[/] {run.status}", soft_wrap=True)
    (print_inside if inside else print_history)(steps, console)
    if run.wakes_at:
        console.print(asleep(run))
    for question in run.interrupts:
        console.print(
            f"open: {question.summary}  [cyan]interlock approvals show {question.id[:8]}[/]"
        )
    if run.error:
        console.print(run.error, style="red", markup=False)
    print_notice(console, notice_of(run.model))
    return 0


@click.command(cls=Command)
@click.argument("thread")
@click.option("--at", metavar="STEP", help="Step number or checkpoint id; default: the last one.")
@click.option("--key", metavar="NAME", help="Only this key of the state.")
@click.option("--full", is_flag=True, help="Shorten nothing.")
def show(thread: str, at: str | None, key: str | None, full: bool) -> int:
    """Show a thread's state at a step."""
    from interlock.cli.output import print_json, print_notice, results
    from interlock.cli.screens import print_step
    from interlock.documents.bounds import of_limits
    from interlock.documents.runs import notice_of, step_document
    from interlock.history import begun

    call = this_call()
    with call.runtime() as il:
        run = il.run(thread)
        step = il.step(thread, at) if at is not None else begun(il.history(thread))[-1]
        spent = of_limits(il.budget("run", thread), il.limits("run", thread))
    if key is not None and key not in step.values:
        known = ", ".join(step.values) or "nothing yet"
        raise NotFound(f"The state at step {step.number} has no {key!r}.", hint=f"It has: {known}.")
    notice = notice_of(run.model)
    if call.as_json:
        document = step_document(step, values=True)
        document["values"] = document["values"] if key is None else {key: document["values"][key]}
        ids = {"thread_id": run.thread_id, "graph": run.graph}
        document |= {"partial": run.partial or None, "budget": spent or None}
        print_json(ids | document | ({"notice": notice} if notice else {}))
        return 0
    print_step(step, results(), key=key, full=full)
    if spent:
        results().print(f"budget of its latest run: {spent}", style="dim", soft_wrap=True)
    if run.partial:
        results().print(f"[yellow]partial[/]: {run.partial}", soft_wrap=True)
    print_notice(results(), notice)
    return 0


@click.command(cls=Command)
@click.argument("thread")
@click.option(
    "--at",
    metavar="STEP",
    required=True,
    help="Step number, or checkpoint id, also inside a subgraph.",
)
@click.option(
    "--set", "changes", metavar="KEY=VALUE", multiple=True, help="A key of the state; JSON or text."
)
@click.option("--model", metavar="NAME", help="Go on with another model, provider:name.")
@click.option("--detach", is_flag=True, help="Work in the background.")
def fork(thread: str, at: str, changes: tuple[str, ...], model: str | None, detach: bool) -> int:
    """Start a new thread from a step of another, with some state changed."""
    from interlock.cli.administering import asked_here
    from interlock.cli.runs import work_on

    call = this_call()
    with call.runtime() as il:
        values = _values(il, thread, at, changes) if changes else {}
        accepted = il.submit_fork(
            thread, at=at, values=values, model=model, driving=asked_here(call), attended=True
        )
        return work_on(il, call, accepted, detached=detach)


@click.command(cls=Command)
@click.argument("a")
@click.argument("b")
def diff(a: str, b: str) -> int:
    """Compare two threads: where they part, what each did, and how they end."""
    from interlock.cli.output import print_json, print_notice, results
    from interlock.cli.screens import print_difference
    from interlock.documents.runs import difference_document, notice_of

    call = this_call()
    with call.runtime() as il:
        model = il.run(a).model
        difference = il.diff(a, b)
    if call.as_json:
        print_json(difference_document(difference, model))
        return 0
    print_difference(difference, results())
    print_notice(results(), notice_of(model))
    return 0


def _tree(call: Call, thread: str) -> int:
    from interlock.cli.output import print_json, results
    from interlock.cli.timeline import print_tree
    from interlock.documents.runs import tree_document

    with call.runtime() as il:
        tree = il.tree(thread)
    if call.as_json:
        print_json(tree_document(tree))
    else:
        print_tree(tree, results())
    return 0


def _values(
    il: Interlock, thread: str, at: str, changes: tuple[str, ...]
) -> dict[str, Any]:  # the state at a step
    from interlock.cli.approvals import assignment

    check = _check_of(il, thread, at)
    return {key: _value(check, key, text) for key, text in map(assignment, changes)}


def _check_of(il: Interlock, thread: str, at: str) -> Check:
    from functools import partial

    from interlock.inputs import check_values

    if this_call().address():
        return partial(cast("Remote", il).fitting, thread, at)
    return partial(check_values, il.graph_at(thread, at))


def _value(check: Check, key: str, text: str) -> Any:  # of the state
    """Return what a person typed in the type of the state's key: as JSON where that fits, else as text."""
    from interlock.cli.texts import read_value

    read = read_value(text)
    try:
        return check({key: read})[key]
    except UsageError:
        if read == text or not _fits(check, key, text):
            raise
    return text


def _fits(check: Check, key: str, text: str) -> bool:
    try:
        check({key: text})
    except UsageError:
        return False
    return True
