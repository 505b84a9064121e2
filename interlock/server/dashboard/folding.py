"""Which subgraphs of a drawn graph are folded: it stands in the page's address, and is carried by its links. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query

from interlock.drawing.shape import Shape, folded, holders

Path = tuple[str, ...]
"""A node, behind those whose subgraphs it is in."""

Folded = Annotated[list[Annotated[str, Query(max_length=500)]], Query(max_length=200)]
"""What an address says: nodes in their subgraphs, joined by colons, which no name has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """A graph and what of it is folded.

    Attributes:
        here: what else the page's address says.
    """

    shape: Shape
    paths: frozenset[Path]
    here: Mapping[str, str]

    @property
    def drawn(self) -> Shape:
        """The graph as it is drawn."""
        return folded(self.shape, self.paths)

    @property
    def kept(self) -> str:
        """What is added to addresses of the same page: nothing, or what begins with `&`."""
        said = urlencode([("fold", ":".join(path)) for path in sorted(self.paths)])
        return f"&{said}" if said else ""

    @property
    def changed(self) -> dict[Path, str]:
        """Where the page is with one more folded, or one less, by what is drawn."""
        return {path: self._address(self.paths ^ {path}) for path in holders(self.shape)}

    @property
    def all_changed(self) -> str:
        """Where it is with all folded, or none where any is; empty for a graph that has fewer than two."""
        tops = frozenset(path for path in holders(self.shape) if len(path) == 1)
        several = len(list(holders(self.shape))) > 1
        return self._address(frozenset() if self.paths else tops) if several else ""

    def _address(self, paths: frozenset[Path]) -> str:
        said = [*self.here.items(), *(("fold", ":".join(path)) for path in sorted(paths))]
        return f"?{urlencode(said)}"


def folds_of(shape: Shape, said: Sequence[str], here: Mapping[str, str]) -> Folds:
    """Return what is folded of a graph; what an address says of other graphs is left out."""
    known = set(holders(shape))
    named = frozenset(path for each in said if (path := tuple(each.split(":"))) in known)
    return Folds(shape=shape, paths=named, here=here)
