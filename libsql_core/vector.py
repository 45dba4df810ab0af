"""Vectors in Python: arrays and lists become the blobs that the vector functions of SQL read, and blobs become arrays.

    from libsql_core import vector

    vector.insert_many(con, "doc", ids, matrix)
    ids, distances = vector.search(con, "doc", "embedding", queries, k=10)

numpy need not be installed: lists and `array.array` do as well, and then lists are returned.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, overload

from libsql_core._engine import (
    Connection,
    Cursor,
    OperationalError,
    register_adapter,
    register_converter,
    vector_decode,
    vector_encode,
    vector_search,
    vector_watch,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from numpy import float32, int64
    from numpy.typing import DTypeLike, NDArray

    _Vector: TypeAlias = NDArray[Any] | array[float] | Sequence[float]

__all__ = [
    "Metric",
    "VectorType",
    "create_index",
    "dims",
    "from_array",
    "insert_many",
    "recall",
    "register",
    "register_converters",
    "search",
    "to_array",
    "to_list",
    "type_of",
]

VectorType: TypeAlias = Literal["float32", "float64", "float1bit", "float8", "float16", "floatb16"]
Metric: TypeAlias = Literal["cos", "l2", "dot", "hamming"]

_TYPES: tuple[VectorType, ...] = ("float32", "float64", "float1bit", "float8", "float16", "floatb16")
_NUMBER: dict[str | None, int] = {None: 0, **{kind: number for number, kind in enumerate(_TYPES, 1)}}
_METRICS = ("cos", "l2", "dot", "hamming")
# Declared types, by what stands in front of the parenthesis.
_DECLARED: dict[str, VectorType] = {
    name: kind for kind in _TYPES for name in (kind.upper(), kind.upper().replace("FLOAT", "F") + "_BLOB")
}
_CHUNK = 1024  # rows that are in memory twice
_INDEX = re.compile(
    r"""libsql_vector_idx\s*\(\s*(\w+|"(?:[^"]|"")+"|`[^`]+`|\[[^]]+\])(?:\s*,\s*'(?:[^']|'')*')*\s*\)"""
    r"""(?:\s*(?:asc|desc))?\s*\)(?:\s*where\b(.*))?""",
    re.IGNORECASE | re.DOTALL,
)
_TEXT = re.compile(rb"\s*\[[-+.,eE0-9\s]*\]\s*")


def from_array(a: _Vector, type: VectorType | None = None) -> bytes:
    """The blob of a vector: of that type, else of the array's own; a list's numbers become float32.

    Raises TypeError for an array whose numbers are not float16, float32 or float64, ValueError for one that has not
    one dimension, or more than 65536 elements.
    """
    return vector_encode(_numbers(a, type), _type_number(type), 1)


