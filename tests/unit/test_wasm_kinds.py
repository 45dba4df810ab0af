"""Aggregates and table functions in WebAssembly, files of modules, and processes without wasmtime."""

from __future__ import annotations

import json
import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import OperationalError

M = runpy.run_path(str(Path(__file__).with_name("wasm_modules.py")))
MEMORY, example, number = M["MEMORY"], M["example"], M["number"]


def aggregate(**parts: str) -> str:
    """A module with the aggregate `agg`: one of numbers, with these functions in the place of those that do nothing."""
    functions = {
        "init": "(result i32) (i32.const 0)",
        "step": "(param i32 i64)",
        "finalize": "(param i32) (result i64) (i64.const 1)",
        **parts,
    }
    text = " ".join(f'(func (export "agg_{name}") {body})' for name, body in functions.items() if body)
    return f"(module {MEMORY} {text})"


def table(**parts: str) -> str:
    """A module with the table function `tab`: two rows with the number 7."""
    functions = {
        "columns": "(result i32) (i32.const 16)",
        "open": "(param i64) (result i32) (global.set $rows (i32.const 2)) (i32.const 5)",
        "next": "(param i32) (result i32) (global.set $rows (i32.sub (global.get $rows) (i32.const 1)))"
        " (i32.ge_s (global.get $rows) (i32.const 0))",
        "column": "(param i32 i32) (result i64) (i64.const 7)",
        "close": "(param i32)",
        **parts,
    }
    text = " ".join(f'(func (export "tab_{name}") {body})' for name, body in functions.items() if body)
    return f'(module {MEMORY} (global $rows (mut i32) (i32.const 0)) (data (i32.const 16) "\\03a, b\\00") {text})'


@pytest.fixture
def words(db: Any) -> Any:
    db.execute(f"create function words language wasm as '{example('words')}'")
    return db


@pytest.fixture
def xor(db: Any) -> Any:
    db.execute(f"create function bit_xor language wasm as '{example('xor')}'")
    return db


def test_aggregate(xor: Any) -> None:
    assert xor.rows("select bit_xor(value) from json_each('[1,2,4,7]')") == [(0,)]
    assert xor.rows("select bit_xor(value) from json_each('[1,2,null,8]')") == [(11,)]
    assert xor.rows("select bit_xor(value) from json_each('[]')") == [(0,)]
    assert xor.rows("select value % 3, bit_xor(value) from json_each('[1,2,3,4,5,6]') group by 1") == [
        (0, 5),
        (1, 5),
        (2, 7),
    ]
    assert xor.rows(
        "select bit_xor(distinct value), bit_xor(value) filter (where value > 1) from json_each('[1,1,2]')"
    ) == [(3, 2)]


def test_window_function(xor: Any) -> None:
    sql = "select bit_xor(value) over (order by value rows 1 preceding) from json_each('[1,2,4,8]')"
    assert xor.rows(sql) == [(1,), (3,), (6,), (12,)]
    frame = "order by value rows between current row and unbounded following"
    sql = f"select bit_xor(value) over ({frame}) from json_each('[1,2,4]')"
    assert xor.rows(sql) == [(7,), (6,), (4,)]


def test_states_are_given_back(xor: Any) -> None:
    """There are 256 of them in the example, and each group takes one, also when its rows are not read to the end."""
    xor.execute("create table t(x)")
    xor.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    assert len(xor.rows("select bit_xor(x) from t group by x")) == 1000
    for _ in range(300):
        cursor = xor.execute("select bit_xor(x) from t group by x % 10")
        assert cursor.fetchone()
        cursor.close()
    assert xor.rows("select count(*) from (select bit_xor(x) over (partition by x % 7 order by x) from t)") == [(1000,)]
    assert len(xor.rows("select bit_xor(x) from t group by x % 100")) == 100


def test_several_at_once(xor: Any) -> None:
    """Two statements with groups under way, and one that fails between them."""
    xor.execute("create table t(x)")
    xor.executemany("insert into t values (?)", [(n,) for n in range(100)])
    sql = "select x % 5, bit_xor(x) from t group by 1"
    expected = xor.rows(sql)
    running = [xor.execute(sql) for _ in range(3)]
    found: list[list[Any]] = [[cursor.fetchone()] for cursor in running]
    with pytest.raises(OperationalError, match="argument 1 is TEXT"):
        xor.execute("select bit_xor('x')")
    assert xor.rows(sql) == expected
    for cursor, rows in zip(running, found, strict=True):
        assert [*rows, *cursor.fetchall()] == expected


