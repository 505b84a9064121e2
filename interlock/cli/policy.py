"""`policy`: the rules that decide on actions: whether they are valid, what they say, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from interlock.cli.call import Call, Group, this_call
from interlock.cli.examples import examples
from interlock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interlock.core.policy import Explanation, Facts, Policy

FILE = click.Path(path_type=Path)
NUMBERS = ("amount", "cost", "confidence")


@click.group(
    cls=Group,
    epilog=examples(
        "interlock policy check policy.toml",
        "interlock policy explain --action refund --set amount=700 --set reversible=no",
        "interlock policy test cases.yaml",
    ),
)
def policy() -> None:
    """Look at the policy: the rules that allow an action, ask about it, or deny it."""


@policy.command(
    epilog=examples(
        "interlock policy check              the file that INTERLOCK_POLICY names",
        "interlock policy check policy.toml",
    )
)
@click.argument("file", type=FILE, required=False)
def check(file: Path | None) -> int:
    """Tell whether a policy file is valid, and what is wrong with it."""
    from interlock.cli.output import print_json
    from interlock.documents.policies import policy_document

    call = this_call()
    path = file or call.settings().policy
    if path is None:
        raise UsageError(
            "There is no policy file to check.", hint="Name one, or set INTERLOCK_POLICY."
        )
    found = _policy(call, path)
    if call.as_json:
        print_json(policy_document(found, path) | {"valid": True})
    else:
        click.echo(f"{path} is valid: {_summary(found)}.")
    return 0


def policy_option(command: Any) -> Any:  # a function with click's parameters
    """Let a command be told another policy than the environment's."""
    text = "Another policy file  [INTERLOCK_POLICY]"
    return click.option("--policy", "file", metavar="FILE", type=FILE, help=text)(command)


@policy.command(
    epilog=examples(
        "interlock policy show",
        "interlock policy show --policy policy.toml --json",
    )
)
@policy_option
def show(file: Path | None) -> int:
    """Show the rules in their order, and how trust is earned."""
    from interlock.cli.output import print_json, results
    from interlock.cli.policy_views import print_policy
    from interlock.documents.policies import policy_document, rule_document

    call = this_call()
    found, path = _shown(call, file)
    if call.as_json:
        rules = [rule_document(each) for each in (*found.rules, found.otherwise)]
        trust = asdict(found.trust) if found.trust else None
        print_json(policy_document(found, path) | {"rules": rules, "trust": trust})
    else:
        print_policy(found, results(), _summary(found))
    return 0


@policy.command(
    epilog=examples(
        "interlock policy explain --action refund --set amount=700",
        "interlock policy explain --action refund --set amount=unknown --set reversible=no",
        "interlock policy explain --action mail --set agent=support --set trust=act",
    )
)
@click.option("--action", metavar="NAME", required=True, help="The action to decide on.")
@click.option(
    "--set",
    "given",
    metavar="KEY=VALUE",
    multiple=True,
    help="A fact: risk, reversible, amount, cost, confidence, tenant, graph, agent, trust, key.",
)
@policy_option
def explain(action: str, given: tuple[str, ...], file: Path | None) -> int:
    """Show which rule decides on an action, and why the rules before it do not.

    What is not set is taken from the action's declaration, where the application of langgraph.json declares it; else
    its risk is taken as medium, and the action as irreversible.
    """
    from interlock.cli.output import print_json, results
    from interlock.cli.policy_views import print_explanation
    from interlock.documents.policies import policy_document

    call = this_call()
    found, path, facts, sources, explanation = _explained(call, action, given, file)
    if call.as_json:
        document = {
            "policy": policy_document(found, path),
            "facts": asdict(facts),
            "sources": sources,
        }
        print_json(document | explanation.to_json())
    else:
        print_explanation(explanation, facts, sources, results(), _summary(found))
    return 0


