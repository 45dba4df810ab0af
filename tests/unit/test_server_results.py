"""What the server's connections answer: values in each encoding, counts, errors, limits."""

from __future__ import annotations

import base64
import json
import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core._engine import ServerConnection, StatementError

JSON, PROTOBUF, PLAIN = ServerConnection.JSON, ServerConnection.PROTOBUF, ServerConnection.PLAIN


def masked(result: bytes) -> bytes:
    """Without the time, which is the last thing in the JSON of a result."""
    head, _, tail = result.rpartition(b":")
    assert tail.endswith(b"}")
    assert 0 <= float(tail[:-1]) < 60_000
    return head


def test_a_result(server: Any) -> None:
    con = server.con
    insert = con.execute(con.plan("insert into t values (7, 'x'), (8, ?) returning a, b"), ["y"], None, JSON, 999)
    assert masked(insert) == (
        b'{"cols":[{"name":"a","decltype":"INTEGER"},{"name":"b","decltype":"TEXT"}],"rows":[[{"type":"integer",'
        b'"value":"7"},{"type":"text","value":"x"}],[{"type":"integer","value":"8"},{"type":"text","value":"y"}]],'
        b'"affected_row_count":2,"last_insert_rowid":"8","replication_index":null,"rows_read":6,"rows_written":2,'
        b'"query_duration_ms"'
    )
    assert masked(con.execute(con.plan("select 1 as x, a from t where a > 9"), [], [], PLAIN, 999)) == (
        b'{"columns":["x","a"],"rows":[],"rows_read":1,"rows_written":0,"query_duration_ms"'
    )
    assert (con.rows_read, con.rows_written) == (1, 0)
    whole = con.execute(con.plan("delete from t"), None, None, JSON, 999, b"<<", b">>", 5_000_000)
    assert whole[:2] + whole[-2:] == b"<<>>"
    answer = json.loads(whole[2:-2])
    assert (answer["affected_row_count"], answer["last_insert_rowid"], answer["rows_written"]) == (2, None, 2)
    assert 5000 <= answer["query_duration_ms"] < 5900
    assert con.micros == round(answer["query_duration_ms"] * 1000)


# A value of a row: the SQL that makes it, its JSON, its JSON at POST /, its fields in protobuf.
VALUES: list[tuple[str, str, str, list[tuple[int, Any]]]] = [
    ("null", '{"type":"null"}', "null", [(1, b"")]),
    ("0", '{"type":"integer","value":"0"}', "0", [(2, 0)]),
    ("-1", '{"type":"integer","value":"-1"}', "-1", [(2, 1)]),
    ("9223372036854775807", '{"type":"integer","value":"9223372036854775807"}', "9223372036854775807",
     [(2, 2**64 - 2)]),
    ("-9223372036854775808", '{"type":"integer","value":"-9223372036854775808"}', "-9223372036854775808",
     [(2, 2**64 - 1)]),
    ("1.5", '{"type":"float","value":1.5}', "1.5", [(3, struct.pack("<d", 1.5))]),
    ("-0.0", '{"type":"float","value":-0.0}', "-0.0", [(3, struct.pack("<d", -0.0))]),
    ("9e999", '{"type":"float","value":null}', "null", [(3, struct.pack("<d", math.inf))]),
    ("-9e999", '{"type":"float","value":null}', "null", [(3, struct.pack("<d", -math.inf))]),
    ("''", '{"type":"text","value":""}', '""', [(4, b"")]),
    ("'é\"\\/'", '{"type":"text","value":"é\\"\\\\/"}', '"é\\"\\\\/"', [(4, 'é"\\/'.encode())]),
    ("char(0, 8, 9, 10, 12, 13, 31, 127, 0x1f600)",
     '{"type":"text","value":"\\u0000\\b\\t\\n\\f\\r\\u001f\x7f😀"}', '"\\u0000\\b\\t\\n\\f\\r\\u001f\x7f😀"',
     [(4, "\0\b\t\n\f\r\x1f\x7f😀".encode())]),
    ("x''", '{"type":"blob","base64":""}', '{"base64":""}', [(5, b"")]),
    ("x'00ff10ab'", '{"type":"blob","base64":"AP8Qqw"}', '{"base64":"AP8Qqw"}', [(5, b"\0\xff\x10\xab")]),
    ("zeroblob(7)", '{"type":"blob","base64":"AAAAAAAAAA"}', '{"base64":"AAAAAAAAAA"}', [(5, bytes(7))]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "hrana", "plain", "protobuf"), VALUES, ids=[value[0] for value in VALUES])
