from typing import Any

from libsql_core import Connection

__all__ = ["ffi", "handle", "lib"]

# cffi's own types need a stub package, so none is named here.
ffi: Any
lib: Any

def handle(connection: Connection) -> Any: ...
