"""A policy and its rules as documents, and where the facts of an act come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from interlock.application import Application
from interlock.core.actions import find
from interlock.core.policy import Facts, Policy
from interlock.core.policy_rules import Rule
from interlock.errors import ActionRefused, UsageError


def rule_document(rule: Rule) -> dict[str, Any]:  # JSON
    """Return a rule as `--json` prints it."""
    return {
        "name": rule.name,
        "when": str(rule),
        "then": rule.then,
        "because": rule.because,
        "unless_trusted": rule.unless_trusted,
        "terms": rule.terms.to_json(),
    }


def policy_document(policy: Policy, path: Path | None) -> dict[str, Any]:  # JSON
    """Return what a policy is called, where it stands, and how large it is."""
    return {
        "file": str(path) if path else None,
        "name": policy.name,
        "digest": policy.digest,
        "rule_count": len(policy.rules),
        "uses_trust": policy.uses_trust,
    }


def declared_facts(
    application: Application, action: str, unusable: Callable[[UsageError], None] | None = None
) -> dict[str, Any]:  # facts by name
    """Return what an application's declaration of an action says of it; nothing when it declares no such action.

    Args:
        application: whose graphs are imported for that.
        action: its name.
        unusable: is told of each graph that does not import; its actions are not known then.
    """
    for name in application.targets:
        try:
            application.graph(name)
        except UsageError as error:
            if unusable is not None:
                unusable(error)
    try:
        found = find(action)
    except ActionRefused:
        return {}
    return {name: getattr(found, name) for name in ("risk", "reversible") if hasattr(found, name)}


def sources_of(
    facts: Facts, written: Mapping[str, Any], declared: Mapping[str, Any]
) -> dict[str, str]:  # facts by name
    """Return of each fact where it comes from: `given`, `declared` or `assumed`."""
    return {
        name: "given" if name in written else "declared" if name in declared else "assumed"
        for name in asdict(facts)
    }
