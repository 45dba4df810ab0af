"""Requests out of JSON. What does not fit is a MalformedError, worded as sqld's clients know it."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Any, NoReturn

import orjson

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

_REFUSED = "Cannot deserialize client message from JSON: "
_INT32 = range(-(1 << 31), 1 << 31)
_UINT32 = range(1 << 32)
_UINT64 = range(1 << 64)
# Longer texts of digits are not numbers of 64 bits; int() would take its time on them.
_INTEGER_LENGTH = 60
_BASE64 = re.compile(r"[A-Za-z0-9+/]*")
Object = dict[str, Any]


def _refuse(message: str) -> NoReturn:
    raise MalformedError(_REFUSED + message)


def kind_of(value: object) -> str:
    """How sqld's parser names what it did not expect."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        return f'string "{value[:200]}"'
    return "sequence" if isinstance(value, list) else "map"


def _wrong(value: object, expected: str) -> NoReturn:
    _refuse(f"invalid type: {kind_of(value)}, expected {expected}")


def _object(value: object, what: str) -> Object:
    if type(value) is not dict:
        if type(value) is list and what.startswith("internally tagged"):
            _refuse("missing field `type`")
        if value == [] and what in _FIELDS:
            _refuse(f"invalid length 0, expected {what} with {_FIELDS[what]}")
        _wrong(value, what)
    return value


def _list(of: Object, key: str, *, required: bool = False) -> list[Any]:
    if key not in of:
        if required:
            _refuse(f"missing field `{key}`")
        return []
    value = of[key]
    if type(value) is not list:
        _wrong(value, "a sequence")
    return value


def _text(of: Object, key: str) -> str:
    value = of.get(key)
    if type(value) is not str:
        if key not in of:
            _refuse(f"missing field `{key}`")
        _wrong(value, "a string")
    return value


def _optional_text(of: Object, key: str) -> str | None:
    value = of.get(key)
    if value is not None and type(value) is not str:
        _wrong(value, "a string")
    return value


def _number(of: Object, key: str, limits: range, name: str) -> int:
    value = of.get(key)
    if type(value) is not int:
        if key not in of:
            _refuse(f"missing field `{key}`")
        _wrong(value, name)
    if value not in limits:
        _refuse(f"invalid value: integer `{value}`, expected {name}")
    return value


def _optional_id(of: Object) -> int | None:
    return None if of.get("sql_id") is None else _number(of, "sql_id", _INT32, "i32")


def _replication_index(of: Object) -> int | None:
    value = of.get("replication_index")
    if value is None or (type(value) is int and value in _UINT64):
        return value
    if type(value) is str:
        digits = value.removeprefix("+")
        if digits.isascii() and digits.isdigit() and len(digits) <= _INTEGER_LENGTH and int(digits) in _UINT64:
            return int(digits)
        _refuse(f'invalid value: string "{value[:200]}", expected a string representing an integer, or null')
    _wrong(value, "a string representing an integer, or null")


# Structures of which an empty array tells how many fields they have.
_FIELDS = {
    "struct PipelineReqBody": "2 elements",
    "struct CursorReqBody": "2 elements",
    "struct ReqBody": "1 element",
}
_BEGINS = b' \t\r\n{["-0123456789ntf'
# What is wrong with a text that is no JSON, in the words of sqld's parser.
_SYNTAX = {
    "empty": "EOF while parsing a value",
    "content after document": "trailing characters",
    "invalid literal": "expected ident",
    "byte order mark": "expected value",
    "not valid UTF-8": "invalid unicode code point",
    "expected a JSON value": "expected value",
    "expected a string key": "key must be a string",
    "depth limit": "recursion limit exceeded",
}


def syntax_error(data: bytes, error: orjson.JSONDecodeError) -> str:
    """Why a text is no JSON."""
    text = next((ours for part, ours in _SYNTAX.items() if part in error.msg), error.msg)
    column = error.colno
    if "end of data" in error.msg:
        text = f"EOF while parsing {'an object' if data.rfind(b'{') > data.rfind(b'[') else 'a list'}"
    elif data and data[0] not in _BEGINS:
        text = "expected value"
    if text.startswith("EOF"):
        column -= 1
    return f"{text} at line {error.lineno} column {column}"


