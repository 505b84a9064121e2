"""The application: what its langgraph.json names, imported when first used."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from interlock import langgraph_json
from interlock.errors import NotFound, UsageError
from interlock.factories import made
from interlock.langgraph_json import NAME, Config

Graph = CompiledStateGraph[Any, Any, Any, Any]  # any application's state, context, input and output

BUILT_IN: Mapping[str, str] = {"interlock.repair": "interlock.repair.graph:graph"}
"""Graphs of ours that every application has."""

_LINE = re.compile(r"^\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)$")
_QUOTED = re.compile(r"""^(?P<mark>['"])(?P<text>.*)(?P=mark)\s*(#.*)?$""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Graphs by name.

    Attributes:
        folder: where langgraph.json stands; it is importable, and relative graph files start there.
        targets: graph name -> `package.module:variable` or `./file.py:variable`.
        config: all that langgraph.json says.
    """

    folder: Path
    targets: Mapping[str, str]
    config: Config = field(default_factory=lambda: Config(graphs={}), compare=False)
    _loaded: dict[str, Graph] = field(default_factory=dict, repr=False, compare=False)
    _modules: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # modules
    _lock: RLock = field(default_factory=RLock, repr=False, compare=False)

    @classmethod
    def find(cls, config: Path | None = None) -> Application:
        """Read langgraph.json: the given one, or the first one in this folder or above; raises `UsageError`."""
        path = config or _search(Path.cwd())
        read = langgraph_json.read(path)
        targets = {name: entry.path for name, entry in read.graphs.items()}
        return cls(folder=path.resolve().parent, targets=targets, config=read)

    def about(self, name: str) -> str:
        """Return the first paragraph of what a graph's module says about itself; the graph was imported before."""
        module = sys.modules.get(self.targets[name].rpartition(":")[0])
        text = inspect.cleandoc((module and module.__doc__) or f"The graph {name}.")
        return text.partition("\n\n")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The graphs that can be run here, those that every application has last."""
        return tuple({**self.targets, **BUILT_IN})

    def graph(self, name: str) -> Graph:
        """Return a compiled graph; raises `NotFound` for an unknown name, `UsageError` for one that does not import."""
        target = self.targets.get(name) or BUILT_IN.get(name)
        if target is None:
            known = ", ".join(sorted(self.targets)) or "none"
            raise NotFound(f"There is no graph {name!r}.", hint=f"{NAME} names: {known}.")
        with self._lock:  # threads that come at once get one graph
            if name not in self._loaded:
                self._loaded[name] = self._load(name, target)
            return self._loaded[name]

    def prepare(self) -> None:
        """Make the application's folders importable, and set its environment where the process's says nothing.

        Raises:
            UsageError: the file of the environment cannot be read.
        """
        for name, value in environment_of(self.config, self.folder).items():
            os.environ.setdefault(name, value)
        folders = [each for each in self.config.dependencies if langgraph_json.is_folder(each)]
        for folder in (*reversed(folders), "."):
            path = str((self.folder / folder).resolve())
            if path not in sys.path:
                sys.path.insert(0, path)

    def found(self, what: str, target: str) -> Any:  # whatever it is
        """Import what `package.module:variable` or `./file.py:variable` names.

        Args:
            what: it is, for errors, as `Graph 'name'`.
            target: where it is.

        Raises:
            UsageError: it cannot be imported.
        """
        module, separator, variable = target.rpartition(":")
        if not separator:
            raise UsageError(
                f"{what} is {target!r} in {NAME}.", hint="Write package.module:variable."
            )
        self.prepare()
        try:
            return getattr(self._module(module), variable)
        except Exception as error:  # an application's module may raise anything
            raise UsageError(f"{what} ({target}) cannot be imported: {_told(error)}.") from error

    def _load(self, name: str, target: str) -> Graph:
        found = self.found(f"Graph {name!r}", target)
        if callable(found) and not isinstance(found, CompiledStateGraph | StateGraph):
            try:
                found = made(found)
            except Exception as error:  # the application's own code
                raise UsageError(
                    f"Graph {name!r} ({target}) cannot be made: {_told(error)}."
                ) from error
        if isinstance(found, StateGraph):
            found = found.compile(name=name)
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
        if name in self._modules:
            return self._modules[name]
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
        return self._modules.setdefault(name, loaded)


def _told(error: Exception) -> str:
    if isinstance(error, ImportError | AttributeError):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")


def environment_of(config: Config, folder: Path) -> dict[str, str]:
    """Return the variables that an application wants to be set; raises `UsageError`."""
    if not isinstance(config.env, str):
        return dict(config.env)
    path = folder / config.env
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}.", hint=f"{NAME} names it as `env`."
        ) from error
    return {found["name"]: _value(found["value"]) for line in lines if (found := _LINE.match(line))}


def _value(text: str) -> str:
    """Return a value as shells read it: in quotes as it stands, else up to a comment."""
    if quoted := _QUOTED.match(text):
        return quoted["text"]
    return re.split(r"\s#", text, maxsplit=1)[0].strip()


def _search(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / NAME).is_file():
            return folder / NAME
    raise UsageError(
        f"There is no {NAME} in {start} or above it.",
        hint="Go to your application's folder, or pass --config.",
    )
