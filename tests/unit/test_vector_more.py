"""The vector functions beyond libSQL's."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest

import libsql_core

NUMBERS = ("vector32", "vector64", "vector16", "vectorb16", "vector8")
INF = math.inf


@pytest.fixture(scope="module")
def con() -> Iterator[libsql_core.Connection]:
    connection = libsql_core.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def value(con: libsql_core.Connection, expression: str, *values: object) -> Any:
    return con.execute(f"select {expression}", values).fetchone()[0]


def elements(con: libsql_core.Connection, expression: str, *values: object) -> tuple[float, ...]:
    wide = value(con, f"vector64({expression})", *values)
    return struct.unpack(f"<{len(wide) // 8}d", wide[:-1])


def random_vector(rnd: random.Random, n: int) -> bytes:
    return struct.pack(f"<{n}f", *(rnd.gauss(0, 1) for _ in range(n)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("vector_distance_dot('[1,2]', '[3,4]')", -11.0), ("vector_distance_dot('[]', '[]')", 0.0),
        ("vector_distance_dot(vector64('[1,2]'), vector64('[3,-4]'))", 5.0),
        ("vector_distance_dot(vector16('[1,2]'), vector16('[3,4]'))", -11.0),
        ("vector_distance_dot(vectorb16('[1,2]'), vectorb16('[3,4]'))", -11.0),
        ("vector_distance_dot(vector8('[0,255]'), vector8('[255,0]'))", 0.0),
        ("vector_distance_dot(vector1bit('[1,1,-1]'), vector1bit('[1,-1,1]'))", 1.0),
        ("vector_distance_dot('[1e39]', '[0]')", None), ("vector_distance_dot('[1e30]', '[1e30]')", -INF),
        ("vector_distance_hamming(vector1bit('[1,1,-1]'), vector1bit('[1,-1,1]'))", 2.0),
        ("vector_dims('[1,2]')", 2), ("vector_dims(x'')", 0), ("vector_dims(x'FF0F03')", 1),
        *((f"vector_type({f}('[1]'))", f.replace("vector", "float")) for f in NUMBERS),
        ("vector_type(vector1bit('[1]'))", "float1bit"), ("vector_type('[1]')", "float32"),
        ("vector_extract(vector_slice('[1,2,3,4]', 1, 3))", "[2,3]"),
        ("vector_extract(vector_slice('[1,2,3,4]', 4, 4))", "[]"),
        ("hex(vector_slice(vector8('[1,2,3,4]'), 1, 3))", "55AA0000C1C0403C0000803F000204"),
        ("hex(vector_slice(vector8('[1,2]'), 2, 2))", "8180803B0000803F000004"),
        ("vector_extract(vector_concat('[1]', '[2,3]'))", "[1,2,3]"), ("vector_concat('[]', '[]')", b""),
        ("hex(vector_concat(vector8('[1,2]'), vector8('[3,4]')))", "0055AAFFC1C0403C0000803F000004"),
        ("vector_extract(vector_normalize('[3,4]'))", "[0.6,0.8]"),
        ("vector_extract(vector_normalize('[0,0]'))", "[0,0]"),
        ("vector_extract(vector_normalize(vector64('[3e300,-4e300]')))", "[0.6,-0.8]"),
        ("vector_extract(vector_normalize(vector64('[3e-320,4e-320]')))", "[0.6,0.8]"),
        ("vector_extract(vector_normalize(vector8('[0,255]')))", "[0,1]"),
        ("vector_extract(vector_add('[1,2]', '[3,-4]'))", "[4,-2]"), ("vector_add('[]', '[]')", b""),
        ("vector_extract(vector_sub(vector16('[1,2]'), vector16('[3,4]')))", "[-2,-2]"),
        ("vector_extract(vector_scale('[1,2]', -2.5))", "[-2.5,-5]"),
        ("vector_extract(vector_scale('[1,2]', 3))", "[3,6]"),
    ],
)  # fmt: skip
def test_values(con: libsql_core.Connection, expression: str, expected: object) -> None:
    found = value(con, expression)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("vector_distance_hamming('[1]', '[1]')",
         "vector_distance: hamming distance is not supported for float32 vectors"),
        ("vector_distance_dot('[1]', '[1,2]')", "vector_distance: vectors must have the same length: 1 != 2"),
        ("vector_dims(7)", "vector: unexpected value type: got INTEGER, expected TEXT or BLOB"),
        ("vector_type(x'00')", "vector: unexpected binary type: 0"),
        ("vector_slice('[1]', 0, 2)", "vector_slice: 0 to 2 is not inside of 0 to 1"),
        ("vector_slice('[1]', -1, 1)", "vector_slice: -1 to 1 is not inside of 0 to 1"),
        ("vector_slice('[1,2]', 2, 1)", "vector_slice: 2 to 1 is not inside of 0 to 2"),
        ("vector_slice('[1]', '0', 1)", "vector_slice: start and end must be integers"),
        ("vector_concat('[1]', vector8('[1]'))", "vector_concat: vectors must have the same type: 1 != 4"),
        ("vector_concat(zeroblob(4*40000), zeroblob(4*40000))", "vector: max size exceeded: 80000 > 65536"),
        ("vector_add('[1]', '[1,2]')", "vector_add: vectors must have the same length: 1 != 2"),
        ("vector_sub('[1]', vector64('[1]'))", "vector_sub: vectors must have the same type: 1 != 2"),
        ("vector_add(vector1bit('[1]'), vector1bit('[1]'))", "vector_add: not supported for float1bit vectors"),
        ("vector_normalize(vector1bit('[1]'))", "vector_normalize: not supported for float1bit vectors"),
        ("vector_scale('[1]', NULL)", "vector_scale: the factor must be a number"),
        ("vector_scale('[1]', '2')", "vector_scale: the factor must be a number"),
        ("vector_sum(v) FROM (SELECT '[1]' v UNION ALL SELECT '[1,2]')",
         "vector_sum: vectors must have the same length: 1 != 2"),
        ("vector_avg(v) FROM (SELECT '[1]' v UNION ALL SELECT vector8('[1]'))",
         "vector_avg: vectors must have the same type: 1 != 4"),
        ("vector_sum(v) FROM (SELECT '[x]' v)", "vector: invalid float at position 0: 'x'"),
    ],
)  # fmt: skip
def test_errors(con: libsql_core.Connection, expression: str, message: str) -> None:
    with pytest.raises(libsql_core.OperationalError) as caught:
        value(con, expression)
    assert str(caught.value) == message


@pytest.mark.parametrize("maker", [*NUMBERS, "vector1bit"])
def test_slices_and_concatenations(con: libsql_core.Connection, maker: str) -> None:
    rnd = random.Random(maker)
    for n in (1, 7, 8, 9, 30):
        vector = value(con, f"{maker}(?)", random_vector(rnd, n))
        whole = elements(con, "?", vector)
        start, end = sorted(rnd.randrange(n + 1) for _ in range(2))
        assert elements(con, "vector_slice(?, ?, ?)", vector, start, end) == whole[start:end]
        parts = [value(con, "vector_slice(?, ?, ?)", vector, *bounds) for bounds in ((0, start), (start, n))]
        joined = value(con, "vector_concat(?, ?)", *parts)
        assert elements(con, "?", joined) == pytest.approx(whole, abs=1e-6)
        assert maker == "vector8" or joined == vector


@pytest.mark.parametrize("maker", NUMBERS)
def test_arithmetic(con: libsql_core.Connection, maker: str) -> None:
    """Each result is the exact one, in the type of the operands."""
    rnd = random.Random(maker)
    for n in (1, 3, 16, 33):
        a, b = (value(con, f"{maker}(?)", random_vector(rnd, n)) for _ in range(2))
        x, y = elements(con, "?", a), elements(con, "?", b)
        length = math.hypot(*x)
        for expression, numbers in (
            ("vector_add(?1, ?2)", [p + q for p, q in zip(x, y, strict=True)]),
            ("vector_sub(?1, ?2)", [p - q for p, q in zip(x, y, strict=True)]),
            ("vector_scale(?1, 1.7 + (?2 is null))", [p * 1.7 for p in x]),
            ("vector_normalize(iif(?2 is null, null, ?1))", [p / length for p in x]),
        ):
            made = value(con, expression, a, b)
            if maker == "vector64":
                assert elements(con, "?", made) == pytest.approx(numbers, rel=1e-15)
            else:
                assert elements(con, "?", made) == pytest.approx(
                    elements(con, f"{maker}(?)", struct.pack(f"<{n}f", *numbers)), rel=1e-6, abs=1e-6
                )


def test_sums_skip_null_and_are_null_of_nothing(con: libsql_core.Connection) -> None:
    rows = "(values ('[1,2]'), (NULL), ('[4,-3]'))"
    assert con.execute(f"select vector_extract(vector_sum(column1)), vector_extract(vector_avg(column1)) from {rows}"
                       ).fetchone() == ("[5,-1]", "[2.5,-0.5]")  # fmt: skip
    nothing = con.execute(f"select vector_sum(column1) filter (where 0), vector_avg(NULL) from {rows}")
    assert nothing.fetchone() == (None, None)
    assert value(con, "vector_sum('[]')") == b""


@pytest.mark.parametrize(
    ("maker", "kind"), [(maker, "float64" if maker == "vector64" else "float32") for maker in (*NUMBERS, "vector1bit")]
)
def test_sums_are_wide(con: libsql_core.Connection, maker: str, kind: str) -> None:
    """65504 is the largest float16, and a sum of 100 000 halves of a float32's last bit is not lost."""
    sql = f"select vector_type(s), vector_extract(s) from (select vector_sum({maker}(?)) s from carray_numbers)"
    con.execute("create temp table if not exists carray_numbers as with recursive n(i) as "
                "(select 1 union all select i+1 from n where i < 1000) select i from n")  # fmt: skip
    assert con.execute(sql, ("[1000]",)).fetchone() == (kind, "[1000]" if maker == "vector1bit" else "[1e+06]")
    large = value(con, "vector_sum(v) from (select '[1]' v union all select '[3e-8]' from carray_numbers)")
    assert struct.unpack("<f", large)[0] == pytest.approx(1.00003, abs=1e-7)


