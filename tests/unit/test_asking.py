"""Acts that a person must agree to, in plain LangGraph: an answer opens its own gate, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, hook_config
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy, interrupt
from pydantic import ValidationError

from interlock.core.acting import act
from interlock.core.actions import Action, action
from interlock.core.approvals import InProcess
from interlock.core.budget import Limits
from interlock.core.context import Context, Ports
from interlock.core.gate import Question, ask_person
from interlock.core.policy import Policy, Rule, When
from interlock.core.policy_rules import Range
from interlock.core.trust import Earning, MemoryTrust, TrustRules
from interlock.errors import ActionRefused
from interlock.testing import RecordingLedger
from tests.acting import (
    APPROVE,
    REJECT,
    CallingModel,
    Purse,
    Rules,
    Thread,
    calls,
    context,
    edit,
    one_node,
    own_actions,
)

Step = Any  # a node


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    with own_actions():
        yield


@pytest.fixture
def paid() -> list[str]:
    """Whom the action paid, and how much."""
    return []


def limit(state: Any, arguments: Any) -> str | None:  # as declared
    """Refuse what the purse does not hold."""
    return None if arguments["amount"] <= state["balance"] else f"it holds {state['balance']}"


@pytest.fixture
def pay(paid: list[str]) -> Action[str]:
    """An action that pays, about which a test's policy asks."""

    @action(
        name="unit_pay",
        touches="the purse",
        amount="amount",
        cost=lambda given: given["amount"] / 10,
        preconditions=(limit,),
    )
    async def pay(to: str, amount: int = 1) -> str:
        paid.append(f"{to} {amount}")
        return f"paid {to}"

    return pay


def trying(pay: Action[str], *names: str) -> Step:
    """Return a node that pays one after the other, and says of each what came of it."""

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": [await tried(runtime, pay, to=each) for each in names]}

    return step


async def tried(runtime: Runtime[Context], pay: Action[str], **arguments: Any) -> str:
    """Pay, and say what came of it."""
    try:
        return await act(runtime, pay, **arguments)
    except ActionRefused as refusal:
        return refusal.kind


# --- one question ---


async def test_question_shows_the_act_and_why_it_is_asked(pay: Action[str]) -> None:
    """A person reads what would happen, by which rule they are asked, and what it costs."""
    thread = Thread(graph=one_node(trying(pay, "ann")), context=context(policy=Rules("ask")))
    await thread.start()
    (payload,) = await thread.questions()

    assert payload["action_requests"] == [
        {
            "name": "unit_pay",
            "args": {"to": "ann", "amount": 1},
            "description": "Let pay do unit_pay? It changes the purse.",
        }
    ]
    asked = payload["question"]
    assert asked["evidence"] == [
        "rule “otherwise”: So it is.",
        "cannot be undone",
        "costs about $0.10",
    ]
    assert (asked["verdict"]["rule"], asked["facts"]["amount"]) == ("otherwise", 1.0)


