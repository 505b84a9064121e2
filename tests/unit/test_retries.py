"""What a retry policy runs again does not act again in its subgraphs, and not in the tasks that it calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import task
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime, get_runtime
from langgraph.types import RetryPolicy

from interlock.core.acting import act
from interlock.core.actions import Action, action
from interlock.core.context import Context
from tests.acting import Purse, Thread, own_actions

RETRY = RetryPolicy(max_attempts=2, initial_interval=0.001, jitter=False, retry_on=ConnectionError)


@pytest.fixture(autouse=True)
def _own_actions() -> Iterator[None]:
    with own_actions():
        yield


class Broken:
    """A connection that fails once, and a payment that counts."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.left = 1
        self.action: Action[str] = action(name="retried_pay", touches="money")(self.pay)

    async def pay(self, amount: int) -> str:
        """Pay."""
        self.paid.append(amount)
        return f"paid {amount}"

    def fail_once(self) -> None:
        """Raise the first time."""
        if self.left:
            self.left -= 1
            raise ConnectionError("a moment")

    def inner(self, checkpointer: bool | None, *, fails: bool) -> Any:  # a compiled graph
        """Return a subgraph that pays, and then may fail."""

        async def pay(state: Purse, runtime: Runtime[Context]) -> Purse:
            return {"said": await act(runtime, self.action, amount=3)}

        async def close(state: Purse) -> Purse:
            if fails:
                self.fail_once()
            return {"balance": 7}

        builder = StateGraph(Purse, Context)
        builder.add_node(pay)
        builder.add_node(close)
        builder.add_edge(START, "pay")
        builder.add_edge("pay", "close")
        return builder.compile(checkpointer=checkpointer)


def around(node: Any) -> Thread:
    """Return a thread of a graph whose only node is run again when it fails."""
    builder = StateGraph(Purse, Context)
    builder.add_node("desk", node, retry_policy=RETRY)
    builder.add_edge(START, "desk")
    return Thread(graph=builder.compile(checkpointer=InMemorySaver()))


@pytest.mark.parametrize("checkpointer", [None, True])
async def test_a_retried_subgraph_goes_on_behind_what_it_did(checkpointer: bool | None) -> None:
    """A subgraph that is a node with a retry policy pays once, although its second node failed."""
    broken = Broken()
    output = await around(broken.inner(checkpointer, fails=True)).start()

    assert (broken.left, broken.paid) == (0, [3])
    assert (output["said"], output["balance"]) == ("paid 3", 7)


@pytest.mark.parametrize("checkpointer", [None, True])
async def test_a_retried_node_is_given_what_its_subgraphs_did(checkpointer: bool | None) -> None:
    """A node that calls a subgraph and then fails gets, when it is retried, what the subgraph had returned."""
    broken = Broken()
    inner = broken.inner(checkpointer, fails=False)

    async def desk(state: Purse) -> Purse:
        paid = await inner.ainvoke({"balance": 10})
        broken.fail_once()
        return {"said": paid["said"], "balance": paid["balance"]}

    output = await around(desk).start()

    assert (broken.left, broken.paid) == (0, [3])
    assert (output["said"], output["balance"]) == ("paid 3", 7)


async def test_two_calls_of_a_retried_node_stay_two() -> None:
    """Calls of one subgraph in one attempt keep their numbers apart: each pays once, over all attempts."""
    broken = Broken()
    inner = broken.inner(None, fails=False)

    async def desk(state: Purse) -> Purse:
        said = [(await inner.ainvoke({"balance": 10}))["said"] for _ in range(2)]
        broken.fail_once()
        return {"said": said}

    output = await around(desk).start()

    assert (broken.left, broken.paid, output["said"]) == (0, [3, 3], ["paid 3", "paid 3"])


async def test_what_a_retried_node_calls_pays_once() -> None:
    """Two equal calls of a `@task` stay two, and neither runs again after the node has failed."""
    broken = Broken()

    @task
    async def pay() -> str:
        return await act(get_runtime(Context), broken.action, amount=3)

    async def desk(state: Purse) -> Purse:
        said = [await pay(), await pay()]
        broken.fail_once()
        return {"said": said}

    output = await around(desk).start()

    assert (broken.left, broken.paid, output["said"]) == (0, [3, 3], ["paid 3", "paid 3"])


async def test_a_called_task_that_failed_goes_on_in_its_subgraph() -> None:
    """The node is retried because a `@task` failed behind a subgraph that had paid: the subgraph goes on there."""
    broken = Broken()
    inner = broken.inner(None, fails=False)

    @task
    async def pay() -> str:
        paid = await inner.ainvoke({"balance": 10})
        broken.fail_once()
        return str(paid["said"])

    async def desk(state: Purse) -> Purse:
        return {"said": await pay()}

    output = await around(desk).start()

    assert (broken.left, broken.paid, output["said"]) == (0, [3], "paid 3")


def test_a_retried_node_without_a_loop_calls_once() -> None:
    """Synchronous nodes and tasks are numbered anew as well."""
    broken = Broken()
    ran: list[int] = []

    @task
    def add(number: int) -> int:
        ran.append(number)
        return number

    def desk(state: Purse) -> Purse:
        total = add(1).result() + add(2).result()
        broken.fail_once()
        return {"balance": total}

    builder = StateGraph(Purse)
    builder.add_node("desk", desk, retry_policy=RETRY)
    builder.add_edge(START, "desk")
    graph = builder.compile(checkpointer=InMemorySaver())
    output = graph.invoke({"balance": 0}, {"configurable": {"thread_id": "t"}})

    assert (broken.left, ran, output["balance"]) == (0, [1, 2], 3)
