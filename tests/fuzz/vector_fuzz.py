"""Fuzz target: bent blobs and texts through every vector function. `python vector_fuzz.py [seed [cases]]`.

A blob ends where memory that may be read ends, so one byte too many kills the process. Otherwise the rule is: a vector
of the length and type that an independent reading of the layout gives, or the documented message.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import random
import struct
import sys
from typing import Any

from libsql_core.lowlevel import ffi, lib

TYPES = {1: "float32", 2: "float64", 3: "float1bit", 4: "float8", 5: "float16", 6: "floatb16"}
MAKERS = ("vector", "vector32", "vector64", "vector1bit", "vector8", "vector16", "vectorb16")
# Statements with vectors ?1 and ?2 that are errors only if one of the two is no vector, or they do not go together.
ONE = tuple(f"{name}(?1)" for name in (*MAKERS, "vector_extract", "vector_type", "vector_dims"))
TWO = tuple(f"vector_distance_{name}(?1, ?2)" for name in ("cos", "l2", "dot", "hamming"))
OTHERS = (
    "vector_normalize(?1)", "vector_scale(?1, 3)", "vector_add(?1, ?2)", "vector_sub(?1, ?2)",
    "vector_concat(?1, ?2)", "vector_slice(?1, 0, vector_dims(?1))", "vector_slice(?1, vector_dims(?1)/2, 3)",
    "vector_slice(vector1bit(?1), 1, vector_dims(?1))", "(SELECT vector_sum(v) FROM (SELECT ?1 v UNION ALL SELECT ?2))",
)  # fmt: skip
WORDS = ("vector:", "vector_distance:", "vector_normalize:", "vector_scale:", "vector_add:", "vector_sub:",
         "vector_concat:", "vector_slice:", "vector_sum:")  # fmt: skip


class Guarded:
    """Memory with its end at the end of what may be read."""

    def __init__(self, size: int) -> None:
        self.map = mmap.mmap(-1, size + mmap.PAGESIZE)
        self.end = ctypes.addressof(ctypes.c_char.from_buffer(self.map)) + size
        if os.name == "posix":
            protect = ctypes.CDLL(None).mprotect
            protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
            assert protect(self.end, mmap.PAGESIZE, 0) == 0

    def place(self, data: bytes) -> Any:
        address = self.end - len(data)
        ctypes.memmove(address, data, len(data))
        return ffi.cast("char *", address)


def data_size(kind: int, n: int) -> int:
    return {1: 4 * n, 2: 8 * n, 3: (n + 7) // 8, 4: (n + 3) // 4 * 4 + 8}.get(kind, 2 * n)


def read(blob: bytes) -> tuple[int, int] | str:
    """Type and length that a blob has by its layout, or the message."""
    m = len(blob) - 1
    if m % 2:
        kind, n, size = 1, len(blob) // 4, len(blob)
    else:
        kind, last = blob[m], blob[m - 1]
        unit = {1: 4, 2: 8}.get(kind, 1)
        if kind not in TYPES:
            return f"vector: unexpected binary type: {kind}"
        if m % unit or (m == 0 and kind in (3, 4)):
            rule = {
                1: "divisible by 4 (excluding optional 'type'-byte)",
                2: "divisible by 8 (excluding 'type'-byte)",
                3: "divisible by 2 and not be empty (excluding 'type'-byte)",
                4: "divisible by 2 and has at least 2 bytes (excluding 'type'-byte)",
            }[kind]
            return f"vector: {TYPES[kind]} vector blob length must be {rule}: length={m}"
        n = {1: m // 4, 2: m // 8, 3: 8 * m - last, 4: m - 10 - last}.get(kind, m // 2)
        size = {3: data_size(3, n) if n >= 0 else m, 4: m - 2}.get(kind, m)
    if n > 65536:
        return f"vector: max size exceeded: {n} > 65536"
    if n < 0 or size != data_size(kind, n):
        return f"vector: unexpected data part size: type={kind}, dims={n}, {size} != {data_size(kind, max(n, 0))}"
    return kind, n


class Engine:
    def __init__(self) -> None:
        out = ffi.new("sqlite3 **")
        assert lib.sqlite3_open(b":memory:", out) == 0
        self.db = out[0]
        self.statements: dict[str, Any] = {}

    def run(self, sql: str, *values: tuple[Any, int, bool]) -> bytes | int | float | str | None:
        """The value of an expression; a message begins with "!"."""
        if sql not in self.statements:
            out = ffi.new("sqlite3_stmt **")
            assert lib.sqlite3_prepare_v2(self.db, b"SELECT " + sql.encode(), -1, out, ffi.NULL) == 0
            self.statements[sql] = out[0]
        stmt = self.statements[sql]
        for i, (place, size, is_text) in enumerate(values, 1):
            bind = lib.sqlite3_bind_text if is_text else lib.sqlite3_bind_blob
            if i <= lib.sqlite3_bind_parameter_count(stmt):
                assert bind(stmt, i, place, size, ffi.NULL) == 0  # not copied
        rc = lib.sqlite3_step(stmt)
        result: bytes | int | float | str | None = None
        if rc != lib.SQLITE_ROW:
            result = "!" + ffi.string(lib.sqlite3_errmsg(self.db)).decode(errors="replace")
        else:
            kind = lib.sqlite3_column_type(stmt, 0)
            if kind == lib.SQLITE_INTEGER:
                result = lib.sqlite3_column_int64(stmt, 0)
            elif kind == lib.SQLITE_FLOAT:
                result = lib.sqlite3_column_double(stmt, 0)
            elif kind != lib.SQLITE_NULL:
                data = lib.sqlite3_column_blob(stmt, 0)
                result = bytes(ffi.buffer(data, lib.sqlite3_column_bytes(stmt, 0))) if data else b""
        lib.sqlite3_reset(stmt)
        return result

    def close(self) -> None:
        for stmt in self.statements.values():
            lib.sqlite3_finalize(stmt)
        assert lib.sqlite3_close(self.db) == 0


class Cases:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def blob(self) -> bytes:
        r = self.random
        n, kind = r.choice((0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 200, 1000)), r.randrange(1, 7)
        data = r.randbytes(data_size(kind, n)) if r.random() < 0.3 else bytes(data_size(kind, n))
        if kind == 1 and r.random() < 0.9:
            blob = data
        elif kind == 3:
            data += bytes(1 - len(data) % 2)
            blob = data + bytes((max(8 * (len(data) + 1) - n, 0) % 256, 3))
        elif kind == 4:
            blob = data[:-8] + struct.pack("<2f", r.random(), r.gauss(0, 1)) + bytes((0, -n % 4, 4))
        else:
            blob = data + bytes((kind,))
        for _ in range(r.choice((0, 0, 0, 1, 1, 2))):
            i = r.randrange(len(blob) + 1)
            blob = r.choice((
                blob[:i], blob[i:], blob[:i] + r.randbytes(1) + blob[i + 1 :], blob[:-1] + bytes((r.randrange(8),)),
                blob[:-2] + bytes((r.randrange(256), kind)), blob + r.randbytes(r.randrange(4)),
            ))  # fmt: skip
        return blob

    def text(self) -> bytes:
        r = self.random
        parts = ("[", "]", ",", "1", "-", "2.5", "e", "e-3", ".", " ", "\t", "nan", "9" * 30, "é", "1e400", "0.1,2")
        text = "".join(r.choice(parts) for _ in range(r.randrange(10)))
        if r.random() < 0.7:
            numbers = (r.choice(("1", "-2.5", "3e7", "0.1", "1e-50")) for _ in range(r.randrange(20)))
            text = f"[{','.join(numbers)}]" + text
        return text.encode()


def check_one(engine: Engine, sql: str, given: tuple[int, int] | str, value: object) -> None:
    if isinstance(given, str):
        assert value == "!" + given, (sql, value)
    elif sql == "vector_dims(?1)":
        assert value == given[1]
    elif sql == "vector_type(?1)":
        assert value == TYPES[given[0]].encode()
    else:
        assert isinstance(value, bytes), (sql, value)
        if sql != "vector_extract(?1)":
            made = read(value)
            assert made[1] == given[1], (sql, value)
            assert made[0] == 1 or not sql.startswith(("vector(", "vector32(")), (sql, value)


def check_two(sql: str, first: tuple[int, int] | str, second: tuple[int, int] | str, value: object) -> None:
    if isinstance(first, str) or isinstance(second, str):
        assert isinstance(value, str), (sql, value)
    elif first != second:
        assert str(value).startswith("!vector_distance: vectors must have the same "), (sql, value)
    elif ("l2" in sql and first[0] == 3) or ("hamming" in sql and first[0] != 3):
        metric = sql[16:].split("(")[0]
        assert value == f"!vector_distance: {metric} distance is not supported for {TYPES[first[0]]} vectors"
    else:
        assert value is None or isinstance(value, float), value


def main(seed: int = 1, count: int = 100_000) -> None:
    faulthandler.enable()
    engine, cases = Engine(), Cases(seed)
    places = Guarded(1 << 16), Guarded(1 << 16)
    for _ in range(count):
        first = cases.blob()
        second = first if cases.random.random() < 0.3 else cases.blob()
        values = [(place.place(blob), len(blob), False) for place, blob in zip(places, (first, second), strict=True)]
        models = read(first), read(second)
        text = ffi.from_buffer(cases.text() + b"\0")
        try:
            for sql in ONE:
                check_one(engine, sql, models[0], engine.run(sql, *values))
            for sql in TWO:
                check_two(sql, *models, engine.run(sql, *values))
            for bound in (values, [(text, len(text) - 1, True), values[1]], [(text, len(text) - 1, True)] * 2):
                for sql in (*OTHERS, *ONE, *TWO):
                    value = engine.run(sql, *bound)
                    assert not isinstance(value, str) or value[1:].startswith(WORDS), (sql, value)
        except BaseException:
            print(f"seed {seed}: {first.hex()} {second.hex()} {ffi.string(text)!r}", file=sys.stderr)
            raise
    engine.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
