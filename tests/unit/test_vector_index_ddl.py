"""What SQL does to a vector index besides searching it, where libSQL does otherwise or shows nothing.

Messages and what both have in common: tests/conformance/cases_vector_ddl.py.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import Connection

TABLE = "create table t(id integer primary key, v f32_blob(3), w)"
INDEX = "create index i on t(libsql_vector_idx(v))"
META = "libsql_vector_meta_shadow"
TAGS = {1: "version", 3: "type", 4: "dims", 5: "metric", 6: "block", 8: "insert", 9: "search", 10: "max", 11: "edges"}


def rows(con: Connection, sql: str, *values: object) -> list[tuple[Any, ...]]:
    return con.execute(sql, values).fetchall()


def names(con: Connection, schema: str = "main") -> list[str]:
    return sorted(name for (name,) in rows(con, f"select name from {schema}.sqlite_schema where name <> ?", META))


def keys(con: Connection, index: str = "i") -> list[Any]:
    return [key for (key,) in rows(con, f"select index_key from {index}_shadow order by 1")]


def metadata(con: Connection, index: str = "i") -> dict[str, int]:
    ((blob,),) = rows(con, f"select metadata from {META} where name = ?", index)
    entries = {blob[at]: struct.unpack("<Q", blob[at + 1 : at + 9])[0] for at in range(0, len(blob) - 8, 9)}
    return {name: entries[tag] for tag, name in TAGS.items() if tag in entries}


def sound(con: Connection, index: str = "i") -> None:
    assert rows(con, "pragma integrity_check") == [("ok",)]
    assert rows(con, "select * from vector_index_check(?)", index) == []


@pytest.fixture
def con() -> Iterator[Connection]:
    made = libsql_core.connect(":memory:", isolation_level=None)
    made.execute(TABLE)
    made.execute("insert into t values (1, vector('[1,2,3]'), 'a'), (2, '[3,2,1]', 'b'), (3, null, 'c')")
    yield made
    made.close()


# Work is done when statements run, in their transactions.


@pytest.mark.parametrize("explain", ["explain", "explain query plan"])
def test_explain_has_no_effect(con: Connection, explain: str) -> None:
    con.execute(f"{explain} {INDEX}").fetchall()
    assert names(con) == ["t"]
    con.execute(INDEX)
    before = keys(con), metadata(con), names(con)
    for statement in ("drop index i", "drop table t", "reindex i", "delete from t", "vacuum"):
        con.execute(f"{explain} {statement}").fetchall()
    assert (
        (keys(con), metadata(con), names(con)) == before == ([1, 2], before[1], ["i", "i_shadow", "i_shadow_idx", "t"])
    )


@pytest.mark.parametrize("begin", ["", "begin", "begin; savepoint s"])
def test_failed_create_leaves_nothing(con: Connection, begin: str) -> None:
    con.executescript(begin)
    con.execute("insert into t values (4, '[1,2]', 'd')")
    with pytest.raises(libsql_core.OperationalError, match="dimensions are different: 2 != 3"):
        con.execute(INDEX)
    assert names(con) == ["t"]
    assert rows(con, "select count(*) from sqlite_schema") == [(1,)]
    con.execute("create table i_shadow(a)")  # the schema in memory knows, too
    con.execute("drop table i_shadow")
    con.execute("delete from t where id = 4")
    con.execute(INDEX)
    assert keys(con) == [1, 2]  # made anew, not what the failure left
    if begin:
        con.execute("commit")
    sound(con)


def test_rolled_back(con: Connection) -> None:
    con.execute("begin")
    con.execute(INDEX)
    con.execute("rollback")
    assert names(con) == ["t"]
    con.execute(INDEX)
    for undone in ("drop index i", "drop table t", "delete from t", "reindex"):
        con.executescript(f"begin; savepoint s; {undone}; rollback to s; insert into t(v) values ('[1,1,1]'); commit")
    assert keys(con) == [1, 2, 4, 5, 6, 7]
    assert rows(con, "select id from vector_top_k('i', '[3,2,1]', 1)") == [(2,)]
    sound(con)


@pytest.mark.parametrize("begin", ["", "begin"])
def test_a_failing_row_undoes_its_statement(con: Connection, begin: str) -> None:
    con.executescript(f"{INDEX}; create index j on t(libsql_vector_idx(v, 'metric=l2')) where w <> 'a'; {begin}")
    before = keys(con), keys(con, "j"), rows(con, "select * from t")
    for statement in (
        "insert into t values (8, '[1,2,3]', 'd'), (9, 'x', 'd')",
        "insert or ignore into t values (8, '[1,2,3]', 'd'), (9, 'x', 'd')",
        "update t set v = case id when 1 then vector('[5,5,5]') else 5 end",
        "replace into t values (1, '[7,7,7]', 'd'), (2, '[1]', 'e')",
        "insert into t values (1, '[7,7,7]', 'd'), (2, '[1]', 'e') on conflict do update set v = excluded.v",
    ):
        with pytest.raises(libsql_core.OperationalError, match="vector"):
            con.execute(statement)
        assert (keys(con), keys(con, "j"), rows(con, "select * from t")) == before
    assert con.in_transaction is bool(begin)
    if begin:
        con.execute("commit")
    sound(con)
    sound(con, "j")


@pytest.mark.parametrize("key", ["id integer primary key", "id text primary key"])
def test_counters_are_those_of_a_table_without_index(key: str) -> None:
    statements = [
        "insert into t values (1, '[1,2,3]', 1), (2, '[1,2,4]', 1), (3, null, 1)",
        "update t set v = '[5,5,5]' where id = 1",
        "update t set v = null where id = 2",
        "update t set w = 9",
        "replace into t values (1, '[9,9,9]', 1)",
        "insert into t values (7, '[1,2,3]', 1), (8, '[1,2,4]', 1), (9, '[1,3,4]', 1)",
        "delete from t where id > 7",
        "reindex",
        "delete from t",
        "insert into t select 5, '[1,2,3]', 2",
        "drop index i",
    ]
    seen: list[list[tuple[Any, ...]]] = []
    for index in ("create index i on t(v)", INDEX):
        con = libsql_core.connect(":memory:", isolation_level=None)
        con.execute(f"create table t({key}, v f32_blob(3), w)" + (" without rowid" if "text" in key else ""))
        counters: list[tuple[Any, ...]] = []
        for statement in ["insert into t values (6, '[1,1,1]', 0)", index, *statements]:
            con.execute(statement)
            ((last, changes, total),) = rows(con, "select last_insert_rowid(), changes(), total_changes()")
            counters.append((last, changes, total, con.total_changes))
        seen.append(counters)
        con.close()
    assert seen[0] == seen[1]


def test_nobody_hears_of_inner_statements(con: Connection) -> None:
    heard: list[str] = []
    asked: set[int] = set()

    def authorize(action: int, *_: object) -> int:
        asked.add(action)
        inner = (libsql_core.SQLITE_CREATE_TABLE, libsql_core.SQLITE_DROP_TABLE)
        return libsql_core.SQLITE_DENY if action in inner else libsql_core.SQLITE_OK

    con.set_trace_callback(heard.append)
    con.set_authorizer(authorize)
    for statement in (INDEX, "insert into t values (4, '[1,2,3]', 'd')", "reindex i", "delete from t", "drop index i"):
        heard.clear()
        con.execute(statement)
        assert heard == [statement]
    assert libsql_core.SQLITE_CREATE_INDEX in asked
    con.set_authorizer(None)
    con.set_trace_callback(None)
    assert names(con) == ["t"]


def test_shadow_triggers_of_the_user_do_not_stop_a_drop(con: Connection) -> None:
    con.execute(INDEX)
    con.execute("create trigger g before delete on i_shadow begin select raise(abort, 'no'); end")
    con.execute("drop index i")
    assert names(con) == ["t"]


# What is made.


@pytest.mark.parametrize("dims", [16, 64, 100, 128, 256, 384, 768, 1024, 1536, 3072])
@pytest.mark.parametrize("page", [1024, 4096, 65536])
def test_default_size(dims: int, page: int) -> None:
    con = libsql_core.connect(":memory:", isolation_level=None)
    con.execute(f"pragma page_size = {page}")
    con.execute(f"create table t(id integer primary key, v f32_blob({dims}))")
    con.execute(INDEX)
    found = metadata(con)
    edge = (dims + 3) // 4 * 4 + 8 + 16
    neighbours = (found["block"] - 16 - 4 * dims) // edge
    usual = min(3 * (int(dims**0.5) + 1), 50 * (4 * dims + 16) // edge + 1)
    assert found == {"version": 3, "type": 1, "dims": dims, "metric": 1, "edges": 4, "block": found["block"]}
    assert min(24, usual) <= neighbours <= max(usual, (256 - 16 - 4 * dims) // edge)
    n = 300 if page < 65536 else 3000
    con.execute(
        "with recursive n(i) as (values(1) union all select i + 1 from n where i < ?)"
        " insert into i_shadow select i, zeroblob(?) from n",
        (n, found["block"]),
    )
    con.execute("create table same(id integer primary key, v)")  # as large as t with so many rows
    con.execute("insert into same select index_key, zeroblob(?) from i_shadow", (4 * dims,))
    ((pages,),) = rows(con, "select count(*) from dbstat('main') where name in ('same', 'i_shadow')")
    if neighbours > min(24, usual) and dims >= 100:
        assert pages * page / n <= 12 * 4 * dims + page / n * 6
    con.close()


@pytest.mark.parametrize(
    ("column", "arguments", "expected"),
    [
        ("f64_blob(100)", "", {"type": 2, "edges": 4}),
        ("f16_blob(100)", "", {"type": 5, "edges": 4}),
        ("fb16_blob(100)", "", {"type": 6, "edges": 4}),
        ("f8_blob(100)", "", {"type": 4, "block": 16 + 108 + 33 * 124}),
        ("float1bit(100)", "", {"type": 3, "block": 16 + 13 + 33 * 29}),
        ("float1bit(100)", ", 'metric=l2'", {"metric": 2}),
        ("f32_blob(100)", ", 'max_neighbors=9'", {"edges": 4, "max": 9, "block": 16 + 400 + 9 * 124}),
        ("f32_blob(100)", ", 'compress_neighbors=float32'", {"edges": 1, "block": 16 + 400 + 33 * 416}),
        ("f32_blob(100)", ", 'insert_l=5', 'search_l=6'", {"insert": 5, "search": 6}),
        ("f32_blob(100)", ", 'metric=l2', 'metric=cos', 'metric=l2'", {"metric": 2}),
        ("f32_blob(100)", "".join(f", 'max_neighbors={n}'" for n in range(1, 30)), {"max": 29}),
        ("f32_blob(1)", "", {"block": 256}),
    ],
)
def test_metadata(column: str, arguments: str, expected: dict[str, int]) -> None:
    con = libsql_core.connect(":memory:", isolation_level=None)
    con.execute(f"create table t(id integer primary key, v {column})")
    con.execute(f"create index i on t(libsql_vector_idx(v{arguments}))")
    found = metadata(con)
    assert {name: found.get(name) for name in expected} == expected
    assert ("insert" in found, "search" in found) == ("insert" in expected, "search" in expected)
    con.close()


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("libsql_vector_idx()", "vector idnex: libsql_vector_idx must contain at least one argument"),
        ("libsql_vector_idx(v, 'max_neighbors=65536')", "vector index: unable to initialize diskann"),
    ],
)
def test_refused_where_libsql_crashes_or_overflows(con: Connection, term: str, message: str) -> None:
    with pytest.raises(libsql_core.OperationalError) as caught:
        con.execute(f"create index i on t({term})")
    assert str(caught.value) == message


def test_unique_is_refused(con: Connection) -> None:
    with pytest.raises(libsql_core.OperationalError, match=r"^vector index: UNIQUE is not supported$"):
        con.execute(INDEX.replace("index", "unique index", 1))
    assert names(con) == ["t"]


# What comes later.


@pytest.mark.parametrize("statement", ["delete from t", "delete from t where 1"])
def test_delete_of_all_rows(con: Connection, statement: str) -> None:
    con.execute(INDEX)
    assert con.execute(statement).rowcount == 3
    assert keys(con) == []
    assert rows(con, "select id from vector_top_k('i', '[1,2,3]', 5)") == []
    con.execute("insert into t values (1, '[1,2,3]', 'a')")
    assert rows(con, "select id from vector_top_k('i', '[1,2,3]', 5)") == [(1,)]
    sound(con)


def test_an_update_that_changes_nothing_writes_nothing(con: Connection) -> None:
    con.execute(INDEX)
    con.execute("delete from i_shadow where index_key = 1")  # would come back
    con.execute("update t set v = v, w = 'x'")
    assert keys(con) == [2]
    con.execute("update t set v = vector('[1,2,4]') where id = 1")
    assert keys(con) == [1, 2]
    con.execute("update t set id = id + 10")
    assert keys(con) == [11, 12]


@pytest.mark.parametrize("auto_vacuum", [0, 1, 2])
@pytest.mark.parametrize("into", [False, True])
def test_vacuum(auto_vacuum: int, into: bool, tmp_path: Path) -> None:
    con = libsql_core.connect(tmp_path / "a.db", isolation_level=None)
    con.execute(f"pragma auto_vacuum = {auto_vacuum}")
    con.execute("create table t(v f32_blob(3))")  # rowids are not kept by VACUUM
    con.execute(INDEX)
    con.executemany("insert into t values (vector(?))", [(f"[{n},1,{n % 7}]",) for n in range(100)])
    con.execute("delete from t where rowid % 3 = 0")
    blocks = rows(con, "select * from i_shadow")
    found = rows(con, "select id from vector_top_k('i', '[50,1,1]', 5)")
    con.execute(f"vacuum into '{tmp_path / 'b.db'}'" if into else "vacuum")
    if into:
        con.close()
        con = libsql_core.connect(tmp_path / "b.db", isolation_level=None)
    assert rows(con, "select * from i_shadow") == blocks
    assert rows(con, f"select count(*) from {META}") == [(1,)]
    assert rows(con, "select rowid from t") == [(n,) for (n, _) in blocks]
    assert rows(con, "select id from vector_top_k('i', '[50,1,1]', 5)") == found
    con.execute("insert into t values ('[50,1,1]')")
    sound(con)
    con.close()


@pytest.mark.parametrize("auto_vacuum", [0, 1, 2])
def test_root_pages_that_move(auto_vacuum: int) -> None:
    con = libsql_core.connect(":memory:", isolation_level=None)
    con.execute(f"pragma auto_vacuum = {auto_vacuum}")
    for n in range(3):
        con.execute(f"create table t{n}(id integer primary key, v f32_blob(3), w unique)")
        for k in range(2):
            con.execute(f"create index i{n}{k} on t{n}(libsql_vector_idx(v))")
        con.execute(f"insert into t{n} values (1, '[1,2,3]', 1), (2, '[3,2,1]', 2)")
    left = {f"i{n}{k}" for n in range(3) for k in range(2)}
    for dropped in (["index i01", "i01"], ["table t0", "i00"], ["index i20", "i20"], ["table t1", "i10", "i11"]):
        con.execute(f"drop {dropped[0]}")
        left -= set(dropped)
        assert {name for name in names(con) if name[0] == "i" and "_" not in name} == left
        for index in left:
            assert rows(con, f"select id from vector_top_k('{index}', '[3,2,1]', 1)") == [(2,)]
            sound(con, index)
    con.execute("insert into t2 values (3, '[5,5,5]', 3)")
    sound(con, "i21")
    con.close()


def test_drop_of_a_parent_table(con: Connection) -> None:
    con.executescript(f"pragma foreign_keys = on; create table c(x references t); {INDEX}")
    con.execute("drop table t")
    assert names(con) == ["c"]


def test_same_name_in_two_schemas(con: Connection) -> None:
    con.execute("attach ':memory:' as x")
    for schema in ("x.", ""):
        con.execute(TABLE.replace(" t(", f" {schema}t(") if schema else "select 1")
        con.execute(INDEX.replace(" i ", f" {schema}i "))
    con.execute("insert into x.t values (9, '[9,9,9]', 'x')")
    assert (keys(con), keys(con, "x.i")) == ([1, 2], [9])
    con.execute("drop index x.i")
    assert names(con, "x") == ["t"]
    assert rows(con, f"select name from {META}") == [("i",)]
    con.execute("insert into t values (4, '[1,2,3]', 'd')")
    sound(con)


def test_planner(con: Connection) -> None:
    con.execute(INDEX)
    con.execute("create index j on t(w)")
    for query in (
        "select count(*) from t",
        "select id from t",
        "select max(id) from t",
        "select id from t where libsql_vector_idx(v) > x'00' order by libsql_vector_idx(v)",
        "select libsql_vector_idx(v) from t",
        "select id from t where v in (select v from t)",
        "delete from t where libsql_vector_idx(v) = x'00'",
    ):
        plan = rows(con, f"explain query plan {query}")
        assert not [text for *_, text in plan if " i" in text.replace("index j", "")], plan
    assert rows(con, "select count(*) from t indexed by i") == [(3,)]
    with pytest.raises(libsql_core.OperationalError, match=r"^no query solution$"):
        con.execute("select id from t indexed by i")


def test_analyze_and_optimize(con: Connection) -> None:
    con.execute(INDEX)
    con.execute("analyze")
    stat = "select tbl, idx, stat from sqlite_stat1 where tbl in ('t', 'i_shadow') order by 1"
    assert rows(con, stat) == [("i_shadow", "i_shadow_idx", "2 1"), ("t", None, "3")]
    con.execute("delete from sqlite_stat1 where tbl = 't'")
    assert rows(con, "pragma optimize(0x10001)") == []


def test_blob_of_an_indexed_column_is_not_opened_for_writing(con: Connection) -> None:
    con.execute(INDEX)
    with pytest.raises(libsql_core.OperationalError, match="cannot open indexed column for writing"):
        con.blobopen("t", "v", 1)


# Dumps.


def test_dump_is_taken_over(con: Connection) -> None:
    con.execute(INDEX.replace("(v)", "(v, 'max_neighbors=7')"))
    con.execute("delete from t where id = 1")
    con.execute("update i_shadow set data = cast(data || x'00' as blob)")  # to tell these blocks from others
    script = "\n".join(con.iterdump())
    other = libsql_core.connect(":memory:", isolation_level=None)
    other.executescript(script)
    assert rows(other, "select * from i_shadow") == rows(con, "select * from i_shadow")
    assert metadata(other) == metadata(con)
    assert names(other) == names(con)
    assert rows(other, "select id from vector_top_k('i', '[3,2,1]', 5)") == [(2,)]
    other.execute("insert into t values (1, '[1,2,3]', 'a')")
    sound(other)
    other.close()


def test_empty_shadow_is_not_taken_over(con: Connection) -> None:
    con.execute(INDEX)
    tables = [sql for (sql,) in rows(con, "select sql from sqlite_schema where name like '%shadow'")]
    ((left,),) = rows(con, f"select metadata from {META}")
    con.execute("drop index i")
    con.execute(f"drop table {META}")
    con.executescript(";".join(tables))
    con.execute(f"insert into {META} values ('i', ?)", (left[:-1],))
    con.execute(INDEX.replace("(v)", "(v, 'metric=l2')"))
    assert keys(con) == [1, 2]
    assert metadata(con)["metric"] == 2
    sound(con)


# Schemas that libSQL left.


def rewrite(con: Connection, name: str, old: str, new: str) -> None:
    """Edit the text of something in the schema."""
    con.execute("pragma writable_schema = on")
    con.execute("update sqlite_schema set sql = replace(sql, ?, ?) where name = ?", (old, new, name))
    con.execute("pragma writable_schema = reset")


@pytest.mark.parametrize("write", ["create index k on t(libsql_vector_idx(v))", "drop index j"])
def test_metadata_twice(con: Connection, write: str) -> None:
    """What libSQL's VACUUM leaves: the rows once more, of which the first counts."""
    con.execute(INDEX)
    con.execute(INDEX.replace(" i ", " j "))
    kept = rows(con, f"select name, metadata from {META}")
    con.execute(f"drop table {META}")
    con.execute(f"create table {META} ( name TEXT , metadata BLOB, primary key (name, metadata) ) WITHOUT ROWID")
    for name, blob in kept:
        con.executemany(f"insert into {META} values (?, ?)", [(name, blob), (name, blob[:1] + b"\xff" + blob[2:])])
    rewrite(con, META, "TEXT , metadata BLOB, primary key (name, metadata)", "TEXT PRIMARY KEY, metadata BLOB")
    assert rows(con, "pragma integrity_check") != [("ok",)]
    con.execute("insert into t values (4, '[4,4,4]', 'd')")
    assert rows(con, "select id from vector_top_k('i', '[1,1,1]', 1)") == [(4,)]
    con.execute(write)
    assert rows(con, "pragma integrity_check") == [("ok",)]
    assert rows(con, f"select * from {META} where name = 'i'") == kept[:1]
    assert rows(con, f"select name from {META}") == [(name,) for name in ("ijk" if "create" in write else "i")]
    sound(con)