@policy.command(
    epilog=examples(
        "interlock policy test cases.yaml",
        "interlock policy test cases.yaml --policy new-policy.toml",
        "# cases.yaml:",
        "  cases:",
        "    - name: a large refund is asked about",
        "      facts: {action: refund, amount: 700, reversible: true}",
        "      expect: ask",
        "      rule: large refunds need two people",
    )
)
@click.argument("cases", type=FILE)
@policy_option
def test(cases: Path, file: Path | None) -> int:
    """Run a table of cases against the policy; the code is 1 when one fails."""
    from interlock.cli.output import print_json, results
    from interlock.cli.policy_views import print_outcomes
    from interlock.core.policy_cases import load_cases, run_cases
    from interlock.documents.policies import policy_document

    call = this_call()
    path = file or call.settings().policy
    found = _policy(call, path)
    outcomes = run_cases(found, load_cases(cases))
    failed = sum(not each.passed for each in outcomes)
    if call.as_json:
        counts = {"passed": len(outcomes) - failed, "failed": failed}
        told = [each.to_json() for each in outcomes]
        print_json({"policy": policy_document(found, path), **counts, "cases": told})
    else:
        print_outcomes(outcomes, results(), _summary(found))
    return 1 if failed else 0


def declared_facts(call: Call, action: str) -> dict[str, Any]:  # facts by name
    """Return what the application's declaration of an action says of it; nothing when there is no application."""
    from interlock.application import Application
    from interlock.cli.output import remarks
    from interlock.documents import policies

    def say(error: UsageError) -> None:
        remarks().print(str(error), style="yellow", markup=False)

    config = call.settings().config
    try:
        application = Application.find(config)
    except UsageError:
        if config is not None:
            raise
        return {}
    return policies.declared_facts(application, action, say)


def _shown(call: Call, file: Path | None) -> tuple[Policy, Path | None]:
    """Return the policy that a call is about, and its file."""
    if call.address():
        with call.remote() as remote:
            told = remote.policy_told()
        return told.policy(), told.path
    path = file or call.settings().policy
    return _policy(call, path), path


def _explained(
    call: Call, action: str, given: tuple[str, ...], file: Path | None
) -> tuple[Policy, Path | None, Facts, Mapping[str, str], Explanation]:
    """Return the policy and its file, the facts and where they come from, and why it decides as it does."""
    if call.address():
        written = {"action": action, **dict(_assignment(each) for each in given)}
        with call.remote() as remote:
            told = remote.policy_explained(written)
        return (*told.place, told.facts, told.sources, told.explanation)
    found, path = _shown(call, file)
    facts, sources = _facts(call, action, given)
    return found, path, facts, sources, found.explain(facts)


def _policy(call: Call, path: Path | None) -> Policy:
    from interlock.core.policy import BUILT_IN
    from interlock.core.policy_file import load

    return load(path) if path is not None else BUILT_IN


def _facts(call: Call, action: str, given: tuple[str, ...]) -> tuple[Facts, dict[str, str]]:
    """Return the facts, and where each of them comes from."""
    from interlock.core.policy_cases import FactsForm
    from interlock.core.policy_text import checked
    from interlock.documents.policies import sources_of

    written = {"action": action, **dict(_assignment(each) for each in given)}
    form = checked(FactsForm, written, Path("--set"), "")
    declared = declared_facts(call, action)
    facts = form.made(declared)
    return facts, sources_of(facts, written, declared)


def _assignment(text: str) -> tuple[str, Any]:  # a fact
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text} is no KEY=VALUE.", hint="Write --set amount=700.")
    return key.strip(), _value(key.strip(), value.strip())


def _value(key: str, text: str) -> Any:  # a fact
    """Return a fact as its form wants it; what cannot be read is left to the form to refuse."""
    if key == "reversible":
        return {"yes": True, "true": True, "no": False, "false": False}.get(text.lower(), text)
    if key in NUMBERS:
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _summary(found: Policy) -> str:
    from interlock.core.policy import SHOWN
    from interlock.wording import counted

    return (
        f"policy {found.name}, {counted(len(found.rules), 'rule')}, digest {found.digest[:SHOWN]}"
    )
