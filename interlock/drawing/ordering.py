"""Layers of nodes, their order within each, and where they stand. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from interlock.drawing.shape import Edge, Shape

SWEEPS = 12
STRAIGHTNESS = 4.0
"""How much more an edge that passes a layer wants to be straight than a node wants to be in the middle."""
PASSING = 10.0
"""The width of an edge that passes a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Nodes on layers, with a stand-in on each layer that an edge passes.

    Attributes:
        rows: the keys on each layer, in order.
        of: key -> number of its layer.
        chains: edge -> the stand-ins that it passes, from its source to its target.
    """

    rows: tuple[tuple[str, ...], ...]
    of: Mapping[str, int]
    chains: Mapping[Edge, tuple[str, ...]]

    def links(self) -> list[tuple[str, str]]:
        """Return the pairs of neighbours on layers that follow each other."""
        pairs = []
        for edge, chain in self.chains.items():
            keys = (edge.source, *chain, edge.target)
            pairs += list(itertools.pairwise(keys))
        return pairs


def layers_of(shape: Shape, back: frozenset[Edge]) -> Layers:
    """Put each node below all that lead to it, in an order with few crossings."""
    forward = [edge for edge in shape.edges if edge not in back]
    number = _longest_paths([each.id for each in shape.nodes], forward)
    chains: dict[Edge, tuple[str, ...]] = {}
    for edge in forward:
        passed = range(number[edge.source] + 1, number[edge.target])
        chains[edge] = tuple(f"{edge.source}→{edge.target}@{layer}" for layer in passed)
        number |= dict(zip(chains[edge], passed, strict=True))
    depth = max(number.values(), default=-1) + 1
    rows = tuple(tuple(key for key in number if number[key] == layer) for layer in range(depth))
    return _with_few_crossings(Layers(rows=rows, of=number, chains=chains))


def placed(layers: Layers, widths: Mapping[str, float], gap: float) -> dict[str, float]:
    """Return the centre of each key: near its neighbours, none nearer to the next than `gap`."""
    above, below = _neighbours(layers)
    centres: dict[str, float] = {}
    for row in layers.rows:
        centres |= _apart(row, dict.fromkeys(row, 0.0), widths, gap)
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in layers.rows if down else layers.rows[::-1]:
            wishes = {
                key: _mean([centres[each] for each in near[key]], centres[key]) for key in row
            }
            centres |= _apart(row, wishes, widths, gap)
    return _straightened(_centred(centres, layers, widths, gap), layers, widths, gap)


def _centred(
    centres: dict[str, float], layers: Layers, widths: Mapping[str, float], gap: float
) -> dict[str, float]:
    """Move each key between its neighbours on both sides."""
    above, below = _neighbours(layers)
    for row in layers.rows:
        wishes = {
            key: _mean([centres[each] for each in (*above[key], *below[key])], centres[key])
            for key in row
        }
        centres |= _apart(row, wishes, widths, gap)
    return centres


def _straightened(
    centres: dict[str, float], layers: Layers, widths: Mapping[str, float], gap: float
) -> dict[str, float]:
    """Put what follows each other one by one on one vertical line, as far as there is room."""
    strands = _strands(layers)
    for _ in range(SWEEPS):
        wishes = dict(centres)
        for strand in strands:
            middle = _mean([centres[key] for key in strand], 0.0)
            wishes |= dict.fromkeys(strand, middle)
        for row in layers.rows:
            centres |= _apart(row, wishes, widths, gap)
    return centres


def _strands(layers: Layers) -> list[list[str]]:
    """Return the longest runs of keys where each has one way on, to a key with one way in."""
    above, below = _neighbours(layers)
    strands: dict[str, list[str]] = {}
    for key in (key for row in layers.rows for key in row):
        before = above[key][0] if len(above[key]) == 1 else ""
        alone = before and len(below[before]) == 1
        strands[key] = strands[before] if alone else []
        strands[key].append(key)
    return list({id(each): each for each in strands.values()}.values())


def _longest_paths(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    layer = dict.fromkeys(nodes, 0)
    for _ in nodes:
        changed = False
        for edge in edges:
            if layer[edge.target] <= layer[edge.source]:
                layer[edge.target] = layer[edge.source] + 1
                changed = True
        if not changed:
            break
    return layer


def _with_few_crossings(layers: Layers) -> Layers:
    above, below = _neighbours(layers)
    rows = list(layers.rows)
    best, fewest = list(rows), _crossings(rows, layers)
    for sweep in range(SWEEPS):
        near = above if sweep % 2 == 0 else below
        order = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for number in order:
            rows[number] = _by_barycentre(rows[number], rows, near)
        if (found := _crossings(rows, layers)) < fewest:
            best, fewest = list(rows), found
    return Layers(rows=tuple(best), of=layers.of, chains=layers.chains)


def _by_barycentre(
    row: tuple[str, ...], rows: Sequence[tuple[str, ...]], near: Mapping[str, list[str]]
) -> tuple[str, ...]:
    place = {key: number for each in rows for number, key in enumerate(each)}
    return tuple(
        sorted(row, key=lambda key: _mean([place[each] for each in near[key]], place[key]))
    )


def _crossings(rows: Sequence[tuple[str, ...]], layers: Layers) -> int:
    place = {key: number for row in rows for number, key in enumerate(row)}
    links = [(layers.of[a], place[a], place[b]) for a, b in layers.links()]
    return sum(
        layer == other and (a - c) * (b - d) < 0
        for number, (layer, a, b) in enumerate(links)
        for other, c, d in links[:number]
    )


def _neighbours(layers: Layers) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {key: [] for key in layers.of}
    below: dict[str, list[str]] = {key: [] for key in layers.of}
    for upper, lower in layers.links():
        above[lower].append(upper)
        below[upper].append(lower)
    return above, below


def _apart(
    row: Sequence[str], wishes: Mapping[str, float], widths: Mapping[str, float], gap: float
) -> dict[str, float]:
    """Return the centres nearest to the wishes that keep order and distance (isotonic regression)."""
    offsets = _offsets(row, widths, gap)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for key, offset in zip(row, offsets, strict=True):
        weight = 1.0 if key in widths else STRAIGHTNESS
        blocks.append((wishes[key] - offset, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    means = [mean for mean, _, many in blocks for _ in range(many)]
    return {key: mean + offset for key, mean, offset in zip(row, means, offsets, strict=True)}


def _offsets(row: Sequence[str], widths: Mapping[str, float], gap: float) -> list[float]:
    offsets = [0.0] * min(len(row), 1)
    for left, right in itertools.pairwise(row):
        room = (widths.get(left, PASSING) + widths.get(right, PASSING)) / 2 + gap
        offsets.append(offsets[-1] + room)
    return offsets


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