def test_values(server: Any, fields: Any, sql: str, hrana: str, plain: str, protobuf: list[tuple[int, Any]]) -> None:
    con = server.con
    plan = con.plan(f"select {sql} as v, 1 as w")
    assert f'"rows":[[{hrana},{{"type":"integer","value":"1"}}]]' in con.execute(plan, [], [], JSON, 9999).decode()
    assert f'"rows":[[{plain},1]]' in con.execute(plan, [], [], PLAIN, 9999).decode()
    found = fields(con.execute(plan, [], [], PROTOBUF, 9999))
    assert found[:2] == [(1, b"\x0a\x01v"), (1, b"\x0a\x01w")]
    (content,) = [value for number, value in found if number == 2]
    assert [(number, fields(value)) for number, value in fields(content)] == [(1, protobuf), (1, [(2, 2)])]


def test_a_result_in_protobuf(server: Any, fields: Any) -> None:
    con = server.con
    found = fields(con.execute(con.plan("insert into t values (6, 'x')"), None, None, PROTOBUF, 999, waited=1000))
    assert found[:-1] == [(3, 1), (4, 12), (7, 1)] or found[:-1] == [(3, 1), (4, 12), (6, 1), (7, 1)]
    assert found[-1][0] == 8
    assert struct.unpack("<d", found[-1][1])[0] >= 1.0
    columns = fields(con.execute(con.plan("select a, 1 from t"), [], [], PROTOBUF, 999))[:2]
    assert [fields(column) for _, column in columns] == [[(1, b"a"), (2, b"INTEGER")], [(1, b"1")]]


def exact(value: float) -> str:
    """The shortest decimal of a float in the form of the wire, from Python's own."""
    digits, _, exponent = f"{value!r}".lstrip("-").partition("e")
    whole, _, rest = digits.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = whole + (rest if rest != "0" else "")
    point -= len(digits) - len(digits.lstrip("0"))
    digits = digits.lstrip("0").rstrip("0") or "0"
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return sign + "0.0"
    if 0 < point <= 16:
        return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"
    if -5 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1}"


def test_floats_are_the_shortest(server: Any) -> None:
    draw = random.Random(8)
    bits = [draw.getrandbits(64) for _ in range(20_000)]
    # Powers of two have a nearer neighbour below; the smallest have few digits.
    bits += [exponent << 52 for exponent in range(2047)] + [(exponent << 52) - 1 for exponent in range(1, 2047)]
    bits += [*range(1, 200), (2046 << 52) + (1 << 52) - 1]
    values = [struct.unpack("<d", struct.pack("<Q", number))[0] for number in bits]
    values += [draw.randrange(10**6) / 10 ** draw.randrange(9) for _ in range(20_000)]
    values += [float(10**k) for k in range(-8, 0)] + [float(f"1e{k}") for k in range(-323, 309)]
    values += [draw.uniform(0, 1) * 10 ** draw.randrange(-8, 20) for _ in range(20_000)]
    values += [float(draw.getrandbits(draw.randrange(1, 63))) for _ in range(5000)]
    values = [value for value in values if math.isfinite(value)]
    assert len(values) > 69_000
    for start in range(0, len(values), 1000):
        part = values[start : start + 1000]
        sql = f"values ({'),('.join('?' * len(part))})"
        result = server.con.execute(server.con.plan(sql), part, None, PLAIN, 1 << 40).decode()
        found = result[result.index("[[") + 2 : result.index("]]")].split("],[")
        assert found == [exact(value) for value in part]


