"""Functions in WebAssembly: values in and out, limits, and everything that a module can do wrong."""

from __future__ import annotations

import runpy
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import OperationalError

M = runpy.run_path(str(Path(__file__).with_name("wasm_modules.py")))
MEMORY, SAME, data, example, number, pointer = (
    M[name] for name in ("MEMORY", "SAME", "data", "example", "number", "pointer")
)
LOOP = number("loop", "(loop $again (br $again)) (i64.const 0)", "")


def value(con: libsql_core.Connection, sql: str, *parameters: object) -> Any:
    (found,) = con.execute(f"select {sql}", parameters).fetchone()
    return found


def failure(con: libsql_core.Connection, sql: str, *parameters: object) -> str:
    with pytest.raises(OperationalError) as caught:
        con.execute(f"select {sql}", parameters).fetchall()
    assert caught.value.sqlite_errorcode == libsql_core.SQLITE_ERROR
    assert value(con, "1") == 1  # the connection lives on
    return str(caught.value)


def test_integers(con: libsql_core.Connection) -> None:
    con.create_wasm_function("inc", number("inc", "(i64.add (local.get 0) (i64.const 1))"))
    for n in (0, 1, -1, 2**31, 2**62, -(2**63)):
        assert value(con, "inc(?)", n) == n + 1
    assert value(con, "inc(9223372036854775807)") == -(2**63)
    assert value(con, "sum(INC(id)) from t") == 9
    assert value(con, "inc(null)") is None


def test_reals(con: libsql_core.Connection) -> None:
    con.create_wasm_function("half", number("half", "(f64.mul (local.get 0) (f64.const 0.5))", "f64", "f64"))
    assert value(con, "half(3.0)") == 1.5
    assert value(con, "half(3)") == 1.5
    assert value(con, "typeof(half(2))") == "real"
    assert value(con, "half(null)") is None
    con.create_wasm_function("nan", number("nan", "(f64.const nan)", "", "f64"))
    assert value(con, "nan()") is None


@pytest.mark.parametrize(
    "given", ["", "text", "ä€😀", "x" * 200_000, b"", b"\0\1\2", b"y" * 200_000, None, 5, -(2**63), 2.5]
)
def test_values_in_memory(con: libsql_core.Connection, given: object) -> None:
    con.create_wasm_function("same", SAME)
    for _ in range(3):
        found = value(con, "same(?)", given)
        assert (found, type(found)) == (given, type(given))


def test_text_and_blobs_of_the_example(con: libsql_core.Connection) -> None:
    con.create_wasm_function("shout", example("text"))
    con.create_wasm_function("flip", example("text"))
    assert value(con, "shout('Hellö, world')") == "HELLö, WORLD"
    assert value(con, "flip(x'010203')") == b"\3\2\1"
    assert value(con, "flip(x'')") == b""
    assert value(con, "flip('text')") is None
    assert con.execute("select shout(x) from t").fetchall() == [("A",), ("B",), ("C",)]


def test_fib(con: libsql_core.Connection) -> None:
    con.create_wasm_function("fib", example("fib"))
    assert value(con, "group_concat(fib(value)) from json_each('[0,1,2,3,10,20]')") == "0,1,1,2,55,6765"


def test_utf16(tmp_path: Path) -> None:
    con = libsql_core.connect(":memory:")
    con.execute("pragma encoding = 'UTF-16'")
    con.create_wasm_function("same", SAME)
    assert value(con, "same('ä€😀' || ?)", "x") == "ä€😀x"
    con.close()


@pytest.mark.parametrize("n", [0, 1, 2, 50, 127])
def test_number_of_arguments(con: libsql_core.Connection, n: int) -> None:
    total = "(i64.const 0)"
    for i in range(n):
        total = f"(i64.add {total} (local.get {i}))"
    con.create_wasm_function("add_up", number("add_up", total, " ".join(["i64"] * n)))
    assert value(con, f"add_up({','.join(map(str, range(n)))})") == sum(range(n))
    wrong = ",".join(["1"] * (n + 1))
    assert failure(con, f"add_up({wrong})") == "wrong number of arguments to function add_up()"


