"""CREATE TABLE ... RANDOM ROWID: how it is written and refused, and the properties of what is drawn."""

R = "create table r(v) random rowid"
TEN = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10) "
# The chance that one of ten drawn numbers is under a million is about 2e-12.
DRAWN = "select count(*), count(distinct rowid), min(rowid) > 1000000, max(rowid) <= 1 << 62 from r"
UNORDERED = "select count(*) > 0 from r a, r b where a.v < b.v and a.rowid > b.rowid"

GRAMMAR = {
    f"create {text}": [f"create {text}", "insert into r default values", "select rowid > 1000000 from r"]
    for text in (
        "table r(id) random rowid",
        "table r(id) RANDOM ROWID",
        "table r(id)random rowid",
        "table r(id) random /* and */\n rowid -- done",
        "table r(id, primary key(id)) random rowid",
        "table r(id) random rowid;",
        "table if not exists r(id) random rowid",
        "temp table r(id) random rowid",
        "table temp.r(id) random rowid",
        "table r(id int) random rowid, strict",
        "table r(id int) strict, random rowid",
        "table r(id int) strict, RANDOM ROWID, strict, random rowid",
        "table r(id) random rowid, random rowid",
        "table r(id, v as (id) stored) random rowid",
        "table r(id integer primary key) random rowid",
        "table r(id int primary key) random rowid",
        "table r(id, random) random rowid",
        "table random(random) random rowid",
        # What is refused.
        "table r(id) RANDOM ROW_ID",
        'table r(id) random "rowid"',
        "table r(id) random [rowid]",
        "table r(id) 'random' rowid",
        'table r(id) "random" rowid',
        "table r(id) RANDO ROWID",
        "table r(id) rowid",
        "table r(id) RANDOM",
        "table r(id) random random rowid",
        "table r(id) random rowid rowid",
        "table r(id) random, rowid",
        "table r(id) random rowid,",
        "table r(id) random rowid, foo",
        "table r(id) RANDOM ROWID WITHOUT ROWID",
        "table r4(id) RANDOM ROWID, WITHOUT ROWID",
        "table r(id) without rowid, random rowid",
        "table r(id primary key) RANDOM ROWID, WITHOUT ROWID",
        "table r(id primary key) without rowid, random rowid",
        "table r(id integer primary key autoincrement) RANDOM ROWID",
        "table g(a, b) random rowid, strict",
        "table r random rowid",
        "table r as select 1 a random rowid",
        "table r random rowid as select 1 a",
        "view w as select 1 a random rowid",
        "virtual table f using fts5(a) random rowid",
        "index j on r(v) random rowid",
    )
}

DRAWING = {
    "one at a time": [R, *["insert into r values (1)"] * 10, DRAWN],
    "rows of a list": [R, "insert into r values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)", DRAWN, UNORDERED],
    "rows of a query": [R, f"insert into r {TEN} select i from n", DRAWN, UNORDERED],
    "rows of another table": [
        R,
        "create table s(v)",
        f"insert into s {TEN} select i from n",
        "insert into r select * from s",
        DRAWN,
    ],
    "default values": [R, "insert into r default values", "insert into r default values", DRAWN],
    "in a trigger": [
        R,
        "create table s(v)",
        "create trigger g after insert on s begin insert into r values (new.v); end",
        "insert into s values (1), (2), (3)",
        DRAWN,
        "select rowid from s",
    ],
    "into a temporary table": ["create temp table r(v) random rowid", f"insert into r {TEN} select i from n", DRAWN],
    "null as rowid": [R, "insert into r(rowid, v) values (null, 1), (null, 2)", DRAWN],
    "null as integer primary key": [
        "create table r(id integer primary key, v) random rowid",
        "insert into r values (null, 1), (null, 2)",
        "insert into r(v) values (3)",
        "select count(*), min(id) > 1000000, count(distinct id), sum(id = rowid) from r",
    ],
    "rowid given": [
        R,
        "insert into r(rowid, v) values (5, 1), (-3, 2), (0, 3)",
        "insert into r(oid, v) values (9223372036854775807, 4)",
        "insert into r(_rowid_, v) values ('7', 5)",
        "select rowid, v from r order by rowid",
        "insert into r(v) values (6)",
        "select rowid > 1000000 and rowid <= 1 << 62 from r where v = 6",
    ],
    "integer primary key given": [
        "create table r(id integer primary key, v) random rowid",
        "insert into r values (5, 1), (-3, 2)",
        "insert into r values (5, 3)",
        "select rowid, * from r order by rowid",
    ],
    "rowid of another type": [
        R,
        "insert into r(rowid, v) values ('x', 1)",
        "insert into r(rowid, v) values (1.5, 1)",
        "insert into r(rowid, v) values (x'00', 1)",
        "insert into r(rowid, v) values (2.0, 1)",
        "select rowid from r",
    ],
    "rowid taken": [R, "insert into r(rowid, v) values (5, 1)", "insert into r(rowid, v) values (5, 2)"],
    "rowid updated": [
        R,
        "insert into r values (1)",
        "update r set rowid = 42",
        "select rowid from r",
        "update r set rowid = null",
        "select rowid, v from r",
    ],
    "last_insert_rowid": [R, "insert into r values (1)", "select last_insert_rowid() = rowid, rowid > 1000000 from r"],
    "RETURNING": [R, "insert into r values (1), (2) returning v, rowid > 1000000", DRAWN],
    "upsert": [
        "create table r(k unique, v) random rowid",
        "insert into r values ('a', 1)",
        "create temp table before as select rowid id from r",
        "insert into r values ('a', 2) on conflict(k) do update set v = excluded.v returning k, v",
        "insert into r values ('a', 3) on conflict do nothing returning k",
        "select k, v, r.rowid = id from r, before",
    ],
    "REPLACE": [
        "create table r(k unique, v) random rowid",
        "insert into r values ('a', 1)",
        "create temp table before as select rowid id from r",
        "replace into r values ('a', 2)",
        "select k, v, r.rowid <> id, r.rowid > 1000000 from r, before",
    ],
    "INSERT OR IGNORE": [
        "create table r(k unique) random rowid",
        "insert or ignore into r values ('a'), ('a'), ('b')",
        DRAWN,
    ],
    "view of a trigger": [
        R,
        "create view w as select v from r",
        "create trigger g instead of insert on w begin insert into r values (new.v); end",
        "insert into w values (1), (2)",
        DRAWN,
    ],
    "STRICT": [
        "create table r(v int) random rowid, strict",
        "insert into r values ('x')",
        "insert into r values (1), (2)",
        DRAWN,
    ],
    "index": [
        R,
        "create index j on r(v)",
        f"insert into r {TEN} select i from n",
        DRAWN,
        "select v from r where v between 3 and 5 order by v",
    ],
    "blob of a row": [R, "insert into r values (x'0102')", "select v, rowid > 1000000 from r"],
    "ordinary table beside it": [R, "create table s(v)", "insert into s values (1), (2)", "select rowid, v from s"],
    "autoincrement beside it": [
        R,
        "create table s(a integer primary key autoincrement, v)",
        "insert into r values (1)",
        "insert into s(v) values (1), (2)",
        "insert into r values (2)",
        "select * from s",
        "select * from sqlite_sequence",
        DRAWN,
    ],
    "same statement for many": [R, "begin", *["insert into r values (1)"] * 3, "commit", DRAWN],
}

