"""Replies: the envelopes round what the engine encoded, in JSON (`JSON`) and in protobuf (`PROTOBUF`).

Results of statements come as finished bytes and are only framed here. Both codecs have the same methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import orjson

from libsql_core.hrana import json_decode, proto_decode
from libsql_core.hrana.types import CursorBody, Hello, PipelineBody, SocketRequest

# Numbers of the responses in protobuf, over HTTP and on WebSockets.
_HTTP = {
    "close": 1,
    "execute": 2,
    "batch": 3,
    "sequence": 4,
    "describe": 5,
    "store_sql": 6,
    "close_sql": 7,
    "get_autocommit": 8,
}
_SOCKET = {
    "open_stream": 2,
    "close_stream": 3,
    "execute": 4,
    "batch": 5,
    "open_cursor": 6,
    "close_cursor": 7,
    "fetch_cursor": 8,
    "sequence": 9,
    "describe": 10,
    "store_sql": 11,
    "close_sql": 12,
    "get_autocommit": 13,
}


class Codec(Protocol):
    """One of the two encodings."""

    number: Literal[0, 1]  # as the engine calls it
    head: bytes  # of a pipeline's reply
    cursor_head: bytes
    empty_result: bytes  # the StmtResult of a statement that leaves nothing

    def pipeline_body(self, data: bytes) -> PipelineBody: ...
    def cursor_body(self, data: bytes) -> CursorBody: ...
    def socket_message(self, data: bytes) -> Hello | SocketRequest: ...

    def error(self, message: str, code: str) -> bytes:
        """An Error."""

    def batch(self, results: Sequence[bytes | None], errors: Sequence[bytes | None], index: int | None) -> bytes:
        """A BatchResult."""

    def result(self, kind: str, payload: bytes) -> bytes:
        """A StreamResult of success. `payload` is the result of execute, batch and describe, or empty."""

    def autocommit(self, value: bool) -> bytes:
        """The StreamResult of `get_autocommit`."""

    def failed(self, error: bytes) -> bytes:
        """A StreamResult of failure."""

    def pipeline(self, baton: str | None, base_url: str | None, results: list[bytes]) -> bytes: ...

    def around_single(self, base_url: str | None) -> tuple[bytes, bytes]:
        """What comes before and after the StmtResult in the reply to [execute, close]; empty if that depends on it."""

    def around_response(self, request_id: int) -> tuple[bytes, bytes]:
        """The same for the response to `execute` on a WebSocket."""

    def cursor(self, baton: str | None, base_url: str | None) -> bytes:
        """What a cursor's body begins with."""

    def step_error(self, step: int, error: bytes, socket: bool) -> bytes: ...

    def entry_error(self, error: bytes, socket: bool) -> bytes: ...

    def hello_ok(self) -> bytes: ...

    def hello_error(self, error: bytes) -> bytes: ...

    def response_ok(self, request_id: int, kind: str, payload: bytes) -> bytes: ...

    def response_autocommit(self, request_id: int, value: bool) -> bytes: ...

    def response_entries(self, request_id: int, entries: list[bytes], done: bool) -> bytes: ...

    def response_error(self, request_id: int, error: bytes) -> bytes: ...


_BEFORE_SINGLE = b'{"baton":null,"base_url":null,"results":[{"type":"ok","response":{"type":"execute","result":'
_AFTER_SINGLE = b'}},{"type":"ok","response":{"type":"close"}}]}'


