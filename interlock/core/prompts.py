"""Prompts as files with semantic versions: `plan@1.2.0.md`, immutable once released, pinned in each run.

A file holds the system message and, after a line `---`, the user message. `{{name}}` stands for a variable.
`released.json` beside the files holds the SHA-256 of each released version.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.utils import count_tokens_approximately

from interlock.errors import PromptError

TOKEN_LIMIT = 2000
RELEASES = "released.json"
_FILE = re.compile(r"^(?P<name>[a-z][a-z0-9_]*)@(?P<version>\d+\.\d+\.\d+)\.md$")
_VARIABLE = re.compile(r"\{\{([a-z_]+)\}\}")
_FOLDERS: dict[str, Path] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One version of a prompt.

    Attributes:
        name: `group/name`, for example `research/plan`.
        version: semantic version.
        digest: SHA-256 of the file, in hex.
    """

    name: str
    version: str
    digest: str
    system: str
    user: str

    @property
    def tokens(self) -> int:
        """Approximate tokens of both messages, variables not filled in."""
        return count_tokens_approximately([SystemMessage(self.system), HumanMessage(self.user)])

    @property
    def variables(self) -> frozenset[str]:
        """Names of the variables that it needs."""
        return frozenset(_VARIABLE.findall(self.system + self.user))

    def messages(self, values: Mapping[str, str]) -> list[BaseMessage]:
        """Fill the variables in, in one pass: what a value contains is never filled in again."""
        if missing := sorted(self.variables - values.keys()):
            raise PromptError(
                f"Prompt {self.name}@{self.version} needs the variables {', '.join(missing)}."
            )

        def fill(text: str) -> str:
            return _VARIABLE.sub(lambda match: values[match[1]], text)

        return [SystemMessage(fill(self.system)), HumanMessage(fill(self.user))]


def register(group: str, folder: Path) -> None:
    """Say in which folder the prompts of a group are."""
    _FOLDERS[group] = folder


def load(name: str, version: str | None = None) -> Prompt:
    """Return a prompt; without a version the newest release.

    Raises:
        PromptError: there is no such prompt or version, or its file was changed after the release.
    """
    group, _, short = name.partition("/")
    folder = _FOLDERS.get(group)
    if folder is None:
        known = ", ".join(sorted(_FOLDERS)) or "none"
        raise PromptError(f"No prompts are registered for {group!r} (known: {known}).")
    found = versions(name)
    if not found:
        raise PromptError(
            f"There is no released prompt {name!r}.",
            hint=f"Releases stand in {folder.name}/{RELEASES}.",
        )
    wanted = version or found[-1]
    if wanted not in found:
        raise PromptError(
            f"Prompt {name} has no version {wanted}.", hint=f"It has {', '.join(found)}."
        )
    return _read(
        folder / f"{short}@{wanted}.md", name, wanted, _releases(folder)[f"{short}@{wanted}"]
    )


def versions(name: str) -> list[str]:
    """Return the released versions of a prompt, oldest first."""
    group, _, short = name.partition("/")
    pairs = [key.split("@") for key in _releases(_FOLDERS[group])]
    return sorted((version for each, version in pairs if each == short), key=_order)


def registered_groups() -> frozenset[str]:
    """Return the groups whose prompts are registered: those of the graphs that this process has imported."""
    return frozenset(_FOLDERS)


def pins(groups: set[str] | None = None) -> dict[str, str]:
    """Return the newest release of each registered prompt, to be pinned in a run."""
    return {
        name: versions(name)[-1]
        for group, folder in sorted(_FOLDERS.items())
        if groups is None or group in groups
        for name in sorted({f"{group}/{key.split('@')[0]}" for key in _releases(folder)})
    }


def lint(folder: Path) -> list[str]:
    """Return what is wrong with a folder of prompts, one sentence each."""
    releases = _releases(folder)
    faults = [
        f"{key}.md is released but missing"
        for key in releases
        if not (folder / f"{key}.md").exists()
    ]
    for path in sorted(folder.glob("*.md")):
        faults += _lint_file(path, releases)
    return faults


def _lint_file(path: Path, releases: Mapping[str, str]) -> list[str]:
    if not _FILE.match(path.name):
        return [f"{path.name} is not named name@1.2.3.md"]
    text = path.read_text(encoding="utf-8")
    faults = []
    if "\n---\n" not in text:
        faults.append(f"{path.name} has no line --- between the system and the user message")
    if (tokens := count_tokens_approximately([HumanMessage(text)])) > TOKEN_LIMIT:
        faults.append(f"{path.name} has about {tokens} tokens; the limit is {TOKEN_LIMIT}")
    if releases.get(path.stem, digest(text)) != digest(text):
        faults.append(f"{path.name} was changed after its release; make a new version instead")
    return faults


def digest(text: str) -> str:
    """Return the SHA-256 of a prompt file's text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def as_data(text: str, *, source: str) -> str:
    """Fence text that comes from outside; the mark is derived from the text, so the text cannot close its own fence."""
    mark = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"[data {mark} from {json.dumps(source)}]\n{text}\n[end of data {mark}]"


@cache
def _releases(folder: Path) -> Mapping[str, str]:
    path = folder / RELEASES
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@cache
def _read(path: Path, name: str, version: str, expected: str) -> Prompt:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PromptError(f"Prompt {name}@{version} cannot be read: {error}") from error
    if digest(text) != expected:
        raise PromptError(
            f"Prompt {name}@{version} was changed after its release.",
            hint="Restore it, or release a new version.",
        )
    system, separator, user = text.partition("\n---\n")
    if not separator:
        raise PromptError(
            f"Prompt {name}@{version} has no line --- between the system and the user message."
        )
    return Prompt(
        name=name, version=version, digest=expected, system=system.strip(), user=user.strip()
    )


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _main(folders: list[str]) -> int:
    faults = [f"{folder}: {fault}" for folder in folders for fault in lint(Path(folder))]
    sys.stdout.write("\n".join([*faults, f"{len(folders)} folders, {len(faults)} faults"]) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1:]))
