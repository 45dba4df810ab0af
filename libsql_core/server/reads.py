"""Reads that are known to be short run on any connection, straight away: a session has nothing to do for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from libsql_core._engine import StatementError
from libsql_core.server.api import FULL
from libsql_core.server.session import SHORT

if TYPE_CHECKING:
    from libsql_core._engine import ServerConnection
    from libsql_core.hrana.types import Value
    from libsql_core.server.api import RequestContext
    from libsql_core.server.session import Encoding


def short_read(
    connection: ServerConnection,
    context: RequestContext,
    sql: str,
    args: Sequence[Value],
    named: Sequence[tuple[str, Value]],
    encoding: Encoding,
    limit: int,
    head: bytes,
    tail: bytes,
) -> bytes | None:
    """head + StmtResult + tail; None if it is no such read, or fails: a session is to find out how."""
    namespace = context.namespace
    if context.permission != FULL or namespace.config.block_reads:
        return None
    if namespace.migrations is not None or not namespace.current:
        return None
    if args and named:
        return None
    try:
        answer = connection.read(sql, args, named, encoding, limit, head, tail, SHORT)
    except StatementError:
        return None
    if answer is not None:
        namespace.stats.note(sql, connection.micros, connection.rows_read, connection.rows_written)
    return answer
