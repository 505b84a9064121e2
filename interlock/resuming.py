"""How runs go on at a client's word: its `command.resume`, and how a run is driven, checked against its thread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from interlock.answers import forms_of
from interlock.application import Graph
from interlock.core.answers import AnswerForm, Answers
from interlock.core.driving import Driving
from interlock.core.questions import OpenQuestion
from interlock.core.queueing import Options
from interlock.core.runs import BREAKPOINT, Run
from interlock.core.sync import run_sync
from interlock.errors import AnswerRefused, NotFound, UsageError
from interlock.options import check_options
from interlock.postgres.approvals import PostgresApprovals
from interlock.postgres.runs import RunStore
from interlock.postgres.stored_runs import StoredRun
from interlock.steering import check_driving


class Resuming(ABC):
    """The part of the runtime that takes clients' resumes."""

    store: RunStore
    approvals: PostgresApprovals

    @abstractmethod
    async def arun(self, thread_id: str) -> Run:
        """Return the run that a thread is at."""

    @abstractmethod
    def _durable(self, name: str) -> Graph: ...

    @abstractmethod
    async def _answered(
        self,
        stored: StoredRun,
        answers: Answers,
        *,
        enqueue: bool = False,
        options: Options | None = None,
        driving: Driving | None = None,
    ) -> str | None: ...

    async def asubmit_resume(
        self,
        thread_id: str,
        resume: Any,  # a client's `command.resume`
        *,
        options: Options | None = None,
        driving: Driving | None = None,
        by: str = "",
    ) -> Run:
        """Take a client's `command.resume`, and let workers go on with its thread; return that run.

        A bare value answers the one question that is open now; `{interrupt id: value}` answers several, all or none.
        The value of an approval is a `HITLResponse` or a list of `HumanInterrupt`'s answers. While more people must
        agree, the run is returned as it waits.

        Args:
            thread_id: the thread.
            resume: the value, or a value for each interrupt.
            options: when the run that goes on starts, and until when it has time. It goes before what is queued, and is
                refused, whatever the strategy, where the thread goes on already.
            driving: what LangGraph is told of it; default: as the run that asked.
            by: who answers; default: the user that the settings name.

        Raises:
            NotFound: no such thread.
            UsageError: an option, or how it is to be driven, does not fit.
            AnswerRefused: nothing waits for it, somebody was faster, or it does not fit the question.
            ThreadBusy: the thread goes on already.
        """
        thread_id = await self.store.full_thread_id(thread_id)
        stored = await self._asked(thread_id)
        if options is not None:
            check_options(options)
            options = replace(options, idempotency_key="")
        # Before the checkpoint is looked at: what is asked after that is another checkpoint's.
        questions = await self.approvals.open_questions(thread_id)
        if driving is not None:
            driving = await self._driving_on(self._durable(stored.run.graph), thread_id, driving)
        forms = _forms(stored.run, questions, resume, by)
        run_id = await self._answered(stored, forms, enqueue=True, options=options, driving=driving)
        if run_id is None:
            return await self.arun(thread_id)
        return (await self.store.stored(run_id)).run

    async def _asked(self, thread_id: str) -> StoredRun:
        try:
            return await self.store.latest(thread_id)
        except NotFound as error:  # the thread is there, and nothing has run on it
            raise AnswerRefused(f"Thread {thread_id} waits for no answer.") from error

    async def _driven(
        self,
        graph: Graph,
        given: Mapping[str, Any] | None,  # the graph's input
        thread_id: str | None,
        driving: Driving | None,
    ) -> Driving:
        """Return how a new run is driven, checked against its graph and its thread."""
        driven = check_driving(graph, driving or Driving())
        begins = given is not None or bool(driven.command)
        if begins and driven.goes_on:
            raise UsageError("A run that goes on takes no input and no command.")
        if not begins and not driven.goes_on:
            raise UsageError(
                "The run has no input.", hint="Give it one, or let it go on from its checkpoint."
            )
        checkpoint = driven.checkpoint.get("checkpoint_id", "")
        if checkpoint or driven.goes_on or _only_updates(driven):
            await self._check_continues(thread_id, checkpoint)
        if driven.goes_on and checkpoint and thread_id is not None:  # clients name what they show
            latest = await self.store.latest_checkpoint(thread_id)
            return replace(driven, checkpoint={}) if checkpoint == latest else driven
        return driven

    async def _check_continues(self, thread_id: str | None, checkpoint: str) -> None:
        if thread_id is not None and await self.store.continues(thread_id, checkpoint):
            return
        if checkpoint and thread_id is not None:
            raise NotFound(
                f"Thread {thread_id} has no checkpoint {checkpoint!r}.",
                hint="`interlock history` lists those that it has.",
            )
        raise UsageError(
            f"Thread {thread_id} has no checkpoint to go on from."
            if thread_id
            else "A new thread has no checkpoint to go on from.",
            hint="Begin it with an input; {} is one.",
        )

    async def _driving_on(self, graph: Graph, thread_id: str, driving: Driving) -> Driving:
        """Return how a run that answers is driven: it goes on where the question was asked, and nowhere else."""
        check_driving(graph, driving)
        named = driving.checkpoint.get("checkpoint_id")
        if named and named != await self.store.latest_checkpoint(thread_id):
            raise AnswerRefused(
                f"Thread {thread_id} has gone on from the checkpoint {named}: the question is not that one's.",
                hint="Answer without a checkpoint, or start a run from that one.",
            )
        return replace(driving, checkpoint={}, goes_on=False)


class ResumingNow(Resuming):
    """The synchronous twin."""

    def submit_resume(
        self,
        thread_id: str,
        resume: Any,  # a client's `command.resume`
        *,
        options: Options | None = None,
        driving: Driving | None = None,
        by: str = "",
    ) -> Run:
        """Take a client's `command.resume`; see `asubmit_resume`."""
        return run_sync(
            self.asubmit_resume(thread_id, resume, options=options, driving=driving, by=by)
        )


def _only_updates(driving: Driving) -> bool:
    """Say whether a run's command changes a state without saying where to go: there must be one."""
    return bool(driving.command) and not driving.command.get("goto")


def _forms(
    run: Run, questions: Sequence[OpenQuestion], resume: object, by: str
) -> list[AnswerForm]:
    try:
        return forms_of(run.thread_id, questions, resume, by)
    except AnswerRefused as refused:
        if run.status == "waiting" and run.error_kind == BREAKPOINT:
            refused.hint = "It stopped at a breakpoint: a run without an input goes on."
        raise
