"""Actions: what an agent may do to the world, declared: what it touches, how to tell whether it happened, who may."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from inspect import Parameter
from types import CodeType
from typing import Annotated, Any, Generic, Protocol, TypeVar, get_type_hints, overload

from langchain_core.tools import BaseTool, InjectedToolArg, ToolException
from langgraph.prebuilt import ToolRuntime
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_jsonable_python

from interlock.core.verdict import Risk
from interlock.errors import ActionRefused, UsageError

ResultT = TypeVar("ResultT")
State = Mapping[str, Any]  # any graph's state
Precondition = Callable[[State, Mapping[str, Any]], str | None]
"""Given the state and the arguments as JSON, returns why an action must not run, or None."""

_Injected = Annotated[Any, InjectedToolArg()]  # a ToolRuntime: ToolNode goes by the name `runtime`

RESERVED = ("approval", "confidence", "runtime")
"""What `act` takes itself, so that no argument of an action can have the name."""
KEY = "idempotency_key"
STATE = "state"

_UNNAMED = (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

# By name: what is stored under it is read again, also where agents and persons know it by an alias.
_STRICT = ConfigDict(extra="forbid", populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Happened(Generic[ResultT]):
    """What a probe returns when it finds that an act happened: the result that the act would have returned."""

    result: ResultT


class Action(BaseTool, Generic[ResultT]):
    """A declared act; also a LangChain tool, for `bind_tools` and `ToolNode`.

    Attributes:
        name: stored with every effect: renaming an action is a migration.
        touches: what it changes, for the person who approves.
        nodes: the nodes in which it may be called; empty for any.
        reversible: whether it can be undone.
        undo: name of the action that undoes it; empty without one.
        risk: its class, for the policy.
        cost: estimates what a call costs, in US dollars, from the arguments.
        amount: returns what the policy's `amount` is compared with, from the arguments; None without one.
        idempotent: whether doing it again with the same arguments changes nothing, so that it may be repeated.
        takes_key: whether the function is given the effect's key (as `idempotency_key`). Without a probe this says that
            the world outside keeps apart what has another key: repeated with the same key it happens once.
        probe: tells, given an effect's key, whether it happened; it is asked before anything is repeated.
        preconditions: each returns why it must not run on this state, or None.
        reads: whether it changes nothing: nobody is asked, and it is recorded only so that forks and replays read
            what was read then.
        arguments: the validated form of its arguments.
        takes_state: whether the function is also given the state (as `state`), which is not an argument of the act.
        max_refusals: after so many refusals in a row its agent's run escalates.
    """

    model_config = ConfigDict(frozen=True)

    touches: str
    nodes: frozenset[str]
    reversible: bool
    undo: str
    risk: Risk
    cost: Callable[[Mapping[str, Any]], float]  # arguments as JSON
    amount: Callable[[Mapping[str, Any]], float | None]  # arguments as JSON
    idempotent: bool
    takes_key: bool
    probe: Callable[[str], Awaitable[Happened[Any] | None]] | None  # the result's type
    preconditions: tuple[Precondition, ...]
    reads: bool
    function: Callable[..., Any]  # the author's own signature
    arguments: type[BaseModel]
    result: TypeAdapter[Any]  # the result's type
    takes_state: bool
    max_refusals: int
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = True

    @property
    def repeatable(self) -> bool:
        """Whether an act whose outcome is unknown may simply be done again."""
        return self.takes_key or self.idempotent

    def validate_arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:  # JSON out
        """Return the arguments in their stored form; raises `ActionRefused` that names each fault.

        Raises:
            UsageError: one of them is something else once it is stored, such as a secret, which becomes stars.
        """
        try:
            given = self.arguments.model_validate(dict(arguments))
            stored = given.model_dump(mode="json")
        except (UnicodeDecodeError, PydanticSerializationError) as error:
            raise ActionRefused(
                f"The arguments of {self.name} cannot be stored as JSON: {error}.", kind="arguments"
            ) from error
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
            )
            raise ActionRefused(
                f"The arguments of {self.name} are wrong: {faults}.", kind="arguments"
            ) from error
        self._check_kept(given, stored)
        return stored

    def argument_schema(self) -> dict[str, Any]:  # JSON Schema
        """Return the JSON Schema of the arguments."""
        return self.arguments.model_json_schema()

    def request(self, arguments: Mapping[str, Any]) -> str:  # JSON
        """Return the SHA-256 that names this action with these validated arguments."""
        return digest({"action": self.name, "arguments": arguments})

    def _check_kept(self, given: BaseModel, stored: Mapping[str, Any]) -> None:  # JSON
        """Refuse what the function would be given otherwise than it was asked for: it is called with what is stored."""
        named = {name: stored[name] for name in given.model_fields_set}
        before, after = given.model_dump(), self.arguments.model_validate(named).model_dump()
        if lost := [name for name in before if not _kept(before[name], after[name])]:
            raise UsageError(
                f"The argument {lost[0]!r} of action {self.name!r} is lost when it is stored as JSON.",
                hint="Arguments are stored and shown. Let the function fetch secrets by a name.",
            )

    def _parse_input(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> str | dict[str, Any]:  # LangChain's signature
        return tool_input  # validated with everything else, so that a wrong argument counts as a refusal too

    def _run(self, **kwargs: Any) -> Any:  # LangChain's signature
        raise UsageError(
            f"{self.name} was called as a synchronous tool.",
            hint="Run the graph with ainvoke, or compile it with interlock.sync_too.",
        )

    async def _arun(
        self, *, runtime: ToolRuntime[Any, Any], **arguments: Any
    ) -> str:  # LangChain's signature
        from interlock.core.acting import act_as_tool

        return await act_as_tool(self, runtime, arguments)


class Declare(Protocol):
    """Makes an action of a function; its result is the function's."""

    @overload
    def __call__(
        self, function: Callable[..., Coroutine[Any, Any, ResultT]]
    ) -> Action[ResultT]: ...

    @overload
    def __call__(self, function: Callable[..., ResultT]) -> Action[ResultT]: ...


