"""What replication raises beyond the errors of the DB-API; each is an OperationalError.

ReplicationError, of which frames that do not fit are one, comes from the engine.
"""

from __future__ import annotations

from libsql_core._constants import ERROR_NAMES
from libsql_core._engine import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)


class ProtocolError(OperationalError):
    """The other side sent what the protocol does not allow."""


class UnreachableError(OperationalError):
    """The primary cannot be reached, or the connection to it broke."""


class ReplicaError(OperationalError):
    """The files of the replica are not what synchronization left: something else changed or removed them."""


class PrimaryError(OperationalError):
    """The primary refused a call. `status` is that of gRPC, or of HTTP; `reason` is what it said."""

    def __init__(self, message: str, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class AuthenticationError(PrimaryError):
    """The primary does not accept the token, or not for this."""


class ConflictError(PrimaryError):
    """The primary has changes that the local ones were made without: they cannot be pushed."""


# The class of each primary result code where it is not OperationalError.
_CLASSES: dict[int, type[DatabaseError] | type[InterfaceError]] = {
    2: InternalError, 12: InternalError, 11: DatabaseError, 18: DataError, 19: IntegrityError, 20: IntegrityError,
    21: InterfaceError, 25: InterfaceError, 26: DatabaseError, 23: DatabaseError,
}  # fmt: skip


def sql_error(message: str, extended_code: int) -> DatabaseError | InterfaceError:
    """The exception for a statement that failed on the primary, as if it had failed here."""
    code = extended_code if extended_code > 0 else 1
    error = _CLASSES.get(code & 0xFF, OperationalError)(message)
    error.sqlite_errorcode = code
    error.sqlite_errorname = ERROR_NAMES.get(code) or ERROR_NAMES.get(code & 0xFF, "unknown")
    return error
