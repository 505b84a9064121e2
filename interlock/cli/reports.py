"""How a run that ended is told of: the result on standard output, what to do next on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.cli.asking import print_question
from interlock.cli.output import is_conversation, print_json, remarks, results
from interlock.cli.texts import lines_of
from interlock.core.runs import BREAKPOINT, Run
from interlock.documents.runs import notice_of, run_document
from interlock.wording import short

if TYPE_CHECKING:
    from interlock.cli.call import Call
    from interlock.cli.detached import Detached
    from interlock.core.happening import Standing
    from interlock.facade import Interlock

STYLES = {
    "succeeded": "green",
    "waiting": "yellow",
    "failed": "red",
    "cancelled": "red",
    "killed": "red",
}


def report_run(run: Run, call: Call) -> None:
    """Tell how a run ended: its output, its questions, or how to go on."""
    if call.as_json:
        print_json(run_document(run))
        return
    _print_status(run)
    match run.status:
        case "succeeded":
            _print_output(run)
        case "waiting":
            _print_questions(run)
        case "killed":
            remarks().print(
                "Nothing is lost: [cyan]interlock kill list[/] shows the switch; once it is lifted, "
                f"[cyan]interlock resume {short(run.thread_id)}[/] goes on."
            )
        case "cancelled":
            remarks().print("It does not go on; a new run may begin on its thread.")
        case _:
            remarks().print(f"Nothing is lost: [cyan]interlock resume {short(run.thread_id)}[/]")


def tell_if_no_worker(il: Interlock, run: Run | Standing) -> None:
    """Say so where a run is queued, and nobody is there to take it on."""
    if run.status != "queued" or any(each.lease_seconds > 0 for each in il.health().workers):
        return
    remarks().print(
        "[yellow]No worker is here.[/] Start one: [cyan]interlock worker[/]"
        f"  ·  or do it now: [cyan]interlock resume {short(run.thread_id)}[/]",
        soft_wrap=True,
    )


def report_detached(run: Run, detached: Detached, call: Call) -> None:
    """Tell where a run goes on in the background, and how to look at it."""
    if call.as_json:
        place = {"pid": detached.pid, "log": str(detached.log)}
        print_json(run_document(run) | {"detached": place})
        return
    results().print(run.thread_id, soft_wrap=True)
    console = remarks()
    console.print(f"Process {detached.pid} works on it in the background.")
    console.print(
        f"  [cyan]interlock status[/]  ·  [cyan]interlock history {short(run.thread_id)}[/]"
    )
    console.print("  [cyan]interlock approvals[/]  shows what it asks")
    console.print(f"  log: {detached.log}", soft_wrap=True)


def _print_status(run: Run) -> None:
    console = remarks()
    style = STYLES.get(run.status, "yellow")
    word = "stopped" if run.status == "queued" else run.status
    notice = notice_of(run.model)
    tail = f"  [yellow]{notice}[/]" if notice else ""
    console.print(f"[{style}]{word}[/]  thread [cyan]{short(run.thread_id)}[/]{tail}")
    if run.error and run.status != "queued":
        console.print(run.error, style="red")
    if run.wakes_at:
        console.print(asleep(run))
    if run.partial:
        console.print(f"[yellow]partial[/]: {run.partial}")


def asleep(run: Run) -> str:
    """Return until when a run sleeps, and who wakes it then."""
    when = f"{run.wakes_at.astimezone():%Y-%m-%d %H:%M:%S %Z}" if run.wakes_at else ""
    again = f"[cyan]interlock resume {short(run.thread_id)}[/]"
    return f"It sleeps until {when}; then a worker goes on with it, or {again}."


def _print_output(run: Run) -> None:
    console = results()
    for line in lines_of(run.output, depth=1):
        console.print(line, markup=False, soft_wrap=True)
    remarks().print(f"All of it: [cyan]interlock show {short(run.thread_id)} --full[/]")


def _print_questions(run: Run) -> None:
    if run.error_kind == BREAKPOINT:
        remarks().print(f"[cyan]interlock resume {short(run.thread_id)}[/] goes on from there.")
    if not run.interrupts:
        return
    if is_conversation():  # it was asked a moment ago, and the answer was: later
        remarks().print("It waits: [cyan]interlock approvals[/] shows the question again.")
        return
    for question in run.interrupts:
        print_question(question, remarks())
