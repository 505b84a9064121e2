"""Find the files below what was given, and nothing outside of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG

from interlock.core.corpus import Skipped
from interlock.core.documents.limits import LIMITS, Limits
from interlock.core.documents.media import is_archive, media_of_name
from interlock.errors import SourceError

_NOT_WRITTEN_BY_HAND = frozenset(
    ("node_modules", "__pycache__", "venv", "site-packages", "bower_components", "__MACOSX")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file to read; size and time tell whether it changed since it was read before."""

    path: Path
    source: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was found, by source name, and what was passed by."""

    found: tuple[Found, ...]
    skipped: tuple[Skipped, ...]


def scan(sources: Sequence[Path], limits: Limits = LIMITS) -> Scan:
    """Walk the folders and files that were given; the order is that of the source names.

    Raises:
        SourceError: a source does not exist, or is neither a file nor a folder.
    """
    roots = list(dict.fromkeys(_resolved(source) for source in sources))
    walk = _Walk(limits)
    for root in roots:
        walk.root(root)
    files = _named(walk.files, several=len(roots) > 1)
    return Scan(
        found=tuple(sorted(files, key=lambda file: file.source)),
        skipped=tuple(sorted(walk.skipped, key=lambda skipped: skipped["source"])),
    )


def read_bytes(path: Path, limits: Limits = LIMITS) -> bytes:
    """Read a regular file that the scan found; a link or a pipe put in its place is refused.

    Raises:
        OSError: it cannot be opened, is no regular file, or grew over the limit.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        data = file.read(limits.file_bytes + 1)
    if len(data) > limits.file_bytes:
        raise OSError(too_large(len(data), limits))
    return data


def too_large(size: int, limits: Limits) -> str:
    """Say that a source is over the limit."""
    return f"it has {size / 1e6:,.1f} MB, over the limit of {limits.file_bytes / 1e6:,.1f} MB"


def reason_of(error: OSError) -> str:
    """Say in plain words why the system refused."""
    if isinstance(error, PermissionError):
        return "permission denied"
    return (error.strerror or str(error)).lower()


@dataclass(frozen=True, slots=True)
class _File:
    """A found file with the name that it has beside files of other roots."""

    label: str
    found: Found


class _Walk:
    """One walk over all roots: what is reached twice is read once."""

    def __init__(self, limits: Limits) -> None:
        self.files: list[_File] = []
        self.skipped: list[Skipped] = []
        self._limits = limits
        self._seen: set[Path] = set()
        self._links: list[tuple[Path, Path]] = []
        self._folders: set[Path] = set()

    def root(self, root: Path) -> None:
        if root.is_dir():
            self._folders.add(root)
            for path in self._below(root, root):
                self._offer(path, root)
            self._follow_links()
        else:
            self._offer(root, root.parent)

    def _below(self, folder: Path, root: Path) -> Iterator[Path]:
        for path in self._entries(folder, root):
            match _kind(path):
                case "link":
                    self._links.append((path, root))
                case "folder":
                    yield from self._below(path, root)
                case "file":
                    yield path
                case reason:
                    self._skip(path, root, reason)

    def _entries(self, folder: Path, root: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError as error:
            self._skip(folder, root, f"the folder cannot be listed: {reason_of(error)}")
            return []

    def _follow_links(self) -> None:
        """Take links last: a file that is reached under its own name keeps that name."""
        for link, root in self._links:
            target = _target(link)
            if target is None or not target.is_relative_to(root):
                self._skip(link, root, "a link that leads out of the folder or nowhere")
            elif target.is_dir():
                self._skip(link, root, "a link to a folder")
            else:
                self._offer(target, root, link)
        self._links.clear()

    def _offer(self, path: Path, root: Path, link: Path | None = None) -> None:
        name = link or path
        if path in self._seen:
            return
        try:
            status = path.stat()
        except OSError as error:
            self._skip(name, root, reason_of(error))
            return
        if reason := self._refusal(name, status):
            self._skip(name, root, reason)
            return
        self._seen.add(path)
        source = name.relative_to(root).as_posix()
        found = Found(path=path, source=source, size=status.st_size, mtime_ns=status.st_mtime_ns)
        label = f"{root.name}/{source}" if root in self._folders else source
        self.files.append(_File(label, found))

    def _refusal(self, path: Path, status: os.stat_result) -> str:
        if not S_ISREG(status.st_mode):
            return "not a regular file"
        if is_archive(path.name):
            return "an archive; unpack it to have it read"
        if media_of_name(path.name) is None:
            return f"files of the kind {path.suffix.lower()} are not read"
        if status.st_size > self._limits.file_bytes:
            return too_large(status.st_size, self._limits)
        if len(self.files) >= self._limits.files:
            return f"over the limit of {self._limits.files:,} files"
        return ""

    def _skip(self, path: Path, root: Path, reason: str) -> None:
        name = root.name if path == root else path.relative_to(root).as_posix()
        self.skipped.append(Skipped(source="".join(map(_shown, name)), reason=reason))


def _resolved(source: Path) -> Path:
    try:
        resolved = source.expanduser().resolve(strict=True)
    except FileNotFoundError as error:
        raise SourceError(
            f"There is no file or folder '{source}'.", hint="Check the path given as a source."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(
            f"The source '{source}' cannot be opened: {error}.", hint="Check path and permissions."
        ) from error
    if not (resolved.is_dir() or resolved.is_file()):
        raise SourceError(
            f"The source '{source}' is neither a file nor a folder.", hint="Give a file or folder."
        )
    return resolved


def _target(link: Path) -> Path | None:
    try:
        return link.resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def _kind(path: Path) -> str:
    """Return `link`, `folder` or `file`, or else the reason why an entry is passed by."""
    if path.name.startswith("."):
        return "hidden"
    if not path.name.isprintable():
        return "its name has characters that cannot be printed; rename it"
    try:
        if path.is_symlink():
            return "link"
        if not path.is_dir():
            return "file"
    except OSError as error:
        return reason_of(error)
    generated = path.name in _NOT_WRITTEN_BY_HAND
    return "a folder of generated or installed files" if generated else "folder"


def _shown(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def _named(files: list[_File], *, several: bool) -> Iterator[Found]:
    """Name files by their path below their root; with several roots by that of the root as well."""
    if not several:
        yield from (file.found for file in files)
        return
    names = Counter(file.label for file in files)
    for file in files:
        clear = names[file.label] == 1
        yield replace(file.found, source=file.label if clear else file.found.path.as_posix())