_ACTIONS: dict[str, Action[Any]] = {}


def action(  # noqa: PLR0913  # a declaration has as many words as there is to declare
    *,
    name: str,
    touches: str,
    reversible: bool = False,
    undo: Action[Any] | str = "",
    nodes: tuple[str, ...] = (),
    risk: Risk = "medium",
    cost: float | Callable[[Mapping[str, Any]], float] = 0.0,
    amount: str | Callable[[Mapping[str, Any]], float | None] = "",
    idempotent: bool = False,
    probe: Callable[[str], Awaitable[Happened[Any] | None]] | None = None,  # the result's type
    preconditions: tuple[Precondition, ...] = (),
    reads: bool = False,
    max_refusals: int = 3,
) -> Declare:
    """Declare a function, synchronous or not, with annotated parameters and result, as an action.

    A parameter named `idempotency_key` is given the effect's key, one named `state` the graph's state.

    Raises:
        UsageError: the function cannot be an action, or another action has the name.
    """

    def declare(function: Callable[..., Any]) -> Action[Any]:  # as `Declare` says
        hints = _hints(name, function)
        arguments = _arguments_model(name, function, hints)
        declared: Action[Any] = Action(
            name=name,
            description=inspect.getdoc(function) or touches,
            args_schema=create_model(name, __base__=arguments, runtime=(_Injected, ...)),
            touches=touches,
            nodes=frozenset(nodes),
            reversible=reversible or reads or bool(undo),
            undo=undo.name if isinstance(undo, Action) else undo,
            risk=risk,
            cost=_estimate(cost) if callable(cost) else _constant(cost),
            amount=amount if callable(amount) else _argument(name, amount, arguments),
            idempotent=idempotent or reads,
            takes_key=KEY in hints,
            probe=probe,
            preconditions=preconditions,
            reads=reads,
            function=function,
            arguments=arguments,
            result=TypeAdapter(hints["return"]),
            takes_state=STATE in hints,
            max_refusals=max_refusals,
        )
        return _register(declared)

    return declare


