"""Which files are read, and as what."""

from __future__ import annotations

from pathlib import PurePath

MARKDOWN = "text/markdown"
PLAIN = "text/plain"
RST = "text/x-rst"
HTML = "text/html"
PDF = "application/pdf"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
NOTEBOOK = "application/x-ipynb+json"
CODE = "text/x-code"
DATA = "text/x-data"

_DOCUMENTS = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".mdx": MARKDOWN,
    ".txt": PLAIN,
    ".text": PLAIN,
    ".tex": PLAIN,
    "": PLAIN,
    ".rst": RST,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".pdf": PDF,
    ".docx": WORD,
    ".ipynb": NOTEBOOK,
}
_DATA = ".json .jsonl .toml .yaml .yml .csv .tsv .log .ini .cfg .conf .xml"
_ARCHIVE = ".zip .tar .gz .tgz .bz2 .xz .zst .7z .rar .jar .war .whl .egg .iso .dmg .deb .rpm .cab"
_CODE = (
    ".py .pyi .js .mjs .cjs .jsx .ts .tsx .java .kt .kts .scala .go .rs .c .h .cc .cpp .cxx .hpp"
    " .cs .swift .m .rb .php .pl .pm .lua .r .jl .hs .ml .ex .exs .erl .clj .dart .zig .nim .vue"
    " .svelte .sh .bash .zsh .fish .ps1 .sql .css .scss .proto .graphql .tf .gradle .cmake .mk .el"
)
_SUFFIXES = _DOCUMENTS | dict.fromkeys(_DATA.split(), DATA) | dict.fromkeys(_CODE.split(), CODE)
_CONTENT_TYPES = {
    "application/xhtml+xml": HTML,
    "application/json": DATA,
    "application/xml": DATA,
    "application/yaml": DATA,
    "application/toml": DATA,
    "text/csv": DATA,
    "text/xml": DATA,
    "text/javascript": CODE,
    "application/javascript": CODE,
}
_READ = frozenset(_SUFFIXES.values())
_ARCHIVES = frozenset(_ARCHIVE.split())


def media_of_name(name: str) -> str | None:
    """Return what a file of this name is read as; None when it is not read."""
    return _SUFFIXES.get(PurePath(name).suffix.lower())


def is_archive(name: str) -> bool:
    """Say whether the name is that of an archive."""
    return PurePath(name).suffix.lower() in _ARCHIVES


def media_of_response(content_type: str, path: str) -> str | None:
    """Return what a response is read as, by its content type and else by the path of its URL."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _READ and kind != PLAIN:
        return kind
    if kind in _CONTENT_TYPES:
        return _CONTENT_TYPES[kind]
    named = media_of_name(path) if PurePath(path).suffix else None
    if kind.startswith("text/"):
        return named or PLAIN
    return named if kind in {"", "application/octet-stream", "binary/octet-stream"} else None
