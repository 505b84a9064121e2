"""What the demo researches: real documents that are on every machine, and a question to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from interlock.errors import InterlockError

GRAPH = "research"
QUESTION = (
    "How does Python resolve a name, when is UnboundLocalError raised, "
    "and what does the nonlocal statement do?"
)


def topics() -> Mapping[str, str]:
    """Return the reference of the Python language as it comes with Python: topic -> text."""
    from pydoc_data.topics import topics as found

    return found


def write_documents(folder: Path) -> int:
    """Write the topics as text files, leave those that are the same, and return how many there are.

    Raises:
        InterlockError: the folder cannot be written to.
    """
    texts = {f"{topic}.txt": text for topic, text in topics().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _write(folder / name, text)
        for stale in set(folder.glob("*.txt")) - {folder / name for name in texts}:
            stale.unlink()  # a topic of another version of Python
    except OSError as error:
        raise InterlockError(
            f"The demo's documents cannot be written to {folder}: {error.strerror}.",
            hint="Give a folder of your own with --data-dir.",
        ) from error
    return len(texts)


def _write(path: Path, text: str) -> None:
    if not (path.is_file() and path.read_text(encoding="utf-8") == text):
        path.write_text(text, encoding="utf-8")
