"""Members side by side, each a subgraph that asks a person; and a node that calls a subgraph which nobody sees."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from interlock.core.sync import sync_too


class MemberInput(TypedDict, total=False):
    """What a member is given."""

    who: str
    log: str


class MemberOutput(TypedDict, total=False):
    """What a member hands back."""

    votes: Annotated[list[str], operator.add]


class MemberState(MemberInput, MemberOutput, total=False):
    """What a member knows."""

    said: str


class BoardState(TypedDict, total=False):
    """Who votes, and how."""

    members: list[str]
    log: str
    votes: Annotated[list[str], operator.add]


def note(log: str, line: str) -> None:
    """Append a line to the outside log."""
    with Path(log).open("a") as file:
        file.write(line + "\n")


async def read(state: MemberState) -> MemberState:
    """Read what it is about."""
    note(state["log"], f"read {state['who']}")
    return {}


async def ask(state: MemberState) -> MemberState:
    """Ask the member; c is asked twice."""
    said = str(interrupt(f"{state['who']}?"))
    if state["who"] == "c":
        said = str(interrupt(f"{said}, sure?"))
    return {"said": said}


async def sign(state: MemberState) -> MemberState:
    """Write down what was said."""
    note(state["log"], f"sign {state['who']}")
    return {"votes": [f"{state['who']} {state['said']}"]}


async def count(state: BoardState) -> BoardState:
    """Have the votes counted by a graph that LangGraph does not see, once for each vote."""
    note(state["log"], "count")
    for number, vote in enumerate(state["votes"]):
        await HIDDEN["clerk"].ainvoke({"log": state["log"], "who": f"{number} {vote}"})
    return {}


async def begin(state: MemberInput) -> MemberInput:
    """Begin to count a vote."""
    note(state["log"], f"begin {state['who']}")
    return {}


async def end(state: MemberInput) -> MemberInput:
    """Have counted a vote."""
    note(state["log"], f"end {state['who']}")
    return {}


def members(state: BoardState) -> list[Send]:
    """Ask each member."""
    return [Send("member", {"who": who, "log": state["log"]}) for who in state["members"]]


def build_member() -> StateGraph[MemberState, None, MemberInput, MemberOutput]:
    """Return a member."""
    builder = StateGraph(MemberState, input_schema=MemberInput, output_schema=MemberOutput)
    builder.add_node("read", read)
    builder.add_node("ask", ask)
    builder.add_node("sign", sign)
    builder.add_edge(START, "read")
    builder.add_edge("read", "ask")
    builder.add_edge("ask", "sign")
    return builder


def build_clerk() -> StateGraph[MemberInput, None, MemberInput, MemberInput]:
    """Return the graph that is called where it is not seen."""
    builder = StateGraph(MemberInput)
    builder.add_node("begin", begin)
    builder.add_node("end", end)
    builder.add_edge(START, "begin")
    builder.add_edge("begin", "end")
    return builder


def build() -> StateGraph[BoardState, None, BoardState, BoardState]:
    """Return the board."""
    builder = StateGraph(BoardState)
    builder.add_node("member", sync_too(build_member()).compile())
    builder.add_node("count", count)
    builder.add_conditional_edges(START, members, ["member"])
    builder.add_edge("member", "count")
    return builder


HIDDEN: dict[str, Any] = {"clerk": sync_too(build_clerk()).compile()}
graph = sync_too(build()).compile(name="board")
