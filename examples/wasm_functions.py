"""Functions, an aggregate and a table function in WebAssembly, from examples/wasm.

    python wasm_functions.py

Needs `pip install 'libsql-core[wasm]'`.
"""

from __future__ import annotations

from pathlib import Path

import libsql_core

MODULES = Path(__file__).parent / "wasm"


def create(con: libsql_core.Connection, name: str, file: str) -> None:
    """Store a function in the database. The body is a literal: quotes in it are doubled."""
    text = (MODULES / file).read_text(encoding="utf-8").replace("'", "''")
    con.execute(f"CREATE FUNCTION IF NOT EXISTS {name} LANGUAGE wasm AS '{text}'")


def main() -> None:
    con = libsql_core.connect(":memory:")
    for name, file in (("fib", "fib.wat"), ("shout", "text.wat"), ("bit_xor", "xor.wat"), ("words", "words.wat")):
        create(con, name, file)
    con.execute("CREATE TABLE note(id INTEGER PRIMARY KEY, text, loud AS (shout(text)))")
    con.execute("CREATE INDEX note_fib ON note(fib(id))")
    con.executemany("INSERT INTO note(text) VALUES(?)", [("feed the starter",), ("oil the gate",), ("feed the cat",)])
    print("a generated column:", [loud for (loud,) in con.execute("SELECT loud FROM note")])
    print("through an index:", con.execute("SELECT text FROM note WHERE fib(id) = 2").fetchall())
    print("an aggregate:", con.execute("SELECT bit_xor(id) FROM note").fetchone())
    sql = "SELECT word, count(*) FROM note, words(text) GROUP BY word HAVING count(*) > 1 ORDER BY 2 DESC, 1"
    print("a table function:", con.execute(sql).fetchall())
    con.create_wasm_function(
        "forever", '(module (func (export "forever") (result i64) (loop $l (br $l)) (i64.const 0)))'
    )
    con.execute("PRAGMA libsql_wasm_time = 100")
    try:
        con.execute("SELECT forever()")
    except libsql_core.OperationalError as error:
        print("refused:", error)
    con.close()


if __name__ == "__main__":
    main()
