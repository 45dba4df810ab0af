"""The text form of a database, out and in again."""

from __future__ import annotations

import asyncio
import http.server
import io
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import libsql_core
from libsql_core import _engine as engine
from libsql_core.hrana.errors import HttpError
from libsql_core.server import dump

HEAD, TAIL = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n", "COMMIT;\n"


@pytest.fixture
def con() -> Iterator[engine.Connection]:
    made = engine.connect(":memory:", autocommit=True)
    yield made
    made.close()


def text_of(con: engine.Connection, rowids: bool = False) -> str:
    text = b"".join(dump.statements(con, rowids)).decode()
    con.execute("ROLLBACK")
    assert text.startswith(HEAD)
    assert text.endswith(TAIL)
    return text[len(HEAD) : -len(TAIL)]


def again(text: str) -> engine.Connection:
    made = engine.connect(":memory:", autocommit=True)
    dump.load(made, io.BytesIO((HEAD + text + TAIL).encode()))
    made.set_authorizer(None)
    return made


@pytest.mark.parametrize(
    ("script", "plain", "rowids"),
    [
        # As sqld 0.24.32 writes them.
        (
            'create table "a b"(x, "y z"); insert into "a b" values (1, null)',
            'CREATE TABLE IF NOT EXISTS "a b"(x, "y z");\nINSERT INTO "a b" VALUES(1,NULL);\n',
            'CREATE TABLE IF NOT EXISTS "a b"(x, "y z");\nINSERT INTO "a b"(rowid,x,"y z") VALUES(1,1,NULL);\n',
        ),
        (
            "create table t(a); create view v1 as select 1; create index i1 on t(a);"
            "create trigger tr1 after insert on t begin select 1; end; create view v2 as select 2; create table t0(a)",
            "CREATE TABLE IF NOT EXISTS t(a);\nCREATE TABLE IF NOT EXISTS t0(a);\nCREATE VIEW v1 as select 1;\n"
            "CREATE INDEX i1 on t(a);\nCREATE TRIGGER tr1 after insert on t begin select 1; end;\n"
            "CREATE VIEW v2 as select 2;\n",
            None,
        ),
        (
            "create table wr(a text primary key, b) without rowid; insert into wr values('k', x'00ff')",
            "CREATE TABLE IF NOT EXISTS wr(a text primary key, b) without rowid;\n"
            "INSERT INTO wr VALUES('k',X'00ff');\n",
            None,
        ),
        (
            "create table au(id integer primary key autoincrement, z); insert into au(z) values('a\nb\rc')",
            "CREATE TABLE IF NOT EXISTS au(id integer primary key autoincrement, z);\n"
            "INSERT INTO au VALUES(1,replace(replace('a\\nb\\rc','\\r',char(13)),'\\n',char(10)));\n"
            "DELETE FROM sqlite_sequence;\nINSERT INTO sqlite_sequence VALUES('au',1);\n",
            "CREATE TABLE IF NOT EXISTS au(id integer primary key autoincrement, z);\n"
            "INSERT INTO au(rowid,id,z) VALUES(1,1,replace(replace('a\\nb\\rc','\\r',char(13)),'\\n',char(10)));\n"
            "DELETE FROM sqlite_sequence;\nINSERT INTO sqlite_sequence(rowid,name,seq) VALUES(1,'au',1);\n",
        ),
        (
            "create table g(a, b as (a*2) stored, c as (a+1)); insert into g values (4)",
            "CREATE TABLE IF NOT EXISTS g(a, b as (a*2) stored, c as (a+1));\nINSERT INTO g VALUES(4);\n",
            "CREATE TABLE IF NOT EXISTS g(a, b as (a*2) stored, c as (a+1));\nINSERT INTO g(rowid,a) VALUES(1,4);\n",
        ),
        (
            "create table e1(a); insert into e1 values('x\\ny\nz')",
            "CREATE TABLE IF NOT EXISTS e1(a);\nINSERT INTO e1 VALUES(replace('x\\ny\\012z','\\012',char(10)));\n",
            "CREATE TABLE IF NOT EXISTS e1(a);\n"
            "INSERT INTO e1(rowid,a) VALUES(1,replace('x\\ny\\012z','\\012',char(10)));\n",
        ),
        (
            "create table r(rowid, x); insert into r values(7, 8); create table n(rowid, _rowid_, oid);"
            "insert into n values (1, 2, 3)",
            "CREATE TABLE IF NOT EXISTS r(rowid, x);\nINSERT INTO r VALUES(7,8);\n"
            "CREATE TABLE IF NOT EXISTS n(rowid, _rowid_, oid);\nINSERT INTO n VALUES(1,2,3);\n",
            "CREATE TABLE IF NOT EXISTS r(rowid, x);\nINSERT INTO r(_rowid_,rowid,x) VALUES(1,7,8);\n"
            "CREATE TABLE IF NOT EXISTS n(rowid, _rowid_, oid);\nINSERT INTO n VALUES(1,2,3);\n",
        ),
        # Where it stops, or writes what cannot be read back.
        (
            'create table "select"("from" integer primary key, "x""y"); insert into "select" values (5, \'q\'\'q\')',
            'CREATE TABLE IF NOT EXISTS "select"("from" integer primary key, "x""y");\n'
            "INSERT INTO \"select\" VALUES(5,'q''q');\n",
            None,
        ),
        (
            "create view v as select 1 -- comment",
            "CREATE VIEW v as select 1 -- comment\n;\n",
            None,
        ),
    ],
)  # fmt: skip
def test_statements(con: engine.Connection, script: str, plain: str, rowids: str | None) -> None:
    con.executescript(script)
    assert text_of(con) == plain
    if rowids is not None:
        assert text_of(con, rowids=True) == rowids
    made = again(plain)
    assert text_of(made) == plain
    made.close()


