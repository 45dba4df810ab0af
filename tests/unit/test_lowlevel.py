"""libsql_core.lowlevel: the C API through cffi, on the engine that the DB-API runs on."""

from __future__ import annotations

import ctypes
import importlib
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import libsql_core
from libsql_core import _constants, _engine, lowlevel
from libsql_core.lowlevel import ffi, handle, lib

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "csrc" / "gen"))
cdef = importlib.import_module("cdef")
check_symbols = importlib.import_module("check_symbols")

MODULES = [Path(_engine.__file__), Path(lowlevel._lowlevel.__file__)]
INCLUDE = Path(libsql_core.get_include())


def open_db(name=b":memory:"):
    out = ffi.new("sqlite3 **")
    assert lib.sqlite3_open(name, out) == lib.SQLITE_OK
    return out[0]


def rows(db, sql):
    """All rows, as text."""
    out = ffi.new("sqlite3_stmt **")
    code = lib.sqlite3_prepare_v2(db, sql.encode(), -1, out, ffi.NULL)
    assert code == lib.SQLITE_OK, ffi.string(lib.sqlite3_errmsg(db))
    found = []
    while lib.sqlite3_step(out[0]) == lib.SQLITE_ROW:
        cells = [lib.sqlite3_column_text(out[0], i) for i in range(lib.sqlite3_column_count(out[0]))]
        found.append(tuple(ffi.string(cell).decode() if cell else None for cell in cells))
    assert lib.sqlite3_finalize(out[0]) == lib.SQLITE_OK, ffi.string(lib.sqlite3_errmsg(db))
    return found


@pytest.fixture
def db():
    opened = open_db()
    yield opened
    assert lib.sqlite3_close(opened) == lib.SQLITE_OK


@pytest.fixture
def con():
    connection = libsql_core.connect(":memory:")
    yield connection
    connection.close()


# What is there


def test_every_routine_of_both_tables_is_there():
    table = re.findall(r"#define\s+(\w+)\s+sqlite3_api->", (INCLUDE / "sqlite3ext.h").read_text())
    own = re.findall(r"\bX\((\w+)\)", (INCLUDE / "lsc_api.h").read_text())
    assert len(table) > 250
    assert len(own) > 70
    takes_va_list = {"sqlite3_vmprintf", "sqlite3_vsnprintf", "sqlite3_uri_vsnprintf", "sqlite3_str_vappendf"}
    not_compiled = {"sqlite3_normalized_sql", "sqlite3_global_recover"}
    assert {*table, *own} - set(dir(lib)) == takes_va_list | not_compiled


def test_the_public_functions_left_out_are_known():
    header = re.sub(r"/\*.*?\*/", "", (INCLUDE / "sqlite3.h").read_text(), flags=re.DOTALL)
    public = set(re.findall(r"SQLITE_API[^;(]*?\b(\w+)\s*\(", header))
    missing = public - set(dir(lib))
    assert {name for name in missing if not re.search("win32|scanstatus|mutex_(not)?held|_v|_os_", name)} == {
        "sqlite3_activate_cerod", "sqlite3_normalized_sql", "sqlite3_global_recover"}  # fmt: skip


def test_constants_have_the_values_of_the_module():
    names = [name for name in dir(_constants) if name.startswith("SQLITE_")]
    assert len(names) > 400
    assert {name: getattr(lib, name) for name in names} == {name: getattr(_constants, name) for name in names}
    assert (lib.SQLITE_TEXT, lib.SQLITE3_TEXT, lib.FULLY_WITHIN, lib.CARRAY_BLOB) == (3, 3, 2, 4)
    assert lib.SQLITE_STATIC == ffi.NULL
    assert int(ffi.cast("intptr_t", lib.SQLITE_TRANSIENT)) == -1