def find(name: str) -> Action[Any]:
    """Return the declared action of that name; raises `ActionRefused`."""
    if name not in _ACTIONS:
        known = ", ".join(sorted(_ACTIONS)) or "none"
        raise ActionRefused(
            f"There is no action {name!r}.", hint=f"Declared actions: {known}.", kind="unknown"
        )
    return _ACTIONS[name]


def is_declared(name: str) -> bool:
    """Say whether there is an action of that name."""
    return name in _ACTIONS


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON (sorted keys, no spaces), in hex."""
    text = json.dumps(
        to_jsonable_python(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _register(declared: Action[ResultT]) -> Action[ResultT]:
    known = _ACTIONS.get(declared.name)
    if known is not None and not _is_same(known, declared):
        raise UsageError(
            f"Two functions declare the action {declared.name!r}: {_where(known)} and {_where(declared)}.",
            hint="Effects are stored by name: give one of them another.",
        )
    _ACTIONS[declared.name] = declared
    return declared


def _is_same(known: Action[Any], declared: Action[Any]) -> bool:
    """Say whether two declarations are of one function: a file may be read again, under another name, or copied."""
    return _where(known) == _where(declared) or _code(known) == _code(declared)


def _where(declared: Action[Any]) -> str:
    return f"{declared.function.__qualname__} in {_code(declared).co_filename}"


def _code(declared: Action[Any]) -> CodeType:
    code: CodeType = inspect.unwrap(declared.function).__code__
    return code


def _hints(name: str, function: Callable[..., object]) -> dict[str, Any]:  # annotations
    hints = get_type_hints(function, include_extras=True)
    if "return" not in hints:
        raise UsageError(
            f"Action {name!r} does not say what it returns.",
            hint="Annotate its result: it is stored, and given again without a repetition.",
        )
    if reserved := [each for each in RESERVED if each in hints]:
        raise UsageError(
            f"Action {name!r} has a parameter named {reserved[0]!r}, which `act` takes itself.",
            hint="Give it another name.",
        )
    return hints


def _arguments_model(
    name: str, function: Callable[..., object], hints: Mapping[str, Any]
) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _UNNAMED:
            raise UsageError(
                f"Parameter {parameter.name!r} of action {name!r} has no name of its own to be called by.",
                hint="Declare each argument by name: no `*args`, no `**kwargs`, nothing before a `/`.",
            )
        if parameter.name in (STATE, KEY):
            continue
        if parameter.name not in hints:
            raise UsageError(f"Parameter {parameter.name!r} of action {name!r} has no annotation.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (_accepting(hints[parameter.name], default), default)
    return create_model(name, __config__=_STRICT, **fields)


def _accepting(annotation: Any, default: Any) -> Any:  # a type
    """Return the type of an argument; `limit: int = None` means that it may be None."""
    return annotation | None if default is None and isinstance(annotation, type) else annotation


def _kept(before: Any, after: Any) -> bool:  # an argument
    """Say whether a value is the same behind JSON; that a tuple is a list there is no loss, and NaN equals nothing."""
    if type(before) is not type(after):
        return True
    if isinstance(before, dict):
        return before.keys() != after.keys() or all(
            _kept(before[key], after[key]) for key in before
        )
    if isinstance(before, list | tuple):
        return all(map(_kept, before, after))
    return bool(before == after or (before != before and after != after))  # noqa: PLR0124


def _estimate(cost: Callable[[Mapping[str, Any]], float]) -> Callable[[Mapping[str, Any]], float]:
    """Return an estimate that is never negative: an agent that asks for less than nothing earns no budget."""

    def estimate(arguments: Mapping[str, Any]) -> float:  # JSON
        value = cost(arguments)
        return 0.0 if value and value < 0 else value

    return estimate


def _constant(cost: float) -> Callable[[Mapping[str, Any]], float]:
    return lambda arguments: cost


def _argument(
    name: str, amount: str, arguments: type[BaseModel]
) -> Callable[[Mapping[str, Any]], float | None]:
    if amount and amount not in arguments.model_fields:
        raise UsageError(f"Action {name!r} has no argument {amount!r} to be its amount.")

    def read(values: Mapping[str, Any]) -> float | None:  # JSON
        try:
            return float(values[amount]) if amount else None
        except (TypeError, ValueError, OverflowError):
            return None

    return read
