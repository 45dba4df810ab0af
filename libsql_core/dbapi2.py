"""The DB-API 2.0 module (PEP 249), as the standard library's `sqlite3.dbapi2`."""

from __future__ import annotations

import datetime
import sys
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from libsql_core import _legacy
from libsql_core._constants import *  # noqa: F403
from libsql_core._constants import __all__ as __all__
from libsql_core._engine import (
    LEGACY_TRANSACTION_CONTROL,
    PARSE_COLNAMES,
    PARSE_DECLTYPES,
    Blob,
    Connection,
    Cursor,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    PrepareProtocol,
    ProgrammingError,
    Row,
    Warning,
    adapt,
    adapters,
    complete_statement,
    connect,
    converters,
    enable_callback_tracebacks,
    libsql_source_id,
    libsql_version,
    parse_timestamp,
    register_adapter,
    register_converter,
    sqlite_version,
    threadsafety,
)

apilevel: Final = "2.0"
paramstyle: Final = "qmark"

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = memoryview

sqlite_version_info: Final = tuple(int(part) for part in sqlite_version.split("."))


def DateFromTicks(ticks: float) -> datetime.date:
    """The local date at a Unix time."""
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """The local time of day at a Unix time, in whole seconds."""
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """The local date and time at a Unix time, in whole seconds."""
    return Timestamp(*time.localtime(ticks)[:6])


def _deprecated(what: str) -> None:
    if sys.version_info >= (3, 12):
        warnings.warn(
            f"The default {what} is deprecated as of Python 3.12; see the sqlite3 documentation for suggested "
            "replacement recipes",
            DeprecationWarning,
            stacklevel=3,
        )


def _adapt_date(value: datetime.date) -> str:
    _deprecated("date adapter")
    return value.isoformat()


def _adapt_datetime(value: datetime.datetime) -> str:
    _deprecated("datetime adapter")
    return value.isoformat(" ")


def _convert_date(data: bytes) -> datetime.date:
    _deprecated("date converter")
    year, month, day = map(int, data.split(b"-"))
    return datetime.date(year, month, day)


def _convert_timestamp(data: bytes) -> datetime.datetime:
    _deprecated("timestamp converter")
    usual = parse_timestamp(data)
    if usual is not None:
        return usual
    day, clock = data.split(b" ")
    year, month, date = map(int, day.split(b"-"))
    whole, _, fraction = clock.partition(b".")
    hour, minute, second = map(int, whole.split(b":"))
    # At most six digits count; fewer are tenths, hundredths, and so on.
    micro = int(fraction[:6].ljust(6, b"0")) if fraction else 0
    return datetime.datetime(year, month, date, hour, minute, second, micro)


register_adapter(datetime.date, _adapt_date)
register_adapter(datetime.datetime, _adapt_datetime)
register_converter("date", _convert_date)
register_converter("timestamp", _convert_timestamp)
Sequence.register(Row)

if not TYPE_CHECKING:

    def __getattr__(name):
        return _legacy.attribute(__name__, name)


if sys.version_info < (3, 12):
    from libsql_core._legacy import enable_shared_cache, version, version_info

__all__ = [
    *__all__,
    "LEGACY_TRANSACTION_CONTROL",
    "PARSE_COLNAMES",
    "PARSE_DECLTYPES",
    "Binary",
    "Blob",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "PrepareProtocol",
    "ProgrammingError",
    "Row",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "adapt",
    "adapters",
    "apilevel",
    "complete_statement",
    "connect",
    "converters",
    "enable_callback_tracebacks",
    "libsql_source_id",
    "libsql_version",
    "paramstyle",
    "register_adapter",
    "register_converter",
    "sqlite_version",
    "sqlite_version_info",
    "threadsafety",
]
if sys.version_info < (3, 12):
    __all__ += ["enable_shared_cache", "version", "version_info"]
