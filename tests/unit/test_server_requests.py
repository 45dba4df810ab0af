"""The quick reader of requests gives what the decoder in Python would give, or nothing; so do batches run at once."""

from __future__ import annotations

import json
import random
import re
import runpy
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libsql_core._engine import RequestReader
from libsql_core.hrana import json_decode, proto_decode
from libsql_core.hrana.encode import varint
from libsql_core.hrana.errors import MalformedError, ProtocolError
from libsql_core.hrana.reader import READER
from libsql_core.hrana.types import Batch, PipelineBody, SocketRequest, Step, StreamRequest
from libsql_core.server import session

if TYPE_CHECKING:
    from tests.unit.server_double import Server, serve
else:
    serve = runpy.run_path(str(Path(__file__).with_name("server_double.py")))["serve"]

CLOSE = {"type": "close"}
TEXTS = ["", "x", "é", "\x7f\t\n\"\\/\b\f\r\0", "\U0001f600 \ud7ff\ue000", "select 1", "some text of 27 bytes or so"]
VALUES: list[Any] = [
    {"type": "null"},
    *({"type": "integer", "value": each} for each in ("0", "-5", "+7", "00012", "999999999999999999", "9" * 19, "-")),
    *({"type": "float", "value": each} for each in (0, -0.0, 1.5, 12, 1e300, -2.5e-9, 0.1, 123456789012345678901)),
    *({"type": "text", "value": each} for each in TEXTS),
    *({"type": "blob", "base64": each} for each in ("", "AQI", "AQI=", "+/+/", "AQ", "AR", "A-", "AQI==")),
    {"type": "null", "value": None},
    {"type": "integer", "value": 5},
    {"type": "float", "value": "5"},
    {"type": "text"},
    {"type": "blob", "value": "AQI"},
    {"type": "text", "base64": "AQI"},
]
LITERALS = [
    b"null", b"true", b"-0", b"1.", b"1e5", b"01", b"1E+2", b"-", b"{}", b"[]", b'""', b'"\\ud800"', b"\xff", b"1e999"
]  # fmt: skip


