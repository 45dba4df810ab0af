"""Vectors between Python and SQL: arrays as parameters, blobs as arrays."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest

import libsql_core
from libsql_core import vector

TYPES: tuple[vector.VectorType, ...] = get_args(vector.VectorType)
FUNCTIONS = dict(zip(TYPES, ("vector32", "vector64", "vector1bit", "vector8", "vector16", "vectorb16"), strict=True))
NUMBERS = [0.1, -2.5, 1e-7, 65519.0, 3.0]


@pytest.fixture
def db() -> Iterator[libsql_core.Connection]:
    con = libsql_core.connect(":memory:", isolation_level=None)
    con.execute("create table doc(id integer primary key, kind text default 'x', v f32_blob(3))")
    yield con
    con.close()


@pytest.fixture
def registry() -> Iterator[None]:
    """What a test registers is forgotten behind it."""
    before = dict(libsql_core.adapters), dict(libsql_core.converters)
    yield
    registries: tuple[dict[Any, Any], ...] = libsql_core.adapters, libsql_core.converters
    for registered, old in zip(registries, before, strict=True):
        registered.clear()
        registered.update(old)


def stored(con: libsql_core.Connection, value: object) -> Any:
    return con.execute("select ?", (value,)).fetchone()[0]


def in_sql(con: libsql_core.Connection, call: str) -> Any:
    return con.execute(f"select {call}").fetchone()[0]


# Blobs and numbers.


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 9, 17])
def test_blobs_are_those_of_sql(db: libsql_core.Connection, kind: vector.VectorType, n: int) -> None:
    numbers = (NUMBERS * 4)[:n]
    blob = in_sql(db, f"{FUNCTIONS[kind]}('{numbers}')")
    text = in_sql(db, f"vector_extract({FUNCTIONS[kind]}('{numbers}'))")
    assert vector.from_array(numbers, kind) == blob
    assert vector.from_array(np.array(numbers, "f8" if kind == "float64" else "f4"), kind) == blob
    assert vector.from_array(array("d" if kind == "float64" else "f", numbers), kind) == blob
    assert (vector.dims(blob), vector.type_of(blob)) == (n, kind)
    assert str([float(f"{x:.6g}") for x in vector.to_list(blob)]) == str([float(x) for x in eval(text)])
    assert vector.to_array(blob).tolist() == vector.to_list(blob)


def test_default_types() -> None:
    assert vector.type_of(vector.from_array([1, 2.5])) == "float32"
    assert vector.type_of(vector.from_array(array("f", [1]))) == "float32"
    assert vector.type_of(vector.from_array(array("d", [1]))) == "float64"
    for dtype, kind in (("f2", "float16"), ("f4", "float32"), ("f8", "float64")):
        assert vector.type_of(vector.from_array(np.ones(2, dtype))) == kind
        assert vector.to_array(vector.from_array(np.ones(2, dtype))).dtype == dtype


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_arrays_of_the_same_type_are_views(dtype: str) -> None:
    blob = vector.from_array(np.array([1, 2, 3], dtype))
    found = vector.to_array(blob)
    assert np.shares_memory(found, np.frombuffer(blob, "u1"))
    assert not found.flags.writeable
    assert not vector.to_array(bytearray(blob)).flags.writeable
    assert not vector.to_array("[1]").flags.writeable


def test_arrays_of_other_types() -> None:
    assert vector.to_array(vector.from_array([1, 0, -3], "float1bit")).dtype == "int8"
    assert vector.to_array(vector.from_array([1, 0, -3], "float1bit")).tolist() == [1, -1, -1]
    assert vector.to_array(vector.from_array([1, 2], "floatb16")).dtype == "float32"
    assert vector.to_array(vector.from_array([1, 2], "float8")).dtype == "float32"
    wanted = vector.to_array(vector.from_array([1, 2]), dtype="float64")
    assert (wanted.dtype, wanted.tolist(), wanted.flags.writeable) == (np.dtype("float64"), [1, 2], False)


def test_text_is_a_vector() -> None:
    assert vector.to_list(" [1, 2.5]") == [1, 2.5]
    assert vector.to_array("[1,2.5]").tolist() == [1, 2.5]
    assert (vector.dims("[]"), vector.type_of("[]")) == (0, "float32")


def test_special_values() -> None:
    numbers = [math.inf, -math.inf, -0.0, 1e39]
    assert str(vector.to_list(vector.from_array(numbers))) == "[inf, -inf, -0.0, inf]"
    assert math.isnan(vector.to_list(vector.from_array([math.nan], "float16"))[0])
    assert vector.to_list(vector.from_array(np.array([1e300]), "float64")) == [1e300]
    assert vector.to_list(vector.from_array(np.array([1e300]), "float32")) == [math.inf]


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"\0" * 6, "vector: unexpected data part size: type=1, dims=1, 6 != 4"),
        (
            b"\0\0\1",
            "vector: float32 vector blob length must be divisible by 4 (excluding optional 'type'-byte): length=2",
        ),
        (b"\0\7", "vector: unexpected data part size: type=1, dims=0, 2 != 0"),
        (b"\7", "vector: unexpected binary type: 7"),
        (b"\xff\x11\3", "vector: unexpected data part size: type=3, dims=-1, 2 != 0"),
        (bytes(4 * 65537), "vector: max size exceeded: 65537 > 65536"),
        ("[1", "vector: must end with ']'"),
        ("[1,x]", "vector: invalid float at position 1: 'x'"),
        ("", "vector: must start with '['"),
    ],
)
def test_what_is_no_vector(blob: bytes | str, message: str) -> None:
    for function in (vector.dims, vector.type_of, vector.to_list, vector.to_array):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            function(blob)


def test_what_is_no_array() -> None:
    wrongs: list[Any] = ["text", ["1"], [[1.0]], [None], 7, None]
    for wrong in wrongs:
        with pytest.raises(TypeError):
            vector.from_array(wrong)
    raws: list[Any] = [b"1234", bytearray(4), memoryview(b"1234"), array("i", [1]), array("B", [1])]
    for raw in raws:
        with pytest.raises(TypeError, match="is no vector, whose numbers are float16, float32 or float64"):
            vector.from_array(raw)
    with pytest.raises(ValueError, match=r"^unknown vector type 'f32': one of float32, float64, "):
        vector.from_array([1], "f32")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^vector: max size exceeded: 65537 > 65536$"):
        vector.from_array([0] * 65537)
    assert vector.dims(vector.from_array([0] * 65536)) == 65536


# Parameters.


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_arrays_are_parameters(db: libsql_core.Connection, dtype: str, order: str) -> None:
    function = {"f2": "vector16", "f4": "vector32", "f8": "vector64"}[dtype]
    expected = in_sql(db, f"{function}('[1,-2,3.5]')")
    row = np.array([1, -2, 3.5], order + dtype)
    matrix = np.array([[1, 9], [-2, 9], [3.5, 9]], order + dtype)
    frozen = row.copy()
    frozen.flags.writeable = False

    class Own(np.ndarray[Any, Any]):
        pass

    for a in (row, matrix[:, 0], row[::-1].copy()[::-1], np.asfortranarray(matrix)[:, 0], frozen, row.view(Own)):
        assert stored(db, a) == expected
        assert db.execute("select :a", {"a": a}).fetchone() == (expected,)
    assert stored(db, np.zeros(0, dtype)) == in_sql(db, f"{function}('[]')")
    db.executemany("insert into doc(v) values (?)", [(a,) for a in (row, matrix[:, 0])])
    db.executemany("insert into doc(v) values (?)", ((a,) for a in (row, matrix[:, 0])))
    assert db.execute("select distinct v, count(*) from doc").fetchall() == [(expected, 4)]


@pytest.mark.parametrize(
    ("a", "name"),
    [
        (np.zeros(2, "i4"), "int32"),
        (np.zeros(2, "u1"), "uint8"),
        (np.zeros(2, "?"), "bool"),
        (np.zeros(2, "O"), "object"),
        (np.zeros(2, "c8"), "complex64"),
        (np.zeros(2, "longdouble"), str(np.dtype("longdouble"))),
        (np.zeros(2, "M8[s]"), r"datetime64\[s\]"),
        (np.zeros(2, "U3"), "<U3"),
        (np.zeros(2, "f4,f4"), r"\[\('f0', '<f4'\), \('f1', '<f4'\)\]"),
        (np.zeros((2, 2), "i8"), "int64"),
    ],
)
def test_arrays_of_other_numbers_are_refused(db: libsql_core.Connection, a: Any, name: str) -> None:
    message = f"^an array of {name} is no vector, .*: convert it with astype.*tobytes"
    with pytest.raises(TypeError, match=message):
        stored(db, a)
    with pytest.raises(TypeError, match=message):
        db.executemany("insert into doc(v) values (?)", [(np.zeros(3),), (a,)])
    assert db.execute("select count(*) from doc").fetchone() == (1,)
    assert stored(db, a.tobytes()) == a.tobytes()


@pytest.mark.parametrize("shape", [(), (1, 3), (2, 2, 2)])
def test_arrays_of_other_shapes_are_refused(db: libsql_core.Connection, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"^an array of {len(shape)} dimensions is no vector; .*insert_many"):
        stored(db, np.zeros(shape, "f4"))


def test_long_arrays_are_refused(db: libsql_core.Connection) -> None:
    with pytest.raises(ValueError, match=r"^vector: max size exceeded: 65537 > 65536$"):
        stored(db, np.zeros(65537))


def test_other_buffers_are_their_bytes_as_ever(db: libsql_core.Connection) -> None:
    for value in (b"1234", bytearray(b"12"), memoryview(b"123"), array("d", [1]), array("i", [1]), np.float32(1)):
        assert stored(db, value) == bytes(memoryview(value).cast("B") if value != 1 else np.float32(1).tobytes())
    assert stored(db, np.arange(3.0).data) == np.arange(3.0).tobytes()


@pytest.mark.usefixtures("registry")
def test_registered_adapter_is_asked_first(db: libsql_core.Connection) -> None:
    libsql_core.register_adapter(np.ndarray, lambda a: f"shape {a.shape}")
    assert stored(db, np.zeros((2, 2))) == "shape (2, 2)"


@pytest.mark.usefixtures("registry")
def test_registered_arrays(db: libsql_core.Connection) -> None:
    vector.register()
    assert stored(db, array("d", [1, 2])) == in_sql(db, "vector64('[1,2]')")
    assert stored(db, array("f", [1, 2])) == in_sql(db, "vector('[1,2]')")
    assert stored(db, array("i", [1, 2])) == array("i", [1, 2]).tobytes()


def test_functions_return_arrays(db: libsql_core.Connection) -> None:
    def ones(n: int, dtype: str) -> Any:
        return np.ones(n, dtype)

    db.create_function("ones", 2, ones)
    assert in_sql(db, "ones(3, 'f8')") == in_sql(db, "vector64('[1,1,1]')")
    with pytest.raises(libsql_core.OperationalError, match=r"^user-defined function raised exception$"):
        in_sql(db, "ones(3, 'i4')")


# Converters.

COLUMNS = (
    'create table c(a F32_BLOB(2), b float64(2), c f1bit_blob (2), d FLOAT16, e "FB16_BLOB", f F8_BLOB(2), g text)'
)
ROW = "insert into c values (vector('[1,2]'), vector64('[1,2]'), vector1bit('[1,-2]'), '[1, 2]', '[1e0,22]', null, 'x')"


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("lists", [True, False])
def test_converters(lists: bool) -> None:
    if lists:
        vector.register_converters(vector.to_list)
    else:
        vector.register_converters()
    con = libsql_core.connect(":memory:", detect_types=libsql_core.PARSE_DECLTYPES | libsql_core.PARSE_COLNAMES)
    con.execute(COLUMNS)
    con.execute(ROW)
    *found, null, text = con.execute("select * from c").fetchone()
    assert [list(each) for each in found] == [[1, 2], [1, 2], [1, -1], [1, 2], [1, 22]]
    assert {type(each) for each in found} == {list if lists else np.ndarray}
    assert (null, text) == (None, "x")
    assert list(con.execute("select x'0000803f' as \"v [f32_blob]\"").fetchone()[0]) == [1]
    con.execute("insert into c(a) values (x'00')")
    with pytest.raises(ValueError, match=r"^vector: unexpected binary type: 0$"):
        con.execute("select a from c where b is null").fetchone()
    con.close()
