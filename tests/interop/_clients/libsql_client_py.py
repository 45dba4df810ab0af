"""libsql-client of PyPI: python libsql_client_py.py URL TOKEN"""

import asyncio
import json
import sys
from typing import Any

import libsql_client


async def failure(running: Any) -> str:
    try:
        await running
    except libsql_client.LibsqlError as error:
        return str(error.code)
    except Exception as error:
        return type(error).__name__
    return "none"


async def main(url: str, token: str) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    async with libsql_client.create_client(url, auth_token=token) as client:

        async def count() -> Any:
            return (await client.execute("select count(*) from t")).rows[0][0]

        await client.batch(["create table t(id integer primary key, x unique)", "create table v(a, b, c, d, e)"])
        await client.execute("insert into v values (?, ?, ?, ?, ?)", [None, 9007199254740993, 1.5, "é", b"\0\xff"])
        row = (await client.execute("select * from v")).rows[0]
        facts["values"] = [row[0], str(row[1]), row[2], row[3], bytes(row[4]).hex()]
        inserted = await client.execute("insert into t(x) values (:x)", {"x": "a"})
        facts |= {"changes": inserted.rows_affected, "rowid": str(inserted.last_insert_rowid)}
        statements: Any = [
            "insert into t(x) values ('b')",
            libsql_client.Statement("insert into t(x) values (?)", ["c"]),
        ]
        await client.batch(statements)
        facts["batch"] = await count()
        await failure(client.batch(["insert into t(x) values ('d')", "insert into t(x) values ('a')"]))
        facts["failed_batch"] = await count()
        if url.startswith("ws"):
            good = client.transaction()
            await good.execute("insert into t(x) values ('e')")
            await good.commit()
            facts["commit"] = await count()
            bad = client.transaction()
            await bad.execute("insert into t(x) values ('f')")
            await bad.rollback()
            facts["rollback"] = await count()
        facts["errors"] = {
            "unique": await failure(client.execute("insert into t(x) values ('a')")),
            "syntax": await failure(client.execute("selec")),
            "missing": await failure(client.execute("select * from nope")),
        }
        results = await asyncio.gather(*(client.execute("select ? + 0", [i]) for i in range(20)))
        facts["concurrent"] = sum(int(str(result.rows[0][0])) for result in results)
    async with libsql_client.create_client(url) as stranger:
        facts["refused"] = await failure(stranger.execute("select 1"))
    return facts


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
