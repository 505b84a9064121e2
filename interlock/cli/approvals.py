"""`approvals`: what waits for a person, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.call import Call, Group, this_call
from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.core.answers import AnswerForm
    from interlock.core.questions import OpenQuestion
    from interlock.core.runs import Run
    from interlock.facade import Interlock

Answering = Callable[["OpenQuestion", str], "AnswerForm"]  # question and who -> answer


@click.group(cls=Group, invoke_without_command=True)
@click.option("--thread", metavar="ID", help="Only of this thread.")
@click.pass_context
def approvals(ctx: click.Context, thread: str | None) -> int | None:
    """List what waits for a person, and answer it."""
    return _list(thread) if ctx.invoked_subcommand is None else None


@approvals.command("list")
@click.option("--thread", metavar="ID", help="Only of this thread.")
def list_(thread: str | None) -> int:
    """List the open questions, oldest first."""
    return _list(thread)


@approvals.command()
@click.argument("question")
def show(question: str) -> int:
    """Show a question with its evidence, its arguments, what each answer does, and its history."""
    from interlock.cli.asking import print_question
    from interlock.cli.output import print_json, print_notice, results
    from interlock.cli.questions import print_events
    from interlock.documents.runs import event_document, notice_of, question_document

    call = this_call()
    with call.runtime() as il:
        found, events = il.question(question)
        model = il.run(found.thread_id).model
    if call.as_json:
        notice = {"notice": notice_of(model)} if notice_of(model) else {}
        history = {"history": [event_document(each) for each in events]}
        print_json(question_document(found) | history | notice)
        return 0
    print_question(found, results(), here=found.status != "open")
    print_events(events, results())
    if found.status != "open":
        results().print(f"This question is {found.status}.", style="yellow")
    print_notice(results(), notice_of(model))
    return 0


def answering(command: Callable[..., Answering]) -> Callable[..., int]:
    """Make a command that answers questions and goes on with their thread out of one that makes an answer."""
    several = command.__name__ in ("approve", "reject")

    @click.argument(
        "questions",
        metavar="QUESTION..." if several else "QUESTION",
        nargs=-1 if several else 1,
        required=True,
    )
    @click.option("--by", metavar="NAME", help="Who answers; default: the login name.")
    @click.option("--model", metavar="NAME", help="Go on with another model, provider:name.")
    @click.option("--detach", is_flag=True, help="Go on in the background.")
    @click.option("--no-run", is_flag=True, help="Take the answer; a worker goes on, or `resume`.")
    def answer(
        questions: tuple[str, ...] | str,
        by: str,
        model: str | None,
        detach: bool,
        no_run: bool,
        **given: Any,
    ) -> int:  # the command's own options
        work = partial(_go_on, model=model, detach=detach, no_run=no_run)
        names = (questions,) if isinstance(questions, str) else questions
        return _answer(names, by, command(**given), work, attended=not no_run)

    answer.__doc__ = command.__doc__
    # Options that the command itself declares were noted on it by click's decorators.
    noted = getattr(command, "__click_params__", [])
    answer.__dict__.setdefault("__click_params__", []).extend(noted)
    answer.__name__ = command.__name__
    return answer


DIGEST = click.option(
    "--digest",
    metavar="HEX",
    default="",
    help="The arguments that were read, as `show` names them.",
)


@approvals.command()
@answering
@click.option("--message", metavar="TEXT", default="", help="A word to the agents.")
@DIGEST
def approve(message: str, digest: str) -> Answering:
    """Let it happen as asked; several questions of a thread are answered together or not at all."""
    from interlock.core.answers import Approve

    return lambda question, by: Approve(question.id, by, message, digest)


@approvals.command()
@answering
@click.option(
    "--set", "changes", metavar="KEY=VALUE", multiple=True, required=True, help="An argument."
)
@click.option("--message", metavar="TEXT", default="", help="A word to the agents.")
@DIGEST
def edit(changes: tuple[str, ...], message: str, digest: str) -> Answering:
    """Let it happen with other arguments."""
    from interlock.cli.asking import argument_of
    from interlock.core.answers import Edit

    def answer(question: OpenQuestion, by: str) -> Edit:
        pairs = [assignment(each) for each in changes]
        arguments = {key: argument_of(question, key, text) for key, text in pairs}
        return Edit(question.id, arguments, by, message, digest)

    return answer


@approvals.command()
@answering
@click.option("--reason", metavar="TEXT", default="", help="What the agents should change.")
def reject(reason: str) -> Answering:
    """Do not let it happen; several questions of a thread are answered together or not at all."""
    from interlock.core.answers import Reject

    return lambda question, by: Reject(question.id, reason, by)


@approvals.command()
@answering
@click.option("--message", metavar="TEXT", required=True, help="The answer.")
def respond(message: str) -> Answering:
    """Answer in words."""
    from interlock.core.answers import Respond

    return lambda question, by: Respond(question.id, message, by)


@approvals.command("answer")
@answering
@click.option(
    "--value",
    metavar="VALUE",
    required=True,
    help="What the graph's own interrupt expects: JSON, or else a text.",
)
def answer_plainly(value: str) -> Answering:
    """Answer an interrupt that is not an approval with a value."""
    from interlock.cli.texts import read_json_or_text
    from interlock.core.answers import Resume

    def answer(question: OpenQuestion, by: str) -> Resume:
        if question.action:
            raise UsageError(
                f"Question {question.id} is an approval.",
                hint=f"Answer it with {', '.join(question.decisions)}.",
            )
        return Resume(question.id, read_json_or_text(value, "--value"), by)

    return answer


def assignment(text: str) -> tuple[str, str]:
    """Return the two sides of `key=value`; raises `UsageError`."""
    key, equals, value = text.partition("=")
    if not (key.strip() and equals):
        raise UsageError(f"{text!r} is not key=value.", hint="Write --set key=value.")
    return key.strip(), value


@approvals.command()
def sweep() -> int:
    """Remind, escalate and answer by deadline what is due now, once, and send the notifications."""
    from interlock.cli.output import print_json, results
    from interlock.cli.questions import swept_line
    from interlock.documents.runs import swept_document

    call = this_call()
    with call.runtime() as il:
        taken = il.sweep()
        delivered = il.deliver()
    if call.as_json:
        found = [swept_document(each) for each in taken]
        print_json({"steps": found, "sent": delivered.sent, "not_sent": delivered.not_sent})
        return 0
    for each in taken:
        results().print(swept_line(each))
    failed = f", {delivered.not_sent} not sent" if delivered.not_sent else ""
    results().print(f"{len(taken)} steps taken, {delivered.sent} notifications sent{failed}.")
    return 0


@approvals.command()
@click.option(
    "--every", metavar="SECONDS", default="5s", show_default=True, help="How often to look."
)
@click.option("--run/--no-run", "runs", default=True, help="Go on with what a deadline answered.")
def watch(every: str, runs: bool) -> int:
    """Keep the time of all questions: sweep, notify, and go on with what a deadline answered. Ctrl-C stops it."""
    from interlock.cli.watching import seconds_of, watch_questions

    call = this_call()
    pause = seconds_of(every)
    with call.runtime() as il:
        return watch_questions(il, call, every=pause, runs=runs)


@approvals.command()
@click.option("--failed", is_flag=True, help="Only those that were given up.")
@click.option("--retry", is_flag=True, help="Let those that were given up be due again.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=50, show_default=True)
def notifications(failed: bool, retry: bool, limit: int) -> int:
    """List what people were told of questions, newest first."""
    from interlock.cli.output import print_json, results
    from interlock.cli.questions import print_notifications
    from interlock.core.sync import run_sync
    from interlock.documents.runs import notification_document

    call = this_call()
    with call.runtime() as il:
        due = run_sync(il.outbox.try_again()) if retry else 0
        status = "failed" if failed else None
        found = run_sync(il.outbox.notifications(status=status, limit=limit))
    if call.as_json:
        told = [notification_document(each) for each in found]
        print_json({"notifications": told, "due_again": due})
        return 0
    print_notifications(found, results(), failed=failed)
    return 0


def _answer(
    identifiers: tuple[str, ...],
    by: str | None,
    make: Answering,
    go_on: Callable[[Interlock, Call, str], int],
    *,
    attended: bool,
) -> int:
    from interlock.cli.asking import login_name

    call = this_call()
    with call.runtime() as il:
        questions = [il.question(each)[0] for each in identifiers]
        thread = _one_thread(questions)
        il.graph(questions[0].graph)  # importing it declares its actions
        who = by or il.settings.user or login_name()
        given = [make(each, who) for each in questions]
        run = il.submit_answers(thread, given, attended=attended)
        call.thread_id = thread
        still = [each for each in (il.question(one.id)[0] for one in questions) if _is_open(each)]
        if still or run.status == "waiting":
            return _wait(run, call, still or run.interrupts)
        return go_on(il, call, thread)


def _is_open(question: OpenQuestion) -> bool:
    return question.status == "open"


def _one_thread(questions: list[OpenQuestion]) -> str:
    threads = sorted({each.thread_id for each in questions})
    if len(threads) > 1:
        raise UsageError(
            f"These questions belong to several threads ({', '.join(threads)}).",
            hint="Answer the questions of one thread at a time.",
        )
    return threads[0]


def _wait(run: Run, call: Call, still: Sequence[OpenQuestion]) -> int:
    """Say that an answer was noted, and that more people must agree."""
    from interlock.cli.failures import WAITING
    from interlock.cli.output import print_json, results
    from interlock.cli.questions import agreement
    from interlock.documents.runs import run_document

    if call.as_json:
        print_json(run_document(run))
        return WAITING
    for each in still:
        results().print(f"Noted. Question {each.id[:8]}: {agreement(each)}.", markup=False)
    return WAITING


def _go_on(
    il: Interlock, call: Call, thread_id: str, *, model: str | None, detach: bool, no_run: bool
) -> int:
    from interlock.cli.output import print_json, results
    from interlock.cli.runs import work_on
    from interlock.documents.runs import run_document
    from interlock.wording import short

    run = il.run(thread_id)
    if not no_run:
        return work_on(il, call, run, model=model, detached=detach)
    if call.as_json:
        print_json(run_document(run))
    else:
        results().print(f"Taken. [cyan]interlock resume {short(thread_id)}[/] goes on.")
    return 0


def _list(thread: str | None) -> int:
    from interlock.cli.output import print_json, print_notice, results
    from interlock.cli.questions import print_questions
    from interlock.cli.screens import notice_for
    from interlock.core.sync import run_sync
    from interlock.documents.runs import question_document
    from interlock.wording import counted

    call = this_call()
    with call.runtime() as il:
        questions = il.questions(thread)
        models = {each.thread_id: il.run(each.thread_id).model for each in questions}
        failed = run_sync(il.outbox.failed())
    notice = notice_for(models.values())
    if call.as_json:
        found = [question_document(each) for each in questions]
        document = {"questions": found, "failed_notifications": failed}
        print_json(document | ({"notice": notice} if notice else {}))
        return 0
    print_questions(questions, results())
    if failed:
        told = (
            f"{counted(failed, 'notification')} failed: interlock approvals notifications --failed"
        )
        results().print(told, style="red")
    print_notice(results(), notice)
    return 0
