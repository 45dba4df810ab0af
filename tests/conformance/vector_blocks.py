"""Read vector indexes with a stock SQLite, without any of our code or libSQL's, and tell what is wrong with them.

    python vector_blocks.py < requests

A request is the file of a database and the name of an index. Each gives a line of JSON: figures of the graph, and as
"wrong" what no engine may leave behind. Dead and outdated edges, and what cannot be reached, are counted: libSQL
leaves those.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from contextlib import closing
from operator import mul
from pathlib import Path
from typing import Any

F32, F64, BIT, F8, F16, FB16 = range(1, 7)
COSINE, L2 = 1, 2
ENTRY, DIRECTORY = 100, b"LSCd"  # ours: the tag of a node to begin at, and what is behind its block
WRONG_SHOWN = 20


def data_size(kind: int, n: int) -> int:
    """Bytes of a vector inside of a block."""
    sizes = {F32: 4 * n, F64: 8 * n, BIT: (n + 7) // 8, F8: (n + 3) // 4 * 4 + 8, F16: 2 * n, FB16: 2 * n}
    return sizes[kind]


def single(x: float) -> float:
    """Rounded to float32."""
    return array("f", [x])[0]


def half(x: float) -> int:
    """The bits of a float16, made as libSQL does: denormal ones lose bits before they are rounded."""
    bits = int.from_bytes(struct.pack("<f", x), "little")
    sign, exponent, mantissa = bits >> 16 & 0x8000, (bits >> 23 & 255) - 127, bits & 0x7FFFFF
    if exponent == 128:
        return sign | (0x7E00 if mantissa else 0x7C00)
    if exponent < -25:
        return sign
    if exponent < -14:
        mantissa = (mantissa | 0x800000) >> (-exponent - 14)
    else:
        mantissa |= exponent + 15 << 23
    mantissa += 0x2000 if mantissa & 0x1FFF > 0x1000 - (mantissa >> 13 & 1) else 0
    return sign | min(mantissa >> 13, 0x7C00)


def elements(kind: int, n: int, data: bytes) -> Sequence[float]:
    """The numbers of a vector inside of a block."""
    if kind == F32:
        return array("f", data[: 4 * n])
    if kind == F64:
        return array("d", data[: 8 * n])
    if kind == F16:
        return struct.unpack(f"<{n}e", data[: 2 * n])
    if kind == FB16:
        return [struct.unpack("<f", b"\0\0" + data[i : i + 2])[0] for i in range(0, 2 * n, 2)]
    if kind == F8:
        alpha, shift = struct.unpack("<ff", data[-8:])
        return [single(single(alpha * q) + shift) for q in data[:n]]
    return [1.0 if data[i // 8] >> i % 8 & 1 else -1.0 for i in range(n)]


def encoded(kind: int, numbers: Sequence[float], wide: bool = False) -> bytes:
    """Numbers as a vector inside of a block; wide: they come from float64."""
    n = len(numbers)
    if kind == F64:
        return array("d", numbers).tobytes()
    if kind == BIT:
        return sum((x > 0) << i for i, x in enumerate(numbers)).to_bytes((n + 7) // 8, "little")
    floats = array("f", numbers)
    if kind == F32:
        return floats.tobytes()
    if kind == F16:
        return struct.pack(f"<{n}H", *map(half, floats))
    if kind == FB16:
        return b"".join(struct.pack("<f", x)[2:] for x in floats)
    shift = min(floats)
    alpha = single(single(max(floats) - shift) / 255)
    source = numbers if wide else floats
    steps = [single((x - shift if wide else single(x - shift)) / alpha) if alpha else 0.0 for x in source]
    codes = bytes(0 if q < 0 else 255 if q > 255 else int(single(q + 0.5)) for q in steps)
    return codes + bytes(-n % 4) + struct.pack("<ff", alpha, shift)


def converted(to: int, kind: int, n: int, data: bytes) -> bytes:
    return data if to == kind else encoded(to, elements(kind, n, data), kind == F64)


def distance(metric: int, kind: int, a: Sequence[float], b: Sequence[float]) -> float:
    if kind == BIT:
        return sum(x != y for x, y in zip(a, b, strict=True))
    if metric == L2:
        return math.dist(a, b)
    lengths = math.sqrt(sum(map(mul, a, a)) * sum(map(mul, b, b)))
    return 1 - sum(map(mul, a, b)) / lengths if lengths else math.nan


def nearest(metric: int, kind: int, query: Sequence[float], rows: Iterable[tuple[Any, Sequence[float]]]) -> list[Any]:
    """Pairs of distance and key, the nearest first."""
    return sorted(((distance(metric, kind, query, row), key) for key, row in rows), key=lambda pair: pair[0])


def vector_data(value: Any) -> tuple[int, int, bytes]:
    """Type, length and data of a value in a column."""
    if isinstance(value, str):
        numbers = [float(x) for x in value.strip().strip("[]").split(",")]
        return F32, len(numbers), encoded(F32, numbers)
    if len(value) % 2 == 0:
        return F32, len(value) // 4, value
    kind, size = value[-1], len(value) - 1
    if kind == BIT:
        n = 8 * size - value[-2]
        return kind, n, value[: data_size(BIT, n)]
    if kind == F8:
        return kind, size - 10 - value[-2], value[: size - 2]
    return kind, size // {F32: 4, F64: 8, F16: 2, FB16: 2}[kind], value[:size]


class Metadata:
    """The row of an index in libsql_vector_meta_shadow: its first one, for VACUUM in libSQL leaves more."""

    def __init__(self, blob: bytes) -> None:
        self.tags: dict[int, int] = {}
        for at in range(0, len(blob) - 8, 9):
            self.tags[blob[at]] = int.from_bytes(blob[at + 1 : at + 9], "little")
        self.version = min(self.tags.get(1, 1), 3)
        self.kind, self.n, self.metric, self.block = (self.tags[tag] for tag in (3, 4, 5, 6))
        self.block *= 512 if self.block <= 128 else 1
        self.edge_kind = self.tags.get(11) or self.kind
        self.head = 16 if self.version == 3 else 10
        self.node, self.edge = data_size(self.kind, self.n), data_size(self.edge_kind, self.n)
        self.capacity = (self.block - self.head - self.node) // (self.edge + 16)


def directory_end(meta: Metadata, data: bytes) -> int:
    """Where the directory of nodes to begin at ends: its head, ids and vectors lie behind a block."""
    (n,) = struct.unpack_from("<I", data, meta.block + 4)
    return int(meta.block + 24 + n * (8 + meta.edge))


class Block:
    """A node: its id, vector and edges (id, distance, vector)."""

    def __init__(self, meta: Metadata, data: bytes) -> None:
        self.id, self.n_edge = struct.unpack_from("<qH", data)
        self.padding = data[10 : meta.head]
        self.vector = data[meta.head : meta.head + meta.node]
        vectors, ends = meta.head + meta.node, meta.head + meta.node + meta.capacity * meta.edge
        self.edges: list[tuple[int, float, bytes]] = []
        for i in range(min(self.n_edge, meta.capacity)):
            _, far, to = struct.unpack_from("<Ifq", data, ends + 16 * i)
            self.edges.append((to, far, data[vectors + i * meta.edge : vectors + (i + 1) * meta.edge]))


def reached(start: int, edges: dict[int, list[int]]) -> set[int]:
    seen, waiting = {start}, [start]
    while waiting:
        for to in edges[waiting.pop()]:
            if to not in seen:
                seen.add(to)
                waiting.append(to)
    return seen


class Index:
    """An index as its shadow table holds it. `wrong` fills as it is looked at."""

    def __init__(self, con: sqlite3.Connection, name: str) -> None:
        self.con, self.name = con, name
        self.wrong: list[str] = []
        sql, self.table = con.execute("select sql, tbl_name from sqlite_schema where name = ?", (name,)).fetchone()
        found = con.execute("select name, metadata from libsql_vector_meta_shadow").fetchall()
        rows = [blob for other, blob in found if other == name]
        self.meta = Metadata(rows[0])
        self.n_metadata = len(rows)
        column = re.search(r"libsql_vector_idx\s*\(\s*(\w+|\"[^\"]+\")", sql, re.IGNORECASE)
        assert column is not None
        self.column = column[1]
        where = re.search(r"\)\s*where\b(.*)", sql, re.IGNORECASE | re.DOTALL)
        self.where = where[1] if where else "true"
        columns = [row[1] for row in con.execute(f"pragma table_info({name}_shadow)")]
        self.own_key = columns[0] == "rowid"
        row_id = "rowid" if self.own_key else "index_key"
        self.rows = con.execute(f"select {row_id}, index_key, data from {name}_shadow not indexed").fetchall()
        self.blocks = {row[0]: Block(self.meta, row[2]) for row in self.rows if len(row[2]) >= self.meta.head}

    def check(self, holds: bool, text: str) -> None:
        if not holds:
            self.wrong.append(text)

    def check_blocks(self) -> None:
        meta = self.meta
        for row_id, _, data in self.rows:
            has_directory = row_id == meta.tags.get(ENTRY) and data[meta.block : meta.block + 4] == DIRECTORY
            size = directory_end(meta, data) if has_directory else meta.block
            self.check(len(data) == size, f"block {row_id}: {len(data)} bytes, not {size}")
        for row_id, block in self.blocks.items():
            self.check(block.id == row_id, f"block {row_id}: says it is {block.id}")
            self.check(block.n_edge <= meta.capacity, f"block {row_id}: {block.n_edge} of {meta.capacity} edges")
            self.check(not any(block.padding), f"block {row_id}: padding {block.padding.hex()}")
            ids = [edge[0] for edge in block.edges]
            self.check(row_id not in ids, f"block {row_id}: an edge to itself")
            self.check(len(ids) == len(set(ids)), f"block {row_id}: an edge twice")

    def edges(self) -> dict[str, int]:
        """Count the edges that are dead, whose vector is an old one, and check the others."""
        meta = self.meta
        now = {row_id: converted(meta.edge_kind, meta.kind, meta.n, b.vector) for row_id, b in self.blocks.items()}
        numbers = {row_id: elements(meta.edge_kind, meta.n, data) for row_id, data in now.items()}
        counts = {"edges": 0, "dead": 0, "outdated": 0}
        for row_id, block in self.blocks.items():
            for to, far, vector in block.edges:
                counts["edges"] += 1
                counts["dead"] += to not in now
                old = to in now and vector != now[to]
                counts["outdated"] += old
                if to not in now or old or meta.version == 1:
                    continue
                true = distance(meta.metric, meta.edge_kind, numbers[row_id], numbers[to])
                right = math.isclose(far, true, rel_tol=1e-5, abs_tol=2e-5) or math.isnan(true)
                self.check(right, f"block {row_id}: edge to {to} has distance {far}, not {true}")
        return counts

    def reach(self) -> dict[str, int]:
        """How many nodes cannot be come to from the first one, cannot come to it, and have no edge to a live one."""
        there: dict[int, list[int]] = {row_id: [] for row_id in self.blocks}
        back: dict[int, list[int]] = {row_id: [] for row_id in self.blocks}
        for row_id, block in self.blocks.items():
            for to, _, _ in block.edges:
                if to in there:
                    there[row_id].append(to)
                    back[to].append(row_id)
        first = next(iter(there), None)
        n = len(there)
        return {
            "unreachable": 0 if first is None else n - len(reached(first, there)),
            "cut_off": 0 if first is None else n - len(reached(first, back)),
            "lonely": sum(not to for to in there.values()) if n > 1 else 0,
        }

    def check_rows(self) -> dict[str, int]:
        """Compare with the table: a row is indexed when it has a vector and fulfils the condition."""
        keyed = self.con.execute(f"select name from pragma_table_info('{self.table}') where pk = 1").fetchone()
        without = self.con.execute("select wr from pragma_table_list where name = ?", (self.table,)).fetchone()[0]
        key = keyed[0] if without else "rowid"
        where = f"{self.column} is not null and {self.where}"
        sql = f"select {key}, {self.column} from {self.table} not indexed where {where}"
        base = dict(self.con.execute(sql).fetchall())
        keys = [row[1] for row in self.rows]
        self.check(len(keys) == len(set(keys)), "a key twice")
        for row_id, row_key, _ in self.rows:
            if row_key in base and row_id in self.blocks:
                kind, n, data = vector_data(base[row_key])
                same = (kind, n) == (self.meta.kind, self.meta.n) and self.same_vector(data, self.blocks[row_id].vector)
                self.check(same, f"block {row_id}: not the vector of row {row_key}")
        return {"ghosts": len(set(keys) - base.keys()), "missing": len(base.keys() - set(keys))}

    def same_vector(self, data: bytes, block: bytes) -> bool:
        if self.meta.kind == F8:  # what libSQL has between the elements and their scale is whatever was there
            return data[: self.meta.n] + data[-8:] == block[: self.meta.n] + block[-8:]
        return data == block

    def check_storage(self) -> None:
        shadows = f"{self.name}_shadow", "libsql_vector_meta_shadow"
        for table in shadows:
            sound = [row[0] for row in self.con.execute(f"pragma integrity_check({table})")]
            self.check(sound == ["ok"] or self.n_metadata > 1, f"{table}: {sound}")
        key = "rowid" if self.own_key else "index_key"
        small = f"select count({key}) from {self.name}_shadow indexed by {self.name}_shadow_idx"
        (n,) = self.con.execute(small).fetchone()
        self.check(n == len(self.rows), f"{self.name}_shadow_idx has {n} rows for {len(self.rows)}")


def read(path: str, name: str) -> dict[str, Any]:
    with closing(sqlite3.connect(Path(path).absolute().as_uri() + "?mode=ro", uri=True)) as con:
        index = Index(con, name)
        index.check_blocks()
        index.check_storage()
        figures = {**index.edges(), **index.reach(), **index.check_rows()}
        meta = index.meta
        return {
            "nodes": len(index.rows),
            **figures,
            "metadata": index.n_metadata,
            "tags": meta.tags,
            "version": meta.version,
            "capacity": meta.capacity,
            "block": meta.block,
            "max_edges": max((block.n_edge for block in index.blocks.values()), default=0),
            "wrong": index.wrong[:WRONG_SHOWN],
        }


if __name__ == "__main__":
    for request in json.load(sys.stdin):
        print(json.dumps(read(*request)), flush=True)
