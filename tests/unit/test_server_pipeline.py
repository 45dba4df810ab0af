"""Hrana over HTTP: streams and their batons, stored text, batches, rights."""

from __future__ import annotations

import asyncio
import base64
import runpy
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libsql_core.server import streams
from libsql_core.server.api import READ, WRITE

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


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda script: serve(tmp_path / "main", script)


def test_a_pipeline_that_closes(run: Run) -> None:
    async def script(server: Server) -> None:
        results, baton = await server.pipeline(
            TABLE, execute("insert into t values (?, ?)", 7, "x"), "select * from t", CLOSE
        )
        assert baton is None
        assert results[1]["result"]["last_insert_rowid"] == "7"
        assert rows(results[2]) == [["7", "x"]]
        assert results[3] == {"type": "close"}
        assert server.namespace.out == 0
        assert server.streams.states() == []
        assert TABLE in server.namespace.stats.noted

    run(script)


def test_a_stream_lives_from_baton_to_baton(run: Run) -> None:
    async def script(server: Server) -> None:
        _, first = await server.pipeline()
        results, second = await server.pipeline(
            TABLE, "begin", "insert into t values (1, 'x')", AUTOCOMMIT, baton=first
        )
        assert results[3]["is_autocommit"] is False
        assert len(second) == 64
        assert second != first
        assert server.streams.states() == [""]
        # Errors of statements leave it as it is.
        results, third = await server.pipeline(
            "selec", "select * from nope", "insert into t values (1, 'x')", "select * from t", baton=second
        )
        assert [rows(each) for each in results] == [
            "SQL_PARSE_ERROR",
            "SQLITE_UNKNOWN",
            "SQLITE_CONSTRAINT",
            [["1", "x"]],
        ]
        results, last = await server.pipeline("commit", CLOSE, {"type": "close_sql", "sql_id": 1}, CLOSE, baton=third)
        assert last is None
        for old in (first, second, third):
            assert await server.pipeline(baton=old) == (400, "Received an invalid baton")
        assert rows((await server.pipeline("select * from t", CLOSE))[0][0]) == [["1", "x"]]

    run(script)


def test_batons_are_for_one_use_by_one_client(run: Run) -> None:
    async def script(server: Server) -> None:
        _, first = await server.pipeline(x_who="me")
        assert (await server.pipeline(baton=first, x_who="you")) == (400, "Received an invalid baton")
        _, second = await server.pipeline(baton=first, x_who="me")
        assert (await server.pipeline(baton=first, x_who="me")) == (400, "Received a baton that has already been used")
        raw = bytearray(base64.b64decode(second))
        raw[20] ^= 1
        forged = [
            "",
            "x",
            "*" * 64,
            second[:-4],
            second + "AAAA",
            base64.b64encode(raw).decode(),
            second.replace(second[0], "-", 1),
        ]
        for baton in forged:
            assert await server.pipeline(baton=baton, x_who="me") == (400, "Received an invalid baton")
        assert (await server.pipeline("select 1", CLOSE, baton=second, x_who="me"))[1] is None

    run(script)


def test_a_baton_in_use(run: Run) -> None:
    async def script(server: Server) -> None:
        _, baton = await server.pipeline()
        slow = asyncio.ensure_future(server.pipeline(COUNTED.format(10_000_000, "sum(n)"), CLOSE, baton=baton))
        await asyncio.sleep(0.1)
        assert server.streams.states() == ["acquired"]
        assert await server.pipeline(baton=baton) == (400, "Received a baton that has already been used")
        # Others are served meanwhile.
        assert rows((await server.pipeline("select 1", CLOSE))[0][0]) == [["1"]]
        assert not slow.done()
        slow.cancel()
        await asyncio.wait([slow])

    run(script)