def test_an_aggregate_of_text(con: libsql_core.Connection) -> None:
    """A state that grows: the longest text."""
    module = f"""(module {MEMORY}
        (func (export "longest_init") (result i32) (local $at i32)
            (local.set $at (call $alloc (i32.const 16)))
            (i32.store (local.get $at) (i32.const 0)) (i32.store offset=4 (local.get $at) (i32.const 0))
            (local.get $at))
        (func $length (param $text i32) (result i32) (local $n i32)
            (loop $next
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $next (i32.load8_u (i32.add (local.get $text) (local.get $n)))))
            (local.get $n))
        (func (export "longest_step") (param $state i32) (param $text i32) (local $n i32)
            (local.set $n (call $length (local.get $text)))
            (if (i32.gt_u (local.get $n) (i32.load (local.get $state)))
                (then
                    (i32.store (local.get $state) (local.get $n))
                    (i32.store offset=4 (local.get $state) (local.get $text)))))
        (func (export "longest_finalize") (param $state i32) (result i32) (i32.load offset=4 (local.get $state))))"""
    con.create_wasm_function("longest", module)
    assert con.execute('select longest(value) from json_each(\'["a","ccc","bb"]\')').fetchone() == ("ccc",)
    many = json.dumps(["x" * (n % 50 + 1) for n in range(20_000)])
    assert con.execute("select length(longest(value)) from json_each(?)", (many,)).fetchone() == (50,)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"step": "(param i64)"}, "the export agg_step must be (i32 state, arguments)"),
        ({"step": "(param i32 f32)"}, "parameter 2 of agg_step is no i64, f64 or i32"),
        ({"finalize": "(param i32)"}, "agg_finalize must return one i64, f64 or i32"),
        ({"finalize": "(result i64) (i64.const 1)"}, "the export agg_finalize must be (i32 state) -> value"),
        ({"init": "(result i64) (i64.const 1)"}, "the export agg_init must be () -> i32"),
        ({"value": "(result i64) (i64.const 1)", "inverse": "(param i32 i64)"},
         "the export agg_value must be as that which ends with _finalize"),
        ({"value": "(param i32) (result i64) (i64.const 1)", "inverse": "(param i32)"},
         "the export agg_inverse must be as that which ends with _step"),
        ({"step": ""}, "Function agg not found in Wasm module"),
    ],
)  # fmt: skip
def test_aggregates_that_do_not_fit(con: libsql_core.Connection, parts: dict[str, str], says: str) -> None:
    with pytest.raises(OperationalError) as caught:
        con.create_wasm_function("agg", aggregate(**parts))
    assert str(caught.value) == says


@pytest.mark.parametrize("part", ["init", "step", "finalize"])
def test_traps_in_aggregates(con: libsql_core.Connection, part: str) -> None:
    bodies = {"init": "(result i32)", "step": "(param i32 i64)", "finalize": "(param i32) (result i64)"}
    con.create_wasm_function("agg", aggregate(**{part: bodies[part] + " (unreachable)"}))
    for _ in range(2):
        with pytest.raises(OperationalError, match="Calling function agg failed: it reached code that is marked"):
            con.execute("select id, agg(id) from t group by id").fetchall()
    con.create_wasm_function("agg", aggregate())
    assert con.execute("select agg(id) from t").fetchone() == (1,)
    con.create_wasm_function(
        "agg", aggregate(value="(param i32) (result i64) (unreachable)", inverse="(param i32 i64)")
    )
    with pytest.raises(OperationalError, match="it reached code"):
        con.execute("select agg(id) over (order by id) from t").fetchall()


def test_without_a_value_it_is_no_window_function(con: libsql_core.Connection) -> None:
    con.create_wasm_function("agg", aggregate(init=""))
    assert con.execute("select agg(id) from t").fetchone() == (1,)
    with pytest.raises(OperationalError, match=r"agg\(\) may not be used as a window function"):
        con.execute("select agg(id) over () from t")