class Fixed:
    """A policy that never changes."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def current(self) -> Policy:
        """Return it."""
        return self._policy


@pytest.mark.parametrize(("by", "counted"), [("ann", (1, 1)), ("deadline", (0, 0))])
async def test_trust_moves_with_people_and_not_with_deadlines(
    pay: Action[str], by: str, counted: tuple[int, int]
) -> None:
    """An agent that nobody answered is neither right nor wrong: else it would earn its trust while people sleep."""
    rules = TrustRules(earnings=(Earning(start="ask"),), falls_to="shadow")
    otherwise = Rule(name="otherwise", when=When(), then="ask")
    policy = Fixed(Policy(name="test", rules=[], otherwise=otherwise, trust=rules))
    trust = MemoryTrust(policy)
    ports = Ports(ledger=RecordingLedger(), policy=policy, approvals=InProcess(), trust=trust)
    seen = []
    for decision in (APPROVE, REJECT):
        thread = Thread(graph=one_node(trying(pay, decision["type"])), context=Context(ports=ports))
        thread.name = decision["type"]
        await thread.start()
        await thread.answer(decision, by=by)
        standing = await trust.standing("pay", "unit_pay")
        seen.append((standing.stage, standing.right))

    assert seen == [("ask", counted[0]), ("shadow" if counted[1] else "ask", 0)]


async def test_approved_act_happens_once(pay: Action[str], paid: list[str]) -> None:
    """The run stops, and goes on with the answer at the same place."""
    ledger = RecordingLedger()
    thread = Thread(
        graph=one_node(trying(pay, "ann")), context=context(ledger, policy=Rules("ask"))
    )
    await thread.start()
    before = (list(paid), list(ledger.begun))
    output = await thread.answer(APPROVE)

    assert before == ([], [])
    assert (output["said"], paid, ledger.done) == (["paid ann"], ["ann 1"], ["unit_pay"])


@pytest.mark.parametrize(
    ("decision", "kind", "said"),
    [
        (REJECT, "rejected", "unit_pay was rejected by Bob, because: Not today."),
        ({"type": "reject"}, "rejected", "unit_pay was rejected by Bob"),
        (
            {"type": "respond", "message": "Whose?"},
            "answered",
            "unit_pay was not done; Bob answers: Whose?",
        ),
    ],
    ids=["reason", "none", "words"],
)
async def test_act_that_was_not_agreed_to_does_not_happen(
    pay: Action[str], paid: list[str], decision: Any, kind: str, said: str
) -> None:
    """The agent is told who said what."""
    thread = Thread(
        graph=one_node(trying(pay, "ann")),
        context=context(RecordingLedger(), policy=Rules("ask")),
    )
    await thread.start()

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        try:
            await act(runtime, pay, to="ann")
        except ActionRefused as refusal:
            return {"said": (refusal.kind, str(refusal))}
        return {}

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    await thread.start()
    output = await thread.answer(decision, by="Bob")

    assert (output["said"], paid) == ((kind, said), [])


async def test_edited_act_happens_with_the_arguments_of_the_person(
    pay: Action[str], paid: list[str]
) -> None:
    """And its node, when it runs again, gets that act's result, and no second act."""
    failures = [RuntimeError("later")]

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        said = await act(runtime, pay, to="ann", amount=5)
        if failures:
            raise failures.pop()
        return {"said": said}

    ledger = RecordingLedger()
    thread = Thread(graph=one_node(step), context=context(ledger, policy=Rules("ask")))
    await thread.start()
    with pytest.raises(RuntimeError, match="later"):
        await thread.answer(edit("unit_pay", to="bob", amount=2))
    output = await thread.again()

    assert (output["said"], paid) == ("paid bob", ["bob 2"])
    (begun,) = ledger.begun
    assert (begun.arguments, begun.cost) == ({"to": "bob", "amount": 2}, 0.2)


@pytest.mark.parametrize(
    ("edited", "how", "kind"),
    [
        ({"amount": 11}, {}, "precondition"),
        ({"amount": 9}, {"limits": Limits(usd=0.5)}, "budget"),
        ({"amount": 7}, {}, "policy"),
    ],
    ids=["precondition", "budget", "policy"],
)
async def test_edit_to_what_may_not_be_does_not_happen(
    pay: Action[str], paid: list[str], edited: Any, how: Any, kind: str
) -> None:
    """An approver cannot lift what holds for every act."""

    class UpToSix:
        def current(self) -> Policy:
            seven = Rule(name="seven", when=When(amount=Range(at_least=7, at_most=7)), then="deny")
            otherwise = Rule(name="otherwise", when=When(), then="ask")
            return Policy(name="test", rules=[seven], otherwise=otherwise)

    world = context(policy=UpToSix())
    thread = Thread(graph=one_node(trying(pay, "ann")), context=world, **how)
    await thread.start()
    output = await thread.answer(edit("unit_pay", **edited))

    assert (output["said"], paid) == ([kind], [])


async def test_edited_act_in_doubt_is_repeated_as_it_was_agreed_to(pay: Action[str]) -> None:
    """It was begun with the person's arguments: the repetition never falls back to the agent's."""
    sent: list[tuple[str, int]] = []
    failures = [ConnectionError("cut")]

    @action(name="unit_send", touches="the purse", idempotent=True)
    async def send(amount: int, to: str = "ann") -> str:
        sent.append((to, amount))
        if failures:
            raise failures.pop()
        return "sent"

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await act(runtime, send, amount=100)}

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    await thread.start()
    with pytest.raises(ConnectionError, match="cut"):
        await thread.answer(edit("unit_send", amount=5))
    await thread.again()

    assert sent == [("ann", 5), ("ann", 5)]


# --- the policy changes while a question is open ---


async def test_rejection_outlives_an_allowance(pay: Action[str], paid: list[str]) -> None:
    """The policy turns to allow while the question is open: what a person rejects does not happen."""
    rules = Rules("ask")
    thread = Thread(graph=one_node(trying(pay, "ann")), context=context(policy=rules))
    await thread.start()
    rules.ruling = "allow"
    output = await thread.answer(REJECT)

    assert (output["said"], paid) == (["rejected"], [])


