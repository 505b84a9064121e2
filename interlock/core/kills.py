"""The kill switch: thrown for a run, a thread, a graph, a tenant or all, it stops what runs and refuses what is new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, assert_never, get_args, runtime_checkable

from langchain_core.callbacks import BaseCallbackHandler

from interlock.core.queueing import StopOrder
from interlock.core.refusing import refusing
from interlock.errors import Killed, NotFound, UsageError

KillScope = Literal["run", "thread", "graph", "tenant", "all"]

KillEventKind = Literal["thrown", "lifted", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a switch may hit: one run, by all the names that it goes under.

    Attributes:
        runs: its id, and those of the runs that it goes on with because a question of theirs was answered.
    """

    runs: tuple[str, ...] = ()
    thread_id: str = ""
    graph: str = ""
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A switch that was thrown.

    Attributes:
        name: of the run, thread, graph or tenant; empty for `all`.
        at: when it was thrown.
        lifted_at: when it was lifted; None while it stands.
    """

    id: int
    scope: KillScope
    name: str
    reason: str
    by: str
    at: datetime
    lifted_at: datetime | None = None
    lifted_by: str = ""

    @property
    def whose(self) -> str:
        """What it is thrown for, in words."""
        return "everything" if self.scope == "all" else f"{self.scope} {self.name}"

    @property
    def story(self) -> str:
        """Who threw it, when and why, in one sentence."""
        who = self.by or "somebody"
        return f"{who} killed {self.whose} at {self.at:%Y-%m-%d %H:%M:%S %Z}: {self.reason}"

    def hits(self, subject: Subject) -> bool:
        """Say whether it is thrown for a run."""
        match self.scope:
            case "all":
                return True
            case "run":
                return self.name in subject.runs
            case "thread":
                return self.name == subject.thread_id
            case "graph":
                return self.name == subject.graph
            case "tenant":
                return self.name == subject.tenant
            case _:
                assert_never(self.scope)

    def error(self, what: str) -> Killed:
        """Return the error for what was stopped, or is refused."""
        return Killed(
            f"{what}: {self.story.rstrip('.')}.",
            hint=f"`interlock kill lift {self.id}` permits it again.",
            kill=self.id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KillEvent:
    """Something that happened with a switch; nobody changes it afterwards.

    Attributes:
        who: who threw or lifted it, or the process that stopped a run.
        run_id: the run that it stopped; empty for the others.
    """

    kill: int
    kind: KillEventKind
    who: str
    why: str
    at: datetime
    run_id: str = ""
    thread_id: str = ""


@runtime_checkable
class Kills(Protocol):
    """The port: in memory here, in Postgres in `interlock.postgres.kills`."""

    def over(self, subject: Subject) -> Kill | None:
        """Return a switch that stands over a run, in no time; raises `DatabaseUnavailable` when nobody can tell."""
        ...

    def watching(
        self,
        subject: Subject,
        stop: Callable[[Kill], None],
        ordered: Callable[[StopOrder], None] | None = None,
    ) -> AbstractContextManager[None]:
        """Call a function once when a switch over a run is thrown, or stands; on any thread, and it must not wait.

        The other one is called once when this very run is to be stopped: where others can order that.
        """
        ...

    async def throw(self, scope: KillScope, name: str = "", *, reason: str, by: str = "") -> Kill:
        """Throw a switch; raises `UsageError` without a reason or a name, and `NotFound`."""
        ...

    async def lift(self, kill_id: int, *, reason: str = "", by: str = "") -> Kill:
        """Lift a switch; raises `NotFound` unless it stands."""
        ...

    async def standing(self) -> list[Kill]:
        """Return the switches that stand, oldest first."""
        ...

    async def events(self, kill_id: int) -> list[KillEvent]:
        """Return what happened with a switch, oldest first."""
        ...


@dataclass(slots=True, eq=False)
class Watched:
    """A run that is to be stopped when a switch over it is thrown, or somebody orders it."""

    subject: Subject
    stop: Callable[[Kill], None]
    ordered: Callable[[StopOrder], None] | None = None
    told: bool = False

    @property
    def run_id(self) -> str:
        """The run itself, without those that it goes on with."""
        return self.subject.runs[-1] if self.subject.runs else ""

    def order(self, orders: Mapping[str, StopOrder]) -> None:
        """Stop it if it is to be stopped, the first time."""
        if self.ordered is not None and (found := orders.get(self.run_id)) is not None:
            tell, self.ordered = self.ordered, None
            tell(found)

    def tell(self, standing: list[Kill]) -> Kill | None:
        """Stop it if a switch stands over it, the first time; return that switch."""
        found = None if self.told else first_over(standing, self.subject)
        if found is not None:
            self.told = True
            self.stop(found)
        return found


class KillGuard(BaseCallbackHandler):
    """Refuse a run's model calls and tools while a switch stands over it, and stop streams between two pieces.

    Its methods are synchronous: LangChain drops what asynchronous ones raise in synchronous calls.
    """

    raise_error = True
    run_inline = True
    ignore_chain = True  # LangChain would tell it of every node

    def __init__(self, kills: Kills, subject: Subject) -> None:
        self._kills = kills
        self._subject = subject

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: Any, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Refuse a call of a chat model."""
        with refusing():
            refuse(self._kills, self._subject, "A model call was refused")

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any
    ) -> None:  # LangChain's signature
        """Refuse a call of a text model."""
        with refusing():
            refuse(self._kills, self._subject, "A model call was refused")

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:  # LangChain's signature
        """Stop a stream, also one of synchronous code, which no cancellation reaches."""
        refuse(self._kills, self._subject, "A model call was stopped")

    def on_tool_start(
        self, serialized: dict[str, Any], input_str: str, **kwargs: Any
    ) -> None:  # LangChain's signature
        """Refuse a tool."""
        refuse(self._kills, self._subject, "A tool was refused")


def refuse(kills: Kills, subject: Subject, what: str) -> None:
    """Raise `Killed` while a switch stands over a run; raises `DatabaseUnavailable` when nobody can tell."""
    if (kill := kills.over(subject)) is not None:
        raise kill.error(what)


def first_over(standing: list[Kill], subject: Subject) -> Kill | None:
    """Return the first of some switches that hits a run."""
    return next((kill for kill in standing if kill.hits(subject)), None)


def check_order(scope: str, name: str, reason: str) -> None:
    """Raise `UsageError` for a switch that says not what it is for, or why."""
    if scope not in get_args(KillScope):
        raise UsageError(
            f"A switch cannot be thrown for {scope!r}.",
            hint=f"It is one of {', '.join(get_args(KillScope))}.",
        )
    if bool(name) == (scope == "all"):
        needs = "no name" if scope == "all" else "the name of one"
        raise UsageError(f"A switch for {scope!r} takes {needs}.")
    if not reason.strip():
        raise UsageError(
            "Why is it killed?", hint="Whoever finds it stopped must know: give a reason."
        )


def not_standing(kill_id: int) -> NotFound:
    """Return the error for a switch that cannot be lifted."""
    return NotFound(
        f"No switch {kill_id} stands.", hint="`interlock kill list` shows those that do."
    )