def test_streams_expire(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(server: Server) -> None:
        _, baton = await server.pipeline(TABLE, "begin immediate", "insert into t values (1, 2)")
        _, used = await server.pipeline()
        clock = time.monotonic()
        monkeypatch.setattr(streams, "monotonic", lambda: clock + 9.5)
        server.streams.sweep()
        assert server.streams.states() == ["", ""]
        _, used = await server.pipeline(baton=used)
        monkeypatch.setattr(streams, "monotonic", lambda: clock + 11.5)
        server.streams.sweep()
        assert server.streams.states() == ["", "expired"]
        expired = {"message": "The stream has expired due to inactivity", "code": "STREAM_EXPIRED"}
        assert await server.pipeline(baton=baton) == (400, expired)
        # What it had begun is undone, and its lock is free.
        assert rows((await server.pipeline("insert into t values (2, 2)", "select * from t", CLOSE))[0][1]) == [
            ["2", "2"]
        ]
        monkeypatch.setattr(streams, "monotonic", lambda: clock + 312)
        server.streams.sweep()
        assert server.streams.states() == ["expired"]
        assert await server.pipeline(baton=baton) == (400, "Received an invalid baton")

    run(script)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"type": "execute", "stmt": {}}, "Either `sql` or `sql_id` are required"),
        ({"type": "execute", "stmt": {"sql": "x", "sql_id": 1}}, "Either `sql` or `sql_id` are required, but not both"),
        ({"type": "execute", "stmt": {"sql_id": 1}}, "SQL text 1 not found"),
        ({"type": "describe", "sql_id": 9}, "SQL text 9 not found"),
        ({"type": "sequence"}, "Either `sql` or `sql_id` are required"),
        (
            {"type": "batch", "batch": batch(({"type": "ok", "step": 0}, "select 1"))},
            "Invalid reference to step in a batch condition",
        ),
        (
            {"type": "batch", "batch": batch(({"type": "not", "cond": {"type": "error", "step": 5}}, "x"))},
            "Invalid reference to step in a batch condition",
        ),
    ],
)
def test_errors_of_the_protocol_end_the_stream(run: Run, request_: Any, message: str) -> None:
    async def script(server: Server) -> None:
        _, baton = await server.pipeline(TABLE)
        assert await server.pipeline("insert into t values (1, 1)", request_, baton=baton) == (400, message)
        assert await server.pipeline(baton=baton) == (400, "Received an invalid baton")
        assert server.namespace.out == 0
        # What ran before has run.
        assert rows((await server.pipeline("select count(*) from t", CLOSE))[0][0]) == [["1"]]

    run(script)


def test_after_close(run: Run) -> None:
    async def script(server: Server) -> None:
        assert await server.pipeline(CLOSE, "select 1") == (400, "Stream for this baton was closed")
        results, _ = await server.pipeline(CLOSE, {"type": "store_sql", "sql_id": 1, "sql": "x"}, CLOSE)
        assert [each["type"] for each in results] == ["close", "store_sql", "close"]

    run(script)


def test_a_body_that_cannot_be_read_leaves_the_stream(run: Run) -> None:
    async def script(server: Server) -> None:
        _, baton = await server.pipeline("begin")
        status, text = await server.post("/v3/pipeline", {"baton": baton, "requests": [{"type": "bogus"}]})
        assert (status, text[:44]) == (400, "Cannot deserialize client message from JSON:")
        results, _ = await server.pipeline(AUTOCOMMIT, CLOSE, baton=baton)
        assert results[0]["is_autocommit"] is False

    run(script)


def test_what_version_2_lacks(run: Run) -> None:
    async def script(server: Server) -> None:
        message = "The `get_autocommit` request is only supported in protocol version hrana3 and higher"
        assert await server.pipeline(AUTOCOMMIT, version=2) == (400, message)
        step = {"type": "batch", "batch": batch(({"type": "is_autocommit"}, "select 1"))}
        message = "BatchCond of type `is_autocommit` is only supported in protocol version hrana3 and higher"
        assert await server.pipeline(step, version=2) == (400, message)
        assert (await server.pipeline(step, CLOSE))[0][0]["result"]["step_results"][0]

    run(script)


