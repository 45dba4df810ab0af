"""The cases that `dbapi.py` measures.

A case is a function that gets an adapter, fills a database and returns a `Job`: the timed call, the
value it must give, and what has to happen untimed around it. Sizes are such that one run takes the
stdlib 20-150 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from dbapi_base import Adapter, Job, case, first

MIB = 1 << 20
WORDS = ("ash", "birch", "cedar", "elm", "fir", "hazel", "oak", "holly")


def text(i: int) -> str:
    return f"{WORDS[i % 8]} {WORDS[i // 8 % 8]} {i}"


def shape(rows: list[tuple[Any, ...]]) -> tuple[int, tuple[Any, ...], tuple[Any, ...]]:
    return len(rows), rows[0], rows[-1]


# --- writing ---------------------------------------------------------------------------------


def bulk(db: Adapter, rows: Callable[[], Iterable[Any]], count: int, last: tuple[Any, ...]) -> Job:
    """Empty the table untimed, then one executemany in one transaction."""
    con = db.memory(f"create table t({','.join(f'c{i}' for i in range(len(last)))})")
    sql = f"insert into t values({','.join('?' * len(last))})"
    begin, commit = db.begin(con), db.commit(con)

    def run() -> None:
        begin()
        con.executemany(sql, rows())
        commit()

    found = first(con, "select count(*), sum(c0), max(rowid), * from t")
    expect = (count, sum(range(count)), count, *last)
    return Job(run, expect, found, lambda: db.commit_after(con, "delete from t"))


@case("bulk insert, 3 columns", 50_000, "row")
def _(db: Adapter) -> Job:
    data = [(i, text(i), i * 0.5) for i in range(50_000)]
    return bulk(db, lambda: data, 50_000, data[-1])


@case("bulk insert, 10 columns", 25_000, "row")
def _(db: Adapter) -> Job:
    data = [(i, i + 1, i * 0.5, None, text(i), "x", b"blob", i, "name", 1.5) for i in range(25_000)]
    return bulk(db, lambda: data, 25_000, data[-1])


@case("executemany from a generator", 50_000, "row")
def _(db: Adapter) -> Job:
    return bulk(db, lambda: ((i, i * 2) for i in range(50_000)), 50_000, (49_999, 99_998))


@case("inserts one by one, one transaction", 30_000, "row")
def _(db: Adapter) -> Job:
    con = db.memory("create table t(a, b)")
    begin, execute, commit = db.begin(con), con.execute, db.commit(con)

    def run() -> None:
        begin()
        for i in range(30_000):
            execute("insert into t values(?, ?)", (i, "some text"))
        commit()

    found = first(con, "select count(*), sum(a) from t")
    expect = (30_000, sum(range(30_000)))
    return Job(run, expect, found, lambda: db.commit_after(con, "delete from t"))


def wal(db: Adapter, con: Any, name: str, begin: Any, commit: Any) -> Job:
    """Updates with a transaction each; checkpoints (which sync the disk) stay untimed."""
    con.execute("pragma journal_mode=wal").fetchall()
    con.execute("pragma synchronous=normal").fetchall()
    con.execute("pragma wal_autocheckpoint=0").fetchall()
    db.commit_after(con, f"create table {name}(id integer primary key, n)")
    db.insert(con, f"insert into {name} values(?, 0)", ((i,) for i in range(1000)))
    sql = f"update {name} set n = n + 1 where id = ?"

    def run() -> None:
        for i in range(3000):
            begin()
            con.execute(sql, (i % 1000,))
            commit()

    def ready() -> None:
        con.execute("pragma wal_checkpoint(truncate)").fetchall()
        db.commit_after(con, f"update {name} set n = 0")

    return Job(run, (3000,), first(con, f"select sum(n) from {name}"), ready)


@case("WAL file: update, commit()", 3000, "transaction")
def _(db: Adapter) -> Job:
    con = db.keep(db.connect(db.path("wal.db")))
    return wal(db, con, "explicit", db.begin(con), db.commit(con))


@case("WAL file: update, autocommit", 3000, "transaction")
def _(db: Adapter) -> Job:
    con = db.keep(db.autocommit(db.path("wal_auto.db")))
    nothing = type(None)  # the cheapest call there is: both cases pay for the same two
    return wal(db, con, "auto", nothing, nothing)


@case("executescript, 300 statements", 50, "script")
def _(db: Adapter) -> Job:
    con = db.memory("create table log(n)")
    inserts = ";\n".join(f"insert into s values({i}, 'row {i}')" for i in range(298))
    sql = f"create table s(a, b);\n{inserts};\ndrop table s; insert into log values(1);"
    script = db.script(con)

    def run() -> None:
        for _ in range(50):
            script(sql)

    found = first(con, "select count(*) from log")
    return Job(run, (50,), found, lambda: db.commit_after(con, "delete from log"))


# --- reading ---------------------------------------------------------------------------------


def ints(db: Adapter, count: int) -> Any:
    con = db.memory("create table t(a, b, c)")
    db.insert(con, "insert into t values(?, ?, ?)", ((i, i * 1000, -i) for i in range(count)))
    return con


@case("fetchall, 3 ints", 100_000, "row")
def _(db: Adapter) -> Job:
    con = ints(db, 100_000)
    whole = (100_000, (0, 0, 0), (99_999, 99_999_000, -99_999))
    return Job(lambda: con.execute("select a, b, c from t").fetchall(), whole, shape)


@case("fetchall, 3 texts", 100_000, "row")
def _(db: Adapter) -> Job:
    con = db.memory("create table t(a, b, c)")
    data = [(text(i), f"name {i}", "short") for i in range(100_000)]
    db.insert(con, "insert into t values(?, ?, ?)", data)
    return Job(lambda: con.execute("select * from t").fetchall(), shape(data), shape)


@case("fetchall, 6 mixed", 60_000, "row")
def _(db: Adapter) -> Job:
    con = db.memory("create table t(a, b, c, d, e, f)")
    data = [(i, i * 0.25, text(i), "naïve né", b"\x00\x01blob", None) for i in range(60_000)]
    db.insert(con, "insert into t values(?, ?, ?, ?, ?, ?)", data)
    return Job(lambda: con.execute("select * from t").fetchall(), shape(data), shape)


@case("iterate: for row in cursor", 100_000, "row")
def _(db: Adapter) -> Job:
    con = db.memory("create table t(a, b)")
    db.insert(con, "insert into t values(?, ?)", ((i, text(i)) for i in range(100_000)))

    def run() -> int:
        total = 0
        for a, _ in con.execute("select a, b from t"):
            total += a
        return total

    return Job(run, sum(range(100_000)))


@case("fetchone loop", 100_000, "row")
def _(db: Adapter) -> Job:
    con = ints(db, 100_000)

    def run() -> int:
        total = 0
        fetchone = con.execute("select a, b, c from t").fetchone
        while row := fetchone():
            total += row[0]
        return total

    return Job(run, sum(range(100_000)))


@case("fetchmany(100) loop", 100_000, "row")
def _(db: Adapter) -> Job:
    con = ints(db, 100_000)
    cursor = con.cursor()
    fetchmany = db.fetchmany(cursor)

    def run() -> int:
        total = 0
        cursor.execute("select a, b, c from t")
        while rows := fetchmany(100):
            total += len(rows)
        return total

    return Job(run, 100_000)


def select(execute: Any, sql: str, keys: list[Any], expect: int) -> Job:
    """Run one short SELECT for each key and add up what comes back."""

    def run() -> int:
        total = 0
        for key in keys:
            total += execute(sql, key).fetchone()[0]
        return total

    return Job(run, expect)


def people(db: Adapter) -> Any:
    con = db.memory("create table t(id integer primary key, name text unique, v)")
    db.insert(con, "insert into t values(?, ?, ?)", ((i, text(i), i * 2) for i in range(10_000)))
    return con


SPREAD = [i * 7919 % 10_000 for i in range(30_000)]
BY_ID = "select v, name from t where id = ?"


@case("point select by rowid, cursor.execute", 30_000, "query")
def _(db: Adapter) -> Job:
    return select(people(db).cursor().execute, BY_ID, [(i,) for i in SPREAD], 2 * sum(SPREAD))


@case("point select by rowid, connection.execute", 30_000, "query")
def _(db: Adapter) -> Job:
    return select(people(db).execute, BY_ID, [(i,) for i in SPREAD], 2 * sum(SPREAD))


@case("point select by text key", 30_000, "query")
def _(db: Adapter) -> Job:
    sql, keys = "select v from t where name = ?", [(text(i),) for i in SPREAD]
    return select(people(db).execute, sql, keys, 2 * sum(SPREAD))


@case("named parameters", 30_000, "query")
def _(db: Adapter) -> Job:
    keys = [{"id": i, "add": 1, "factor": 3} for i in SPREAD]
    sql = "select v * :factor + :add from t where id = :id"
    return select(people(db).execute, sql, keys, 6 * sum(SPREAD) + len(SPREAD))


@case("new SQL texts (cache misses)", 10_000, "query")
def _(db: Adapter) -> Job:
    con = people(db)
    texts = [f"select v, {i} from t where id = ?" for i in range(10_000)]
    return Job(lambda: sum(con.execute(sql, (7,)).fetchone()[0] for sql in texts), 140_000)


def scored(db: Adapter) -> Any:
    con = db.memory("create table t(id integer primary key, name, score)")
    rows = ((i, f"n{i:06}", i % 10) for i in range(100_000))
    db.insert(con, "insert into t values(?, ?, ?)", rows)
    return con


SCORED = sum(i + 7 + i % 10 for i in range(100_000))


@case("rows by name", 100_000, "row")
def _(db: Adapter) -> Job:
    con = scored(db)
    read = db.rows_by_name(con)
    return Job(lambda: read(con.execute("select id, name, score from t")), SCORED)


@case("rows by index", 100_000, "row")
def _(db: Adapter) -> Job:
    con = scored(db)
    db.rows_by_index(con)

    def run() -> int:
        rows = con.execute("select id, name, score from t")
        return sum(row[0] + len(row[1]) + row[2] for row in rows)

    return Job(run, SCORED)


# --- callbacks -------------------------------------------------------------------------------


@case("Python scalar function", 300_000, "call")
def _(db: Adapter) -> Job:
    con = ints(db, 300_000)
    db.function(con, "twice", 1, lambda a: a * 2)
    total = 2 * sum(range(300_000))
    return Job(lambda: con.execute("select sum(twice(a)) from t").fetchone()[0], total)


class Longest:
    """An aggregate under both names that modules use for its end."""

    def __init__(self) -> None:
        self.length = 0

    def step(self, value: str) -> None:
        if len(value) > self.length:
            self.length = len(value)

    def finalize(self) -> int:
        return self.length

    final = finalize


@case("Python aggregate", 150_000, "call")
def _(db: Adapter) -> Job:
    con = db.memory("create table t(a)")
    db.insert(con, "insert into t values(?)", ((text(i),) for i in range(150_000)))
    db.aggregate(con, "longest", 1, Longest)
    longest = max(len(text(i)) for i in range(150_000))
    return Job(lambda: con.execute("select longest(a) from t").fetchone()[0], longest)


@case("Python collation sort", 15_000, "row")
def _(db: Adapter) -> Job:
    con = db.memory("create table t(a)")
    data = [(text(i),) for i in range(15_000)]
    db.insert(con, "insert into t values(?)", data)
    db.collation(con, "plain", lambda a, b: (a > b) - (a < b))
    return Job(lambda: con.execute("select a from t order by a collate plain").fetchall(), sorted(data))


@case("datetime converter", 80_000, "row")
def _(db: Adapter) -> Job:
    con, cursor = db.converting("moment")
    db.commit_after(con, "create table t(a moment)")
    times = [(datetime(2024, 1, 1) + timedelta(minutes=i),) for i in range(80_000)]
    db.insert(con, "insert into t values(?)", [(row[0].isoformat(" "),) for row in times])
    return Job(lambda: cursor.execute("select a from t").fetchall(), times)


# --- blobs -----------------------------------------------------------------------------------


@case("1 MiB blobs, write", 40, "blob")
def _(db: Adapter) -> Job:
    con = db.memory("create table b(id integer primary key, x)")
    data = [(i, bytes([i]) * MIB) for i in range(40)]
    begin, commit = db.begin(con), db.commit(con)

    def run() -> None:
        begin()
        for row in data:
            con.execute("insert into b values(?, ?)", row)
        commit()

    found = first(con, "select count(*), sum(length(x)) from b")
    return Job(run, (40, 40 * MIB), found, lambda: db.commit_after(con, "delete from b"))


@case("1 MiB blobs, read", 320, "blob")
def _(db: Adapter) -> Job:
    con = db.memory("create table b(id integer primary key, x)")
    db.insert(con, "insert into b values(?, ?)", ((i, bytes([i]) * MIB) for i in range(40)))

    def run() -> int:
        total = 0
        for _ in range(8):
            for row in con.execute("select x from b"):
                total += row[0][-1] + len(row[0])
        return total

    return Job(run, 8 * sum(range(40)) + 320 * MIB)


@case("incremental blob I/O, 4 KiB pieces", 128_000, "piece")
def _(db: Adapter) -> Job:
    con = db.memory("create table b(id integer primary key, x)", "insert into b values(1, x'00')")
    piece = bytes(range(256)) * 16
    begin, commit = db.begin(con), db.commit(con)

    def run() -> int:
        total = 0
        begin()
        with db.blob(con) as blob:
            write, read, seek = blob.write, blob.read, blob.seek
            for _ in range(250):
                seek(0)
                for _ in range(256):
                    write(piece)
                seek(0)
                for _ in range(256):
                    total += len(read(4096))
        commit()
        return total

    def found(total: int) -> Any:
        return total, con.execute("select x from b").fetchone()[0] == piece * 256

    zero = f"update b set x = zeroblob({MIB})"
    return Job(run, (250 * MIB, True), found, lambda: db.commit_after(con, zero))


# --- connections and the engine --------------------------------------------------------------


@case("connect, close: memory", 3000, "connection")
def _(db: Adapter) -> Job:
    connect = db.connect

    def run() -> None:
        for _ in range(3000):
            connect(":memory:").close()

    return Job(run, None)


@case("connect, select, close: file", 500, "connection")
def _(db: Adapter) -> Job:
    connect, path = db.connect, db.path("connect.db")
    con = db.keep(connect(path))
    db.commit_after(con, *(f"create table t{i}(id integer primary key, a, b)" for i in range(20)))
    db.insert(con, "insert into t7 values(?, ?, ?)", ((i, i, i) for i in range(100)))

    def run() -> int:
        total = 0
        for _ in range(500):
            con = connect(path)
            total += con.execute("select a from t7 where id = 42").fetchone()[0]
            con.close()
        return total

    return Job(run, 500 * 42)


@case("JSON scan, json_extract", 100_000, "document")
def _(db: Adapter) -> Job:
    con = db.memory("create table d(doc)")
    docs = (f'{{"id": {i}, "tags": ["a"], "user": {{"age": {i % 80}}}}}' for i in range(100_000))
    db.insert(con, "insert into d values(?)", ((doc,) for doc in docs))
    sql, total = "select sum(json_extract(doc, '$.user.age')) from d", 40 * 79 * 1250
    return Job(lambda: con.execute(sql).fetchone()[0], total)


def article(i: int) -> str:
    return " ".join(f"{WORDS[(i + k) * k % 8]}{i * k % 97}" for k in range(1, 25))


ARTICLES = 12_000


@case("FTS5 build", ARTICLES, "document")
def _(db: Adapter) -> Job:
    table = "create virtual table f using fts5(body)"
    con = db.memory(table)
    data = [(article(i),) for i in range(ARTICLES)]

    def run() -> None:
        db.insert(con, "insert into f values(?)", data)

    found = first(con, "select count(*) from f")
    return Job(run, (ARTICLES,), found, lambda: db.commit_after(con, "drop table f", table))


@case("FTS5 query", 60, "query")
def _(db: Adapter) -> Job:
    con = db.memory("create virtual table f using fts5(body)")
    data = [article(i) for i in range(ARTICLES)]
    db.insert(con, "insert into f values(?)", ((body,) for body in data))
    terms = [f"{word}{n}" for word in ("ash", "holly") for n in range(30)]
    sql = "select rowid, rank from f where f match ? order by rank"
    holds = [set(body.split()) for body in data]
    hits = sum(term in words for term in terms for words in holds)
    return Job(lambda: sum(len(con.execute(sql, (term,)).fetchall()) for term in terms), hits)


def million(db: Adapter) -> Any:
    return db.memory(
        "create table t(k, v)",
        "with recursive n(i) as (select 0 union all select i + 1 from n limit 1000000) "
        "insert into t select i % 1000, i * 7919 % 1000003 from n",
    )


@case("GROUP BY over 1e6 rows", 1_000_000, "row")
def _(db: Adapter) -> Job:
    con = million(db)
    whole = (1000, (0, 1000), (999, 1000))
    return Job(lambda: con.execute("select k, count(v) from t group by k").fetchall(), whole, shape)


@case("ORDER BY over 1e6 rows", 1_000_000, "row")
def _(db: Adapter) -> Job:
    con = million(db)
    least = min((i * 7919 % 1000003, i % 1000) for i in range(1_000_000))
    return Job(lambda: con.execute("select v, k from t order by v").fetchone(), least)
