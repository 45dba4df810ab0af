"""A tour of aiosqlite: iteration, row factory, functions, backup, rollback, errors."""

# ruff: noqa: E402 - the replacement comes before whatever imports sqlite3
import libsql_core

libsql_core.install_as_sqlite3()

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiosqlite


async def use(db: aiosqlite.Connection) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    await db.executescript("CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT, data BLOB); CREATE TABLE empty(x);")
    await db.executemany(
        "INSERT INTO note(body, data) VALUES (?, ?)",
        [(f"body {number}", bytes([number]) * number) for number in range(100)],
    )
    await db.commit()

    async with db.execute("SELECT id, body, data FROM note ORDER BY id LIMIT 3") as cursor:
        facts["description"] = [column[0] for column in cursor.description]
        facts["iterated"] = [[row[0], row[1], len(row[2])] async for row in cursor]
    db.row_factory = aiosqlite.Row
    async with db.execute("SELECT id AS number, body FROM note WHERE id = :id", {"id": 7}) as cursor:
        row: Any = await cursor.fetchone()
        facts["row"] = [type(row).__module__, row.keys(), row["number"], row["BODY"]]
    async with db.execute("SELECT id FROM note") as cursor:
        facts["many"] = [len(list(await cursor.fetchmany(40))), len(list(await cursor.fetchall()))]
    db.row_factory = None

    await db.create_function("shout", 1, lambda text: text.upper() + "!", deterministic=True)
    facts["function"] = await first(db, "SELECT shout(body) FROM note WHERE id = 2")

    await db.execute("DELETE FROM note")
    facts["in_transaction"] = db.in_transaction
    await db.rollback()
    facts["kept"] = await first(db, "SELECT count(*) FROM note")
    inserted = await db.execute_insert("INSERT INTO note(body) VALUES ('last')")
    facts["insert_id"] = inserted and inserted[0]
    await db.commit()

    steps: list[int] = []
    async with aiosqlite.connect("copy.db") as copy:
        await db.backup(copy, pages=1, progress=lambda _status, left, _total: steps.append(left))
        facts["copied"] = await first(copy, "SELECT count(*) FROM note")
    facts["backup_steps"] = [len(steps) > 1, steps[-1]]
    facts["dump"] = len([line async for line in db.iterdump() if line.startswith("INSERT")])

    statements: list[str] = []
    await db.set_trace_callback(statements.append)
    await db.execute("SELECT 42")
    await db.set_trace_callback(None)  # type: ignore[arg-type]
    facts["traced"] = statements
    return facts


async def first(db: aiosqlite.Connection, sql: str) -> object:
    async with db.execute(sql) as cursor:
        row = await cursor.fetchone()
        assert row is not None
        return row[0]


async def errors(db: aiosqlite.Connection) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    attempts: dict[str, Callable[[], Any]] = {
        "syntax": lambda: db.execute("SELEC 1"),
        "primary_key": lambda: db.execute("INSERT INTO note(id) VALUES (1)"),
        "no_parameters": lambda: db.execute("SELECT ?"),
    }
    for name, attempt in attempts.items():
        try:
            await attempt()
        except aiosqlite.Error as error:
            facts[name] = [type(error).__module__, type(error).__name__, str(error)]
    return facts


async def concurrent() -> int:
    """Writers of several connections, each with its own thread, wait for one another."""

    async def write() -> None:
        async with aiosqlite.connect("notes.db", timeout=30) as db:
            for _ in range(20):
                await db.execute("INSERT INTO empty VALUES (1)")
                await db.commit()

    await asyncio.gather(*(write() for _ in range(4)))
    async with aiosqlite.connect("notes.db") as db:
        count = await first(db, "SELECT count(*) FROM empty")
        assert isinstance(count, int)
        return count


async def main() -> None:
    async with aiosqlite.connect("notes.db") as db:
        facts = await use(db) | await errors(db)
        facts["connection_type"] = type(db._conn).__module__
        facts["sqlite_version"] = await first(db, "SELECT sqlite_version()")
    facts["concurrent"] = await concurrent()
    facts["versions"] = [aiosqlite.sqlite_version, libsql_core.sqlite_version]
    print(json.dumps(facts))


asyncio.run(main())
