"""How SQLite is compiled. Nothing here changes what a statement returns."""

from __future__ import annotations

import sys

SQLITE_DEFINES: list[tuple[str, str | None]] = [
    ("SQLITE_THREADSAFE", "1"),
    ("SQLITE_TEMP_STORE", "1"),
    ("SQLITE_MAX_VARIABLE_NUMBER", "250000"),
    ("SQLITE_ENABLE_BYTECODE_VTAB", None),
    ("SQLITE_ENABLE_CARRAY", None),
    ("SQLITE_ENABLE_COLUMN_METADATA", None),
    ("SQLITE_ENABLE_DBSTAT_VTAB", None),
    ("SQLITE_ENABLE_FTS3", None),
    ("SQLITE_ENABLE_FTS3_PARENTHESIS", None),
    ("SQLITE_ENABLE_FTS4", None),
    ("SQLITE_ENABLE_FTS5", None),
    ("SQLITE_ENABLE_GEOPOLY", None),
    ("SQLITE_ENABLE_MATH_FUNCTIONS", None),
    ("SQLITE_ENABLE_PERCENTILE", None),
    ("SQLITE_ENABLE_PREUPDATE_HOOK", None),
    ("SQLITE_ENABLE_RTREE", None),
    ("SQLITE_ENABLE_SESSION", None),
    ("SQLITE_ENABLE_SNAPSHOT", None),
    ("SQLITE_ENABLE_STAT4", None),
    ("SQLITE_ENABLE_STMTVTAB", None),
    ("SQLITE_ENABLE_UNLOCK_NOTIFY", None),
    ("SQLITE_ENABLE_UPDATE_DELETE_LIMIT", None),
    ("SQLITE_SOUNDEX", None),
]

if sys.platform != "win32":
    SQLITE_DEFINES += [
        ("HAVE_USLEEP", "1"),
        ("HAVE_LOCALTIME_R", "1"),
        ("HAVE_GMTIME_R", "1"),
        ("HAVE_ISNAN", "1"),
        ("USE_PREAD", "1"),
    ]
if sys.platform.startswith("linux"):
    SQLITE_DEFINES += [
        ("HAVE_FDATASYNC", "1"),
        ("HAVE_MALLOC_H", "1"),
        ("HAVE_MALLOC_USABLE_SIZE", "1"),
        ("HAVE_STRCHRNUL", "1"),
    ]