class _Json:
    number: Literal[0, 1] = 0
    head = b"content-type: application/json\r\n"
    cursor_head = b"content-type: text/plain\r\n"
    empty_result = (
        b'{"cols":[],"rows":[],"affected_row_count":0,"last_insert_rowid":null,"replication_index":null,'
        b'"rows_read":0,"rows_written":0,"query_duration_ms":0.0}'
    )

    def pipeline_body(self, data: bytes) -> PipelineBody:
        return json_decode.pipeline_body(data)

    def cursor_body(self, data: bytes) -> CursorBody:
        return json_decode.cursor_body(data)

    def socket_message(self, data: bytes) -> Hello | SocketRequest:
        return json_decode.socket_message(data)

    def error(self, message: str, code: str) -> bytes:
        return orjson.dumps({"message": message, "code": code})

    def batch(self, results: Sequence[bytes | None], errors: Sequence[bytes | None], index: int | None) -> bytes:
        return b'{"step_results":[%b],"step_errors":[%b],"replication_index":%b}' % (
            b",".join([each or b"null" for each in results]),
            b",".join([each or b"null" for each in errors]),
            b"null" if index is None else b'"%d"' % index,
        )

    def result(self, kind: str, payload: bytes) -> bytes:
        if payload:
            return b'{"type":"ok","response":{"type":"%b","result":%b}}' % (kind.encode(), payload)
        return b'{"type":"ok","response":{"type":"%b"}}' % kind.encode()

    def autocommit(self, value: bool) -> bytes:
        return b'{"type":"ok","response":{"type":"get_autocommit","is_autocommit":%b}}' % (
            b"true" if value else b"false"
        )

    def failed(self, error: bytes) -> bytes:
        return b'{"type":"error","error":%b}' % error

    def pipeline(self, baton: str | None, base_url: str | None, results: list[bytes]) -> bytes:
        return b'{"baton":%b,"base_url":%b,"results":[%b]}' % (_json(baton), _json(base_url), b",".join(results))

    def around_single(self, base_url: str | None) -> tuple[bytes, bytes]:
        if base_url is None:
            return _BEFORE_SINGLE, _AFTER_SINGLE
        return _BEFORE_SINGLE.replace(b'"base_url":null', b'"base_url":' + _json(base_url)), _AFTER_SINGLE

    def around_response(self, request_id: int) -> tuple[bytes, bytes]:
        return b'{"type":"response_ok","request_id":%d,"response":{"type":"execute","result":' % request_id, b"}}"

    def cursor(self, baton: str | None, base_url: str | None) -> bytes:
        return b'{"baton":%b,"base_url":%b}\n' % (_json(baton), _json(base_url))

    def step_error(self, step: int, error: bytes, socket: bool) -> bytes:
        return b'{"type":"step_error","step":%d,"error":%b}%b' % (step, error, b"" if socket else b"\n")

    def entry_error(self, error: bytes, socket: bool) -> bytes:
        return b'{"type":"error","error":%b}%b' % (error, b"" if socket else b"\n")

    def hello_ok(self) -> bytes:
        return b'{"type":"hello_ok"}'

    def hello_error(self, error: bytes) -> bytes:
        return b'{"type":"hello_error","error":%b}' % error

    def response_ok(self, request_id: int, kind: str, payload: bytes) -> bytes:
        more = b',"result":' + payload if payload else b""
        return b'{"type":"response_ok","request_id":%d,"response":{"type":"%b"%b}}' % (request_id, kind.encode(), more)

    def response_autocommit(self, request_id: int, value: bool) -> bytes:
        return b'{"type":"response_ok","request_id":%d,"response":{"type":"get_autocommit","is_autocommit":%b}}' % (
            request_id,
            b"true" if value else b"false",
        )

    def response_entries(self, request_id: int, entries: list[bytes], done: bool) -> bytes:
        return b'{"type":"response_ok","request_id":%d,"response":{"type":"fetch_cursor","entries":[%b],"done":%b}}' % (
            request_id,
            b",".join(entries),
            b"true" if done else b"false",
        )

    def response_error(self, request_id: int, error: bytes) -> bytes:
        return b'{"type":"response_error","request_id":%d,"error":%b}' % (request_id, error)


def _json(text: str | None) -> bytes:
    return b"null" if text is None else orjson.dumps(text)


def varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _message(number: int, data: bytes) -> bytes:
    """A field that is a message, a string or bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    """A varint field, left out when zero."""
    return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF) if value else b""


def _strings(baton: str | None, base_url: str | None) -> bytes:
    parts = [_message(number, text.encode()) for number, text in ((1, baton), (2, base_url)) if text is not None]
    return b"".join(parts)


class _Protobuf:
    number: Literal[0, 1] = 1
    head = b"content-type: application/x-protobuf\r\n"
    cursor_head = b"content-type: application/octet-stream\r\n"
    empty_result = b""

    def pipeline_body(self, data: bytes) -> PipelineBody:
        return proto_decode.pipeline_body(data)

    def cursor_body(self, data: bytes) -> CursorBody:
        return proto_decode.cursor_body(data)

    def socket_message(self, data: bytes) -> Hello | SocketRequest:
        return proto_decode.socket_message(data)

    def error(self, message: str, code: str) -> bytes:
        return b"".join(_message(number, text.encode()) for number, text in ((1, message), (2, code)) if text)

    def batch(self, results: Sequence[bytes | None], errors: Sequence[bytes | None], index: int | None) -> bytes:
        parts = []
        for number, listed in ((1, results), (2, errors)):
            for step, each in enumerate(listed):
                if each is not None:
                    parts.append(_message(number, b"\x08" + varint(step) + _message(2, each)))
        return b"".join(parts)

    def result(self, kind: str, payload: bytes) -> bytes:
        # Of the kinds with a result, an empty one is written too.
        inner = _message(1, payload) if kind in _WITH_RESULT else b""
        return _message(1, _message(_HTTP[kind], inner))

    def autocommit(self, value: bool) -> bytes:
        return _message(1, _message(_HTTP["get_autocommit"], _number(1, value)))

    def failed(self, error: bytes) -> bytes:
        return _message(2, error)

    def pipeline(self, baton: str | None, base_url: str | None, results: list[bytes]) -> bytes:
        return _strings(baton, base_url) + b"".join([_message(3, each) for each in results])

    def around_single(self, base_url: str | None) -> tuple[bytes, bytes]:
        return b"", b""

    def around_response(self, request_id: int) -> tuple[bytes, bytes]:
        return b"", b""

    def cursor(self, baton: str | None, base_url: str | None) -> bytes:
        data = _strings(baton, base_url)
        return varint(len(data)) + data

    def step_error(self, step: int, error: bytes, socket: bool) -> bytes:
        return self._entry(_message(3, _number(1, step) + _message(2, error)), socket)

    def entry_error(self, error: bytes, socket: bool) -> bytes:
        return self._entry(_message(5, error), socket)

    def _entry(self, data: bytes, socket: bool) -> bytes:
        return (b"\x0a" if socket else b"") + varint(len(data)) + data

    def hello_ok(self) -> bytes:
        return _message(1, b"")

    def hello_error(self, error: bytes) -> bytes:
        return _message(2, _message(1, error))

    def response_ok(self, request_id: int, kind: str, payload: bytes) -> bytes:
        inner = _message(1, payload) if kind in _WITH_RESULT else b""
        return _message(3, _number(1, request_id) + _message(_SOCKET[kind], inner))

    def response_autocommit(self, request_id: int, value: bool) -> bytes:
        inner = b"\x08\x01" if value else b"\x08\x00"
        return _message(3, _number(1, request_id) + _message(_SOCKET["get_autocommit"], inner))

    def response_entries(self, request_id: int, entries: list[bytes], done: bool) -> bytes:
        return _message(
            3, _number(1, request_id) + _message(_SOCKET["fetch_cursor"], b"".join(entries) + _number(2, done))
        )

    def response_error(self, request_id: int, error: bytes) -> bytes:
        return _message(4, _number(1, request_id) + _message(2, error))


_WITH_RESULT = {"execute", "batch", "describe"}
JSON: Codec = _Json()
PROTOBUF: Codec = _Protobuf()
