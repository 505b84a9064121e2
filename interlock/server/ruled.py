"""The policy as a caller may see it: without the rules that only another tenant's acts could come under."""

from __future__ import annotations

from interlock.core.policy import Policy
from interlock.core.policy_rules import fits
from interlock.server.scope import Scope


def policy_of(scope: Scope) -> Policy:
    """Return the policy that holds for a caller's acts; what was left out decides on none of them."""
    policy, tenant = scope.reader.policy(), scope.caller.tenant
    if tenant is None:
        return policy
    rules = tuple(
        each
        for each in policy.rules
        if not each.when.tenant or any(fits(tenant, pattern) for pattern in each.when.tenant)
    )
    seen = Policy(name=policy.name, rules=rules, otherwise=policy.otherwise, trust=policy.trust)
    seen.digest = policy.digest  # questions name the policy that asked by it
    return seen