def test_the_generator_reads_conditions_and_leaves_out_va_list(tmp_path):
    (tmp_path / "sqlite3.h").write_text("""
        /* int sqlite3_comment(void); */
        #define SQLITE_ONE 1
        #define SQLITE_BOTH (SQLITE_ONE | (2<<8))
        #define SQLITE_TEXTUAL "1"
        #ifdef SQLITE_ENABLE_ODD
        SQLITE_API int sqlite3_odd(void);
        #elif defined(SQLITE_ENABLE_SESSION) && !defined(SQLITE_ENABLE_ODD)
        SQLITE_API int sqlite3_even(void);
        #else
        SQLITE_API int sqlite3_other(void);
        #endif
        typedef struct thing { int a; int (*x)(int); } thing;
        SQLITE_API char *sqlite3_list(const char*, va_list);
        SQLITE_API int sqlite3_unlisted(void);
    """)
    names = ("comment", "odd", "even", "other", "list")
    (tmp_path / "sqlite3ext.h").write_text("".join(f"#define sqlite3_{n} sqlite3_api->{n}\n" for n in names))
    (tmp_path / "libsql.h").write_text("const char *libsql_own(\n  int);")
    (tmp_path / "lsc_api.h").write_text("#define LSC(X) \\\n X(libsql_own)")
    found = cdef.parse([tmp_path])
    assert found.constants == ("SQLITE_ONE", "SQLITE_BOTH")
    assert found.types == ("typedef struct thing { int a; int (*x)(int); } thing",)
    assert found.functions == {
        "sqlite3_even": "int sqlite3_even(void)", "libsql_own": "const char *libsql_own( int)"}  # fmt: skip
    assert found.own == ("libsql_own",)


# One engine


def test_versions_are_the_modules():
    major, minor, patch = libsql_core.sqlite_version_info
    assert lib.sqlite3_libversion_number() == lib.SQLITE_VERSION_NUMBER == major * 1000000 + minor * 1000 + patch
    assert ffi.string(lib.libsql_libversion()).decode() == libsql_core.libsql_version
    assert ffi.string(lib.libsql_sourceid()).decode() == libsql_core.libsql_source_id
    con = libsql_core.connect(":memory:")
    assert con.execute("SELECT sqlite_source_id()").fetchone() == (ffi.string(lib.sqlite3_sourceid()).decode(),)
    con.close()


def test_memory_of_the_dbapi_is_counted_here(con):
    before = lib.sqlite3_memory_used()
    con.execute("CREATE TABLE t AS SELECT randomblob(4000000) AS x")
    assert lib.sqlite3_memory_used() - before > 4000000
    con.execute("DROP TABLE t")


def test_settings_of_the_process_are_shared(con):
    old = lib.sqlite3_soft_heap_limit64(-1)
    try:
        con.execute("PRAGMA soft_heap_limit=123456789")
        assert lib.sqlite3_soft_heap_limit64(-1) == 123456789
    finally:
        lib.sqlite3_soft_heap_limit64(old)


def test_closing_here_keeps_the_file_locks_of_the_dbapi(tmp_path):
    path = tmp_path / "a.db"
    con = libsql_core.connect(path, isolation_level=None)
    con.execute("CREATE TABLE t(x)")
    con.execute("BEGIN IMMEDIATE")
    other = open_db(str(path).encode())
    assert rows(other, "SELECT count(*) FROM t") == [("0",)]
    assert lib.sqlite3_close(other) == lib.SQLITE_OK
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "database is locked" in ran.stderr
    con.close()


def test_capsule_holds_the_tables():
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = get(_engine.api, b"libsql_core._engine.api")
    own = re.findall(r"\bX\((\w+)\)", (INCLUDE / "lsc_api.h").read_text())
    assert ctypes.c_int.from_address(table).value == (4 + len(own)) * ctypes.sizeof(ctypes.c_void_p)


# handle()


def test_handle_is_the_connection(con):
    con.execute("CREATE TABLE t(x)")
    con.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    db = handle(con)
    assert ffi.typeof(db) is ffi.typeof("sqlite3 *")
    assert handle(con) == db
    assert rows(db, "SELECT sum(x) FROM t") == [("3",)]
    assert lib.sqlite3_total_changes(db) == con.total_changes == 2
    assert not lib.sqlite3_get_autocommit(db)
    assert con.in_transaction
    assert lib.sqlite3_exec(db, b"INSERT INTO t VALUES (7)", ffi.NULL, ffi.NULL, ffi.NULL) == lib.SQLITE_OK
    assert con.total_changes == 3
    assert con.execute("SELECT max(x) FROM t").fetchone() == (7,)