def test_many_values_in_memory(con: libsql_core.Connection) -> None:
    params = " ".join(["i32"] * 127)
    con.create_wasm_function(
        "last", f'(module {MEMORY} (func (export "last") (param {params}) (result i32) (local.get 126)))'
    )
    assert value(con, f"last({','.join(repr(f'text {i}') for i in range(127))})") == "text 126"


def test_binary_form_and_replacement(con: libsql_core.Connection) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    con.create_wasm_function("f", bytes(wasmtime.wat2wasm(number("f", "(i64.const 1)", ""))))
    assert value(con, "f()") == 1
    con.create_wasm_function("f", bytearray(number("f", "(i64.const 2)", ""), "ascii"))
    assert value(con, "f()") == 2
    con.create_wasm_function("F", None)
    assert failure(con, "f()") == "no such function: f"


def test_a_statement_that_runs_forbids_replacement(con: libsql_core.Connection) -> None:
    con.create_wasm_function("f", number("f", "(i64.const 1)", ""))
    rows = con.execute("select f() from t")
    assert rows.fetchone() == (1,)
    with pytest.raises(OperationalError, match="unable to delete/modify user-function due to active statements"):
        con.create_wasm_function("f", number("f", "(i64.const 2)", ""))
    con.create_wasm_function("f", None)
    assert rows.fetchall() == [(1,), (1,)]
    assert failure(con, "f()") == "no such function: f"


