"""A real Postgres server from a wheel: one per data directory, shared by several processes."""

from interlock.postgres.embedded.folder import default_data_dir
from interlock.postgres.embedded.server import (
    EmbeddedServer,
    ServerStatus,
    start,
    status,
    stop,
)

__all__ = ["EmbeddedServer", "ServerStatus", "default_data_dir", "start", "status", "stop"]
