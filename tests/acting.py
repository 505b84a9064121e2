"""What tests of acts share: a policy that can change, threads in plain LangGraph, and declarations that go away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Interrupt, RetryPolicy
from pydantic import PrivateAttr
from typing_extensions import TypedDict

from interlock.core import actions
from interlock.core.allowance import KEY, Allowance
from interlock.core.approvals import Approvals, InProcess
from interlock.core.budget import Budgets, Limits, Scope
from interlock.core.budget_memory import MemoryBudgets
from interlock.core.context import Context, Ports
from interlock.core.ledger import Ledger
from interlock.core.policy import Policy, PolicySource, Rule, When
from interlock.core.verdict import Ruling
from interlock.testing import RecordingLedger

APPROVE = {"type": "approve"}
REJECT = {"type": "reject", "message": "Not today."}


@contextmanager
def own_actions() -> Iterator[None]:
    """Forget afterwards which actions were declared."""
    before = dict(actions._ACTIONS)
    yield
    actions._ACTIONS.clear()
    actions._ACTIONS.update(before)


class Rules:
    """A policy with one ruling for everything, which a test may change; and others for some actions."""

    def __init__(self, ruling: Ruling = "allow", **others: Ruling) -> None:
        self.ruling = ruling
        self.others = others

    def current(self) -> Policy:
        """Return the policy as it is now."""
        rules = [
            Rule(name=f"about {name}", when=When(action=(name,)), then=ruling)
            for name, ruling in self.others.items()
        ]
        otherwise = Rule(name="otherwise", when=When(), then=self.ruling, because="So it is.")
        return Policy(name="test", rules=rules, otherwise=otherwise)


def context(
    ledger: Ledger | None = None,
    policy: PolicySource | None = None,
    *,
    approvals: Approvals | None = None,
    budgets: Budgets | None = None,
) -> Context:
    """Return a context in memory."""
    ports = Ports(
        ledger=ledger or RecordingLedger(),
        policy=policy or Rules(),
        approvals=approvals or InProcess(),
        budgets=budgets or MemoryBudgets(),
    )
    return Context(ports=ports)


class Purse(TypedDict, total=False):
    """The state of a graph that pays."""

    balance: int
    said: Any


def one_node(
    step: Callable[..., Awaitable[Any]], *, name: str = "pay", retry: RetryPolicy | None = None
) -> Any:  # a compiled graph
    """Return a graph of one node."""
    builder = StateGraph(Purse, Context)
    builder.add_node(name, step, retry_policy=retry)
    builder.add_edge(START, name)
    return builder.compile(checkpointer=InMemorySaver())


@dataclass(slots=True, kw_only=True)
class Thread:
    """A thread of a graph, in plain LangGraph."""

    graph: Any  # a compiled graph
    context: Context = field(default_factory=context)
    name: str = "t"
    limits: Limits = field(default_factory=Limits)

    @property
    def config(self) -> RunnableConfig:
        """LangGraph's configuration, with a budget for the thread as the runtime gives one."""
        thread = Scope(kind="thread", name=self.name, ceiling=self.limits)
        allowance = Allowance(budgets=self.context.ports.budgets, scopes=(thread,))
        return {"configurable": {"thread_id": self.name, KEY: allowance}}

    async def start(self, **state: Any) -> dict[str, Any]:
        """Run it from the beginning."""
        given = state or {"balance": 10}
        found: dict[str, Any] = await self.graph.ainvoke(given, self.config, context=self.context)
        return found

    async def again(self) -> dict[str, Any]:
        """Run on without an answer: what failed runs again."""
        found: dict[str, Any] = await self.graph.ainvoke(None, self.config, context=self.context)
        return found

    async def answer(self, *decisions: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Answer the question that is open."""
        resume: Command[Any] = Command(resume={"decisions": list(decisions), **more})
        found: dict[str, Any] = await self.graph.ainvoke(resume, self.config, context=self.context)
        return found

    async def questions(self) -> list[Any]:
        """Return the payloads that are open."""
        state = await self.graph.aget_state(self.config)
        found: Sequence[Interrupt] = state.interrupts
        return [each.value for each in found]

    async def asked(self) -> dict[str, Any]:
        """Return the arguments of the only question that is open."""
        (payload,) = await self.questions()
        arguments: dict[str, Any] = payload["action_requests"][0]["args"]
        return arguments


def edit(name: str, **arguments: Any) -> dict[str, Any]:
    """Return an edit of an action's arguments."""
    return {"type": "edit", "edited_action": {"name": name, "args": arguments}}


class CallingModel(BaseChatModel):
    """A chat model that says what it was told to say, in this order."""

    _says: list[AIMessage] = PrivateAttr(default_factory=list)
    _read: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    @classmethod
    def of(cls, *says: AIMessage) -> CallingModel:
        """Return a model with these messages."""
        model = cls()
        model._says = list(says)
        return model

    @property
    def read(self) -> list[list[BaseMessage]]:
        """What it was sent, call by call."""
        return self._read

    @property
    def _llm_type(self) -> str:
        return "calling"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:  # LangChain's signature
        """Return itself: it knows what it will call."""
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self._read.append(messages)
        return ChatResult(generations=[ChatGeneration(message=self._says.pop(0))])


def calls(*named: tuple[str, dict[str, Any]]) -> AIMessage:
    """Return a model's message that calls tools."""
    made = [
        {"name": name, "args": arguments, "id": f"call_{name}_{number}"}
        for number, (name, arguments) in enumerate(named)
    ]
    return AIMessage(content="", tool_calls=made)
