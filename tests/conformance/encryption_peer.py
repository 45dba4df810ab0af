"""Open encrypted databases with one module, ours or another, and run SQL on them: a child process for each module.

    python encryption_peer.py MODULE < jobs

A job is a path, a cipher, a key (hexadecimal digits of a raw key, else a passphrase), pragmas that tell more of
the cipher, and steps. What each step gave is printed as JSON. The process ends without closing anything, as a killed
one does.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any


def is_raw(key: str) -> bool:
    return len(key) in (64, 96)


def open_libsql(module: Any, path: str, cipher: str, key: str, before: list[str]) -> Any:
    assert (cipher, before) == ("aes256cbc", [])
    return module.connect(path, encryption_key=key, isolation_level=None)


def open_libsql_core(module: Any, path: str, cipher: str, key: str, before: list[str]) -> Any:
    given = bytes.fromhex(key) if is_raw(key) else key
    con = module.connect(path, encryption_key=given, cipher=cipher, isolation_level=None)
    for sql in before:
        con.execute(sql)
    return con


def open_apsw(module: Any, path: str, cipher: str, key: str, before: list[str]) -> Any:
    first = [f"pragma cipher = {cipher}", *(["pragma legacy = 4"] if cipher == "sqlcipher" else []), *before]
    return open_with_pragmas(module.Connection(path), key, first)


def open_sqlcipher3(module: Any, path: str, cipher: str, key: str, before: list[str]) -> Any:
    assert cipher == "sqlcipher"
    con = open_with_pragmas(module.connect(path, isolation_level=None), key, [])
    for sql in before:
        con.execute(sql)
    return con


def open_with_pragmas(con: Any, key: str, before: list[str]) -> Any:
    for sql in before:
        con.execute(sql).fetchall()
    quoted = f"\"x'{key}'\"" if is_raw(key) else f"'{key}'"
    con.execute(f"pragma key = {quoted}").fetchall()
    return con


def perform(con: Any, sql: str) -> Any:
    try:
        return [list(row) for row in con.execute(sql).fetchall() or []]
    except Exception as error:  # each module has its own
        return f"error: {error}"


def main(name: str) -> None:
    module = importlib.import_module(name)
    results, opened = [], []
    for path, cipher, key, before, steps in json.load(sys.stdin):
        con = globals()[f"open_{name}"](module, path, cipher, key, before)
        opened.append(con)
        results.append([perform(con, sql) for sql in steps])
    print(json.dumps(results), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
