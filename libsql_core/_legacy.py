"""Names that older interpreters' `sqlite3` still has, with the warnings it gives."""

from __future__ import annotations

import sys
import warnings

from libsql_core import _engine

version = "2.6.0"
version_info = (2, 6, 0)


def _warn(text: str, stacklevel: int) -> None:
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)


def enable_shared_cache(do_enable: int) -> None:
    """Switch SQLite's shared cache for connections opened from now on."""
    _warn(
        "enable_shared_cache is deprecated and will be removed in Python 3.12. Shared cache is strongly discouraged "
        "by the SQLite 3 documentation. If shared cache must be used, open the database in URI mode using"
        "the cache=shared query parameter.",
        3,
    )
    _engine.enable_shared_cache(do_enable)


def attribute(module: str, name: str) -> object:
    """What the running interpreter's module of that name still answers; raises AttributeError otherwise."""
    if sys.version_info < (3, 12):
        if name == "OptimizedUnicode" and module == "libsql_core":
            _warn(
                "\n            OptimizedUnicode is deprecated and will be removed in Python 3.12."
                "\n            Since Python 3.3 it has simply been an alias for 'str'.\n        ",
                4,
            )
            return str
    elif sys.version_info < (3, 14) and name in ("version", "version_info"):
        _warn(f"{name} is deprecated and will be removed in Python 3.14", 4)
        return globals()[name]
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
