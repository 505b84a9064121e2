"""What is drawn: nodes, edges, graphs inside nodes, and marks from a thread."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Graph

Kind = Literal["start", "end", "node"]
START, END = "__start__", "__end__"
KINDS: Mapping[str, Kind] = {START: "start", END: "end"}
LABELS = {START: "START", END: "END"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node, with the graph that it holds, if it holds one; `folded`: it holds one that is not drawn."""

    id: str
    label: str
    kind: Kind = "node"
    inner: Shape | None = None
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A way from one node to another; a conditional one is taken or not."""

    source: str
    target: str
    conditional: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A graph as it is drawn; the ends of every edge are nodes of it."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a thread adds to the drawing: how often each node ran, and where the thread is now."""

    counts: Mapping[str, int] = field(default_factory=dict)
    current: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A graph as it is drawn: as LangGraph's JSON, as Mermaid, and as a shape."""

    document: Mapping[str, Any]  # JSON
    mermaid: str
    shape: Shape


def drawing_of(graph: Graph) -> Drawing:
    """Return LangGraph's drawable graph in all forms."""
    return Drawing(document=graph.to_json(), mermaid=graph.draw_mermaid(), shape=shape_of(graph))


def shape_of(graph: Graph) -> Shape:
    """Return the shape of LangGraph's drawable graph; nodes named `outer:inner` become a graph inside `outer`."""
    edges = [
        Edge(
            source=each.source,
            target=each.target,
            conditional=each.conditional,
            label="" if each.data is None else str(each.data),
        )
        for each in graph.edges
    ]
    return _shape(list(graph.nodes), edges, "")


def folded(shape: Shape, paths: Collection[Sequence[str]]) -> Shape:
    """Return a shape without the graphs inside some nodes, each named by all nodes that lead there."""
    nodes = []
    for node in shape.nodes:
        if node.inner is not None and any(tuple(path) == (node.id,) for path in paths):
            node = replace(node, inner=None, folded=True)  # noqa: PLW2901  # a copy of it
        elif node.inner is not None:
            inside = [path[1:] for path in paths if path[:1] and path[0] == node.id]
            node = replace(node, inner=folded(node.inner, inside))  # noqa: PLW2901  # as above
        nodes.append(node)
    return replace(shape, nodes=tuple(nodes))


def holders(shape: Shape) -> Iterator[tuple[str, ...]]:
    """Yield the nodes that hold a graph, each behind those that it is in."""
    for node in shape.nodes:
        if node.inner is not None:
            yield (node.id,)
            yield from ((node.id, *path) for path in holders(node.inner))


def loops_back(shape: Shape) -> frozenset[Edge]:
    """Return the edges that close a cycle, found by walking from the start in the order of the edges."""
    following: dict[str, list[Edge]] = {each.id: [] for each in shape.nodes}
    for edge in shape.edges:
        following[edge.source].append(edge)
    back: set[Edge] = set()
    done: set[str] = set()
    for node in shape.nodes:
        _walk(node.id, following, done, back)
    return frozenset(back)


def _walk(first: str, following: Mapping[str, list[Edge]], done: set[str], back: set[Edge]) -> None:
    """Note the edges that lead to a node on the way that led here; no recursion, graphs may be long."""
    if first in done:
        return
    way = {first}
    stack: list[tuple[str, Iterator[Edge]]] = [(first, iter(following[first]))]
    while stack:
        node, edges = stack[-1]
        edge = next(edges, None)
        if edge is None:
            stack.pop()
            way.discard(node)
            done.add(node)
        elif edge.target in way:
            back.add(edge)
        elif edge.target not in done:
            way.add(edge.target)
            stack.append((edge.target, iter(following[edge.target])))


def _shape(names: Collection[str], edges: Collection[Edge], prefix: str) -> Shape:
    top = list(dict.fromkeys(_top(name) for name in names))
    nodes = tuple(_node(name, names, edges, prefix) for name in top)
    outer = [
        replace(edge, source=_top(edge.source), target=_top(edge.target))
        for edge in edges
        if _top(edge.source) != _top(edge.target) or ":" not in edge.source + edge.target
    ]
    return Shape(nodes=nodes, edges=tuple(_merged(outer)))


def _node(name: str, names: Collection[str], edges: Collection[Edge], prefix: str) -> Node:
    head = f"{name}:"
    inside = [
        each.removeprefix(head)
        for each in names
        if each.startswith(head) and each.removeprefix(head) not in KINDS
    ]
    within = [
        replace(edge, source=edge.source.removeprefix(head), target=edge.target.removeprefix(head))
        for edge in edges
        if edge.source.startswith(head)
        and edge.target.startswith(head)
        and not {edge.source.removeprefix(head), edge.target.removeprefix(head)} & KINDS.keys()
    ]
    inner = _shape(inside, within, prefix + head) if inside else None
    kind = KINDS.get(name, "node")
    return Node(id=name, label=LABELS.get(name, name), kind=kind, inner=inner)


def _merged(edges: Iterable[Edge]) -> list[Edge]:
    """Join edges that have the same ends; such a way is conditional when each of them is."""
    found: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        ends = (edge.source, edge.target)
        before = found.get(ends, edge)
        labels = dict.fromkeys(each for each in (before.label, edge.label) if each)
        found[ends] = replace(
            before,
            conditional=before.conditional and edge.conditional,
            label=", ".join(labels),
        )
    return list(found.values())


def _top(name: str) -> str:
    return name.partition(":")[0]
