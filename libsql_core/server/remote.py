"""Statements that a replica has its primary run: a stream of programs, and results in the forms that clients know."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from libsql_core.hrana.encode import varint
from libsql_core.hrana.errors import HttpError, SqlError
from libsql_core.replication.errors import ProtocolError
from libsql_core.replication.messages import (
    ColsDescription,
    Cond,
    Conds,
    DescribeResp,
    ErrCond,
    Error,
    ErrorCode,
    ExecReq,
    ExecResp,
    Finish,
    FinishStep,
    IsAutocommitCond,
    Named,
    NotCond,
    OkCond,
    Positional,
    Program,
    Query,
    Step,
    StepError,
    StreamDescribeReq,
    StreamProgramReq,
    ValueData,
    encode_value,
)
from libsql_core.server.rpc import RpcError

if TYPE_CHECKING:
    from libsql_core.hrana.types import Condition, Value
    from libsql_core.server.session import Bound, Encoding
    from libsql_core.server.upstream import Talk

JSON, PROTOBUF, PLAIN = 0, 1, 2
_real = struct.Struct("<d")
# What clients call SQLite's codes.
_NAMES = {
    2: "INTERNAL", 3: "PERM", 4: "ABORT", 5: "BUSY", 6: "LOCKED", 7: "NOMEM", 8: "READONLY", 9: "INTERRUPT",
    10: "IOERR", 11: "CORRUPT", 12: "NOTFOUND", 13: "FULL", 14: "CANTOPEN", 15: "PROTOCOL", 17: "SCHEMA", 18: "TOOBIG",
    19: "CONSTRAINT", 20: "MISMATCH", 21: "MISUSE", 22: "NOLFS", 23: "AUTH", 25: "RANGE", 26: "NOTADB",
}  # fmt: skip


class Result:
    """What a step came to."""

    __slots__ = ("affected", "columns", "error", "rowid", "rows")

    def __init__(self) -> None:
        self.columns: list[tuple[str, str | None]] | None = None  # None: it was skipped, or failed
        self.rows: list[list[Value]] = []
        self.affected = 0
        self.rowid: int | None = None
        self.error: SqlError | None = None


class Answer(NamedTuple):
    results: list[Result]
    frame: int | None  # the last one of the primary when the program had run
    autocommit: bool
    too_large: bool  # not all rows are in the results


def unreachable(reason: str) -> HttpError:
    """What clients are told when the primary does not answer, or not what it should."""
    return HttpError(500, f"error executing a request on the primary: `{reason}`")


class Remote:
    """A connection of the primary's."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._number = -1

    @property
    def ended(self) -> bool:
        """The primary has given it up."""
        return self._talk.ended

    def close(self) -> None:
        self._talk.close()

    async def run(self, program: Program, limit: int) -> Answer:
        """HttpError when the primary is away, SqlError when the program did not run."""
        await self._ask(execute=StreamProgramReq(program))
        reading = _Reading(limit)
        while reading.finish is None:
            reading.take(await self._hear(program=True))
        return Answer(reading.results, reading.finish.last_frame_no, reading.finish.is_autocommit, reading.left < 0)

    async def describe(self, sql: str) -> DescribeResp:
        await self._ask(describe=StreamDescribeReq(sql))
        return DescribeResp.decode(await self._hear(program=False))

    async def _ask(self, **what: Any) -> None:
        self._number += 1
        try:
            await self._talk.say(ExecReq(self._number, **what).encode())
        except RpcError as error:
            raise unreachable(error.message or error.code.name) from None

    async def _hear(self, *, program: bool) -> bytes:
        """The next part of the answer: a ProgramResp, or a DescribeResp."""
        while True:
            try:
                message = await self._talk.hear()
            except RpcError as error:
                raise unreachable(error.message or error.code.name) from None
            number, kind, content = 0, 0, b""
            for field, value in _fields(message, 0, len(message)):
                if field == 1:
                    number = value
                else:
                    kind, (start, end) = field, value
                    content = message[start:end]
            if number != self._number:
                continue  # of one that was given up
            if kind == 4:
                raise failure(Error.decode(content))
            if kind == (2 if program else 3):
                return content
            raise ProtocolError(f"the primary answers with field {kind} of ExecResp: {ExecResp.decode(message)!r:.80}")


