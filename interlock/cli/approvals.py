"""`approvals`: what waits for a person, and the answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.call import Call, Group, this_call
from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.core.runs import AnswerForm, OpenQuestion
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
    """Show a question with its evidence, its arguments, and what each answer does."""
    from interlock.cli.asking import print_question
    from interlock.cli.documents import notice_of, question_document
    from interlock.cli.output import print_json, print_notice, results

    call = this_call()
    with call.runtime() as il:
        found, status, model = _question(il, question)
    if call.as_json:
        notice = {"notice": notice_of(model)} if notice_of(model) else {}
        print_json(question_document(found) | {"status": status} | notice)
        return 0
    print_question(found, results())
    if status != "open":
        results().print(f"This question is {status}.", style="yellow")
    print_notice(results(), notice_of(model))
    return 0


def answering(command: Callable[..., Answering]) -> Callable[..., int]:
    """Make a command that answers a question and goes on with its thread out of one that makes the answer."""

    @click.argument("question")
    @click.option("--by", metavar="NAME", help="Who answers; default: the login name.")
    @click.option("--model", metavar="NAME", help="Go on with another model, provider:name.")
    @click.option("--detach", is_flag=True, help="Go on in the background.")
    @click.option("--no-run", is_flag=True, help="Take the answer; `resume` goes on later.")
    def answer(
        question: str, by: str, model: str | None, detach: bool, no_run: bool, **given: Any
    ) -> int:  # the command's own options
        work = partial(_go_on, model=model, detach=detach, no_run=no_run)
        return _answer(question, by, command(**given), work)

    answer.__doc__ = command.__doc__
    # Options that the command itself declares were noted on it by click's decorators.
    noted = getattr(command, "__click_params__", [])
    answer.__dict__.setdefault("__click_params__", []).extend(noted)
    answer.__name__ = command.__name__
    return answer


@approvals.command()
@answering
@click.option("--message", metavar="TEXT", default="", help="A word to the agents.")
def approve(message: str) -> Answering:
    """Let it happen as asked."""
    from interlock.core.runs import Approve

    return lambda question, by: Approve(question.id, by, message)


@approvals.command()
@answering
@click.option(
    "--set", "changes", metavar="KEY=VALUE", multiple=True, required=True, help="An argument."
)
@click.option("--message", metavar="TEXT", default="", help="A word to the agents.")
def edit(changes: tuple[str, ...], message: str) -> Answering:
    """Let it happen with other arguments."""
    from interlock.cli.asking import argument_of
    from interlock.core.runs import Edit

    def answer(question: OpenQuestion, by: str) -> Edit:
        pairs = [assignment(each) for each in changes]
        arguments = {key: argument_of(question, key, text) for key, text in pairs}
        return Edit(question.id, arguments, by, message)

    return answer


@approvals.command()
@answering
@click.option("--reason", metavar="TEXT", default="", help="What the agents should change.")
def reject(reason: str) -> Answering:
    """Do not let it happen."""
    from interlock.core.runs import Reject

    return lambda question, by: Reject(question.id, reason, by)


@approvals.command()
@answering
@click.option("--message", metavar="TEXT", required=True, help="The answer.")
def respond(message: str) -> Answering:
    """Answer in words."""
    from interlock.core.runs import Respond

    return lambda question, by: Respond(question.id, message, by)


@approvals.command("answer")
@answering
@click.option(
    "--value", metavar="JSON", required=True, help="What the graph's own interrupt expects."
)
def answer_plainly(value: str) -> Answering:
    """Answer an interrupt that is not an approval with a value."""
    from interlock.cli.texts import read_value
    from interlock.core.runs import Resume

    def answer(question: OpenQuestion, by: str) -> Resume:
        if question.action:
            raise UsageError(
                f"Question {question.id} is an approval.",
                hint=f"Answer it with {', '.join(question.decisions)}.",
            )
        return Resume(question.id, read_value(value), by)

    return answer


def assignment(text: str) -> tuple[str, str]:
    """Return the two sides of `key=value`; raises `UsageError`."""
    key, equals, value = text.partition("=")
    if not (key.strip() and equals):
        raise UsageError(f"{text!r} is not key=value.", hint="Write --set key=value.")
    return key.strip(), value


def _answer(
    question_id: str, by: str | None, make: Answering, go_on: Callable[[Interlock, Call, str], int]
) -> int:
    from interlock.cli.asking import login_name

    call = this_call()
    with call.runtime() as il:
        question, _, _ = _question(il, question_id)
        answer = make(question, by or il.settings.user or login_name())
        il.submit_answer(question.thread_id, answer)
        call.thread_id = question.thread_id
        return go_on(il, call, question.thread_id)


def _go_on(
    il: Interlock, call: Call, thread_id: str, *, model: str | None, detach: bool, no_run: bool
) -> int:
    from interlock.cli.documents import run_document
    from interlock.cli.output import print_json, results
    from interlock.cli.runs import work_on
    from interlock.cli.texts import short

    run = il.run(thread_id)
    if not no_run:
        return work_on(il, call, run, model=model, detached=detach)
    if call.as_json:
        print_json(run_document(run))
    else:
        results().print(f"Taken. [cyan]interlock resume {short(thread_id)}[/] goes on.")
    return 0


def _question(il: Interlock, identifier: str) -> tuple[OpenQuestion, str, str]:
    """Return a question, its status and the model of its thread."""
    from interlock.core.sync import run_sync

    question = run_sync(il.aquestion(identifier))[0]
    return question, question.status, il.run(question.thread_id).model


def _list(thread: str | None) -> int:
    from interlock.cli.documents import question_document
    from interlock.cli.output import print_json, print_notice, results
    from interlock.cli.screens import notice_for, print_questions

    call = this_call()
    with call.runtime() as il:
        questions = il.questions(thread)
        models = {each.thread_id: il.run(each.thread_id).model for each in questions}
    notice = notice_for(models.values())
    if call.as_json:
        found = [question_document(each) for each in questions]
        print_json({"questions": found} | ({"notice": notice} if notice else {}))
        return 0
    print_questions(questions, results())
    print_notice(results(), notice)
    return 0