def test_handle_sees_the_statements_of_the_dbapi(con):
    con.execute("SELECT 41 + 1")
    statement = lib.sqlite3_next_stmt(handle(con), ffi.NULL)
    found = []
    while statement:
        found.append(ffi.string(lib.sqlite3_sql(statement)))
        statement = lib.sqlite3_next_stmt(handle(con), statement)
    assert b"SELECT 41 + 1" in found


def test_handle_of_a_closed_connection():
    con = libsql_core.connect(":memory:")
    con.close()
    with pytest.raises(libsql_core.ProgrammingError, match="closed database"):
        handle(con)


def test_handle_in_another_thread(con):
    raised = []

    def call():
        try:
            handle(con)
        except libsql_core.ProgrammingError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(raised) == 1


@pytest.mark.parametrize("value", [None, 1, "x"])
def test_handle_of_something_else(value):
    with pytest.raises(TypeError):
        handle(value)


# Calls


def test_statement_with_parameters(db):
    rows(db, "CREATE TABLE t(a, b)")
    out = ffi.new("sqlite3_stmt **")
    assert lib.sqlite3_prepare_v2(db, b"INSERT INTO t VALUES (?, ?)", -1, out, ffi.NULL) == lib.SQLITE_OK
    assert lib.sqlite3_bind_int64(out[0], 1, -(2**63)) == lib.SQLITE_OK
    assert lib.sqlite3_bind_text(out[0], 2, b"abc", -1, lib.SQLITE_TRANSIENT) == lib.SQLITE_OK
    assert lib.sqlite3_step(out[0]) == lib.SQLITE_DONE
    assert lib.sqlite3_finalize(out[0]) == lib.SQLITE_OK
    assert rows(db, "SELECT a, b FROM t") == [(str(-(2**63)), "abc")]
    assert lib.sqlite3_last_insert_rowid(db) == 1


def test_error_of_bad_sql(db):
    message = ffi.new("char **")
    assert lib.sqlite3_exec(db, b"SELECT absent", ffi.NULL, ffi.NULL, message) == lib.SQLITE_ERROR
    assert ffi.string(message[0]) == b"no such column: absent"
    lib.sqlite3_free(message[0])


def test_variadic_functions(db):
    text = lib.sqlite3_mprintf(b"%d-%Q", ffi.cast("int", 5), ffi.new("char[]", b"it's"))
    assert ffi.string(text) == b"5-'it''s'"
    lib.sqlite3_free(text)
    now = ffi.new("int *")
    option = lib.SQLITE_DBCONFIG_ENABLE_FKEY
    assert lib.sqlite3_db_config(db, option, ffi.cast("int", 1), now) == lib.SQLITE_OK
    assert now[0] == 1
    assert rows(db, "PRAGMA foreign_keys") == [("1",)]
    assert lib.sqlite3_config(lib.SQLITE_CONFIG_SERIALIZED) == lib.SQLITE_MISUSE  # it is in use already


def test_variables_are_the_engines():
    assert lib.sqlite3_temp_directory == ffi.NULL
    lib.sqlite3_temp_directory = text = lib.sqlite3_mprintf(b"/nowhere")
    try:
        con = libsql_core.connect(":memory:")
        assert con.execute("PRAGMA temp_store_directory").fetchone() == ("/nowhere",)
        con.close()
    finally:
        lib.sqlite3_temp_directory = ffi.NULL
        lib.sqlite3_free(text)


def test_scalar_function(con):
    @ffi.callback("void(sqlite3_context *, int, sqlite3_value **)")
    def add(context, count, values):
        total = sum(lib.sqlite3_value_int64(values[i]) for i in range(count))
        lib.sqlite3_result_int64(context, total)

    arguments = (-1, lib.SQLITE_UTF8 | lib.SQLITE_DETERMINISTIC, ffi.NULL, add, ffi.NULL, ffi.NULL)
    assert lib.sqlite3_create_function(handle(con), b"add_all", *arguments) == lib.SQLITE_OK
    assert con.execute("SELECT add_all(), add_all(1, 2, 39)").fetchone() == (0, 42)