def test_table_function(words: Any) -> None:
    assert words.rows("select * from words('the quick  brown fox ')") == [
        ("the", 1), ("quick", 2), ("brown", 3), ("fox", 4)
    ]  # fmt: skip
    assert words.rows("select position, word from words(' ünï cödé')") == [(1, "ünï"), (2, "cödé")]
    for nothing in ("''", "'   '", "null", "5"):
        assert words.rows(f"select * from words({nothing})") == []
    assert words.rows("select a.word, b.word from words('a b') a, words(a.word || 'x ' || a.word) b") == [
        ("a", "ax"), ("a", "a"), ("b", "bx"), ("b", "b")
    ]  # fmt: skip
    assert words.rows("select word from words where arg1 = 'x y' order by rowid desc") == [("y",), ("x",)]
    assert words.rows("select count(*) from words(?)", "w " * 50_000) == [(50_000,)]
    words.execute("create table t(x)")
    words.execute("insert into t values ('a b'), ('c')")
    assert words.rows("select word from t, words(x)") == [("a",), ("b",), ("c",)]
    words.execute("create view v as select word from words('in a view')")
    assert words.rows("select * from v") == [("in",), ("a",), ("view",)]


def test_table_functions_come_and_go(words: Any, tmp_path: Path) -> None:
    running = words.execute("select word from words('a b c')")
    assert running.fetchone() == ("a",)
    words.execute("drop function words")
    words.refused("select * from words('a')", "no such table: words")
    assert running.fetchall() == [("b",), ("c",)]
    words.execute(f"create function words language wasm as '{example('words')}'")
    assert words.rows("select word from words('d')") == [("d",)]
    words.execute("vacuum into ?", (str(tmp_path / "copy.db"),))
    copy = libsql_core.connect(tmp_path / "copy.db")
    assert copy.execute("select word from words('e')").fetchall() == [("e",)]
    copy.close()
    words.execute("create table other(x)")
    assert words.rows("select word from words('f')") == [("f",)]


def test_a_table_of_that_name_is_seen_instead(words: Any) -> None:
    assert words.rows("select word from words('a')") == [("a",)]
    words.execute("create table words(mine)")
    assert words.rows("select * from words") == []


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"columns": ""}, "a table function needs the exports tab_columns, _open, _next and _column"),
        ({"open": "(param i64)"}, "the export tab_open must be (arguments) -> i32 cursor"),
        ({"next": "(result i32) (i32.const 0)"}, "the export tab_next must be (i32 cursor) -> i32"),
        ({"column": "(param i32) (result i64) (i64.const 1)"},
         "the export tab_column must be (i32 cursor, i32 column) -> value"),
        ({"column": "(param i32 i32)"}, "tab_column must return one i64, f64 or i32"),
        ({"close": "(param i64)"}, "the export tab_close must be (i32 cursor)"),
        ({"columns": "(param i32) (result i32) (i32.const 0)"}, "the export tab_columns must be () -> i32 text"),
    ],
)  # fmt: skip
def test_table_functions_that_do_not_fit(con: libsql_core.Connection, parts: dict[str, str], says: str) -> None:
    with pytest.raises(OperationalError) as caught:
        con.create_wasm_function("tab", table(**parts))
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"columns": "(result i32) (i32.const 65536)"}, "table function tab: it gave a pointer outside its memory"),
        ({"columns": "(result i32) (i32.const 65535)"}, "table function tab: it gave a value of type 0, not text"),
        ({"columns": "(result i32) (unreachable)"}, "table function tab: it reached code that is marked unreachable"),
        ({"open": "(param i64) (result i32) (unreachable)"},
         "Calling function tab failed: it reached code that is marked unreachable"),
        ({"next": "(param i32) (result i32) (unreachable)"},
         "Calling function tab failed: it reached code that is marked unreachable"),
        ({"column": "(param i32 i32) (result i64) (unreachable)"},
         "Calling function tab failed: it reached code that is marked unreachable"),
        ({"column": "(param i32 i32) (result i32) (i32.const -1)"},
         "Calling function tab failed: it gave a pointer outside its memory"),
    ],
)  # fmt: skip
def test_traps_in_table_functions(con: libsql_core.Connection, parts: dict[str, str], says: str) -> None:
    con.create_wasm_function("tab", table(**parts))
    for _ in range(2):
        with pytest.raises(OperationalError) as caught:
            con.execute("select * from tab(1)").fetchall()
        assert str(caught.value) == says
    con.create_wasm_function("tab", table())
    assert con.execute("select * from tab(1)").fetchall() == [(7, 7)] * 2