def failure(error: Error) -> SqlError:
    """The primary's error as it would be told by the primary itself."""
    if error.code == ErrorCode.TX_TIMEOUT:
        return SqlError("Transaction timed out", "TRANSACTION_TIMEOUT")
    if error.code == ErrorCode.TX_BUSY:
        return SqlError("Transaction is busy", "TRANSACTION_BUSY")
    if error.extended_code:
        name = _NAMES.get(error.extended_code & 0xFF, "UNKNOWN")
        return SqlError(f"SQLite error: {error.message}", f"SQLITE_{name}")
    return SqlError(error.message, "SQLITE_UNKNOWN" if error.code == ErrorCode.INTERNAL else "ARGS_INVALID")


class _Reading:
    """Takes the steps of an answer as they come. Most of them are values of rows, so they are read by hand."""

    def __init__(self, limit: int) -> None:
        self.results: list[Result] = []
        self.finish: Finish | None = None
        self.left = limit
        self._result = Result()
        self._row: list[Value] = []

    def take(self, data: bytes) -> None:
        self.left -= len(data)
        for _, (start, end) in _fields(data, 0, len(data)):
            for kind, (begin, stop) in _fields(data, start, end):
                if kind == 8:
                    if self.left >= 0:
                        self._row.append(_row_value(data, begin, stop))
                elif kind == 7:
                    self._row = []
                elif kind == 9:
                    if self.left >= 0:
                        self._result.rows.append(self._row)
                elif kind == 2:
                    self._result = Result()
                    self.results.append(self._result)
                elif kind == 3:
                    done = FinishStep.decode(data[begin:stop])
                    self._result.affected, self._result.rowid = done.affected_row_count, done.last_insert_rowid
                elif kind == 4:
                    self._result.error = failure(StepError.decode(data[begin:stop]).error or Error())
                elif kind == 5:
                    columns = ColsDescription.decode(data[begin:stop]).columns
                    self._result.columns = [(each.name, each.decltype) for each in columns]
                elif kind == 11:
                    self.finish = Finish.decode(data[begin:stop])


def _fields(data: bytes, at: int, end: int) -> list[tuple[int, Any]]:
    """The fields of a message: their numbers, and values or where their contents begin and end."""
    found: list[tuple[int, Any]] = []
    try:
        while at < end:
            tag = data[at]
            at += 1
            if tag & 7 == 1:
                found.append((tag >> 3, _real.unpack_from(data, at)[0]))
                at += 8
                continue
            value = data[at]
            at += 1
            if value >= 0x80:
                value &= 0x7F
                shift = 7
                while True:
                    byte = data[at]
                    at += 1
                    value |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
            if tag & 7 == 2:
                found.append((tag >> 3, (at, at + value)))
                at += value
            elif tag & 7 == 0 and tag < 0x80:
                found.append((tag >> 3, value))
            else:
                raise ProtocolError(f"the primary's answer has a field of type {tag & 7}")
    except (IndexError, struct.error):
        at = end + 1
    if at > end:
        raise ProtocolError("the primary's answer is cut off")
    return found


def _row_value(data: bytes, start: int, end: int) -> Value:
    for _, (begin, stop) in _fields(data, start, end):
        for kind, value in _fields(data, begin, stop):
            if kind == 1:
                return data[value[0] : value[1]].decode("utf-8", "replace")
            if kind == 2:
                number: int = value
                return number - (1 << 64) if number >= 1 << 63 else number
            if kind == 3:
                real: float = value
                return real
            if kind == 4:
                return data[value[0] : value[1]]
            return None
    return None


# Programs


def program(steps: Sequence[tuple[Condition | None, Bound]]) -> Program:
    return Program([Step(None if of is None else _cond(of), _query(bound)) for of, bound in steps])


def _query(bound: Bound) -> Query:
    plan, args, named = bound
    if named:
        return Query(plan.sql, named=Named([name for name, _ in named], [_data(value) for _, value in named]))
    return Query(plan.sql, positional=Positional([_data(value) for value in args]))


def _data(value: Value) -> ValueData:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        value = float(value)  # as the engine takes it
    return ValueData(encode_value(value))


def _cond(of: Condition) -> Cond:
    kind, what = of
    if kind == "ok":
        return Cond(ok=OkCond(what))
    if kind == "error":
        return Cond(err=ErrCond(what))
    if kind == "not":
        return Cond(not_=NotCond(_cond(what)))
    if kind == "and":
        return Cond(and_=Conds([_cond(each) for each in what]))
    if kind == "or":
        return Cond(or_=Conds([_cond(each) for each in what]))
    return Cond(is_autocommit=IsAutocommitCond())


