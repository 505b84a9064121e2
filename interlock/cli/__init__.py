"""The command line: one file per group of commands; whatever is heavy is imported where it is used."""

from interlock.cli.program import main

__all__ = ["main"]