def test_windows(con: libsql_core.Connection) -> None:
    """What leaves a window leaves no trace, an infinity neither."""
    rows = [(1.0, 2.0), None, (3.0, 5.0), (INF, 1.0), (-INF, 1.0), (4.0, 4.0), (5.0, 1e-3)]
    con.execute("create temp table frames(i integer primary key, v)")
    con.executemany("insert into frames(v) values (?)", [(row and struct.pack("<2f", *row),) for row in rows])
    found = con.execute("select vector_extract(vector_sum(v) over (order by i rows 1 preceding)),"
                        " vector_extract(vector_avg(v) over (order by i rows 1 preceding)) from frames")  # fmt: skip
    assert found.fetchall() == [
        ("[1,2]", "[1,2]"), ("[1,2]", "[1,2]"), ("[3,5]", "[3,5]"), ("[Inf,6]", "[Inf,3]"), ("[NaN,2]", "[NaN,1]"),
        ("[-Inf,5]", "[-Inf,2.5]"), ("[9,4.001]", "[4.5,2.0005]"),
    ]  # fmt: skip
    frame = "order by i rows between 1 preceding and 1 preceding"
    empty = con.execute(f"select vector_sum(v) over ({frame}) is null from frames")
    assert [row[0] for row in empty] == [1, 0, 1, 0, 0, 0, 0]


def test_a_failed_aggregate_leaves_the_connection_usable(con: libsql_core.Connection) -> None:
    con.execute("create temp table mixed as select column1 v from (values ('[1]'), ('[2]'), ('[1,2]'))")
    for window in ("", " over (rows 1 preceding)"):
        with pytest.raises(libsql_core.OperationalError, match="same length: 1 != 2"):
            con.execute(f"select vector_avg(v){window} from mixed").fetchall()
    assert value(con, "count(*) from mixed") == 3
