"""The write lock of a namespace: queues, theft, clients that go, writes that share a commit."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.server_double import Server, batch, execute, rows, serve
else:
    DOUBLE = runpy.run_path(str(Path(__file__).with_name("server_double.py")))
    batch, execute, rows, serve = DOUBLE["batch"], DOUBLE["execute"], DOUBLE["rows"], DOUBLE["serve"]

Run = Callable[[Callable[["Server"], Awaitable[None]]], None]
CLOSE = {"type": "close"}
AUTOCOMMIT = {"type": "get_autocommit"}
TABLE = "create table t(a integer primary key, b)"
COUNTED = "with recursive x(n) as (select 1 union all select n + 1 from x limit {}) select {} from x"
SLOW = "with recursive x(n) as (select 1 union all select n + 1 from x) select count(*) from x"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda script: serve(tmp_path / "main", script)


def test_writers_wait_for_their_turn(run: Run) -> None:
    async def script(server: Server) -> None:
        _, baton = await server.pipeline(TABLE, "begin", "select * from t", "insert into t values (0, 0)")
        waiting = [
            asyncio.ensure_future(server.pipeline(f"insert into t values ({each}, 0)", CLOSE)) for each in (1, 2, 3)
        ]
        await asyncio.sleep(0.1)
        assert not any(each.done() for each in waiting)
        # Readers do not.
        assert rows((await server.pipeline("select count(*) from t", CLOSE))[0][0]) == [["0"]]
        await server.pipeline("commit", CLOSE, baton=baton)
        for each in waiting:
            ((result, _), _) = await each
            assert result["result"]["affected_row_count"] == 1
            assert result["result"]["query_duration_ms"] > 50
        assert rows((await server.pipeline("select count(*) from t", CLOSE))[0][0]) == [["4"]]

    run(script)


def test_single_writes_that_wait_share_a_commit(run: Run) -> None:
    async def script(server: Server) -> None:
        def insert(number: int) -> Any:
            sql = "select 1" if number == 13 else "insert into t values (?, changes()) returning b, last_insert_rowid()"
            return execute(sql, *([] if number == 13 else [number]))

        _, baton = await server.pipeline(
            TABLE, "create table u(x references t)", "begin immediate", "insert into t values (7, 0)"
        )
        several = [execute("insert into t values (100, 0)"), "insert into t values (101, 0)", CLOSE]
        asked = [server.pipeline(insert(each), CLOSE) for each in range(1, 20)] + [server.pipeline(*several)]
        waiting = [asyncio.ensure_future(each) for each in asked]
        gone = asyncio.ensure_future(server.pipeline(insert(50), CLOSE))
        await asyncio.sleep(0.2)
        assert server.namespace.out == 3  # the transaction, the group, and who asks for more than a statement
        gone.cancel()
        await asyncio.sleep(0.1)
        await server.pipeline("commit", CLOSE, baton=baton)
        got = [(await each)[0] for each in waiting]
        # Each finds what it would have found alone, its own error too.
        assert [rows(each[0]) for each in got[:19]] == [
            "SQLITE_CONSTRAINT" if each == 7 else [["1"]] if each == 13 else [["0", str(each)]] for each in range(1, 20)
        ]
        assert got[0][0]["result"]["query_duration_ms"] > 100
        results, _ = await server.pipeline("select count(*) from t where a < 50", "select count(*) from t", CLOSE)
        assert [rows(each) for each in results[:2]] == [[["18"]], [["20"]]]

    run(script)


def test_what_cannot_share_a_commit_runs_all_the_same(run: Run) -> None:
    async def script(server: Server) -> None:
        made = "create table u(x references t deferrable initially deferred)"
        _, baton = await server.pipeline(TABLE, made, "begin immediate")
        statements = (
            "insert into t values (1, 1)",
            "insert into u values (9)",
            "insert into nope values (9)",
            "insert or rollback into t values (1, 2)",
            "insert into t values (2, 2); select 1",
            "insert into t values (?, 2)",
            "replace into t values (3, 3)",
        )
        waiting = [asyncio.ensure_future(server.pipeline(each, CLOSE)) for each in statements]
        await asyncio.sleep(0.2)
        await server.pipeline("commit", CLOSE, baton=baton)
        got = [(await each)[0][0] for each in waiting]
        assert [each.get("code") for each in got] == [
            None,
            "SQLITE_CONSTRAINT",
            "SQLITE_UNKNOWN",
            "SQLITE_CONSTRAINT",
            "SQL_MANY_STATEMENTS",
            "ARGS_INVALID",
            None,
        ]
        results, _ = await server.pipeline("select a from t", "select * from u", CLOSE)
        assert [rows(each) for each in results[:2]] == [[["1"], ["3"]], []]

    run(script)


def test_a_lock_is_stolen_from_who_keeps_it(run: Run) -> None:
    async def script(server: Server) -> None:
        server.namespace.timeout = 0.1
        _, baton = await server.pipeline(TABLE, "begin immediate", "insert into t values (0, 0)")
        await asyncio.sleep(0.2)
        results, baton = await server.pipeline(AUTOCOMMIT, baton=baton)
        assert results[0]["is_autocommit"] is False  # nobody waits
        await server.pipeline("insert into t values (1, 1)", CLOSE)
        lost = {"message": "Transaction timed out", "code": "TRANSACTION_TIMEOUT"}
        results, baton = await server.pipeline(
            AUTOCOMMIT, "commit", "insert into t values (2, 2)", "select a from t", baton=baton
        )
        assert results[0]["is_autocommit"] is True
        assert results[1] == lost
        assert rows(results[3]) == [["1"], ["2"]]
        # Of a batch, each step is told.
        _, baton = await server.pipeline("begin immediate", baton=baton)
        await server.pipeline("insert into t values (3, 3)", CLOSE)
        steps = batch("insert into t values (4, 4)", ({"type": "ok", "step": 0}, "select 1"), "commit")
        results, _ = await server.pipeline(
            {"type": "batch", "batch": steps}, "select count(*) from t", CLOSE, baton=baton
        )
        assert results[0]["result"]["step_errors"] == [lost] * 3
        assert results[0]["result"]["step_results"] == [None] * 3
        assert rows(results[1]) == [["3"]]

    run(script)


def test_a_lock_is_stolen_when_the_statement_has_ended(run: Run) -> None:
    async def script(server: Server) -> None:
        server.namespace.timeout = 0.05
        long = "insert into t " + COUNTED.format(1_000_000, "n, n")
        _, baton = await server.pipeline(TABLE, "begin immediate")
        slow = asyncio.ensure_future(server.pipeline(long, "commit", CLOSE, baton=baton))
        await asyncio.sleep(0.05)
        await server.pipeline("insert into t values (-1, 1)", CLOSE)
        results, _ = await slow
        assert results[0]["result"]["affected_row_count"] == 1_000_000
        assert results[1]["code"] == "TRANSACTION_TIMEOUT"
        assert rows((await server.pipeline("select count(*) from t", CLOSE))[0][0]) == [["1"]]

    run(script)


def test_an_old_snapshot_cannot_write(run: Run) -> None:
    async def script(server: Server) -> None:
        _, baton = await server.pipeline(TABLE, "begin", "select * from t")
        await server.pipeline("insert into t values (1, 1)", CLOSE)
        results, _ = await server.pipeline(
            "insert into t values (2, 2)", "rollback", "insert into t values (2, 2)", CLOSE, baton=baton
        )
        assert results[0] == {"message": "SQLite error: database is locked", "code": "SQLITE_BUSY"}
        assert "result" in results[2]

    run(script)


@pytest.mark.parametrize("sql", [SLOW, "insert into t " + SLOW.replace("count(*)", "n, n")])
def test_a_client_that_goes_stops_its_statement(run: Run, sql: str) -> None:
    async def script(server: Server) -> None:
        await server.pipeline(TABLE, CLOSE)
        gone = asyncio.ensure_future(server.pipeline("begin", sql))
        await asyncio.sleep(0.2)
        assert server.namespace.out == 1
        gone.cancel()
        await asyncio.wait([gone])
        await asyncio.wait_for(server.returned(), 5)
        assert rows((await server.pipeline("insert into t values (1, 1)", "select count(*) from t", CLOSE))[0][1]) == [
            ["1"]
        ]

    run(script)


def test_a_waiting_client_that_goes_leaves_the_queue(run: Run) -> None:
    async def script(server: Server) -> None:
        _, baton = await server.pipeline(TABLE, "begin immediate")
        gone = asyncio.ensure_future(server.pipeline("insert into t values (1, 1)"))
        await asyncio.sleep(0.1)
        gone.cancel()
        await asyncio.wait([gone])
        while len(server.namespace.writers):
            await asyncio.sleep(0.01)
        results, _ = await server.pipeline("select count(*) from t", "commit", CLOSE, baton=baton)
        assert rows(results[0]) == [["0"]]

    run(script)


def test_a_namespace_is_deleted_under_load(run: Run) -> None:
    async def script(server: Server) -> None:
        missing = {"error": "Namespace `main` doesn't exist"}
        await server.pipeline(TABLE, CLOSE)
        _, idle = await server.pipeline("begin immediate")
        running = asyncio.ensure_future(server.pipeline(SLOW, "select 1"))
        waiting = asyncio.ensure_future(server.pipeline("insert into t values (1, 1)"))
        await asyncio.sleep(0.1)
        server.streams.drop(server.namespace)
        assert await waiting == (404, missing)
        status, got = await running
        assert (status, got) == (404, missing)
        assert await server.pipeline("select 1", baton=idle) == (404, missing)
        assert server.namespace.out == 0

    run(script)


def test_statements_may_be_limited_in_time(run: Run) -> None:
    async def script(server: Server) -> None:
        server.host.settings.max_statement_time_s = 1
        results, _ = await server.pipeline(TABLE, "begin", SLOW, AUTOCOMMIT, "select 1", CLOSE)
        assert results[2] == {"message": "SQLite error: interrupted", "code": "SQLITE_INTERRUPT"}
        assert results[3]["is_autocommit"] is False
        assert rows(results[4]) == [["1"]]

    run(script)


def test_batches_that_write_wait_without_a_connection(run: Run) -> None:
    async def script(server: Server) -> None:
        _, baton = await server.pipeline(TABLE, "begin immediate")
        ok = [
            ({"type": "ok", "step": each}, sql) for each, sql in enumerate(("insert into t values ({}, 0)", "commit"))
        ]

        def transaction(number: int) -> Any:
            steps = [(condition, sql.format(number)) for condition, sql in ok]
            return {"type": "batch", "batch": batch("BEGIN IMMEDIATE", *steps)}

        waiting = [asyncio.ensure_future(server.pipeline(transaction(each), CLOSE)) for each in range(20)]
        gone = asyncio.ensure_future(server.pipeline(transaction(50), CLOSE))
        await asyncio.sleep(0.2)
        assert server.namespace.out == 1
        gone.cancel()
        await asyncio.sleep(0.1)
        await server.pipeline("commit", CLOSE, baton=baton)
        for each in waiting:
            assert (await each)[0][0]["result"]["step_errors"] == [None] * 3
        # One that stays open loses the lock like any other.
        server.namespace.timeout = 0.1
        _, keeper = await server.pipeline("begin immediate")
        later = asyncio.ensure_future(server.pipeline({"type": "batch", "batch": batch("begin immediate", "select 1")}))
        await asyncio.sleep(0.05)
        await server.pipeline("rollback", CLOSE, baton=keeper)
        _, open_ = await later
        await asyncio.sleep(0.2)
        results, _ = await server.pipeline("insert into t values (99, 0)", "select count(*) from t", CLOSE)
        assert rows(results[1]) == [["21"]]
        assert (await server.pipeline("commit", CLOSE, baton=open_))[0][0]["code"] == "TRANSACTION_TIMEOUT"

    run(script)