def test_deterministic(con: libsql_core.Connection) -> None:
    con.create_wasm_function("inc", number("inc", "(i64.add (local.get 0) (i64.const 1))"))
    con.execute("create table g(a, b as (inc(a)) stored, c as (inc(b)))")
    con.execute("create index gi on g(inc(c))")
    con.execute("insert into g(a) values (1), (2)")
    assert con.execute("select a, b, c from g where inc(c) = 5").fetchall() == [(2, 3, 4)]
    assert "USING INDEX gi" in str(con.execute("explain query plan select a from g where inc(c) = 5").fetchall())
    con.create_wasm_function("dec", number("dec", "(i64.sub (local.get 0) (i64.const 1))"), deterministic=False)
    with pytest.raises(OperationalError, match="non-deterministic functions prohibited in index expressions"):
        con.execute("create index gj on g(dec(a))")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("inc('x')", "argument 1 is TEXT, the function takes INTEGER"),
        ("inc(2.5)", "argument 1 is REAL, the function takes INTEGER"),
        ("inc(x'00')", "argument 1 is BLOB, the function takes INTEGER"),
        ("half('1')", "argument 1 is TEXT, the function takes REAL"),
    ],
)
def test_types_of_arguments(con: libsql_core.Connection, call: str, says: str) -> None:
    con.create_wasm_function("inc", number("inc", "(local.get 0)"))
    con.create_wasm_function("half", number("half", "(local.get 0)", "f64", "f64"))
    assert failure(con, call) == f"Calling function {call.partition('(')[0]} failed: {says}"


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("(module", "Failed to compile .wat module: expected `)`\n     --> <anon>:1:8"),
        (number("f", "", ""), "Failed to compile .wat module: failed to compile: wasm[0]::function[0]"),
        ("(module)", "Function f not found in Wasm module"),
        ('(module (memory (export "f") 1))', "Function f not found in Wasm module"),
        (number("g", "(i64.const 1)", ""), "Function f not found in Wasm module"),
        (number("f", "(f32.const 1)", "", "f32"), "f must return one i64, f64 or i32"),
        (number("f", "(i64.const 1)", "f32"), "parameter 1 of f is no i64, f64 or i32"),
        (number("f", "(i64.const 1)", "v128"), "parameter 1 of f is no i64, f64 or i32"),
        (number("f", "(i64.const 1)", "funcref"), "parameter 1 of f is no i64, f64 or i32"),
        (number("f", "(i64.const 1)", "externref"), "parameter 1 of f is no i64, f64 or i32"),
        (number("f", "(v128.const i64x2 0 0)", "", "v128"), "f must return one i64, f64 or i32"),
        (number("f", "(i64.const 1) (i64.const 1)", "", "i64 i64"), "f must return one i64, f64 or i32"),
        ('(module (func (export "f")))', "f must return one i64, f64 or i32"),
        (number("f", "(i32.const 1)", "", "i32"), 'Memory "memory" not found in wasm module'),
        (number("f", "(i64.const 1)", "i32"), 'Memory "memory" not found in wasm module'),
        (
            '(module (memory (export "memory") 1) (func (export "f") (param i32) (result i64) (i64.const 1)))',
            "the module exports no libsql_malloc(i32) -> i32, which f needs for its arguments",
        ),
        (number("f", "(i64.const 1)", " ".join(["i64"] * 128)), "f takes more than 127 arguments"),
        (
            '(module (import "env" "time" (func (result i64))) (func (export "f") (result i64) (call 0)))',
            'the module imports "env"."time", which is not granted to it',
        ),
        ('(module (memory (export "memory") 1 2 shared))', "Failed to compile .wat module: "),
        ('(module (memory i64 1) (func (export "f") (result i64) (i64.const 1)))', "Failed to compile .wat module: "),
        (b"\0asm\1\0\0\0\xff", "Failed to compile module: "),
        (b"\0asm", "Failed to compile module: "),
        (b"\x7fELF", "Failed to compile module: it does not start as one, and it's not valid .wat either: "),
        (b"", "Failed to compile module: it does not start as one, and it's not valid .wat either: "),
    ],
)  # fmt: skip
def test_modules_that_do_not_fit(con: libsql_core.Connection, module: str | bytes, says: str) -> None:
    with pytest.raises(OperationalError) as caught:
        con.create_wasm_function("f", module)
    assert str(caught.value).startswith(says)
    assert failure(con, "f()") == "no such function: f"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("(i64.div_s (i64.const 1) (local.get 0))", "it divided by zero"),
        ("(i64.div_s (i64.const -9223372036854775808) (i64.sub (local.get 0) (i64.const 1)))", "an integer overflowed"),
        ("(unreachable)", "it reached code that is marked unreachable"),
        ("(i64.load (i32.const -8))", "it used memory that it does not have"),
        ("(i64.add (call $f (local.get 0)) (i64.const 1))", "its calls are nested too deeply"),
        ("(i64.trunc_f64_s (f64.const 1e300))", "an integer overflowed"),
        ("(call_indirect (result i64) (i32.const 9))", "it used an element of a table that it does not have"),
    ],
)
def test_traps(con: libsql_core.Connection, body: str, says: str) -> None:
    module = f'(module (memory 1) (table 1 funcref) (func $f (export "f") (param i64) (result i64) {body}))'
    con.create_wasm_function("f", module)
    for _ in range(3):
        assert failure(con, "f(0)") == f"Calling function f failed: {says}"


