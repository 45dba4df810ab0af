"""Requests out of JSON and protobuf, and the envelopes of replies in both."""

from __future__ import annotations

import struct
from typing import Any

import orjson
import pytest

from libsql_core.hrana import json_decode, proto_decode
from libsql_core.hrana.encode import JSON, PROTOBUF, varint
from libsql_core.hrana.errors import AuthError, HttpError, MalformedError, ProtocolError, status_of
from libsql_core.hrana.types import Batch, Hello, SocketRequest, Step, Stmt, StoreSql, StreamRequest, Text


def pipeline(*requests: Any, **more: Any) -> bytes:
    return orjson.dumps({"requests": requests, **more})


def execute(*args: Any, **stmt: Any) -> bytes:
    return pipeline({"type": "execute", "stmt": {"sql": "x", "args": args, **stmt}})


def values(data: bytes) -> Any:
    (request,) = json_decode.pipeline_body(data).requests
    return request.body.args


# Protobuf by hand: what the decoder reads is written by other code.


def field(number: int, value: int | bytes | str | float) -> bytes:
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def zigzag(value: int) -> int:
    return value << 1 ^ value >> 63


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ({"type": "null"}, None),
        ({"type": "integer", "value": "-5"}, -5),
        ({"type": "integer", "value": "+5"}, 5),
        ({"type": "integer", "value": "-0"}, 0),
        ({"value": "0000000000000000000000000000007", "type": "integer"}, 7),
        ({"type": "integer", "value": "9223372036854775807"}, (1 << 63) - 1),
        ({"type": "integer", "value": "-9223372036854775808"}, -(1 << 63)),
        ({"type": "float", "value": 1.5}, 1.5),
        ({"type": "float", "value": 5, "more": []}, 5.0),
        ({"type": "text", "value": "é\0"}, "é\0"),
        ({"type": "blob", "base64": "AQI"}, b"\1\2"),
        ({"type": "blob", "base64": "AQI="}, b"\1\2"),
        ({"type": "blob", "base64": "+/+/"}, b"\xfb\xff\xbf"),
        ({"type": "blob", "base64": ""}, b""),
    ],
)
def test_values_of_json(wire: object, value: object) -> None:
    (got,) = values(execute(wire))
    assert (got, type(got)) == (value, type(value))
    (request,) = json_decode.pipeline_body(execute(named_args=[{"name": "a", "value": wire}])).requests
    assert request.body.named_args == [("a", value)]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (None, "invalid type: null"),
        (5, "invalid type: integer `5`"),
        ({}, "missing field `type`"),
        ({"type": 5}, "invalid type"),
        ({"type": "int"}, "unknown variant `int`"),
        ({"type": "integer"}, "missing field `value`"),
        ({"type": "integer", "value": 5}, "invalid type: integer `5`, expected a borrowed string"),
        ({"type": "integer", "value": None}, "invalid type: null"),
        ({"type": "integer", "value": ""}, "expected decimal integer"),
        ({"type": "integer", "value": "-"}, "expected decimal integer"),
        ({"type": "integer", "value": " 5"}, "expected decimal integer"),
        ({"type": "integer", "value": "1_000"}, "expected decimal integer"),
        ({"type": "integer", "value": "٣"}, "expected decimal integer"),
        ({"type": "integer", "value": "9223372036854775808"}, "expected decimal integer"),
        ({"type": "integer", "value": "-9223372036854775809"}, "expected decimal integer"),
        ({"type": "integer", "value": "9" * 100_000}, "expected decimal integer"),
        ({"type": "float"}, "missing field `value`"),
        ({"type": "float", "value": None}, "invalid type: null, expected f64"),
        ({"type": "float", "value": "1.5"}, "invalid type: string"),
        ({"type": "float", "value": True}, "invalid type: boolean"),
        ({"type": "text"}, "missing field `value`"),
        ({"type": "text", "value": ["x"]}, "invalid type: sequence"),
        ({"type": "blob", "value": "AQI"}, "missing field `base64`"),
        ({"type": "blob", "base64": "A-_="}, "invalid value"),
        ({"type": "blob", "base64": "AQI=="}, "invalid value"),
        ({"type": "blob", "base64": "A"}, "invalid value"),
        ({"type": "blob", "base64": "AQ I"}, "invalid value"),
        ({"type": "blob", "base64": "A\nQI"}, "invalid value"),
    ],
)
def test_what_is_no_value(wire: object, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        json_decode.pipeline_body(execute(wire))
    assert caught.value.message.startswith("Cannot deserialize client message from JSON: ")
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b'{"requests":"\xff"}',
        b"{}",
        pipeline(baton=5),
        b'{"requests":null}',
        b'{"requests":[5]}',
        b'{"requests":[{}]}',
        b'{"requests":[{"type":null}]}',
        b'{"requests":[{"type":["execute"]}]}',
        b'{"requests":[{"type":"execute"}]}',
        b'{"requests":[{"type":"execute","stmt":null}]}',
        execute(sql=5),
        execute(sql_id="1"),
        execute(sql_id=True),
        execute(sql_id=1 << 31),
        execute(want_rows="yes"),
        execute(args=None),
        execute(args=""),
        execute(named_args={}),
        execute(named_args=[{"name": "a"}]),
        execute(named_args=[{"value": {"type": "null"}}]),
        execute(replication_index=-1),
        execute(replication_index="-1"),
        execute(replication_index="x"),
        execute(replication_index=""),
        execute(replication_index=1.5),
        execute(replication_index="9" * 30),
        pipeline({"type": "batch", "batch": {}}),
        pipeline({"type": "batch", "batch": {"steps": [{}]}}),
        pipeline({"type": "batch", "batch": {"steps": [{"stmt": {}, "condition": {}}]}}),
        pipeline({"type": "batch", "batch": {"steps": [{"stmt": {}, "condition": {"type": "ok"}}]}}),
        pipeline({"type": "batch", "batch": {"steps": [{"stmt": {}, "condition": {"type": "ok", "step": -1}}]}}),
        pipeline({"type": "batch", "batch": {"steps": [{"stmt": {}, "condition": {"type": "not"}}]}}),
        pipeline({"type": "batch", "batch": {"steps": [{"stmt": {}, "condition": {"type": "and"}}]}}),
        pipeline({"type": "store_sql", "sql_id": 1}),
        pipeline({"type": "store_sql", "sql": "x"}),
        pipeline({"type": "close_sql"}),
        pipeline({"type": "sequence", "sql": 5}),
        pipeline({"type": "open_stream", "stream_id": 1}),
        b"[" * 100_000,
        b'{"requests":[{"type":"batch","batch":{"steps":[{"stmt":{},"condition":'
        + b'{"type":"not","cond":' * 200
        + b'{"type":"is_autocommit"}'
        + b"}" * 200
        + b"}]}}]}",
    ],
)
def test_malformed_pipelines(data: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^Cannot deserialize client message from JSON: "):
        json_decode.pipeline_body(data)


def test_requests_of_json() -> None:
    data = pipeline(
        {"type": "close"},
        {"stmt": {"sql": "a", "replication_index": "7", "want_rows": None}, "type": "execute"},
        {"type": "batch", "batch": {"steps": [{"condition": None, "stmt": {"sql_id": 3}}], "replication_index": 7}},
        {"type": "sequence", "sql": "b"},
        {"type": "describe", "sql_id": -2},
        {"type": "store_sql", "sql_id": 1, "sql": "c"},
        {"type": "close_sql", "sql_id": 1},
        {"type": "get_autocommit"},
        baton="abc",
    )
    assert json_decode.pipeline_body(data) == (
        "abc",
        [
            StreamRequest("close"),
            StreamRequest("execute", Stmt("a", None)),
            StreamRequest("batch", Batch([Step(None, Stmt(None, 3))])),
            StreamRequest("sequence", Text("b", None)),
            StreamRequest("describe", Text(None, -2)),
            StreamRequest("store_sql", StoreSql(1, "c")),
            StreamRequest("close_sql", 1),
            StreamRequest("get_autocommit"),
        ],
    )


CONDITION = {
    "type": "or",
    "conds": [
        {"type": "and", "conds": [{"type": "ok", "step": 0}, {"type": "error", "step": 1}]},
        {"type": "not", "cond": {"type": "is_autocommit"}},
    ],
}
DECODED = ("or", [("and", [("ok", 0), ("error", 1)]), ("not", ("is_autocommit", None))])


def test_conditions() -> None:
    data = pipeline({"type": "batch", "batch": {"steps": [{"condition": CONDITION, "stmt": {"sql": "x"}}]}})
    assert json_decode.pipeline_body(data).requests[0].body.steps[0].condition == DECODED
    both = field(1, field(1, 0)) + field(1, field(2, 1))
    condition = field(5, field(1, field(4, both)) + field(1, field(3, field(6, b""))))
    step = field(1, condition) + field(2, field(1, "x"))
    data = field(2, field(3, field(1, field(1, step))))
    assert proto_decode.pipeline_body(data).requests[0].body.steps[0].condition == DECODED


def test_messages_of_a_websocket() -> None:
    def read(**message: Any) -> Hello | SocketRequest:
        return json_decode.socket_message(orjson.dumps(message))

    assert read(type="hello") == read(type="hello", jwt=None) == Hello(None)
    assert read(type="hello", jwt="a") == Hello("a")
    got = read(
        type="request",
        request_id=-7,
        request={"type": "open_cursor", "stream_id": 1, "cursor_id": 2, "batch": {"steps": []}},
    )
    assert got == SocketRequest(-7, StreamRequest("open_cursor", Batch([]), 1, 2))
    got = read(type="request", request_id=1, request={"type": "fetch_cursor", "cursor_id": 2, "max_count": 1 << 31})
    assert got == SocketRequest(1, StreamRequest("fetch_cursor", 1 << 31, 0, 2))
    got = read(type="request", request_id=1, request={"type": "close_stream", "stream_id": 5})
    assert got == SocketRequest(1, StreamRequest("close_stream", None, 5))
    with pytest.raises(ProtocolError, match=r"^Request type not recognized$"):
        read(type="request", request_id=1)
    for message in (
        {"type": "what"},
        {"type": "hello", "jwt": 5},
        {"type": "request", "request": {"type": "open_stream", "stream_id": 1}},
        {"type": "request", "request_id": 1, "request": {"type": "open_stream"}},
        {"type": "request", "request_id": 1, "request": {"type": "close"}},
        {"type": "request", "request_id": 1 << 31, "request": {"type": "get_autocommit", "stream_id": 1}},
        {"type": "request", "request_id": 1, "request": {"type": "fetch_cursor", "cursor_id": 1, "max_count": -1}},
    ):
        with pytest.raises(MalformedError):
            read(**message)


def test_requests_of_protobuf() -> None:
    args = [
        field(2, zigzag(-5)),
        field(3, 1.5),
        field(4, "é"),
        field(5, b"\0"),
        field(1, b""),
        field(2, zigzag(-(1 << 63))),
    ]
    stmt = field(1, "a") + b"".join(field(3, arg) for arg in args)
    stmt += field(4, field(1, "n") + field(2, field(2, zigzag(5)))) + field(5, 1) + field(6, 7) + field(99, b"skipped")
    step = field(2, field(2, -1))
    data = b"".join(
        field(2, request)
        for request in (
            field(1, b""),
            field(2, field(1, stmt)),
            field(3, field(1, field(1, step) + field(2, 9))),
            field(4, field(1, "b") + field(3, 1)),
            field(5, field(2, 4)),
            field(6, field(1, 1) + field(2, "c")),
            field(7, field(1, 1)),
            field(8, b""),
        )
    )
    assert proto_decode.pipeline_body(field(1, "abc") + data) == (
        "abc",
        [
            StreamRequest("close"),
            StreamRequest("execute", Stmt("a", None, [-5, 1.5, "é", b"\0", None, -(1 << 63)], [("n", 5)])),
            StreamRequest("batch", Batch([Step(None, Stmt(None, -1, [], []))])),
            StreamRequest("sequence", Text("b", None)),
            StreamRequest("describe", Text(None, 4)),
            StreamRequest("store_sql", StoreSql(1, "c")),
            StreamRequest("close_sql", 1),
            StreamRequest("get_autocommit"),
        ],
    )
    assert proto_decode.pipeline_body(b"") == (None, [])
    assert proto_decode.cursor_body(field(1, "b") + field(2, field(1, step))).batch.steps == [
        Step(None, Stmt(None, -1, [], []))
    ]


def test_messages_of_a_websocket_in_protobuf() -> None:
    read = proto_decode.socket_message
    assert read(field(1, b"")) == Hello(None)
    assert read(field(1, field(1, "jwt"))) == Hello("jwt")
    assert read(field(2, field(1, -7) + field(2, field(1, 5)))) == SocketRequest(
        -7, StreamRequest("open_stream", None, 5)
    )
    got = read(field(2, field(1, 7) + field(8, field(1, 5) + field(2, 1 << 31))))
    assert got == SocketRequest(7, StreamRequest("fetch_cursor", 1 << 31, 0, 5))
    got = read(field(2, field(6, field(1, 1) + field(2, 2) + field(3, b""))))
    assert got == SocketRequest(0, StreamRequest("open_cursor", Batch([]), 1, 2))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff" * 11, "invalid varint"),
        (b"\x80", "invalid varint"),
        (b"\x0a", "invalid varint"),
        (b"\x0a\x05ab", "buffer underflow"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "buffer underflow"),
        (b"\x00", "invalid tag value: 0"),
        (b"\x0b", "buffer underflow"),
        (b"\x0c", "unexpected end group tag"),
        (b"\x0e", "invalid wire type value: 6"),
        (b"\x79\x01", "buffer underflow"),
        (field(1, 5), "invalid wire type: Varint (expected LengthDelimited)"),
        (field(1, b"\xff"), "invalid string value: data is not UTF-8 encoded"),
        (field(2, field(2, 5)), "invalid wire type"),
        (field(2, field(2, field(1, field(3, field(2, b"x"))))), "invalid wire type"),
        (field(2, field(2, field(1, field(3, field(3, 5))))), "invalid wire type"),
    ],
)
def test_malformed_protobuf(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        proto_decode.pipeline_body(data)
    known = "Could not decode client message from Protobuf: failed to decode Protobuf message: "
    assert caught.value.message == known + reason or reason in caught.value.message.removeprefix(known)


def test_deep_protobuf() -> None:
    condition = field(6, b"")
    for _ in range(300):
        condition = field(3, condition)
    with pytest.raises(MalformedError, match="recursion limit reached"):
        proto_decode.cursor_body(field(2, field(1, field(1, condition))))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (field(2, b""), "StreamRequest type not recognized"),
        (field(2, field(9, b"")), "StreamRequest type not recognized"),
        (field(2, field(2, field(1, field(3, b"")))), "Value type not recognized"),
        (field(2, field(2, field(1, field(4, field(1, "a"))))), "Value type not recognized"),
        (field(2, field(3, field(1, field(1, field(1, b""))))), "BatchCond type not recognized"),
    ],
)
def test_protobuf_without_a_variant(data: bytes, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        proto_decode.pipeline_body(data)
    assert (type(caught.value), caught.value.message) == (ProtocolError, message)


@pytest.mark.parametrize("data", [b"", field(2, b""), field(2, field(1, 5))])
def test_websocket_messages_without_a_variant(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="type not recognized"):
        proto_decode.socket_message(data)


def test_replies_in_json() -> None:
    error = JSON.error('say "no"', "SQLITE_BUSY")
    assert orjson.loads(error) == {"message": 'say "no"', "code": "SQLITE_BUSY"}
    results = [
        JSON.result("execute", b'{"cols":[]}'),
        JSON.result("close", b""),
        JSON.failed(error),
        JSON.autocommit(True),
    ]
    assert orjson.loads(JSON.pipeline(None, 'http://"x"', results)) == {
        "baton": None,
        "base_url": 'http://"x"',
        "results": [
            {"type": "ok", "response": {"type": "execute", "result": {"cols": []}}},
            {"type": "ok", "response": {"type": "close"}},
            {"type": "error", "error": {"message": 'say "no"', "code": "SQLITE_BUSY"}},
            {"type": "ok", "response": {"type": "get_autocommit", "is_autocommit": True}},
        ],
    }
    batch = orjson.loads(JSON.batch([b"{}", None], [None, error], 5))
    assert batch == {"step_results": [{}, None], "step_errors": [None, orjson.loads(error)], "replication_index": "5"}
    assert JSON.cursor("b", None) == b'{"baton":"b","base_url":null}\n'
    assert JSON.entry_error(error, socket=False)[-2:] == b"}\n"
    pieces = [JSON.entry_error(error, socket=True), JSON.step_error(1, error, socket=True)]
    assert orjson.loads(JSON.response_entries(7, pieces, True)) == {
        "type": "response_ok",
        "request_id": 7,
        "response": {
            "type": "fetch_cursor",
            "entries": [
                {"type": "error", "error": orjson.loads(error)},
                {"type": "step_error", "step": 1, "error": orjson.loads(error)},
            ],
            "done": True,
        },
    }


def test_replies_in_protobuf() -> None:
    error = PROTOBUF.error("no", "C")
    assert error == field(1, "no") + field(2, "C")
    # The result of a statement that gave nothing is there all the same.
    assert PROTOBUF.result("execute", b"") == field(1, field(2, field(1, b"")))
    assert PROTOBUF.result("close", b"") == field(1, field(1, b""))
    assert PROTOBUF.failed(error) == field(2, error)
    assert PROTOBUF.autocommit(False) == field(1, field(8, b""))
    assert PROTOBUF.pipeline("b", None, [b"x"]) == field(1, "b") + field(3, b"x")
    assert PROTOBUF.batch([b"r", None], [None, error], 5) == (
        field(1, field(1, 0) + field(2, b"r")) + field(2, field(1, 1) + field(2, error))
    )
    assert PROTOBUF.response_autocommit(7, False) == field(3, field(1, 7) + field(13, field(1, 0)))
    assert PROTOBUF.response_entries(0, [b"ab", b"c"], True) == field(3, field(8, b"abc" + field(2, 1)))
    long = "x" * 300
    assert PROTOBUF.hello_error(PROTOBUF.error(long, "")) == field(2, field(1, field(1, long)))


def test_errors() -> None:
    statuses = {"SQLITE_BUSY": 500, "SQL_PARSE_ERROR": 400, "TRANSACTION_TIMEOUT": 503, "BLOCKED": 400}
    assert {code: status_of(code) for code in statuses} == statuses
    refused = AuthError("The JWT is invalid", "AUTH_JWT_INVALID")
    assert (refused.status, refused.message) == (401, "Unauthorized: `The JWT is invalid`")
    assert (HttpError(404, "x").code, HttpError(429, "x").code) == ("NAMESPACE_NOT_FOUND", "TOO_MANY_REQUESTS")
