"""Putting this module in the place of `sqlite3` for code that imports that name itself."""

from __future__ import annotations

import gc
import sys
from types import ModuleType


def _has_open_connection(stdlib: ModuleType) -> bool:
    # Asked of every object the collector knows, for a subclass's instances are listed nowhere else.
    for thing in gc.get_objects():
        if issubclass(type(thing), stdlib.Connection):
            try:
                _ = thing.in_transaction
            except stdlib.ProgrammingError:
                continue  # closed
            return True
    return False


def install_as_sqlite3() -> None:
    """Make `import sqlite3`, anywhere in this process, give this module.

    Call it first thing, before anything else imports `sqlite3`: modules that did so already keep what they have.
    Calling it again does nothing.

    Raises RuntimeError if the standard library's module has open connections. Two copies of SQLite that open the
    same file in one process drop each other's locks, which can destroy the file.
    """
    ours = sys.modules["libsql_core"]
    if sys.modules.get("sqlite3") is ours:
        return
    stdlib = sys.modules.get("_sqlite3")
    if stdlib is not None and stdlib is not ours and _has_open_connection(stdlib):
        raise RuntimeError(
            "cannot install libsql_core as sqlite3: the standard library's sqlite3 has open connections; "
            "call install_as_sqlite3() before they are opened, or close them first"
        )
    for name in [name for name in sys.modules if name.startswith("sqlite3.")]:
        del sys.modules[name]
    sys.modules["sqlite3"] = sys.modules["_sqlite3"] = ours
    sys.modules["sqlite3.dbapi2"] = sys.modules["libsql_core.dbapi2"]
    sys.modules["sqlite3.dump"] = sys.modules["libsql_core.dump"]