class Maker:
    """Makes requests of which most are right."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def maybe(self, of: dict[str, Any], key: str, *values: Any) -> None:
        if self.random.random() < 0.3:
            of[key] = self.random.choice(values)

    def stmt(self) -> Any:
        of: dict[str, Any] = {}
        if self.random.random() < 0.95:
            of["sql"] = self.random.choice(TEXTS)
        self.maybe(of, "args", [], [self.random.choice(VALUES)], self.random.sample(VALUES, 3), None)
        self.maybe(of, "named_args", [], [{"name": "a", "value": self.random.choice(VALUES)}], [{"name": "é"}])
        self.maybe(of, "want_rows", True, False, None, 1)
        self.maybe(of, "sql_id", None, 5)
        self.maybe(of, "replication_index", None, "7")
        return of

    def condition(self, depth: int = 0) -> Any:
        kind = self.random.choice(["ok", "ok", "ok", "error", "not", "and", "or", "is_autocommit", "other"])
        of: dict[str, Any] = {"type": kind}
        if kind in ("ok", "error"):
            of["step"] = self.random.choice([0, 1, 2, 77, -1, 1 << 31, 1.5])
        elif kind == "not":
            of["cond"] = self.condition(depth + 1) if depth < 20 else {"type": "is_autocommit"}
        elif kind in ("and", "or"):
            of["conds"] = [self.condition(depth + 1) for _ in range(self.random.randrange(3) if depth < 3 else 0)]
        return of

    def batch(self) -> Any:
        steps = []
        for _ in range(self.random.randrange(4)):
            step = {"stmt": self.stmt()}
            self.maybe(step, "condition", None, self.condition(), self.condition())
            steps.append(step)
        return {"steps": steps}

    def request(self, socket: bool) -> Any:
        kinds = ["execute", "batch", "close", "get_autocommit", "open_stream", "sequence", "describe"]
        kind = self.random.choice(kinds)
        of: dict[str, Any] = {"type": kind}
        if socket:
            of["stream_id"] = self.random.choice([0, 1, -7, 1 << 31, "1"])
        if kind == "execute":
            of["stmt"] = self.stmt()
        elif kind == "batch":
            of["batch"] = self.batch()
        elif kind in ("sequence", "describe"):
            of["sql"] = "select 1"
        return of

    def body(self) -> Any:
        of: dict[str, Any] = {"requests": [self.request(False) for _ in range(self.random.randrange(4))]}
        self.maybe(of, "baton", None, "abc", 5)
        return of

    def message(self) -> Any:
        return {"type": "request", "request_id": self.random.choice([1, -5, 1 << 40]), "request": self.request(True)}

    def shuffled(self, value: Any) -> Any:
        """The keys in another order."""
        if isinstance(value, dict):
            items = [(key, self.shuffled(each)) for key, each in value.items()]
            self.random.shuffle(items)
            return dict(items)
        return [self.shuffled(each) for each in value] if isinstance(value, list) else value

    def text(self, value: Any) -> bytes:
        """As JSON, in one of the ways that there are, and perhaps with a mistake in it."""
        way = self.random.randrange(3)
        separators = [(",", ":"), (", ", ": "), (" \n,\t", "\r : ")][way]
        data = json.dumps(self.shuffled(value), ensure_ascii=way == 0, separators=separators).encode(
            "utf-8", "surrogatepass"
        )
        if self.random.random() < 0.5:
            return data
        at, end = sorted(self.random.randrange(len(data) + 1) for _ in range(2))
        kind = self.random.randrange(4)
        if kind == 0:
            return data[:at] + self.random.choice(LITERALS) + data[at:]
        if kind == 1:
            return data[:at] + data[min(end, at + 3) :]
        if kind == 2:
            return data[:at] + bytes([self.random.choice(b' ,:{}[]"\\0a\x01')]) + data[at + 1 :]
        found = list(re.finditer(rb'"[a-z_]+"', data))
        one, two = self.random.choice(found), self.random.choice(found)
        return data[: one.start()] + two[0] + data[one.end() :]


# The same in protobuf.

HTTP = {"close": 1, "execute": 2, "batch": 3, "sequence": 4, "describe": 5, "get_autocommit": 8}
SOCKET = {
    "open_stream": 2, "close_stream": 3, "execute": 4, "batch": 5, "sequence": 9, "describe": 10, "get_autocommit": 13
}  # fmt: skip
CONDITIONS = {"ok": 1, "error": 2, "not": 3, "and": 4, "or": 5, "is_autocommit": 6}


def field(number: int, value: int | bytes | str | float) -> bytes:
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def proto_value(of: Any) -> bytes:
    if of["type"] == "integer":
        value = int(of["value"]) if str(of["value"]).isdigit() else -77
        return field(2, value << 1 ^ value >> 63)
    if of["type"] == "float":
        return field(3, float(of["value"]))
    if of["type"] == "text":
        return field(4, of.get("value", "x"))
    return field(1, b"") if of["type"] == "null" else field(5, str(of).encode()[-9:])


def proto_stmt(of: Any) -> bytes:
    data = field(1, of["sql"]) if "sql" in of else b""
    data += b"".join([field(3, proto_value(each)) for each in of.get("args") or []])
    for each in of.get("named_args", []):
        value = field(2, proto_value(each["value"])) if "value" in each else b""
        data += field(4, field(1, each["name"]) + value)
    data += field(5, bool(of["want_rows"])) if "want_rows" in of else b""
    data += field(2, 5) if of.get("sql_id") else b""
    return data + field(6, 7) if of.get("replication_index") else data


def proto_condition(of: Any) -> bytes:
    kind = of["type"]
    if kind in ("ok", "error"):
        return field(CONDITIONS[kind], int(of["step"]))
    if kind == "not":
        return field(3, proto_condition(of["cond"]))
    if kind in ("and", "or"):
        return field(CONDITIONS[kind], b"".join([field(1, proto_condition(each)) for each in of["conds"]]))
    return field(6, b"") if kind == "is_autocommit" else b""


def proto_request(of: Any, numbers: dict[str, int]) -> bytes:
    data = field(1, int(of["stream_id"])) if numbers is SOCKET else b""
    first = 2 if numbers is SOCKET else 1
    if of["type"] == "execute":
        data += field(first, proto_stmt(of["stmt"]))
    elif of["type"] == "batch":
        steps = b""
        for step in of["batch"]["steps"]:
            condition = step.get("condition")
            before = b"" if condition is None else field(1, proto_condition(condition))
            steps += field(1, before + field(2, proto_stmt(step["stmt"])))
        data += field(first, steps)
    return field(numbers.get(of["type"], 77), data)


def proto_body(of: Any) -> bytes:
    data = field(1, "abc") if of.get("baton") else b""
    return data + b"".join([field(2, proto_request(each, HTTP)) for each in of["requests"]])


def proto_message(of: Any) -> bytes:
    return field(2, field(1, of["request_id"]) + proto_request(of["request"], SOCKET))


def damaged(make: Maker, data: bytes) -> bytes:
    if make.random.random() < 0.5:
        return data
    at, end = sorted(make.random.randrange(len(data) + 1) for _ in range(2))
    kind = make.random.randrange(3)
    if kind == 0:
        return data[:at] + data[min(end, at + 3) :]
    if kind == 1:
        return data[:at] + bytes([make.random.choice(b"\x00\x01\x08\x0a\x12\x1a\x80\xff")]) + data[at + 1 :]
    return data[:at] + data[at:end] + data[at:]


def asked(read: Callable[[bytes], object], data: bytes) -> str | None:
    try:
        return repr(read(data))
    except (MalformedError, ProtocolError):
        return None


def test_requests_are_read_alike() -> None:
    read = read_protobuf = 0
    for seed in range(6000):
        make = Maker(seed)
        body, message = make.body(), make.message()
        for data, quick, careful in (
            (make.text(body), READER.pipeline, json_decode.any_pipeline_body),
            (make.text(message), READER.socket, json_decode.any_socket_message),
        ):
            found = quick(data)
            if found is not None:
                read += 1
                assert repr(found) == asked(careful, data), (seed, data)
        for data, quick, careful in (
            (damaged(make, proto_body(body)), READER.pipeline, proto_decode.any_pipeline_body),
            (damaged(make, proto_message(message)), READER.socket, proto_decode.any_socket_message),
        ):
            found = quick(data, True)
            if found is not None:
                read_protobuf += 1
                assert repr(found) == asked(careful, data), (seed, data)
    assert read > 1500
    assert read_protobuf > 3000


@pytest.mark.parametrize(
    "stmt",
    [
        {"sql": "select 1"},
        {"sql": "select \"a\\b\"\n-- é \U0001f600"},
        {"sql": "select ?", "args": [{"type": "text", "value": "x"}], "named_args": [], "want_rows": True},
        {"sql": "x", "sql_id": None, "args": VALUES[:5], "replication_index": None},
        {"sql": "x", "named_args": [{"name": "a", "value": {"type": "blob", "base64": "AQI"}}], "want_rows": False},
        {"sql": "x", "args": [{"value": 1.5, "type": "float"}]},
    ],
)
@pytest.mark.parametrize("ascii_", [False, True])
def test_what_clients_usually_send_is_read(stmt: Any, ascii_: bool) -> None:
    conditions = [{"type": "ok", "step": 0}, {"type": "is_autocommit"}]
    condition = {"type": "not", "cond": {"type": "and", "conds": conditions}}
    steps = [{"stmt": stmt}, {"condition": condition, "stmt": stmt}, {"condition": None, "stmt": stmt}]
    kinds: list[Any] = [
        {"type": "execute", "stmt": stmt}, {"type": "batch", "batch": {"steps": steps}}, {"type": "get_autocommit"}
    ]  # fmt: skip
    data = json.dumps({"baton": "x/+", "requests": [*kinds, CLOSE]}, ensure_ascii=ascii_).encode()
    assert READER.pipeline(data) == json_decode.any_pipeline_body(data)
    for kind in [*kinds, {"type": "open_stream"}, {"type": "close_stream"}]:
        message = {"type": "request", "request_id": 7, "request": {**kind, "stream_id": -1}}
        data = json.dumps(message, ensure_ascii=ascii_).encode()
        assert READER.socket(data) == json_decode.any_socket_message(data)
        data = proto_message(message)
        assert READER.socket(data, True) == proto_decode.any_socket_message(data)
    data = proto_body({"baton": "x", "requests": [*kinds, CLOSE]})
    assert READER.pipeline(data, True) == proto_decode.any_pipeline_body(data)


def test_a_text_that_comes_again_is_the_same_object() -> None:
    def sql(text: str) -> Any:
        body = READER.pipeline(json.dumps({"requests": [{"type": "execute", "stmt": {"sql": text}}]}).encode())
        return body.requests[0].body.sql

    assert sql("select 1") is sql("select 1")
    assert sql("select 1") == "select 1"
    assert sql("select 2") == "select 2"
    assert sql("\u00e9" * 5000) == "\u00e9" * 5000


def test_what_is_made_is_like_what_python_makes() -> None:
    message = READER.socket(b'{"type":"request","request_id":1,"request":{"type":"open_stream","stream_id":7}}')
    same = SocketRequest(1, StreamRequest("open_stream", None, 7))
    assert type(message) is SocketRequest
    assert (message, hash(message), repr(message)) == (same, hash(same), repr(same))


def test_the_named_tuples_are_those_that_it_knows() -> None:
    types = {"body": PipelineBody, "message": SocketRequest, "request": StreamRequest, "batch": Batch, "step": Step}
    with pytest.raises(TypeError, match="Step is not the named tuple"):
        RequestReader(**types, stmt=Step)
    with pytest.raises(TypeError, match="list is not the named tuple"):
        RequestReader(**types, stmt=list)  # type: ignore[arg-type]


# Batches, run at once or step by step.

STATEMENTS = [
    "insert into t values (?, 'x')",
    "insert into t values (?, 'é')",
    "insert or rollback into t values (1, ?)",
    "update t set b = ? where a = 1",
    "delete from t where a = ?",
    "select * from t where a >= ?",
    "select * from t where a = ?",
    "select * from nope where a = ?",
    "select abs(?)",
]
PLAIN = ["begin", "begin immediate", "commit", "rollback", "savepoint s", "release s", "select 1", "pragma page_count"]
ARGUMENTS = [{"type": "integer", "value": str(each)} for each in range(4)] + [VALUES[0], VALUES[10], *VALUES[16:20]]


def steps_of(make: Maker, size: int) -> list[Any]:
    steps = []
    for number in range(size):
        stmt: dict[str, Any] = {"sql": make.random.choice(PLAIN)}
        if make.random.random() < 0.7:
            stmt = {"sql": make.random.choice(STATEMENTS), "args": [make.random.choice(ARGUMENTS)]}
        step: dict[str, Any] = {"stmt": stmt}
        if number and make.random.random() < 0.6:
            of = make.random.randrange(number)
            kind = make.random.choice(["ok", "ok", "ok", "error"])
            step["condition"] = {"type": kind, "step": of if make.random.random() < 0.3 else number - 1}
            if make.random.random() < 0.2:
                step["condition"] = {"type": "not", "cond": step["condition"]}
        steps.append(step)
    return steps


def replies(path: Path, bodies: list[Any]) -> list[str]:
    found: list[str] = []

    async def script(server: Server) -> None:
        await server.pipeline("create table t(a integer primary key, b)", CLOSE)
        for body in bodies:
            _, got = await server.post("/v3/pipeline", body)
            found.append(re.sub(r'"query_duration_ms": [0-9.]+', "", json.dumps(got)))

    run: Callable[[Path, Callable[[Server], Awaitable[None]]], None] = serve
    run(path, script)
    return found


def test_batches_answer_alike_at_once_and_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker(1)
    bodies = [
        {"requests": [{"type": "batch", "batch": {"steps": steps_of(make, make.random.randrange(1, 25))}}, CLOSE]}
        for _ in range(150)
    ]
    at_once = replies(tmp_path / "one", bodies)
    with monkeypatch.context() as patched:
        patched.setattr(session.Session, "_plain", False)
        patched.setattr(json_decode, "pipeline_body", json_decode.any_pipeline_body)
        one_by_one = replies(tmp_path / "two", bodies)
    for body, one, two in zip(bodies, at_once, one_by_one, strict=True):
        assert one == two, body
    assert "SQLITE_CONSTRAINT" in "".join(at_once)
