"""The newer sync protocol and the log's service over one namespace: generations, pushes, snapshots, who speaks what."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from libsql_core._engine import ServerConnection
from libsql_core.hrana.errors import HttpError
from libsql_core.replication.messages import Frame, Frames, HelloRequest, LogOffset
from libsql_core.server import generations, sync_clients
from libsql_core.server.api import FULL, READ, Request, Response
from libsql_core.server.config import Config
from libsql_core.server.http_sync import HttpSync
from libsql_core.server.listen import Changes
from libsql_core.server.metastore import NamespaceConfig
from libsql_core.server.namespace import Namespace, Parts
from libsql_core.server.pool import Slots
from libsql_core.server.replication_log import LogService
from libsql_core.server.rpc import Call, Pieces, RpcError

FRAME = 4120


class Context:
    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.permission = FULL


class Primary:
    """A namespace, and both services over it. Implements the part of Host that they use."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.parts = Parts(Config(**settings), Slots(20, 20, 1), Changes)
        self.namespace = Namespace("default", NamespaceConfig(shared_schema=False), folder, self.parts)
        self.permission = FULL
        self.http = HttpSync(self)  # type: ignore[arg-type]
        self.log = LogService()
        self.token = b""

    async def context(self, request: Request) -> Context:
        made = Context(self.namespace)
        made.permission = self.permission
        return made

    async def run(self, *statements: str) -> None:
        for sql in statements:
            connection = await self.namespace.acquire()
            connection.execute(connection.plan(sql), None, None, ServerConnection.PLAIN, 1 << 20)
            self.namespace.wrote(connection)
            self.namespace.release(connection)

    async def rows(self, sql: str) -> Any:
        connection = await self.namespace.acquire()
        try:
            return json.loads(connection.execute(connection.plan(sql), None, None, ServerConnection.PLAIN, 1 << 20))[
                "rows"
            ]
        finally:
            self.namespace.release(connection)

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        found = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        request = Request(method.encode(), path.encode(), b"", found)
        request.body = body
        handler: Callable[[Request], Coroutine[Any, Any, Response]]
        if path == "/info":
            handler = self.http.info
        elif path.startswith("/export"):
            handler = self.http.export
        else:
            handler = self.http.pull if method == "GET" else self.http.push
        return await handler(request)

    async def generation(self) -> int:
        found: int = json.loads((await self.ask("GET", "/info")).body)["current_generation"]
        return found

    async def export(self, generation: int) -> bytes:
        response = await self.ask("GET", f"/export/{generation}")
        assert response.stream is not None
        made = b"".join([piece async for piece in response.stream])
        assert len(made) == response.length
        return made

    async def push(self, generation: int, first: int, frames: bytes, baton: str = "") -> Any:
        path = f"/sync/{generation}/{first}/{first + len(frames) // FRAME}" + (f"/{baton}" if baton else "")
        return json.loads((await self.ask("POST", path, frames)).body)

    # The log's service.

    def call(self, **headers: str) -> Call:
        found = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        found[b"x-session-token"] = self.token
        return Call("/x", found, False, Context(self.namespace))  # type: ignore[arg-type]

    async def hello(self, **headers: str) -> Any:
        reply = await self.log.hello(self.call(**headers), HelloRequest(1))
        self.token = reply.session_token
        return reply

    async def batch(self, start: int) -> list[Frame]:
        reply = await self.log.batch(self.call(), LogOffset(next_offset=start))
        if isinstance(reply, Pieces):
            made = b"".join([piece async for piece in reply.pieces])
            assert len(made) == reply.size
            reply = made
        return Frames.decode(reply).frames


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60))


@asynccontextmanager
async def primary(folder: Path, **settings: Any) -> AsyncIterator[Primary]:
    made = await asyncio.to_thread(lambda: Primary(folder, **settings))
    try:
        yield made
    finally:
        made.http.sweep()
        await made.namespace.close()
        made.http.sweep()


