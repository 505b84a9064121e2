"""What a server tells the command line beside what the runtime's own methods return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.core.policy import Explanation, Facts, Policy
from interlock.core.policy_rules import Rule
from interlock.core.runs import Run
from interlock.core.trust import TrustRules


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """A graph as a list shows it; `problem` says why it cannot be run, and is empty when it can."""

    name: str
    about: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInput:
    """What a graph says about itself, and its input's keys with their JSON Schemas."""

    about: str
    properties: Mapping[str, dict[str, Any]]  # JSON Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """The policy that holds, and where it stands; `file` is empty for the built-in one."""

    name: str
    rules: tuple[Rule, ...]
    otherwise: Rule
    trust: TrustRules | None
    file: str

    @classmethod
    def of(cls, policy: Policy, file: str) -> PolicyFacts:
        """Return a policy as it is sent."""
        return cls(
            name=policy.name,
            rules=policy.rules,
            otherwise=policy.otherwise,
            trust=policy.trust,
            file=file,
        )

    @property
    def path(self) -> Path | None:
        """The file; None for the built-in policy."""
        return Path(self.file) if self.file else None

    def policy(self) -> Policy:
        """Return the policy that was sent."""
        return Policy(name=self.name, rules=self.rules, otherwise=self.otherwise, trust=self.trust)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why the policy decides on an act as it does; `sources` says of each fact where it comes from."""

    policy: PolicyFacts
    facts: Facts
    sources: Mapping[str, str]
    explanation: Explanation

    @property
    def place(self) -> tuple[Policy, Path | None]:
        """The policy with its file."""
        return self.policy.policy(), self.policy.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Where and why a replay stopped; as `interlock.errors.ReplayDiverged`."""

    message: str
    hint: str
    node: str
    kind: str
    requested: str
    recorded: str
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFacts:
    """A replay; as `interlock.replays.Replay`."""

    of: str
    run: Run
    divergence: Divergence | None
    changed: Mapping[str, tuple[Any, Any]]  # values of state keys
    model_calls: int
    effects: int
