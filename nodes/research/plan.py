"""Split the question into tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain, count

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.context import Context, context_of
from interlock.core.corpus import DocumentInfo, Ingested
from interlock.core.structured import ask
from nodes.research.library import reading
from nodes.research.progress import tell
from nodes.research.questions import Plan, PlannedTask, PlanRequest
from state.research import Task

_TITLES = 60
"""How many documents the planner is told of by name."""


class PlanInput(TypedDict):
    """What the planner reads."""

    question: str
    sources: list[str]
    library: Ingested


class Planned(TypedDict):
    """The first plan."""

    plan: list[Task]
    round: int


async def plan(state: PlanInput, runtime: Runtime[Context]) -> Planned:
    """Ask the planner for tasks that together answer the question."""
    corpus = context_of(runtime).ports.corpus
    collection = state["library"]["collection"]
    documents = await reading(corpus, collection, state["sources"], corpus.documents)
    request = PlanRequest(question=state["question"], documents=_titles(documents))
    tasks = [as_task(each) for each in (await ask(runtime, request, Plan)).tasks]
    tell(runtime, {"event": "plan", "tasks": tasks})
    return {"plan": tasks, "round": 1}


def _titles(documents: Sequence[DocumentInfo]) -> list[str]:
    names = [f"{each['source']}: {each['title']}" for each in documents[:_TITLES]]
    more = len(documents) - len(names)
    return [*names, f"and {more} more"] if more else names


def as_task(planned: PlannedTask) -> Task:
    """Return a planned task as it is stored."""
    return Task(
        id=planned.id, question=planned.question, criteria=planned.criteria, needs=planned.needs
    )


def revised(plan: Sequence[Task], proposed: Sequence[PlannedTask]) -> list[Task]:
    """Append tasks to a plan: ids stay unique, what was asked is not asked again, no cycle arises.

    A new task may need tasks of the plan and new ones before it; any other need is dropped.
    """
    tasks = {task["id"]: task for task in plan}
    names: dict[str, str] = {}
    for each in proposed:
        if any(_same(each.question, task["question"]) for task in tasks.values()):
            continue
        name = _unused(each.id, tasks.keys())
        needs = [names.get(need, need) for need in each.needs]
        task = as_task(each) | {"id": name, "needs": [need for need in needs if need in tasks]}
        names[each.id] = name
        tasks[name] = task
    return list(tasks.values())


def _same(one: str, other: str) -> bool:
    return one.casefold().split() == other.casefold().split()


def _unused(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}-{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)
