"""What a replica passes on to its primary, and how the answers become its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from libsql_core._engine import ServerConnection
from libsql_core.hrana.proto_decode import fields
from libsql_core.replication.messages import Error, ErrorCode
from libsql_core.server.api import ATTACH, DDL, FULL, READ, WRITE
from libsql_core.server.auth import EVERYTHING, Rights
from libsql_core.server.relay import Relay, identity
from libsql_core.server.remote import Result, failure, stmt_result
from libsql_core.server.rpc import Call, Code, RpcError
from libsql_core.server.rpc_access import identity as parse_identity


def columns_and_rows(data: bytes) -> list[tuple[int, bytes]]:
    return [(field, data[value:end]) for field, _, value, end in fields(data, 0, len(data)) if field <= 2]


def test_results_are_as_the_engine_writes_them(tmp_path: Path) -> None:
    chance = random.Random(3)
    con = ServerConnection(tmp_path / "data", name="x")
    con.run(con.plan("create table t(a integer primary key, b text, c)"))
    values: list[Any] = [None, 0, -1, 2**63 - 1, -(2**63), 1.5, 1e300, "", 'é"\n', b"", b"\0\xff"]
    for sql in (
        "select 1 as x, ? as b, ? as c",
        "insert into t(b, c) values (?, ?)",
        "delete from t where b = ? or c = ?",
    ):
        for _ in range(12):
            args = [chance.choice(values), chance.choice(values)]
            for encoding in (0, 1, 2):
                plan = con.plan(sql)
                expected = con.execute(plan, args, None, encoding, 1 << 20)
                made = Result()
                made.columns = [("x", None), ("b", None), ("c", None)] if sql[0] == "s" else []
                made.rows = [[1, *args]] if sql[0] == "s" else []
                if encoding == 1:
                    found = stmt_result(made, 1, None, 0.0)
                    assert columns_and_rows(found) == columns_and_rows(expected)
                    continue
                answer = orjson.loads(expected)
                made.affected = answer.get("affected_row_count", 0)
                rowid = answer.get("last_insert_rowid")
                made.rowid = None if rowid is None else int(rowid)
                ours_answer = orjson.loads(stmt_result(made, encoding, None, 0.0))
                for key in ("rows_read", "rows_written", "query_duration_ms"):
                    del answer[key], ours_answer[key]
                assert ours_answer == answer
    con.close()


def test_identities() -> None:
    def of(rights: Rights, permission: int) -> Any:
        context: Any = SimpleNamespace(rights=rights, permission=permission, namespace=SimpleNamespace(name="main"))
        return identity(context)

    assert of(EVERYTHING, FULL) == '"FullAccess"'
    for permission in (READ, READ | WRITE, READ | ATTACH, READ | WRITE | ATTACH, READ | WRITE | DDL):
        said = parse_identity(of(Rights(permission), permission).encode())
        assert (said.of("main"), said.of("other")) == (permission, 0)


def test_calls_are_passed_on() -> None:
    seen: list[Any] = []

    class Upstream:
        async def call(self, path: str, message: bytes, metadata: Any) -> bytes:
            seen.append((path, message, metadata))
            return b"reply"

        async def replies(self, path: str, message: bytes, metadata: Any) -> AsyncGenerator[bytes, None]:
            if message == b"bad":
                raise RpcError(Code.UNAVAILABLE, "snapshot not found")
            yield b"one"
            yield b"two"

    upstream: Any = Upstream()
    methods = Relay(upstream, lambda headers: "main").methods
    headers = {b"x-authorization": b"Bearer t", b"x-session-token": b"s", b"host": b"h"}

    async def script() -> None:
        log = methods["/wal_log.ReplicationLog/Hello"]
        assert log.open
        assert await log.handler(Call("/wal_log.ReplicationLog/Hello", headers, False), b"hi") == b"reply"
        assert seen.pop() == ("/wal_log.ReplicationLog/Hello", b"hi", {
            "x-namespace-bin": b"main", "x-authorization": "Bearer t", "x-session-token": "s", "libsql-proxied": "true",
        })  # fmt: skip
        context: Any = SimpleNamespace(rights=EVERYTHING, permission=FULL, namespace=SimpleNamespace(name="main"))
        proxy = methods["/proxy.Proxy/Execute"]
        assert not proxy.open
        assert await proxy.handler(Call("/proxy.Proxy/Execute", headers, False, context), b"go") == b"reply"
        assert seen.pop()[2]["x-proxy-authorization"] == '"FullAccess"'
        snapshot = methods["/wal_log.ReplicationLog/Snapshot"]
        call = Call("/wal_log.ReplicationLog/Snapshot", headers, False)
        assert [each async for each in await snapshot.handler(call, b"")] == [b"one", b"two"]
        with pytest.raises(RpcError, match="snapshot not found"):
            await snapshot.handler(call, b"bad")

    asyncio.run(script())


def test_errors_are_told_as_the_primary_would() -> None:
    for error, message, code in [
        (Error(ErrorCode.TX_TIMEOUT, "x"), "Transaction timed out", "TRANSACTION_TIMEOUT"),
        (Error(ErrorCode.TX_BUSY, "x"), "Transaction is busy", "TRANSACTION_BUSY"),
        (Error(ErrorCode.INTERNAL, "m", 2067), "SQLite error: m", "SQLITE_CONSTRAINT"),
        (Error(ErrorCode.INTERNAL, "m", 1), "SQLite error: m", "SQLITE_UNKNOWN"),
        (Error(ErrorCode.SQL_ERROR, "m"), "m", "ARGS_INVALID"),
        (Error(ErrorCode.INTERNAL, "m"), "m", "SQLITE_UNKNOWN"),
    ]:
        made = failure(error)
        assert (made.message, made.code) == (message, code)