def test_stored_texts(run: Run) -> None:
    def store(number: int, sql: str) -> Any:
        return {"type": "store_sql", "sql_id": number, "sql": sql}

    async def script(server: Server) -> None:
        by_id = {"type": "execute", "stmt": {"sql_id": -1}}
        results, baton = await server.pipeline(
            store(-1, "select 5"), by_id, {"type": "describe", "sql_id": -1}, {"type": "sequence", "sql_id": -1}
        )
        assert rows(results[1]) == [["5"]]
        results, baton = await server.pipeline(
            {"type": "close_sql", "sql_id": -1}, store(-1, "select 6"), by_id, baton=baton
        )
        assert rows(results[2]) == [["6"]]
        results, baton = await server.pipeline(*(store(number, "select 1") for number in range(51)), baton=baton)
        assert results[50] == {
            "message": "The server already stores 50 SQL texts, it cannot store more",
            "code": "SQL_STORE_TOO_MANY",
        }
        assert (results[48]["type"], results[49]["code"]) == ("store_sql", "SQL_STORE_TOO_MANY")
        results, baton = await server.pipeline({"type": "close_sql", "sql_id": 0}, store(0, "x" * 5001), baton=baton)
        assert results[1]["code"] == "SQL_STORE_TOO_LARGE"
        assert await server.pipeline(store(1, "x"), baton=baton) == (400, "SQL text 1 already exists")

    run(script)


def test_a_batch_of_a_transaction(run: Run) -> None:
    async def script(server: Server) -> None:
        def ok(step: int) -> Any:
            return {"type": "ok", "step": step}

        steps = batch(
            "begin immediate",
            (ok(0), "insert into t values (1, 1)"),
            (ok(1), "insert into t values (1, 2)"),
            (ok(2), "commit"),
            ({"type": "not", "cond": ok(3)}, "rollback"),
            ({"type": "and", "conds": []}, "select 1"),
            ({"type": "or", "conds": []}, "select 2"),
            ({"type": "error", "step": 6}, "select 3"),
        )
        results, _ = await server.pipeline(TABLE, {"type": "batch", "batch": steps}, "select count(*) from t", CLOSE)
        got = results[1]["result"]
        assert [each is not None for each in got["step_results"]] == [True, True, False, False, True, True, False, True]
        assert [each and each["code"] for each in got["step_errors"]] == [None, None, "SQLITE_CONSTRAINT", *[None] * 5]
        assert rows(results[2]) == [["0"]]

    run(script)


def test_a_batch_of_steps_that_are_known_to_be_short(run: Run) -> None:
    """They run together; what comes of it is the same as step by step."""

    async def script(server: Server) -> None:
        def insert(number: int) -> str:
            return f"insert into t values ({number}, 0)"

        async def ask(*steps: Any) -> list[Any]:
            results, _ = await server.pipeline({"type": "batch", "batch": batch(*steps)}, CLOSE)
            got = results[0].get("result", results[0])
            if "code" in got:
                return [got["code"]]
            pairs = zip(got["step_results"], got["step_errors"], strict=True)
            return [error["code"] if error else result and rows(result) for result, error in pairs]

        def ok(step: int, sql: str) -> Any:
            return {"type": "ok", "step": step}, sql

        await server.pipeline(TABLE, CLOSE)
        for _ in range(3):  # at first nothing is known of them
            steps = ["begin immediate", insert(1), insert(2), insert(1), insert(3), "select a from t", "rollback"]
            expected = [[], [], [], "SQLITE_CONSTRAINT", [], [["1"], ["2"], ["3"]], []]
            assert await ask(*steps) == expected
            chained = [steps[0], *(ok(number, sql) for number, sql in enumerate(steps[1:-1])), steps[-1]]
            assert await ask(*chained) == [[], [], [], "SQLITE_CONSTRAINT", None, None, []]
            other = ["begin immediate", insert(1), ok(0, insert(2)), ok(1, "select 1"), ok(3, "select 2"), "rollback"]
            assert await ask(*other) == [[], [], [], [["1"]], [["2"]], []]
            big = "select hex(zeroblob(300000))"
            assert await ask("select 1", big, big) == ["RESPONSE_TOO_LARGE"]
            assert await ask("select 1", "select * from nope", "select 2") == [[["1"]], "SQLITE_UNKNOWN", [["2"]]]
            assert await ask("begin immediate", insert(1), insert(2), "commit", insert(1), "delete from t") == [
                *[[]] * 4,
                "SQLITE_CONSTRAINT",
                [],
            ]
        noted = server.namespace.stats.noted
        assert noted.count(insert(3)) == 3
        assert noted.count("select 2") == 6

    run(script)


