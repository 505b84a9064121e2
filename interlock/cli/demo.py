"""`demo`: research a real question over real documents, with approval and a cited report."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.call import Call, Command, this_call
from interlock.demo import GRAPH, QUESTION, write_documents

if TYPE_CHECKING:
    from interlock.core.questions import OpenQuestion
    from interlock.core.runs import Run
    from interlock.facade import Interlock

ANSWERS = 5
"""How many questions the demo answers by itself before it leaves the rest to a person."""
REPORTS = "reports"
ALONE = "There is no person at a terminal: the demo approves it itself."
APPROVED = "The demo approves it itself, as --yes says."


@click.command(cls=Command)
@click.option("--question", metavar="TEXT", default=QUESTION, help="Ask something else.")
@click.option("--model", metavar="NAME", help="The chat model, provider:name  [INTERLOCK_MODEL]")
@click.option("--yes", is_flag=True, help="Approve without asking.")
def demo(question: str, model: str | None, yes: bool) -> int:
    """Research a question over Python's own reference, and ask for approval of the report."""
    from interlock.cli.folders import own_folder
    from interlock.cli.following import exit_code, follow
    from interlock.cli.output import is_conversation
    from interlock.cli.reports import report_run
    from interlock.cli.runs import answer_here

    call = this_call()
    folder = own_folder(call, "demo") / "python-reference"
    given = {"question": question, "sources": [str(folder)], "output": str(Path.cwd() / REPORTS)}
    by_itself = yes or call.as_json or not is_conversation()
    _introduce(question)
    with call.runtime() as il:  # first: a data directory is made in an empty folder
        _say_what_is_read(folder, write_documents(folder))
        ended = follow(il, call, il.submit(GRAPH, given, model=model, attended=True))
        if by_itself:
            ended = _approve_all(il, call, ended, APPROVED if yes else ALONE)
        while (answer := answer_here(il, call, ended)) is not None:
            ended = follow(il, call, il.submit_answer(ended.thread_id, answer, attended=True))
        if call.as_json:
            report_run(ended, call)
        else:
            _conclude(il, ended)
    return exit_code(ended, call)


def command_name(invoked: str, here: Path) -> str:
    """Return what a person types to call this program again from here."""
    found = shutil.which("interlock")
    program = Path(invoked).absolute()
    if program.name != "interlock" or (found and Path(found).resolve() == program.resolve()):
        return "interlock"
    return from_here(program, here)


def from_here(program: Path, here: Path) -> str:
    """Return a program's path as it is shortest from a folder."""
    return os.path.relpath(program, here) if program.is_relative_to(here) else str(program)


def _introduce(question: str) -> None:
    from interlock.cli.output import remarks

    remarks().print("[bold]Interlock demo[/]")
    remarks().print(f"  question   {question}", markup=False)


def _say_what_is_read(folder: Path, documents: int) -> None:
    from interlock.cli.output import remarks

    console = remarks()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    console.print(
        f"  documents  {documents} topics of the reference that comes with Python {version}"
    )
    console.print(f"             in {folder}", markup=False, soft_wrap=True)
    console.print()


def _approve_all(il: Interlock, call: Call, run: Run, why: str) -> Run:
    """Answer the demo's questions where there is nobody to ask, and say so."""
    from interlock.cli.asking import print_question
    from interlock.cli.following import follow
    from interlock.cli.output import remarks
    from interlock.core.answers import Approve

    for _ in range(ANSWERS):
        if run.status != "waiting" or not _can_approve(run.interrupts[0]):
            break
        print_question(run.interrupts[0], remarks(), here=True)
        remarks().print(why, style="yellow")
        answer = Approve(run.interrupts[0].id, "interlock demo", "approved by the demo itself")
        run = follow(il, call, il.submit_answer(run.thread_id, answer, attended=True))
    return run


def _can_approve(question: OpenQuestion) -> bool:
    return "approve" in question.decisions


def _conclude(il: Interlock, run: Run) -> None:
    """Say where the report is, and what to try next."""
    from interlock.cli.output import remarks, results

    published = (run.output or {}).get("published") or {}
    for kind in ("markdown", "html"):
        if kind in published:
            results().print(f"report  {published[kind]}", markup=False, soft_wrap=True)
    if run.status == "succeeded" and not published:
        results().print(str((run.output or {}).get("message", "")), markup=False, soft_wrap=True)
    remarks().print("\n[bold]Try next[/]")
    for text, about in _next_commands(il, run):
        remarks().print(f"  [dim]# {about}[/]")
        remarks().print(f"  [cyan]{text}[/]", soft_wrap=True)
    _say_how_to_use_a_model(run)


def _next_commands(il: Interlock, run: Run) -> list[tuple[str, str]]:
    name, thread = command_name(sys.argv[0], Path.cwd()), run.thread_id[:8]
    if run.status == "waiting":
        return [(f"{name} approvals approve {run.interrupts[0].id[:8]}", "go on with the run")]
    if run.status != "succeeded":
        return [(f"{name} resume {thread}", "go on with the run")]
    steps = il.history(run.thread_id)
    planning = next((step.number for step in steps if "plan" in step.next), -1)
    fork = f'{name} fork {thread} --at {planning} --set question="What is a generator function?"'
    return [
        (f"{name} history {thread}", "every step: what changed, tokens, cost, time"),
        (f"{name} show {thread} --at {planning + 1}", "the state at a step"),
        (fork, "go back, ask something else, keep what was read"),
        (f"{name} diff {thread} FORK", "compare the two, with the id that the fork prints"),
        (f"{name} graph {GRAPH} --thread {thread} --png research.png", "a picture of the run"),
    ]


def _say_how_to_use_a_model(run: Run) -> None:
    from interlock.cli.output import remarks
    from interlock.documents.runs import notice_of

    notice = notice_of(run.model)
    if notice:
        console = remarks()
        console.print(f"\nThis was [yellow]{notice}[/]. With one:")
        python = from_here(Path(sys.executable), Path.cwd())
        console.print(f"  [cyan]{python} -m pip install langchain-openai[/]", soft_wrap=True)
        console.print("  [cyan]export OPENAI_API_KEY=…[/]")
        console.print(
            f"  [cyan]{command_name(sys.argv[0], Path.cwd())} demo --model openai:gpt-5[/]"
        )
