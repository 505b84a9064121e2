"""Which checkpoints of a thread are kept, and into which ones the others are folded. Pure.

A checkpoint that is folded goes away with what its tasks wrote. The next kept one on its line takes its place: its
parent becomes the kept one before it, so the steps between two kept ones look like one. What is kept must still open,
fork and replay, so with a checkpoint these are kept, too: the steps around it, where it lies inside a subgraph; the end
of the run before it, where it is an input; and what a subgraph with a memory had in mind at that step.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Key = tuple[str, str]
"""Namespace and id of a checkpoint."""

_SENDS_IN_PARENT = 4
"""Before this version of the format a checkpoint's parent held what was sent to its tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What is kept of each graph on a thread beside what is pinned.

    Attributes:
        last: so many of the newest checkpoints, at least one.
        since: those that are not older than this; None for no age.
    """

    last: int
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where a checkpoint stands.

    Attributes:
        parent_id: the one before it in the same namespace; empty for the first.
        parents: for each graph around it, by namespace: the checkpoint that its task started from.
        source: LangGraph's word for how it came about.
        version: of LangGraph's format.
        schema: the version of the state's schema that its values are stored in.
        at: when it was made.
    """

    namespace: str
    checkpoint_id: str
    parent_id: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)
    source: str = "loop"
    version: int = _SENDS_IN_PARENT
    schema: int = 1
    at: datetime | None = None

    @property
    def key(self) -> Key:
        """Namespace and id."""
        return self.namespace, self.checkpoint_id

    @property
    def around(self) -> list[Key]:
        """The steps that it lies in, from the outside inwards."""
        return sorted(self.parents.items(), key=lambda each: len(each[0]))

    @property
    def remembers(self) -> bool:
        """Whether it is of a subgraph with a memory, which stands in a namespace without a task."""
        names = [part for part in self.namespace.split("|") if part and not part.isdigit()]
        return bool(names) and ":" not in names[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seam:
    """A kept checkpoint into which others are folded, or whose surroundings are.

    Attributes:
        parent_id: the one before it from now on; empty for none.
        parents: the steps that it lies in from now on.
        takes: ids of those that are folded into it, the oldest first.
    """

    key: Key
    parent_id: str
    parents: Mapping[str, str]
    takes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of a thread's checkpoints.

    Attributes:
        kept: why each one is kept.
        folded: the others, the newest first.
        seams: the oldest first.
    """

    kept: Mapping[Key, str]
    folded: Sequence[Key]
    seams: Sequence[Seam]

    @property
    def reasons(self) -> dict[str, int]:
        """For how many checkpoints each reason holds."""
        return dict(Counter(self.kept.values()))


def plan(
    stands: Iterable[Stand],
    pins: Mapping[Key, str],
    keep: Keep,
    *,
    whole: Callable[[Stand], bool] = lambda stand: False,
) -> Plan:
    """Decide what becomes of a thread's checkpoints.

    Args:
        stands: all of them.
        pins: those that must be kept, with the reason.
        keep: what else is kept.
        whole: says of a checkpoint that it cannot be folded unless what it lies in is.
    """
    return _Planning(stands, keep, whole).plan(pins)


class _Planning:
    def __init__(self, stands: Iterable[Stand], keep: Keep, whole: Callable[[Stand], bool]) -> None:
        self._stands = {each.key: each for each in sorted(stands, key=lambda each: each.key)}
        self._keep = keep
        self._whole = whole
        self._kept: dict[Key, str] = {}

    def plan(self, pins: Mapping[Key, str]) -> Plan:
        for key, reason in pins.items():
            self._take(key, reason)
        lines: dict[str, list[Stand]] = defaultdict(list)
        for stand in self._stands.values():
            lines[stand.namespace].append(stand)
        for namespace in sorted(lines, key=lambda each: (each != "", each.count("|"), each)):
            self._take_line(lines[namespace])
        folded = [key for key in self._stands if key not in self._kept]
        return Plan(
            kept=self._kept,
            folded=sorted(folded, key=lambda each: each[1], reverse=True),
            seams=self._seams(),
        )

    def _take(self, key: Key, reason: str, *, with_around: bool = True) -> None:
        """Keep a checkpoint with all that it needs."""
        waiting = [(key, reason)]
        while waiting:
            key, reason = waiting.pop()
            stand = self._stands.get(key)
            if stand is None or key in self._kept:
                continue
            self._kept[key] = reason
            if with_around:
                waiting += [(each, "around one that is kept") for each in stand.around]
            if stand.source != "loop" or stand.version < _SENDS_IN_PARENT:
                waiting.append(((stand.namespace, stand.parent_id), "end of a run"))

    def _take_line(self, line: Sequence[Stand]) -> None:
        """Keep what is kept of one namespace; the graphs around it were looked at before."""
        alive = [each for each in line if all(around in self._kept for around in each.around)]
        if line[0].remembers:
            self._take_memories(line)
        if not alive:
            return
        self._take(alive[0].key, "first")
        for stand in {tuple(each.around): each for each in alive}.values():
            self._take(stand.key, "last")
        for stand in alive[-max(self._keep.last, 1) :]:
            self._take(stand.key, "among the last")
        for stand in alive:
            if self._whole(stand):
                self._take(stand.key, "cannot be folded")
            elif self._keep.since and stand.at and stand.at >= self._keep.since:
                self._take(stand.key, "young")

    def _take_memories(self, line: Sequence[Stand]) -> None:
        """Keep what a memory held at each kept step of the graph around it."""
        by_step: dict[Key, Stand] = {each.around[-1]: each for each in line if each.around}
        around = {namespace for namespace, _ in by_step}
        for step in [key for key in self._kept if key[0] in around]:
            for before in self._line_behind(step):
                if before in by_step:
                    self._take(
                        by_step[before].key, "in mind at one that is kept", with_around=False
                    )
                    break
        for each in filter(self._whole, line):
            self._take(each.key, "cannot be folded", with_around=False)

    def _line_behind(self, key: Key) -> Iterable[Key]:
        """Return the checkpoints before one, the nearest first."""
        seen: set[Key] = set()
        while (stand := self._stands.get(key)) is not None and stand.parent_id and key not in seen:
            seen.add(key)
            key = (stand.namespace, stand.parent_id)
            yield key

    def _seams(self) -> list[Seam]:
        found = [self._seam(self._stands[key]) for key in self._kept]
        changed = [each for each in found if each is not None]
        return sorted(changed, key=lambda each: each.key[1])

    def _seam(self, stand: Stand) -> Seam | None:
        takes, parent = self._behind(stand.key)
        parents = {name: self._standing(name, each) for name, each in stand.parents.items()}
        if not takes and parents == dict(stand.parents):
            return None
        return Seam(
            key=stand.key,
            parent_id=parent if takes else stand.parent_id,
            parents=parents,
            takes=tuple(reversed(takes)),
        )

    def _standing(self, namespace: str, checkpoint_id: str) -> str:
        """Return the kept checkpoint that stands for one: itself, or the kept one before it."""
        key = (namespace, checkpoint_id)
        if key in self._kept or key not in self._stands:
            return checkpoint_id
        return self._behind(key)[1]

    def _behind(self, key: Key) -> tuple[list[str], str]:
        """Return those that are folded right before a checkpoint, the newest first, and the kept one before them."""
        takes: list[str] = []
        for before in self._line_behind(key):
            if before in self._kept or before not in self._stands:
                return takes, before[1] if before in self._kept else ""
            takes.append(before[1])
        return takes, ""
