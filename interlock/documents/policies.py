"""A policy's rules as documents. Pure functions."""

from __future__ import annotations

from typing import Any

from interlock.core.policy_rules import Rule


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
