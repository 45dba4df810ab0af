"""ORDER BY a distance LIMIT k through a vector index: which statements use it, and that they answer as without it.

Indexes of up to 1000 rows compare all of them, so that answers are exact.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import libsql_core
from libsql_core import vector

N = 600
MOST = 2**63 - 1
X = "vector32('[1,2,-1,0.5]')"
COS = f"vector_distance_cos(v, {X})"
Rows = list[tuple[Any, ...]]


def fill(con: libsql_core.Connection, table: str, seed: int = 1) -> None:
    dice = np.random.default_rng(seed)
    matrix = dice.normal(size=(N, 4)).astype("f4")
    rows = [(i * 3, 2000 + i % 20, v.tobytes()) for i, v in enumerate(matrix)]
    con.executemany(f"insert into {table}(id, year, v) values(?, ?, ?)", rows)


@pytest.fixture
def db() -> Iterator[libsql_core.Connection]:
    con = libsql_core.connect(":memory:", isolation_level=None)
    columns = "id integer primary key, year int, v f32_blob(4), w f32_blob(4) as (v), u as (year % 4)"
    con.execute(f"create table t({columns})")
    fill(con, "t")
    con.execute("create index by_cos on t(libsql_vector_idx(v))")
    con.execute("pragma libsql_vector_order = on")
    yield con
    con.close()


def plan(con: libsql_core.Connection, sql: str, *parameters: object) -> str:
    return "; ".join(row[3] for row in con.execute(f"explain query plan {sql}", parameters))


def uses(con: libsql_core.Connection, sql: str, *parameters: object) -> int:
    return plan(con, sql, *parameters).count("SCAN main.vector_top_k")


def both(con: libsql_core.Connection, sql: str, parameters: Any = ()) -> Rows:
    """The rows of a statement, which are those without the index."""
    found = con.execute(sql, parameters).fetchall()
    con.execute("pragma libsql_vector_order = off")
    exact = con.execute(sql, parameters).fetchall()
    con.execute("pragma libsql_vector_order = on")
    assert found == exact, sql
    return found


def test_pragma(db: libsql_core.Connection) -> None:
    other = libsql_core.connect(":memory:")
    assert other.execute("pragma libsql_vector_order").fetchall() == [(0,)]
    other.close()
    assert db.execute("pragma libsql_vector_order").fetchall() == [(1,)]
    sql = f"select id from t order by {COS} limit 5"
    read = {}
    for value in ("off", "on", "0", "true"):
        assert db.execute(f"pragma libsql_vector_order = {value}").fetchall() == []
        cursor = db.execute(sql)  # the same statement, kept by the connection
        assert len(cursor.fetchall()) == 5
        read[value] = cursor.rows_read
    assert read["off"] == read["0"] >= N
    assert read["on"] == read["true"] < 50


USED = [
    f"select id, year from t order by {COS} limit 7",
    f"select id, year from t order by vector_distance_cos({X}, v) asc limit 7 offset 3",
    f"select id from main.t as a order by vector_distance_cos(a.v, {X}) limit 7",
    f"select id, {COS} as far from t order by far limit 7",
    f"select {COS}, id from t order by 1, id desc limit 7",
    f"select {COS}, id from t order by 1, year, random() limit 7",
    f"select id from t order by {COS} nulls last limit 7",
    f"select id from t where v is not null order by {COS} limit 7",
    f"select id from t where v is not null and t.v notnull order by {COS} limit 7",
    f"select * from t order by {COS} limit 0x7",
    f"select count(*), min(far) from (select {COS} as far from t order by far limit 7)",
    f"select a.id, b.id from (select id from t order by {COS} limit 2) a, t b where b.id = a.id + 3",
    f"select id, (select id from t order by {COS} limit 1 offset 2) from t where id < 30",
    f"select id, (select b.id - t.id from t as b order by vector_distance_cos(b.v, {X}) limit 1) from t where id < 30",
    f"select id from t where id in (select id from t order by {COS} limit 7) and year > 2005",
    f"select 1 where exists (select 1 from t order by {COS} limit 7)",
    f"select * from (select id from t order by {COS} limit 3) union all select 5",
    f"with vector_top_k as (select 7 as id) select id, (select id from vector_top_k) from t order by {COS} limit 7",
    f"select id, row_number() over () from (select id from t order by {COS} limit 7)",
    f"select id from t order by vector_distance_cos(v, vector_slice(vector_concat({X}, {X}), 2, 6)) limit 7",
]


@pytest.mark.parametrize("sql", USED)
def test_statements_that_use_the_index(db: libsql_core.Connection, sql: str) -> None:
    assert uses(db, sql) == 1
    assert len(both(db, sql)) > 0
    db.execute("pragma libsql_vector_order = off")
    assert uses(db, sql) == 0


NOT_USED = [
    f"select id from t order by {COS}",
    f"select id from t order by {COS} desc limit 7",
    f"select id from t order by vector_distance_l2(v, {X}) limit 7",
    f"select id from t order by vector_distance_dot(v, {X}) limit 7",
    f"select id from t order by year, {COS} limit 7",
    f"select id from t order by -{COS} limit 7",
    f"select id from t order by vector_distance_cos(+v, {X}) limit 7",
    f"select id from t order by vector_distance_cos(w, {X}) limit 7",
    "select id from t order by vector_distance_cos(v, v) limit 7",
    "select id from t order by vector_distance_cos(v, vector_scale(v, year)) limit 7",
    f"select id from t order by vector_distance_cos({X}, {X}) limit 7",
    "select id from t order by vector_distance_cos(v, (select v from t where id = 3)) limit 7",
    f"select id from t order by {COS} limit 3 + 4",
    f"select id from t order by {COS} limit 7 offset (select 2)",
    f"select id from t order by {COS} limit -1",
    f"select id from t where year > 2005 order by {COS} limit 7",
    f"select id from t where v is not null and id <> 3 order by {COS} limit 7",
    f"select id from t where v is not null or id = 3 order by {COS} limit 7",
    f"select distinct year from t order by {COS} limit 7",
    f"select count(*) from t order by {COS} limit 7",
    f"select max(id) from t order by {COS} limit 7",
    f"select vector_sum(v) from t order by {COS} limit 7",
    f"select year from t group by year order by {COS} limit 7",
    f"select id, sum(id) over (order by id) from t order by {COS} limit 7",
    f"select id from t not indexed order by {COS} limit 7",
    f"select t.id from t, (select 1) order by {COS} limit 7",
    f"select t.id from t left join t as b on b.id = t.id + 3 order by vector_distance_cos(t.v, {X}) limit 7",
    f"select id from (select * from t) order by {COS} limit 7",
    f"select id from (select id, v from t limit 20) order by {COS} limit 7",
    f"with a as (select id, v from t limit 20) select id from a order by {COS} limit 7",
    f"select id, {COS} as far from t union all select 1, 0.5 order by far limit 7",
    "select (select id from t as b order by vector_distance_cos(b.v, t.v) limit 1) from t where id < 30",
]


@pytest.mark.parametrize("sql", NOT_USED)
def test_statements_that_do_not(db: libsql_core.Connection, sql: str) -> None:
    assert uses(db, sql) == 0
    both(db, sql)


def test_function_that_may_differ_from_call_to_call(db: libsql_core.Connection) -> None:
    given = np.ones(4, "f4").tobytes()
    db.create_function("steady", 0, lambda: given, deterministic=True)
    db.create_function("other", 0, lambda: given)
    assert uses(db, "select id from t order by vector_distance_cos(v, steady()) limit 7") == 1
    assert uses(db, "select id from t order by vector_distance_cos(v, other()) limit 7") == 0
    both(db, "select id from t order by vector_distance_cos(v, steady()) limit 7")


def test_names_that_mean_something_else(db: libsql_core.Connection) -> None:
    sql = f"select id from t order by {COS} limit 7"
    db.execute("create table vector_top_k(id)")
    assert uses(db, sql) == 0
    db.execute("drop table vector_top_k")
    db.execute("create temp table vector_top_k(id)")
    assert uses(db, sql) == 1
    both(db, sql)
    db.create_function("vector_distance_cos", 2, lambda v, x: -1, deterministic=True)
    assert uses(db, sql) == 0


@pytest.mark.parametrize(
    ("limit", "offset"),
    [
        (0, 0),
        (3, 0),
        (3, 5),
        (3, -2),
        (-1, 0),
        (-5, 590),
        (10**12, 595),
        (MOST, MOST),
        (5, N + 1),
        ("4", " 2 "),
        (3.0, 1.0),
        ("1e1", "2e0"),
        (-MOST - 1, 3),
        (4, -MOST - 1),
    ],
)
def test_limits(db: libsql_core.Connection, limit: object, offset: object) -> None:
    sql = f"select id from t order by {COS} limit ? offset ?"
    assert uses(db, sql, limit, offset) == 1
    both(db, sql, (limit, offset))
    both(db, f"select id from t order by {COS} limit ?", (limit,))


@pytest.mark.parametrize("limit", [None, "x", 2.5, b"3"])
def test_limits_that_are_none(db: libsql_core.Connection, limit: object) -> None:
    for value in ("on", "off"):
        db.execute(f"pragma libsql_vector_order = {value}")
        with pytest.raises(libsql_core.IntegrityError, match="datatype mismatch"):
            db.execute(f"select id from t order by {COS} limit ?", (limit,)).fetchall()


def test_query_as_a_parameter(db: libsql_core.Connection) -> None:
    sql = "select id, vector_distance_cos(v, :x) from t order by vector_distance_cos(v, :x) limit :k"
    for x in (np.ones(4, "f4"), np.ones(4, "f4").tobytes(), "[1, 1, 1, 1]"):
        found = db.execute(sql, {"x": x, "k": 5}).fetchall()
        ids, _ = vector.search(db, "t", "v", np.ones(4, "f4"), 5)
        assert [row[0] for row in found] == ids.tolist()
    with pytest.raises(libsql_core.OperationalError, match="dimensions are different: 1 != 4"):
        db.execute(sql, {"x": "[1]", "k": 5}).fetchall()


def test_null_is_an_error_without_the_index_alone(db: libsql_core.Connection) -> None:
    sql = f"select id from t order by {COS} limit 5"
    expected = both(db, sql)
    db.execute("insert into t(id) values(1)")
    assert db.execute(sql).fetchall() == expected
    assert both(db, f"select id from t where v is not null order by {COS} limit 5") == expected
    db.execute("pragma libsql_vector_order = off")
    with pytest.raises(libsql_core.OperationalError, match="got NULL"):
        db.execute(sql).fetchall()


def test_rows_without_a_distance(db: libsql_core.Connection) -> None:
    """They are first in an ascending sort, but not near: only NULLS LAST is the same with and without the index."""
    plain, last = (f"select id from t order by {COS} {nulls} limit 5" for nulls in ("", "nulls last"))
    expected = both(db, plain)
    db.execute("insert into t(id, v) values(1, vector32('[0,0,0,0]'))")
    assert both(db, last) == db.execute(plain).fetchall() == expected
    db.execute("pragma libsql_vector_order = off")
    assert db.execute(plain).fetchone() == (1,)


def test_metrics(db: libsql_core.Connection) -> None:
    db.execute("create index by_l2 on t(libsql_vector_idx(v, 'metric=l2', 'METRIC=cos', 'metric=L'))")
    for metric, other in (("cos", "l2"), ("l2", "cos")):
        sql = f"select id from t order by vector_distance_{metric}(v, {X}) limit 9"
        assert uses(db, sql) == 1
        both(db, sql)
        db.execute(f"drop index by_{metric}")
        assert uses(db, sql) == 0
        both(db, sql)
        assert uses(db, f"select id from t order by vector_distance_{other}(v, {X}) limit 9") == (metric == "cos")


def test_compact(db: libsql_core.Connection) -> None:
    db.execute("drop index by_cos")
    db.execute("create index small on t(libsql_vector_idx(v, 'type=compact', 'metric=l2'))")
    sql = f"select id from t order by vector_distance_l2(v, {X}) limit 9"
    assert uses(db, sql) == 1
    both(db, sql)


def test_bits(db: libsql_core.Connection) -> None:
    db.execute("create table bit(id integer primary key, v f1bit_blob(4))")
    db.execute("insert into bit select id, vector1bit(v) from t")
    db.execute("create index by_sign on bit(libsql_vector_idx(v))")
    sql = f"select id from bit order by vector_distance_cos(v, vector1bit({X})) limit 50"
    assert uses(db, sql) == 1
    both(db, sql)
    assert uses(db, sql.replace("cos", "l2")) == 0


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("id integer primary key, year int, v f32_blob(4))", "rowid=?"),
        ("id int, year int, v f32_blob(4), rowid, _rowid_, oid)", "rowid=?"),
        ("id text primary key, year int, v f32_blob(4))", "rowid=?"),
        ("id int primary key, year int, v f32_blob(4)) without rowid", "id=?"),
        ("id text collate nocase primary key, year int, v f32_blob(4)) without rowid", "id=?"),
        ("year int, id primary key, v f32_blob(4)) without rowid", "id=?"),
        ("id integer primary key, year int, x blob, v f32_blob(4) as (x) virtual)", "rowid=?"),
    ],
)
def test_kinds_of_tables(db: libsql_core.Connection, table: str, key: str) -> None:
    db.execute(f"create table kind({table}")
    if " as (" in table:
        db.execute("insert into kind(id, year, x) select id, year, v from t")
    else:
        fill(db, "kind", 2)
    db.execute("create index by_kind on kind(libsql_vector_idx(v))")
    sql = f"select id, year from kind order by {COS} limit 11 offset 2"
    found = plan(db, sql)
    assert "vector_top_k" in found
    assert key in found
    both(db, sql)


def test_partial_indexes(db: libsql_core.Connection) -> None:
    db.execute("drop index by_cos")
    db.execute("create index late on t(libsql_vector_idx(v)) where year > 2010 and v is not null")
    for where, expected in [
        ("", 0),
        ("where v is not null", 0),
        ("where year > 2010", 1),
        ("where v is not null and t.year > 2010", 1),
        ("where year > 2010 and year > 2010", 1),
        ("where year > 2011", 0),
        ("where year > ?1", 0),
        ("where year > 2010 and id > 5", 0),
        ("where year > 2010 or id > 5", 0),
    ]:
        sql = f"select id from t {where} order by {COS} limit 9"
        parameters = [2010] if "?" in where else []
        assert uses(db, sql, *parameters) == expected, where
        both(db, sql, parameters)
    db.execute("create index same on t(libsql_vector_idx(v)) where v is not null")
    assert uses(db, f"select id from t order by {COS} limit 9") == 1
    both(db, f"select id from t order by {COS} limit 9")


def test_other_schemas(db: libsql_core.Connection, tmp_path: Path) -> None:
    db.execute('attach ? as "other one"', (str(tmp_path / "other.db"),))
    db.execute('attach ? as "dotted.name"', (str(tmp_path / "dotted.db"),))
    for schema, expected in (("temp", 1), ('"other one"', 1), ('"dotted.name"', 0)):
        db.execute(f"create table {schema}.far(id integer primary key, year, v f32_blob(4))")
        fill(db, f"{schema}.far", 3)
        db.execute(f"create index {schema}.by_cos on far(libsql_vector_idx(v))")
        sql = f"select id from {schema}.far order by {COS} limit 9"
        assert uses(db, sql) == expected
        assert both(db, sql) != both(db, f"select id from t order by {COS} limit 9")


def test_views_and_triggers(db: libsql_core.Connection) -> None:
    db.executescript(f"""
        create view near as select id, year from t order by {COS} limit 6;
        create table seen(id);
        create trigger on_year after update of year on t begin
            insert into seen select id from t order by {COS} limit 3;
            delete from seen where id = (select id from t order by {COS} limit 1);
        end;
    """)
    assert uses(db, "select * from near") == 1
    expected = both(db, "select id from near")
    both(db, "select near.id, b.id from near join near as b on b.id > near.id")
    db.execute("update t set year = 1 where id in (0, 3)")
    # A sub-statement reads the index twice for each of two rows, and what it deletes was the nearest.
    assert db.execute("select id from seen").fetchall() == [expected[1], expected[2]] * 2
    text = db.execute("select sql from sqlite_schema where name = 'near'").fetchone()
    db.execute("alter table t rename column u to uu")
    assert db.execute("select sql from sqlite_schema where name = 'near'").fetchone() == text
    db.execute("alter table t rename to t2")
    assert db.execute("select id from near").fetchall() == expected


def test_statements_that_change_rows(db: libsql_core.Connection) -> None:
    nearest = both(db, f"select id from t order by {COS} limit 6")
    db.execute(f"create table copy as select id from t order by {COS} limit 6")
    assert db.execute("select id from copy").fetchall() == nearest
    db.execute(f"delete from t where id in (select id from t order by {COS} limit 2)")
    assert both(db, f"select id from t order by {COS} limit 4") == nearest[2:]
    db.execute(f"update t set v = null from (select id as near from t order by {COS} limit 1) where id = near")
    assert db.execute(f"select id from t order by {COS} limit 3").fetchall() == nearest[3:]
    db.execute(f"delete from t order by {COS} limit 1")
    assert db.execute(f"select id from t order by {COS} limit 2").fetchall() == nearest[4:]


def test_statements_are_prepared_again(db: libsql_core.Connection) -> None:
    sql = "select id from t order by vector_distance_cos(v, ?) limit ?"
    cursor = db.cursor()
    expected = cursor.execute(sql, ("[1,2,3,4]", 5)).fetchall()
    read = [cursor.rows_read]
    for change in ("drop index by_cos", "create index by_cos on t(libsql_vector_idx(v))", "reindex by_cos"):
        db.execute(change)
        assert cursor.execute(sql, ("[1,2,3,4]", 5)).fetchall() == expected
        read.append(cursor.rows_read)
    assert [n >= N for n in read] == [False, True, False, False]


def test_a_statement_that_runs_goes_on(db: libsql_core.Connection) -> None:
    farther = f"select count(*) from t b where b.id > t.id and b.year + {COS} > 0"
    first = db.execute(f"select id, ({farther}) from t where id < 60")
    assert first.fetchone() is not None
    db.execute("pragma libsql_vector_order = off")
    assert len(first.fetchall()) == 19  # each row opens the table once more


def test_authorizer(db: libsql_core.Connection) -> None:
    sql = f"select id from t where v is not null order by {COS} limit 5"
    expected = both(db, sql)
    asked: list[tuple[Any, ...]] = []

    def allow(action: int, *names: str | None) -> int:
        asked.append((action, *names[:2]))
        known = action in (libsql_core.SQLITE_SELECT, libsql_core.SQLITE_FUNCTION) or names[0] == "t"
        return libsql_core.SQLITE_OK if known else libsql_core.SQLITE_DENY

    db.set_authorizer(allow)
    assert db.execute(sql + " -- again").fetchall() == expected
    assert not [names for names in asked if "vector_top_k" in names]
    assert (libsql_core.SQLITE_READ, "t", "v") in asked
    # What it refuses stays refused, also behind the statement's own work.
    with pytest.raises(libsql_core.DatabaseError, match="prohibited"):
        db.execute("select id from vector_top_k('by_cos', '[1,2,3,4]', 3)")
    db.set_authorizer(None)


def test_transactions(db: libsql_core.Connection) -> None:
    sql = f"select id from t order by {COS} limit 5"
    before = both(db, sql)
    db.execute("begin")
    db.execute(f"insert into t(id, v) values(1, {X})")
    assert both(db, sql) == [(1,), *before[:4]]
    db.execute("rollback")
    assert both(db, sql) == before


def test_an_index_that_is_damaged_is_an_error(db: libsql_core.Connection) -> None:
    db.execute("delete from libsql_vector_meta_shadow")
    with pytest.raises(libsql_core.OperationalError, match="failed to parse vector index parameters"):
        db.execute(f"select id from t order by {COS} limit 5").fetchall()
    assert len(db.execute(f"select id from t not indexed order by {COS} limit 5").fetchall()) == 5


def test_many_rows(db: libsql_core.Connection) -> None:
    """The graph is walked: nearly the same rows, and those in the order of their exact distances."""
    dice = np.random.default_rng(4)
    db.execute("create table many(id integer primary key, v f32_blob(24))")
    vector.insert_many(db, "many", range(4000), dice.normal(size=(4000, 24)).astype("f4"))
    db.execute("create index by_many on many(libsql_vector_idx(v))")
    sql = "select id, vector_distance_cos(v, ?1) from many order by 2 limit 10"
    found = 0
    for query in dice.normal(size=(50, 24)).astype("f4"):
        cursor = db.execute(sql, (query,))
        rows = cursor.fetchall()
        assert cursor.rows_read < 100
        assert rows == sorted(rows, key=lambda row: row[1])
        ids, _ = vector.search(db, "many", "v", query, 10)
        found += len({row[0] for row in rows} & set(ids.tolist()))
    assert found >= 490


@pytest.mark.parametrize("seed", range(8))
def test_random_statements(db: libsql_core.Connection, seed: int) -> None:
    dice = random.Random(seed)
    db.execute("create index by_l2 on t(libsql_vector_idx(v, 'metric=l2'))")
    db.execute("create index late on t(libsql_vector_idx(v)) where year > 2010")
    used = 0
    for _ in range(120):
        name = dice.choice(["t", "a"])
        vectors = [dice.choice(["v", f"{name}.v"]), dice.choice([":x", "vector32(:x)", "vector_scale(:x, 2)", "v"])]
        dice.shuffle(vectors)
        distance = f"vector_distance_{dice.choice(['cos', 'l2'])}({', '.join(vectors)})"
        column, order = dice.choice([("year", distance), (f"{distance} as far", "far"), (distance, "2")])
        order += dice.choice(["", "", " asc", " desc", " nulls last"]) + dice.choice(["", f", {name}.id"])
        where = dice.choice(["", "", "where v is not null", "where year > 2010", "where id % 2", "where id > 1e9"])
        limit = dice.choice([":k", ":k offset :o", "7", "5 offset 3", ":k offset 4", ":k + 0"])
        inner = f"select {name}.id, {column} from t as {name} {where} order by {order} limit {limit}"
        outer = [inner, inner, f"select * from ({inner})", f"select id, (select count(*) from ({inner})) from t"]
        sql = dice.choice(outer)
        x = str([dice.gauss(0, 1) for _ in range(4)])
        values = {"x": x, "k": dice.randint(-2, 30), "o": dice.randint(-2, 10)}
        found = db.execute(f"explain query plan {sql}", values).fetchall()
        used += any("vector_top_k" in row[3] for row in found)
        both(db, sql, values)
        if dice.random() < 0.3:
            db.execute(f"delete from t where id = {dice.randrange(N) * 3}")
    assert used > 15
