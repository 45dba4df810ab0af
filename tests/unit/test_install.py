"""install_as_sqlite3(): every name leads to ours, and it is refused where two SQLites could meet in one file."""

from __future__ import annotations

from typing import Any

import pytest

NAMES = """
libsql_core = sqlite3
def told(): return [
    sys.modules["sqlite3"] is libsql_core, __import__("sqlite3") is libsql_core,
    __import__("sqlite3.dbapi2").dbapi2.__name__, __import__("sqlite3.dump").dump.__name__]
"""
OURS = [True, True, "libsql_core.dbapi2", "libsql_core.dump"]
TEXT = (
    "cannot install libsql_core as sqlite3: the standard library's sqlite3 has open connections; "
    "call install_as_sqlite3() before they are opened, or close them first"
)


def test_first_thing_and_twice(run_child: Any) -> None:
    seen = run_child(NAMES + """
before = "sqlite3" in sys.modules
libsql_core.install_as_sqlite3()
first = told()
modules = {name: module for name, module in sys.modules.items() if "sqlite3" in name}
libsql_core.install_as_sqlite3()
same = modules == {name: module for name, module in sys.modules.items() if "sqlite3" in name}
import sqlite3.dbapi2 as dbapi2
from sqlite3 import connect, Row
con = dbapi2.connect(":memory:")
kinds = [type(con) is libsql_core.Connection, connect is libsql_core.connect, Row is libsql_core.Row]
con.close()
print(json.dumps([before, first, same, kinds]))
""")
    assert seen == [False, OURS, True, [True] * 3]


def test_after_the_stdlib_was_imported_but_not_used(run_child: Any) -> None:
    seen = run_child(NAMES + """
import sqlite3 as stdlib
import sqlite3.dump
libsql_core.install_as_sqlite3()
print(json.dumps([told(), stdlib.__name__]))
""")
    assert seen == [OURS, "sqlite3"]


@pytest.mark.parametrize("opened", [
    "kept = stdlib.connect(':memory:')",
    "kept = stdlib.connect('kept.db'); kept.execute('create table t(x)')",
    "kept = type('Sub', (stdlib.Connection,), {})(':memory:')",
    "kept = stdlib.connect(':memory:', check_same_thread=False)",
    "kept = [None]; t = threading.Thread(target=lambda: kept.append(stdlib.connect(':memory:'))); t.start(); t.join()",
    "kept = stdlib.connect(':memory:').cursor()",
    "kept = [stdlib.connect(':memory:')]; kept.append(kept)",
], ids=["memory", "file", "subclass", "any thread", "other thread", "by cursor", "cycle"])  # fmt: skip
def test_refused_while_a_stdlib_connection_is_open(run_child: Any, opened: str) -> None:
    seen = run_child(NAMES + f"""
import warnings
warnings.simplefilter("ignore", ResourceWarning)
import sqlite3 as stdlib
{opened}
try:
    libsql_core.install_as_sqlite3()
    text = None
except RuntimeError as error:
    text = str(error)
print(json.dumps([text, sys.modules["sqlite3"] is stdlib, stdlib.connect.__module__]))
""")
    assert seen[:2] == [TEXT, True]


def test_closed_connections_are_fine(run_child: Any) -> None:
    seen = run_child(NAMES + """
import sqlite3 as stdlib
kept = [stdlib.connect(":memory:"), stdlib.connect("kept.db", check_same_thread=False)]
cursor = kept[0].execute("select 1")
for con in kept:
    con.close()
class Forgetful(stdlib.Connection):
    def __init__(self): pass
kept.append(Forgetful())
libsql_core.install_as_sqlite3()
print(json.dumps(told()))
""")
    assert seen == OURS


def test_closed_in_another_thread_is_fine(run_child: Any) -> None:
    seen = run_child(NAMES + """
import sqlite3 as stdlib
kept = []
def run():
    kept.append(stdlib.connect(":memory:"))
    kept[0].close()
thread = threading.Thread(target=run)
thread.start()
thread.join()
libsql_core.install_as_sqlite3()
print(json.dumps(told()))
""")
    assert seen == OURS


def test_objects_that_lie_about_their_class_are_left_alone(run_child: Any) -> None:
    seen = run_child(NAMES + """
import sqlite3 as stdlib
asked = []
class Liar:
    @property
    def __class__(self):
        asked.append(1)
        raise ZeroDivisionError
kept = Liar()
libsql_core.install_as_sqlite3()
print(json.dumps([told(), asked]))
""")
    assert seen == [OURS, []]