def test_values_come_back(con: engine.Connection) -> None:
    values = [
        1e300, -1e-300, 0.1, 3.0, 2.5, math.inf, -math.inf, 2**63 - 1, -(2**63), None, "", "é", "a\0b", "\n", "'\r\n'",
        "\\n\\012\n", "\\r\\015\r\n", b"", bytes(range(256)), ";", "a;\nb", "\U0010ffff",
    ]  # fmt: skip
    con.execute("create table t(a, b)")
    con.executemany("insert into t values (?, ?)", [(value, value) for value in values])
    made = again(text_of(con))
    rows = made.execute("select a, b, typeof(a) from t order by rowid").fetchall()
    assert [row[0] for row in rows] == values
    assert [row[1] for row in rows] == values
    assert [str(row[0]) for row in rows[:7]] == [str(value) for value in values[:7]]
    made.close()


def test_virtual_tables_come_back(con: engine.Connection) -> None:
    con.executescript(
        "create virtual table df using fts5(z, tokenize='porter'); insert into df values ('running'), ('it''s')"
    )
    text = text_of(con)
    assert "PRAGMA writable_schema=ON;\nINSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES" in text
    assert "'CREATE VIRTUAL TABLE df using fts5(z, tokenize=''porter'')');" in text
    assert text.endswith("PRAGMA writable_schema=OFF;\n")


def test_virtual_tables_can_be_used_again(con: engine.Connection, tmp_path: Path) -> None:
    con.executescript("create virtual table df using fts5(z, tokenize='porter'); insert into df values ('running')")
    made = engine.connect(tmp_path / "data", autocommit=True)
    dump.load(made, io.BytesIO((HEAD + text_of(con) + TAIL).encode()))
    made.close()
    made = engine.connect(tmp_path / "data")
    assert made.execute("select z from df where df match 'runs'").fetchall() == [("running",)]
    assert made.execute("pragma integrity_check").fetchall() == [("ok",)]
    made.close()


