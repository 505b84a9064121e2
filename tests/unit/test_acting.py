"""Acting: validated, permitted, keyed, done once; refused in words; in plain LangGraph."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy
from pydantic import ValidationError

from interlock.core.acting import act, told
from interlock.core.actions import Action, action
from interlock.core.budget import Amounts, Limits
from interlock.core.budget_memory import MemoryBudgets
from interlock.core.context import Context
from interlock.core.doubt import doubts
from interlock.core.escalating import after_tools, escalate_to
from interlock.core.ledger import Intention, MemoryLedger
from interlock.core.policy import Policy, Rule, When
from interlock.core.policy_rules import Range
from interlock.core.verdict import Ruling
from interlock.errors import ActionRefused, EffectInDoubt, RefusedTooOften
from interlock.testing import RecordingLedger
from tests.acting import Purse, Rules, Thread, calls, context, one_node, own_actions

Step = Any  # a node


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    with own_actions():
        yield


class Pays:
    """An action that pays, and what it did; the first attempts may fail."""

    def __init__(self, *fails: BaseException, **declared: Any) -> None:
        self.paid: list[tuple[int, str]] = []
        self.keys: list[str] = []
        self._fails = list(fails)

        @action(**{"name": "unit_pay", "touches": "the purse", "reversible": True, **declared})
        async def pay(amount: int, to: str = "Ada", *, idempotency_key: str) -> str:
            """Pay somebody."""
            self.keys.append(idempotency_key)
            if self._fails:
                raise self._fails.pop(0)
            self.paid.append((amount, to))
            return f"{to} has {amount}"

        self.action: Action[str] = pay


def paying(pays: Pays, **arguments: Any) -> Step:
    """Return a node that pays once."""

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, pays.action, **arguments)}

    return step


# --- done once ---


async def test_act_is_done_with_validated_arguments_and_recorded() -> None:
    """Defaults are filled in, the key is the effect's, the result comes back and is kept."""
    pays, ledger = Pays(), RecordingLedger()
    output = await Thread(graph=one_node(paying(pays, amount="3")), context=context(ledger)).start()

    (begun,) = ledger.begun
    assert (output["said"], pays.paid, pays.keys) == ("Ada has 3", [(3, "Ada")], [begun.key])
    assert (begun.action, begun.arguments) == ("unit_pay", {"amount": 3, "to": "Ada"})
    assert (begun.site.thread_id, begun.site.node, begun.site.agent) == ("t", "pay", "pay")
    assert begun.verdict["rule"] == "otherwise"
    assert ledger.done == ["unit_pay"]


async def test_synchronous_function_does_not_block_the_loop() -> None:
    """It runs in a thread of its own, with typed arguments."""
    threads: list[str] = []

    @action(name="unit_write", touches="a file", reversible=True)
    def write(pages: tuple[int, ...]) -> int:
        threads.append(threading.current_thread().name)
        assert type(pages) is tuple
        return sum(pages)

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, write, pages=[1, 2])}

    output = await Thread(graph=one_node(step)).start()
    assert output["said"] == 3
    assert threads != ["MainThread"]


async def test_act_that_was_done_is_not_repeated_when_its_node_runs_again() -> None:
    """The node fails after the act; its next attempt gets the recorded result."""
    pays, failures = Pays(), [RuntimeError("after the act")]

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        said = await act(runtime, pays.action, amount=3)
        if failures:
            raise failures.pop()
        return {"said": said}

    thread = Thread(graph=one_node(step))
    with pytest.raises(RuntimeError, match="after the act"):
        await thread.start()
    output = await thread.again()

    assert (output["said"], pays.paid) == ("Ada has 3", [(3, "Ada")])


async def test_retry_within_a_run_repeats_no_act() -> None:
    """LangGraph's retry policy runs the node again at once: equal acts are counted anew."""
    pays, failures = Pays(), [ConnectionError("a moment")]

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        said = [await act(runtime, pays.action, amount=1) for _ in range(2)]
        if failures:
            raise failures.pop()
        return {"said": said}

    retry = RetryPolicy(max_attempts=2, initial_interval=0.001, jitter=False)
    output = await Thread(graph=one_node(step, retry=retry)).start()

    assert (output["said"], pays.paid) == (["Ada has 1"] * 2, [(1, "Ada")] * 2)