# Results as clients know them


def stmt_result(result: Result, encoding: Encoding, index: int | None, millis: float) -> bytes:
    columns = result.columns or []
    if encoding == PROTOBUF:
        made = b"".join([_field(1, _column(*column)) for column in columns])
        made += b"".join([_field(2, _row(row)) for row in result.rows])
        made += _number(3, result.affected)
        if result.rowid is not None:
            made += b"\x20" + varint(_zigzag(result.rowid))
        if index is not None:
            made += b"\x28" + varint(index)
        return made + b"\x41" + _real.pack(millis)
    if encoding == PLAIN:
        rows = [[_plain_json(value) for value in row] for row in result.rows]
        names = [name for name, _ in columns]
        return orjson.dumps(
            {"columns": names, "rows": rows, "rows_read": 0, "rows_written": 0, "query_duration_ms": millis}
        )
    return orjson.dumps(
        {
            "cols": [{"name": name, "decltype": decltype} for name, decltype in columns],
            "rows": [[_json(value) for value in row] for row in result.rows],
            "affected_row_count": result.affected,
            "last_insert_rowid": None if result.rowid is None else str(result.rowid),
            "replication_index": None if index is None else str(index),
            "rows_read": 0,
            "rows_written": 0,
            "query_duration_ms": millis,
        }
    )


def describe_result(found: DescribeResp, encoding: Encoding) -> bytes:
    if encoding == PROTOBUF:
        return found.encode()  # one is as the other
    return orjson.dumps(
        {
            "params": [{"name": each.name} for each in found.params],
            "cols": [{"name": each.name, "decltype": each.decltype} for each in found.cols],
            "is_explain": found.is_explain,
            "is_readonly": found.is_readonly,
        }
    )


def step_entries(result: Result, encoding: Encoding, step: int, socket: bool) -> list[bytes]:
    """The entries of a cursor: step_begin, rows, step_end, as the engine writes them."""
    columns = result.columns or []
    if encoding == PROTOBUF:
        made = [(1, _number(1, step) + b"".join([_field(2, _column(*column)) for column in columns]))]
        made += [(4, _row(row)) for row in result.rows]
        end = _number(1, result.affected)
        made.append((2, end if result.rowid is None else end + b"\x10" + varint(_zigzag(result.rowid))))
        framed = [_field(number, content) for number, content in made]
        return [_field(1, each) if socket else varint(len(each)) + each for each in framed]
    names = [{"name": name, "decltype": decltype} for name, decltype in columns]
    said: list[Any] = [{"type": "step_begin", "step": step, "cols": names}]
    said += [{"type": "row", "row": [_json(value) for value in row]} for row in result.rows]
    said.append({"type": "step_end", "affected_row_count": result.affected, "last_insert_rowid": result.rowid})
    return [orjson.dumps(each) if socket else orjson.dumps(each) + b"\n" for each in said]


def _json(value: Value) -> dict[str, object]:
    if value is None:
        return {"type": "null"}
    if isinstance(value, int):
        return {"type": "integer", "value": str(value)}
    if isinstance(value, float):
        return {"type": "float", "value": value}
    if isinstance(value, str):
        return {"type": "text", "value": value}
    return {"type": "blob", "base64": base64.b64encode(value).rstrip(b"=").decode()}


def _plain_json(value: Value) -> object:
    return {"base64": base64.b64encode(value).rstrip(b"=").decode()} if isinstance(value, bytes) else value


def _field(number: int, data: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return bytes((number << 3,)) + varint(value) if value else b""


def _zigzag(value: int) -> int:
    return (value << 1 ^ value >> 63) & (1 << 64) - 1


def _column(name: str, decltype: str | None) -> bytes:
    made = _field(1, name.encode())
    return made if decltype is None else made + _field(2, decltype.encode())


def _row(row: list[Value]) -> bytes:
    return b"".join([_field(1, _value(value)) for value in row])


def _value(value: Value) -> bytes:
    if value is None:
        return b"\x0a\x00"
    if isinstance(value, int):
        return b"\x10" + varint(_zigzag(value))
    if isinstance(value, float):
        return b"\x19" + _real.pack(value)
    if isinstance(value, str):
        return _field(4, value.encode())
    return _field(5, value)
