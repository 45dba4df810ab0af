"""Messages in protobuf, declared as dataclasses: a field says its number, its type and how it may be absent.

    @dataclass(slots=True)
    class Frame(Message):
        data: bytes = plain(1, BYTES)
        timestamp: int | None = optional(2, INT64)

`plain` fields are left out when they have the value of an empty message, `optional` ones (the members of a oneof,
too) when they are None; `repeated` ones are lists. Unknown fields are skipped. Bytes that are no message raise
ProtocolError, which names the message and the place.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from typing import Any, NamedTuple, TypeVar

from libsql_core.replication.errors import ProtocolError

# Types of fields; a message is named by its class, or where that comes later by its name.
_SIMPLE = ("string", "bytes", "bool", "uint64", "int64", "uint32", "int32", "enum", "double")
STRING, BYTES, BOOL, UINT64, INT64, UINT32, INT32, ENUM, DOUBLE = _SIMPLE
# How deep messages may nest.
MAX_DEPTH = 120

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_EMPTY: dict[str, object] = {STRING: "", BYTES: b"", BOOL: False, DOUBLE: 0.0}
_double = struct.Struct("<d")


class Field(NamedTuple):
    number: int
    kind: str | type[Message]
    how: str
    name: str = ""
    wire: int = 0
    tag: bytes = b""
    empty: object = None


def plain(number: int, kind: str) -> Any:
    """A field without presence: absent means zero or empty."""
    return dataclasses.field(default=_EMPTY.get(kind, 0), metadata={"field": Field(number, kind, "plain")})


def optional(number: int, kind: str | type[Message]) -> Any:
    """A field that is None when absent; also for the members of a oneof."""
    return dataclasses.field(default=None, metadata={"field": Field(number, kind, "optional")})


def repeated(number: int, kind: str | type[Message]) -> Any:
    return dataclasses.field(default_factory=list, metadata={"field": Field(number, kind, "repeated")})


def encode_varint(value: int) -> bytes:
    out = bytearray()
    value &= 0xFFFFFFFFFFFFFFFF
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_plans: dict[type[Message], dict[int, Field]] = {}


def _plan(message: type[Message]) -> dict[int, Field]:
    """The fields of a class by their numbers."""
    known = _plans.get(message)
    return known if known is not None else _plans.setdefault(message, _made_plan(message))


def _made_plan(message: type[Message]) -> dict[int, Field]:
    plan = {}
    for each in dataclasses.fields(message):
        field: Field = each.metadata["field"]
        kind = field.kind
        if isinstance(kind, str) and kind not in _SIMPLE:
            kind = getattr(sys.modules[message.__module__], kind)
        wire = _VARINT
        if isinstance(kind, type) or kind in (STRING, BYTES):
            wire = _LENGTH
        elif kind == DOUBLE:
            wire = _FIXED64
        tag = encode_varint(field.number << 3 | wire)
        empty = None if isinstance(kind, type) else _EMPTY.get(kind, 0)
        plan[field.number] = Field(field.number, kind, field.how, each.name, wire, tag, empty)
    return plan


def _encoded(field: Field, value: Any) -> bytes:
    kind = field.kind
    if field.wire == _VARINT:
        return field.tag + encode_varint(value)
    if kind == DOUBLE:
        return field.tag + _double.pack(value)
    data: bytes = value.encode() if kind == STRING or isinstance(kind, type) else bytes(value)
    return field.tag + encode_varint(len(data)) + data


Self = TypeVar("Self", bound="Message")


@dataclasses.dataclass(slots=True)
class Message:
    def encode(self) -> bytes:
        out = []
        for field in _plan(type(self)).values():
            value = getattr(self, field.name)
            if field.how == "repeated":
                out += [_encoded(field, item) for item in value]
            elif value != field.empty if field.how == "plain" else value is not None:
                out.append(_encoded(field, value))
        return b"".join(out)

    @classmethod
    def decode(cls: type[Self], data: bytes | bytearray | memoryview) -> Self:
        data = bytes(data)
        return _decode(cls, data, 0, len(data), 0)


class _Bad(ValueError):
    """What is wrong at the place where the reader stands."""


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
        shift += 7
    raise _Bad("no varint")


def _number(kind: str | type[Message], value: int) -> int | bool:
    if kind == BOOL:
        return value != 0
    if kind == UINT32:
        return value & 0xFFFFFFFF
    if kind in (INT32, ENUM):
        value &= 0xFFFFFFFF
        return value - (1 << 32) if value >> 31 else value
    if kind == INT64 and value >> 63:
        return value - (1 << 64)
    return value


def _skip(data: bytes, wire: int, at: int, end: int) -> int:
    if wire == _VARINT:
        return _varint(data, at, end)[1]
    if wire == _LENGTH:
        size, at = _varint(data, at, end)
        at += size
    elif wire in (_FIXED32, _FIXED64):
        at += 4 if wire == _FIXED32 else 8
    else:
        raise _Bad(f"wire type {wire}")
    if at > end:
        raise _Bad("a field that ends behind its message")
    return at


def _value(field: Field, data: bytes, at: int, end: int, depth: int) -> tuple[Any, int]:
    kind = field.kind
    if field.wire == _VARINT:
        value, at = _varint(data, at, end)
        return _number(kind, value), at
    stop = _skip(data, field.wire, at, end)
    if kind == DOUBLE:
        return _double.unpack_from(data, at)[0], stop
    at = _varint(data, at, end)[1]
    if isinstance(kind, type):
        return _decode(kind, data, at, stop, depth + 1), stop
    if kind == BYTES:
        return data[at:stop], stop
    try:
        return data[at:stop].decode(), stop
    except UnicodeDecodeError:
        raise _Bad("text that is not UTF-8") from None


def _packed(field: Field, data: bytes, at: int, end: int) -> tuple[list[Any], int]:
    stop = _skip(data, _LENGTH, at, end)
    at = _varint(data, at, end)[1]
    values = []
    while at < stop:
        value, at = _value(field, data, at, stop, 0)
        values.append(value)
    return values, stop


def _decode(cls: type[Self], data: bytes, at: int, end: int, depth: int) -> Self:
    if depth > MAX_DEPTH:
        raise ProtocolError(f"{cls.__name__} is nested more than {MAX_DEPTH} deep")
    message = cls()
    plan = _plan(cls)
    name = ""
    try:
        while at < end:
            name = ""
            tag, start = _varint(data, at, end)
            field = plan.get(tag >> 3)
            if field is None:
                if not 0 < tag >> 3 < 1 << 29:
                    raise _Bad(f"field number {tag >> 3}")
                at = _skip(data, tag & 7, start, end)
                continue
            name = "." + field.name
            if field.how == "repeated" and field.wire != _LENGTH and tag & 7 == _LENGTH:
                values, at = _packed(field, data, start, end)
                getattr(message, field.name).extend(values)
                continue
            if tag & 7 != field.wire:
                raise _Bad(f"wire type {tag & 7} instead of {field.wire}")
            value, at = _value(field, data, start, end, depth)
            if field.how == "repeated":
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    except _Bad as error:
        raise ProtocolError(f"{cls.__name__}{name}: {error} (byte {at} of {len(data)})") from None
    return message
