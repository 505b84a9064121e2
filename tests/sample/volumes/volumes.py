"""A chronicle of many pages in a `DeltaChannel`: some pages are signed by a person, and chapters are bound."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from langgraph.channels import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from interlock.core.acting import act
from interlock.core.actions import action
from interlock.core.bounded import Declaration, bounded
from interlock.core.context import Context


def appended(pages: list[str], added: Sequence[list[str]]) -> list[str]:
    """Append the pages of one or more steps."""
    return pages + [page for each in added for page in each]


class Volumes(TypedDict, total=False):
    """What was written, and what is still to be."""

    until: int
    sign_every: int
    bind_every: int
    book: str
    page: int
    pages: Annotated[list[str], DeltaChannel(appended, list, snapshot_frequency=25)]
    chapters: int


@action(name="volumes_sign", touches="the book")
async def sign_action(page: int, book: str) -> str:
    """Sign a page: a line in the book."""
    with Path(book).open("a") as file:
        file.write(f"{page}\n")
    return f"signed {page}"


async def write(state: Volumes) -> Volumes:
    """Write the next page of 1,000 characters."""
    page = state.get("page", 0) + 1
    return {"page": page, "pages": [text_of(page)]}


async def sign(state: Volumes, runtime: Runtime[Context]) -> Volumes:
    """Have the page signed."""
    said = await act(runtime, sign_action, page=state["page"], book=state["book"])
    return {"pages": [said]}


async def bind(state: Volumes) -> Volumes:
    """Bind a chapter."""
    return {"chapters": state.get("chapters", 0) + 1}


def text_of(page: int) -> str:
    """Return what stands on a page: other text on each, which does not compress."""
    digests = (hashlib.sha256(f"{page} {n}".encode()).hexdigest() for n in range(16))
    return f"{page}: {''.join(digests)}"[:1000]


def after_write(state: Volumes) -> Literal["sign", "bind", "write", "__end__"]:
    """Go on as the page says."""
    page = state["page"]
    if page % state["sign_every"] == 0:
        return "sign"
    return "bind" if page % state["bind_every"] == 0 else after_page(state)


def after_page(state: Volumes) -> Literal["write", "__end__"]:
    """Go on while pages are missing."""
    return "write" if state["page"] < state["until"] else "__end__"


def build() -> StateGraph[Volumes, Context, Volumes, Volumes]:
    """Return the graph."""
    builder = StateGraph(Volumes, context_schema=Context)
    builder.add_node("write", write)
    builder.add_node("sign", sign)
    builder.add_node("bind", bind)
    builder.add_edge(START, "write")
    builder.add_conditional_edges("write", after_write)
    builder.add_conditional_edges("sign", after_page)
    builder.add_conditional_edges("bind", after_page)
    return builder


graph = bounded(build(), Declaration(steps=5_000, milestones=("bind",)), name="volumes")