def test_a_trap_begins_anew(con: libsql_core.Connection) -> None:
    """What a module had in memory is gone."""
    module = """(module (global $n (mut i64) (i64.const 0)) (func (export "count_calls") (param i64) (result i64)
        (global.set $n (i64.add (global.get $n) (i64.const 1)))
        (drop (i64.div_s (i64.const 1) (local.get 0)))
        (global.get $n)))"""
    con.create_wasm_function("count_calls", module, deterministic=False)
    assert [value(con, "count_calls(1)") for _ in range(3)] == [1, 2, 3]
    failure(con, "count_calls(0)")
    assert value(con, "count_calls(1)") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\0", "it gave a value of the unknown type 0"),
        (b"\6", "it gave a value of the unknown type 6"),
        (b"\xff", "it gave a value of the unknown type 255"),
        (b"\3abc\xff\0", "it gave text that is not UTF-8"),
        (b"\3\xed\xa0\x80\0", "it gave text that is not UTF-8"),
        (b"\3\xc0\x80\0", "it gave text that is not UTF-8"),
        (b"\3\xe2\x82\0", "it gave text that is not UTF-8"),
        (b"\4\xff\xff\xff\xff", "it gave a blob that ends outside its memory"),
        (b"\4\x00\x00\xff\xec", "it gave a blob that ends outside its memory"),
    ],
)
def test_results_that_are_none(con: libsql_core.Connection, content: bytes, says: str) -> None:
    con.create_wasm_function("f", data("f", content))
    assert failure(con, "f()") == f"Calling function f failed: {says}"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\3\xef\xbf\xbf\0", "\uffff"),
        (b"\3\xf4\x8f\xbf\xbf\0", "\U0010ffff"),
        (b"\3" + b"a" * 7 + "é".encode() + b"a" * 20 + b"\0", "a" * 7 + "é" + "a" * 20),
        (b"\4\x00\x00\x00\x02ab", b"ab"),
        (b"\5", None),
        (b"\1" + (-7).to_bytes(8, "little", signed=True), -7),
        (b"\2\0\0\0\0\0\0\xf8\x3f", 1.5),
    ],
)  # fmt: skip
def test_results(con: libsql_core.Connection, content: bytes, found: object) -> None:
    con.create_wasm_function("f", data("f", content))
    assert value(con, "f()") == found


def test_results_at_the_end_of_memory(con: libsql_core.Connection) -> None:
    for content, at in (
        (b"\3abc", 65532),
        (b"\4\0\0\0\1", 65531),
        (b"\1\0\0", 65533),
        (b"\2\0\0", 65533),
        (b"\4\0", 65534),
    ):
        con.create_wasm_function("f", data("f", content, at))
        assert failure(con, "f()").startswith("Calling function f failed: it gave ")
    con.create_wasm_function("f", data("f", b"\4\0\0\0\1z", 65530))
    assert value(con, "f()") == b"z"
    con.create_wasm_function("f", data("f", b"\5", 65535))
    assert value(con, "f()") is None


@pytest.mark.parametrize("at", [65536, 65537, 2**31 - 1, 2**31, 2**32 - 1, -1])
def test_pointers_outside_memory(con: libsql_core.Connection, at: int) -> None:
    con.create_wasm_function("p", pointer("p"))
    assert failure(con, "p(?)", at) == "Calling function p failed: it gave a pointer outside its memory"


@pytest.mark.parametrize("given", [65536, 65535, 2**31 - 1, -1, -2])
def test_room_outside_memory(con: libsql_core.Connection, given: int) -> None:
    module = f"""(module (memory (export "memory") 1)
        (func (export "libsql_malloc") (param i32) (result i32) (i32.const {given}))
        (func (export "f") (param i32) (result i32) (local.get 0)))"""
    con.create_wasm_function("f", module)
    assert failure(con, "f('x')") == "Calling function f failed: its libsql_malloc() gave a pointer outside its memory"


def test_no_room(con: libsql_core.Connection) -> None:
    con.create_wasm_function("same", SAME, memory_limit=1_000_000)
    assert value(con, "length(same(zeroblob(500000)))") == 500_000
    assert failure(con, "same(zeroblob(2000000))") == (
        "Calling function same failed: its libsql_malloc() has no memory for an argument of 2000005 bytes"
    )
    assert value(con, "length(same(zeroblob(500000)))") == 500_000


def test_text_that_is_not_utf8(con: libsql_core.Connection) -> None:
    con.create_wasm_function("same", SAME)
    assert (
        failure(con, "same(cast(x'61ff' as text))")
        == "Calling function same failed: an argument is text that is not UTF-8"
    )


def test_arguments_are_given_back(con: libsql_core.Connection) -> None:
    """libsql_free() is called for each, behind the call, so that one place serves them all."""
    module = """(module (memory (export "memory") 1) (global $used (mut i32) (i32.const 0))
        (func (export "libsql_malloc") (param i32) (result i32)
            (global.set $used (i32.add (global.get $used) (i32.const 1)))
            (i32.mul (global.get $used) (i32.const 1000)))
        (func (export "libsql_free") (param i32) (global.set $used (i32.sub (global.get $used) (i32.const 1))))
        (func (export "used") (param i32 i32) (result i64) (i64.extend_i32_u (global.get $used))))"""
    con.create_wasm_function("used", module)
    assert con.execute("select used(x, 'y') from t").fetchall() == [(2,), (2,), (2,)]


