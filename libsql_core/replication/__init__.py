"""Replicas of a database: `libsql_core.connect("local.db", sync_url="http://primary:8080")`.

The file is read as any other; what writes runs on the primary, and `sync()` fetches what was committed there.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libsql_core._engine import ReplicationError
    from libsql_core.replication.connection import OfflineConnection, ReplicaConnection
    from libsql_core.replication.cursor import ReplicaCursor
    from libsql_core.replication.errors import (
        AuthenticationError,
        ConflictError,
        PrimaryError,
        ProtocolError,
        ReplicaError,
        UnreachableError,
    )
    from libsql_core.replication.sync import SyncResult

__all__ = [
    "AuthenticationError",
    "ConflictError",
    "OfflineConnection",
    "PrimaryError",
    "ProtocolError",
    "ReplicaConnection",
    "ReplicaCursor",
    "ReplicaError",
    "ReplicationError",
    "SyncResult",
    "UnreachableError",
]

if not TYPE_CHECKING:
    _PLACES = {
        "OfflineConnection": "connection",
        "ReplicaConnection": "connection",
        "ReplicaCursor": "cursor",
        "SyncResult": "sync",
    }

    def __getattr__(name):
        """A server needs the messages alone, so the rest is loaded when it is asked for."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "ReplicationError":
            return import_module("libsql_core._engine").ReplicationError
        return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'errors')}"), name)
