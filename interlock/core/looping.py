"""The loop guard in a graph: it watches each task, stops what goes round in circles, and sends for what follows.

Before a task runs, the trail of the steps before it is judged. At a verdict no task of the superstep runs; all of them
send for the node `loop_guard` instead, which takes the graph back, or on. A person is asked in `loop_question`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, assert_never

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.constants import START
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel._write import (
    ChannelWrite,
    ChannelWriteEntry,
)  # not public; versions are pinned and a test holds it
from langgraph.runtime import Runtime
from langgraph.types import Command
from typing_extensions import TypedDict

from interlock.core.actions import action
from interlock.core.backtracking import Way, way_back, with_note
from interlock.core.context import around_of
from interlock.core.gate import Question, ask_person
from interlock.core.ledger import Act, Ledger
from interlock.core.loops import Loops, Verdict, judge
from interlock.core.reading import checkpointer_here
from interlock.core.site import here, state_here
from interlock.core.trails import (
    GUARD,
    OWN_NODES,
    QUESTION,
    TRAIL,
    Trail,
    extend,
)
from interlock.core.watching import Watched
from interlock.errors import LimitReached

ABANDONED = 8
"""How many of the ways that were taken back are remembered."""

Graph = CompiledStateGraph[Any, Any, Any, Any]  # any application's
Back = Callable[..., Awaitable[Command[Any]]]
Builder = StateGraph[Any, Any, Any, Any]
State = TypedDict("State", {"__interlock_trail": Annotated[Trail, extend]})


@action(name="go_on_in_circles", touches="this run alone", reversible=True)
async def GO_ON(graph: str, circle: str, why: str) -> None:  # noqa: N802  # an action, once it is declared
    """Let a graph go on although it goes round in circles."""


@dataclass(slots=True, kw_only=True)
class Guard:
    """The guard of one graph.

    Attributes:
        graph: its name.
        loops: what it declares.
        land: the node that delivers what there is; empty for none.
    """

    graph: str
    loops: Loops
    land: str = ""
    _compiled: Graph | None = field(default=None, repr=False)

    def join(self, builder: Builder) -> None:
        """Add the guard's nodes, and with them its channel, to a graph that is not compiled yet."""
        builder.add_node(GUARD, self.turn, input_schema=State)
        builder.add_node(QUESTION, self.ask, input_schema=State)

    def watch(self, compiled: Graph) -> None:
        """Watch each node of the compiled graph, and keep the trail out of what is shown of its state."""
        self._compiled = compiled
        for name, node in compiled.nodes.items():
            inner = node.node
            ours = name == START or name in OWN_NODES
            if inner is not None and not ours and not node.is_error_handler:
                node.node = Watched(
                    inner, name, self.loops
                )  # what LangGraph has cached on first use
                node.cache_policy = None  # a cached task would not be watched, and go round unseen
        begin, start = ChannelWrite((ChannelWriteEntry(TRAIL, None),)), compiled.nodes[START]
        compiled.nodes[START] = start.copy({"writers": [*start.writers, begin]})
        compiled.stream_channels = [key for key in compiled.stream_channels_list if key != TRAIL]

    def verdict(self, trail: Trail) -> Verdict | None:
        """Return whether the graph goes round in circles."""
        return judge(trail.get("steps", ()), self.loops)

    async def turn(self, state: State, runtime: Runtime[Any]) -> Command[Any]:
        """Send the graph back, on, to a person, or to where it lands; raises `LimitReached`."""
        trail, config = state[TRAIL], get_config()
        found = self.verdict(trail)
        if found is None:  # the declaration was changed while it waited
            return _command(Way(goto=trail["stopped"]), {}, _turned(trail))
        back = partial(self._back, found, trail, config, around_of(runtime).ports.ledger)
        if answer := trail.get("answer"):
            return await self._answered(found, trail, answer, back)
        match self.loops.after(trail.get("turned", 0)):
            case "backtrack":
                return await back()
            case "ask" if checkpointer_here(config) is not None:
                return Command(goto=QUESTION)
            case "land" if self.land:
                return Command(goto=self.land, update={TRAIL: {"becomes": _turned(trail)}})
            case "ask" | "land" | "fail":
                raise self._reached(found)
            case never:
                assert_never(never)

    async def ask(self, state: State, runtime: Runtime[Any]) -> Command[Any]:
        """Ask a person how a graph goes on that goes round in circles."""
        trail = state[TRAIL]
        found = self.verdict(trail)
        if found is None:
            return Command(goto=GUARD)
        decision = await ask_person(runtime, self._question(found, trail))
        answer = {"type": decision["type"], "said": decision["message"], "by": decision["by"]}
        return Command(goto=GUARD, update={TRAIL: {"becomes": {**trail, "answer": answer}}})

    def _question(self, found: Verdict, trail: Trail) -> Question:
        return Question(
            action=GO_ON,
            arguments={"graph": self.graph, "circle": found.path, "why": str(found)},
            summary=f"{self.graph} goes round in circles: {found}. How does it go on?",
            evidence=(*(each["said"] for each in found.circle), *trail.get("tried", ())),
            consequences={
                "approve": "It goes on from here, as if nothing had been found.",
                "respond": "It is taken back to the step before the circle, and told what you say.",
                "reject": f"It goes to {self.land}." if self.land else "The run ends.",
            },
            decisions=("approve", "respond", "reject"),
        )

    async def _answered(
        self, found: Verdict, trail: Trail, answer: Mapping[str, str], back: Back
    ) -> Command[Any]:
        match answer["type"]:
            case "approve":
                return _command(Way(goto=trail["stopped"]), {}, _turned(trail))
            case "respond":
                return await back(hint=answer["said"])
            case _ if self.land:
                return Command(goto=self.land, update={TRAIL: {"becomes": _turned(trail)}})
            case _:
                raise LimitReached(
                    f"{answer['by'] or 'A person'} stopped the graph {self.graph!r}: {found}.",
                    hint="Fork the thread from an earlier step, with other values.",
                )

    async def _back(
        self,
        found: Verdict,
        trail: Trail,
        config: RunnableConfig,
        ledger: Ledger,
        hint: str = "",
    ) -> Command[Any]:
        """Send the graph back; without a checkpoint on, from where it stopped, with its memory cleared."""
        graph, site = self._known(), here(config)
        way = await way_back(graph, config, found.since) or Way(goto=trail["stopped"])
        done = await ledger.done_since(site.thread_id, found.since) if found.since else []
        tried = [*trail.get("tried", ()), _told_again(_note(found, done, hint), trail)]
        turned: Trail = {**_turned(trail), "tried": tried}
        if way.back:
            lost = [found.since, site.checkpoint_id]
            turned["abandoned"] = [*turned.get("abandoned", ()), lost][-ABANDONED:]
        return _command(way, with_note(way, graph, state_here(config), self.loops, tried), turned)

    def _known(self) -> Graph:
        if self._compiled is None:
            raise RuntimeError("a guard turns back a graph that it watches")
        return self._compiled

    def _reached(self, found: Verdict) -> LimitReached:
        return LimitReached(
            f"The graph {self.graph!r} goes round in circles: {found}.",
            hint="Fork the thread from an earlier step, or change what the graph declares in `Loops`.",
        )


def _turned(trail: Trail) -> Trail:
    """Return a trail that begins anew, and remembers how often it did."""
    kept: Trail = {"turned": trail.get("turned", 0) + 1, "tried": trail.get("tried", [])}
    return {**kept, "abandoned": trail.get("abandoned", [])}


def _command(way: Way, values: Mapping[str, Any], trail: Trail) -> Command[Any]:
    return Command(goto=way.goto, update={**values, TRAIL: {"becomes": trail}})


def _told_again(note: str, trail: Trail) -> str:
    """Return a note that differs from those before it."""
    times = sum(each.startswith(note) for each in trail.get("tried", ()))
    return f"{note} This was told {times} times before." if times else note


def _note(found: Verdict, done: Sequence[Act], hint: str) -> str:
    tried = "; ".join(each["said"].rstrip(".") for each in found.circle)
    note = f"Tried before, and given up: {found} ({tried}). Go another way."
    if done:
        acts = (f"{each.action}({json.dumps(each.arguments, ensure_ascii=False)})" for each in done)
        note += f" It was done, and is not to be done again: {'; '.join(acts)}."
    return f"{note} A person says: {hint}" if hint else note