async def test_equal_acts_of_one_node_are_two_acts() -> None:
    """One after the other or side by side, each has a key of its own, and keeps it."""
    pays, failures = Pays(), [RuntimeError("later")]

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        await act(runtime, pays.action, amount=1)
        await asyncio.gather(*(act(runtime, pays.action, amount=1) for _ in range(2)))
        if failures:
            raise failures.pop()
        return {}

    thread = Thread(graph=one_node(step))
    with pytest.raises(RuntimeError, match="later"):
        await thread.start()
    await thread.again()

    assert pays.paid == [(1, "Ada")] * 3
    assert len(set(pays.keys)) == 3


async def test_the_same_act_on_another_thread_is_another_act() -> None:
    """Keys are of one thread."""
    pays, shared = Pays(), context()
    graph = one_node(paying(pays, amount=1))
    await Thread(graph=graph, context=shared, name="a").start()
    await Thread(graph=graph, context=shared, name="b").start()

    assert len(set(pays.keys)) == 2


async def test_waiting_for_somebody_who_acts_returns_that_result() -> None:
    """A second run of the same task, while the first is underway, does not act: it waits."""
    began, may_end = asyncio.Event(), asyncio.Event()
    paid: list[int] = []

    @action(name="unit_slow", touches="the purse", reversible=True)
    async def slow(amount: int) -> int:
        paid.append(amount)
        began.set()
        await may_end.wait()
        return amount

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, slow, amount=1)}

    thread = Thread(graph=one_node(step))
    await thread.graph.aupdate_state(thread.config, {"balance": 1}, as_node="__start__")
    first = asyncio.create_task(thread.again())
    await began.wait()
    second = asyncio.create_task(thread.again())
    await asyncio.wait([second], timeout=0.05)
    may_end.set()
    outputs = await asyncio.gather(first, second)

    assert ([each["said"] for each in outputs], paid) == ([1, 1], [1])


# --- state ---


def too_much(state: Any, arguments: Any) -> str | None:  # as declared
    """Refuse what the purse does not hold."""
    return None if arguments["amount"] <= state["balance"] else f"it holds {state['balance']}"


async def test_function_and_preconditions_read_the_state_of_the_graph() -> None:
    """Without being given one, they see what the node's graph holds."""

    @action(name="unit_spend", touches="the purse", reversible=True, preconditions=(too_much,))
    async def spend(amount: int, *, state: Purse) -> int:
        return state["balance"] - amount

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, spend, amount=4)}

    thread = Thread(graph=one_node(step))
    assert (await thread.start(balance=10))["said"] == 6
    with pytest.raises(ActionRefused, match=r"unit_spend was not run: it holds 3\."):
        await Thread(graph=one_node(step), name="poor").start(balance=3)


async def test_a_given_state_is_the_one_that_counts() -> None:
    """A node may have worked on its state before it acts."""
    pays = Pays(preconditions=(too_much,))

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        await act(runtime, pays.action, state={"balance": 100}, amount=50)
        return {}

    await Thread(graph=one_node(step)).start(balance=1)
    assert pays.paid == [(50, "Ada")]


# --- refusals ---


@pytest.mark.parametrize(
    ("declared", "arguments", "how", "kind", "said"),
    [
        ({}, {"amount": "much"}, {}, "arguments", "unit_pay are wrong: amount: Input should be"),
        ({}, {"amount": 1, "now": True}, {}, "arguments", "now: Extra inputs"),
        ({"nodes": ("till",)}, {"amount": 1}, {}, "node", "in node 'pay'; it may in till"),
        (
            {"preconditions": (too_much,)},
            {"amount": 11},
            {},
            "precondition",
            "unit_pay was not run: it holds 10",
        ),
        (
            {"cost": 2.0},
            {"amount": 1},
            {"limits": Limits(usd=1.5)},
            "budget",
            r"\$2.0000 may be needed, and \$1.5000 of \$1.5000 are left",
        ),
        ({}, {"amount": 1}, {"policy": Rules("deny")}, "policy", "So it is"),
    ],
    ids=["type", "extra", "node", "precondition", "budget", "policy"],
)
async def test_refusal_says_why_and_nothing_is_written(
    declared: Any, arguments: Any, how: Any, kind: str, said: str
) -> None:
    """Neither the world nor the ledger knows of it; the agent reads a word and a sentence."""
    pays, ledger = Pays(**declared), RecordingLedger()
    limits = how.pop("limits", Limits())
    world = context(ledger, **how)
    thread = Thread(graph=one_node(paying(pays, **arguments)), context=world, limits=limits)
    with pytest.raises(ActionRefused, match=said) as refused:
        await thread.start(balance=10)

    assert (pays.keys, ledger.begun) == ([], [])
    assert told(refused.value)["refused"] == kind
    assert told(refused.value)["rule"] == ("otherwise" if kind == "policy" else "")


