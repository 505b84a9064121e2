"""Repairing a dead run: what is known of it, a change, a trial of it without effects; and the port that does these."""

from __future__ import annotations

import json
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from interlock.errors import UsageError

GRAPH = "interlock.repair"
"""The name of the graph that repairs."""

ChangeKind = Literal["state", "prompt", "route", "arguments"]

Outcome = Literal[
    "ended", "asks", "sleeps", "would_act", "would_repeat", "stopped", "failed", "refused"
]
"""How a trial ended.

`ended`: the graph came to its end. `asks`: it waits for a person. `sleeps`: it waits for a time. `would_act`: it came
to an act that was not done before, and did not do it. `would_repeat`: it came to an act that was done before with other
arguments, and would do it a second time. `stopped`: it came to something else that a trial may not do.
`failed`: it raised. `refused`: the change does not fit, so nothing was tried.
"""

GOOD: frozenset[Outcome] = frozenset({"ended", "asks", "sleeps", "would_act"})

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Setting(BaseModel):
    """A key of the state and its value.

    Attributes:
        value: as JSON text, so that any type has one form.
    """

    model_config = _FROZEN

    key: str
    value: str


class Change(BaseModel):
    """One change under which a dead run is to go on.

    Attributes:
        kind: `state`: values of the state at the last checkpoint; `prompt`: another released version of a prompt;
            `route`: the node that failed is not run again, the run goes on behind it or at another node; `arguments`:
            other arguments for a tool call, or for an act that was refused.
        values: for `state`, and for `route` what the node that failed would have brought: a key with a reducer is
            added to, any other replaced; for `arguments` those that change.
        prompt: for `prompt`: its name.
        version: for `prompt`: a released one.
        goto: for `route`: where the run goes on; empty: where the edges of the node that failed lead.
        call: for `arguments`: id of the tool call, or of the act, that gets them.
        reason: why this should help.
    """

    model_config = _FROZEN

    kind: ChangeKind
    values: list[Setting] = Field(default_factory=list)
    prompt: str = ""
    version: str = ""
    goto: list[str] = Field(default_factory=list)
    call: str = ""
    reason: str = ""

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:  # JSON
        """Leave out what older versions did not know, where it is empty: questions are told by what they show."""
        shape: dict[str, Any] = handler(self)
        return {key: each for key, each in shape.items() if each or key not in ("goto", "call")}

    def state(self) -> dict[str, Any]:  # JSON
        """Return the values by key; raises `UsageError` when one is no JSON."""
        return {each.key: _read(each) for each in self.values}

    def same(self, other: Change) -> bool:
        """Say whether another change does the same, whatever its reason."""
        return self.model_copy(update={"reason": ""}) == other.model_copy(update={"reason": ""})


class KeyInfo(BaseModel):
    """What is known of a key of the state.

    Attributes:
        type: its JSON Schema, as text.
        value: as JSON text, cut; empty when it is not set.
        adds: a reducer adds what is written.
        fault: why the value does not fit the type; empty when it does.
        fitting: the same value in its type, as JSON text, where that is beyond doubt; else empty.
    """

    type: str = ""
    value: str = ""
    adds: bool = False
    fault: str = ""
    fitting: str = ""


class PromptInfo(BaseModel):
    """A prompt that the run pins, and the versions that are released, oldest first."""

    pinned: str
    released: list[str]


class CallInfo(BaseModel):
    """A tool call that waits, or an act that was refused, at the last checkpoint.

    Attributes:
        id: names it in a change.
        what: `tool call` or `act`.
        name: of the tool or action.
        arguments: as JSON text, cut.
        type: the JSON Schema of its arguments, as text; empty where it is not known.
        fault: why it was refused, or how its arguments do not fit; empty when nothing is known.
    """

    id: str
    what: Literal["tool call", "act"]
    name: str
    arguments: str
    type: str = ""
    fault: str = ""


