"""Hrana over WebSockets: handshake, streams, cursors, what closes a connection and with which code."""

from __future__ import annotations

import asyncio
import random
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from websockets.frames import Opcode

from libsql_core.hrana.encode import varint
from libsql_core.server import ws
from libsql_core.server.api import READ

if TYPE_CHECKING:
    from tests.unit.server_double import Server, Socket, rows, serve
else:
    DOUBLE = runpy.run_path(str(Path(__file__).with_name("server_double.py")))
    rows, serve = DOUBLE["rows"], DOUBLE["serve"]

Run = Callable[[Callable[["Server"], Awaitable[None]]], None]
TABLE = "create table t(a integer primary key, b)"
SLOW = "with recursive x(n) as (select 1 union all select n + 1 from x) select count(*) from x"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda script: serve(tmp_path / "main", script)


async def handshake(server: Server, *lines: str, path: str = "/") -> bytes:
    reader, writer = await asyncio.open_connection(*server.listener.address)
    usual = ["Upgrade: websocket", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Version: 13"]
    usual = [each for each in usual if not any(line.startswith(each.split(":")[0]) for line in lines)]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    given = [line for line in (*lines, *usual, key) if not line.endswith(": -")]
    writer.write(f"GET {path} HTTP/1.1\r\n{''.join(f'{line}{chr(13)}{chr(10)}' for line in given)}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


def test_the_handshake(run: Run) -> None:
    async def script(server: Server) -> None:
        head = await handshake(server)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert b"sec-websocket-protocol" not in head
        for offered, chosen in (
            ("hrana1", "hrana1"),
            ("hrana2, hrana1", "hrana2"),
            ("hrana1, HRANA3", "hrana3"),
            ("hrana3,hrana3-protobuf", "hrana3-protobuf"),
        ):
            head = await handshake(server, f"Sec-WebSocket-Protocol: {offered}")
            assert b"\r\nsec-websocket-protocol: %b\r\n" % chosen.encode() in head
        assert b" 400 " in await handshake(server, "Sec-WebSocket-Protocol: graphql-ws")
        assert b" 400 " in await handshake(server, "Sec-WebSocket-Version: 8")
        assert b" 400 " in await handshake(server, "Sec-WebSocket-Version: -")
        assert b" 404 " in await handshake(server, "Upgrade: h2c")
        assert b" 404 " in await handshake(server, path="/v2/socket")

    run(script)


def test_a_conversation(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            assert (await socket.ask("open_stream", stream_id=1)) == {"type": "open_stream"}
            assert (await socket.ask("sequence", stream_id=1, sql=TABLE)) == {"type": "sequence"}
            assert (await socket.execute("insert into t values (5, 'x')"))["result"]["last_insert_rowid"] == "5"
            steps = {"steps": [{"stmt": {"sql": "select * from t"}}, {"stmt": {"sql": "select * from nope"}}]}
            got = await socket.ask("batch", stream_id=1, batch=steps)
            assert rows(got["result"]["step_results"][0]) == [["5", "x"]]
            assert got["result"]["step_errors"][1]["code"] == "SQLITE_UNKNOWN"
            assert (await socket.execute("selec"))["code"] == "SQL_PARSE_ERROR"
            assert (await socket.ask("describe", stream_id=1, sql="select ?"))["result"]["is_readonly"] is True
            assert (await socket.ask("get_autocommit", stream_id=1))["is_autocommit"] is True
            await socket.ask("store_sql", sql_id=7, sql="select 9")
            assert rows(await socket.ask("execute", stream_id=1, stmt={"sql_id": 7})) == [["9"]]
            assert (await socket.ask("close_stream", stream_id=1)) == {"type": "close_stream"}
            assert server.namespace.out == 0
            socket.protocol.send_ping(b"are you there")
            socket.flush()
            assert (await socket.event()).data == b"are you there"

    run(script)


def test_without_waiting_for_answers(run: Run) -> None:
    """A hello that takes its time, ids that are used again at once, stored text that is gone before it runs."""

    async def script(server: Server) -> None:
        server.host.greeting = 0.05
        async with server.socket("hrana2", hello=False) as socket:
            socket.send({"type": "hello", "jwt": None})
            socket.request("open_stream", stream_id=1)
            socket.request("store_sql", sql_id=1, sql="select 1")
            socket.request("execute", stream_id=1, stmt={"sql_id": 1})
            socket.request("close_sql", sql_id=1)
            socket.request("close_stream", stream_id=1)
            socket.request("open_stream", stream_id=1)
            socket.request("execute", stream_id=1, stmt={"sql": "select 2"})
            got = [await socket.receive() for _ in range(8)]
            assert got[0] == {"type": "hello_ok"}
            replies = {each["request_id"]: each["response"] for each in got[1:]}
            assert rows(replies[3]) == [["1"]]
            assert rows(replies[7]) == [["2"]]

    run(script)


def test_streams_do_not_wait_for_each_other(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            await socket.ask("open_stream", stream_id=2)
            slow = socket.request(
                "execute", stream_id=1, stmt={"sql": SLOW.replace("from x)", "from x limit 1000000)")}
            )
            behind = socket.request("execute", stream_id=1, stmt={"sql": "select 1"})
            quick = socket.request("execute", stream_id=2, stmt={"sql": "select 2"})
            assert [(await socket.receive())["request_id"] for _ in range(3)] == [quick, slow, behind]

    run(script)


def test_much_that_waits_is_not_read(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            socket.request("execute", stream_id=1, stmt={"sql": SLOW.replace("from x)", "from x limit 4000000)")})
            for _ in range(3_000):
                socket.request("execute", stream_id=1, stmt={"sql": f"select '{'x' * 1000}'"})
            (peer,) = server.listener.peers
            assert isinstance(peer, ws.Socket)
            while peer._reading:
                await asyncio.sleep(0.001)
            for _ in range(3_001):
                assert (await socket.receive())["type"] == "response_ok"

    run(script)


def test_hellos(run: Run) -> None:
    async def script(server: Server) -> None:
        refused = {"message": "Authentication failed: The JWT is invalid", "code": "AUTH_JWT_INVALID"}
        async with server.socket(hello=False) as socket:
            socket.send({"type": "hello", "jwt": "bad"})
            assert await socket.receive() == {"type": "hello_error", "error": refused}
            assert await socket.closed() == (1000, "Thank you for using sqld")
        async with server.socket("hrana1") as socket:
            socket.send({"type": "hello"})
            message = "Repeated hello message is only supported in protocol version hrana2 and higher"
            assert await socket.closed() == (1008, message)
        async with server.socket("hrana2") as socket:
            await socket.ask("open_stream", stream_id=1)
            await socket.execute(TABLE)
            server.host.permission = READ
            socket.send({"type": "hello"})
            assert await socket.receive() == {"type": "hello_ok"}
            # The rights of streams that are open change, too.
            assert (await socket.execute("drop table t"))["code"] == "FORBIDDEN"
            socket.send({"type": "hello", "jwt": "bad"})
            assert (await socket.receive())["type"] == "hello_error"
            assert await socket.closed() == (1000, "Thank you for using sqld")

    run(script)


MALFORMED = "Cannot deserialize client message from JSON: "
FATAL: list[tuple[Any, int, str]] = [
    ("{", 1007, MALFORMED + "EOF while parsing an object"),
    ({"type": "bogus"}, 1007, MALFORMED + "unknown variant `bogus`, expected `hello` or `request`"),
    ({"type": "request", "request_id": 1}, 1008, "Request type not recognized"),
    (b"\0", 1003, "Received a binary WebSocket message, which is not supported in this encoding"),
    (("close_stream", {"stream_id": 9}), 1008, "Stream 9 not found"),
    (("execute", {"stream_id": 9, "stmt": {"sql": "select 1"}}), 1008, "Stream 9 not found"),
    (("open_stream", {"stream_id": 1}), 1008, "Stream 1 already exists"),
    (("fetch_cursor", {"cursor_id": 9, "max_count": 1}), 1008, "Cursor 9 not found"),
    (("close_cursor", {"cursor_id": 9}), 1008, "Cursor 9 not found"),
    (("execute", {"stream_id": 1, "stmt": {"sql_id": 9}}), 1008, "SQL text 9 not found"),
    (("execute", {"stream_id": 1, "stmt": {}}), 1008, "Either `sql` or `sql_id` are required"),
    (
        (
            "batch",
            {"stream_id": 1, "batch": {"steps": [{"condition": {"type": "ok", "step": 0}, "stmt": {"sql": "x"}}]}},
        ),
        1008,
        "Invalid reference to step in a batch condition",
    ),
]


@pytest.mark.parametrize(("message", "code", "reason"), FATAL)
def test_what_closes_a_connection(run: Run, message: Any, code: int, reason: str) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            if isinstance(message, tuple):
                socket.request(message[0], **message[1])
            else:
                socket.send(message)
            closed, why = await socket.closed()
            assert closed == code
            assert why.startswith(reason)
        while server.namespace.out:
            await asyncio.sleep(0.01)

    run(script)


def test_a_long_reason_is_cut(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            socket.send({"type": "é" * 100})
            code, reason = await socket.closed()
            assert (code, len(reason.encode()) in (122, 123)) == (1007, True)

    run(script)


@pytest.mark.parametrize("version", [1, 2])
def test_requests_that_a_version_lacks(run: Run, version: int) -> None:
    async def script(server: Server) -> None:
        kinds = {"describe": 2, "sequence": 2, "store_sql": 2, "close_sql": 2, "get_autocommit": 3, "open_cursor": 3}
        for kind, since in kinds.items():
            if since > version:
                async with server.socket(f"hrana{version}") as socket:
                    socket.request(kind, stream_id=1, sql_id=1, sql="x", cursor_id=1, batch={"steps": []})
                    message = f"The `{kind}` request is only supported in protocol version hrana{since} and higher"
                    assert await socket.closed() == (1008, message)
        async with server.socket(None, hello=False) as socket:
            socket.request("open_stream", stream_id=1)
            assert await socket.closed() == (1008, "Received a request before hello message")

    run(script)


def test_connections_come_with_what_needs_one(run: Run) -> None:
    async def script(server: Server) -> None:
        server.namespace.most = 1
        async with server.socket() as socket:
            for stream in (1, 2, 3):
                await socket.ask("open_stream", stream_id=stream)
            for _ in range(3):
                for stream in (1, 2, 3):
                    assert rows(await socket.execute("select 1", stream)) == [["1"]]
                    if server.namespace.out:  # it was not known to be short
                        await socket.ask("close_stream", stream_id=stream)
                        await socket.ask("open_stream", stream_id=stream)
            assert server.namespace.out == 0
            await socket.execute("begin")
            assert server.namespace.out == 1
            # Who finds none is told, and may try again.
            assert (await socket.execute("select count(*) from sqlite_schema", 2))["code"] == "TOO_MANY_REQUESTS"
            assert (await socket.ask("describe", stream_id=2, sql="select 1"))["code"] == "TOO_MANY_REQUESTS"
            assert (await socket.execute("selec", 2))["code"] == "TOO_MANY_REQUESTS"
            assert (await socket.ask("get_autocommit", stream_id=1))["is_autocommit"] is False
            assert rows(await socket.execute("select 1", 1)) == [["1"]]
            await socket.ask("close_stream", stream_id=1)
            assert rows(await socket.execute("select count(*) from sqlite_schema", 2)) == [["0"]]

    run(script)


def test_short_reads_are_answered_like_others(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            await socket.ask("store_sql", sql_id=1, sql="select ?")
            stmt = {"sql_id": 1, "args": [{"type": "integer", "value": "7"}]}
            for _ in range(4):
                assert rows(await socket.ask("execute", stream_id=1, stmt=stmt)) == [["7"]]
                assert (await socket.ask("execute", stream_id=1, stmt={"sql_id": 1}))["code"] == "ARGS_INVALID"
                named = [{"name": "a", "value": {"type": "null"}}]
                both = await socket.ask("execute", stream_id=1, stmt={**stmt, "named_args": named})
                assert both["code"] == "ARGS_BOTH_POSITIONAL_AND_NAMED"
            await socket.execute(TABLE)
            await socket.execute("begin immediate")
            await socket.execute("insert into t values (1, 1)")
            for _ in range(3):  # what the transaction has done is seen
                assert rows(await socket.execute("select a from t")) == [["1"]]
            server.namespace.config.block_reads = True
            assert (await socket.execute("select a from t"))["code"] == "BLOCKED"
            server.namespace.config.block_reads = False
            server.namespace.timeout = 0.05
            await server.pipeline("insert into t values (2, 2)", {"type": "close"})
            assert (await socket.execute("select a from t"))["code"] == "TRANSACTION_TIMEOUT"
            assert rows(await socket.execute("select a from t")) == [["2"]]
            stream: Any
            for stream in (None, "1", [1], {}, 1.0, True):
                async with server.socket() as other:
                    await other.ask("open_stream", stream_id=1)
                    other.request("execute", stream_id=stream, stmt={"sql": "select 1"})
                    assert (await other.closed())[0] == 1007

    run(script)


def test_stored_texts_are_many(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            for number in range(150):
                assert (await socket.ask("store_sql", sql_id=number, sql="x" * 6000))["type"] == "store_sql"
            full = "The server already stores 150 SQL texts, it cannot store more"
            assert await socket.ask("store_sql", sql_id=150, sql="x") == {"message": full, "code": "SQL_STORE_TOO_MANY"}
            socket.request("store_sql", sql_id=1, sql="x")
            assert await socket.closed() == (1008, "SQL text 1 already exists")

    run(script)


def test_cursors(run: Run) -> None:
    steps = {"steps": [{"stmt": {"sql": "select 1 union select 2"}}, {"stmt": {"sql": "select * from nope"}}]}

    async def script(server: Server) -> None:
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            assert (await socket.ask("open_cursor", stream_id=1, cursor_id=5, batch=steps)) == {"type": "open_cursor"}
            got = await socket.ask("fetch_cursor", cursor_id=5, max_count=0)
            assert (got["entries"], got["done"]) == ([], False)
            got = await socket.ask("fetch_cursor", cursor_id=5, max_count=2)
            assert [each["type"] for each in got["entries"]] == ["step_begin", "row"]
            assert (await socket.execute("select 1"))["code"] == "CURSOR_NOT_FINISHED"
            got = await socket.ask("fetch_cursor", cursor_id=5, max_count=100)
            assert [each["type"] for each in got["entries"]] == ["row", "step_end", "step_error"]
            assert got["done"] is True
            got = await socket.ask("fetch_cursor", cursor_id=5, max_count=100)
            assert (got["entries"], got["done"]) == ([], True)
            assert rows(await socket.execute("select 1")) == [["1"]]
            await socket.ask("close_cursor", cursor_id=5)
            # One that is given up half-way leaves nothing behind.
            await socket.ask("open_cursor", stream_id=1, cursor_id=5, batch=steps)
            await socket.ask("fetch_cursor", cursor_id=5, max_count=2)
            await socket.ask("close_cursor", cursor_id=5)
            assert rows(await socket.execute("select 1")) == [["1"]]

    run(script)


def test_cursors_that_cannot_be(run: Run) -> None:
    async def script(server: Server) -> None:
        async def opened(socket: Socket) -> None:
            await socket.ask("open_stream", stream_id=1)
            await socket.ask("open_cursor", stream_id=1, cursor_id=1, batch={"steps": []})

        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            bad = {"steps": [{"stmt": {"sql": "selec"}}]}
            assert (await socket.ask("open_cursor", stream_id=1, cursor_id=1, batch=bad))["code"] == "SQL_PARSE_ERROR"
            socket.request("fetch_cursor", cursor_id=1, max_count=1)
            assert await socket.closed() == (1008, "Cursor 1 not found")
        async with server.socket() as socket:
            await opened(socket)
            socket.request("open_cursor", stream_id=1, cursor_id=2, batch={"steps": []})
            assert await socket.closed() == (1008, "Stream 1 already has an open cursor")
        async with server.socket() as socket:
            await opened(socket)
            await socket.ask("open_stream", stream_id=2)
            socket.request("open_cursor", stream_id=2, cursor_id=1, batch={"steps": []})
            assert await socket.closed() == (1008, "Cursor 1 already exists")
        async with server.socket() as socket:
            await opened(socket)
            await socket.ask("close_stream", stream_id=1)
            socket.request("close_cursor", cursor_id=1)
            assert await socket.closed() == (1008, "Cursor 1 not found")

    run(script)


@pytest.mark.parametrize("sql", [SLOW, "select 1"])
def test_a_client_that_goes(run: Run, sql: str) -> None:
    async def script(server: Server) -> None:
        await server.pipeline(TABLE, {"type": "close"})
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            await socket.execute("begin immediate")
            await socket.execute("insert into t values (1, 1)")
            waiting = asyncio.ensure_future(
                server.pipeline("insert into t values (2, 2)", "select a from t", {"type": "close"})
            )
            for _ in range(5):
                socket.request("execute", stream_id=1, stmt={"sql": sql})
            await asyncio.sleep(0.1)
            assert not waiting.done()
        results, _ = await waiting
        assert rows(results[1]) == [["2"]]
        while server.namespace.out:
            await asyncio.sleep(0.01)

    run(script)


def test_fragments_and_frames_that_break_rules(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            text = b'{"type":"request","request_id":1,"request":{"type":"open_stream","stream_id":1}}'
            socket.protocol.send_text(text[:20], fin=False)
            socket.flush()
            await asyncio.sleep(0.02)
            socket.protocol.send_ping(b"in between")
            socket.protocol.send_continuation(text[20:50], fin=False)
            socket.protocol.send_continuation(text[50:], fin=True)
            socket.flush()
            assert (await socket.event()).data == b"in between"
            assert (await socket.receive())["response"] == {"type": "open_stream"}
        for data, code in (
            (b"\xf1\x80abcd", 1002),  # reserved bits
            (b"\x83\x80abcd", 1002),  # an opcode that is none
            (b"\x81\x05hello", 1002),  # no mask
            (b"\x80\x80abcd", 1002),  # nothing to continue
            (b"\x09\x80abcd", 1002),  # half a ping
            (b"\x81\xff\x00\x00\x00\x00\x02\x00\x00\x00abcd", 1009),  # 32 MiB
            (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffabcd", 1009),
        ):
            async with server.socket() as socket:
                socket.writer.write(data)
                assert (await socket.closed())[0] == code

    run(script)


@pytest.mark.parametrize("seed", range(5))
def test_frames_in_any_pieces(run: Run, seed: int) -> None:
    """Of all sizes of lengths, whole and in fragments, pings in between."""
    dice = random.Random(seed)

    async def script(server: Server) -> None:
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            sizes = [dice.choice((1, 10, 200, 5_000, 70_000)) for _ in range(40)]
            protocol = socket.protocol
            for number, size in enumerate(sizes):
                stmt = {"sql": f"select {number}, length('{'x' * size}')"}
                request = {"type": "execute", "stream_id": 1, "stmt": stmt}
                text = orjson.dumps({"type": "request", "request_id": number, "request": request})
                cut = dice.randrange(len(text))
                if dice.random() < 0.3:
                    protocol.send_text(text[:cut], fin=False)
                    protocol.send_ping(b"")
                    protocol.send_continuation(text[cut:], fin=True)
                else:
                    protocol.send_text(text)
            data = b"".join(protocol.data_to_send())
            while data:
                size = dice.choice((1, 2, 3, 7, 100, 3_000, 100_000))
                socket.writer.write(data[:size])
                data = data[size:]
                await asyncio.sleep(0)
            got: list[Any] = []
            while len(got) < len(sizes):
                frame = await socket.event()
                if frame.opcode is Opcode.TEXT:
                    got.append(rows(orjson.loads(frame.data)["response"])[0])
            assert got == [[str(number), str(size)] for number, size in enumerate(sizes)]

    run(script)


def test_closing(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            socket.request("open_stream", stream_id=1)
            socket.protocol.send_close(1000, "bye")
            socket.flush()
            assert await socket.closed() == (1000, "bye")
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            await socket.execute("begin immediate")
            assert await server.listener.stop(5)
            assert (await socket.closed())[0] == 1001
        assert server.namespace.out == 0

    run(script)


def test_a_namespace_that_goes(run: Run) -> None:
    async def script(server: Server) -> None:
        async with server.socket() as socket:
            await socket.ask("open_stream", stream_id=1)
            await socket.ask("open_stream", stream_id=2)
            await socket.execute("begin immediate")
            running = socket.request("execute", stream_id=2, stmt={"sql": SLOW})
            await asyncio.sleep(0.1)
            server.streams.drop(server.namespace)
            got = await socket.receive()
            assert (got["request_id"], got["error"]["code"]) == (running, "SQLITE_INTERRUPT")
            assert "code" in await socket.execute("select 1")
            assert "code" in await socket.execute("select 1", stream=2)
            assert server.namespace.out == 0

    run(script)


def test_protobuf(run: Run) -> None:
    def field(number: int, value: int | bytes) -> bytes:
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        return varint(number << 3 | 2) + varint(len(value)) + value

    async def script(server: Server) -> None:
        async with server.socket("hrana3-protobuf", hello=False) as socket:
            socket.send(field(1, b""))
            assert (await socket.event()).data == field(1, b"")
            socket.send(field(2, field(1, 7) + field(2, field(1, 1))))
            assert (await socket.event()).data == field(3, field(1, 7) + field(2, b""))
            socket.send(field(2, field(1, 8) + field(4, field(1, 1) + field(2, field(1, b"select 'abc'")))))
            data = (await socket.event()).data
            assert data.startswith(b"\x1a")
            assert field(2, field(1, field(4, b"abc"))) in data
            socket.send("{}")
            expected = "Received a text WebSocket message, which is not supported in this encoding"
            assert await socket.closed() == (1003, expected)
        for data, code in ((b"\xff" * 20, 1007), (b"", 1008), (field(2, b""), 1008)):
            async with server.socket("hrana3-protobuf", hello=False) as socket:
                socket.send(data)
                assert (await socket.closed())[0] == code

    run(script)
