"""libsql and libsql-experimental of PyPI, remote: python libsql_py.py MODULE URL TOKEN"""

import importlib
import json
import sys
from typing import Any


def failure(run: Any) -> str:
    try:
        run()
    except Exception as error:
        return str(error)
    return "none"


def main(module: str, url: str, token: str) -> dict[str, Any]:
    libsql = importlib.import_module(module)
    facts: dict[str, Any] = {}
    con = libsql.connect(url, auth_token=token)

    def count() -> Any:
        return con.execute("select count(*) from t").fetchone()[0]

    con.execute("create table t(id integer primary key, x unique)")
    con.execute("create table v(a, b, c, d, e)")
    con.execute("insert into v values (?, ?, ?, ?, ?)", (None, 9007199254740993, 1.5, "é", b"\0\xff"))
    con.commit()
    row = con.execute("select * from v").fetchone()
    facts["values"] = [row[0], str(row[1]), row[2], row[3], bytes(row[4]).hex()]
    cursor = con.execute("insert into t(x) values (?)", ("a",))
    facts |= {"changes": cursor.rowcount, "rowid": str(cursor.lastrowid)}
    con.commit()
    con.executemany("insert into t(x) values (?)", [("b",), ("c",)])
    con.commit()
    facts["commit"] = count()
    con.execute("insert into t(x) values ('d')")
    con.rollback()
    facts["rollback"] = count()
    con.executescript("create table s(x); insert into s values (1); insert into s values (2)")
    facts["script"] = con.execute("select count(*) from s").fetchone()[0]
    facts["rows"] = [list(row) for row in con.execute("select * from t order by id").fetchall()]
    facts["errors"] = {
        "unique": failure(lambda: con.execute("insert into t(x) values ('a')")),
        "syntax": failure(lambda: con.execute("selec")),
        "missing": failure(lambda: con.execute("select * from nope")),
    }
    stranger = libsql.connect(url)
    facts["refused"] = failure(lambda: stranger.execute("select 1").fetchall())
    return facts


print(json.dumps(main(*sys.argv[1:])))
