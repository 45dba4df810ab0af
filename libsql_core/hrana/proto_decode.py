"""Requests out of protobuf, straight from the bytes: a request has too few fields for a library to pay.

Each reader takes the data and the bounds of its message. Unknown fields are skipped; what cannot be read is a
MalformedError, a message of which the part that says what it is fails to appear is a ProtocolError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from types import EllipsisType
from typing import Any, NoReturn

from libsql_core.hrana.errors import MalformedError, ProtocolError
from libsql_core.hrana.reader import READER
from libsql_core.hrana.types import (
    MAX_DEPTH,
    Batch,
    Condition,
    CursorBody,
    Hello,
    PipelineBody,
    SocketRequest,
    Step,
    Stmt,
    StoreSql,
    StreamRequest,
    Text,
    Value,
    indexed,
    indexed_batch,
)

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
_WIRES = ("Varint", "SixtyFourBit", "LengthDelimited", "StartGroup", "EndGroup", "ThirtyTwoBit")
_double = struct.Struct("<d").unpack_from
# Number, wire type, and then for VARINT its value, otherwise where the field's bytes begin and end.
Field = tuple[int, int, int, int]


def _refuse(message: str) -> NoReturn:
    raise MalformedError(f"Could not decode client message from Protobuf: failed to decode Protobuf message: {message}")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
        shift += 7
        if shift == 70:
            break
    _refuse("invalid varint")


def fields(data: bytes, at: int, end: int) -> Iterator[Field]:
    """The fields of the message between two places."""
    while at < end:
        tag = data[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            _refuse(f"invalid tag value: {number}" if number == 0 else f"invalid key value: {tag}")
        if wire == LENGTH:
            if at < end and (size := data[at]) < 0x80:
                at += 1
            else:
                size, at = _varint(data, at, end)
            if size > end - at:
                _refuse("buffer underflow")
            yield number, wire, at, at + size
            at += size
        elif wire == VARINT:
            value, at = _varint(data, at, end)
            yield number, wire, value, 0
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            if size > end - at:
                _refuse("buffer underflow")
            yield number, wire, at, at + size
            at += size
        elif wire in (GROUP, END_GROUP):
            _refuse("buffer underflow" if wire == GROUP else "unexpected end group tag")
        else:
            _refuse(f"invalid wire type value: {wire}")


def _is(wire: int, expected: int) -> None:
    if wire != expected:
        _refuse(f"invalid wire type: {_WIRES[wire]} (expected {_WIRES[expected]})")


def _string(data: bytes, field: Field) -> str:
    _is(field[1], LENGTH)
    try:
        return data[field[2] : field[3]].decode()
    except UnicodeDecodeError:
        _refuse("invalid string value: data is not UTF-8 encoded")


def _int32(field: Field) -> int:
    _is(field[1], VARINT)
    value = field[2] & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _uint32(field: Field) -> int:
    _is(field[1], VARINT)
    return field[2] & 0xFFFFFFFF


def _value(data: bytes, at: int, end: int) -> Value:
    found: Value | EllipsisType = ...
    for field in fields(data, at, end):
        number, wire, start, stop = field
        if number == 2:
            _is(wire, VARINT)
            found = (start >> 1) ^ -(start & 1)
        elif number == 4:
            found = _string(data, field)
        elif number == 3:
            _is(wire, FIXED64)
            found = _double(data, start)[0]
        elif number == 5:
            _is(wire, LENGTH)
            found = data[start:stop]
        elif number == 1:
            _is(wire, LENGTH)
            found = None
    if found is ...:
        raise ProtocolError("Value type not recognized")
    return found


def _named_arg(data: bytes, at: int, end: int) -> tuple[str, Value]:
    name = ""
    value: Value | EllipsisType = ...
    for field in fields(data, at, end):
        if field[0] == 1:
            name = _string(data, field)
        elif field[0] == 2:
            _is(field[1], LENGTH)
            value = _value(data, field[2], field[3])
    if value is ...:
        raise ProtocolError("Value type not recognized")
    return name, value


def _stmt(data: bytes, at: int, end: int) -> Stmt:
    sql: str | None = None
    sql_id: int | None = None
    args: list[Value] = []
    named: list[tuple[str, Value]] = []
    index: int | None = None
    for field in fields(data, at, end):
        number, wire, start, stop = field
        if number == 1:
            sql = _string(data, field)
        elif number == 3:
            _is(wire, LENGTH)
            args.append(_value(data, start, stop))
        elif number == 4:
            _is(wire, LENGTH)
            named.append(_named_arg(data, start, stop))
        elif number == 2:
            sql_id = _int32(field)
        elif number in (5, 6):
            _is(wire, VARINT)
            if number == 6:
                index = start
    return indexed(Stmt(sql, sql_id, args, named), index)


def _condition(data: bytes, at: int, end: int, depth: int = 0) -> Condition:
    if depth > MAX_DEPTH:
        _refuse("recursion limit reached")
    found: Condition | None = None
    for field in fields(data, at, end):
        number, wire, start, stop = field
        if number in (1, 2):
            found = ("ok" if number == 1 else "error", _uint32(field))
        elif number in (3, 4, 5, 6):
            _is(wire, LENGTH)
            if number == 3:
                found = ("not", _condition(data, start, stop, depth + 1))
            elif number == 6:
                found = ("is_autocommit", None)
            else:
                listed = []
                for inner in fields(data, start, stop):
                    if inner[0] == 1:
                        _is(inner[1], LENGTH)
                        listed.append(_condition(data, inner[2], inner[3], depth + 1))
                found = ("and" if number == 4 else "or", listed)
    if found is None:
        raise ProtocolError("BatchCond type not recognized")
    return found


def _step(data: bytes, at: int, end: int) -> Step:
    condition: Condition | None = None
    stmt = Stmt(None, None)
    for number, wire, start, stop in fields(data, at, end):
        if number in (1, 2):
            _is(wire, LENGTH)
            if number == 2:
                stmt = _stmt(data, start, stop)
            else:
                condition = _condition(data, start, stop)
    return Step(condition, stmt)


def _batch(data: bytes, at: int, end: int) -> Batch:
    steps = []
    index: int | None = None
    for number, wire, start, stop in fields(data, at, end):
        if number == 1:
            _is(wire, LENGTH)
            steps.append(_step(data, start, stop))
        elif number == 2:
            _is(wire, VARINT)
            index = start
    return indexed_batch(Batch(steps), index)


# The fields of a request by number; which they are differs between HTTP and WebSocket.
Ints = dict[str, int]
Shape = dict[int, str]


def _request(kind: str, shape: Shape, data: bytes, at: int, end: int) -> StreamRequest:
    ints: Ints = {}
    body: Any = None
    sql: str | None = None
    if kind in ("execute", "batch", "open_cursor"):
        body = Stmt(None, None) if kind == "execute" else Batch([])
    for field in fields(data, at, end):
        name = shape.get(field[0])
        if name is None:
            continue
        if name in ("stmt", "batch"):
            _is(field[1], LENGTH)
            body = (_stmt if name == "stmt" else _batch)(data, field[2], field[3])
        elif name == "sql":
            sql = _string(data, field)
        elif name == "max_count":
            ints[name] = _uint32(field)
        else:
            ints[name] = _int32(field)
    if kind in ("sequence", "describe"):
        body = Text(sql, ints.get("sql_id"))
    elif kind == "store_sql":
        body = StoreSql(ints.get("sql_id", 0), sql or "")
    elif kind == "close_sql":
        body = ints.get("sql_id", 0)
    elif kind == "fetch_cursor":
        body = ints.get("max_count", 0)
    return StreamRequest(kind, body, ints.get("stream_id", 0), ints.get("cursor_id", 0))


_STORED: Shape = {1: "sql_id", 2: "sql"}
_HTTP: dict[int, tuple[str, Shape]] = {
    1: ("close", {}),
    2: ("execute", {1: "stmt"}),
    3: ("batch", {1: "batch"}),
    4: ("sequence", {1: "sql", 2: "sql_id"}),
    5: ("describe", {1: "sql", 2: "sql_id"}),
    6: ("store_sql", _STORED),
    7: ("close_sql", _STORED),
    8: ("get_autocommit", {}),
}
_STREAM: Shape = {1: "stream_id"}
_TEXT: Shape = {1: "stream_id", 2: "sql", 3: "sql_id"}
_SOCKET: dict[int, tuple[str, Shape]] = {
    2: ("open_stream", _STREAM),
    3: ("close_stream", _STREAM),
    4: ("execute", {1: "stream_id", 2: "stmt"}),
    5: ("batch", {1: "stream_id", 2: "batch"}),
    6: ("open_cursor", {1: "stream_id", 2: "cursor_id", 3: "batch"}),
    7: ("close_cursor", {1: "cursor_id"}),
    8: ("fetch_cursor", {1: "cursor_id", 2: "max_count"}),
    9: ("sequence", _TEXT),
    10: ("describe", _TEXT),
    11: ("store_sql", _STORED),
    12: ("close_sql", _STORED),
    13: ("get_autocommit", _STREAM),
}


def _stream_request(data: bytes, at: int, end: int) -> StreamRequest:
    found: StreamRequest | None = None
    for number, wire, start, stop in fields(data, at, end):
        known = _HTTP.get(number)
        if known is not None:
            _is(wire, LENGTH)
            found = _request(*known, data, start, stop)
    if found is None:
        raise ProtocolError("StreamRequest type not recognized")
    return found


def pipeline_body(data: bytes) -> PipelineBody:
    body: PipelineBody | None = READER.pipeline(data, True)
    return any_pipeline_body(data) if body is None else body


def any_pipeline_body(data: bytes) -> PipelineBody:
    baton: str | None = None
    requests = []
    for field in fields(data, 0, len(data)):
        if field[0] == 1:
            baton = _string(data, field)
        elif field[0] == 2:
            _is(field[1], LENGTH)
            requests.append(_stream_request(data, field[2], field[3]))
    return PipelineBody(baton, requests)


def cursor_body(data: bytes) -> CursorBody:
    baton: str | None = None
    batch = Batch([])
    for field in fields(data, 0, len(data)):
        if field[0] == 1:
            baton = _string(data, field)
        elif field[0] == 2:
            _is(field[1], LENGTH)
            batch = _batch(data, field[2], field[3])
    return CursorBody(baton, batch)


def _socket_request(data: bytes, at: int, end: int) -> SocketRequest:
    request_id, found = 0, None
    for field in fields(data, at, end):
        number, wire, start, stop = field
        if number == 1:
            request_id = _int32(field)
        elif number in _SOCKET:
            _is(wire, LENGTH)
            found = _request(*_SOCKET[number], data, start, stop)
    if found is None:
        raise ProtocolError("Request type not recognized")
    return SocketRequest(request_id, found)


def _hello(data: bytes, at: int, end: int) -> Hello:
    jwt = None
    for field in fields(data, at, end):
        if field[0] == 1:
            jwt = _string(data, field)
    return Hello(jwt)


def socket_message(data: bytes) -> Hello | SocketRequest:
    message: SocketRequest | None = READER.socket(data, True)
    return any_socket_message(data) if message is None else message


def any_socket_message(data: bytes) -> Hello | SocketRequest:
    found: Hello | SocketRequest | None = None
    read: dict[int, Callable[[bytes, int, int], Hello | SocketRequest]] = {1: _hello, 2: _socket_request}
    for number, wire, start, stop in fields(data, 0, len(data)):
        if number in read:
            _is(wire, LENGTH)
            found = read[number](data, start, stop)
    if found is None:
        raise ProtocolError("ClientMsg type not recognized")
    return found
