"""Several threads: on one connection, on one file, interrupting, closing. Each test ends in time or fails."""

from __future__ import annotations

from typing import Any

import pytest

# One thread keeps calling Python from SQL, which takes turns between SQLite's mutex and the interpreter's lock,
# while two others do `work(i, con, cursor)`. Where either is held while waiting for the other, nothing ends.
ON_ONE_CONNECTION = """
con = sqlite3.connect(":memory:", check_same_thread=False)
con.create_function("f", 1, lambda x: x)
con.create_collation("c", lambda a, b: (a > b) - (a < b))
con.executescript("create table t(x text); create table u(x date); create table b(x)")
con.executemany("insert into t values (?)", [(str(i),) for i in range(200)])
con.execute("insert into b values (zeroblob(100))")
con.commit()
ended, unexpected = [], []

def work(i, con, cursor):
    WORK

def run(number):
    cursor = con.cursor()
    for i in range(60):
        try:
            work(number * 1000 + i, con, cursor)
        except sqlite3.Error as error:
            if not isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.DatabaseError)):
                unexpected.append(repr(error))
    ended.append(number)

def call_back():
    while len(ended) < 2:
        try:
            rows = con.execute("select f(x) from t order by x collate c").fetchall()
            if len(rows) != 200:
                unexpected.append(len(rows))
        except sqlite3.OperationalError:
            pass

threads = [threading.Thread(target=call_back)] + [threading.Thread(target=run, args=(n,)) for n in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
integrity = con.execute("pragma integrity_check").fetchone()[0]
con.close()
print(json.dumps([sorted(ended), unexpected, integrity]))
"""
WORKS = {
    "new statements": "cursor.execute(f'select f(x) as a{i} from t').fetchall()",
    "errors": "cursor.execute(f'select f(x), nope{i} from t')",
    "descriptions": "cursor.execute('select f(x) from t').description",
    "named parameters": "cursor.execute('select f(x), :a from t', {'a': 1}).fetchall()",
    "iteration": "[row for row in cursor.execute('select f(x) from t limit 20')]",
    "fetchmany": "cursor.execute('select f(x) from t').fetchmany(7)",
    "inserts": "con.execute('insert into u values (f(?))', (i,)).lastrowid",
    "executemany": "con.executemany('insert into u values (f(?))', [(i,)] * 10)",
    "executemany of a generator": "con.executemany('insert into u values (f(?))', ((k,) for k in range(10)))",
    "commits": "con.execute('insert into u values (1)'); con.commit()",
    "rollbacks": "con.execute('insert into u values (1)'); con.rollback()",
    "scripts": "con.executescript('select f(x) from t; select 1')",
    "functions": "con.create_function(f'g{i}', 1, lambda x: x)",
    "collations": "con.create_collation(f'c{i}', lambda a, b: 0)",
    "tracing": "con.set_trace_callback(lambda sql: None); con.set_trace_callback(None)",
    "progress": "con.set_progress_handler(lambda: 0, 10)",
    "authorizer": "con.set_authorizer(lambda *a: 0)",
    "limits": "con.setlimit(0, con.getlimit(0)); con.getconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_FKEY)",
    "attributes": "con.total_changes; con.in_transaction; con.isolation_level; con.autocommit",
    "serialize": "con.serialize()",
    "blobs": "blob = con.blobopen('b', 'x', 1); blob.write(b'abc'); blob.read(); len(blob); blob.close()",
    "backup": "to = sqlite3.connect(':memory:'); con.backup(to); to.close()",
    "dump": "list(con.iterdump())",
    "cursors that die": "c = con.execute('select f(x) from t'); c.fetchone(); del c",
    "interrupts": "con.interrupt()",
    "statements": "con(f'select {i}')",
}


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_threads_on_one_connection(run_child: Any, work: str) -> None:
    seen = run_child(ON_ONE_CONNECTION.replace("WORK", work), timeout=20)
    assert seen == [[0, 1], [], "ok"]


def test_interrupt_from_another_thread(run_child: Any) -> None:
    seen = run_child("""
con = sqlite3.connect("kept.db", check_same_thread=False)
con.execute("create table t(x)")
con.commit()
con.execute("insert into t values (1)")
started = threading.Event()
con.create_function("started", 0, started.set)

def interrupt():
    started.wait()
    time.sleep(0.05)
    con.interrupt()

thread = threading.Thread(target=interrupt)
thread.start()
endless = "with recursive n(x) as (select started() union all select x + 1 from n) select count(*) from n"
try:
    con.execute(endless)
except sqlite3.OperationalError as error:
    seen = [str(error), error.sqlite_errorname, con.in_transaction]
thread.join()
con.commit()
con.close()
con = sqlite3.connect("kept.db")
print(json.dumps([seen, con.execute("select * from t").fetchall()]))
con.close()
""")
    assert seen == [["interrupted", "SQLITE_INTERRUPT", True], [[1]]]