def load(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        _refuse(syntax_error(data, error))


def _value(of: object) -> Value:
    of = _object(of, "internally tagged enum Value")
    kind = of.get("type")
    if kind == "text":
        return _text(of, "value")
    if kind == "integer":
        return _integer(of)
    if kind == "float":
        number = of.get("value")
        if type(number) is not float and type(number) is not int:
            if "value" not in of:
                _refuse("missing field `value`")
            _wrong(number, "f64")
        return float(number)
    if kind == "null":
        return None
    if kind == "blob":
        return base64_bytes(_text(of, "base64"))
    if "type" not in of:
        _refuse("missing field `type`")
    if type(kind) is not str:
        _wrong(kind, "variant identifier")
    _refuse(f"unknown variant `{kind[:200]}`, expected one of `null`, `integer`, `float`, `text`, `blob`")


def _integer(of: Object) -> int:
    digits = of.get("value")
    if type(digits) is not str:
        if "value" not in of:
            _refuse("missing field `value`")
        _wrong(digits, "a borrowed string")
    bare = digits[1:] if digits[:1] in ("-", "+") else digits
    if bare.isascii() and bare.isdigit() and len(bare) <= _INTEGER_LENGTH:
        value = int(digits)
        if -(1 << 63) <= value < 1 << 63:
            return value
    _refuse(f'invalid value: string "{digits[:200]}", expected decimal integer as a string')


def base64_bytes(text: str) -> bytes:
    """The standard alphabet, with or without padding."""
    bare = text.rstrip("=")
    if not _BASE64.fullmatch(bare) or len(bare) % 4 == 1 or (text != bare and len(text) % 4):
        _refuse(f'invalid value: string "{bare[:200]}", expected binary data encoded as base64')
    return binascii.a2b_base64(bare + "=="[: -len(bare) % 4])


def stmt(value: object) -> Stmt:
    of = _object(value, "struct Stmt")
    sql = _optional_text(of, "sql")
    args = of.get("args", ())
    if type(args) is list:
        args = [_value(arg) for arg in args]
    elif args != ():
        _wrong(args, "a sequence")
    named = _named_args(of) if "named_args" in of else ()
    if of.get("want_rows") not in (None, True, False):
        _wrong(of["want_rows"], "a boolean")
    index = _replication_index(of) if "replication_index" in of else None
    return indexed(Stmt(sql, _optional_id(of) if "sql_id" in of else None, args, named), index)


def _named_args(of: Object) -> list[tuple[str, Value]]:
    named = []
    for entry in _list(of, "named_args"):
        entry = _object(entry, "struct NamedArg")
        name = _text(entry, "name")
        if "value" not in entry:
            _refuse("missing field `value`")
        named.append((name, _value(entry["value"])))
    return named


_CONDITIONS = ("ok", "error", "not", "and", "or", "is_autocommit")


def _condition(value: object, depth: int = 0) -> Condition:
    of = _object(value, "internally tagged enum BatchCond")
    kind = of.get("type")
    if kind == "ok" or kind == "error":
        return kind, _number(of, "step", _UINT32, "u32")
    if depth > MAX_DEPTH:
        _refuse("recursion limit exceeded")
    if kind == "not":
        if "cond" not in of:
            _refuse("missing field `cond`")
        return kind, _condition(of["cond"], depth + 1)
    if kind in ("and", "or"):
        return kind, [_condition(each, depth + 1) for each in _list(of, "conds", required=True)]
    if kind == "is_autocommit":
        return kind, None
    return _unknown(of, _CONDITIONS)


def _unknown(of: Object, known: tuple[str, ...]) -> NoReturn:
    if "type" not in of:
        _refuse("missing field `type`")
    kind = of["type"]
    if type(kind) is not str:
        _wrong(kind, "variant identifier")
    names = [f"`{name}`" for name in known]
    expected = " or ".join(names) if len(names) == 2 else f"one of {', '.join(names)}"
    _refuse(f"unknown variant `{kind[:200]}`, expected {expected}")


def batch(value: object) -> Batch:
    of = _object(value, "struct Batch")
    steps = []
    for entry in _list(of, "steps", required=True):
        step = _object(entry, "struct BatchStep")
        condition = step.get("condition")
        if "stmt" not in step:
            _refuse("missing field `stmt`")
        if condition is not None:
            condition = _condition(condition)
        steps.append(Step(condition, stmt(step["stmt"])))
    return indexed_batch(Batch(steps), _replication_index(of) if "replication_index" in of else None)


def _field(of: Object, key: str) -> object:
    if key not in of:
        _refuse(f"missing field `{key}`")
    return of[key]


def _text_of(of: Object) -> Text:
    _replication_index(of)
    return Text(_optional_text(of, "sql"), _optional_id(of))


_BODIES: dict[str, Callable[[Object], Any]] = {
    "close": lambda of: None,
    "execute": lambda of: stmt(_field(of, "stmt")),
    "batch": lambda of: batch(_field(of, "batch")),
    "sequence": _text_of,
    "describe": _text_of,
    "store_sql": lambda of: StoreSql(_number(of, "sql_id", _INT32, "i32"), _text(of, "sql")),
    "close_sql": lambda of: _number(of, "sql_id", _INT32, "i32"),
    "get_autocommit": lambda of: None,
}
_SOCKET_BODIES: dict[str, Callable[[Object], Any]] = {
    "open_stream": lambda of: None,
    "close_stream": lambda of: None,
    "execute": _BODIES["execute"],
    "batch": _BODIES["batch"],
    "open_cursor": _BODIES["batch"],
    "close_cursor": lambda of: None,
    "fetch_cursor": lambda of: _number(of, "max_count", _UINT32, "u32"),
    "sequence": _text_of,
    "describe": _text_of,
    "store_sql": _BODIES["store_sql"],
    "close_sql": _BODIES["close_sql"],
    "get_autocommit": lambda of: None,
}
_ON_STREAM = {
    "open_stream",
    "close_stream",
    "execute",
    "batch",
    "open_cursor",
    "sequence",
    "describe",
    "get_autocommit",
}
_ON_CURSOR = {"open_cursor", "close_cursor", "fetch_cursor"}


def pipeline_body(data: bytes) -> PipelineBody:
    body: PipelineBody | None = READER.pipeline(data)
    return any_pipeline_body(data) if body is None else body


def any_pipeline_body(data: bytes) -> PipelineBody:
    of = _object(load(data), "struct PipelineReqBody")
    baton = of.get("baton")
    if baton is not None and type(baton) is not str:
        _wrong(baton, "a string")
    requests = []
    for entry in _list(of, "requests", required=True):
        request = _object(entry, "internally tagged enum StreamRequest")
        kind = request.get("type")
        if type(kind) is not str or (read := _BODIES.get(kind)) is None:
            _unknown(request, tuple(_BODIES))
        requests.append(StreamRequest(kind, read(request)))
    return PipelineBody(baton, requests)


def cursor_body(data: bytes) -> CursorBody:
    of = _object(load(data), "struct CursorReqBody")
    return CursorBody(_optional_text(of, "baton"), batch(_field(of, "batch")))


def stmt_body(data: bytes) -> Stmt:
    """The body of `/v1/execute`."""
    return stmt(_field(_object(load(data), "struct ReqBody"), "stmt"))


def batch_body(data: bytes) -> Batch:
    """The body of `/v1/batch`."""
    return batch(_field(_object(load(data), "struct ReqBody"), "batch"))


def _socket_request(value: object) -> StreamRequest:
    of = _object(value, "internally tagged enum Request")
    kind = of.get("type")
    if type(kind) is not str or (read := _SOCKET_BODIES.get(kind)) is None:
        _unknown(of, tuple(_SOCKET_BODIES))
    stream_id = _number(of, "stream_id", _INT32, "i32") if kind in _ON_STREAM else 0
    cursor_id = _number(of, "cursor_id", _INT32, "i32") if kind in _ON_CURSOR else 0
    return StreamRequest(kind, read(of), stream_id, cursor_id)


def socket_message(data: bytes) -> Hello | SocketRequest:
    message: SocketRequest | None = READER.socket(data)
    return any_socket_message(data) if message is None else message


def any_socket_message(data: bytes) -> Hello | SocketRequest:
    of = _object(load(data), "internally tagged enum ClientMsg")
    kind = of.get("type")
    if kind == "request":
        request_id = _number(of, "request_id", _INT32, "i32")
        if of.get("request") is None:
            raise ProtocolError("Request type not recognized")
        return SocketRequest(request_id, _socket_request(of["request"]))
    if kind == "hello":
        return Hello(_optional_text(of, "jwt"))
    return _unknown(of, ("hello", "request"))
