# Exceptions, and the one place where a result code becomes one.
from libsql_core._constants import ERROR_NAMES


class Warning(Exception):
    """Raised by the interface for important warnings; kept because PEP 249 asks for it."""
    __module__ = "libsql_core"


class Error(Exception):
    """Base of all errors of this module.

    Where SQLite reported the error, `sqlite_errorcode` is its extended result code and `sqlite_errorname` that
    code's name.
    """
    __module__ = "libsql_core"


class InterfaceError(Error):
    """The SQLite interface was misused."""
    __module__ = "libsql_core"


class DatabaseError(Error):
    """Something is wrong with the database itself, for example a file that is not one."""
    __module__ = "libsql_core"


class InternalError(DatabaseError):
    """SQLite reported an internal error."""
    __module__ = "libsql_core"


class OperationalError(DatabaseError):
    """The statement could not be carried out: bad SQL, a lock, a full disk, a missing table."""
    __module__ = "libsql_core"


class ProgrammingError(DatabaseError):
    """The API was used wrongly, for example a closed connection or a wrong number of parameters."""
    __module__ = "libsql_core"


class IntegrityError(DatabaseError):
    """A constraint was violated."""
    __module__ = "libsql_core"


class DataError(DatabaseError):
    """A value cannot be stored, for example because it is too long."""
    __module__ = "libsql_core"


class NotSupportedError(DatabaseError):
    """The database library does not support the call."""
    __module__ = "libsql_core"


# Primary result code -> exception class; any other code is a DatabaseError.
cdef dict error_classes = {
    1: OperationalError, 2: InternalError, 3: OperationalError, 4: OperationalError, 5: OperationalError,
    6: OperationalError, 8: OperationalError, 9: OperationalError, 10: OperationalError, 11: DatabaseError,
    12: InternalError, 13: OperationalError, 14: OperationalError, 15: OperationalError, 16: OperationalError,
    17: OperationalError, 18: DataError, 19: IntegrityError, 20: IntegrityError,
    21: InterfaceError if PY_VERSION_HEX >= 0x030B0000 else ProgrammingError,
    25: InterfaceError if PY_VERSION_HEX >= 0x030B0000 else DatabaseError,
}


cdef object make_error(int rc, str message):
    cdef object error = error_classes.get(rc & 0xff, DatabaseError)(message)
    error.sqlite_errorcode = rc
    error.sqlite_errorname = ERROR_NAMES.get(rc, "unknown")
    cause = take_cause(rc)
    if cause is not None:
        error.__cause__ = cause
    return error


cdef int raise_code(int rc) except -1:
    """Raise for a code that has no message in a connection."""
    if rc & 0xff == SQLITE_NOMEM:
        raise MemoryError()
    raise make_error(rc, sqlite3_errstr(rc).decode("utf-8", "replace"))


cdef int raise_error(lsc_error *error) except -1:
    """Raise what a call of lsc.h noted, and free the note."""
    cdef char *text = error.text
    error.text = NULL
    if text is NULL or error.code & 0xff == SQLITE_NOMEM:
        sqlite3_free(text)
        raise MemoryError()
    message = text.decode("utf-8", "replace")
    sqlite3_free(text)
    raise make_error(error.code, message)


cdef int raise_handle(sqlite3 *db) except -1:
    """Raise what the last call on a handle left behind that no other thread can use."""
    cdef int rc = sqlite3_extended_errcode(db)
    if rc & 0xff == SQLITE_NOMEM:
        raise MemoryError()
    raise make_error(rc, sqlite3_errmsg(db).decode("utf-8", "replace"))


cdef int raise_db(Connection con) except -1:
    """Raise what the connection's last call left behind."""
    if con.db is NULL:
        check_open(con)
    lock(con)
    try:
        raise_handle(con.db)
    finally:
        unlock(con)
