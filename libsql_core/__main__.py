"""A small shell: `python -m libsql_core [filename] [sql]`, as `python -m sqlite3`."""

from __future__ import annotations

import argparse
import sys
from code import InteractiveConsole
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import libsql_core as sqlite3


def _execute(connection: sqlite3.Connection, sql: str) -> bool:
    """Run one statement and print its rows; False, with the error on stderr, if it fails."""
    try:
        for row in connection.execute(sql):
            print(row)
    except (sqlite3.Error, sqlite3.Warning) as error:
        name = getattr(error, "sqlite_errorname", None)
        kind = type(error).__name__ + (f" ({name})" if name else "")
        print(f"{kind}: {error}", file=sys.stderr)
        return False
    return True


_WASM_HELP = (
    ".wasm list              functions in WebAssembly that the database holds",
    ".wasm load NAME FILE    store one: a module as text or in binary form",
    ".wasm drop NAME         remove one",
)


def _wasm(connection: sqlite3.Connection, words: list[str]) -> None:
    """List, store or remove functions in WebAssembly."""
    table = "libsql_wasm_func_table"
    if words == ["list"]:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone():
            for name, kind, size in connection.execute(
                f"SELECT name, typeof(body), length(CAST(body AS BLOB)) FROM {table} ORDER BY name"
            ):
                print(f"{name}  {kind}, {size} bytes")
    elif len(words) == 3 and words[0] == "load":
        try:
            module = Path(words[2]).read_bytes()
            binary = module.startswith(b"\0asm")
            body = f"x'{module.hex()}'" if binary else "'" + module.decode("utf-8").replace("'", "''") + "'"
        except (OSError, UnicodeDecodeError) as error:
            print(f"Error: {error}", file=sys.stderr)
            return
        _execute(connection, f"CREATE FUNCTION {_name(words[1])} LANGUAGE wasm AS {body}")
    elif len(words) == 2 and words[0] == "drop":
        _execute(connection, f"DROP FUNCTION {_name(words[1])}")
    else:
        print(*_WASM_HELP, sep="\n", file=sys.stderr)


def _name(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


class Shell(InteractiveConsole):
    """Reads statements up to their semicolon, and commands that begin with a dot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def runsource(self, source: str, filename: str = "<input>", symbol: str = "single") -> bool:
        if not source or source.isspace():
            return False
        if source[0] == ".":
            self._command(source[1:].strip())
        elif not sqlite3.complete_statement(source):
            return True
        else:
            _execute(self._connection, source)
        return False

    def _command(self, name: str) -> None:
        if name == "quit":
            sys.exit(0)
        if name.partition(" ")[0] == "wasm":
            _wasm(self._connection, name.split()[1:])
            return
        if name == "version":
            print(sqlite3.sqlite_version)
        elif name == "help":
            print("Enter SQL code and press enter.", *_WASM_HELP, sep="\n")
        elif name:
            print(f'Error: unknown command: "{name}"; .help, .quit, .version and .wasm are known', file=sys.stderr)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, or 1 if the statement or the file failed."""
    name = "sqlite3" if sys.modules.get("sqlite3") is sqlite3 else "libsql_core"
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description="Python sqlite3 CLI")
    parser.add_argument(
        "filename", nargs="?", default=":memory:",
        help="database to open, made if it does not exist (default: %(default)r)",
    )
    parser.add_argument("sql", nargs="?", help="a statement to run; its rows go to stdout")
    parser.add_argument(
        "-v", "--version", action="version", version=f"SQLite version {sqlite3.sqlite_version}",
        help="print the version of SQLite and exit",
    )
    options = parser.parse_args(args)
    database = "a transient in-memory database" if options.filename == ":memory:" else repr(options.filename)
    try:
        connection = sqlite3.connect(options.filename, isolation_level=None)
    except sqlite3.Error as error:
        sys.exit(f"{type(error).__name__}: {error}: {options.filename!r}")
    try:
        if options.sql is not None:
            sys.exit(0 if _execute(connection, options.sql) else 1)
        banner = dedent(f"""
            libsql_core shell, running on SQLite version {sqlite3.sqlite_version}
            Connected to {database}

            Each command will be run using execute() on the cursor.
            Type ".help" for more information; type ".quit" or CTRL-D to quit.
        """).strip()
        sys.ps1, sys.ps2 = "sqlite> ", "    ... "
        Shell(connection).interact(banner, exitmsg="")
        sys.exit(0)
    finally:
        connection.close()


if __name__ == "__main__":
    main()