class Case(BaseModel):
    """What is known of a dead run, cut to a size that a model can read.

    Attributes:
        hopeless: why no change of these kinds can be tried; empty when one can.
        node: the nodes that lead to where it failed.
        tries: earlier failures, a line each.
        next: the nodes that would run.
        done: acts that were done, a line each.
        in_doubt: acts that may have been done.
        ways: where the node that failed may lead, as its graph declares it.
        calls: whose arguments can be changed.
    """

    letter: str
    thread: str
    graph: str
    kind: str
    node: str
    error: str
    error_type: str
    traceback: str
    because: str
    hopeless: str = ""
    step: int | None = None
    next: list[str] = Field(default_factory=list)
    state: dict[str, KeyInfo] = Field(default_factory=dict)
    prompts: dict[str, PromptInfo] = Field(default_factory=dict)
    tries: list[str] = Field(default_factory=list)
    done: list[str] = Field(default_factory=list)
    in_doubt: list[str] = Field(default_factory=list)
    ways: list[str] = Field(default_factory=list)
    calls: list[CallInfo] = Field(default_factory=list)


class Trial(BaseModel):
    """What came of trying a change on a fork, without effects.

    Attributes:
        thread: of the trial, to be looked at; empty when the change was refused.
        says: what it failed of, would do, asks or was stopped at, in one line.
        node: where.
        steps: how many it made.
        passed: nodes that it finished.
        reused: acts that were answered from the ledger, a line each.
        stays: acts of a node that was gone round, which stay done, a line each.
        changed: keys that its state has otherwise than the dead run, a line each.
        model_calls: that were made live.
        irreversible: what it would do cannot be undone.
    """

    model_config = _FROZEN

    outcome: Outcome
    thread: str = ""
    says: str = ""
    node: str = ""
    steps: int = 0
    passed: list[str] = Field(default_factory=list)
    reused: list[str] = Field(default_factory=list)
    stays: list[str] = Field(default_factory=list)
    changed: list[str] = Field(default_factory=list)
    model_calls: int = 0
    irreversible: bool = False

    @property
    def good(self) -> bool:
        """Whether it came further than the run that died."""
        return self.outcome in GOOD


class Promoted(BaseModel):
    """What became of a dead run: its thread goes on with a change."""

    letter: str
    thread: str
    run: str


@runtime_checkable
class Workshop(Protocol):
    """The port: `interlock.repair.bench` has the one of the runtime."""

    async def case(self, letter_id: str) -> Case | None:
        """Return what is known of the run of a letter; None when the letter is not open."""
        ...

    async def rehearse(self, letter_id: str, change: Change) -> Trial:
        """Try a change on a fork of the run's thread, at its last checkpoint, without effects."""
        ...

    async def promote(self, letter_id: str, change: Change, *, by: str, key: str) -> Promoted:
        """Let the run go on with a change, and close its letter; the same key again changes nothing more.

        Raises:
            UsageError: the letter is closed, its thread has gone on since, or the change does not fit.
            Killed: a switch stands over the run.
        """
        ...


class NoWorkshop:
    """The port in plain LangGraph, which has no dead letters."""

    async def case(self, letter_id: str) -> Case | None:
        """Refuse."""
        raise _nowhere()

    async def rehearse(self, letter_id: str, change: Change) -> Trial:
        """Refuse."""
        raise _nowhere()

    async def promote(self, letter_id: str, change: Change, *, by: str, key: str) -> Promoted:
        """Refuse."""
        raise _nowhere()


def _nowhere() -> UsageError:
    return UsageError(
        f"The graph {GRAPH} runs under the durable runtime only.",
        hint="`interlock letters repair ID` begins it.",
    )


def _read(setting: Setting) -> Any:  # JSON
    try:
        return json.loads(setting.value)
    except ValueError as error:
        raise UsageError(
            f"The value of {setting.key} is no JSON: {error}.", hint='Quote text: "like this".'
        ) from error