def test_close_hook():
    seen = []

    @ffi.callback("void(void *, sqlite3 *)")
    def closing(argument, db):
        seen.append((ffi.from_handle(argument), rows(db, "SELECT count(*) FROM t")))

    con = libsql_core.connect(":memory:")
    con.execute("CREATE TABLE t(x)")
    name, other = ffi.new_handle("first"), ffi.new_handle("second")
    assert lib.libsql_close_hook(handle(con), closing, other) == ffi.NULL
    assert lib.libsql_close_hook(handle(con), closing, name) == other
    con.close()
    assert seen == [("first", [("0",)])]


def test_preupdate_hook(db):
    seen = []

    @ffi.callback("void(void *, sqlite3 *, int, char const *, char const *, sqlite3_int64, sqlite3_int64)")
    def before(_argument, db, operation, _schema, table, old_key, _new_key):
        value = ffi.new("sqlite3_value **")
        assert lib.sqlite3_preupdate_old(db, 0, value) == lib.SQLITE_OK
        seen.append((operation, ffi.string(table), old_key, lib.sqlite3_value_int(value[0])))

    rows(db, "CREATE TABLE t(x)")
    rows(db, "INSERT INTO t VALUES (5)")
    lib.sqlite3_preupdate_hook(db, before, ffi.NULL)
    rows(db, "UPDATE t SET x = 6")
    assert seen == [(lib.SQLITE_UPDATE, b"t", 1, 5)]


def test_session_makes_a_changeset_that_another_database_takes(con, db):
    con.execute("CREATE TABLE t(a PRIMARY KEY, b)")
    rows(db, "CREATE TABLE t(a PRIMARY KEY, b)")
    session = ffi.new("sqlite3_session **")
    assert lib.sqlite3session_create(handle(con), b"main", session) == lib.SQLITE_OK
    assert lib.sqlite3session_attach(session[0], ffi.NULL) == lib.SQLITE_OK
    con.executemany("INSERT INTO t VALUES (?, ?)", [(1, "one"), (2, "two")])
    size, changes = ffi.new("int *"), ffi.new("void **")
    assert lib.sqlite3session_changeset(session[0], size, changes) == lib.SQLITE_OK
    lib.sqlite3session_delete(session[0])

    @ffi.callback("int(void *, int, sqlite3_changeset_iter *)")
    def conflict(_argument, _kind, _iterator):
        return lib.SQLITE_CHANGESET_ABORT

    applied = lib.sqlite3changeset_apply(db, size[0], changes[0], ffi.NULL, conflict, ffi.NULL)
    lib.sqlite3_free(changes[0])
    assert applied == lib.SQLITE_OK
    assert rows(db, "SELECT * FROM t") == [("1", "one"), ("2", "two")]


def test_snapshot(tmp_path):
    db = open_db(str(tmp_path / "a.db").encode())
    rows(db, "PRAGMA journal_mode=wal")
    rows(db, "CREATE TABLE t(x)")
    rows(db, "BEGIN")
    rows(db, "SELECT * FROM t")
    snapshot = ffi.new("sqlite3_snapshot **")
    assert lib.sqlite3_snapshot_get(db, b"main", snapshot) == lib.SQLITE_OK
    rows(db, "COMMIT")
    rows(db, "INSERT INTO t VALUES (1)")
    rows(db, "BEGIN")
    assert lib.sqlite3_snapshot_open(db, b"main", snapshot[0]) == lib.SQLITE_OK
    assert rows(db, "SELECT * FROM t") == []
    rows(db, "COMMIT")
    lib.sqlite3_snapshot_free(snapshot[0])
    assert lib.sqlite3_close(db) == lib.SQLITE_OK


# A virtual table: `SELECT n FROM below(5)` gives 0 to 4


