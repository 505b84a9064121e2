"""Looking at what runs did and wait for: runs, steps, questions, effects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from interlock.application import Application, Graph
from interlock.core.answers import AnswerForm
from interlock.core.context import Ports
from interlock.core.effects import Effect, Refused
from interlock.core.policy import Policy
from interlock.core.questions import OpenQuestion, QuestionEvent
from interlock.core.runs import Run, Step, ThreadSummary, Tree
from interlock.differences import Difference, difference
from interlock.effects import answer_to, check_in_doubt, checked_result, doubted
from interlock.execution import output_of
from interlock.forks import Forks
from interlock.past import HISTORY_LIMIT, Past
from interlock.postgres import locks
from interlock.postgres.approvals import PostgresApprovals
from interlock.postgres.effects import EffectStore
from interlock.postgres.pool import Pool, translated
from interlock.postgres.runs import RunStore
from interlock.postgres.timers import TimerStore
from interlock.settings import Settings


class Looking(ABC):
    """The part of the runtime that looks, and says what became of an effect in doubt."""

    settings: Settings
    application: Application
    store: RunStore
    approvals: PostgresApprovals
    effects_store: EffectStore
    _pool: Pool
    _ports: Ports
    _past: Past
    _forks: Forks

    def graph(self, name: str) -> Graph:
        """Return the application's compiled graph, without a checkpointer; raises `NotFound`, `UsageError`."""
        return self.application.graph(name)

    @abstractmethod
    def _durable(self, name: str) -> Graph: ...

    @abstractmethod
    async def asubmit_answer(self, thread_id: str, answer: AnswerForm) -> Run:
        """Take an answer without going on with its thread."""

    async def arun(self, thread_id: str) -> Run:
        """Return the run that a thread is at, with its open questions and, once it succeeded, its output.

        That is the one that runs; else the next that goes on, or waits; else the last that ended.
        """
        thread_id = await self.store.full_thread_id(thread_id)
        stored = await self.store.latest(thread_id)
        questions = tuple(await self.approvals.open_questions(thread_id))
        alive = bool(await locks.held(self._pool, [thread_id]))
        landed = (await self._ports.budgets.account("run", stored.chain[0])).landed
        partial = landed.reason if landed else ""
        asleep = await TimerStore(self._pool).asleep(stored.run.run_id)
        run = replace(
            stored.run,
            interrupts=questions,
            alive=alive,
            partial=partial,
            wakes_at=asleep[0] if asleep else None,
        )
        if run.status != "succeeded":
            return run
        compiled = self._durable(run.graph)
        config: Any = {"configurable": {"thread_id": thread_id}}  # LangGraph's
        with translated():
            snapshot = await self._past.steady(thread_id, lambda: compiled.aget_state(config))
        return replace(run, output=output_of(compiled, snapshot.values))

    async def ahistory(
        self, thread_id: str, *, inside: bool = False, most: int = HISTORY_LIMIT, upto: str = ""
    ) -> list[Step]:
        """Return the steps of a thread, oldest first; raises `NotFound`.

        Args:
            thread_id: the thread.
            inside: the steps of its subgraphs too, each after the step that ran it.
            most: how many of the thread's own graph, the last ones.
            upto: the checkpoint of the last one; default: the newest.
        """
        full = await self.store.full_thread_id(thread_id)
        return await self._past.history(full, inside=inside, most=most, upto=upto)

    async def astep(self, thread_id: str, at: int | str) -> Step:
        """Return one step, by its number, or by its checkpoint's id, also inside a subgraph; raises `NotFound`."""
        return await self._past.step(await self.store.full_thread_id(thread_id), at)

    def policy(self) -> Policy:
        """Return the policy that holds now; raises `PolicyInvalid` when its file never was valid."""
        return self._ports.policy.current()

    def policy_problem(self) -> str:
        """Return since when and why the policy's file is not in force; empty while it is, or there is none."""
        return str(getattr(self._ports.policy, "problem", ""))

    async def adiff(self, a: str, b: str, *, most: int = HISTORY_LIMIT) -> Difference:
        """Compare two threads: state, path, effects, tokens and cost; raises `NotFound`.

        `most`: of how many steps the path is told where the threads have none in common.
        """
        a, b = await self.store.full_thread_id(a), await self.store.full_thread_id(b)
        return difference(*await self._past.sides(a, b, most))

    async def agraph_at(self, thread_id: str, at: int | str) -> Graph:
        """Return the graph whose state a step holds: the thread's, or a subgraph; raises `NotFound`, `UsageError`."""
        return await self._forks.graph_at(await self.store.full_thread_id(thread_id), at)

    async def atree(self, thread_id: str) -> Tree:
        """Return all that was forked from the first ancestor of a thread; raises `NotFound`."""
        return await self._past.tree(await self.store.full_thread_id(thread_id))

    async def aquestions(self, thread_id: str | None = None) -> list[OpenQuestion]:
        """Return what waits for a person, oldest first; of one thread or of all."""
        if thread_id is not None:
            thread_id = await self.store.full_thread_id(thread_id)
        return await self.approvals.open_questions(thread_id)

    async def aquestion(self, question_id: str) -> tuple[OpenQuestion, list[QuestionEvent]]:
        """Return a question, open or not, with everything that happened to it; raises `NotFound`."""
        full = await self.approvals.full_question_id(question_id)
        return await self.approvals.question(full), await self.approvals.events(full)

    async def athreads(self, *, graph: str | None = None, limit: int = 20) -> list[ThreadSummary]:
        """Return the threads that something happened on lately, newest first."""
        rows = await self.store.threads(graph=graph, limit=limit)
        working = await locks.held(self._pool, [row["thread_id"] for row in rows])
        return [
            ThreadSummary(
                thread_id=row["thread_id"],
                graph=row["graph"],
                title=row["title"],
                status=row["status"] or "",
                alive=row["thread_id"] in working,
                updated_at=row["updated_at"],
                parent_thread_id=row["parent_thread_id"],
                error=row["error"] or "",
                model=str(row["context"].get("model", "")),
            )
            for row in rows
        ]

    # --- the ledger ---

    async def aeffects(
        self, thread_id: str | None = None, *, in_doubt: bool = False, limit: int | None = None
    ) -> list[Effect]:
        """Return what was done to the world, oldest first; of one thread or of all, or what is in doubt."""
        full = None if thread_id is None else await self.store.full_thread_id(thread_id)
        return await self.effects_store.effects(full, in_doubt=in_doubt, limit=limit)

    async def aeffect(self, key: str) -> Effect:
        """Return one effect, by its key or the beginning of it; raises `NotFound`."""
        return await self.effects_store.effect(key)

    async def arefusals(
        self, thread_id: str | None = None, *, limit: int | None = None
    ) -> list[Refused]:
        """Return what was not permitted, oldest first; of one thread or of all."""
        full = None if thread_id is None else await self.store.full_thread_id(thread_id)
        return await self.effects_store.refusals(full, limit=limit)

    async def aresolve_effect(
        self, key: str, *, happened: bool, result: Any = None, by: str = ""
    ) -> Effect:  # JSON
        """Say what became of an effect in doubt; `resume` then goes on with its thread.

        Args:
            key: the effect's, or the beginning of it.
            happened: what you found when you looked.
            result: what the action returned, as JSON.
            by: who says so.

        Raises:
            NotFound: no such effect.
            UsageError: it is not in doubt, or the result is not one that the action returns.
            AnswerRefused: its thread asks about it, and this is no answer to that.
        """
        effect = await self.effects_store.effect(key)
        check_in_doubt(effect)
        if effect.thread_id:
            self.graph((await self.store.thread(effect.thread_id))["graph"])  # declares its actions
        stored = checked_result(effect, result) if happened else None
        who = by or self.settings.user
        if (question := await self._asking(effect)) is not None:
            answer = answer_to(question.id, happened=happened, result=stored, by=who)
            await self.asubmit_answer(effect.thread_id, answer)
        await self.effects_store.settle(effect, happened=happened, result=stored, by=who)
        if not happened:
            await self._ports.budgets.release(effect.key)
        return await self.effects_store.effect(effect.key)

    async def _asking(self, effect: Effect) -> OpenQuestion | None:
        """Return the open question about an effect in doubt; the effect may be a parent's."""
        found = await self.approvals.open_questions(effect.thread_id or None)
        return next((each for each in found if doubted(each.payload) == effect.key), None)
