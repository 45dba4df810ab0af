"""Matrices of vectors into tables, the nearest rows out of them; and all of it without numpy."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest

import libsql_core
from libsql_core import vector

TYPES: tuple[vector.VectorType, ...] = get_args(vector.VectorType)


@pytest.fixture
def db() -> Iterator[libsql_core.Connection]:
    con = libsql_core.connect(":memory:", isolation_level=None)
    con.execute("create table doc(id integer primary key, kind text default 'x', v f32_blob(3))")
    yield con
    con.close()


# Matrices into a table.


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8"])
def test_insert_many(db: libsql_core.Connection, dtype: str) -> None:
    matrix = np.arange(3000).reshape(3, 1000).T.astype(dtype)  # not contiguous
    ids = np.arange(1000, dtype="i4") * 2
    assert vector.insert_many(db, "doc", ids, matrix) == 1000
    assert db.execute("select count(*), sum(id), min(kind) from doc").fetchone() == (1000, 999000, "x")
    found = db.execute("select v from doc order by id").fetchall()
    assert (np.array([vector.to_array(v) for (v,) in found]) == matrix.astype("f4")).all()
    assert not db.in_transaction


@pytest.mark.parametrize("kind", TYPES)
def test_insert_many_as_declared(kind: vector.VectorType) -> None:
    con = libsql_core.connect(":memory:")
    con.execute(f"create table t(v {kind}(2), other blob)")
    matrices: list[Any] = [np.array([[1.0, -2.0]]), np.array([[1, -2]], "f4"), [[1, -2]], [array("d", [1, -2])]]
    for i, matrix in enumerate(matrices):
        vector.insert_many(con, "t", [i], matrix)
    assert con.execute("select distinct v from t").fetchall() == [(vector.from_array([1, -2], kind),)]
    con.execute("delete from t")
    vector.insert_many(con, "t", [1], [[1.0, 2.0]], "other")
    vector.insert_many(con, "t", [2], np.array([[1.0, 2.0]]), "OTHER")
    vector.insert_many(con, "t", [3], np.array([[1.0, 2.0]]), "other", "float16")
    found = [vector.type_of(v) for (v,) in con.execute("select other from t order by rowid")]
    assert found == ["float32", "float64", "float16"]
    con.close()


def test_insert_many_of_nothing(db: libsql_core.Connection) -> None:
    assert vector.insert_many(db, "doc", [], []) == 0
    assert vector.insert_many(db, "doc", [], np.zeros((0, 3), "f4")) == 0


def test_insert_many_is_all_or_nothing(db: libsql_core.Connection) -> None:
    matrix = np.ones((3000, 3), "f4")
    ids = [*range(2999), 5]
    with pytest.raises(libsql_core.IntegrityError, match=r"UNIQUE constraint failed: doc\.id"):
        vector.insert_many(db, "doc", ids, matrix)
    assert db.execute("select count(*) from doc").fetchone() == (0,)
    assert not db.in_transaction
    db.execute("begin")
    db.execute("insert into doc(id) values (9999)")
    with pytest.raises(libsql_core.IntegrityError):
        vector.insert_many(db, "doc", ids, matrix)
    assert vector.insert_many(db, "doc", range(3000), matrix) == 3000
    assert db.in_transaction
    assert db.execute("select count(*) from doc").fetchone() == (3001,)
    db.execute("rollback")
    assert db.execute("select count(*) from doc").fetchone() == (0,)


@pytest.mark.parametrize("options", [{}, {"autocommit": True}, {"autocommit": False}, {"isolation_level": "IMMEDIATE"}])
def test_insert_many_commits_as_the_connection_does(file: Any, options: dict[str, Any]) -> None:
    con = file.connect(**options)
    con.execute("create table v(v f32_blob(1))")
    con.commit()
    vector.insert_many(con, "v", [1], [[1.0]])
    assert con.in_transaction is (options == {"autocommit": False})
    other = file.connect()
    assert other.execute("select count(*) from v").fetchone() == (0 if con.in_transaction else 1,)
    file.close()


def test_insert_many_after_an_error_that_ends_the_transaction(db: libsql_core.Connection) -> None:
    db.execute("create trigger g before insert on doc when new.id = 2 begin select raise(rollback, 'no'); end")
    with pytest.raises(libsql_core.IntegrityError, match=r"^no$"):
        vector.insert_many(db, "doc", [1, 2], np.ones((2, 3), "f4"))
    assert not db.in_transaction


def test_insert_many_refuses_what_does_not_fit(db: libsql_core.Connection) -> None:
    def refused(error: type[Exception], message: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(error, match=message):
            vector.insert_many(db, *arguments, **options)
        assert db.execute("select count(*) from doc").fetchone() == (0,)

    ones = np.ones((2, 3), "f4")
    refused(ValueError, r"^1 ids for 2 vectors$", "doc", [1], ones)
    refused(ValueError, r"^vectors of 2 elements for column v, which is declared with 3$", "doc", [1], [[1, 2]])
    refused(ValueError, r"^the rows differ: float32 x 2, float32 x 3$", "doc", [1, 2], [[1, 2, 3], [1, 2]])
    refused(ValueError, r"^a matrix has 2 dimensions, not 1$", "doc", [1], ones[0])
    refused(TypeError, r"^an array of int64 is no vector", "doc", [1], np.ones((1, 3), "i8"))
    refused(libsql_core.OperationalError, r"^no such table: main\.dox$", "dox", [1, 2], ones)
    refused(libsql_core.OperationalError, r"^no such table: temp\.doc$", "doc", [1, 2], ones, schema="temp")
    refused(libsql_core.OperationalError, r"^no such column: w$", "doc", [1, 2], ones, "w")
    db.execute("alter table doc add column w float64(3)")
    refused(ValueError, r"^table doc has 2 columns of a vector type: name one$", "doc", [1, 2], ones)


def test_names_are_quoted() -> None:
    con = libsql_core.connect(":memory:")
    con.execute('attach \':memory:\' as "a""b"')
    con.execute('create table "a""b"."t ""x"(rowid text, _RowId_ text, "v "" v" f32_blob(1))')
    assert vector.insert_many(con, 't "x', [5, 6], np.array([[1], [-1]], "f4"), schema='a"b') == 2
    found = vector.search(con, 't "x', 'v " v', np.ones(1, "f4"), 2, schema='a"b')
    assert [each.tolist() for each in found] == [[5, 6], [0.0, 2.0]]
    con.close()


# The nearest rows.

METRICS = {
    "cos": lambda a, q: 1 - a @ q / np.sqrt((a * a).sum(1) * (q @ q)),
    "l2": lambda a, q: np.sqrt(((a - q) ** 2).sum(1)),
    "dot": lambda a, q: -(a @ q),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "floatb16", "float8"])
def test_search(metric: vector.Metric, kind: vector.VectorType) -> None:
    random = np.random.default_rng(7)
    matrix, queries = random.normal(size=(300, 24)).astype("f4"), random.normal(size=(5, 24)).astype("f4")
    con = libsql_core.connect(":memory:")
    con.execute(f"create table t(v {kind}(24))")
    vector.insert_many(con, "t", np.arange(300) * 3, matrix)
    rows = np.array([vector.to_array(v, "f8") for (v,) in con.execute("select v from t order by rowid")])
    targets = np.array([vector.to_array(vector.from_array(q, kind), "f8") for q in queries])
    ids, distances = vector.search(con, "t", "v", queries, 7, metric)
    assert (str(ids.dtype), str(distances.dtype), ids.shape, distances.shape) == ("int64", "float32", (5, 7), (5, 7))
    exact = np.array([METRICS[metric](rows, target) for target in targets])
    assert np.allclose(distances, np.sort(exact, 1)[:, :7], rtol=1e-5, atol=1e-6)
    assert np.allclose(np.take_along_axis(exact, ids // 3, 1), distances, rtol=1e-5, atol=1e-6)
    one = vector.search(con, "t", "v", queries[1], 7, metric)
    assert one[0].tolist() == ids[1].tolist()
    assert np.allclose(one[1], distances[1], rtol=1e-6)
    for dtype in ("f8", ">f4", ">f8"):
        same = vector.search(con, "t", "v", np.asfortranarray(queries.astype(dtype)), 7, metric)
        assert (same[0] == ids).all()
        assert np.allclose(same[1], distances, rtol=1e-6)
    con.close()


def test_search_of_bits() -> None:
    con = libsql_core.connect(":memory:")
    con.execute("create table t(v f1bit_blob(3))")
    vector.insert_many(con, "t", [1, 2, 3], [[1, 1, 1], [-1, 1, 1], [-1, -1, 1]])
    metrics: list[vector.Metric] = ["cos", "hamming"]
    for metric in metrics:
        assert vector.search(con, "t", "v", [-1, -1, 1], 3, metric) == ([3, 2, 1], [0, 1, 2])
    con.close()


@pytest.fixture
def three(db: libsql_core.Connection) -> libsql_core.Connection:
    """Rows at 1, 2 and 4 on a line, and rows that have no distance."""
    vector.insert_many(db, "doc", [1, 2, 4], [[1, 0, 0], [2, 0, 0], [4, 0, 0]])
    db.execute("insert into doc(id) values (5)")
    db.execute("update doc set kind = 'even' where id % 2 = 0")
    return db


def test_search_without_numpy_arrays(three: libsql_core.Connection) -> None:
    assert vector.search(three, "doc", "v", [2, 0, 0], 2, "l2") == ([2, 1], [0, 1])
    assert vector.search(three, "doc", "v", array("d", [4, 0, 0]), 2, "l2") == ([4, 2], [0, 2])
    assert vector.search(three, "doc", "v", [[2, 0, 0], array("f", [4, 0, 0])], 2, "l2") == (
        [[2, 1], [4, 2]],
        [[0, 1], [0, 2]],
    )


def test_search_pads(three: libsql_core.Connection) -> None:
    inf = math.inf
    assert vector.search(three, "doc", "v", [2, 0, 0], 5, "l2") == ([2, 1, 4, -1, -1], [0, 1, 2, inf, inf])
    assert vector.search(three, "doc", "v", [2, 0, 0], 2, "l2", "kind = 'none' or id = 4") == ([4, -1], [2, inf])
    ids, distances = vector.search(three, "doc", "v", np.zeros((2, 3), "f4"), 1)
    assert (ids.tolist(), distances.tolist()) == ([[-1], [-1]], [[inf], [inf]])  # cosine with a zero vector
    assert vector.search(three, "doc", "v", [1, 0, 0], 0) == ([], [])
    assert vector.search(three, "doc", "v", np.zeros((0, 3), "f4"), 3)[0].shape == (0, 3)
    assert vector.search(three, "doc", "v", np.zeros((0, 3)), 3)[1].shape == (0, 3)
    three.execute("delete from doc")
    assert vector.search(three, "doc", "v", [1, 0, 0], 1) == ([-1], [inf])


def test_search_where(three: libsql_core.Connection) -> None:
    assert vector.search(three, "doc", "v", [1, 0, 0], 3, "l2", "kind = 'even'")[0] == [2, 4, -1]
    assert vector.search(three, "doc", "v", [[1, 0, 0], [9, 0, 0]], 1, "l2", "id < 3 -- and so on")[0] == [[1], [2]]
    with pytest.raises(libsql_core.OperationalError, match="no such column: nokind"):
        vector.search(three, "doc", "v", [1, 0, 0], 3, where="nokind = 1")


def test_search_sees_what_a_query_would_see(file: Any) -> None:
    writer, reader = file.connect(isolation_level=None), file.connect(isolation_level=None)
    writer.execute("create table v(v f32_blob(1))")
    for numbers in ([1.0, 2.0], [0.5], [0.25]):
        vector.insert_many(writer, "v", [int(1000 * x) for x in numbers], [[x] for x in numbers])
        assert vector.search(reader, "v", "v", [0.0], 1, "l2") == ([int(1000 * numbers[0])], [numbers[0]])
    writer.execute("begin")
    writer.execute("update v set v = vector('[0]') where rowid = 2000")
    assert vector.search(writer, "v", "v", [0.0], 1, "l2") == ([2000], [0])
    assert vector.search(reader, "v", "v", [0.0], 1, "l2") == ([250], [0.25])
    writer.execute("rollback")
    assert vector.search(writer, "v", "v", [0.0], 1, "l2") == ([250], [0.25])
    file.close()
    with pytest.raises(libsql_core.ProgrammingError, match=r"^Cannot operate on a closed database\.$"):
        vector.search(reader, "v", "v", [0.0], 1)


def test_search_does_not_mind_the_settings_of_the_connection(three: libsql_core.Connection) -> None:
    three.row_factory = lambda cursor, row: None
    three.text_factory = bytes
    assert vector.search(three, "doc", "v", [1, 0, 0], 1, "l2") == ([1], [0])
    assert vector.insert_many(three, "doc", [7], [[7, 0, 0]]) == 1


def test_search_refuses(three: libsql_core.Connection) -> None:
    def refused(error: type[Exception], message: str, *arguments: Any) -> None:
        with pytest.raises(error, match=message):
            vector.search(three, *arguments)

    query = np.ones(3, "f4")
    refused(ValueError, r"^unknown metric 'cosine': one of cos, l2, dot, hamming$", "doc", "v", query, 1, "cosine")
    refused(ValueError, r"^k must not be negative$", "doc", "v", query, -1)
    refused(ValueError, r"^a matrix has 2 dimensions, not 3$", "doc", "v", np.ones((1, 1, 3), "f4"), 1)
    refused(TypeError, r"^an array of int64 is no vector", "doc", "v", np.ones(3, "i8"), 1)
    refused(ValueError, r"^the queries differ in length$", "doc", "v", [[1, 2, 3], [1, 2]], 1)
    refused(libsql_core.OperationalError, r"^no such table: main\.dox$", "dox", "v", query, 1)
    refused(libsql_core.OperationalError, r"^no such column: doc\.w$", "doc", "w", query, 1)
    refused(libsql_core.OperationalError, "vectors must have the same length", "doc", "v", query[:2], 1)
    refused(libsql_core.OperationalError, "hamming", "doc", "v", query, 1, "hamming")
    three.execute("update doc set v = 'x' where id = 2")
    refused(libsql_core.OperationalError, "vector", "doc", "v", query, 1)


# Without numpy.


def test_numpy_is_not_imported(run_child: Callable[[str], Any]) -> None:
    code = """