def test_using(con: Connection) -> None:
    con.execute(INDEX)
    rewrite(con, "i", "on t(libsql_vector_idx(v))", "USING diskann_cosine_ops ON t(v)")
    con.execute("insert into t values (4, '[4,4,4]', 'd')")
    assert keys(con) == [1, 2, 4]
    assert rows(con, "select count(*) from t") == [(4,)]
    assert rows(con, "select id from t where v in (select v from t)") == [(1,), (2,), (4,)]
    con.executescript(
        "alter table t rename to u; alter table u rename v to vec; reindex; vacuum; delete from u where id = 1"
    )
    assert rows(con, "select sql from sqlite_schema where name = 'i'") == [
        ('CREATE INDEX i USING diskann_cosine_ops ON "u"(vec)',)
    ]
    assert keys(con) == [2, 4]
    assert rows(con, "select id from vector_top_k('i', '[3,2,1]', 1)") == [(2,)]
    sound(con)
    con.execute("drop index i")
    assert names(con) == ["u"]


def test_unique_in_a_schema_means_nothing(con: Connection) -> None:
    con.execute(INDEX)
    rewrite(con, "i", "CREATE INDEX", "CREATE UNIQUE INDEX")
    con.execute("insert into t values (4, '[1,2,3]', 'd')")
    con.execute("reindex")
    assert rows(con, "pragma index_list(t)") == [(0, "i", 0, "c", 0)]
    assert keys(con) == [1, 2, 4]
    sound(con)


@pytest.mark.parametrize("declared", ["BLOB", "F32_BLOB(0)"])
def test_schema_whose_column_is_no_vector(con: Connection, declared: str) -> None:
    con.execute(INDEX)
    rewrite(con, "t", "f32_blob(3)", declared)
    with pytest.raises(libsql_core.DatabaseError, match=r"malformed database schema \(i\) - vector index: ") as caught:
        con.execute("select * from t")
    assert str(caught.value).endswith(f": {declared}")


def test_alter_column_keeps_the_type_a_vector(con: Connection) -> None:
    con.execute(INDEX)
    with pytest.raises(libsql_core.OperationalError, match="unexpected vector column type: TEXT"):
        con.execute("alter table t alter column v to v text")
    con.execute("alter table t alter column v to v float32(3)")
    con.execute("insert into t values (4, '[1,2,3]', 'd')")
    sound(con)