async def test_policy_judges_amount_and_confidence() -> None:
    """What the agent gives beside the arguments is the policy's to judge."""
    pays = Pays(amount="amount")

    class Sure:
        def current(self) -> Policy:
            unsure = When(confidence=Range(under=0.5))
            much = When(amount=Range(over=5))
            return Policy(
                name="test",
                rules=[
                    Rule(name="unsure", when=unsure, then="deny"),
                    Rule(name="much", when=much, then="deny"),
                ],
                otherwise=Rule(name="otherwise", when=When(), then="allow"),
            )

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        rules = []
        for amount, confidence in ((6, 0.9), (5, 0.4), (5, 0.9)):
            try:
                await act(runtime, pays.action, amount=amount, confidence=confidence)
            except ActionRefused as refusal:
                rules.append(refusal.rule)
        return {"said": rules}

    output = await Thread(graph=one_node(step), context=context(policy=Sure())).start()
    assert (output["said"], pays.paid) == (["much", "unsure"], [(5, "Ada")])


async def test_acts_side_by_side_do_not_overdraw_the_budget() -> None:
    """Each would fit alone; together they never cost more than there is."""
    pays, budgets = Pays(cost=0.6, max_refusals=9), MemoryBudgets()

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        both = (act(runtime, pays.action, amount=each) for each in (1, 2))
        said = await asyncio.gather(*both, return_exceptions=True)
        return {"said": [type(each).__name__ for each in said]}

    world = context(budgets=budgets)
    await Thread(graph=one_node(step), context=world, limits=Limits(usd=1.0)).start()

    assert len(pays.paid) == 1
    assert (await budgets.account("thread", "t")).spent == Amounts(usd=0.6, actions=1, steps=0)


async def test_what_did_nothing_is_given_back_to_the_budget() -> None:
    """The function refused, so the next attempt finds the budget whole; what is in doubt stays charged."""
    pays, budgets = (
        Pays(ActionRefused("Closed."), ConnectionError("cut"), cost=0.6),
        MemoryBudgets(),
    )
    thread = Thread(
        graph=one_node(paying(pays, amount=1)),
        context=context(budgets=budgets),
        limits=Limits(usd=1.0, actions=1),
    )
    with pytest.raises(ActionRefused, match="Closed"):
        await thread.start()
    assert (await budgets.account("thread", "t")).spent.actions == 0
    with pytest.raises(ConnectionError):
        await thread.again()

    assert (await budgets.account("thread", "t")).spent == Amounts(usd=0.6, actions=1)


async def test_what_a_person_says_did_not_happen_is_given_back() -> None:
    """And charged anew when it is done after all."""
    budgets, failures, sent = MemoryBudgets(), [ConnectionError("cut")], []

    @action(name="unit_send", touches="the post", reversible=True, cost=0.6)
    async def send() -> None:
        if failures:
            raise failures.pop()
        sent.append("a letter")

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, send)}

    world = context(budgets=budgets)
    thread = Thread(graph=one_node(step), context=world, limits=Limits(actions=1))
    with pytest.raises(ConnectionError):
        await thread.start()
    await thread.again()
    await thread.answer({"type": "reject", "message": "no"})

    assert sent == ["a letter"]
    assert (await budgets.account("thread", "t")).spent == Amounts(usd=0.6, actions=1)


async def test_looking_is_no_action() -> None:
    """What only reads is not counted as one, but may cost something."""
    budgets = MemoryBudgets()

    @action(name="unit_look", touches="nothing", reads=True, cost=0.1)
    async def look() -> int:
        return 1

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, look)}

    world = context(budgets=budgets)
    await Thread(graph=one_node(step), context=world, limits=Limits(actions=0)).start()

    assert (await budgets.account("thread", "t")).spent == Amounts(usd=0.1)


