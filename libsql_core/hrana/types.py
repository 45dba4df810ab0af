"""What a client may ask, whatever the encoding and the transport it came by.

Values are plain Python: None, int, float, str and bytes, which the engine tells apart when it binds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

Value: TypeAlias = int | float | str | bytes | None
# ("ok", step), ("error", step), ("not", condition), ("and" or "or", [conditions]), ("is_autocommit", None)
Condition: TypeAlias = tuple[str, Any]

# The nesting that a condition may have, as much as sqld's JSON parser lets through.
MAX_DEPTH = 120


class Stmt(NamedTuple):
    sql: str | None
    sql_id: int | None
    args: Sequence[Value] = ()
    named_args: Sequence[tuple[str, Value]] = ()


class IndexedStmt(Stmt):
    """One of a client that knows of a frame in the database's history: it sees no older state."""

    frame: int


def indexed(stmt: Stmt, frame: int | None) -> Stmt:
    """A statement that sees a frame, if there is one to be seen."""
    if frame is None:
        return stmt
    made = IndexedStmt(*stmt)
    made.frame = frame
    return made


class Step(NamedTuple):
    condition: Condition | None
    stmt: Stmt


class Batch(NamedTuple):
    steps: list[Step]


def indexed_batch(batch: Batch, frame: int | None) -> Batch:
    """A batch that sees a frame: its first statement says so."""
    if frame is not None and batch.steps:
        condition, stmt = batch.steps[0]
        batch.steps[0] = Step(condition, indexed(stmt, frame))
    return batch


class Text(NamedTuple):
    """The SQL of `sequence` and `describe`."""

    sql: str | None
    sql_id: int | None


class StoreSql(NamedTuple):
    sql_id: int
    sql: str


class StreamRequest(NamedTuple):
    """One request to a stream. `kind` is its name on the wire; what `body` is depends on it:

    execute: Stmt; batch, open_cursor: Batch; sequence, describe: Text; store_sql: StoreSql; close_sql: its id;
    fetch_cursor: the most entries; others: None. The ids count on WebSockets only.
    """

    kind: str
    body: Any = None
    stream_id: int = 0
    cursor_id: int = 0


class PipelineBody(NamedTuple):
    baton: str | None
    requests: list[StreamRequest]


class CursorBody(NamedTuple):
    baton: str | None
    batch: Batch


class Hello(NamedTuple):
    jwt: str | None


class SocketRequest(NamedTuple):
    request_id: int
    request: StreamRequest
