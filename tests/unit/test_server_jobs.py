"""Migrations of shared schemas: all namespaces or none, once each, also over a crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from libsql_core._engine import Plan, ServerConnection
from libsql_core.server import jobs as module
from libsql_core.server.api import MigrationError, MigrationStep
from libsql_core.server.config import Config
from libsql_core.server.jobs import Jobs, dumps, loads
from libsql_core.server.listen import Changes
from libsql_core.server.metastore import NamespaceConfig
from libsql_core.server.namespace import Parts
from libsql_core.server.namespaces import Namespaces
from libsql_core.server.pool import Slots

# As sqld 0.24.32 keeps them.
REAL = (
    '{"steps":[{"cond":null,"query":{"stmt":{"stmt":"create table c1(x)","kind":"DDL","is_iud":false,'
    '"is_insert":false,"attach_info":null},"params":{"Positional":[]},"want_rows":true}},{"cond":{"Err":{"step":0}},'
    '"query":{"stmt":{"stmt":"insert into c1 values(?)","kind":"Write","is_iud":true,"is_insert":true,'
    '"attach_info":null},"params":{"Positional":[{"Integer":7}]},"want_rows":true}}]}'
)
STEPS = [
    MigrationStep("create table c1(x)", Plan.DDL),
    MigrationStep("insert into c1 values(?)", Plan.WRITE, [7], (), ("error", 0)),
]


def step(text: str, condition: Any = None) -> MigrationStep:
    return MigrationStep(text, Plan.DDL, condition=condition)


class Server:
    def __init__(self, folder: Path) -> None:
        config = Config(enable_namespaces=True)
        parts = Parts(config, Slots(100, 100, 1), Changes)
        self.namespaces = Namespaces(config, folder, parts, lambda namespace: None)
        self.jobs = Jobs(self.namespaces)

    async def link(self, *names: str) -> None:
        await self.namespaces.create("sch", NamespaceConfig(shared_schema=True))
        for name in names:
            await self.namespaces.create(name, NamespaceConfig(shared_schema_name="sch"))

    async def migrate(self, *texts: str) -> list[Any]:
        made = await self.jobs.migrate("sch", [step(text) for text in texts], ServerConnection.PLAIN, 1 << 20)
        return [json.loads(result)["rows"] for result in made if result is not None]

    async def sql(self, name: str, text: str) -> list[list[Any]]:
        namespace = await self.namespaces.get(name)
        connection = await namespace.acquire()
        try:
            rows = json.loads(connection.execute(connection.plan(text), None, None, ServerConnection.PLAIN, 1 << 20))
            return list(rows["rows"])
        finally:
            namespace.release(connection)

    async def tables(self, name: str) -> list[str]:
        rows = await self.sql(name, "select name from sqlite_schema where name not like 'sqlite3_%' order by name")
        return [row[0] for row in rows]

    def statuses(self) -> list[str]:
        return [job["status"] for job in self.jobs.show("sch")["migrations"]]


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[Server]:
    made = Server(folder)
    try:
        yield made
    finally:
        await made.namespaces.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def test_the_stored_form() -> None:
    assert dumps(STEPS) == REAL
    assert dumps(loads(REAL)) == REAL
    every = [
        MigrationStep("values (:a)", Plan.READ, (), [("a", value)], condition)
        for value, condition in (
            (None, ("not", ("ok", 0))), (1.0, ("and", [("ok", 0), ("error", 1)])), ("é", ("or", [])),
            (b"\0\xff", ("is_autocommit", None)), (-5, None),
        )
    ]  # fmt: skip
    again = loads(dumps(every))
    assert [(step.named, step.condition) for step in again] == [(step.named, step.condition) for step in every]
    assert type(again[1].named[0][1]) is float


def test_all_namespaces_have_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.link("t1", "t2")
            assert await made.migrate("create table a(x)", "insert into a values (5) returning x") == [[], [[5]]]
            for name in ("sch", "t1", "t2"):
                assert await made.sql(name, "select * from a") == [[5]]
            assert made.jobs.show("sch") == {
                "schema_version": 4, "migrations": [{"job_id": 1, "status": "RunSuccess"}],
            }  # fmt: skip
            done = {"status": "RunSuccess", "error": None}
            assert made.jobs.show_one("sch", 1) == {
                "job_id": 1, "status": "RunSuccess",
                "progress": [{"namespace": "t1", **done}, {"namespace": "t2", **done}],
            }  # fmt: skip
            assert made.jobs.show_one("sch", 2) is None
            assert made.jobs.show_one("t1", 1) is None
            # One that is linked later begins with what there is.
            await made.namespaces.create("t3", NamespaceConfig(shared_schema_name="sch"))
            assert await made.sql("t3", "select count(*) from sqlite_schema") == [[1]]

    run(main())


def test_what_the_schema_refuses_is_no_job(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.link("t1")
            await made.migrate("create table a(x)")
            with pytest.raises(MigrationError) as caught:
                await made.migrate("create table b(x)", "create table a(x)")
            assert str(caught.value) == (
                "An error occured executing the migration at step 2: "
                "table a already exists in create table a(x) at offset 13"
            )
            assert made.statuses() == ["RunSuccess"]
            assert await made.tables("sch") == await made.tables("t1") == ["a"]

    run(main())


def test_what_one_namespace_refuses_none_has(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.link("t1", "t2")
            await made.sql("t2", "create table own(x)")
            with pytest.raises(MigrationError) as caught:
                await made.migrate("create table own(x)")
            reason = (
                "task 2 for namespace `t2` failed with error: An error occured executing the migration at step 1: "
                "table own already exists in create table own(x) at offset 13"
            )
            assert str(caught.value) == f"migration dry run failed: {reason}"
            shown = made.jobs.show_one("sch", 1)
            assert shown is not None
            assert (shown["status"], shown["error"]) == ("DryRunFailure", reason)
            assert await made.tables("t1") == await made.tables("sch") == []

    run(main())


def test_conditions(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.link("t1")
            steps = [
                step("create table a(x)"),
                step("create table b(x)", ("error", 0)),
                step("create table c(x)", ("and", [("ok", 0), ("not", ("ok", 1))])),
                step("create table d(x)", ("or", [("is_autocommit", None), ("ok", 1)])),
            ]
            results = await made.jobs.migrate("sch", steps, 0, 1 << 20)
            assert [result is None for result in results] == [False, True, False, True]
            assert await made.tables("t1") == ["a", "c"]

    run(main())


@pytest.mark.parametrize("crash", [0, 1, 2])
def test_a_job_that_was_cut_off_goes_on(tmp_path: Path, crash: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind its dry run; each namespace has it once, for a second time would fail."""
    original = module._run
    count = 0

    class Crash(BaseException):
        pass

    def stop(connection: ServerConnection, *arguments: Any) -> None:
        nonlocal count
        original(connection, *arguments)
        if count == crash:
            raise Crash
        count += 1

    async def before() -> None:
        async with server(tmp_path) as made:
            await made.link("t1", "t2")
            with monkeypatch.context() as patched:
                patched.setattr(module, "_run", stop)
                with pytest.raises(Crash):
                    await made.migrate("create table a(x)", "insert into a values (1)")
            assert made.statuses() == ["WaitingRun"]

    async def after() -> None:
        async with server(tmp_path) as made:
            await made.jobs.resume()
            assert made.statuses() == ["RunSuccess"]
            for name in ("sch", "t1", "t2"):
                assert await made.sql(name, "select * from a") == [[1]]
            assert await made.sql("sch", "select count(*) from sqlite_schema") == [[1]]

    run(before())
    run(after())


def test_a_job_that_was_only_tried_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.link("t1")
            made.jobs._enqueue("sch", REAL)
            await made.jobs.resume()
            assert made.statuses() == ["DryRunFailure"]
            assert await made.tables("t1") == []

    run(main())


def test_a_schema_with_namespaces_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.link("t1")
            with pytest.raises(Exception, match="cannot delete `sch` because databases are still refering to it"):
                await made.namespaces.delete("sch")
            with pytest.raises(Exception, match="database cannot be forked from a shared schema"):
                await made.namespaces.fork("sch", "x")
            await made.namespaces.delete("t1")
            await made.migrate("create table a(x)")
            await made.namespaces.delete("sch")

    run(main())