def test_memory_that_is_never_freed(con: libsql_core.Connection) -> None:
    """The engine begins with new memory, without losing a call."""
    con.create_wasm_function("same", SAME, memory_limit=4_000_000)
    sql = """with recursive c(v) as (select 1 union all select v + 1 from c where v < 20000)
        select count(*), sum(length(same(?1 || v))) from c"""
    digits = sum(len(str(n)) for n in range(1, 20_001))
    assert con.execute(sql, ("x" * 1000,)).fetchone() == (20_000, 20_000_000 + digits)


def test_memory_limit(con: libsql_core.Connection) -> None:
    grow = number("pages", "(i64.extend_i32_s (memory.grow (i32.wrap_i64 (local.get 0))))").replace(
        "(func", "(memory 1) (func", 1
    )
    con.create_wasm_function("pages", grow, memory_limit=10 * 65536, deterministic=False)
    assert [value(con, "pages(?)", n) for n in (4, 4, 4, 1, 1)] == [1, 5, -1, 9, -1]
    con.execute("pragma libsql_wasm_memory = 131072")
    con.create_wasm_function("pages", grow, deterministic=False)
    assert [value(con, "pages(?)", n) for n in (1, 1)] == [1, -1]
    con.create_wasm_function("big", number("big", "(i64.const 1)", "").replace("(func", "(memory 3) (func", 1))
    assert "exceeds memory limits" in failure(con, "big()")


def test_fuel(con: libsql_core.Connection) -> None:
    con.create_wasm_function("fib", example("fib"), fuel=100_000)
    assert value(con, "fib(10)") == 55
    for _ in range(2):
        assert failure(con, "fib(30)") == "Calling function fib failed: it used up its fuel"
    assert [value(con, "fib(10)") for _ in range(1000)] == [55] * 1000
    con.create_wasm_function("loop", LOOP, fuel=1000)
    assert failure(con, "loop()") == "Calling function loop failed: it used up its fuel"


def test_endless_loop(con: libsql_core.Connection) -> None:
    con.execute("pragma libsql_wasm_time = 100")
    con.create_wasm_function("loop", LOOP)
    for _ in range(2):
        started = time.monotonic()
        assert failure(con, "loop()") == "Calling function loop failed: it ran for more than 100 ms"
        assert 0.05 < time.monotonic() - started < 20
    start = '(module (func $s (loop $l (br $l))) (start $s) (func (export "f") (result i64) (i64.const 1)))'
    con.create_wasm_function("f", start)
    assert failure(con, "f()") == "Calling function f failed: it ran for more than 100 ms"


def test_interrupt(con: libsql_core.Connection) -> None:
    con.execute("pragma libsql_wasm_time = 0")
    con.create_wasm_function("loop", LOOP)
    for _ in range(2):
        timer = threading.Timer(0.1, con.interrupt)
        timer.start()
        with pytest.raises(OperationalError, match=r"^interrupted$") as caught:
            con.execute("select loop()")
        timer.join()
        assert caught.value.sqlite_errorcode == libsql_core.SQLITE_INTERRUPT


def test_progress_handler(con: libsql_core.Connection) -> None:
    con.execute("pragma libsql_wasm_time = 0")
    con.create_wasm_function("loop", LOOP)
    calls: list[int] = []

    def handler() -> bool:
        calls.append(1)
        return len(calls) > 3

    con.set_progress_handler(handler, 1_000_000)
    with pytest.raises(OperationalError, match=r"^interrupted$"):
        con.execute("select loop()")
    assert len(calls) == 4


