"""The messages of `metadata`, `wal_log` and `proxy`, under the names that sqld gives them, and bincode values.

Where a name is a word of Python's, an underscore follows it.
"""

# The defaults that are called here make fields.
# ruff: noqa: RUF009

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from libsql_core.replication.errors import ProtocolError
from libsql_core.replication.protobuf import (
    BOOL,
    BYTES,
    DOUBLE,
    ENUM,
    INT32,
    INT64,
    STRING,
    UINT32,
    UINT64,
    Message,
    optional,
    plain,
    repeated,
)

# Part of the protocol: peers compare these texts of status 9.
NO_HELLO = "NO_HELLO"
NEED_SNAPSHOT = "NEED_SNAPSHOT"
NAMESPACE_DOESNT_EXIST = "NAMESPACE_DOESNT_EXIST"

Value = int | float | str | bytes | None


# metadata


class DurabilityMode(IntEnum):
    RELAXED = 0
    STRONG = 1
    EXTRA = 2
    OFF = 3


@dataclass(slots=True)
class DatabaseConfig(Message):
    block_reads: bool = plain(1, BOOL)
    block_writes: bool = plain(2, BOOL)
    block_reason: str | None = optional(3, STRING)
    max_db_pages: int = plain(4, UINT64)
    heartbeat_url: str | None = optional(5, STRING)
    bottomless_db_id: str | None = optional(6, STRING)
    jwt_key: str | None = optional(7, STRING)
    txn_timeout_s: int | None = optional(8, UINT64)
    allow_attach: bool = plain(9, BOOL)
    max_row_size: int | None = optional(10, UINT64)
    shared_schema: bool | None = optional(11, BOOL)
    shared_schema_name: str | None = optional(12, STRING)
    durability_mode: int | None = optional(13, ENUM)


# wal_log


class WalFlavor(IntEnum):
    SQLITE = 0
    LIBSQL = 1


@dataclass(slots=True)
class HelloRequest(Message):
    handshake_version: int | None = optional(1, UINT64)


@dataclass(slots=True)
class HelloResponse(Message):
    generation_id: str = plain(1, STRING)
    generation_start_index: int = plain(2, UINT64)
    log_id: str = plain(3, STRING)
    session_token: bytes = plain(4, BYTES)
    current_replication_index: int | None = optional(5, UINT64)
    config: DatabaseConfig | None = optional(6, DatabaseConfig)


@dataclass(slots=True)
class LogOffset(Message):
    next_offset: int = plain(1, UINT64)
    wal_flavor: int | None = optional(2, ENUM)


@dataclass(slots=True)
class Frame(Message):
    data: bytes = plain(1, BYTES)
    timestamp: int | None = optional(2, INT64)
    durable_frame_no: int | None = optional(3, UINT64)


@dataclass(slots=True)
class Frames(Message):
    frames: list[Frame] = repeated(1, Frame)


# proxy: programs


class State(IntEnum):
    INIT = 0
    INVALID = 1
    TXN = 2


class ErrorCode(IntEnum):
    SQL_ERROR = 0
    TX_BUSY = 1
    TX_TIMEOUT = 2
    INTERNAL = 3


@dataclass(slots=True)
class ValueData(Message):
    """`proxy.Value`: `data` is what `encode_value()` makes."""

    data: bytes = plain(1, BYTES)


@dataclass(slots=True)
class Positional(Message):
    values: list[ValueData] = repeated(1, ValueData)


@dataclass(slots=True)
class Named(Message):
    names: list[str] = repeated(1, STRING)
    values: list[ValueData] = repeated(2, ValueData)


@dataclass(slots=True)
class Query(Message):
    stmt: str = plain(1, STRING)
    positional: Positional | None = optional(2, Positional)
    named: Named | None = optional(3, Named)
    skip_rows: bool = plain(4, BOOL)


@dataclass(slots=True)
class OkCond(Message):
    step: int = plain(1, INT64)


