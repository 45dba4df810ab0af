from typing import Any

from libsql_core import Connection

__all__ = ["ffi", "handle", "lib"]

# cffi ships no types, so none of its own is named here.
ffi: Any
lib: Any

def handle(connection: Connection) -> Any: ...
