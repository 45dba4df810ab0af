"""What the server's connections keep between statements: transactions, cursors, attached databases, caches, counts."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core._engine import Plan, ServerConnection, ServerCursor, StatementError

JSON, PROTOBUF = ServerConnection.JSON, ServerConnection.PROTOBUF
NAME = "select libsql_server_database_name()"
LONG = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


def test_defaults(server: Any) -> None:
    settings = ["foreign_keys", "journal_mode", "synchronous", "busy_timeout"]
    assert [server.value(f"pragma {name}") for name in settings] == [1, "wal", 1, 0]
    assert server.value(NAME) == "alpha"
    assert server.value("select changes()") == 0


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_durability(open_server: Any, level: int) -> None:
    assert open_server(synchronous=level).value("pragma synchronous") == level


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StatementError) as caught:
        ServerConnection(tmp_path / "missing" / "data", name="x")
    assert caught.value.code == "SQLITE_CANTOPEN"
    (tmp_path / "text").write_bytes(b"not a database, but a text of some length" * 40)
    with pytest.raises(StatementError) as caught:
        ServerConnection(tmp_path / "text", name="x")
    assert (caught.value.message, caught.value.code) == ("SQLite error: file is not a database", "SQLITE_NOTADB")


def test_keys(open_server: Any, tmp_path: Path) -> None:
    server = open_server("secret", encryption_key="opensesame")
    server.script("create table t(a); insert into t values ('hidden')")
    other = open_server("other", encryption_key="opensesame")
    plan = other.con.plan("attach database secret as s")
    plan.attach_path = str(tmp_path / "secret")
    other.con.run(plan)
    assert other.value("select a from s.t") == "hidden"
    with pytest.raises(StatementError, match="not a database"):
        open_server("secret", encryption_key="wrong")
    assert b"hidden" not in (tmp_path / "secret-wal").read_bytes()


ARGUMENTS: list[tuple[str, Any, Any, Any]] = [
    ("?", [{"type": "integer", "value": "5"}], None, [5]),
    ("?", [{"type": "integer", "value": "+5"}], None, [5]),
    ("?", [{"type": "float", "value": 5}], None, [5.0]),
    ("?, ?", [{"type": "null"}, {"type": "text", "value": "é\0x"}], None, [None, "é\0x"]),
    ("?, ?, ?, ?, ?", [(1, b""), (2, -7), (3, 1.5), (4, "x"), (5, b"\xff")], None,
     [None, -7, 1.5, "x", {"base64": "/w"}]),
    ("?, ?, ?, ?, ?", [None, True, 7, 1.5, b"\x01"], (), [None, 1, 7, 1.5, {"base64": "AQ"}]),
    ("?, ?", [1 << 63, {"base64": "AQ"}], {}, [2.0**63, {"base64": "AQ"}]),
    ("?2, ?", [1, 2, 3], [], [2, 3]),
    ("?3", [1, 2, 3], [], [3]),
    (":a, @a, $a", None, [{"name": "a", "value": {"type": "text", "value": "x"}}], ["x"] * 3),
    (":a, @a", [], [("a", 1), (":a", 2)], [2, 1]),
    (":a, :b", [], {"a": 1, ":b": 2}, [1, 2]),
    (":a, :a", [], [("a", 1)], [1, 1]),
]  # fmt: skip

MISMATCHES: list[tuple[str, Any, Any, str]] = [
    ("select ?", [], [], "value for parameter 1 not found"),
    ("select ?, ?", [1], None, "value for parameter 2 not found"),
    ("select ?1", None, None, "value for parameter ?1 not found"),
    ("select ?3", [1], None, "value for parameter 2 not found"),
    ("select :a", [1], None, "value for parameter :a not found"),
    ("select @a", None, {":a": 1}, "value for parameter @a not found"),
    ("select ?1", None, {"?1": 1}, "value for parameter ?1 not found"),
    ("select ?", None, {"1": 1}, "value for parameter 1 not found"),
    ("select ?", [1, 2], None, "too many parameters, expected 1 found 2"),
    ("select 1", [1], None, "too many parameters, expected 0 found 1"),
    ("select :a", None, [("a", 1), ("b", 2)], "too many parameters, expected 1 found 2"),
]


@pytest.mark.parametrize(("terms", "args", "named", "row"), ARGUMENTS)
def test_arguments(server: Any, terms: str, args: Any, named: Any, row: list[Any]) -> None:
    for _ in range(2):
        assert server.rows(f"select {terms}", args, named) == [row]


@pytest.mark.parametrize(("sql", "args", "named", "message"), MISMATCHES)
def test_arguments_that_do_not_fit(server: Any, sql: str, args: Any, named: Any, message: str) -> None:
    assert server.fails(sql, args, named) == (f"Arguments do not match SQL parameters: {message}", "ARGS_INVALID")
    assert server.json(f"explain {sql}" if "too many" not in message else "select 1")


def test_arguments_of_both_kinds(server: Any) -> None:
    assert server.fails("select ?", [1], {"a": 1}) == (
        "Specifying both positional and named arguments is not supported",
        "ARGS_BOTH_POSITIONAL_AND_NAMED",
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "integer", "value": "x"}, {"type": "nothing"}, {"type": "text", "value": 5}, {"type": "blob"}, (9, 1),
        (5, "x"), (1, 2, 3), [], {}, object(),
    ],
)  # fmt: skip
def test_arguments_of_no_type(server: Any, bad: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        server.rows("select ?", [bad])
    assert server.rows("select ?", ["fine"]) == [["fine"]]


def test_a_plan_is_of_one_connection(server: Any, open_server: Any) -> None:
    plan = server.con.plan("select 1")
    with pytest.raises(ValueError, match="another connection"):
        open_server().con.run(plan)
    with pytest.raises(TypeError):
        Plan()


def test_transactions(server: Any, open_server: Any) -> None:
    con, other = server.con, open_server()
    assert con.autocommit
    server.script("begin immediate; insert into t values (1, 'x')")
    assert (con.autocommit, con.in_statement) == (False, False)
    assert other.fails("insert into t values (2, 'y')") == ("SQLite error: database is locked", "SQLITE_BUSY")
    assert other.rows("select * from t") == []
    con.rollback()
    con.rollback()
    assert con.autocommit
    other.script("insert into t values (2, 'y')")
    assert server.rows("select a from t") == [[2]]


@pytest.mark.parametrize("begin", ["begin readonly", "begin transaction readonly"])
def test_a_transaction_that_only_reads(server: Any, begin: str) -> None:
    refused = ("SQLite error: attempt to write a readonly database", "SQLITE_READONLY")
    for end in ("commit", "rollback", None):
        server.script(begin)
        assert server.fails("insert into t values (1, 'x')") == refused
        assert server.fails("create table u(a)") == refused
        assert server.value("pragma query_only") == 1
        if end:
            server.script(end)
        else:
            server.con.rollback()
        server.script("insert into t values (1, 'x'); delete from t")
    server.script("begin")
    assert server.fails(begin)[0] == "SQLite error: cannot start a transaction within a transaction"
    server.script("insert into t values (1, 'x'); commit")


def test_attached_databases_are_read_only(server: Any, open_server: Any, tmp_path: Path) -> None:
    open_server("beta").script("create table u(c); insert into u values (5)")
    plan = server.con.plan("attach beta as b")
    assert plan.readonly
    plan.attach_path = str(tmp_path / "beta")
    assert json.loads(server.con.execute(plan, [], [], JSON, 999))["cols"] == []
    assert server.value("select c from b.u") == 5
    refused = ("SQLite error: attempt to write a readonly database", "SQLITE_READONLY")
    for sql in ("insert into b.u values (6)", "create table b.x(a)", "pragma b.user_version = 5", "drop table b.u"):
        assert server.fails(sql) == refused
    server.script("insert into t select null, c from b.u")
    assert server.fails("attach beta as b")[0] == "SQLite error: database b is already in use"
    assert server.con.reset()
    assert server.fails("select c from b.u")[0] == "SQLite error: no such table: b.u"
    server.con.run(plan)
    server.script("detach b")
    assert server.fails("detach b")[0] == "SQLite error: no such database: b"


def test_a_connection_made_as_new(server: Any) -> None:
    con = server.con
    server.script("pragma foreign_keys = off; insert into t values (7, 'x'); begin; insert into t values (8, 'y')")
    assert con.reset()
    assert con.autocommit
    assert server.value("pragma foreign_keys") == 1
    assert server.rows("select last_insert_rowid(), changes(), total_changes()") == [[0, 0, 0]]
    assert server.rows("select a from t") == [[7]]
    # Statements that were compiled without foreign keys have them again.
    server.script("create table u(a references t(a)); pragma foreign_keys = off; insert into u values (99)")
    assert con.reset()
    assert server.fails("insert into u values (99)")[1] == "SQLITE_CONSTRAINT"
    server.script("begin readonly")
    assert con.reset()
    server.script("delete from u")
    server.script("create view temp.v as select 1")
    assert not con.reset()


def lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def test_a_cursor(server: Any) -> None:
    server.script("insert into t values (1, 'x'), (2, 'y'), (3, 'z')")
    cursor = server.con.cursor(server.con.plan("select a from t"), None, None, JSON, 4, False)
    first = cursor.fetch(2, 1 << 20)
    assert first == (
        b'{"type":"step_begin","step":4,"cols":[{"name":"a","decltype":"INTEGER"}]}\n'
        b'{"type":"row","row":[{"type":"integer","value":"1"}]}\n',
        2,
        False,
    )
    assert cursor.fetch(0, 1 << 20) == (b"", 0, False)
    # Its bytes bound a piece too, by one entry.
    assert cursor.fetch(9, 1) == (b'{"type":"row","row":[{"type":"integer","value":"2"}]}\n', 1, False)
    data, count, done = cursor.fetch(9, 1 << 20)
    assert lines(data) == [
        {"type": "row", "row": [{"type": "integer", "value": "3"}]},
        {"type": "step_end", "affected_row_count": 0, "last_insert_rowid": None},
    ]
    assert (count, done, cursor.error, server.con.rows_read) == (2, True, None, 3)
    assert cursor.fetch(9, 1 << 20) == (b"", 0, True)


def test_a_cursor_of_a_websocket(server: Any, fields: Any) -> None:
    plan = server.con.plan("insert into t values (?, 'x'), (?, 'y') returning b")
    data, count, done = server.con.cursor(plan, [8, 9], None, JSON, 0, True).fetch(9, 1 << 20)
    assert (count, done) == (4, True)
    entries = json.loads(b"[%b]" % data)
    assert [entry["type"] for entry in entries] == ["step_begin", "row", "row", "step_end"]
    assert (entries[3]["affected_row_count"], entries[3]["last_insert_rowid"]) == (2, 9)
    cursor = server.con.cursor(plan, [1, 2], None, PROTOBUF, 3, True)
    entries = []
    done = False
    while not done:
        data, count, done = cursor.fetch(1, 1 << 20)
        ((number, entry),) = fields(data)
        assert (number, count) == (1, 1)
        entries += fields(entry)
    assert [number for number, _ in entries] == [1, 4, 4, 2]
    assert fields(entries[0][1]) == [(1, 3), (2, b"\x0a\x01b\x12\x04TEXT")]
    assert entries[1:3] == [(4, b"\x0a\x03\x22\x01x"), (4, b"\x0a\x03\x22\x01y")]
    assert fields(entries[3][1]) == [(1, 2), (2, 4)]


def test_a_cursor_in_protobuf_over_http(server: Any, fields: Any) -> None:
    data, count, done = server.con.cursor(server.con.plan("select 5"), [], [], PROTOBUF, 0, False).fetch(9, 1 << 20)
    assert (count, done) == (3, True)
    kinds = []
    while data:
        size = data[0]
        kinds += [number for number, _ in fields(data[1 : 1 + size])]
        data = data[1 + size :]
    assert kinds == [1, 4, 2]


def test_cursors_that_fail(server: Any, fields: Any) -> None:
    con = server.con
    with pytest.raises(StatementError, match="no such table: nope"):
        con.cursor(con.plan("select * from nope"), None, None, JSON, 1, False)
    cursor = con.cursor(con.plan("select ? as x"), None, None, JSON, 1, False)
    assert cursor.error is None
    data, count, done = cursor.fetch(1, 1 << 20)
    assert (lines(data)[0]["type"], count, done) == ("step_begin", 1, False)
    data, count, done = cursor.fetch(1, 1 << 20)
    message = "Arguments do not match SQL parameters: value for parameter 1 not found"
    assert lines(data) == [{"type": "step_error", "step": 1, "error": {"message": message, "code": "ARGS_INVALID"}}]
    assert (count, done, str(cursor.error)) == (1, True, message)

    server.script("insert into t values (1, '1'), (2, 'x')")
    run_time = con.plan("select json(b) from t")
    data, count, done = con.cursor(run_time, None, None, JSON, 0, False).fetch(9, 1 << 20)
    error = {"message": "SQLite error: malformed JSON", "code": "SQLITE_UNKNOWN"}
    assert lines(data)[1:] == [
        {"type": "row", "row": [{"type": "text", "value": "1"}]},
        {"type": "step_error", "step": 0, "error": error},
    ]
    assert (count, done) == (3, True)
    data, count, done = con.cursor(run_time, None, None, PROTOBUF, 2, True).fetch(9, 1 << 20)
    entry = fields(fields(data)[2][1])
    assert entry[0][0] == 3
    assert fields(entry[0][1])[0] == (1, 2)
    assert fields(fields(entry[0][1])[1][1]) == [(1, b"SQLite error: malformed JSON"), (2, b"SQLITE_UNKNOWN")]

    data, _, done = con.cursor(con.plan("select 1, cast(x'ff' as text)"), [], [], JSON, 0, False).fetch(9, 1 << 20)
    assert (lines(data)[-1]["error"]["code"], done) == ("RESPONSE_NOT_UTF8", True)


def test_a_cursor_keeps_its_statement(server: Any) -> None:
    con = server.con
    server.script("insert into t values (1, 'x'), (2, 'y')")
    plan = con.plan("select a from t")
    cursor = con.cursor(plan, None, None, JSON, 0, False)
    cursor.fetch(2, 1 << 20)
    assert server.rows("select a from t") == [[1], [2]]
    assert lines(cursor.fetch(9, 1 << 20)[0])[0]["row"][0]["value"] == "2"
    cursor = con.cursor(plan, None, None, JSON, 0, False)
    cursor.fetch(2, 1 << 20)
    cursor.close()
    cursor.close()
    assert cursor.fetch(2, 1 << 20) == (b"", 0, True)
    # One that nobody closes is closed with its last reference, and one of a connection that is closed is of no use.
    con.cursor(plan, None, None, JSON, 0, False).fetch(2, 1 << 20)
    server.script("drop table t")
    cursor = con.cursor(con.plan("values (1), (2)"), None, None, JSON, 0, False)
    cursor.fetch(2, 1 << 20)
    con.close()
    with pytest.raises(StatementError, match="the connection is closed"):
        cursor.fetch(2, 1 << 20)
    assert ServerCursor.__new__(ServerCursor).fetch(1, 1) == (b"", 0, True)


def test_closed(server: Any) -> None:
    plan = server.con.plan("select 1")
    server.con.close()
    server.con.close()
    server.con.interrupt()
    assert server.con.autocommit
    for call in (server.con.run, lambda plan: server.con.execute(plan, [], [], JSON, 99)):
        with pytest.raises(StatementError) as caught:
            call(plan)
        assert caught.value.code == "SQLITE_MISUSE"
    for call in (server.con.plan, server.con.parse, server.con.reset, server.con.rollback, server.con.checkpoint):
        with pytest.raises(StatementError, match="closed"):
            call(*(["select 2"] if call in (server.con.plan, server.con.parse) else []))


@pytest.mark.parametrize("end", ["interrupt", "close"])
def test_a_running_statement_is_stopped(server: Any, end: str) -> None:
    failed: list[StatementError] = []

    def work() -> None:
        try:
            server.con.run(server.con.plan(LONG))
        except StatementError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not server.con.in_statement:
        time.sleep(0.001)
    time.sleep(0.02)
    getattr(server.con, end)()
    thread.join(10)
    assert not thread.is_alive()
    assert [(error.message, error.code) for error in failed] == [("SQLite error: interrupted", "SQLITE_INTERRUPT")]
    assert not server.con.in_statement
    assert end == "close" or server.con.plan(LONG).micros == -1, "who knows how long it would have run?"
    if end == "close":
        with pytest.raises(StatementError, match="closed"):
            server.con.plan("select 2")
    else:
        assert server.value("select 1") == 1


def test_the_time_that_statements_take(server: Any) -> None:
    con = server.con
    assert con.plan("select * from t where a = ?").micros == 0  # known to be short before it runs
    assert con.plan("pragma user_version").micros == 0
    scan = con.plan("select count(*) from t where b > ?")
    assert scan.micros == -1
    con.execute(scan, ["x"], None, JSON, 999)
    assert 0 <= scan.micros < 1_000_000
    slow = con.plan(LONG.replace("from n)", "from n limit 300000)"))
    con.run(slow)
    longest = slow.micros
    assert longest > 1000
    assert con.micros >= longest
    for sql in ("insert into t values (?, ?)", "values (?), (?)", "select ?"):
        assert (sql, con.plan(sql).micros) == (sql, -1 if "), (" in sql else 0)


def test_a_commit_that_waits_for_the_disk_is_not_short(open_server: Any) -> None:
    server = open_server(synchronous=2)
    server.script("create table t(a)")
    assert server.con.plan("insert into t values (1)").micros == -1
    assert server.con.plan("select * from t where rowid = 1").micros == 0


def test_statements_are_kept(open_server: Any) -> None:
    con = open_server(cached_statements=3).con
    plans = {sql: con.plan(sql) for sql in ("select 1", "select 2", "select 3")}
    assert all(con.plan(sql) is plan for sql, plan in plans.items())
    con.plan("select 4")
    assert con.plan("select 3") is plans["select 3"]
    assert con.plan("select 1") is not plans["select 1"]
    again = con.plan("select 5")
    for number in range(100):
        con.plan(f"select {number} + 1")
        assert con.plan("select 5") is again
    # Without a cache each is a new one, and a pragma is compiled each time it runs.
    con = open_server(cached_statements=0).con
    assert con.plan("select 1") is not con.plan("select 1")


def test_a_pragma_works_each_time(server: Any) -> None:
    for _ in range(2):
        for value, switch in ((0, "off"), (1, "on")):
            server.json(f"pragma foreign_keys = {switch}")
            assert server.value("pragma foreign_keys") == value
    server.con.plan("pragma foreign_keys = off")
    assert server.value("pragma foreign_keys") == 1


def test_changes_for_listeners(server: Any) -> None:
    con = server.con
    server.script("create table u(c); insert into t values (1, 'x')")
    assert (con.watching, con.take_changes()) == (False, [])
    con.watching = True
    server.script("insert into t values (2, 'y'), (3, 'z'); update t set b = 'q' where a > 1")
    assert con.take_changes() == [("t", 2, 2, 0)]
    assert con.take_changes() == []
    server.script("begin; insert into u values (1); delete from t where a = 1")
    assert con.take_changes() == []
    assert server.fails("insert into t values (9, 'n'), (2, 'y')")[1] == "SQLITE_CONSTRAINT"
    server.script("commit")
    assert sorted(con.take_changes()) == [("t", 0, 0, 1), ("u", 1, 0, 0)]
    server.script("begin; insert into u values (2); rollback; insert into u values (3)")
    assert con.take_changes() == [("u", 1, 0, 0)]
    assert server.fails("insert into t values (2, 'y')")[1] == "SQLITE_CONSTRAINT"
    assert con.take_changes() == []
    con.watching = False
    server.script("insert into u values (4)")
    assert con.take_changes() == []


def test_checkpoints(open_server: Any) -> None:
    server = open_server(wal_autocheckpoint=0)
    reader = open_server()
    server.script("create table t(a)")
    for _ in range(30):
        server.script("insert into t values (zeroblob(200000))")
    pages = server.con.wal_pages
    assert pages > 1400
    reader.script("begin")
    assert reader.value("select count(*) from t") == 30
    server.script("insert into t values (1)")
    assert server.con.checkpoint() == (server.con.wal_pages, pages)
    assert server.con.checkpoint("TRUNCATE") == (-1, -1)
    reader.script("commit")
    assert server.con.checkpoint("TRUNCATE") == (0, 0)
    with pytest.raises(ValueError, match="not in tuple"):
        server.con.checkpoint("ALL")
    busy = open_server(wal_autocheckpoint=10)
    for _ in range(20):
        busy.script("insert into t values (zeroblob(20000))")
    assert busy.con.wal_pages < 40


def test_extensions(server: Any, tmp_path: Path) -> None:
    with pytest.raises(StatementError, match=r"SQLite error: .*missing"):
        server.con.load_extension(tmp_path / "missing")
    assert server.fails("select load_extension('x')")[0] == "SQLite error: not authorized"


def test_other_connections_see_it(server: Any) -> None:
    server.script("insert into t values (1, 'x')")
    con = libsql_core.connect(server.path)
    assert con.execute("select * from t").fetchall() == [(1, "x")]
    con.close()
    plain = libsql_core.connect(":memory:")
    with pytest.raises(libsql_core.OperationalError, match="no such function"):
        plain.execute(NAME)
    plain.close()


def group(server: Any, *items: Any) -> list[Any]:
    """Rows or messages of statements that run in one transaction."""
    con = server.con
    made = [(con.plan(sql), args, None, ServerConnection.PLAIN, 0) for sql, *args in items]
    results = con.execute_group(made, 1 << 20)
    return [str(found) if isinstance(found, Exception) else json.loads(found)["rows"] for found, *_ in results]


def test_statements_of_several_clients(server: Any, open_server: Any) -> None:
    insert = "insert into t values (?, ?) returning a, last_insert_rowid(), changes(), total_changes()"
    found = group(server, (insert, 5, "x"), (insert, 5, "y"), (insert, 6, "z"), ("update t set b = 'q' where a = 5",))
    assert found == [[[5, 5, 0, 0]], "SQLite error: UNIQUE constraint failed: t.a", [[6, 6, 0, 0]], []]
    assert open_server().rows("select * from t") == [[5, "q"], [6, "z"]]
    con = server.con
    made = [
        (con.plan("insert into t(b) values (?)"), [text], None, JSON, waited) for text, waited in (("v", 0), ("w", 9))
    ]
    (one, _, _, written), (two, micros, read, _) = con.execute_group(made, 1 << 20)
    assert [json.loads(result)["last_insert_rowid"] for result in (one, two)] == ["7", "8"]
    assert (written, read) == (1, 0)
    assert micros >= 9
    assert group(server, ("insert into t values (9, 'alone')",)) == [[]]
    assert con.autocommit


@pytest.mark.parametrize(
    "spoiler",
    [
        "insert or rollback into t values (1, 'again')",
        "insert into u values (99)",  # fails when it commits
        "delete from t where raising(1)",
        "insert into late values (1)",  # at its own commit too
    ],
)
def test_a_statement_that_would_spoil_the_others(server: Any, open_server: Any, spoiler: str) -> None:
    server.script(
        "create table u(a references t(a) deferrable initially deferred); insert into t values (1, 'x'); "
        "create table late(a); create trigger r after insert on late begin insert into u values (77); end"
    )
    con = server.con
    con.watching = True
    found = group(server, ("insert into t values (2, 'y')",), (spoiler,), ("insert into t values (3, 'z')",))
    assert (found[0], found[2]) == ([], [])
    assert found[1].startswith(("SQLite error: ", "SQL input error: no such function: raising"))
    assert open_server().rows("select a from t") == [[1], [2], [3]]
    assert con.take_changes() == [("t", 2, 0, 0)]
    assert con.autocommit


def test_a_group_that_cannot_begin(server: Any, open_server: Any) -> None:
    other = open_server()
    other.script("begin immediate")
    locked = "SQLite error: database is locked"
    assert group(server, *[("insert into t values (2, 'y')",)] * 2) == [locked] * 2
    other.script("commit")
    assert group(server, ("insert into t values (2, 'y')",), ("insert into t values (3, 'y')",)) == [[], []]


def test_short_reads(server: Any) -> None:
    def read(sql: str, *args: Any, longest: int = 1 << 40, limit: int = 1000) -> Any:
        made = server.con.read(sql, args, None, ServerConnection.PLAIN, limit, b"[", b"]", longest)
        return None if made is None else json.loads(made)[0]["rows"]

    assert read("select ?", "x") == [["x"]]
    count = "select count(*) from t"
    assert read(count) is None  # how long it takes is not known
    server.rows(count)
    assert read(count) == [[0]]
    assert read("select 1", longest=-1) is None
    assert read("insert into t values (1, 'x')") is read("begin") is read("create table u(a)") is None
    assert server.con.autocommit
    with pytest.raises(StatementError, match="syntax error"):
        read("selec")
    with pytest.raises(StatementError, match="too large"):
        read("select 'a long text'", limit=4)


def steps(
    server: Any, *items: Any, limit: int = 1 << 20, most: int = 1 << 40, at: int = 0, writes: bool = True
) -> tuple[list[Any], str]:
    """The rows of the steps that were come to, "skipped" for those without; and the error."""
    con = server.con
    made = [item if isinstance(item[0], tuple) else (None, item) for item in items]
    batch = [(condition, (sql, None, args, ())) for condition, (sql, *args) in made]
    plans = con.plan_steps(batch)
    results: list[bytes | None] = [None] * len(batch)
    plain = ServerConnection.PLAIN
    stop, left, noted, error = con.execute_steps(plans, batch, at, results, plain, limit, writes, 1 << 40, most)
    assert left == limit - sum(map(len, filter(None, results)))
    assert all(micros > 0 and times > 0 for _, micros, _, _, times in noted)
    assert sum(each[-1] for each in noted) == sum(each is not None for each in results) + (error is not None)
    return ["skipped" if each is None else json.loads(each)["rows"] for each in results[at:stop]], str(error)


def test_several_statements_in_one_call(server: Any) -> None:
    insert, count = "insert into t values (?, ?)", "select count(*) from t"
    assert steps(server, (insert, 1, "x"), (insert, 2, "y"), (count,)) == ([[], []], "None")
    assert server.rows(count) == [[2]]  # which is known now
    assert steps(server, (insert, 3, "x"), (count,)) == ([[], [[3]]], "None")
    failed = "SQLite error: UNIQUE constraint failed: t.a"
    assert steps(server, (insert, 4, "x"), (insert, 2, "y"), (insert, 5, "z")) == ([[]], failed)
    assert server.con.rows_written == 0
    assert steps(server, (insert, 5, "x"), writes=False) == ([], "None")
    assert steps(server, (count,), (insert, 5, "x"), writes=False) == ([[[4]]], "None")
    for other in ("begin", "savepoint s", "create table u(a)"):
        assert steps(server, ("select 1",), (other,), ("select 2",)) == ([[[1]]], "None")
    assert steps(server, ("begin",), ("select 2",), at=1) == ([[[2]]], "None")
    assert steps(server, ("select 1",), ("select 2",), most=0) == ([[[1]]], "None")
    text = "select '%s'" % ("x" * 900)
    assert steps(server, (text,), (text,), limit=8000)[1] == "None"
    assert steps(server, *[(text,)] * 9, limit=8000)[1] == "Response is too large"
    assert steps(server) == ([], "None")


def test_conditions_among_several_statements(server: Any) -> None:
    def ok(step: int) -> Any:
        return "ok", step

    one, two = ("select 1",), ("select 2",)
    # The first one's condition is for the caller to check; what has another than success ends the run.
    assert steps(server, (("error", 0), one), (ok(0), two), (ok(1), one)) == ([[[1]], [[2]], [[1]]], "None")
    assert steps(server, one, (("not", ok(0)), two), one) == ([[[1]]], "None")
    skipped = (one, two, (ok(0), one), (ok(2), two), (ok(1), one), two)
    assert steps(server, *skipped, at=1) == ([[[2]], "skipped", "skipped", [[1]], [[2]]], "None")


def test_a_transaction_that_ends_among_several_statements(server: Any) -> None:
    server.script("insert into t values (1, 'x'); begin")
    again = ("insert or rollback into t values (1, 'y')",)
    assert steps(server, ("insert into t values (2, 'y')",), again)[1] == "SQLite error: UNIQUE constraint failed: t.a"
    assert server.con.autocommit
    assert server.rows("select a from t") == [[1]]


def test_what_is_more_than_texts_and_arguments(server: Any) -> None:
    def plan(sql: str | None, sql_id: int | None = None, args: Any = (), named: Any = ()) -> Any:
        return server.con.plan_steps([(None, ("select 1", None, (), ())), (None, (sql, sql_id, args, named))])

    first, second = plan("select 1")
    assert first is second
    assert [each.sql for each in plan("select 2", None, [1])] == ["select 1", "select 2"]
    assert plan(None) is plan(None, 5) is plan("x", 5) is plan("x", None, [1], [("a", 1)]) is None
    with pytest.raises(StatementError, match="syntax error"):
        plan("selec")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="2026-11-21: only Linux lists open files there")
def test_a_closed_connection_leaves_no_file_open(tmp_path: Path) -> None:
    con = ServerConnection(tmp_path / "data", name="x")
    con.run(con.plan("create table t(a)"))
    held = [con.plan("select a from t"), con.plan("insert into t values (1)")]
    cursor = con.cursor(held[0], None, None, ServerConnection.JSON, 0, False)
    cursor.fetch(1, 100)

    def opened() -> int:
        files = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return sum(str(tmp_path) in str(path) for path in files)

    assert opened() > 0
    con.close()
    assert opened() == 0
    cursor.close()
    with pytest.raises(StatementError, match="closed"):
        con.run(held[1])
