"""libSQL for Python: `import libsql_core as sqlite3`."""

from typing import TYPE_CHECKING

from libsql_core import _engine, _legacy
from libsql_core import dump as dump
from libsql_core._include import get_include
from libsql_core._install import install_as_sqlite3
from libsql_core._version import __version__
from libsql_core.dbapi2 import *  # noqa: F403
from libsql_core.dbapi2 import __all__ as __all__

__all__ = [*__all__, "__version__", "get_include", "install_as_sqlite3"]

if not TYPE_CHECKING:

    def _open_replica():
        from libsql_core.replication.connection import open_replica

        return open_replica

    _engine.set_open_replica(_open_replica)

    def __getattr__(name):
        return _legacy.attribute(__name__, name)
