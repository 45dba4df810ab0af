"""The protobuf messages of Hrana, encoded and decoded by a table, so that tests depend on no code of ours.

A message is a dict by the names of fields; decoded it is a list of pairs, in the order of the wire.
"""

from __future__ import annotations

import struct
from typing import Any

# Message: number name type, ...; a `*` behind the type: repeated. Types with a capital letter are messages.
TABLE = """
Empty:
Error: 1 message string, 2 code string
Value: 1 null Empty, 2 integer sint, 3 float double, 4 text string, 5 blob bytes
NamedArg: 1 name string, 2 value Value
Stmt: 1 sql string, 2 sql_id int, 3 args Value*, 4 named_args NamedArg*, 5 want_rows bool, 6 replication_index int
Col: 1 name string, 2 decltype string
Row: 1 values Value*
StmtResult: 1 cols Col*, 2 rows Row*, 3 affected_row_count int, 4 last_insert_rowid sint, 5 replication_index int,
  6 rows_read int, 7 rows_written int, 8 query_duration_ms double
CondList: 1 conds BatchCond*
BatchCond: 1 step_ok int, 2 step_error int, 3 not BatchCond, 4 and CondList, 5 or CondList, 6 is_autocommit Empty
BatchStep: 1 condition BatchCond, 2 stmt Stmt
Batch: 1 steps BatchStep*, 2 replication_index int
ResultEntry: 1 key int, 2 value StmtResult
ErrorEntry: 1 key int, 2 value Error
BatchResult: 1 step_results ResultEntry*, 2 step_errors ErrorEntry*
StepBegin: 1 step int, 2 cols Col*
StepEnd: 1 affected_row_count int, 2 last_insert_rowid sint
StepError: 1 step int, 2 error Error
Index: 1 replication_index int
CursorEntry: 1 step_begin StepBegin, 2 step_end StepEnd, 3 step_error StepError, 4 row Row, 5 error Error,
  6 replication_index Index
DescribeParam: 1 name string
DescribeCol: 1 name string, 2 decltype string
DescribeResult: 1 params DescribeParam*, 2 cols DescribeCol*, 3 is_explain bool, 4 is_readonly bool
ExecuteStream: 1 stmt Stmt
BatchStream: 1 batch Batch
SqlStream: 1 sql string, 2 sql_id int, 3 replication_index int
StoreSql: 1 sql_id int, 2 sql string
StreamRequest: 1 close Empty, 2 execute ExecuteStream, 3 batch BatchStream, 4 sequence SqlStream,
  5 describe SqlStream, 6 store_sql StoreSql, 7 close_sql StoreSql, 8 get_autocommit Empty
Executed: 1 result StmtResult
Batched: 1 result BatchResult
Described: 1 result DescribeResult
Autocommit: 1 is_autocommit bool
StreamResponse: 1 close Empty, 2 execute Executed, 3 batch Batched, 4 sequence Empty, 5 describe Described,
  6 store_sql Empty, 7 close_sql Empty, 8 get_autocommit Autocommit
StreamResult: 1 ok StreamResponse, 2 error Error
PipelineReqBody: 1 baton string, 2 requests StreamRequest*
PipelineRespBody: 1 baton string, 2 base_url string, 3 results StreamResult*
CursorReqBody: 1 baton string, 2 batch Batch
CursorRespBody: 1 baton string, 2 base_url string
HelloMsg: 1 jwt string
HelloError: 1 error Error
Stream: 1 stream_id int
Execute: 1 stream_id int, 2 stmt Stmt
BatchReq: 1 stream_id int, 2 batch Batch
OpenCursor: 1 stream_id int, 2 cursor_id int, 3 batch Batch
Cursor: 1 cursor_id int, 2 max_count int
SqlReq: 1 stream_id int, 2 sql string, 3 sql_id int, 4 replication_index int
Fetched: 1 entries CursorEntry*, 2 done bool
RequestMsg: 1 request_id int, 2 open_stream Stream, 3 close_stream Stream, 4 execute Execute, 5 batch BatchReq,
  6 open_cursor OpenCursor, 7 close_cursor Cursor, 8 fetch_cursor Cursor, 9 sequence SqlReq, 10 describe SqlReq,
  11 store_sql StoreSql, 12 close_sql StoreSql, 13 get_autocommit Stream
ResponseOk: 1 request_id int, 2 open_stream Empty, 3 close_stream Empty, 4 execute Executed, 5 batch Batched,
  6 open_cursor Empty, 7 close_cursor Empty, 8 fetch_cursor Fetched, 9 sequence Empty, 10 describe Described,
  11 store_sql Empty, 12 close_sql Empty, 13 get_autocommit Autocommit
ResponseError: 1 request_id int, 2 error Error
ClientMsg: 1 hello HelloMsg, 2 request RequestMsg
ServerMsg: 1 hello_ok Empty, 2 hello_error HelloError, 3 response_ok ResponseOk, 4 response_error ResponseError
"""
Fields = dict[int, tuple[str, str, bool]]
MESSAGES: dict[str, Fields] = {}
for line in TABLE.replace("\n  ", " ").strip().splitlines():
    message, _, rest = line.partition(":")
    MESSAGES[message] = {
        int(number): (name, kind.rstrip("*"), kind.endswith("*"))
        for number, name, kind in (part.split() for part in rest.split(",") if part.strip())
    }
LENGTHS = ("string", "bytes")


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def encode(message: str, fields: dict[str, Any]) -> bytes:
    numbers = {name: (number, kind) for number, (name, kind, _) in MESSAGES[message].items()}
    out = b""
    for name, given in fields.items():
        number, kind = numbers[name]
        for value in given if isinstance(given, list) else [given]:
            if kind == "double":
                out += varint(number << 3 | 1) + struct.pack("<d", value)
            elif kind in LENGTHS or kind[0].isupper():
                body = value.encode() if kind == "string" else value if kind == "bytes" else encode(kind, value)
                out += varint(number << 3 | 2) + varint(len(body)) + body
            else:
                out += varint(number << 3) + varint((value << 1) ^ (value >> 63) if kind == "sint" else int(value))
    return out


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 128:
            return value, at


def decode(message: str, data: bytes) -> list[tuple[str, Any]]:
    """Raises on anything that the table does not have."""
    out: list[tuple[str, Any]] = []
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        name, kind, _ = MESSAGES[message][tag >> 3]
        value: Any
        if tag & 7 == 1:
            assert kind == "double", name
            value, at = struct.unpack("<d", data[at : at + 8])[0], at + 8
        elif tag & 7 == 2:
            size, at = read_varint(data, at)
            body, at = data[at : at + size], at + size
            assert len(body) == size, name
            value = body.decode() if kind == "string" else body.hex() if kind == "bytes" else decode(kind, body)
        else:
            assert tag & 7 == 0, name
            assert kind in ("int", "sint", "bool"), name
            value, at = read_varint(data, at)
            value = (value >> 1) ^ -(value & 1) if kind == "sint" else value
        out.append((name, value))
    return out


def decode_stream(first: str, rest: str, data: bytes) -> list[list[tuple[str, Any]]]:
    """The messages of a cursor, with their lengths before them."""
    out: list[list[tuple[str, Any]]] = []
    at = 0
    while at < len(data):
        size, at = read_varint(data, at)
        entry = decode(rest if out else first, data[at : at + size])
        out.append(entry or [("replication_index", [])])  # that is how one without a value is written
        at += size
    return out
