"""What a repair knows."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from interlock.core.gate import Decision

PROPOSALS = 3
"""Changes that are tried before a person is asked for help, or for leave; a hint allows as many again."""

HINTS = 3
"""Hints that are taken; after that the question offers no more."""

STEPS = 4 + (HINTS + 1) * (3 * PROPOSALS + 2)
"""Supersteps of one repair: the longest way, with all hints and proposals."""

Status = Literal["closed", "hopeless", "rejected", "refused", "promoted"]
"""How a repair ends.

`closed`: the letter was not open. `hopeless`: no change of these kinds can be tried. `rejected`: a person wants none.
`refused`: it could not be promoted. `promoted`: the run goes on.
"""


class Tried(TypedDict):
    """A change that was tried, and what came of it; both as JSON of `interlock.core.repairs`."""

    change: dict[str, Any]
    trial: dict[str, Any]


class RepairInput(TypedDict, total=False):
    """Which letter, and what a person knows of it."""

    letter: str
    hint: str


class RepairOutput(TypedDict, total=False):
    """How it ended, and the change that was promoted."""

    status: Status
    message: str
    change: dict[str, Any] | None


class RepairState(RepairInput, RepairOutput, total=False):
    """All of it.

    `case` is JSON of `Case`; `since` counts the proposals since the last hint, `hints` those that were given. `help`
    is why no change is proposed.
    """

    case: dict[str, Any]
    cause: str
    tried: list[Tried]
    since: int
    hints: int
    help: str
    approval: Decision
