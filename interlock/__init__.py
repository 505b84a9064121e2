"""Interlock: durable, rewindable, approved LangGraph agents.

The names here are the public interface; each is imported when it is first used, so that agents which need only the
core never load a database driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlock.app import aopen, open  # noqa: A004  # `interlock.open()`
    from interlock.core.acting import act
    from interlock.core.actions import Action, Happened, action
    from interlock.core.allowance import landing_here
    from interlock.core.answers import Approve, Edit, Reject, Respond, Resume
    from interlock.core.bounded import Declaration, bounded
    from interlock.core.budget import Limits
    from interlock.core.context import Context, Ports
    from interlock.core.effects import Effect
    from interlock.core.escalating import after_tools, escalate_to
    from interlock.core.gate import Decision, Question, ask_person
    from interlock.core.loops import Loops
    from interlock.core.manifest import Manifest
    from interlock.core.questions import OpenQuestion, QuestionEvent, Swept
    from interlock.core.queueing import Options
    from interlock.core.runs import Run, Step, ThreadSummary, Tree, Usage
    from interlock.core.sleeping import sleep
    from interlock.core.summarizing import summarize
    from interlock.core.sync import sync_too
    from interlock.errors import (
        ActionRefused,
        BudgetSpent,
        InterlockError,
        Killed,
        ReplayDiverged,
        StillRunning,
    )
    from interlock.facade import Interlock
    from interlock.replays import Replay
    from interlock.settings import Settings

__version__ = "0.1.0"

_HOMES = {
    "interlock.app": ("aopen", "open"),
    "interlock.core.acting": ("act",),
    "interlock.core.actions": ("Action", "Happened", "action"),
    "interlock.core.allowance": ("landing_here",),
    "interlock.core.answers": ("Approve", "Edit", "Reject", "Respond", "Resume"),
    "interlock.core.bounded": ("Declaration", "bounded"),
    "interlock.core.budget": ("Limits",),
    "interlock.core.context": ("Context", "Ports"),
    "interlock.core.effects": ("Effect",),
    "interlock.core.escalating": ("after_tools", "escalate_to"),
    "interlock.core.gate": ("Decision", "Question", "ask_person"),
    "interlock.core.loops": ("Loops",),
    "interlock.core.manifest": ("Manifest",),
    "interlock.core.questions": ("OpenQuestion", "QuestionEvent", "Swept"),
    "interlock.core.queueing": ("Options",),
    "interlock.core.runs": ("Run", "Step", "ThreadSummary", "Tree", "Usage"),
    "interlock.core.sleeping": ("sleep",),
    "interlock.core.summarizing": ("summarize",),
    "interlock.core.sync": ("sync_too",),
    "interlock.errors": (
        "ActionRefused",
        "BudgetSpent",
        "InterlockError",
        "Killed",
        "ReplayDiverged",
        "StillRunning",
    ),
    "interlock.facade": ("Interlock",),
    "interlock.replays": ("Replay",),
    "interlock.settings": ("Settings",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Action",
    "ActionRefused",
    "Approve",
    "BudgetSpent",
    "Context",
    "Decision",
    "Declaration",
    "Edit",
    "Effect",
    "Happened",
    "Interlock",
    "InterlockError",
    "Killed",
    "Limits",
    "Loops",
    "Manifest",
    "OpenQuestion",
    "Options",
    "Ports",
    "Question",
    "QuestionEvent",
    "Reject",
    "Replay",
    "ReplayDiverged",
    "Respond",
    "Resume",
    "Run",
    "Settings",
    "Step",
    "StillRunning",
    "Swept",
    "ThreadSummary",
    "Tree",
    "Usage",
    "act",
    "action",
    "after_tools",
    "aopen",
    "ask_person",
    "bounded",
    "escalate_to",
    "landing_here",
    "open",
    "sleep",
    "summarize",
    "sync_too",
]


def __getattr__(name: str) -> Any:  # any of the public names
    if name not in _HOME:
        raise AttributeError(f"module 'interlock' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