def test_texts_of_any_length_are_escaped(server: Any) -> None:
    draw = random.Random(3)
    letters = "abcdefgh" * 4 + '"\\\n\x00\x1f\x7f' + "éß€𝄞"
    for _ in range(300):
        text = "".join(draw.choices(letters, k=draw.randrange(0, 60)))
        assert server.value("select ?", text) == text
        assert server.json("select ? as x", [text])["rows"] == [[{"type": "text", "value": text}]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "invalid utf-8 sequence of 1 bytes from index 0"),
        (b"ab\xc3", "incomplete utf-8 byte sequence from index 2"),
        (b"\xe2\x82x", "invalid utf-8 sequence of 2 bytes from index 0"),
        (b"\xf0\x9f\x98x", "invalid utf-8 sequence of 3 bytes from index 0"),
        (b"\xc3\xa9\xed\xa0\x80", "invalid utf-8 sequence of 1 bytes from index 2"),
        (b"plain text \xc0\x80", "invalid utf-8 sequence of 1 bytes from index 11"),
    ],
)
@pytest.mark.parametrize("encoding", [JSON, PROTOBUF, PLAIN])
def test_text_that_is_not_utf8(server: Any, data: bytes, message: str, encoding: int) -> None:
    plan = server.con.plan("select 'fine', cast(? as text)")
    with pytest.raises(StatementError) as caught:
        server.con.execute(plan, [data], None, encoding, 999)
    assert (caught.value.message, caught.value.code) == (message, "RESPONSE_NOT_UTF8")
    assert server.value("select 1") == 1


ERRORS = [
    ("select * from nope", "SQLite error: no such table: nope", "SQLITE_UNKNOWN"),
    ("select nope", "SQL input error: no such column: nope (at offset 7)", "SQL_INPUT_ERROR"),
    (" ; select nope", "SQL input error: no such column: nope (at offset 7)", "SQL_INPUT_ERROR"),
    ("select nope(1)", "SQL input error: no such function: nope (at offset 7)", "SQL_INPUT_ERROR"),
    ("create table t(a)", "SQL input error: table t already exists (at offset 13)", "SQL_INPUT_ERROR"),
    ("insert into t values (1)", "SQLite error: table t has 2 columns but 1 values were supplied", "SQLITE_UNKNOWN"),
    ("insert into t values ('x', 1)", "SQLite error: datatype mismatch", "SQLITE_MISMATCH"),
    ("select json('x')", "SQLite error: malformed JSON", "SQLITE_UNKNOWN"),
    ("select abs(-9223372036854775808)", "SQLite error: integer overflow", "SQLITE_UNKNOWN"),
    ("commit", "SQLite error: cannot commit - no transaction is active", "SQLITE_UNKNOWN"),
    ("release s", "SQLite error: no such savepoint: s", "SQLITE_UNKNOWN"),
    ("select load_extension('x')", "SQLite error: not authorized", "SQLITE_UNKNOWN"),
    ("select zeroblob(5000001)", "SQLite error: string or blob too big", "SQLITE_TOOBIG"),
    ("select ?0", "SQL input error: variable number must be between ?1 and ?32766 (at offset 7)", "SQL_INPUT_ERROR"),
    ("attach db as x", "SQLite error: unable to open database: db", "SQLITE_CANTOPEN"),
]


@pytest.mark.parametrize(("sql", "message", "code"), ERRORS)
def test_errors(server: Any, sql: str, message: str, code: str) -> None:
    for _ in range(2):  # the second time from the cache
        assert server.fails(sql) == (message, code)
    assert server.value("select 1") == 1


def test_constraints(server: Any) -> None:
    server.script("create table u(a unique, b references t(a)); insert into u values (1, null)")
    unique = ("SQLite error: UNIQUE constraint failed: u.a", "SQLITE_CONSTRAINT")
    assert server.fails("insert into u values (1, null)") == unique
    foreign = ("SQLite error: FOREIGN KEY constraint failed", "SQLITE_CONSTRAINT")
    assert server.fails("insert into u values (2, 5)") == foreign


def test_an_error_while_it_is_compiled_anew(server: Any) -> None:
    plan = server.con.plan("select a, b from t")
    server.con.execute(plan, None, None, JSON, 999)
    server.script("alter table t drop column b")
    with pytest.raises(StatementError) as caught:
        server.con.execute(plan, None, None, JSON, 999)
    assert (caught.value.message, caught.value.code) == (
        "SQL input error: no such column: b (at offset 10)", "SQL_INPUT_ERROR")  # fmt: skip


