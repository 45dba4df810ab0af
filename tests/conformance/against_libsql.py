"""Run cases of SQL on one engine, libSQL's or ours, and tell as JSON all that can be seen of them.

Both bring an SQLite of their own, and two in one process drop each other's file locks: this runs in
a child process of `test_against_libsql.py`, one for each engine.

    python against_libsql.py libsql|libsql_core OUT [--leave] < cases

A case has a name, the file of its database, and its steps. A step is a statement, a statement with
its parameters, or, with null in their place, a script. OUT gets a line of JSON before and after
each case, so that a crash names its case. With --leave the last connection is not closed.
"""

import faulthandler
import importlib
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from against import fresh_folder

Step = str | tuple[str, list[object] | None]
SCHEMA = "select type, name, tbl_name, sql from {}.sqlite_schema order by type, name"


def connect(module: Any, database: str) -> Any:
    """Connect without implicit transactions, and with the defaults that differ set alike."""
    con = module.connect(database, isolation_level=None)
    con.execute("pragma foreign_keys = off")
    if module.__name__ != "libsql":  # in libSQL a double-quoted name is never a string
        for setting in (module.SQLITE_DBCONFIG_DQS_DDL, module.SQLITE_DBCONFIG_DQS_DML):
            con.setconfig(setting, False)
    return con


def perform(con: Any, step: Step) -> str:
    """Give the rows of a step, or the text of its error; libSQL raises whatever class it likes."""
    sql, parameters = (step, []) if isinstance(step, str) else step
    try:
        if parameters is None:
            con.cursor().executescript(sql)
            return "script done"
        cursor = con.execute(sql, tuple(parameters))
        return repr(cursor.fetchall() or [])  # libSQL: None where a statement has no columns
    except Exception as error:
        return f"error: {error}"


def observe(con: Any, steps: list[Step]) -> dict[str, str]:
    """Give what each step showed, by number, and the state in which the last one left the database."""
    seen = {str(number): perform(con, step) for number, step in enumerate(steps, 1)}
    seen["schema"] = perform(con, SCHEMA.format("main"))
    seen["temp schema"] = perform(con, SCHEMA.format("temp"))
    seen["integrity"] = perform(con, "pragma integrity_check")
    return seen


def main(engine: str, target: str, leave: str = "") -> None:
    faulthandler.enable()
    module = importlib.import_module(engine)
    with Path(target).open("w", encoding="ascii") as out:
        for name, database, steps in json.load(sys.stdin):
            print(json.dumps({"start": name}), file=out, flush=True)
            with fresh_folder() if database == ":memory:" else nullcontext():
                con = connect(module, database)
                seen = observe(con, steps)
                print(json.dumps({"name": name, "seen": seen}), file=out, flush=True)
                if leave:
                    os._exit(0)
                con.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