from array import array
from libsql_core import vector
con = sqlite3.connect(":memory:")
con.execute("create table t(v f32_blob(1))")
vector.insert_many(con, "t", [1], [[1.0]])
vector.search(con, "t", "v", [1.0], 1)
con.execute("select ?, ?", (array("d"), bytearray()))
con.close()
print(json.dumps("numpy" in sys.modules))
"""
    assert run_child(code) is False


def test_without_numpy(run_child: Callable[[str], Any]) -> None:
    code = """
sys.modules["numpy"] = None     # what makes an import of it fail
from array import array
from libsql_core import vector
con = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES)
con.execute("create table t(v f64_blob(2))")
told = [vector.insert_many(con, "t", array("q", [1, 2]), [[1, 2], array("d", [3, 4])])]
told += [vector.search(con, "t", "v", [[1, 2]], 2, "l2"), vector.search(con, "t", "v", array("d", [3, 4]), 1, "l2")]
told += [vector.to_list(vector.from_array(array("f", [1.5]))), vector.dims("[1]"), vector.type_of(b"")]
for call in (lambda: vector.to_array(b""), vector.register_converters):
    try:
        call()
    except ImportError:
        told.append("no numpy")
vector.register_converters(vector.to_list)
vector.register()
con.execute("insert into t values (?)", (array("d", [5, 6]),))
told.append([row for row in con.execute("select v from t")])
con.close()
print(json.dumps(told))
"""
    assert run_child(code) == [
        2,
        [[[1, 2]], [[0, pytest.approx(8**0.5)]]],
        [[2], [0]],
        [1.5],
        1,
        "float32",
        "no numpy",
        "no numpy",
        [[[1, 2]], [[3, 4]], [[5, 6]]],
    ]