class Below:
    """The module's callbacks; the object must live as long as SQLite may call them."""

    def __init__(self):
        self.alive = {}  # tables and cursors by address; a cursor's [n, top]
        self.module = ffi.new("sqlite3_module *")
        self.callbacks = []
        for name, field in ffi.typeof("sqlite3_module").fields:
            if method := getattr(self, name, None):
                self.callbacks.append(ffi.callback(field.type, method, error=lib.SQLITE_ERROR))
                setattr(self.module, name, self.callbacks[-1])

    def keep(self, out, struct):
        self.alive[struct] = [0, 0]
        out[0] = struct
        return lib.SQLITE_OK

    def forget(self, struct):
        del self.alive[struct]
        return lib.SQLITE_OK

    def xConnect(self, db, _aux, _argc, _argv, out, _message):
        assert lib.sqlite3_declare_vtab(db, b"CREATE TABLE x(n INTEGER, top HIDDEN)") == lib.SQLITE_OK
        return self.keep(out, ffi.new("sqlite3_vtab *"))

    def xDisconnect(self, table):
        return self.forget(table)

    def xBestIndex(self, _table, info):
        for i in range(info.nConstraint):
            constraint = info.aConstraint[i]
            if constraint.iColumn == 1 and constraint.usable and constraint.op == lib.SQLITE_INDEX_CONSTRAINT_EQ:
                info.aConstraintUsage[i].argvIndex = 1
                info.aConstraintUsage[i].omit = 1
                return lib.SQLITE_OK
        return lib.SQLITE_CONSTRAINT

    def xOpen(self, _table, out):
        return self.keep(out, ffi.new("sqlite3_vtab_cursor *"))

    def xClose(self, cursor):
        return self.forget(cursor)

    def xFilter(self, cursor, _number, _text, argc, argv):
        assert argc == 1
        self.alive[cursor] = [0, lib.sqlite3_value_int(argv[0])]
        return lib.SQLITE_OK

    def xNext(self, cursor):
        self.alive[cursor][0] += 1
        return lib.SQLITE_OK

    def xEof(self, cursor):
        n, top = self.alive[cursor]
        return n >= top

    def xColumn(self, cursor, context, column):
        lib.sqlite3_result_int(context, self.alive[cursor][column])
        return lib.SQLITE_OK

    def xRowid(self, cursor, out):
        out[0] = self.alive[cursor][0]
        return lib.SQLITE_OK


def test_virtual_table():
    below = Below()
    con = libsql_core.connect(":memory:")
    assert lib.sqlite3_create_module_v2(handle(con), b"below", below.module, ffi.NULL, ffi.NULL) == lib.SQLITE_OK
    assert con.execute("SELECT n, rowid FROM below(4) WHERE n > 1").fetchall() == [(2, 2), (3, 3)]
    assert con.execute("SELECT count(*) FROM below(3) a, below(5) b").fetchone() == (15,)
    with pytest.raises(libsql_core.OperationalError):
        con.execute("SELECT * FROM below")
    con.close()
    assert below.alive == {}


# What the modules show to the linker


def test_foreign_names():
    names = ["PyInit_m", "sqlite3_open", "libsql_x", "lsc_y", "_end", "min_idx", "PyInit_other", "lsc", "xsqlite3_open"]
    assert check_symbols.foreign(names, "m") == ["PyInit_other", "lsc", "min_idx", "xsqlite3_open"]


def test_a_foreign_name_fails_the_check(monkeypatch, capsys):
    monkeypatch.setattr(check_symbols.shutil, "which", lambda name: name)
    monkeypatch.setattr(check_symbols, "exported", lambda file: ["PyInit_m", "min_idx"])
    assert check_symbols.main(["m.so"]) == 1
    assert capsys.readouterr().err == "m.so: exports min_idx\n"
    monkeypatch.setattr(check_symbols, "exported", lambda file: [])
    assert check_symbols.main(["m.so"]) == 1


def test_the_modules_are_found():
    assert {path.name for path in check_symbols.modules()} >= {path.name for path in MODULES}


if sys.platform == "linux" and shutil.which("nm"):

    def test_no_sqlite_is_expected_from_outside():
        for module in MODULES:
            found = subprocess.run(
                ["nm", "-D", "--undefined-only", module], capture_output=True, text=True, check=True
            ).stdout
            assert "PyErr_" in found
            assert re.findall(r"\b(?:sqlite3|libsql|lsc)\w*", found) == []

    def test_exported_names(capsys):
        assert check_symbols.main([str(module) for module in MODULES]) == 0
        assert capsys.readouterr().out.count(": 1 exported\n") == 2