def test_arguments_of_table_functions(con: libsql_core.Connection) -> None:
    con.create_wasm_function("tab", table())
    for sql in ("select * from tab", "select * from tab()"):
        with pytest.raises(OperationalError, match="table function tab takes 1 arguments"):
            con.execute(sql)
    with pytest.raises(OperationalError, match=r"too many arguments on tab\(\) - max 1"):
        con.execute("select * from tab(1, 2)")
    with pytest.raises(OperationalError, match="argument 1 is TEXT, the function takes INTEGER"):
        con.execute("select * from tab('x')")
    assert con.execute("select * from tab(null)").fetchall() == []
    assert con.execute("select a, b, arg1 is null from tab(1)").fetchall() == [(7, 7, 1)] * 2
    con.create_wasm_function("tab", table(close="(param i32) (unreachable)"))
    assert con.execute("select a from tab(1) limit 1").fetchall() == [(7,)]


def test_an_endless_table(con: libsql_core.Connection) -> None:
    con.create_wasm_function("tab", table(next="(param i32) (result i32) (i32.const 1)"))
    assert con.execute("select a from tab(1) limit 3").fetchall() == [(7,)] * 3
    con.execute("pragma libsql_wasm_time = 50")
    con.create_wasm_function("tab", table(next="(param i32) (result i32) (loop $l (br $l)) (i32.const 1)"))
    with pytest.raises(OperationalError, match="it ran for more than 50 ms"):
        con.execute("select a from tab(1)")


def test_columns_with_odd_names(con: libsql_core.Connection) -> None:
    """They are names, whatever is in them."""
    module = table().replace('"\\03a, b\\00"', '"\\03a); DROP TABLE t; --, \\22q\\22, ,select\\00"')
    con.create_wasm_function("tab", module)
    cursor = con.execute("select * from tab(1)")
    assert [column[0] for column in cursor.description] == ["a); DROP TABLE t; --", '"q"', "", "select"]
    assert con.execute("select count(*) from t").fetchone() == (3,)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    wasmtime = pytest.importorskip("wasmtime")
    for name in ("fib", "text", "xor", "words"):
        (tmp_path / f"{name}.wasm").write_bytes(bytes(wasmtime.wat2wasm(example(name))))
    return tmp_path


def test_load_extension(con: libsql_core.Connection, files: Path) -> None:
    con.enable_load_extension(False)
    with pytest.raises(OperationalError, match=r"^not authorized$"):
        con.load_extension(str(files / "fib.wasm"))
    with pytest.raises(OperationalError, match=r"^not authorized$"):
        con.execute("select load_extension(?)", (str(files / "fib.wasm"),))
    con.enable_load_extension(True)
    for name in ("fib", "text", "xor", "words"):
        con.load_extension(str(files / f"{name}.wasm"))
    assert con.execute("select fib(10), shout('a'), flip(x'0102'), bit_xor(id) from t").fetchone() == (
        55,
        "A",
        b"\2\1",
        0,
    )
    assert con.execute("select word from words('a b')").fetchall() == [("a",), ("b",)]
    other = libsql_core.connect(":memory:")
    other.enable_load_extension(True)
    other.execute("select load_extension(?, 'flip')", (str(files / "text.wasm"),))
    assert other.execute("select flip(x'0102')").fetchone() == (b"\2\1",)
    for sql in ("select shout('a')", "select fib(1)", "select libsql_malloc(1)"):
        with pytest.raises(OperationalError, match="no such function"):
            other.execute(sql)
    other.close()


def test_files_that_are_no_modules(con: libsql_core.Connection, tmp_path: Path) -> None:
    con.enable_load_extension(True)
    (tmp_path / "junk.wasm").write_bytes(b"\0asm junk")
    (tmp_path / "none.wasm").write_bytes(b"\0asm\1\0\0\0")
    (tmp_path / "big.wasm").write_bytes(b"\0asm\1\0\0\0" + bytes(20_000_000))
    for name, says in (
        ("junk", "Failed to compile module: "),
        ("none", "none.wasm exports no function"),
        ("big", "big.wasm is over the limit of 16777216 bytes"),
        ("missing", "missing.wasm: cannot be opened"),
    ):
        with pytest.raises(OperationalError) as caught:
            con.load_extension(str(tmp_path / f"{name}.wasm"))
        assert says in str(caught.value)
    with pytest.raises(OperationalError, match="Function nothing not found in Wasm module"):
        con.load_extension(str(tmp_path / "none.wasm"), entrypoint="nothing")