async def test_open_question_is_not_skipped_when_the_policy_allows(
    pay: Action[str], paid: list[str]
) -> None:
    """Who was asked must answer, even if nobody would be asked any more."""
    rules = Rules("ask")
    thread = Thread(graph=one_node(trying(pay, "ann")), context=context(policy=rules))
    await thread.start()
    rules.ruling = "allow"
    await thread.again()

    assert (paid, await thread.asked()) == ([], {"to": "ann", "amount": 1})
    await thread.answer(APPROVE)
    assert paid == ["ann 1"]


async def test_earlier_rejection_outlives_an_allowance(pay: Action[str], paid: list[str]) -> None:
    """The first act was rejected; the second is asked about; the policy allows the first by then."""
    rules = Rules("ask")
    thread = Thread(graph=one_node(trying(pay, "ann", "bob")), context=context(policy=rules))
    await thread.start()
    await thread.answer(REJECT)
    rules.ruling = "allow"
    output = await thread.answer(APPROVE)

    assert (output["said"], paid) == (["rejected", "paid bob"], ["bob 1"])


async def test_approval_does_not_outlive_a_denial(pay: Action[str], paid: list[str]) -> None:
    """The policy turns to deny while the question is open: the approval does not open it."""
    rules = Rules("ask")
    thread = Thread(graph=one_node(trying(pay, "ann")), context=context(policy=rules))
    await thread.start()
    rules.ruling = "deny"
    output = await thread.answer(APPROVE)

    assert (output["said"], paid) == (["policy"], [])


# --- several gates in one node ---


async def test_each_of_several_gates_is_answered_for_itself(
    pay: Action[str], paid: list[str]
) -> None:
    """Approve, reject, approve: each answer holds for the question that was open."""
    thread = Thread(
        graph=one_node(trying(pay, "ann", "bob", "cid")), context=context(policy=Rules("ask"))
    )
    await thread.start()
    asked = [(await thread.asked())["to"]]
    for decision in (APPROVE, REJECT):
        await thread.answer(decision)
        asked.append((await thread.asked())["to"])
    output = await thread.answer(APPROVE)

    assert asked == ["ann", "bob", "cid"]
    assert (output["said"], paid) == (["paid ann", "rejected", "paid cid"], ["ann 1", "cid 1"])


async def test_answer_to_the_first_does_not_open_another_question(
    pay: Action[str], paid: list[str]
) -> None:
    """An agent that asks for something else when its node runs again is asked about that."""
    wishes = iter(["ann", "eve", "eve"])

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        return {"said": await tried(runtime, pay, to=next(wishes))}

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    await thread.start()
    await thread.answer(APPROVE)
    between = (list(paid), await thread.asked())
    output = await thread.answer(REJECT)

    assert between == ([], {"to": "eve", "amount": 1})
    assert (output["said"], paid) == ("rejected", [])


@pytest.mark.parametrize("turned", [False, True], ids=["same order", "other order"])
async def test_gates_side_by_side_are_answered_for_themselves(
    pay: Action[str], paid: list[str], turned: bool
) -> None:
    """Whichever comes first when the node runs again, the answer stays with its question."""
    runs: list[int] = []

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        runs.append(len(runs))
        names = ["ann", "bob", "cid"]
        if turned and len(runs) % 2 == 0:
            names.reverse()
        said = await asyncio.gather(*(tried(runtime, pay, to=each) for each in names))
        return {"said": sorted(said)}

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    output, asked = await thread.start(), list[str]()
    for _ in range(3):
        to = (await thread.asked())["to"]
        asked.append(to)
        output = await thread.answer(REJECT if to == "bob" else APPROVE)

    assert sorted(asked) == ["ann", "bob", "cid"]
    assert (sorted(paid), output["said"]) == (
        ["ann 1", "cid 1"],
        ["paid ann", "paid cid", "rejected"],
    )


async def test_wrong_answer_leaves_the_question_open(pay: Action[str], paid: list[str]) -> None:
    """Also behind another gate: an answer with another question's digest is refused, and may be given again."""
    thread = Thread(graph=one_node(trying(pay, "ann", "bob")), context=context(policy=Rules("ask")))
    await thread.start()
    (first,) = await thread.questions()
    await thread.answer(APPROVE, digest=first["question"]["digest"])
    with pytest.raises(ValidationError, match="it answers question"):
        await thread.answer(APPROVE, digest=first["question"]["digest"])
    between = list(paid)
    output = await thread.answer(REJECT)

    assert between == ["ann 1"]
    assert output["said"] == ["paid ann", "rejected"]


