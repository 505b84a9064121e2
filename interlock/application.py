"""The application: the graphs that its langgraph.json names, imported when first used."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from interlock.errors import NotFound, UsageError

Graph = CompiledStateGraph[Any, Any, Any, Any]  # any application's state, context, input and output

CONFIG_NAME = "langgraph.json"

BUILT_IN: Mapping[str, str] = {"interlock.repair": "interlock.repair.graph:graph"}
"""Graphs of ours that every application has."""

_SHAPE = 'It needs {"graphs": {"name": "package.module:variable"}}.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Graphs by name.

    Attributes:
        folder: where langgraph.json stands; it is importable, and relative graph files start there.
        targets: graph name -> `package.module:variable` or `./file.py:variable`.
    """

    folder: Path
    targets: Mapping[str, str]
    _loaded: dict[str, Graph] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def find(cls, config: Path | None = None) -> Application:
        """Read langgraph.json: the given one, or the first one in this folder or above; raises `UsageError`."""
        path = config or _search(Path.cwd())
        try:
            text = path.read_text(encoding="utf-8")
            targets = {name: _target(value) for name, value in json.loads(text)["graphs"].items()}
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}.",
                hint="Pass --config, or set INTERLOCK_CONFIG.",
            ) from error
        except ValueError as error:
            raise UsageError(f"{path} is not JSON: {error}.", hint=_SHAPE) from error
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path} names no graphs.", hint=_SHAPE) from error
        return cls(folder=path.resolve().parent, targets=targets)

    @property
    def names(self) -> tuple[str, ...]:
        """The graphs that can be run here, those that every application has last."""
        return tuple({**self.targets, **BUILT_IN})

    def graph(self, name: str) -> Graph:
        """Return a compiled graph; raises `NotFound` for an unknown name, `UsageError` for one that does not import."""
        target = self.targets.get(name) or BUILT_IN.get(name)
        if target is None:
            known = ", ".join(sorted(self.targets)) or "none"
            raise NotFound(f"There is no graph {name!r}.", hint=f"{CONFIG_NAME} names: {known}.")
        if name not in self._loaded:
            self._loaded[name] = self._load(name, target)
        return self._loaded[name]

    def _load(self, name: str, target: str) -> Graph:
        module, separator, variable = target.rpartition(":")
        if not separator:
            raise UsageError(
                f"Graph {name!r} is {target!r} in {CONFIG_NAME}.",
                hint="Write package.module:variable.",
            )
        if str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))
        try:
            found = getattr(self._module(module), variable)
        except Exception as error:  # an application's module may raise anything
            raise UsageError(
                f"Graph {name!r} ({target}) cannot be imported: {_told(error)}."
            ) from error
        if callable(found) and not isinstance(found, CompiledStateGraph):
            found = _made(found, name, target)
        if not isinstance(found, CompiledStateGraph):
            raise UsageError(
                f"{target} is a {type(found).__name__}, not a compiled graph.",
                hint="Call .compile().",
            )
        return found

    def _module(self, module: str) -> Any:  # a module
        if not module.endswith(".py"):
            return importlib.import_module(module)
        path = (self.folder / module).resolve()
        if not path.is_file():
            raise ImportError(f"there is no file {path}")
        # Checkpoints name classes by module: the same file has the same name in each process, on each machine.
        digest = hashlib.sha256(Path(module).as_posix().encode()).hexdigest()[:8]
        name = f"interlock_graph_{path.stem}_{digest}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[name] = loaded
        try:
            spec.loader.exec_module(loaded)
        except BaseException:
            del sys.modules[name]
            raise
        return loaded


def _made(factory: Callable[..., Any], name: str, target: str) -> Any:  # a graph, it is hoped
    """Call a factory, which may take a configuration, as LangGraph's server does."""
    if inspect.iscoroutinefunction(factory) or inspect.isasyncgenfunction(factory):
        raise UsageError(
            f"Graph {name!r} ({target}) is made by an asynchronous function.",
            hint="Name a compiled graph, or a plain function that returns one.",
        )
    try:
        return factory(*({} for _ in _needed(factory)))
    except Exception as error:  # the application's own code
        raise UsageError(f"Graph {name!r} ({target}) cannot be made: {_told(error)}.") from error


def _needed(factory: Callable[..., Any]) -> list[str]:
    return [
        each.name
        for each in inspect.signature(factory).parameters.values()
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]


def _told(error: Exception) -> str:
    if isinstance(error, ImportError | AttributeError):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _target(value: Any) -> str:  # JSON
    return str(value["path"] if isinstance(value, dict) else value)


def _search(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    raise UsageError(
        f"There is no {CONFIG_NAME} in {start} or above it.",
        hint="Go to your application's folder, or pass --config.",
    )
