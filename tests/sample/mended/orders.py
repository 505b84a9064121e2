"""An order that is reserved, priced and paid; its price fails where the state is bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from interlock.core import prompts
from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context, context_of
from interlock.core.structured import Request, ask

prompts.register("mended", Path(__file__).parent / "prompts")


SHOP = "postgresql://me:hunter2hunter2@host/db"


class Order(TypedDict, total=False):
    """What is ordered, and what came of it."""

    log: str
    pieces: int
    note: str
    price: int
    paid: str


@action(name="mended_reserve", touches="the log", reversible=True)
async def reserve(path: str, item: str) -> str:
    """Reserve something: a line in the log."""
    return _noted(path, f"reserve {item}")


@action(name="mended_pay", touches="the log", reversible=True)
async def pay(path: str, price: int) -> str:
    """Pay: a line in the log."""
    return _noted(path, f"pay {price}")


async def begin(state: Order, runtime: Runtime[Any]) -> Order:
    """Reserve it; the number of pieces becomes a text where the note wants that."""
    await act(runtime, reserve, path=state["log"], item="stock")
    text: Any = str(state["pieces"])  # no number, which is the fault
    return {"pieces": text} if state.get("note") == "text" else {}


async def price(state: Order, runtime: Runtime[Any]) -> Order:
    """Reserve a carrier too, and then find the price."""
    await act(runtime, reserve, path=state["log"], item="carrier")
    pieces = state["pieces"]
    if not isinstance(pieces, int):
        raise TypeError(f"{state.get('note', '')} cannot multiply {pieces!r}")
    if pieces <= 0:
        raise ValueError(f"there is no price for {pieces} pieces at {SHOP}")
    return {"price": pieces * 3}


async def settle(state: Order, runtime: Runtime[Any]) -> Order:
    """Pay."""
    return {"paid": await act(runtime, pay, path=state["log"], price=state["price"])}


class Pieces(BaseModel):
    """How many there are."""

    pieces: int = Field(ge=1)


class CountRequest(Request):
    """Asks how many there are."""

    prompt: ClassVar[str] = "mended/count"
    role: ClassVar[str] = "counter"

    note: str


async def count(state: Order, runtime: Runtime[Context]) -> Order:
    """Ask a model how many there are, with a prompt of which a later release is bad."""
    await act(runtime, reserve, path=state["log"], item="stock")
    pinned = prompts.load("mended/count", context_of(runtime).prompts["mended/count"])
    if "spoilt" in pinned.system:
        raise ValueError("the prompt mended/count is spoilt")
    found = await ask(runtime, CountRequest(note=state.get("note", "")), Pieces)
    return {"pieces": found.pieces}


def _noted(path: str, line: str) -> str:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


def build() -> StateGraph[Order, Context]:
    """Return the three in a row."""
    builder = StateGraph(Order, context_schema=Context)
    for node in (begin, price, settle):
        builder.add_node(node)
    builder.add_edge(START, "begin").add_edge("begin", "price").add_edge("price", "settle")
    return builder


def asks() -> StateGraph[Order, Context]:
    """Return one that asks a model first."""
    builder = StateGraph(Order, context_schema=Context)
    builder.add_node(count)
    builder.add_node(settle_count)
    return builder.add_edge(START, "count").add_edge("count", "settle_count")


async def settle_count(state: Order) -> Order:
    """Say the price."""
    return {"price": state["pieces"] * 3}


def outer() -> StateGraph[Order, Context]:
    """Return a graph around it."""
    builder = StateGraph(Order, context_schema=Context)
    builder.add_node("all", build().compile())
    return builder.add_edge(START, "all")


graph = bounded(build(), Declaration(steps=10), name="orders")
asking = bounded(asks(), Declaration(steps=10), name="asking")
inside = bounded(outer(), Declaration(steps=10), name="inside")