@pytest.mark.parametrize("decision", [APPROVE, REJECT])
async def test_running_on_without_an_answer_opens_no_gate(
    pay: Action[str], paid: list[str], decision: Any
) -> None:
    """LangGraph would hand the first question's answer to the second."""
    thread = Thread(graph=one_node(trying(pay, "ann", "bob")), context=context(policy=Rules("ask")))
    await thread.start()
    await thread.answer(decision)
    before = list(paid)
    await thread.again()
    await thread.again()

    assert paid == before
    assert (await thread.asked())["to"] == "bob"
    await thread.answer(APPROVE)
    assert paid == [*before, "bob 1"]


async def test_answer_of_a_run_that_failed_does_not_open_the_next_gate(
    pay: Action[str], paid: list[str]
) -> None:
    """It was used, the node failed, and the thread is run on: also a second click opens nothing."""
    failures = [OSError("later"), OSError("later")]
    names = trying(pay, "ann", "bob")

    async def step(state: Purse, runtime: Runtime[Context]) -> Any:
        await tried(runtime, pay, to="ann")
        if failures:
            raise failures.pop()
        return await names(state, runtime)

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    await thread.start()
    for _ in range(2):
        with pytest.raises(OSError, match="later"):
            await thread.answer(APPROVE)
    await thread.again()

    assert paid == ["ann 1"]
    assert (await thread.asked())["to"] == "ann"


async def test_another_process_takes_the_answer(pay: Action[str], paid: list[str]) -> None:
    """A process that knows nothing of the question takes LangGraph's value for its answer."""
    graph = one_node(trying(pay, "ann"))
    await Thread(graph=graph, context=context(policy=Rules("ask"))).start()
    output = await Thread(graph=graph, context=context(policy=Rules("ask"))).answer(APPROVE)

    assert (output["said"], paid) == (["paid ann"], ["ann 1"])


async def test_gates_after_a_retry_keep_their_answers(pay: Action[str], paid: list[str]) -> None:
    """The first is rejected, the node fails and is retried at once, the second is asked about, and only that."""
    failures = [ConnectionError("a moment")]

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        said = [await tried(runtime, pay, to="ann")]
        if failures:
            raise failures.pop()
        return {"said": [*said, await tried(runtime, pay, to="bob")]}

    retry = RetryPolicy(max_attempts=2, initial_interval=0.001, jitter=False)
    thread = Thread(graph=one_node(step, retry=retry), context=context(policy=Rules("ask")))
    await thread.start()
    await thread.answer(REJECT)
    asked = await thread.asked()
    output = await thread.answer(APPROVE)

    assert asked["to"] == "bob"
    assert (output["said"], paid) == (["rejected", "paid bob"], ["bob 1"])


async def test_other_interrupts_of_the_node_keep_their_values(
    pay: Action[str], paid: list[str]
) -> None:
    """An application's own question before the gate, and behind it."""

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        before = interrupt("name?")
        said = await tried(runtime, pay, to=before)
        return {"said": [before, said, interrupt("sure?")]}

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    await thread.start()
    await thread.graph.ainvoke(_resumed("ann"), thread.config, context=thread.context)
    await thread.answer(APPROVE)
    assert await thread.questions() == ["sure?"]
    output = await thread.graph.ainvoke(_resumed("yes"), thread.config, context=thread.context)

    assert (output["said"], paid) == (["ann", "paid ann", "yes"], ["ann 1"])


def _resumed(value: str) -> Any:  # LangGraph's command
    return Command(resume=value)


# --- an approval that a node got of its own accord ---


@pytest.mark.parametrize("again", [False, True])
async def test_shown_approval_permits_one_act_with_its_arguments(
    pay: Action[str], paid: list[str], again: bool
) -> None:
    """Shown twice, or for other arguments, it permits nothing: a person is asked."""

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        question = Question(action=pay, arguments={"to": "ann"}, summary="Pay Ann?")
        shown = await ask_person(runtime, question)
        await act(runtime, pay, approval=shown, to="ann")
        other = "ann" if again else "eve"
        return {"said": await act(runtime, pay, approval=shown, to=other)}

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    await thread.start()
    await thread.answer(APPROVE)

    assert paid == ["ann 1"]
    assert (await thread.asked())["to"] == ("ann" if again else "eve")


