"""What methods take and return, read from their annotations: how both sides of the bridge understand JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from interlock.core.happening import Event
from interlock.errors import UsageError
from interlock.facade import Interlock
from interlock.postgres.outbox import Outbox
from interlock.postgres.runs import RunStore
from interlock.remote.codec import Answer, encode
from interlock.remote.own import Own

PARTS: Mapping[str, type] = {"store": RunStore, "outbox": Outbox}
"""Parts of the runtime whose methods are asked for as `part.method`."""

OTHER_HINTS: Mapping[tuple[str, str], Any] = {  # types
    ("submit_answers", "answers"): list[Answer],
    ("watch", "return"): Event,
}
"""Where JSON is not read as the annotation says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A method's arguments and what it returns."""

    signature: inspect.Signature
    hints: Mapping[str, Any]  # types

    def written(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # as the method takes them
        """Return the arguments of a call as JSON, by name."""
        bound = self.signature.bind(*args, **kwargs)
        return {name: encode(value) for name, value in bound.arguments.items()}

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:  # JSON -> as the method takes them
        """Return arguments that were written; raises `UsageError` for any that the method does not take."""
        try:
            self.signature.bind(**given)
            return {name: _adapter(self.hints[name]).validate_python(given[name]) for name in given}
        except (TypeError, ValidationError) as error:
            raise UsageError(f"The arguments cannot be read: {_said(error)}.") from error

    def returned(self, value: Any) -> Any:  # JSON -> what the method returns
        """Return what a method returned; raises `ValueError` when it cannot be that."""
        return _adapter(self.hints["return"]).validate_python(value)


@cache
def shape_of(method: str) -> Shape:
    """Return the shape of a method that both sides know by name."""
    function = _function(method)
    signature = inspect.signature(function)
    parameters = [each for name, each in signature.parameters.items() if name != "self"]
    hints = get_type_hints(function)
    others = {name: hint for (of, name), hint in OTHER_HINTS.items() if of == method}
    return Shape(signature=signature.replace(parameters=parameters), hints=hints | others)


def _function(method: str) -> Callable[..., Any]:
    part, dot, name = method.partition(".")
    if dot:
        return _method(PARTS[part], name)
    return _method(Own if hasattr(Own, method) else Interlock, method)


def _method(of: type, name: str) -> Callable[..., Any]:  # as it is declared
    method: Callable[..., Any] = getattr(of, name)
    return method


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:  # any type
    return TypeAdapter(hint)


def _said(error: TypeError | ValidationError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