async def test_recorded_act_needs_no_budget() -> None:
    """A node that runs again is given what it did before, whatever is left."""
    pays, failures = Pays(cost=0.6), [RuntimeError("later")]

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        await act(runtime, pays.action, amount=1)
        if failures:
            raise failures.pop()
        return {"said": "done"}

    world = context(budgets=MemoryBudgets())
    thread = Thread(graph=one_node(step), context=world, limits=Limits(usd=0.6))
    with pytest.raises(RuntimeError, match="later"):
        await thread.start()
    assert (await thread.again())["said"] == "done"

    assert pays.paid == [(1, "Ada")]


async def test_a_function_that_refuses_did_nothing() -> None:
    """It may be tried again, and the next attempt acts."""
    pays = Pays(ActionRefused("The bank is closed."))
    thread = Thread(graph=one_node(paying(pays, amount=1)))
    with pytest.raises(ActionRefused, match=r"The bank is closed\.") as refused:
        await thread.start()
    await thread.again()

    assert refused.value.kind == "unavailable"
    assert (pays.paid, len(set(pays.keys)), len(pays.keys)) == ([(1, "Ada")], 1, 2)


async def test_a_function_that_fails_leaves_its_act_in_doubt() -> None:
    """Whether it happened is not known: the next attempt repeats it with the same key, as it takes one."""
    pays, ledger = Pays(ConnectionError("cut")), RecordingLedger()
    thread = Thread(graph=one_node(paying(pays, amount=1)), context=context(ledger))
    with pytest.raises(ConnectionError, match="cut"):
        await thread.start()
    between = await ledger.begin(ledger.begun[0], permitted=False)
    await thread.again()

    assert (between.standing, between.error) == ("in_doubt", "ConnectionError: cut")
    assert (pays.paid, len(set(pays.keys)), len(pays.keys)) == ([(1, "Ada")], 1, 2)


async def test_a_cancelled_act_is_in_doubt() -> None:
    """Who stops a run in the middle of an act does not know what it did."""
    began, ledger = asyncio.Event(), RecordingLedger()

    @action(name="unit_hang", touches="the purse", reversible=True)
    async def hang(amount: int) -> int:
        began.set()
        await asyncio.Event().wait()
        return amount

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, hang, amount=1)}

    run = asyncio.create_task(Thread(graph=one_node(step), context=context(ledger)).start())
    await began.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert (await ledger.begin(ledger.begun[0], permitted=False)).standing == "in_doubt"


# --- too many refusals ---


def failing(pays: Pays, *amounts: int, told: list[str]) -> Step:
    """Return a node that tries amounts one after the other, and goes on after a refusal."""

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        for amount in amounts:
            try:
                await act(runtime, pays.action, amount=amount)
            except RefusedTooOften:
                raise
            except ActionRefused as refusal:
                told.append(refusal.kind)
        return {}

    return step


async def test_third_refusal_in_a_row_is_one_too_many() -> None:
    """The run stops with the last reason, its kind and its rule."""
    pays, said = Pays(preconditions=(too_much,)), list[str]()
    with pytest.raises(RefusedTooOften, match=r"pay was refused 3 times in a row, .* 10") as often:
        await Thread(graph=one_node(failing(pays, 11, 12, 13, told=said))).start(balance=10)

    assert said == ["precondition", "precondition"]
    assert often.value.kind == "precondition"


async def test_an_act_that_happens_breaks_the_row() -> None:
    """Two refusals, an act, two refusals: never three in a row."""
    pays, said = Pays(preconditions=(too_much,)), list[str]()
    await Thread(graph=one_node(failing(pays, 11, 12, 5, 13, 14, told=said))).start(balance=10)

    assert (pays.paid, len(said)) == ([(5, "Ada")], 4)


async def test_an_act_that_did_nothing_does_not_break_the_row() -> None:
    """A function that says three times that it did nothing was refused three times in a row."""
    pays = Pays(*(ActionRefused("closed") for _ in range(3)))
    with pytest.raises(RefusedTooOften, match="3 times in a row"):
        await Thread(graph=one_node(failing(pays, 1, 2, 3, told=[]))).start()