def test_columns_follow_the_table(server: Any) -> None:
    plan = server.con.plan("select * from t")
    names = [[column["name"] for column in server.json("select * from t")["cols"]]]
    server.script("alter table t add column c real")
    result = server.con.execute(plan, None, None, JSON, 999)
    names.append([column["name"] for column in json.loads(result)["cols"]])
    assert names == [["a", "b"], ["a", "b", "c"]]


def test_the_limit_of_a_response(server: Any) -> None:
    con = server.con
    plan = con.plan("select ? as x")
    size = len(con.execute(plan, ["y" * 2000], None, JSON, 1 << 20))
    for encoding in (JSON, PROTOBUF, PLAIN):
        with pytest.raises(StatementError) as caught:
            con.execute(plan, ["y" * 20000], None, encoding, 1 << 12)
        assert (caught.value.message, caught.value.code) == ("Response is too large", "RESPONSE_TOO_LARGE")
    assert len(con.execute(plan, ["y" * 2000], None, JSON, size + 64)) <= size + 8
    with pytest.raises(StatementError, match="too large"):
        con.execute(con.plan("insert into t values (1, 'x') returning ?"), ["z" * 9999], None, JSON, 4000)
    assert server.value("select count(*) from t") == 1


def test_the_limit_of_a_row(open_server: Any) -> None:
    server = open_server(row_limit=1000)
    assert server.fails("select ?", ["x" * 1001]) == (
        "Arguments do not match SQL parameters: string or blob too big", "ARGS_INVALID")  # fmt: skip
    assert server.fails("select ?", [b"x" * 1001])[1] == "ARGS_INVALID"
    assert server.fails("select zeroblob(1001)")[1] == "SQLITE_TOOBIG"
    assert server.value("select length(?)", "x" * 1000) == 1000


def test_the_limit_of_a_database(open_server: Any) -> None:
    server = open_server(max_pages=10)
    server.script("create table t(a)")
    assert server.fails("insert into t values (zeroblob(100000))") == (
        "SQLite error: database or disk is full", "SQLITE_FULL")  # fmt: skip
    assert server.value("pragma max_page_count") == 10


def test_large_results_do_not_stay_in_memory(server: Any) -> None:
    rows = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) select i, ? from n"
    result = server.rows(rows, ["x" * 1000])
    assert result == [[number, "x" * 1000] for number in range(1, 3001)]
    assert server.rows(rows, ["y"])[-1] == [3000, "y"]


def test_describe(server: Any, fields: Any) -> None:
    def describe(sql: str) -> Any:
        return json.loads(server.con.describe(sql, JSON))

    assert describe("select a, b as c, ?1, :n, ?, ?9 from t") == {
        "params": [{"name": name} for name in ("?1", ":n", None, None, None, None, None, None, "?9")],
        "cols": [
            {"name": "a", "decltype": "INTEGER"},
            {"name": "c", "decltype": "TEXT"},
            {"name": "?1", "decltype": None},
            {"name": ":n", "decltype": None},
            {"name": "?", "decltype": None},
            {"name": "?9", "decltype": None},
        ],
        "is_explain": False,
        "is_readonly": True,
    }
    assert describe("") == {"params": [], "cols": [], "is_explain": False, "is_readonly": True}
    assert describe("vacuum")["is_readonly"] is False
    assert describe("explain delete from t")["is_explain"] is True
    assert [column["name"] for column in describe("select 1 as x; select 2 as y")["cols"]] == ["x"]
    found = fields(server.con.describe("explain select ?, :n", PROTOBUF))
    assert (found[:2], found[-2:]) == ([(1, b""), (1, b"\x0a\x02:n")], [(3, 1), (4, 1)])
    with pytest.raises(StatementError) as caught:
        server.con.describe("selec", JSON)
    assert (caught.value.message, caught.value.code) == (
        'SQL input error: near "selec": syntax error (at offset 0)', "SQL_INPUT_ERROR")  # fmt: skip


def test_describing_a_pragma_changes_nothing(server: Any) -> None:
    server.con.describe("pragma foreign_keys = off", JSON)
    assert server.value("pragma foreign_keys") == 1
    for sql in ("pragma writable_schema = on", "explain pragma key = 'x'"):
        with pytest.raises(StatementError, match="unsupported statement: "):
            server.con.describe(sql, JSON)


