"""Where the command line keeps files of its own: beside the database's data."""

from __future__ import annotations

from pathlib import Path

from interlock.cli.call import Call


def own_folder(call: Call, name: str) -> Path:
    """Return a folder for files of our own, whether it exists or not."""
    from interlock.postgres.embedded import default_data_dir

    settings = call.settings()
    ours = None if settings.database_url else settings.data_dir
    return (ours or default_data_dir().parent).expanduser().absolute() / name
