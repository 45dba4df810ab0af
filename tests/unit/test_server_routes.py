"""Cursors over HTTP, the routes of one call, paths and methods, listeners."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from libsql_core.server.api import READ
from libsql_core.server.listen import BEHIND, Changes

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


async def cursor(server: Server, *steps: Any, baton: str | None = None) -> tuple[int, Any]:
    status, got = await server.post("/v3/cursor", {"baton": baton, "batch": batch(*steps)})
    if status == 200:
        return status, [orjson.loads(line) for line in got.splitlines()]
    return status, got


def test_a_cursor(run: Run) -> None:
    async def script(server: Server) -> None:
        _, got = await cursor(
            server,
            TABLE,
            "insert into t values (1, 'x'), (2, 'y') returning a",
            "select * from nope",
            ({"type": "ok", "step": 2}, "select 1"),
            ({"type": "error", "step": 3}, "select a from t"),
            "select json(case when a = 2 then 'x' else '1' end) from t",
            ({"type": "is_autocommit"}, "begin immediate"),
        )
        kinds = [(each["type"], each.get("step")) for each in got[1:]]
        assert kinds == [
            ("step_begin", 0), ("step_end", None),
            ("step_begin", 1), ("row", None), ("row", None), ("step_end", None),
            ("step_error", 2),
            ("step_begin", 4), ("row", None), ("row", None), ("step_end", None),
            ("step_begin", 5), ("row", None), ("step_error", 5),
            ("step_begin", 6), ("step_end", None),
        ]  # fmt: skip
        results, _ = await server.pipeline(AUTOCOMMIT, CLOSE, baton=got[0]["baton"])
        assert results[0]["is_autocommit"] is False

    run(script)


def test_a_long_cursor_comes_in_pieces(run: Run) -> None:
    async def script(server: Server) -> None:
        _, got = await cursor(
            server,
            COUNTED.format(50_000, "n, hex(zeroblob(50))"),
        )
        assert len(got) == 50_000 + 3
        assert got[-2]["row"][0]["value"] == "50000"
        assert (await server.pipeline(CLOSE, baton=got[0]["baton"]))[1] is None

    run(script)


def test_cursors_that_do_not_begin(run: Run) -> None:
    async def script(server: Server) -> None:
        status, got = await cursor(server, "select 1", "selec")
        assert (status, got["error"][:60]) == (500, "Internal Error: `SQL string could not be parsed: syntax erro")
        assert (await cursor(server, ({"type": "ok", "step": 0}, "select 1")))[0] == 400
        assert server.namespace.out == 0
        server.host.permission = READ
        _, got = await cursor(server, "select 1", TABLE, "select 2")
        assert got[-1]["type"] == "error"
        assert got[-1]["error"]["code"] == "FORBIDDEN"
        assert server.namespace.out == 0

    run(script)


def test_a_cursor_whose_client_goes(run: Run) -> None:
    async def script(server: Server) -> None:
        reader, writer = await asyncio.open_connection(*server.listener.address)
        body = orjson.dumps({"batch": batch("begin immediate", SLOW.replace("count(*)", "n"))})
        writer.write(b"POST /v3/cursor HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await reader.readexactly(10_000_000)
        assert await server.pipeline(baton="x")
        writer.close()
        await asyncio.wait_for(server.returned(), 10)
        assert server.namespace.writers.holder is None

    run(script)


# The routes of one call


def test_one_shot(run: Run) -> None:
    async def script(server: Server) -> None:
        status, got = await server.post("/v1/execute", {"stmt": {"sql": "select 1"}})
        assert (status, rows(got)) == (200, [["1"]])
        for sql, expected in (("selec", 400), ("select * from nope", 500), ("select ?", 400)):
            status, got = await server.post("/v1/execute", {"stmt": {"sql": sql}})
            assert (status, sorted(got)) == (expected, ["code", "message"])
        status, got = await server.post("/v1/batch", {"batch": batch("begin immediate", TABLE, "selec * from t")})
        assert (status, got["code"]) == (400, "SQL_PARSE_ERROR")
        status, got = await server.post("/v1/batch", {"batch": batch("begin immediate", TABLE, "nope")})
        status, got = await server.post("/v1/batch", {"batch": batch("begin immediate", TABLE)})
        assert status == 200
        assert server.namespace.writers.holder is None
        assert await server.post("/v1/execute", {"stmt": {"sql_id": 1}}) == (
            400,
            "`sql_id` is only supported in protocol version hrana2 and higher",
        )

    run(script)


def test_version_0(run: Run) -> None:
    async def script(server: Server) -> None:
        async def post(*statements: Any) -> Any:
            status, got = await server.post("/", {"statements": list(statements)})
            if status == 200:
                return [each and each.get("results", {"rows": each.get("error")})["rows"] for each in got]
            return status, got["error"] if isinstance(got, dict) else got

        assert await post() == []
        assert await post(
            TABLE, {"q": "insert into t values (?, ?)", "params": [1, {"base64": "AP8"}]}, "select * from t"
        ) == [[], [], [[1, {"base64": "AP8"}]]]
        assert await post({"q": "select :a, @b", "params": {"a": True, "@b": 1.5}}) == [[[1, 1.5]]]
        status, text = await post("begin", "insert into t values (2, 2)", "nope", "select 1")
        assert (status, text[:40]) == (500, "Internal Error: `syntax error around L1:")
        assert await post("begin", "insert into t values (2, 2)", "select * from nope", "commit") == [
            [],
            [],
            "no such table: nope",
            None,
        ]
        assert await post("select count(*) from t", "", "select 1") == [[[1]], "not an error", None]
        assert await post("begin", "commit") == [[], []]
        assert await post("begin") == (400, "Query error: `interactive transaction not allowed in HTTP queries`")
        assert (await post("savepoint s", "release s"))[0] == 400
        assert (await post("select 1; select 2"))[0] == 400
        assert (await post("select ?"))[0].startswith("LibSQL failed to bind")
        assert (await post("select hex(zeroblob(600000))"))[0] == 500
        assert (await post("select cast(x'ff' as text)")) == (500, "invalid utf-8 sequence of 1 bytes from index 0")
        for bad in (
            5,
            None,
            {},
            {"q": 5},
            {"q": "x", "more": 1},
            {"q": "x", "params": 5},
            {"q": "x", "params": [[]]},
            {"q": "x", "params": [{"base64": "aGk="}]},
        ):
            assert (await post(bad))[0] == 422
        assert (await server.post("/", b"{"))[0] == 400
        assert (await server.post("/", b"x" * 2_200_000))[0] == 413
        server.namespace.config.block_writes = True
        assert await post("insert into t values (9, 9)") == ["Operation was blocked"]

    run(script)


def test_paths_and_methods(run: Run) -> None:
    async def script(server: Server) -> None:
        async def ask(method: str, path: str) -> bytes:
            reader, writer = await asyncio.open_connection(*server.listener.address)
            writer.write(f"{method} {path} HTTP/1.1\r\nconnection: close\r\n\r\n".encode())
            got = await reader.read()
            writer.close()
            return got

        for path in ("/v2", "/v3", "/v3-protobuf", "/v1"):
            got = await ask("GET", path)
            assert b"200 OK" in got
            assert b"\r\naccess-control-allow-origin: *\r\n" in got
            assert b"\r\nserver-timing: query_total;dur=" in got
            assert (await ask("HEAD", path)).endswith(b"\r\n\r\n")
        for path in ("/", "/nothing", "/dev/", "/dev/main/v3", "/dev/main/v3/cursor", "/v3/"):
            got = await ask("GET", path)
            assert b" 404 " in got
        assert b"\r\nallow: POST\r\n" in await ask("GET", "/v3/pipeline")
        assert b"\r\nallow: POST,GET,HEAD\r\n" in await ask("OPTIONS", "/")
        assert b"\r\naccess-control-allow-methods: *\r\n" in await ask("OPTIONS", "/v3/cursor")
        body = {"requests": [execute("select 1"), CLOSE]}
        assert (await server.post("/dev/main/v2/pipeline", body))[0] == 200
        assert (await server.post("/dev/other/v3/pipeline", body))[0] == 404
        assert (await server.post("/dev/main/v1/pipeline", body)) == (
            400,
            {"error": "Invalid path in URI: `invalid hrana version`"},
        )

    run(script)


# Listeners


def test_listening(run: Run) -> None:
    async def script(server: Server) -> None:
        await server.pipeline(TABLE, "create table u(a)", CLOSE)
        streams = {}
        for query in ("table=t", "table=t&action=delete&action=update", "table=u"):
            reader, writer = await asyncio.open_connection(*server.listener.address)
            writer.write(f"GET /beta/listen?{query} HTTP/1.0\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"\r\ncontent-type: text/event-stream\r\n" in head
            streams[query] = reader, writer
        await server.pipeline("insert into t values (1, 1), (2, 2)", CLOSE)
        await server.pipeline(
            "begin",
            "insert into t values (3, 3)",
            "update t set b = 0",
            "delete from t where a = 1",
            "insert into u values (1)",
            "commit",
            CLOSE,
        )
        await server.pipeline("begin", "delete from t where a = 2", "rollback", CLOSE)
        await asyncio.sleep(0.05)
        both = b'event:changes\ndata:{"delete":1,"insert":1,"update":3}\n\n'
        expected = [b'event:changes\ndata:{"insert":2}\n\n' + both, both, b'event:changes\ndata:{"insert":1}\n\n']
        assert [await reader.read(1000) for reader, _ in streams.values()] == expected
        for _, writer in streams.values():
            writer.close()
        while server.namespace.changes.watched:
            await asyncio.sleep(0.01)

    run(script)


@pytest.mark.parametrize("query", ["", "?table", "?action=insert", "?table=t&action=what"])
def test_listening_to_nothing(run: Run, query: str) -> None:
    async def script(server: Server) -> None:
        reader, writer = await asyncio.open_connection(*server.listener.address)
        writer.write(f"GET /beta/listen{query} HTTP/1.0\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert (b" 200 " if query == "?table" else b" 400 ") in head
        writer.close()

    run(script)


def test_a_listener_that_is_too_slow() -> None:
    async def script() -> None:
        changes = Changes()
        listener = changes.listen("t")
        waiting = asyncio.ensure_future(anext(listener))
        await asyncio.sleep(0)
        for _ in range(BEHIND + 1):
            changes.publish([("t", 1, 0, 0), ("u", 1, 0, 0)])
        got = [await waiting]
        got += [each async for each in listener]
        assert got == [{"insert": 1}] * BEHIND + [None]
        assert not changes.watched

    asyncio.run(script())