async def test_a_refusal_counts_once_however_often_its_node_runs() -> None:
    """A node that fails for another reason and runs again is not refused more often for it."""
    pays, said, failures = Pays(preconditions=(too_much,)), list[str](), [OSError()] * 4
    refused = failing(pays, 11, 12, told=said)

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        await refused(state, runtime)
        if failures:
            raise failures.pop()
        return {"said": len(said)}

    thread = Thread(graph=one_node(step))
    with pytest.raises(OSError):  # noqa: PT011  # it has no text
        await thread.start(balance=10)
    for _ in range(3):
        with pytest.raises(OSError):  # noqa: PT011  # as above
            await thread.again()

    assert (await thread.again())["said"] == 10


async def test_refusals_before_an_act_stay_before_it_when_the_node_runs_again() -> None:
    """Two refusals, an act, a refusal, a failure; again the same: the row is still one long."""
    pays, said, failures = Pays(preconditions=(too_much,)), list[str](), [OSError("later")]
    refused = failing(pays, 11, 12, 5, 13, told=said)

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        await refused(state, runtime)
        if failures:
            raise failures.pop()
        return {"said": len(said)}

    thread = Thread(graph=one_node(step))
    with pytest.raises(OSError, match="later"):
        await thread.start(balance=10)

    assert (await thread.again())["said"] == 6


async def test_agents_are_counted_apart() -> None:
    """Two nodes that are refused twice each are not refused four times."""
    pays, builder = Pays(preconditions=(too_much,)), StateGraph(Purse, Context)
    builder.add_node("a", failing(pays, 11, 12, told=[]))
    builder.add_node("b", failing(pays, 11, 12, told=[]))
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    thread = Thread(graph=builder.compile(checkpointer=InMemorySaver()))

    assert (await thread.start(balance=10))["balance"] == 10


async def test_refused_too_often_a_node_goes_to_the_person() -> None:
    """The run does not fail: it goes to the node that was named for it, and takes none of its own edges."""
    pays, builder = Pays(preconditions=(too_much,)), StateGraph(Purse, Context)

    async def person(state: Purse) -> Purse:
        return {"said": "a person looks"}

    node = failing(pays, 11, 12, 13, told=[])
    builder.add_node("pay", node, error_handler=escalate_to("person"))
    builder.add_node("person", person)
    builder.add_edge(START, "pay")
    builder.add_edge("pay", "pay")  # round and round, were it not refused
    output = await Thread(graph=builder.compile(checkpointer=InMemorySaver())).start(balance=10)

    assert output["said"] == "a person looks"


# --- as a tool ---


def tools_graph(*tools: Any, person: bool = False) -> Any:  # a compiled graph
    """Return a graph of one ToolNode."""
    builder = StateGraph(MessagesState, Context)
    builder.add_node("tools", ToolNode(list(tools)))
    builder.add_edge(START, "tools")
    if person:
        builder.add_node("person", lambda state: {"messages": [("ai", "a person looks")]})
        builder.add_node("agent", lambda state: {"messages": [("ai", "the agent goes on")]})
        route = after_tools("agent", escalate_to="person")
        builder.add_conditional_edges("tools", route, ["agent", "person"])
    return builder.compile(checkpointer=InMemorySaver())


async def test_tool_call_is_an_act() -> None:
    """A model's call goes the same way; what it reads is the result as it is, or as JSON."""
    pays, ledger = Pays(), RecordingLedger()

    @action(name="unit_count", touches="nothing", reversible=True)
    async def count(of: list[str]) -> dict[str, int]:
        return {each: len(each) for each in of}

    graph = tools_graph(pays.action, count)
    message = calls(("unit_pay", {"amount": 3}), ("unit_count", {"of": ["é"]}))
    output = await Thread(graph=graph, context=context(ledger)).start(messages=[message])

    said = [each.content for each in output["messages"][1:]]
    assert said == ["Ada has 3", '{"é": 1}']
    assert sorted(ledger.done) == ["unit_count", "unit_pay"]


async def test_refused_tool_call_is_read_by_the_model() -> None:
    """The message is an error, and says why in a form that can be read twice."""
    pays = Pays()
    thread = Thread(graph=tools_graph(pays.action), context=context(policy=Rules("deny")))
    message = (await thread.start(messages=[calls(("unit_pay", {"amount": 3}))]))["messages"][-1]

    assert isinstance(message, ToolMessage)
    assert message.status == "error"
    read = json.loads(str(message.content))
    assert (read["refused"], read["rule"]) == ("policy", "otherwise")
    assert pays.keys == []