class Copy:
    """A client's file: what it exported, and the frames that it has applied to it."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.pages = {number: data[4096 * (number - 1) : 4096 * number] for number in range(1, len(data) // 4096 + 1)}
        self.path = path
        self.size = len(data) // 4096

    def apply(self, frames: bytes) -> None:
        for at in range(0, len(frames), FRAME):
            page, size, *zeros = struct.unpack_from(">6I", frames, at)
            assert zeros == [0, 0, 0, 0]
            self.pages[page] = frames[at + 24 : at + FRAME]
            self.size = size or self.size

    def data(self) -> bytes:
        return b"".join(self.pages[number] for number in range(1, self.size + 1))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        self.path.write_bytes(self.data())
        con = sqlite3.connect(self.path)
        try:
            assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
            return con.execute(sql).fetchall()
        finally:
            con.close()


async def pull(made: Primary, copy: Copy, generation: int, first: int) -> tuple[int, int]:
    """Up to the end: the generation, and the number of the next frame."""
    while True:
        response = await made.ask("GET", f"/sync/{generation}/{first}/{first + 128}")
        if response.status == 200:
            assert 0 < len(response.body) <= 128 * FRAME
            copy.apply(response.body)
            first += len(response.body) // FRAME
        else:
            assert response.status == 400
            newest = json.loads(response.body)["generation"]
            if newest == generation:
                return generation, first
            generation, first = generation + 1, 1


MANY = (
    "insert into t with recursive n(i) as (select 1 union all select i+1 from n where i < 300)"
    " select i, randomblob(3000) from n"
)


def test_generations_over_compactions_and_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        folder = tmp_path / "db"
        async with primary(folder) as made:
            await made.run("create table t(a, b)", MANY)
            first = await made.generation()
            copy = Copy(tmp_path / "copy", await made.export(first))
            assert copy.size == 1
            generation, at = await pull(made, copy, first, 1)
            assert copy.rows("select count(*) from t") == [(300,)]
            await made.run("update t set b = a where a > 290")
            # The one that lags goes through all of a generation that has ended, and into the next.
            await made.namespace.compact()
            assert await made.generation() == first + 1
            await made.run("insert into t values (301, 'new')")
            generation, at = await pull(made, copy, generation, at)
            assert generation == first + 1
            assert copy.rows("select count(*), sum(typeof(b) = 'integer') from t") == [(301, 10)]
            # What an export has is what the end of the generation before left.
            other = Copy(tmp_path / "other", await made.export(first + 1))
            assert other.rows("select count(*) from t") == [(300,)]
            await pull(made, other, first + 1, 1)
            assert other.data() == copy.data()
        async with primary(folder) as made:
            assert await made.generation() == first + 1
            await made.run("delete from t where a = 1")
            assert (await pull(made, copy, generation, at))[0] == first + 1
            assert copy.rows("select count(*) from t") == [(300,)]
            monkeypatch.setattr(generations, "KEPT", 30)
            for _ in range(3):
                await made.run("delete from t where a = (select min(a) from t)")
                await made.namespace.compact()
            newest = await made.generation()
            assert newest == first + 4
            with pytest.raises(HttpError, match="is not kept") as caught:
                await made.ask("GET", f"/sync/{first}/1/129")
            assert caught.value.status == 410
            last = Copy(tmp_path / "last", await made.export(newest))
            await pull(made, last, newest, 1)
            assert last.rows("select count(*) from t") == [(297,)]
            assert 0 < len(list((folder / "generations").iterdir())) < 4
            with pytest.raises(HttpError, match="has ended"):
                await made.export(newest - 1)
        # Another history is one that no client has.
        for name in ("wallog", ".sentinel"):
            (folder / name).unlink(missing_ok=True)
        async with primary(folder) as made:
            again = await made.generation()
            assert again > newest
            with pytest.raises(HttpError, match="is not kept"):
                await made.ask("GET", f"/sync/{newest}/1/129")
            fresh = Copy(tmp_path / "fresh", await made.export(again))
            await pull(made, fresh, again, 1)
            assert fresh.rows("select count(*) from t") == [(297,)]

    run(main())


def frames_of(path: Path, *statements: str) -> bytes:
    """What a client that works offline has in its log."""
    con = sqlite3.connect(path, isolation_level=None)
    con.execute("pragma journal_mode = wal")
    con.execute("pragma wal_autocheckpoint = 0")
    con.execute("pragma cache_size = 10")
    for sql in statements:
        con.execute(sql)
    wal = path.with_name(path.name + "-wal").read_bytes()[32:]
    con.close()
    return wal


def test_pushes(tmp_path: Path) -> None:
    async def main() -> None:
        async with primary(tmp_path / "db") as made:
            generation = await made.generation()
            (tmp_path / "c").write_bytes(await made.export(generation))
            # A small cache: the second transaction writes pages more than once.
            wal = frames_of(tmp_path / "c", "create table t(a, b)", MANY, "update t set b = 1 where a % 7 = 0")
            count = len(wal) // FRAME
            assert count > 300
            at, baton = 1, ""
            while at <= count:
                piece = wal[(at - 1) * FRAME : (at + 127) * FRAME]
                said = await made.push(generation, at, piece, baton)
                at += len(piece) // FRAME
                assert (said["status"], said["generation"], said["max_frame_no"]) == ("ok", generation, at - 1)
                baton = said.get("baton", "")
            assert not baton
            assert await made.rows("select count(*), sum(b = 1) from t") == [[300, 42]]
            assert await made.rows("pragma integrity_check") == [["ok"]]
            # One for one: others pull what was pushed.
            response = await made.ask("GET", f"/sync/{generation}/{count - 5}/{count + 1}")
            for at in range(0, 6 * FRAME, FRAME):
                mine, theirs = response.body[at : at + FRAME], wal[-6 * FRAME :][at : at + FRAME]
                assert (mine[:8], mine[24:]) == (theirs[:8], theirs[24:])
            # Again: it has them. Others: it has not.
            assert (await made.push(generation, 1, wal[: 5 * FRAME]))["status"] == "ok"
            other = wal[: 4 * FRAME] + bytes(8) + wal[4 * FRAME + 8 : 5 * FRAME]
            assert await made.push(generation, 1, other) == {
                "status": "conflict", "generation": generation, "max_frame_no": count,
            }  # fmt: skip
            # A gap: back to what is here.
            said = await made.push(generation, count + 3, wal[:FRAME])
            assert (said["status"], said["max_frame_no"]) == ("ok", count)
            assert (await made.push(generation - 1, count + 1, wal[:FRAME]))["status"] == "conflict"
            assert len((await made.ask("GET", f"/sync/{generation}/{count}/{count + 9}")).body) == FRAME

    run(main())


def test_pushes_that_are_not_taken(tmp_path: Path) -> None:
    async def main() -> None:
        async with primary(tmp_path / "db") as made:
            generation = await made.generation()
            (tmp_path / "c").write_bytes(await made.export(generation))
            wal = frames_of(tmp_path / "c", "create table t(a, b)", MANY)
            # The beginning of a transaction, its rest lost, and somebody else is quicker.
            first = await made.push(generation, 1, wal[: 100 * FRAME])
            assert first["max_frame_no"] == 100
            await made.run("create table other(a)")
            said = await made.push(generation, 101, wal[100 * FRAME : 200 * FRAME], first["baton"])
            assert said["max_frame_no"] < 100
            assert (await made.push(generation, 1, wal[: 100 * FRAME]))["status"] == "conflict"
            assert await made.rows("select name from sqlite_schema order by 1") in ([["other"]], [["other"], ["t"]])
            with pytest.raises(HttpError, match="are not 4119 bytes"):
                await made.ask("POST", f"/sync/{generation}/1/2", wal[: FRAME - 1])
            with pytest.raises(HttpError) as caught:
                await made.ask("GET", "/sync/1/x/2")
            assert caught.value.status == 404
            last = (await made.push(generation, 999, wal[:FRAME]))["max_frame_no"]
            with pytest.raises(HttpError, match="the frames cannot be written"):
                await made.push(generation, last + 1, struct.pack(">6I", 0, 1, 0, 0, 0, 0) + bytes(4096))
            made.permission = READ
            with pytest.raises(HttpError, match="no right to write"):
                await made.push(generation, 1, wal[:FRAME])

    run(main())


def test_the_service_of_the_log(tmp_path: Path) -> None:
    async def main() -> None:
        async with primary(tmp_path / "db") as made:
            assert (await made.hello()).current_replication_index is None
            assert await made.batch(0) == []
            follower = await made.log.entries(made.call(), LogOffset())
            waiting = asyncio.ensure_future(anext(follower))
            await made.run("create table t(a, b)", MANY)
            frames = [Frame.decode(each) for each in await waiting]
            hello = await made.hello()
            last = hello.current_replication_index
            while len(frames) <= last:
                frames += [Frame.decode(each) for each in await anext(follower)]
            batch = await made.batch(0)
            assert [each.data for each in batch] == [each.data for each in frames]
            assert [int.from_bytes(each.data[:8], "little") for each in batch] == list(range(last + 1))
            assert int.from_bytes(batch[-1].data[20:24], "little") > 0
            assert await made.batch(last + 1) == await made.batch(last + 1000) == []
            # Small ones come from the log as they are, with the time of their commit.
            assert (await made.batch(last))[0].timestamp is not None
            # Another configuration: streams end, tokens too.
            waiting = asyncio.ensure_future(anext(follower, None))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            made.namespace.configure(made.namespace.config.changed(block_reason="x"))
            assert await waiting is None
            with pytest.raises(RpcError, match="NO_HELLO"):
                await made.batch(0)
            await made.hello()
            await made.namespace.compact()
            with pytest.raises(RpcError, match="NEED_SNAPSHOT"):
                await made.batch(0)
            pages = [
                Frame.decode(each).data
                async for some in await made.log.snapshot(made.call(), LogOffset(next_offset=5))
                for each in some
            ]
            numbers = [int.from_bytes(page[:8], "little") for page in pages]
            assert numbers == sorted(numbers, reverse=True)
            assert numbers[0] == last
            assert [int.from_bytes(page[20:24], "little") > 0 for page in pages] == [False] * (len(pages) - 1) + [True]
            with pytest.raises(RpcError, match="snapshot not found"):
                await made.log.snapshot(made.call(), LogOffset(next_offset=last + 1))
            with pytest.raises(RpcError, match="libsql wal not supported"):
                await made.log.batch(made.call(), LogOffset(wal_flavor=1))

    run(main())


def test_which_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(sync_clients, "monotonic", lambda: now[0])

    async def main() -> None:
        async with primary(tmp_path / "db") as made:

            async def status(who: str, **headers: Any) -> int:
                return (await made.ask("GET", "/info", authorization=f"Bearer {who}", **headers)).status

            # Nobody has copies by the log's protocol: all speak the newer one.
            assert await status("new") == 200
            await made.hello(x_libsql_client_version="libsql-rpc-0.9.10", x_authorization="Bearer old")
            assert (tmp_path / "db" / ".copied").exists()
            assert await status("old") == 404
            await made.hello(x_libsql_client_version="libsql-rpc-0.9.10", x_authorization="Bearer old")
            now[0] += 5
            assert await status("old") == 404
            # One that says nothing more speaks the newer one alone.
            assert await status("new") == 404
            assert await status("new") == 404
            now[0] += 1
            assert await status("new") == 200
            assert await status("mine", x_libsql_client_version="libsql-sync-libsql-core") == 200
            generation = await made.namespace.in_history(lambda history: history.current)
            response = await made.ask("GET", f"/export/{generation}", authorization="Bearer new")
            assert response.stream is not None
            assert len([piece async for piece in response.stream]) == 1
        async with primary(tmp_path / "db") as made:
            assert (await made.ask("GET", "/info", authorization="Bearer new")).status == 200
            assert (await made.ask("GET", "/info", authorization="Bearer old")).status == 404

    run(main())


def test_answers_that_are_being_sent_are_finished(tmp_path: Path) -> None:
    async def main() -> None:
        async with primary(tmp_path / "db") as made:
            await made.run("create table t(a, b)", MANY, MANY)
            last = (await made.hello()).current_replication_index
            reply = await made.log.batch(made.call(), LogOffset())
            assert isinstance(reply, Pieces)
            first = await anext(reply.pieces)
            compaction = made.namespace.compact()
            await asyncio.sleep(0)
            # Whoever asks meanwhile gets all at once, and holds nothing up.
            whole = await made.log.batch(made.call(), LogOffset())
            assert isinstance(whole, bytes)
            rest = b"".join([piece async for piece in reply.pieces])
            assert first + rest == whole
            assert len(Frames.decode(whole).frames) == last + 1
            await compaction
            with pytest.raises(RpcError, match="NEED_SNAPSHOT"):
                await made.batch(0)
            # One that is given up before it began holds nothing up either.
            await made.run("create table u(a, b)", MANY.replace("into t", "into u"))
            reply = await made.log.batch(made.call(), LogOffset(next_offset=last + 1))
            assert isinstance(reply, Pieces)
            await reply.pieces.aclose()
            await asyncio.wait_for(made.namespace.compact(), 10)

    run(main())


def test_a_stream_is_not_cut_amid_a_transaction(tmp_path: Path) -> None:
    async def main() -> None:
        async with primary(tmp_path / "db") as made:
            await made.run("create table t(a, b)", MANY)
            last = (await made.hello()).current_replication_index
            follower = await made.log.entries(made.call(), LogOffset())
            frames = list(await anext(follower))
            assert len(frames) < last
            compaction = made.namespace.compact()
            await asyncio.sleep(0)
            while len(frames) <= last:
                frames += await anext(follower)
            assert int.from_bytes(Frame.decode(frames[-1]).data[20:24], "little") > 0
            await compaction
            # It goes on in the next file.
            await made.run("create table u(a)")
            more = await anext(follower)
            assert int.from_bytes(Frame.decode(more[0]).data[:8], "little") == last + 1
            await follower.aclose()
            assert made.namespace.answers == 0

    run(main())