@dataclass(slots=True)
class ErrCond(Message):
    step: int = plain(1, INT64)


@dataclass(slots=True)
class IsAutocommitCond(Message):
    pass


@dataclass(slots=True)
class Conds(Message):
    """`AndCond` and `OrCond`, which are alike; `conds` is a list of Cond."""

    conds: list[Cond] = repeated(1, "Cond")


@dataclass(slots=True)
class NotCond(Message):
    cond: Cond | None = optional(1, "Cond")


@dataclass(slots=True)
class Cond(Message):
    ok: OkCond | None = optional(1, OkCond)
    err: ErrCond | None = optional(2, ErrCond)
    not_: NotCond | None = optional(3, NotCond)
    and_: Conds | None = optional(4, Conds)
    or_: Conds | None = optional(5, Conds)
    is_autocommit: IsAutocommitCond | None = optional(6, IsAutocommitCond)


AndCond = OrCond = Conds


@dataclass(slots=True)
class Step(Message):
    cond: Cond | None = optional(1, Cond)
    query: Query | None = optional(2, Query)


@dataclass(slots=True)
class Program(Message):
    steps: list[Step] = repeated(1, Step)


@dataclass(slots=True)
class ProgramReq(Message):
    client_id: str = plain(1, STRING)
    pgm: Program | None = optional(2, Program)


# proxy: results


@dataclass(slots=True)
class Error(Message):
    code: int = plain(1, ENUM)
    message: str = plain(2, STRING)
    extended_code: int = plain(3, INT32)


@dataclass(slots=True)
class Column(Message):
    name: str = plain(1, STRING)
    decltype: str | None = optional(3, STRING)


@dataclass(slots=True)
class Row(Message):
    values: list[ValueData] = repeated(1, ValueData)


@dataclass(slots=True)
class ResultRows(Message):
    column_descriptions: list[Column] = repeated(1, Column)
    rows: list[Row] = repeated(2, Row)
    affected_row_count: int = plain(3, UINT64)
    last_insert_rowid: int | None = optional(4, INT64)


@dataclass(slots=True)
class QueryResult(Message):
    error: Error | None = optional(1, Error)
    row: ResultRows | None = optional(2, ResultRows)


@dataclass(slots=True)
class ExecuteResults(Message):
    results: list[QueryResult] = repeated(1, QueryResult)
    state: int = plain(2, ENUM)
    current_frame_no: int | None = optional(3, UINT64)


@dataclass(slots=True)
class DescribeRequest(Message):
    client_id: str = plain(1, STRING)
    stmt: str = plain(2, STRING)


@dataclass(slots=True)
class Description(Message):
    column_descriptions: list[Column] = repeated(1, Column)
    param_names: list[str] = repeated(2, STRING)
    param_count: int = plain(3, UINT64)


@dataclass(slots=True)
class DescribeResult(Message):
    error: Error | None = optional(1, Error)
    description: Description | None = optional(2, Description)


@dataclass(slots=True)
class DisconnectMessage(Message):
    client_id: str = plain(1, STRING)


@dataclass(slots=True)
class Ack(Message):
    pass


# proxy: StreamExec


@dataclass(slots=True)
class StreamProgramReq(Message):
    pgm: Program | None = optional(1, Program)


@dataclass(slots=True)
class StreamDescribeReq(Message):
    stmt: str = plain(1, STRING)


@dataclass(slots=True)
class ExecReq(Message):
    request_id: int = plain(1, UINT32)
    execute: StreamProgramReq | None = optional(2, StreamProgramReq)
    describe: StreamDescribeReq | None = optional(3, StreamDescribeReq)


@dataclass(slots=True)
class Empty(Message):
    """The steps of an answer that say nothing but their name."""


@dataclass(slots=True)
class FinishStep(Message):
    affected_row_count: int = plain(1, UINT64)
    last_insert_rowid: int | None = optional(2, INT64)