def test_base64(server: Any) -> None:
    for size in range(40):
        data = random.Random(size).randbytes(size)
        text = base64.b64encode(data).decode()
        for form in (text, text.rstrip("=")):
            assert server.value("select hex(?)", {"type": "blob", "base64": form}) == data.hex().upper()
        assert server.value("select ?", data) == {"base64": text.rstrip("=")}
    for bad in ("A", "AA=A", "A===", "AB", "A-_A", "A A=", "é", "AAA==", "===="):
        with pytest.raises(ValueError, match="not a value of type"):
            server.value("select ?", {"type": "blob", "base64": bad})


def test_foreign_encodings(open_server: Any, fields: Any, tmp_path: Path) -> None:
    path = tmp_path / "data"
    con = libsql_core.connect(path)
    con.execute("pragma encoding = 'UTF-16le'")
    con.execute("create table t(é text)")
    con.execute("insert into t values ('𝄞 é')")
    con.commit()
    con.close()
    server = open_server()
    assert server.json("select * from t where é = ?", ["𝄞 é"])["rows"] == [[{"type": "text", "value": "𝄞 é"}]]
    found = fields(server.con.execute(server.con.plan("select * from t"), [], [], PROTOBUF, 999))
    assert found[0][1] == b"\x0a\x02\xc3\xa9\x12\x04TEXT"
    assert "𝄞 é".encode() in found[1][1]


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ("1, 3", [1, 2, 3]),
        ("1, 8, 3", [1, 4, 7]),
        ("3, 1", []),
        ("3, 1, -1", [3, 2, 1]),
        ("8, 0, -3", [8, 5, 2]),
        ("5, 5", [5]),
        ("1, 2, 0", [1, 2]),
        ("null, 3", []),
        ("1, 3, null", []),
        ("9223372036854775805, 9223372036854775807, 2", [2**63 - 3, 2**63 - 1]),
        ("-9223372036854775807, -9223372036854775808, -1", [-(2**63) + 1, -(2**63)]),
        ("-9223372036854775808, 9223372036854775807, 9223372036854775807", [-(2**63), -1, 2**63 - 2]),
    ],
)
def test_generate_series(server: Any, arguments: str, values: list[int]) -> None:
    assert [row[0] for row in server.rows(f"select value from generate_series({arguments})")] == values
    down = server.rows(f"select value, rowid from generate_series({arguments}) order by value desc")
    assert down == [[value, value] for value in sorted(values, reverse=True)]


def test_generate_series_in_joins(server: Any) -> None:
    assert server.rows("select value from generate_series(4294967290) where value % 2 limit 3") == [
        [4294967291], [4294967293], [4294967295]]  # fmt: skip
    pairs = "select a.value, b.value from generate_series(1, 3) a, generate_series(a.value + 1, 3) b"
    assert server.rows(pairs) == [[1, 2], [1, 3], [2, 3]]
    assert server.rows("select start, stop, step from generate_series(1, 9, 2) limit 1") == [[1, 9, 2]]
    limits = "-9223372036854775808, 9223372036854775807"
    assert server.rows(f"select value from generate_series({limits}) limit 2") == [[-(2**63)], [-(2**63) + 1]]
    assert server.fails("select * from generate_series") == (
        'SQLite error: first argument to "generate_series()" missing or unusable', "SQLITE_UNKNOWN")  # fmt: skip


def test_a_schema_that_another_connection_has_changed(tmp_path: Path) -> None:
    """Not for each of its errors does SQLite look whether the schema it knows is still the one."""
    file = tmp_path / "data"
    libsql_core.connect(file).execute("pragma journal_mode=wal").connection.close()
    first, second = (ServerConnection(file, name="test") for _ in range(2))
    for sql in ("create table t(a)", "insert into t values (1)"):
        first.run(first.plan(sql))
    second.run(second.plan("alter table t add column b"))
    first.run(first.plan("insert into t values (1, 2)"))
    second.run(second.plan("alter table t add column c"))
    assert b"error" not in first.describe("insert into t values (1, 2, 3)", ServerConnection.JSON)
    for con in (first, second):
        with pytest.raises(StatementError, match="table t has 3 columns but 4 values were supplied"):
            con.run(con.plan("insert into t values (1, 2, 3, 4)"))
        con.close()