def test_close_while_other_threads_run_statements(run_child: Any) -> None:
    """They end with an error; the close takes effect when the last of them is out of SQLite."""
    seen = run_child("""
texts = set()

def run(con):
    try:
        while True:
            con.execute("select f(value) from json_each('[1, 2, 3, 4, 5, 6, 7, 8]')").fetchall()
    except sqlite3.ProgrammingError as error:
        texts.add(str(error))

for _ in range(40):
    con = sqlite3.connect("closed.db", check_same_thread=False)
    con.create_function("f", 1, lambda x: x)
    threads = [threading.Thread(target=run, args=(con,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.002)
    con.close()
    for thread in threads:
        thread.join()
    del con
    gc.collect()
open_files = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if n.isdigit()
              and os.path.exists(f"/proc/self/fd/{n}")] if os.path.isdir("/proc/self/fd") else []
print(json.dumps([sorted(texts), [name for name in open_files if "closed.db" in name]]))
""")
    assert seen == [["Cannot operate on a closed database."], []]


def test_close_a_blob_while_another_thread_reads_it(run_child: Any) -> None:
    seen = run_child("""
texts = set()

def read(blob):
    try:
        while True:
            blob.seek(0)
            blob.read()
    except sqlite3.ProgrammingError as error:
        texts.add(str(error))

for _ in range(40):
    con = sqlite3.connect(":memory:", check_same_thread=False)
    con.execute("create table t(x)")
    con.execute("insert into t values (zeroblob(200000))")
    blob = con.blobopen("t", "x", 1)
    threads = [threading.Thread(target=read, args=(blob,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.001)
    blob.close()
    for thread in threads:
        thread.join()
    con.close()
print(json.dumps(sorted(texts)))
""")
    assert seen == ["Cannot operate on a closed blob."]


def test_failing_collations_in_several_threads(run_child: Any) -> None:
    """Each connection hears of its own failure; no result is sorted by a comparison that failed."""
    seen = run_child("""
unheard = []

def fail(a, b):
    raise ZeroDivisionError(threading.current_thread().name)

def run():
    con = sqlite3.connect(":memory:")
    con.create_collation("c", fail)
    con.execute("create table t(x)")
    con.executemany("insert into t values (?)", [(str(i),) for i in range(300)])
    for _ in range(30):
        try:
            con.execute("select * from t order by x collate c").fetchall()
            unheard.append("no error")
        except ZeroDivisionError as error:
            if str(error) != threading.current_thread().name:
                unheard.append("the error of another thread")
    con.close()

threads = [threading.Thread(target=run) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(unheard))
""")
    assert seen == []


def test_many_connections_write_one_file(run_child: Any) -> None:
    seen = run_child("""
con = sqlite3.connect("kept.db")
con.execute("pragma journal_mode = wal")
con.execute("create table t(thread, i, primary key(thread, i))")
con.close()
wrong = []

def run(number):
    con = sqlite3.connect("kept.db", timeout=30, isolation_level="IMMEDIATE")
    for i in range(50):
        with con:
            con.execute("insert into t values (?, ?)", (number, i))
        if con.execute("select count(*) from t where thread = ?", (number,)).fetchone() != (i + 1,):
            wrong.append((number, i))
    con.close()

threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
con = sqlite3.connect("kept.db")
print(json.dumps([wrong, con.execute("select count(*) from t").fetchone(),
                  con.execute("pragma integrity_check").fetchone()]))
con.close()
""")
    assert seen == [[], [200], ["ok"]]


def test_a_connection_dies_in_another_thread(run_child: Any) -> None:
    """The garbage collector may run anywhere, whatever check_same_thread says."""
    seen = run_child("""
import warnings
warnings.simplefilter("ignore", ResourceWarning)
for i in range(30):
    con = sqlite3.connect("kept.db")
    con.execute("create table if not exists t(x)")
    cursor = con.execute("select 1 union select 2")
    cursor.fetchone()
    box = [con, cursor, con("select 3")]
    con.row_factory = lambda cursor, row, box=box: row
    del con, cursor, box
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
print(json.dumps(sum(isinstance(thing, (sqlite3.Connection, sqlite3.Cursor)) for thing in gc.get_objects())))
""")
    assert seen == 0
