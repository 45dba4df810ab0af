"""Fuzz target: bent SQL texts and arguments through the server's connections. `python server_fuzz.py [seed [cases]]`.

The rule: what the server's check lets through, SQLite's parser takes; what it calls a syntax error, SQLite refuses too.
A statement answers with JSON whose values are those that went in, or fails with a code that clients know.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import random
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import libsql_core
from libsql_core._engine import ServerConnection, StatementError

TEXTS = (
    "select a, b as 'x y', count(*) from t, u as v where a between ? and :n group by 1 having max(b) > 2 order by 1",
    "with recursive c(i) as not materialized (select 1 union select i+1 from c) select * from c limit 3",
    "insert or replace into t(a, b) values (1, 'x'), (?2, x'00ff') on conflict (a) do update set b = 3 returning *",
    "update or ignore main.t set (a, b) = (select 1, 2) from u where t.a = u.c returning a",
    "delete from t where b like '%é' escape '!' or a in (1, 2, ?) and not exists (select 1 from u)",
    "create table if not exists w(a integer primary key autoincrement, b text collate nocase default (1 + 2) not null, "
    "unique (a, b) on conflict ignore, foreign key (b) references t(a) on delete cascade deferrable) strict",
    "create unique index i on t(a, b desc) where a > 0", "create index i2 using vector_idx, x on t (a)",
    "create trigger if not exists r after update of a, b on t for each row when new.a > 1 begin "
    "insert into u values (new.a); select case when 1 then raise(abort, 'x') end; end",
    "create virtual table f using fts5(a, b, tokenize = 'porter ascii')", "drop view if exists main.v",
    "alter table t rename column a to z", "alter table t alter column b to b varchar(5) default (')')",
    "alter table t add column q generated always as (a + 1) stored", "create table k(a) random rowid",
    "select row_number() over (partition by a order by b rows between 1 preceding and current row exclude ties) from t",
    "select sum(a) filter (where b is not null) over w, a->>'$.b' from t window w as (order by a)",
    "select cast(a as text), 1_000, 0xff, 1e-5, .5, -a, ~a, not a, a || b, a << 2, a <> b, a is distinct from b from t",
    "begin immediate transaction", "begin transaction readonly", "commit", "rollback to savepoint s", "savepoint s",
    "pragma main.table_info('t')", "pragma user_version = -5", "pragma foreign_keys(on)", "explain query plan select 1",
    "attach database db as x", "detach x", "reindex t",
    "values (1, 2), (3, 4) union all select 5, 6 except select 7, 8",
    "select * from t natural left join u using (a) cross join (select 1) indexed by i", "release s", "vacuum",
)  # fmt: skip
WORDS = (
    "select", "from", "where", "(", ")", ",", ";", "'x'", '"a"', "[b]", "`c`", "?", "?3", ":n", "@v", "$w", "1",
    "2.5", "x'ab'", "null", "begin", "end", "explain", "query", "plan", "create", "table", "temp", "trigger", "alter",
    "column", "to", "using", "with", "as", "insert", "into", "values", "update", "set", "delete", "pragma", "attach",
    "on", "is", "not", "over", "window", "filter", "random", "readonly", "rowid", "without", "t", "a", "é", "--\n",
    "/* */", "/*", "'", '"', "=", "->", "||", "*", ".", "!", "#", "\0", "\x01", "\n", " ", "replace", "recursive",
    "case", "when", "then", "join",
)  # fmt: skip
ENCODINGS: tuple[Literal[0, 1, 2], ...] = (0, 1, 2)
# What SQLite says when its parser stops.
STOPS = ("syntax error", "incomplete input", "unrecognized token")
CODES = {
    "SQL_PARSE_ERROR", "SQL_NO_STATEMENT", "SQL_MANY_STATEMENTS", "SQL_INPUT_ERROR", "ARGS_INVALID",
    "RESPONSE_NOT_UTF8", "RESPONSE_TOO_LARGE", "ARGS_BOTH_POSITIONAL_AND_NAMED",
}  # fmt: skip


def bent(draw: random.Random) -> str:
    """A text that is a statement, nearly one, or none."""
    if draw.random() < 0.2:
        return draw.choice((" ", "")).join(draw.choices(WORDS, k=draw.randrange(12)))
    text = draw.choice(TEXTS)
    for _ in range(draw.choice((0, 0, 1, 1, 2, 4))):
        at = draw.randrange(len(text) + 1)
        move = draw.random()
        if move < 0.3:
            text = text[:at] + draw.choice(WORDS) + text[at:]
        elif move < 0.5:
            text = text[:at] + " " + draw.choice(WORDS) + " " + text[at:]
        elif move < 0.8:
            text = text[:at] + text[at + draw.randrange(1, 12) :]
        else:
            text += draw.choice(("; ", ";", " -- ", " /* ")) + draw.choice((*TEXTS, "", " "))
    return text


def sqlite_says(con: libsql_core.Connection, sql: str) -> str:
    """What SQLite has against one statement, if it has something."""
    try:
        con(sql)
    except libsql_core.DatabaseError as error:
        return str(error)
    return ""


def check_text(server: ServerConnection, stock: libsql_core.Connection, sql: str) -> None:
    detail = ""
    plans = []
    try:
        plans = server.parse(sql)
    except StatementError as error:
        detail = error.detail
    for plan in plans:
        says = sqlite_says(stock, plan.sql)
        # The definition behind ALTER COLUMN ... TO is read when the statement is prepared.
        assert not any(stop in says for stop in STOPS) or "alter" in plan.sql, (plan.sql, says)
    # SQLite takes a comment that does not end; and what stands behind a NUL or a ";" is not there for it.
    if (
        detail
        and "unsupported statement: " not in detail
        and "block comment" not in detail
        and not {"\0", ";"} & {*sql}
    ):
        assert sqlite_says(stock, sql), (sql, detail)


def value(draw: random.Random) -> Any:
    kind = draw.randrange(7)
    if kind == 0:
        return None
    if kind == 1:
        return draw.choice((0, 1, -1, 2**63 - 1, -(2**63), draw.getrandbits(40)))
    if kind == 2:
        found: float = struct.unpack("<d", draw.randbytes(8))[0]
        return found if found - found == 0 else 0.5
    if kind < 6:
        return "".join(draw.choices('ab"\\\0\n\x1f\x7fé𝄞€\u2028', k=draw.randrange(30)))
    return draw.randbytes(draw.randrange(20))


def decoded(cell: dict[str, Any]) -> Any:
    kind = cell["type"]
    if kind == "blob":
        return base64.b64decode(cell["base64"] + "=" * (-len(cell["base64"]) % 4))
    return int(cell["value"]) if kind == "integer" else cell.get("value")


def check_values(server: ServerConnection, draw: random.Random) -> None:
    row = [value(draw) for _ in range(draw.randrange(1, 6))]
    plan = server.plan(f"select {', '.join('?' * len(row))}")
    result = json.loads(server.execute(plan, row, None, ServerConnection.JSON, 1 << 20))
    assert [decoded(cell) for cell in result["rows"][0]] == row, row
    plain = json.loads(server.execute(plan, result["rows"][0], None, ServerConnection.PLAIN, 1 << 20))
    assert [base64.b64decode(cell["base64"] + "==") if type(cell) is dict else cell for cell in plain["rows"][0]] == row


def junk(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.randrange(9 if depth < 3 else 6)
    if kind < 4:
        return value(draw)
    if kind == 4:
        return draw.choice((True, False, 10**30, "5", "AQI=", "text", "\ud800", float("inf"), float("nan")))
    if kind == 5:
        return draw.choice(("null", "integer", "float", "text", "blob"))
    if kind == 6:
        return {draw.choice(("type", "value", "base64", "x")): junk(draw, depth + 1) for _ in range(draw.randrange(4))}
    if kind == 7:
        return tuple(junk(draw, depth + 1) for _ in range(draw.randrange(4)))
    return {"type": draw.choice(("null", "integer", "float", "text", "blob", "x")), "value": junk(draw, depth + 1)}


def check_run(server: ServerConnection, draw: random.Random, sql: str) -> None:
    """Whatever text and arguments: an answer, or an error of the documented kinds."""
    args = [junk(draw) for _ in range(draw.randrange(4))] if draw.random() < 0.5 else None
    named = {draw.choice((":n", "n", "v", "@v", "w")): junk(draw)} if draw.random() < 0.3 else None
    encoding = draw.choice(ENCODINGS)
    hrana = draw.choice(ENCODINGS[:2])
    try:
        plan = server.plan(sql)
        if draw.random() < 0.3:
            cursor = server.cursor(plan, args, named, hrana, 1, draw.random() < 0.5)
            done = False
            while not done and draw.random() < 0.9:
                _, _, done = cursor.fetch(draw.randrange(4), draw.choice((1, 100, 1 << 20)))
            cursor.close()
        else:
            server.execute(plan, args, named, encoding, draw.choice((10, 1000, 1 << 20)))
    except StatementError as error:
        if error.code not in CODES and not error.code.startswith("SQLITE_"):
            raise
    except (ValueError, TypeError, OverflowError):
        if args is None and named is None:
            raise
    if draw.random() < 0.2:
        server.describe("select 1", hrana)


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    faulthandler.enable()
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        server = ServerConnection(Path(folder) / "data", name="x", wal_autocheckpoint=0, synchronous=0)
        stock = libsql_core.connect(":memory:", isolation_level=None)
        for con in (lambda sql: server.run(server.plan(sql)), stock.execute):
            con("create table t(a, b)")
            con("create table u(c)")
        for _ in range(cases):
            sql = bent(draw)
            check_text(server, stock, sql)
            check_values(server, draw)
            check_run(server, draw, sql)
            if not server.reset():
                server.close()
                server = ServerConnection(Path(folder) / "data", name="x", wal_autocheckpoint=0, synchronous=0)
        server.close()
        stock.close()


if __name__ == "__main__":
    main()