@dataclass(slots=True)
class StepError(Message):
    error: Error | None = optional(1, Error)


@dataclass(slots=True)
class ColsDescription(Message):
    columns: list[Column] = repeated(1, Column)


@dataclass(slots=True)
class RowValue(Message):
    text: str | None = optional(1, STRING)
    integer: int | None = optional(2, INT64)
    real: float | None = optional(3, DOUBLE)
    blob: bytes | None = optional(4, BYTES)
    null: bool | None = optional(5, BOOL)


@dataclass(slots=True)
class AddRowValue(Message):
    val: RowValue | None = optional(1, RowValue)


@dataclass(slots=True)
class Finish(Message):
    last_frame_no: int | None = optional(1, UINT64)
    is_autocommit: bool = plain(2, BOOL)


@dataclass(slots=True)
class RespStep(Message):
    init: Empty | None = optional(1, Empty)
    begin_step: Empty | None = optional(2, Empty)
    finish_step: FinishStep | None = optional(3, FinishStep)
    step_error: StepError | None = optional(4, StepError)
    cols_description: ColsDescription | None = optional(5, ColsDescription)
    begin_rows: Empty | None = optional(6, Empty)
    begin_row: Empty | None = optional(7, Empty)
    add_row_value: AddRowValue | None = optional(8, AddRowValue)
    finish_row: Empty | None = optional(9, Empty)
    finish_rows: Empty | None = optional(10, Empty)
    finish: Finish | None = optional(11, Finish)


@dataclass(slots=True)
class ProgramResp(Message):
    steps: list[RespStep] = repeated(1, RespStep)


@dataclass(slots=True)
class DescribeParam(Message):
    name: str | None = optional(1, STRING)


@dataclass(slots=True)
class DescribeCol(Message):
    name: str = plain(1, STRING)
    decltype: str | None = optional(2, STRING)


@dataclass(slots=True)
class DescribeResp(Message):
    params: list[DescribeParam] = repeated(1, DescribeParam)
    cols: list[DescribeCol] = repeated(2, DescribeCol)
    is_explain: bool = plain(3, BOOL)
    is_readonly: bool = plain(4, BOOL)


@dataclass(slots=True)
class ExecResp(Message):
    request_id: int = plain(1, UINT32)
    program_resp: ProgramResp | None = optional(2, ProgramResp)
    describe_resp: DescribeResp | None = optional(3, DescribeResp)
    error: Error | None = optional(4, Error)


# Values in bincode

_integer = struct.Struct("<Iq")
_real = struct.Struct("<Id")
_sized = struct.Struct("<IQ")


def encode_value(value: Value) -> bytes:
    """A value of SQL in bincode, for `ValueData`; OverflowError for an int of more than 64 bits."""
    if value is None:
        return b"\0\0\0\0"
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return _integer.pack(1, value)
    if isinstance(value, float):
        return _real.pack(2, value)
    if isinstance(value, str):
        text = value.encode()
        return _sized.pack(3, len(text)) + text
    return _sized.pack(4, len(value)) + value


def decode_value(data: bytes) -> Value:
    """The value that `encode_value()` was given; ProtocolError for anything else."""
    if data == b"\0\0\0\0":
        return None
    if len(data) >= 12:
        tag, size = _sized.unpack_from(data)
        if tag == 1 and len(data) == 12:
            integer: int = _integer.unpack(data)[1]
            return integer
        if tag == 2 and len(data) == 12:
            real: float = _real.unpack(data)[1]
            return real
        if tag == 4 and len(data) == 12 + size:
            return data[12:]
        if tag == 3 and len(data) == 12 + size:
            try:
                return data[12:].decode()
            except UnicodeDecodeError:
                raise ProtocolError("proxy.Value: text that is not UTF-8") from None
    raise ProtocolError(f"proxy.Value: no bincode value: {data[:16].hex(' ')}{' ...' if len(data) > 16 else ''}")