def to_array(blob: ReadableBuffer | str, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """The elements of a vector as an array that cannot be written to.

    float32, float64 and float16 are a view of the blob's own bytes. The others become float32, but float1bit int8.
    Raises ValueError for what is no vector.
    """
    numpy = import_module("numpy")
    kind = type_of(blob)
    if kind in ("float32", "float64", "float16") and not isinstance(blob, str):
        found = numpy.frombuffer(blob, kind, dims(blob))
    else:
        found = numpy.frombuffer(_elements(blob, "float32"), "float32")
        if kind == "float1bit":
            found = found.astype("int8")
    if dtype is not None:
        found = found.astype(dtype, copy=False)
    found.flags.writeable = False
    return cast("NDArray[Any]", found)


def to_list(blob: ReadableBuffer | str) -> list[float]:
    """The elements of a vector. Raises ValueError for what is none."""
    kind = "float64" if type_of(blob) == "float64" else "float32"
    numbers: array[float] = array(_code(kind), _elements(blob, kind))
    return numbers.tolist()


def dims(blob: ReadableBuffer | str) -> int:
    """How many elements a vector has."""
    return vector_decode(blob, 0)[1]


def type_of(blob: ReadableBuffer | str) -> VectorType:
    """The type of a vector's elements; a text's are float32."""
    return _TYPES[vector_decode(blob, 0)[0] - 1]


def register() -> None:
    """Store an `array.array` of floats that is a parameter as a vector, as it is done with a numpy array.

    The others, and without this all of them, are stored as their raw bytes, as in `sqlite3`.
    """
    register_adapter(array, lambda a: from_array(a) if a.typecode in "fd" else memoryview(a))


def register_converters(convert: Callable[[bytes | str], Any] = to_array) -> None:
    """Have connections with PARSE_DECLTYPES give what is in columns like `F32_BLOB(3)` as arrays, or by `to_list`."""
    if convert is to_array:
        import_module("numpy")

    def converter(data: bytes) -> Any:
        # Text comes as bytes, too. A blob of floats that reads like one is possible, but no embedding.
        return convert(data.decode() if _TEXT.fullmatch(data) else data)

    for name in _DECLARED:
        register_converter(name, converter)


def insert_many(
    conn: Connection,
    table: str,
    ids: Sequence[int] | array[int] | NDArray[Any],
    matrix: Sequence[_Vector] | NDArray[Any],
    column: str | None = None,
    type: VectorType | None = None,
    *,
    schema: str = "main",
) -> int:
    """Insert the rows of a matrix as vectors, under these rowids; all or none. The number of rows.

    Without a column it is the table's only one whose declared type is one of vectors. Without a type it is the declared
    one, else that of the numbers. Raises ValueError where the lengths do not fit each other or the declared type.
    """
    rowid_name, name, declared, length = _vector_column(conn, schema, table, column)
    data, n_row, n = _rows(matrix, type or declared)
    ids = ids.tolist() if hasattr(ids, "tolist") else ids
    if len(ids) != n_row:
        raise ValueError(f"{len(ids)} ids for {n_row} vectors")
    if length is not None and n_row and n != length:
        raise ValueError(f"vectors of {n} elements for column {name}, which is declared with {length}")
    size = len(data) // max(n_row, 1)
    sql = f"insert into {_quoted(schema)}.{_quoted(table)}({rowid_name}, {_quoted(name)}) values (?, ?)"
    with _all_or_nothing(conn):
        for start in range(0, n_row, _CHUNK):
            numbered = enumerate(ids[start : start + _CHUNK], start)
            conn.executemany(sql, [(rowid, data[i * size : (i + 1) * size]) for i, rowid in numbered])
    return n_row


@overload
def search(
    conn: Connection,
    table: str,
    column: str,
    queries: NDArray[Any],
    k: int,
    metric: Metric = "cos",
    where: str | None = None,
    *,
    schema: str = "main",
) -> tuple[NDArray[int64], NDArray[float32]]: ...
@overload
def search(
    conn: Connection,
    table: str,
    column: str,
    queries: array[float] | Sequence[float],
    k: int,
    metric: Metric = "cos",
    where: str | None = None,
    *,
    schema: str = "main",
) -> tuple[list[int], list[float]]: ...
@overload
def search(
    conn: Connection,
    table: str,
    column: str,
    queries: Sequence[array[float] | Sequence[float]],
    k: int,
    metric: Metric = "cos",
    where: str | None = None,
    *,
    schema: str = "main",
) -> tuple[list[list[int]], list[list[float]]]: ...
def search(
    conn: Connection,
    table: str,
    column: str,
    queries: Any,
    k: int,
    metric: Metric = "cos",
    where: str | None = None,
    *,
    schema: str = "main",
) -> tuple[Any, Any]:
    """The rowids of the k nearest rows to each query and their distances, nearest first.

    Of n queries, arrays of n rows and k columns; of one, arrays of k elements. Lists, if they are no numpy array. Rows
    without a distance are left out; where there are fewer than k, -1 and infinity follow. `where` is a condition in SQL
    on the table's columns.

    Raises ValueError for an unknown metric, OperationalError as SQL does, for a query of another length.
    """
    if metric not in _METRICS:
        raise ValueError(f"unknown metric {metric!r}: one of {', '.join(_METRICS)}")
    if k < 0:
        raise ValueError("k must not be negative")
    single = _is_vector(queries)
    packed, is_double, n_query, n = _packed_queries([queries] if single and not _is_numpy(queries) else queries)
    ids, distances = array("q", [-1]) * (n_query * k), array("f", [float("inf")]) * (n_query * k)
    number = _METRICS.index(metric) + 1
    vector_search(conn, schema, table, column, where, number, packed, is_double, n_query, n, k, ids, distances)
    if _is_numpy(queries):
        numpy = import_module("numpy")
        shape = (k,) if single else (n_query, k)
        return numpy.frombuffer(ids, "int64").reshape(shape), numpy.frombuffer(distances, "float32").reshape(shape)
    if single:
        return ids.tolist(), distances.tolist()
    rows = [slice(i * k, (i + 1) * k) for i in range(n_query)]
    return [ids[row].tolist() for row in rows], [distances[row].tolist() for row in rows]


def create_index(
    conn: Connection,
    name: str,
    table: str,
    column: str,
    *,
    schema: str = "main",
    where: str | None = None,
    progress: Callable[[int, int], object] | None = None,
    **parameters: str | float,
) -> None:
    """Create a vector index; the parameters are those of `libsql_vector_idx()`, as in `metric="l2"`.

    `progress(done, total)` is called a few times a second; a row is linked and then written, two steps. Its exception
    stops the build and leaves nothing behind. `where` is the condition of a partial index, in SQL.
    """
    given = "".join(f", {_literal(f'{key}={value}')}" for key, value in parameters.items())
    marked = f"libsql_vector_idx({_quoted(column)}{given})"
    condition = "" if where is None else f" where {where}"
    sql = f"create index {_quoted(schema)}.{_quoted(name)} on {_quoted(table)}({marked}){condition}"
    if progress is not None:
        vector_watch(conn, progress)
    try:
        conn.execute(sql)
    finally:
        if progress is not None:
            vector_watch(conn, None)


def recall(conn: Connection, index: str, sample: int = 100, k: int = 10, *, schema: str = "main") -> float:
    """The share of the true k nearest rows that `vector_top_k()` finds, over that many of the index's own vectors.

    Vectors are picked at random. Rows as far away as the last true one count as found. An empty index has recall 1.
    """
    table, column, condition, metric = _indexed(conn, schema, index)
    source = f"{_quoted(schema)}.{_quoted(table)} not indexed where {column} is not null and ({condition}\n)"
    picked = _select(conn, f"select {column} from {source} order by random() limit ?", sample)
    nearest = f"select vector_distance_{metric}({column}, ?1) as d from {source} order by d is null, d limit ?2"
    found = true = 0
    for (vector,) in picked.fetchall():
        exact = [row[0] for row in _select(conn, nearest, vector, k) if row[0] is not None]
        if exact:
            limit = exact[-1] + 1e-6 * max(1.0, abs(exact[-1]))
            rows = _select(conn, "select distance from vector_top_k(?, ?, ?)", f"{schema}.{index}", vector, k)
            found += sum(far is not None and far <= limit for (far,) in rows)
            true += len(exact)
    return found / true if true else 1.0


def _indexed(conn: Connection, schema: str, index: str) -> tuple[str, str, str, str]:
    """Table, column as SQL, condition and metric of an index."""
    source = f"{_quoted(schema)}.sqlite_schema where type = 'index' and name = ?"
    row = _select(conn, f"select cast(tbl_name as blob), cast(sql as blob) from {source}", index).fetchone()
    table, text = (data.decode() for data in row or (b"", b""))
    match = _INDEX.search(text)
    if match is None:
        raise OperationalError(f"no such vector index: {schema}.{index}")
    sql = f"select metadata from {_quoted(schema)}.libsql_vector_meta_shadow where name = ?"
    metadata = _select(conn, sql, index).fetchone()[0]
    tags = {metadata[at]: metadata[at + 1] for at in range(0, len(metadata) - 8, 9)}
    return table, match[1], match[2] or "true", "l2" if tags[5] == 2 else "cos"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _elements(blob: ReadableBuffer | str, type: str) -> bytes:
    data = vector_decode(blob, _NUMBER[type])[2]
    assert data is not None
    return data


def _is_numpy(a: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(a, numpy.ndarray)


def _is_vector(a: Any) -> bool:
    """Whether these are numbers, and not rows of numbers."""
    if _is_numpy(a):
        return bool(a.ndim == 1)
    return isinstance(a, array) or (len(a) > 0 and isinstance(a[0], (int, float)))


def _code(type: str | None) -> str:
    return "d" if type == "float64" else "f"


def _type_number(type: str | None) -> int:
    if type not in _NUMBER:
        raise ValueError(f"unknown vector type {type!r}: one of {', '.join(_TYPES)}")
    return _NUMBER[type]


def _numbers(a: Any, type: str | None) -> Any:
    """The numbers as a buffer."""
    return a if _is_numpy(a) or isinstance(a, (array, bytes, bytearray, memoryview)) else array(_code(type), a)


def _rows(matrix: Any, type: VectorType | None) -> tuple[bytes, int, int]:
    """The blobs of the rows, one behind the other; how many they are, and how many elements each has."""
    if _is_numpy(matrix):
        data = vector_encode(matrix, _type_number(type), 2)
        return data, *matrix.shape
    blobs = [from_array(row, type) for row in matrix]
    shapes = {vector_decode(blob, 0)[:2] for blob in blobs}
    if len(shapes) > 1:
        raise ValueError("the rows differ: " + ", ".join(sorted(f"{_TYPES[kind - 1]} x {n}" for kind, n in shapes)))
    return b"".join(blobs), len(blobs), next(iter(shapes), (0, 0))[1]


def _packed_queries(queries: Any) -> tuple[Any, bool, int, int]:
    """The numbers of the queries one behind the other, whether they are float64, how many queries, how long each."""
    if _is_numpy(queries):
        n_query, n = (1, len(queries)) if queries.ndim == 1 else (len(queries), queries.shape[-1])
        if queries.ndim <= 2 and queries.dtype.kind == "f" and queries.dtype.itemsize == 8:
            return import_module("numpy").asarray(queries, "float64").tobytes(), True, n_query, n
        return vector_encode(queries, _NUMBER["float32"], queries.ndim if queries.ndim == 1 else 2), False, n_query, n
    rows = [array("d", query) for query in queries]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("the queries differ in length")
    return b"".join(row.tobytes() for row in rows), True, len(rows), len(rows[0]) if rows else 0


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _select(conn: Connection, sql: str, *parameters: object) -> Cursor:
    """The rows as tuples, whatever the connection makes of rows."""
    cursor = conn.cursor()
    cursor.row_factory = None
    return cursor.execute(sql, parameters)


def _vector_column(
    conn: Connection, schema: str, table: str, column: str | None
) -> tuple[str, str, VectorType | None, int | None]:
    """How to call the table's rowid, and the column: its name, type and length, None where they are not declared."""
    sql = "select cast(name as blob), cast(type as blob) from pragma_table_xinfo(?, ?)"
    columns = {name.decode(): kind.decode() for name, kind in _select(conn, sql, table, schema)}
    if not columns:
        raise OperationalError(f"no such table: {schema}.{table}")
    taken = {name.lower() for name in columns}
    rowid = next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), "rowid")
    types = {name: _declared(kind) for name, kind in columns.items()}
    found = [name for name in columns if (types[name][0] if column is None else name.lower() == column.lower())]
    if not found and column is not None:
        raise OperationalError(f"no such column: {column}")
    if len(found) != 1:
        raise ValueError(f"table {table} has {len(found)} columns of a vector type: name one")
    return rowid, found[0], *types[found[0]]


def _declared(text: str) -> tuple[VectorType | None, int | None]:
    """Type and length that a column was declared with."""
    match = re.fullmatch(r"\s*(\w+)\s*\(\s*(\d+)\s*\)\s*", text)
    kind = _DECLARED.get(match[1].upper()) if match else None
    return kind, int(match[2]) if match and kind else None


@contextmanager
def _all_or_nothing(conn: Connection) -> Iterator[None]:
    """A transaction, or a part of the one that is open."""
    conn.execute("savepoint libsql_core_vector")
    try:
        yield
    except BaseException:
        if conn.in_transaction:  # not after an error that ended it
            conn.execute("rollback to libsql_core_vector")
            conn.execute("release libsql_core_vector")
        raise
    conn.execute("release libsql_core_vector")
