"""Actions: the only way in which an agent touches the world. Declared, validated, keyed, and done once."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_type_hints

from langgraph.config import get_config
from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from interlock.core.context import Context, context_of
from interlock.core.ledger import Intention
from interlock.errors import ActionRefused, UsageError

ResultT = TypeVar("ResultT")
State = Mapping[str, Any]  # any graph's state

_ACTIONS: dict[str, Action[Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Generic[ResultT]):
    """A declared act.

    Attributes:
        name: stored with every effect: renaming an action is a migration.
        touches: what it changes, for the person who approves.
        nodes: the nodes in which it may be called.
        reversible: whether it can be undone.
        idempotent: whether doing it again with the same arguments changes nothing; if not, an act whose outcome is
            unknown is never repeated.
        precondition: returns why it must not run on this state, or None.
        arguments: the validated form of its arguments.
        takes_state: whether the function is also given the state (as `state`), which is not an argument of the act.
    """

    name: str
    touches: str
    nodes: frozenset[str]
    reversible: bool
    idempotent: bool
    function: Callable[..., Awaitable[ResultT]]
    arguments: type[BaseModel]
    result: TypeAdapter[ResultT]
    takes_state: bool
    precondition: Callable[[State, Mapping[str, Any]], str | None] | None = (
        None  # arguments as JSON
    )

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:  # JSON in, JSON out
        """Return the arguments in their stored form; raises `ActionRefused` that names each fault."""
        try:
            return self.arguments.model_validate(dict(arguments)).model_dump(mode="json")
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
            )
            raise ActionRefused(f"The arguments of {self.name} are wrong: {faults}.") from error

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments."""
        return self.arguments.model_json_schema()


def action(
    *,
    name: str,
    touches: str,
    nodes: tuple[str, ...],
    reversible: bool,
    idempotent: bool = False,
    precondition: Callable[[State, Mapping[str, Any]], str | None] | None = None,
) -> Callable[[Callable[..., Awaitable[ResultT]]], Action[ResultT]]:
    """Declare an asynchronous function with annotated parameters as an action."""

    def declare(function: Callable[..., Awaitable[ResultT]]) -> Action[ResultT]:
        hints = get_type_hints(function, include_extras=True)
        declared = Action(
            name=name,
            touches=touches,
            nodes=frozenset(nodes),
            reversible=reversible,
            idempotent=idempotent,
            function=function,
            arguments=_arguments_model(name, function, hints),
            result=TypeAdapter(hints["return"]),
            takes_state="state" in hints,
            precondition=precondition,
        )
        _ACTIONS[name] = declared
        return declared

    return declare


def find(name: str) -> Action[Any]:
    """Return the declared action of that name; raises `ActionRefused`."""
    if name not in _ACTIONS:
        known = ", ".join(sorted(_ACTIONS)) or "none"
        raise ActionRefused(f"There is no action {name!r}.", hint=f"Declared actions: {known}.")
    return _ACTIONS[name]


async def act(
    runtime: Runtime[Context],
    declared: Action[ResultT],
    arguments: Mapping[str, Any],
    *,
    state: State,
) -> ResultT:
    """Do an action once: validate, write the intention, act, write the result.

    A repeated call of the same task (a retry, or a resume after a crash) returns the recorded result.

    Raises:
        ActionRefused: wrong arguments or node, a failed precondition, or an unknown outcome that must not be repeated.
    """
    node = str(get_config()["metadata"].get("langgraph_node", ""))
    values = _permit(declared, arguments, node, state)
    intention = _intention(runtime, declared, values, node)
    ledger = context_of(runtime).ports.ledger
    entry = await ledger.begin(intention)
    if entry.standing == "done":
        return declared.result.validate_python(entry.result)
    if entry.standing == "in_doubt" and not declared.idempotent:
        raise ActionRefused(
            f"Whether {declared.name} already happened is unknown: an earlier attempt stopped in between.",
            hint=f"Look at {declared.touches}, and decide (effect {intention.key[:12]}).",
        )
    result = await declared.function(**values, **({"state": state} if declared.takes_state else {}))
    await ledger.finish(intention.key, declared.result.dump_python(result, mode="json"))
    return result


def _permit(
    declared: Action[Any], arguments: Mapping[str, Any], node: str, state: State
) -> dict[str, Any]:  # JSON
    if node not in declared.nodes:
        allowed = ", ".join(sorted(declared.nodes))
        raise ActionRefused(
            f"{declared.name} may not be called in node {node!r}; it may in {allowed}."
        )
    values = declared.validate(arguments)
    if declared.precondition and (reason := declared.precondition(state, values)):
        raise ActionRefused(f"{declared.name} was not run: {reason}.")
    return values


def _intention(
    runtime: Runtime[Context], declared: Action[Any], values: dict[str, Any], node: str
) -> Intention:
    info = runtime.execution_info
    thread, task = (info.thread_id or "", info.task_id) if info else ("", "")
    return Intention(
        key=digest({"thread": thread, "task": task, "action": declared.name, "arguments": values}),
        thread_id=thread,
        node=node,
        action=declared.name,
        arguments=values,
    )


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON (sorted keys, no spaces), in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _arguments_model(
    name: str, function: Callable[..., object], hints: Mapping[str, Any]
) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "state":
            continue
        if parameter.name not in hints:
            raise UsageError(f"Parameter {parameter.name!r} of action {name!r} has no annotation.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