def test_a_batch_is_read_before_it_runs(run: Run) -> None:
    async def script(server: Server) -> None:
        bad = {"type": "batch", "batch": batch(TABLE, "selec")}
        mixed = {
            "type": "batch",
            "batch": {
                "steps": [
                    {"stmt": {"sql": TABLE}},
                    {
                        "stmt": {
                            "sql": "select ?",
                            "args": [{"type": "null"}],
                            "named_args": [{"name": "a", "value": {"type": "null"}}],
                        }
                    },
                ]
            },
        }
        sequence = {"type": "sequence", "sql": f"{TABLE}; selec"}
        results, _ = await server.pipeline(bad, mixed, sequence, "select * from t", CLOSE)
        assert [each["code"] for each in results[:4]] == [
            "SQL_PARSE_ERROR",
            "ARGS_BOTH_POSITIONAL_AND_NAMED",
            "SQL_PARSE_ERROR",
            "SQLITE_UNKNOWN",
        ]
        later = {
            "type": "sequence",
            "sql": f"{TABLE}; insert into t values (1, 1); insert into t values (1, 1); insert into t values (2, 2)",
        }
        results, _ = await server.pipeline(later, "select * from t", CLOSE)
        assert [rows(each) for each in results[:2]] == ["SQLITE_CONSTRAINT", [["1", "1"]]]

    run(script)


def test_replies_are_limited(run: Run) -> None:
    async def script(server: Server) -> None:
        big = "select hex(zeroblob(300000))"
        results, _ = await server.pipeline(
            "select hex(zeroblob(600000))", {"type": "batch", "batch": batch(big, big)}, *[big] * 6, CLOSE
        )
        codes = [rows(each) if "code" in each else each["type"] for each in results]
        assert codes == [
            "RESPONSE_TOO_LARGE",
            "RESPONSE_TOO_LARGE",
            *["execute"] * 4,
            *["RESPONSE_TOO_LARGE"] * 2,
            "close",
        ]

    run(script)


def test_rights_and_blocks(run: Run) -> None:
    async def script(server: Server) -> None:
        await server.pipeline(TABLE, CLOSE)
        server.host.permission = READ
        for sql in ("insert into t values (1, 1)", "drop table t", "pragma user_version", "reindex"):
            status, got = await server.pipeline("begin", sql)
            message = "Authorization forbidden: Current session doesn't not have Write permission to namespace main"
            assert (status, got) == (403, {"error": message})
        results, _ = await server.pipeline(
            "select * from t", "begin", "rollback", {"type": "describe", "sql": "select 1"}, CLOSE
        )
        assert all("code" not in each for each in results)
        server.host.permission = WRITE
        assert (await server.pipeline("select 1"))[0] == 403
        assert (await server.pipeline({"type": "describe", "sql": "select 1"}))[0] == 403
        server.host.permission = READ | WRITE
        server.namespace.config.shared_schema_name = "other"
        assert await server.pipeline("drop table t") == (
            403,
            {"error": "Authorization forbidden: DDL statements not permitted on namespace main"},
        )
        server.namespace.config.block_writes = True
        results, _ = await server.pipeline("insert into t values (1, 1)", "select 1", "begin", CLOSE)
        assert results[0] == {"message": "Operation was blocked", "code": "BLOCKED"}
        assert all("code" not in each for each in results[1:])
        server.namespace.config.block_reads = True
        server.namespace.config.block_reason = "quota"
        results, _ = await server.pipeline("select 1", "begin", "savepoint s", "release s", "commit", CLOSE)
        assert [each.get("code") for each in results[:5]] == ["BLOCKED", "BLOCKED", None, None, "SQLITE_UNKNOWN"]
        assert results[0]["message"] == "Operation was blocked: quota"

    run(script)


def test_connections_run_out(run: Run) -> None:
    async def script(server: Server) -> None:
        server.namespace.most = 1
        _, baton = await server.pipeline("select 1")
        assert await server.pipeline("select 1") == (429, {"error": "Timed out while opening database connection"})
        await server.pipeline(CLOSE, baton=baton)
        assert (await server.pipeline("select 1", CLOSE))[1] is None

    run(script)