async def test_one_approval_shown_by_two_acts_at_once_permits_one(
    pay: Action[str], paid: list[str]
) -> None:
    """They race; the other one is asked about."""

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        question = Question(action=pay, arguments={"to": "ann"}, summary="Pay Ann?")
        shown = await ask_person(runtime, question)
        await asyncio.gather(*(act(runtime, pay, approval=shown, to="ann") for _ in range(2)))
        return {}

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    await thread.start()
    await thread.answer(APPROVE)

    assert (paid, (await thread.asked())["to"]) == (["ann 1"], "ann")


@pytest.mark.parametrize("decision", ["reject", "respond"])
async def test_shown_rejection_permits_nothing(
    pay: Action[str], paid: list[str], decision: str
) -> None:
    """A decision that is no approval is no approval, whatever a node makes of it."""

    async def step(state: Purse, runtime: Runtime[Context]) -> Purse:
        question = Question(action=pay, arguments={"to": "ann"}, summary="Pay Ann?")
        shown = await ask_person(runtime, question)
        return {"said": await act(runtime, pay, approval=shown, to="ann")}

    thread = Thread(graph=one_node(step), context=context(policy=Rules("ask")))
    await thread.start()
    await thread.answer({"type": decision, "message": "No."})

    assert (paid, (await thread.asked())["to"]) == ([], "ann")


# --- agents ---


def agent(pay: Action[str], model: CallingModel, *middleware: Any) -> Any:  # a compiled graph
    """Return LangChain's agent with the action as a tool."""

    @tool
    def look(at: str) -> str:
        """Look at something."""
        return f"{at} looks fine"

    return create_agent(
        model,
        [pay, look],
        middleware=list(middleware),
        context_schema=Context,
        checkpointer=InMemorySaver(),
    )


def without_state(paid: list[str]) -> Action[str]:
    """Declare the same action without a precondition on a purse."""

    @action(name="agent_pay", touches="the purse")
    async def pay(to: str) -> str:
        paid.append(to)
        return f"paid {to}"

    return pay


async def test_agent_s_call_is_asked_about(paid: list[str]) -> None:
    """Two calls of one message are two questions; the model reads the result and the refusal."""
    model = CallingModel.of(
        calls(("agent_pay", {"to": "ann"}), ("agent_pay", {"to": "bob"}), ("look", {"at": "it"})),
        AIMessage("Done."),
    )
    thread = Thread(graph=agent(without_state(paid), model), context=context(policy=Rules("ask")))
    await thread.start(messages=[("user", "Pay them.")])
    while open_now := (await thread.graph.aget_state(thread.config)).interrupts:
        to = open_now[0].value["action_requests"][0]["args"]["to"]
        decision = APPROVE if to == "bob" else REJECT
        await thread.graph.ainvoke(
            _resumed_map(open_now[0].id, decision), thread.config, context=thread.context
        )

    read = [str(each.content) for each in model.read[-1] if isinstance(each, ToolMessage)]
    assert paid == ["bob"]
    assert read[1:] == ["paid bob", "it looks fine"]
    assert '"refused": "rejected"' in read[0]


def _resumed_map(interrupt_id: str, decision: Any) -> Any:  # LangGraph's command
    return Command(resume={interrupt_id: {"decisions": [decision]}})


class Jumps(AgentMiddleware):
    """Sends the model's call straight to the tools, past what other middleware would ask."""

    @hook_config(can_jump_to=["tools"])
    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Make up a call, once."""
        if any(isinstance(each, ToolMessage) for each in state["messages"]):
            return None
        return {"messages": [calls(("agent_pay", {"to": "eve"}))], "jump_to": "tools"}


async def test_jump_past_the_middleware_does_not_pass_the_action(paid: list[str]) -> None:
    """LangChain's middleware asks after the model; who jumps over it still meets the action's own gate."""
    middleware = HumanInTheLoopMiddleware(interrupt_on={"agent_pay": True})
    graph = agent(without_state(paid), CallingModel.of(AIMessage("Done.")), Jumps(), middleware)
    thread = Thread(graph=graph, context=context(policy=Rules("ask")))
    await thread.start(messages=[("user", "Pay.")])
    before = list(paid)
    (payload,) = await thread.questions()
    await thread.answer(REJECT)

    assert (before, paid) == ([], [])
    assert payload["question"]["kind"] == "approval"
