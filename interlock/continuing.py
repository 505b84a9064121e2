"""Threads that go on, as the runtime offers it: with answers, or after a crash, a stop or a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from interlock.answers import Desk
from interlock.checking import Checking
from interlock.core.answers import AnswerForm, Answers
from interlock.core.budget import Limits
from interlock.core.driving import Driving
from interlock.core.judging import edited_verdict
from interlock.core.questions import OpenQuestion
from interlock.core.queueing import Options
from interlock.core.runs import BREAKPOINT, Run
from interlock.core.sync import iterate_sync, run_sync
from interlock.errors import UsageError
from interlock.execution import Part, end_of
from interlock.postgres.stored_runs import StoredRun
from interlock.running import Running
from interlock.timers import Timing


class Continuing(Running, Timing, Checking):
    """The part of the runtime that goes on with threads."""

    async def aresume(
        self,
        thread_id: str,
        answer: Answers | None = None,
        *,
        model: str | None = None,
        limits: Limits | None = None,
    ) -> Run:
        """Go on with a thread: with an answer to its question, or after a crash, a stop or a failure.

        Several answers are taken together or not at all. While more people must agree, the run is returned as it waits.
        `limits` take the place of those that the run was begun with, as far as they say something.

        Raises:
            NotFound: no such thread or question.
            AnswerRefused: the question was answered, is not this thread's, or the answer does not fit it.
            ResumeRefused: this code cannot go on with the stored state; nothing was changed.
            ThreadBusy: another process runs this thread.
        """
        return await end_of(self.aresume_stream(thread_id, answer, model=model, limits=limits))

    async def aresume_stream(
        self,
        thread_id: str,
        answer: Answers | None = None,
        *,
        model: str | None = None,
        limits: Limits | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> AsyncIterator[Part]:
        """Go on with a thread and yield what happens, as `astream`."""
        thread_id = await self.store.full_thread_id(thread_id)
        stored = await self.store.latest(thread_id)
        if model is not None:  # before an answer is taken
            self._checked_model(model)
        if limits is not None:
            await self.aset_budget("run", stored.chain[0], limits)
        if answer is None:
            stored = await self._past_breakpoint(await self._awake(stored))
            await self._check_can_continue(stored)
        await self._refuse_misfit(stored)
        if answer is not None:
            if (run_id := await self._answered(stored, answer)) is None:
                yield {"type": "end", "ns": (), "data": await self.arun(thread_id)}
                return
            stored = await self.store.stored(run_id)
        if model is not None:
            stored = stored.with_model(model)
        async with aclosing(self._execute(stored, stream_mode)) as parts:
            async for part in parts:
                yield part

    async def asubmit_answer(
        self, thread_id: str, answer: AnswerForm, *, attended: bool = False
    ) -> Run:
        """Take an answer and let workers go on with its thread. Raises as `aresume`.

        `attended`: no worker does; the caller goes on by `resume`.
        """
        return await self.asubmit_answers(thread_id, [answer], attended=attended)

    async def asubmit_answers(
        self,
        thread_id: str,
        answers: Answers,
        *,
        attended: bool = False,
        driving: Driving | None = None,
    ) -> Run:
        """Take answers to several questions of a thread, all or none, as `asubmit_answer`.

        `driving`: what LangGraph is told of the run that goes on; default: as the run that asked.
        """
        thread_id = await self.store.full_thread_id(thread_id)
        stored = await self.store.latest(thread_id)
        await self._answered(stored, answers, enqueue=not attended, driving=driving)
        return await self.arun(thread_id)

    async def _answered(
        self,
        stored: StoredRun,
        answers: Answers,
        *,
        enqueue: bool = False,
        options: Options | None = None,
        driving: Driving | None = None,
    ) -> str | None:
        self._ports.policy.current()
        self.graph(
            stored.run.graph
        )  # importing it declares its actions, which edits are checked against
        given = answers if isinstance(answers, Sequence) else [answers]
        desk = Desk(approvals=self.approvals, rejudge=self._judged_again, user=self.settings.user)
        return await desk.take(
            stored.run.thread_id, given, enqueue=enqueue, options=options, driving=driving
        )

    async def _judged_again(
        self, question: OpenQuestion, arguments: Mapping[str, Any]
    ) -> str | None:  # JSON
        """Return why the policy denies what a person would change an act to; None when it does not."""
        verdict = edited_verdict(self._ports.policy.current(), question.payload, arguments)
        if verdict is None or verdict.ruling != "deny":
            return None
        return f"the rule “{verdict.rule}” denies it: {verdict.reason.rstrip('.')}"

    async def _past_breakpoint(self, stored: StoredRun) -> StoredRun:
        """Return the run that goes on with a thread that a worker left at a breakpoint; any other run as it is."""
        run = stored.run
        if run.status != "waiting" or run.error_kind != BREAKPOINT:
            return stored
        return await self._resumed(run, None, stored.context)

    async def _check_can_continue(self, stored: StoredRun) -> None:
        thread_id = stored.run.thread_id
        if stored.lineage.recorded_only:
            raise UsageError(
                f"Thread {thread_id} is a replay, which is not resumed.",
                hint="Replay again, or fork the thread that it replays.",
            )
        if stored.run.status == "waiting":
            questions = await self.approvals.open_questions(thread_id)
            names = ", ".join(each.id for each in questions)
            raise UsageError(
                f"Thread {thread_id} waits for an answer to {names}.",
                hint=f"interlock approvals approve {questions[0].id if questions else 'ID'}",
            )
        if stored.run.status in ("succeeded", "cancelled"):
            raise UsageError(
                f"Thread {thread_id} has ended ({stored.run.status}); there is nothing to resume.",
                hint=f"`interlock fork {thread_id} --at STEP` runs it again from a step.",
            )


class ContinuingNow(Continuing):
    """The synchronous twins."""

    def resume(
        self,
        thread_id: str,
        answer: Answers | None = None,
        *,
        model: str | None = None,
        limits: Limits | None = None,
    ) -> Run:
        """Go on with a thread; see `aresume`."""
        return run_sync(self.aresume(thread_id, answer, model=model, limits=limits))

    def resume_stream(
        self,
        thread_id: str,
        answer: Answers | None = None,
        *,
        model: str | None = None,
        limits: Limits | None = None,
        stream_mode: Sequence[str] = ("updates", "custom"),
    ) -> Generator[Part]:
        """Go on with a thread and yield what happens; see `aresume_stream`."""
        return iterate_sync(
            self.aresume_stream(
                thread_id, answer, model=model, limits=limits, stream_mode=stream_mode
            )
        )

    def submit_answer(self, thread_id: str, answer: AnswerForm, *, attended: bool = False) -> Run:
        """Take an answer and let workers go on with its thread; see `asubmit_answer`."""
        return run_sync(self.asubmit_answer(thread_id, answer, attended=attended))

    def submit_answers(
        self,
        thread_id: str,
        answers: Answers,
        *,
        attended: bool = False,
        driving: Driving | None = None,
    ) -> Run:
        """Take answers to several questions, all or none; see `asubmit_answers`."""
        return run_sync(
            self.asubmit_answers(thread_id, answers, attended=attended, driving=driving)
        )