def test_a_stream_is_made_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "data"
    con = libsql_core.connect(path)
    con.execute("create table t(a)")
    con.executemany("insert into t values (?)", [("x" * 1000,)] * 1000)
    con.commit()
    con.close()
    opened: list[engine.Connection] = []

    def opener() -> engine.Connection:
        opened.append(engine.connect(path, autocommit=True, check_same_thread=False))
        return opened[-1]

    async def main() -> list[bytes]:
        return [piece async for piece in dump.stream(opener, False)]

    async def first() -> None:
        pieces = dump.stream(opener, False)
        await pieces.__anext__()
        await pieces.aclose()

    pieces = asyncio.run(main())
    assert len(b"".join(pieces)) > 1_000_000
    assert max(map(len, pieces)) < 2 * dump.CHUNK
    asyncio.run(first())
    for closed in opened:
        with pytest.raises(libsql_core.ProgrammingError, match="closed"):
            closed.execute("select 1")


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        # As sqld 0.24.32 answers.
        ("begin;\ncreate table x(a);\n", 400, "The dump should commit the transaction."),
        (
            "begin;\ncreat table x(a);\ncommit;\n", 400,
            'The passed dump sql is invalid: msg: near "creat": syntax error, sql: creat table x(a);\n, offset: 0',
        ),
        ("begin;\ncreate table x(a);\nattach 'z' as y;\n", 500, "Internal error: line: 3, error: not authorized"),
        ("begin;\n", 400, "The dump should commit the transaction."),
        ("begin;\ncommit;\ncreate table y(a);\n", 400, "A dump should execute within a transaction."),
        (
            "begin;\nselect 1;\n", 500,
            "Internal error: line: 2, error: Execute returned results - did you mean to call query?",
        ),
        ("pragma foreign_keys=off;\npragma user_version=5;\nbegin;\n", 400,
         "A dump should execute within a transaction."),
        ("begin;\nvacuum;\n", 500, "Internal error: line: 2, error: cannot VACUUM from within a transaction"),
        # What else must not be.
        ("pragma journal_mode=off;\n", 500, "Internal error: line: 1, error: not authorized"),
        ("begin;\ninsert into nope values(1);\n", 500, "Internal error: line: 2, error: no such table: nope"),
        ("begin; create table x(a unique);\ninsert into x values(1); insert into x values(1);\n", 500,
         "Internal error: line: 2, error: UNIQUE constraint failed: x.a"),
        ("begin;\nselect 'a\n", 400, "The passed dump sql is invalid: msg: unrecognized token: \"'a\n\", "
         "sql: select 'a\n, offset: 7"),
    ],
)  # fmt: skip
def test_dumps_that_fail(con: engine.Connection, text: str, status: int, message: str) -> None:
    with pytest.raises(HttpError) as caught:
        dump.load(con, io.BytesIO(text.encode()))
    assert (caught.value.status, caught.value.message) == (status, message)


@pytest.mark.parametrize(
    "text",
    [
        "", "create table x(a);\n", "begin; create table x(a); commit;", "begin;\ncreate table x(a);\nrollback;\n",
        "begin;create table x(a);\n-- c;\ninsert into x values('a;\nb');\ncommit;\n-- the end;\n",
    ],
)  # fmt: skip
def test_dumps_that_do_not(con: engine.Connection, text: str) -> None:
    dump.load(con, io.BytesIO(text.encode()))
    assert not con.in_transaction
    con.set_authorizer(None)
    assert con.execute("select count(*) from sqlite_schema").fetchone() == (int("rollback" not in text and text != ""),)


def test_a_dump_that_is_not_utf8(con: engine.Connection) -> None:
    with pytest.raises(HttpError, match="not UTF-8"):
        dump.load(con, io.BytesIO(b"begin;\n\xff"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///nope.sql", "The passed dump file path doesn't exist"),
        ("file:nope.sql", "The passed dump file path is not absolute"),
        ("file://nope.sql", "Path is not a file"),
        ("file:///", "Path is not a file"),
        ("ftp://x/", "Unsupported dump url scheme `ftp`, supported schemes are: `http`, `file`"),
        ("http://127.0.0.1:1/", "The dump cannot be fetched: "),
        ("http://[/", None),
    ],
)
def test_urls_that_lead_nowhere(url: str, message: str | None) -> None:
    with pytest.raises((HttpError, ValueError)) as caught:
        dump.open_source(url)
    if message is not None:
        assert str(caught.value).startswith(message)


def test_sources(tmp_path: Path) -> None:
    file = tmp_path / "a b.sql"
    file.write_bytes(b"select 1;")
    with dump.open_source(file.as_uri()) as source:
        assert source.read() == b"select 1;"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/dump" else 404)
            self.end_headers()
            self.wfile.write(b"select 2;")

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            with dump.open_source(f"{url}/dump") as source:
                assert source.read() == b"select 2;"
            with pytest.raises(HttpError, match="cannot be fetched: HTTP Error 404"):
                dump.open_source(f"{url}/nope")
        finally:
            server.shutdown()
