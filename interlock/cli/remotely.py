"""Runs at a server: its workers do them; here they are watched, and the person is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.cli.call import Call

if TYPE_CHECKING:
    from interlock.core.budget import Limits
    from interlock.core.runs import Run
    from interlock.facade import Interlock


def resume_there(
    call: Call, thread: str, *, model: str | None, limits: Limits | None, detached: bool
) -> int:
    """Let a server's workers go on with a thread, watch them, and return the exit code."""
    with call.runtime() as il, call.remote() as remote:
        call.thread_id = remote.ask("run", thread).thread_id
        run = remote.go_on(call.thread_id, model=model, limits=limits)
        return work_there(il, call, run, detached=detached)


def work_there(il: Interlock, call: Call, run: Run, *, detached: bool = False) -> int:
    """Watch a run that a server's workers do, ask the person at this terminal, and return the exit code."""
    from interlock.cli.following import exit_code
    from interlock.cli.reports import report_run
    from interlock.cli.runs import answer_here

    call.thread_id = run.thread_id
    if detached:
        return _leave(run, call)
    try:
        ended, seen = _followed(il, call, run, "")
        while (answer := answer_here(il, call, ended)) is not None:
            going = il.submit_answer(ended.thread_id, answer)
            if going.status == "waiting":  # others must agree too
                ended = going
                break
            ended, seen = _followed(il, call, going, seen)
    except KeyboardInterrupt:
        return _left(run, call)
    report_run(ended, call)
    return exit_code(ended, call)


def _followed(il: Interlock, call: Call, run: Run, since: str) -> tuple[Run, str]:
    """Show what a run does until it rests; return it as it stands then, and how far its events were seen."""
    from interlock.cli.reports import tell_if_no_worker
    from interlock.cli.watch import view_of, watched

    standing = il.standing(run.run_id)
    view = None if call.as_json else view_of(standing)
    if view is not None:
        tell_if_no_worker(il, standing)
    seen = watched(il, standing, view, since=since)
    rested = il.standing(run.run_id)
    if rested.status == "waiting":
        return il.run(rested.thread_id), seen
    return il.wait(rested.run_id), seen


def _leave(run: Run, call: Call) -> int:
    from interlock.cli.submit import report_submitted

    report_submitted(run, call)
    return 0


def _left(run: Run, call: Call) -> int:
    from interlock.cli.failures import Failure, report, stop_code
    from interlock.wording import short

    name = short(run.thread_id)
    stopped = Failure(
        kind="Stopped",
        message="Stopped looking.",
        hint=f"The run goes on at the server: `interlock watch {name}` shows it, `interlock cancel {name}` stops it.",
        exit_code=stop_code(0),
        thread_id=run.thread_id,
    )
    return report(stopped, as_json=call.as_json)