ALTERED = {
    "RENAME TO": [R, "alter table r rename to q", "alter table q rename to r", "insert into r values (1), (2)", DRAWN],
    "ADD COLUMN": [R, "alter table r add column w default 5", "insert into r(v) values (1), (2)", DRAWN],
    "RENAME COLUMN": [R, "alter table r rename column v to w", "insert into r values (1), (2)", DRAWN],
    "DROP COLUMN": [
        "create table r(v, w) random rowid",
        "insert into r values (1, 2)",
        "alter table r drop column w",
        "insert into r values (3)",
        DRAWN,
    ],
    "ALTER COLUMN": [R, "alter table r alter column v to v int not null", "insert into r values ('1'), (2)", DRAWN],
    "column to autoincrement": [
        "create table r(id integer primary key) random rowid",
        "alter table r alter column id to id integer primary key autoincrement",
    ],
}

WHOLE = {
    "VACUUM": [
        R,
        f"insert into r {TEN} select i from n",
        "create temp table before as select rowid id from r",
        "vacuum",
        "select count(*) from r, before where r.rowid = id",
        DRAWN,
    ],
    "VACUUM with an index": [
        R,
        "create index j on r(v)",
        f"insert into r {TEN} select i from n",
        "create temp table before as select rowid id from r",
        "vacuum",
        "select count(*) from r, before where r.rowid = id",
        DRAWN,
    ],
    "VACUUM INTO": [
        R,
        f"insert into r {TEN} select i from n",
        "vacuum into 'other.db'",
        "attach 'other.db' as x",
        "select count(*) from main.r a, x.r b where a.rowid = b.rowid and a.v = b.v",
        "insert into x.r values (11)",
        "select rowid > 1000000 from x.r where v = 11",
        "pragma x.integrity_check",
    ],
    "copy to an ordinary table": [
        R,
        "create table s(v)",
        f"insert into r {TEN} select i from n",
        "insert into s select * from r order by v",
        "select rowid, v from s where rowid < 3",
    ],
    "copy from a table of its kind": [
        R,
        "create table q(v) random rowid",
        f"insert into q {TEN} select i from n",
        "insert into r select * from q",
        "select count(*) from q, r where q.rowid = r.rowid",
        DRAWN,
    ],
    "rolled back": [R, "begin", "insert into r values (1)", "rollback", "insert into r values (2)", DRAWN],
    "creation rolled back": [
        "begin",
        R,
        "rollback",
        "create table r(v)",
        "insert into r values (1)",
        "select rowid from r",
    ],
    "dropped and created": [
        R,
        "drop table r",
        "create table r(v)",
        "insert into r values (1)",
        "select rowid from r",
    ],
    "table_list": [R, "pragma table_list(r)"],
    "schema read again": [
        "attach 'other.db' as x",
        "create table x.r(v) random rowid",
        "detach x",
        "attach 'other.db' as x",
        f"insert into x.r {TEN} select i from n",
        DRAWN,
    ],
}

CASES = {
    f"{group}: {name}": steps
    for group, cases in {"grammar": GRAMMAR, "drawing": DRAWING, "altered": ALTERED, "whole": WHOLE}.items()
    for name, steps in cases.items()
}