MISSING = """
import libsql_core._wasmtime
libsql_core._wasmtime.library = lambda: None
con = sqlite3.connect(":memory:", isolation_level=None)
def attempt(call, *arguments):
    try:
        return str(call(*arguments))
    except sqlite3.Error as error:
        return f"{type(error).__name__}: {error}"
body = '(module (func (export "f") (result i64) (i64.const 1)))'
con.execute("create table libsql_wasm_func_table(name text primary key, body text) without rowid")
con.execute("insert into libsql_wasm_func_table values ('f', ?)", (body,))
con.execute("create table t(x)")
print(json.dumps([
    attempt(con.create_wasm_function, "g", body),
    attempt(con.execute, f"create function g language wasm as '{body}'"),
    attempt(con.execute, "select f()"),
    con.execute("select count(*), max(x) from t").fetchall(),
    attempt(con.execute, "select g()"),
]))
con.execute("drop function f")
con.close()
"""


def test_without_wasmtime(run_child: Any) -> None:
    how = "WebAssembly functions need wasmtime, which was not found: pip install 'libsql-core[wasm]'"
    assert run_child(MISSING) == [
        f"NotSupportedError: {how}",
        f"OperationalError: Registering Wasm function g failed: {how}",
        f"OperationalError: function f cannot be loaded: {how}",
        [[0, None]],
        "OperationalError: no such function: g",
    ]


def test_a_library_that_is_named(run_child: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "no.so").write_bytes(b"junk")
    for name in ("no.so", "missing.so"):
        monkeypatch.setenv("LIBSQL_CORE_WASMTIME", str(tmp_path / name))
        found = run_child(MISSING.replace("lambda: None", "lambda: 1 / 0"))
        assert (
            found[0]
            == f"NotSupportedError: LIBSQL_CORE_WASMTIME names no library that can be opened: {tmp_path / name}"
        )


FORK = """
import warnings
warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
faulthandler.cancel_dump_traceback_later()
con = sqlite3.connect(":memory:")
con.execute("pragma libsql_wasm_time = 100")
con.create_wasm_function("f", '(module (func (export "f") (param i64) (result i64) (local.get 0)))')
loop = '(module (func (export "loop") (result i64) (loop $l (br $l)) (i64.const 1)))'
con.create_wasm_function("loop", loop)
assert con.execute("select f(5)").fetchone() == (5,)
pid = os.fork()
con.create_wasm_function("g", '(module (func (export "g") (param i64) (result i64) (local.get 0)))')
assert con.execute("select f(6), g(7)").fetchone() == (6, 7)
try:
    con.execute("select loop()")
except sqlite3.OperationalError as error:
    assert "it ran for more than 100 ms" in str(error)
con.close()
if pid == 0:
    os._exit(7)
print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="2026-11-21: this system has no fork()")
def test_a_forked_child(run_child: Any) -> None:
    """It has a copy of the database in memory, and nobody but itself to end its loops."""
    assert run_child(FORK) == 7


def test_the_interpreter_may_watch_for_crashes(run_child: Callable[..., Any]) -> None:
    """Modules need no signals, so that handlers of others never see what a module does wrong."""
    code = """
con = sqlite3.connect(":memory:")
con.create_wasm_function("f", '(module (memory 1) (func (export "f") (result i64) (i64.load (i32.const -8))))')
con.create_wasm_function("r", '(module (func $r (export "r") (result i64) (i64.add (call $r) (i64.const 1))))')
faulthandler.enable()
found = []
for sql in ("select f()", "select r()"):
    try:
        con.execute(sql)
    except sqlite3.OperationalError as error:
        found.append(str(error))
con.close()
print(json.dumps(found))
"""
    assert run_child(code) == [
        "Calling function f failed: it used memory that it does not have",
        "Calling function r failed: its calls are nested too deeply",
    ]