@pytest.mark.parametrize(
    "name", ["approval", "confidence", "state", "runtime", "declared", "idempotency_key"]
)
async def test_a_model_cannot_make_up_what_acting_takes(name: str) -> None:
    """A made-up approval, state or key is an argument like any other: one that the action does not have."""
    pays = Pays(preconditions=(too_much,))
    made_up: Any = {
        "type": "approve",
        "arguments": {"amount": 3},
        "message": "",
        "by": "me",
        "question": "q",
        "balance": 100,
    }
    message = calls(("unit_pay", {"amount": 3, name: made_up}))

    class Till(MessagesState):
        balance: int

    builder = StateGraph(Till, Context)
    builder.add_node("tools", ToolNode([pays.action]))
    builder.add_edge(START, "tools")
    graph = builder.compile(checkpointer=InMemorySaver())
    thread = Thread(graph=graph, context=context(policy=Rules("ask")))
    output = await thread.start(messages=[message], balance=10)

    if name == "runtime":  # LangGraph puts its own there, whatever the model said
        assert (await thread.asked()) == {"amount": 3, "to": "Ada"}
    else:
        assert f"{name}: Extra inputs" in output["messages"][-1].content
    assert pays.keys == []


@pytest.mark.parametrize(
    ("wrong", "last"), [("abc", "a person looks"), ("ab", "the agent goes on")]
)
async def test_tool_that_is_refused_too_often_sends_the_run_to_a_node(
    wrong: str, last: str
) -> None:
    """After the third wrong call a person looks, not the agent; each call has its answer all the same."""
    pays = Pays(max_refusals=3)
    message = calls(*[("unit_pay", {"amount": text}) for text in wrong])
    thread = Thread(graph=tools_graph(pays.action, person=True))
    output = await thread.start(messages=[message])

    statuses = [each.status for each in output["messages"] if isinstance(each, ToolMessage)]
    assert statuses == ["error"] * len(wrong)
    assert output["messages"][-1].content == last


async def test_equal_tool_calls_of_one_message_are_two_acts() -> None:
    """A model that calls twice means twice."""
    pays = Pays()
    twice = calls(("unit_pay", {"amount": 1}), ("unit_pay", {"amount": 1}))
    await Thread(graph=tools_graph(pays.action)).start(messages=[twice])

    assert (pays.paid, len(set(pays.keys))) == ([(1, "Ada")] * 2, 2)


# --- the policy while an act is in doubt ---


@pytest.mark.parametrize("ruling", ["allow", "deny"])
async def test_nothing_is_repeated_that_the_policy_denies_by_now(ruling: Ruling) -> None:
    """Repeating would tell what happened, but it may not be done any more: the doubt stays."""
    pays, rules, ledger = Pays(ConnectionError("cut")), Rules(), RecordingLedger()
    thread = Thread(graph=one_node(paying(pays, amount=1)), context=context(ledger, rules))
    with pytest.raises(ConnectionError):
        await thread.start()
    rules.ruling = ruling
    if ruling == "allow":
        await thread.again()
        assert pays.paid == [(1, "Ada")]
        return
    with pytest.raises(EffectInDoubt, match="unit_pay happened is not known, and it may not be"):
        await thread.again()

    assert (len(pays.keys), pays.paid) == (1, [])
    assert (await ledger.begin(ledger.begun[0], permitted=False)).standing == "in_doubt"


async def test_own_cost_does_not_stand_against_a_repetition() -> None:
    """What an act in doubt costs is in the budget already: it is not counted twice."""
    pays = Pays(ConnectionError("cut"), cost=0.6)
    thread = Thread(graph=one_node(paying(pays, amount=1)), limits=Limits(usd=1.0))
    with pytest.raises(ConnectionError):
        await thread.start()
    await thread.again()

    assert pays.paid == [(1, "Ada")]


class Unwritten(MemoryLedger):
    """A ledger that loses its database before it writes."""

    async def begin(self, intention: Intention, *, permitted: bool, approval: str = "") -> Any:
        raise ConnectionError("no ledger")


async def test_without_a_ledger_nothing_is_done() -> None:
    """The intention comes before the act."""
    pays = Pays()
    thread = Thread(graph=one_node(paying(pays, amount=1)), context=context(Unwritten()))
    with pytest.raises(ConnectionError, match="no ledger"):
        await thread.start()

    assert pays.keys == []