def test_a_call_inside_a_call(con: libsql_core.Connection) -> None:
    """A progress handler must not run SQL; one that does cannot get into a module that runs."""
    con.execute("pragma libsql_wasm_time = 0")
    con.create_wasm_function("loop", LOOP)
    seen: list[str] = []

    def handler() -> int:
        try:
            con.execute("select loop()")
        except libsql_core.Error as error:
            seen.append(str(error))
        return 1

    con.set_progress_handler(handler, 1_000_000)
    with pytest.raises(OperationalError):
        con.execute("select loop()")
    con.set_progress_handler(None, 0)
    assert seen == ["Calling function loop failed: it runs already"]
    assert value(con, "1") == 1


def test_size_of_a_module(con: libsql_core.Connection) -> None:
    big = b"\0asm\1\0\0\0" + bytes(50_000_000)
    with pytest.raises(
        OperationalError,
        match=r"^a module of 50000008 bytes is over the limit of 16777216, see PRAGMA libsql_wasm_module",
    ):
        con.create_wasm_function("f", big)
    con.execute("pragma libsql_wasm_module_size = 60000000")
    with pytest.raises(OperationalError, match=r"^Failed to compile module: "):
        con.create_wasm_function("f", big)
    assert con.execute("pragma libsql_wasm_module_size").fetchone() == (60000000,)


def test_wasi(con: libsql_core.Connection) -> None:
    """Nothing is imported, unless it is asked for; then there is a clock, but no file, argument or variable."""
    module = """(module
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_prestat_get" (func $files (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $variables (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "clock") (result i64)
            (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 8))) (i64.load (i32.const 8)))
        (func (export "files") (result i64)
            (i64.extend_i32_u (call $files (i32.const 3) (i32.const 8))))
        (func (export "variables") (result i64)
            (drop (call $variables (i32.const 8) (i32.const 12))) (i64.load32_u (i32.const 8))))"""
    with pytest.raises(OperationalError, match="which is not granted to it"):
        con.create_wasm_function("clock", module)
    with pytest.raises(ValueError, match="is not deterministic"):
        con.create_wasm_function("clock", module, capabilities=["wasi"])
    with pytest.raises(ValueError, match="there is no capability 'files'"):
        con.create_wasm_function("clock", module, capabilities=["files"])  # type: ignore[list-item]
    for name in ("clock", "files", "variables"):
        con.create_wasm_function(name, module, deterministic=False, capabilities=["wasi"])
    assert abs(value(con, "clock()") / 1e9 - time.time()) < 10
    assert value(con, "files()") == 8  # bad file descriptor
    assert value(con, "variables()") == 0
    other = '(module (import "env" "f" (func)) (func (export "g") (result i64) (i64.const 1)))'
    with pytest.raises(OperationalError, match=r'imports "env"\."f", which is not granted'):
        con.create_wasm_function("g", other, deterministic=False, capabilities=["wasi"])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"fuel": 0}, ValueError),
        ({"memory_limit": -1}, ValueError),
        ({"fuel": "x"}, TypeError),
        ({"fuel": 2**64}, OverflowError),
    ],
)
def test_bad_arguments(con: libsql_core.Connection, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        con.create_wasm_function("f", number("f", "(i64.const 1)", ""), **arguments)
    with pytest.raises(TypeError):
        con.create_wasm_function("f", 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        con.create_wasm_function(5, SAME)  # type: ignore[arg-type]


def test_closed() -> None:
    con = libsql_core.connect(":memory:")
    con.close()
    with pytest.raises(libsql_core.ProgrammingError, match="Cannot operate on a closed database"):
        con.create_wasm_function("f", SAME)


def test_many_connections_and_threads() -> None:
    """Modules are shared, instances are not."""

    def work() -> None:
        con = libsql_core.connect(":memory:")
        con.create_wasm_function("fib", example("fib"))
        con.create_wasm_function("shout", example("text"))
        for i in range(200):
            assert value(con, "fib(15)") == 610
            assert value(con, "shout(?)", f"abc{i}") == f"ABC{i}"
        con.close()
        done.append(1)

    done: list[int] = []
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8
