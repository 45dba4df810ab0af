"""SQLite's whole C API, and that of libSQL, through cffi: `lib.sqlite3_open(...)`, `ffi.new(...)`.

It is the engine that `libsql_core` itself runs on, not a second one. A wrong call here can crash the process, as in C.
"""

from libsql_core import _engine
from libsql_core.lowlevel._lowlevel import ffi, lib

__all__ = ["ffi", "handle", "lib"]

_problem = lib._lsc_attach()
if _problem:
    raise ImportError(f"libsql_core.lowlevel does not fit the engine: {ffi.string(_problem).decode()}")


def handle(connection):
    """The `sqlite3 *` of a connection.

    Borrowed: valid until the connection is closed; never close it yourself. Do not use the connection in another
    thread while a call with this handle runs, as the connection cannot know of it. Raises ProgrammingError if the
    connection is closed, or belongs to another thread.
    """
    return ffi.cast("sqlite3 *", _engine.handle(connection))