class Lost(MemoryBudgets):
    """Budgets whose database is gone, once."""

    lost = False

    async def reserve(self, *args: Any, **kwargs: Any) -> bool:
        """Fail the first time."""
        if not self.lost:
            self.lost = True
            raise ConnectionError("no budgets")
        return await super().reserve(*args, **kwargs)


async def test_act_whose_budget_cannot_be_asked_is_not_begun() -> None:
    """Nothing happened: it neither stands as underway nor as in doubt, and the next attempt acts."""
    pays, ledger = Pays(cost=0.6), RecordingLedger()
    world = context(ledger, budgets=Lost())
    thread = Thread(graph=one_node(paying(pays, amount=1)), context=world, limits=Limits(usd=1.0))
    with pytest.raises(ConnectionError, match="no budgets"):
        await thread.start()
    assert (pays.paid, ledger.begun) == ([], [])
    await asyncio.wait_for(thread.again(), 10)

    assert pays.paid == [(1, "Ada")]


async def test_result_that_the_action_cannot_return_leaves_it_in_doubt() -> None:
    """What is stored as done can be read in each attempt; a wrong result is told to whoever says what happened."""

    @action(name="unit_wrong", touches="money", reversible=True)
    async def wrong() -> dict[str, int]:
        return {"paid": "many"}  # type: ignore[dict-item]  # the mistake itself

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, wrong)}

    thread = Thread(graph=one_node(step))
    with pytest.warns(UserWarning, match="serialized value"), pytest.raises(ValidationError):
        await thread.start()
    await thread.again()

    (payload,) = await thread.questions()
    assert payload["question"]["kind"] == "in_doubt"


async def test_result_is_the_same_in_each_attempt() -> None:
    """The first attempt reads what was stored, as later ones do."""

    @action(name="unit_any", touches="nothing", reversible=True)
    async def anything() -> Any:
        return {1: (2, 3)}

    said, failures = [], [RuntimeError("later")]

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        said.append(await act(runtime, anything))
        if failures:
            raise failures.pop()
        return {"said": "done"}

    thread = Thread(graph=one_node(step))
    with pytest.raises(RuntimeError, match="later"):
        await thread.start()
    await thread.again()

    assert said == [{"1": [2, 3]}] * 2


async def test_bytes_that_are_no_text_are_a_refusal() -> None:
    """A refusal of arguments that cannot be stored is stored all the same."""

    @action(name="unit_bytes", touches="a bucket", reversible=True)
    async def upload(data: bytes) -> int:
        return len(data)

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, upload, data=b"\xff")}

    with pytest.raises(ActionRefused, match="stored as JSON"):
        await Thread(graph=one_node(step)).start()


# --- what is told ---


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": True}, "it is done again, with the same key"),
        ({}, "a person is asked when the run is resumed, or `interlock effects resolve"),
    ],
)
async def test_an_error_says_that_the_act_is_in_doubt(options: dict[str, bool], said: str) -> None:
    """Whoever reads the error learns that it may have happened, and what will be done about it."""
    declared = flaky(**options)

    async def node(state: Purse, runtime: Runtime[Any]) -> Purse:
        return {"said": await act(runtime, declared)}

    with pytest.raises(ConnectionError) as raised:
        await Thread(graph=one_node(node)).start()

    assert [
        each.startswith("In doubt: unit_flaky may have happened; ") for each in doubts(raised.value)
    ] == [True]
    assert said in doubts(raised.value)[0]


async def test_an_error_of_an_act_that_only_reads_leaves_nothing_in_doubt() -> None:
    """It changes nothing: whether it happened is no worry, and it is done again."""

    @action(name="unit_look", touches="nothing", reads=True)
    async def look() -> str:
        raise ConnectionError("no answer")

    async def node(state: Purse, runtime: Runtime[Any]) -> Purse:
        return {"said": await act(runtime, look)}

    with pytest.raises(ConnectionError) as raised:
        await Thread(graph=one_node(node)).start()

    assert doubts(raised.value) == []


def flaky(*, key: bool = False) -> Action[str]:
    """An action that raises, with a key or without."""

    async def with_key(idempotency_key: str) -> str:
        raise ConnectionError("cut")

    async def without() -> str:
        raise ConnectionError("cut")

    return action(name="unit_flaky", touches="the line", reversible=True)(
        with_key if key else without
    )
