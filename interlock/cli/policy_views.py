"""How a policy, a decision and a table of cases look in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from interlock.core.policy import Explanation, Facts, Policy
from interlock.core.policy_cases import Outcome
from interlock.core.policy_rules import Rule
from interlock.core.trust import TrustRules
from interlock.core.verdict import Terms, Verdict

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"allow": "green", "ask": "yellow", "deny": "red"}
UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def print_policy(policy: Policy, console: Console, summary: str) -> None:
    """Print the rules in their order."""
    console.print(summary, markup=False)
    table = _table("", "then", "rule", "when", "how to ask")
    for number, rule in enumerate((*policy.rules, policy.otherwise), 1):
        place = str(number) if number <= len(policy.rules) else ""
        table.add_row(
            place, _ruling(rule.then), Text(rule.name), Text(_when(rule)), Text(_asking(rule))
        )
    console.print(table)
    if policy.trust:
        _print_trust(policy.trust, console)


def print_explanation(
    explanation: Explanation,
    facts: Facts,
    sources: Mapping[str, str],
    console: Console,
    summary: str,
) -> None:
    """Print the facts, every rule up to the one that decides, and the verdict."""
    console.print(summary, markup=False)
    told = (f"{name} {_fact(value)}" for name, value in asdict(facts).items() if value != "")
    for name, text in zip((n for n, v in asdict(facts).items() if v != ""), told, strict=True):
        console.print(f"  {text} ({sources[name]})", markup=False, highlight=False)
    if explanation.stage:
        console.print(f"  stage of trust: {explanation.stage}")
    table = _table("", "then", "rule", "why")
    for number, each in enumerate(explanation.looked, 1):
        why = "; ".join(each.unmet) or _decides(each.unknown)
        style = "dim" if each.unmet else "bold"
        table.add_row(str(number), _ruling(each.then), Text(each.rule, style), Text(why, style))
    console.print(table)
    _print_verdict(explanation.verdict, console)


def print_outcomes(outcomes: Sequence[Outcome], console: Console, summary: str) -> None:
    """Print a table of cases, and how many failed."""
    console.print(summary, markup=False)
    table = _table("", "case", "expected", "decided", "rule")
    for each in outcomes:
        mark = Text("✓", "green") if each.passed else Text("✗", "red")
        expected = f"{each.case.expect} by {each.case.rule}" if each.case.rule else each.case.expect
        table.add_row(
            mark,
            Text(each.case.name),
            Text(expected),
            _ruling(each.verdict.ruling),
            Text(each.verdict.rule),
        )
    console.print(table)
    failed = sum(not each.passed for each in outcomes)
    console.print(f"{len(outcomes) - failed} passed, {failed} failed", highlight=False)


def terms_text(terms: Terms) -> str:
    """Return how a person is asked, in one line."""
    who = " or ".join(terms.who) or "anybody"
    parts = [f"{terms.needed} of {who} must agree" if terms.needed > 1 else who]
    if terms.remind is not None:
        parts.append(f"reminded after {time_text(terms.remind)}")
    parts += [f"after {time_text(each.after)} {' or '.join(each.who)} too" for each in terms.chain]
    if terms.within is not None:
        parts.append(f"after {time_text(terms.within)} {terms.default}")
    return ", ".join(parts)


def time_text(seconds: float) -> str:
    """Return a time as a policy file has it: 1h30m."""
    text, rest = "", int(seconds)
    for unit, length in UNITS:
        many, rest = divmod(rest, length)
        text += f"{many}{unit}" if many else ""
    return text


def _print_verdict(verdict: Verdict, console: Console) -> None:
    text = Text.assemble((verdict.ruling, f"bold {STYLES[verdict.ruling]}"), f": {verdict.reason}")
    console.print(text)
    if verdict.ruling == "ask":
        console.print(f"  {terms_text(verdict.terms)}", markup=False, highlight=False)


def _print_trust(trust: TrustRules, console: Console) -> None:
    table = _table("agent", "action", "starts", "at most")
    for each in trust.earnings:
        pair = Text(" or ".join(each.agent)), Text(" or ".join(each.action))
        table.add_row(*pair, each.start, each.at_most)
    console.print("Trust is earned by:")
    console.print(table)
    console.print(
        f"{trust.confidence:.0%} sure of {trust.leave_shadow:.0%} right to leave shadow, of {trust.leave_ask:.0%} "
        f"to act; {trust.spot_check:.0%} spot checks; irreversible actions at most {trust.irreversible_at_most}; "
        f"a wrong outcome leads down, at the lowest to {trust.falls_to}",
        highlight=False,
    )


def _decides(unknown: Sequence[str]) -> str:
    if not unknown:
        return "decides"
    return f"decides: {' and '.join(unknown)} not known, and only a rule that allows needs to know"


def _when(rule: Rule) -> str:
    return str(rule)


def _asking(rule: Rule) -> str:
    if rule.then != "ask":
        return ""
    return terms_text(rule.terms) + (", unless trusted" if rule.unless_trusted else "")


def _ruling(ruling: str) -> Text:
    return Text(ruling, STYLES[ruling])


def _fact(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 1))
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
