"""The wheel, built from the tree and used outside of it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("graphs", "interlock", "nodes", "state")
WHERE = """
import graphs, interlock, nodes, state
print(*(each.__file__ for each in (graphs, interlock, nodes, state)), sep="\\n")
"""
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A fresh environment, outside of the tree, that holds the wheel."""

    folder: Path
    elsewhere: Path

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in an empty folder, with none of our settings."""
        environment = {
            key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ
        }
        return subprocess.run(
            [self.folder / "bin" / command, *arguments],
            cwd=self.elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel into a fresh environment which borrows the dependencies that are here."""
    folder = tmp_path_factory.mktemp("outside") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "-qq",
        "--disable-pip-version-check",
        "--python",
        str(python),
    ]
    install = [*pip, "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=60)
    _borrow_dependencies(folder)
    return Installed(folder=folder, elsewhere=tmp_path_factory.mktemp("elsewhere"))


def _borrow_dependencies(folder: Path) -> None:
    """Add the packages that are installed here, but not what their `.pth` files add: the tree."""
    [site_packages] = folder.glob("lib/python3*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")


def test_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    """The wheel's top level is the packages and their metadata: no tests, no benchmarks."""
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {name for name in tops if not name.endswith(".dist-info")} == set(PACKAGES)


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Code and data (SQL, prompts, templates, type markers) are in the wheel, file by file."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert names == {path for package in PACKAGES for path in _files(package)}


def test_wheel_carries_its_licence(wheel: Path) -> None:
    """The licence travels with the code."""
    archive = zipfile.ZipFile(wheel)
    [licence] = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]

    assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_packages_come_from_the_wheel(installed: Installed) -> None:
    """Outside of the tree, imports find the wheel and not the tree."""
    done = installed.run("python", "-c", WHERE)

    assert done.stderr == ""
    assert {Path(line).is_relative_to(installed.folder) for line in done.stdout.split()} == {True}


def test_every_module_of_the_wheel_imports(installed: Installed) -> None:
    """Each module can be imported on its own, from any folder, without a warning."""
    done = installed.run("python", "-W", "error", "-c", IMPORT_ALL, *PACKAGES)

    assert (done.returncode, done.stderr) == (0, "")


def test_command_works_outside_of_the_tree(installed: Installed) -> None:
    """The installed command explains itself."""
    done = installed.run("interlock", "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert "run" in done.stdout


def _files(package: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
