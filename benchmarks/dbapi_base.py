"""What the cases of `dbapi.py` stand on: their registry, and an adapter for each kind of module.

All modules run the same SQL on the same data; an adapter only spells what a module names
differently, always its fastest public way, and hands out bound methods so that no call of ours lies
between the timer and the module.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class CannotDoError(Exception):
    """The module has no way to do what the case asks for."""


class Job(NamedTuple):
    """One measured call; `result` turns what it returned into the value that is compared."""

    run: Callable[[], Any]
    expect: Any
    result: Callable[[Any], Any] = lambda value: value
    ready: Callable[[], Any] = lambda: None


def first(con: Any, sql: str) -> Callable[[Any], Any]:
    """Look into the database after a run that returns nothing."""
    return lambda _: con.execute(sql).fetchone()


@dataclass(frozen=True)
class Case:
    name: str
    ops: int
    unit: str
    build: Callable[[Adapter], Job]


CASES: list[Case] = []


def case(name: str, ops: int, unit: str) -> Callable[[Callable[[Adapter], Job]], None]:
    """Add a function to `CASES`; `ops` is how many `unit` one run handles."""
    return lambda build: CASES.append(Case(name, ops, unit, build))


class Adapter:
    """The `sqlite3` interface: the stdlib, pysqlite3 and libsql_core share this code path."""

    def __init__(self, module: str, folder: str) -> None:
        self.module: Any = importlib.import_module(module)
        self.folder = folder
        self.opened: list[Any] = []

    def sqlite_version(self) -> str:
        return str(self.module.sqlite_version)

    def connect(self, path: str) -> Any:
        return self.module.connect(path)

    def autocommit(self, path: str) -> Any:
        return self.module.connect(path, isolation_level=None)

    def converting(self, name: str) -> Any:
        """A connection and the cursor on which columns declared as `name` become datetimes."""
        self.module.register_converter(name, lambda raw: datetime.fromisoformat(raw.decode()))
        con = self.keep(self.module.connect(":memory:", detect_types=self.module.PARSE_DECLTYPES))
        return con, con.cursor()

    def begin(self, con: Any) -> Callable[[], Any]:
        """Start a transaction before changes; this interface does so by itself."""
        return lambda: None

    def commit(self, con: Any) -> Callable[[], Any]:
        return con.commit  # type: ignore[no-any-return]

    def script(self, con: Any) -> Callable[[str], Any]:
        return con.executescript  # type: ignore[no-any-return]

    def function(self, con: Any, name: str, nargs: int, call: Callable[..., Any]) -> None:
        con.create_function(name, nargs, call)

    def aggregate(self, con: Any, name: str, nargs: int, kind: type) -> None:
        con.create_aggregate(name, nargs, kind)

    def collation(self, con: Any, name: str, call: Callable[[str, str], int]) -> None:
        con.create_collation(name, call)

    def rows_by_index(self, con: Any) -> None:
        con.row_factory = self.module.Row

    def rows_by_name(self, con: Any) -> Callable[[Any], Any]:
        """Switch to rows with named fields; returns how this module reads id, name and score."""
        con.row_factory = self.module.Row
        return read_keys

    def blob(self, con: Any) -> Any:
        """The blob of row 1 of table b, open for writing."""
        how = getattr(con, "blobopen", None) or getattr(con, "open_blob", None)
        if how is None:
            raise CannotDoError
        return how("b", "x", 1)

    def fetchmany(self, cursor: Any) -> Callable[[int], list[Any]]:
        return cursor.fetchmany  # type: ignore[no-any-return]

    def keep(self, con: Any) -> Any:
        self.opened.append(con)
        return con

    def memory(self, *sql: str) -> Any:
        """A new in-memory database that was given `sql`, closed after the case."""
        con = self.keep(self.connect(":memory:"))
        self.commit_after(con, *sql)
        return con

    def commit_after(self, con: Any, *sql: str) -> None:
        self.begin(con)()
        for statement in sql:
            con.execute(statement)
        self.commit(con)()

    def insert(self, con: Any, sql: str, rows: Iterable[Any]) -> None:
        self.begin(con)()
        con.executemany(sql, rows)
        self.commit(con)()

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()


class Apsw(Adapter):
    """apsw's own interface: one call for any number of statements, no implicit transactions."""

    def sqlite_version(self) -> str:
        return str(self.module.sqlite_lib_version())

    def connect(self, path: str) -> Any:
        return self.module.Connection(path)

    autocommit = connect

    def converting(self, name: str) -> Any:
        factory = importlib.import_module("apsw.ext").TypesConverterCursorFactory()
        factory.register_converter(name, datetime.fromisoformat)
        con = self.memory()
        return con, factory(con)

    def begin(self, con: Any) -> Callable[[], Any]:
        return lambda: con.execute("begin")

    def commit(self, con: Any) -> Callable[[], Any]:
        return lambda: con.execute("commit")

    def script(self, con: Any) -> Callable[[str], Any]:
        return con.execute  # type: ignore[no-any-return]

    def function(self, con: Any, name: str, nargs: int, call: Callable[..., Any]) -> None:
        con.create_scalar_function(name, call, nargs)

    def aggregate(self, con: Any, name: str, nargs: int, kind: type) -> None:
        con.create_aggregate_function(name, kind, nargs)

    def rows_by_index(self, con: Any) -> None:
        raise CannotDoError

    def rows_by_name(self, con: Any) -> Callable[[Any], Any]:
        con.row_trace = importlib.import_module("apsw.ext").DataClassRowFactory()
        return read_attributes

    def blob(self, con: Any) -> Any:
        return con.blob_open("main", "b", "x", 1, True)

    def fetchmany(self, cursor: Any) -> Callable[[int], list[Any]]:
        raise CannotDoError


class Cysqlite(Adapter):
    """cysqlite: close to `sqlite3`, but with explicit transactions and callables first."""

    autocommit = Adapter.connect

    def converting(self, name: str) -> Any:
        con = self.memory()
        con.register_converter(name, datetime.fromisoformat)
        return con, con.cursor()

    def begin(self, con: Any) -> Callable[[], Any]:
        return con.begin  # type: ignore[no-any-return]

    def function(self, con: Any, name: str, nargs: int, call: Callable[..., Any]) -> None:
        con.create_function(call, name, nargs)

    def aggregate(self, con: Any, name: str, nargs: int, kind: type) -> None:
        con.create_aggregate(kind, name, nargs)

    def collation(self, con: Any, name: str, call: Callable[[str, str], int]) -> None:
        con.create_collation(call, name)

    def blob(self, con: Any) -> Any:
        return con.blob_open("b", "x", 1)


BASELINE = "sqlite3"
# Module: its distribution in the registry (none for the stdlib's) and its adapter.
MODULES: dict[str, tuple[str, type[Adapter]]] = {
    BASELINE: ("", Adapter),
    "libsql_core": ("libsql-core", Adapter),
    "apsw": ("apsw", Apsw),
    "cysqlite": ("cysqlite", Cysqlite),
    "pysqlite3": ("pysqlite3-binary", Adapter),
}


def version(module: str) -> str:
    """The distribution's version; the stdlib's module has the interpreter's."""
    name = MODULES[module][0]
    return importlib.metadata.version(name) if name else "stdlib"


def read_keys(rows: Any) -> int:
    return sum(row["id"] + len(row["name"]) + row["score"] for row in rows)


def read_attributes(rows: Any) -> int:
    return sum(row.id + len(row.name) + row.score for row in rows)
