"""Examples at the end of a command's help, line by line as they are written."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Return what a command takes as its `epilog`."""
    return "\n".join(("\b", "Examples:", *(f"  {each}" for each in lines)))
