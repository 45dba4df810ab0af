"""A replica's parts without a network: what follows the primary's log, whatever it says, and what forwards to it."""

from __future__ import annotations

import asyncio
import runpy
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from libsql_core._engine import Injector, ReplicationLog, ServerConnection, SnapshotNeeded, snapshot_frames
from libsql_core.hrana import json_decode
from libsql_core.hrana.encode import JSON, PROTOBUF
from libsql_core.hrana.errors import HttpError, SqlError
from libsql_core.hrana.types import Batch, Step, Stmt, Text
from libsql_core.replication.messages import DatabaseConfig, ExecReq, Frames, HelloResponse, LogOffset
from libsql_core.server import replicator
from libsql_core.server.api import FULL
from libsql_core.server.auth import EVERYTHING
from libsql_core.server.flow import Workers
from libsql_core.server.position import Backoff, Position
from libsql_core.server.proxy_service import ProxyService
from libsql_core.server.replica_session import ReplicaSession
from libsql_core.server.replicator import Replicator
from libsql_core.server.rpc import Call, Code, RpcError
from libsql_core.server.streams import Streams

DOUBLE = runpy.run_path(str(Path(__file__).with_name("server_double.py")))


class Primary:
    """What an Upstream is to a replica: a database with its log, and faults as they are asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.log = ReplicationLog(folder)
        self.con = ServerConnection(folder / "data", name="x", log=self.log)
        self.token = str(uuid.uuid4())
        self.fault: Callable[[str], Any] = lambda path: None
        self.calls: list[str] = []
        self.wrote = asyncio.Event()
        self.index: int | None = None  # what hello says, if not the truth
        self.log_id: str | None = None
        written = self.log
        kind = type("Namespace", (DOUBLE["Namespace"],), {"index": property(lambda _: written.last)})
        self.namespace: Any = kind(folder / "data")
        self.namespace.acquire = self.acquire
        self.workers = Workers(4)
        self.streams = Streams(DOUBLE["Settings"](), self.workers)
        self.proxy = ProxyService(self.streams)
        self.talks: list[Talk] = []

    async def acquire(self) -> ServerConnection:
        self.namespace.out += 1
        return ServerConnection(self.folder / "data", name="x", log=self.log)

    def run(self, *texts: str) -> None:
        for text in texts:
            self.con.run(self.con.plan(text))
        self.wrote.set()

    def close(self) -> None:
        self.streams.shut()
        self.workers.close()
        self.namespace.close()
        self.con.close()
        self.log.close()

    async def call(self, path: str, message: bytes, metadata: Any, seconds: float | None = None) -> bytes:
        name = path.rpartition("/")[2]
        self.calls.append(name)
        assert metadata["x-namespace-bin"] == b"main"
        answer = self.fault(name)
        if answer is not None:
            return bytes(answer)
        if name == "Hello":
            last = self.log.last if self.index is None else self.index
            return HelloResponse(
                log_id=self.log_id or self.log.log_id,
                session_token=self.token.encode(),
                current_replication_index=None if last < 0 else last,
                config=DatabaseConfig(max_db_pages=7, block_reads=True),
            ).encode()
        if metadata.get("x-session-token") != self.token:
            raise RpcError(Code.FAILED_PRECONDITION, "NO_HELLO")
        try:
            return self.log.batch(LogOffset.decode(message).next_offset)
        except SnapshotNeeded:
            raise RpcError(Code.FAILED_PRECONDITION, "NEED_SNAPSHOT") from None

    async def replies(self, path: str, message: bytes, metadata: Any) -> AsyncGenerator[bytes, None]:
        name = path.rpartition("/")[2]
        self.calls.append(name)
        start = LogOffset.decode(message).next_offset
        answer = self.fault(name)
        if answer is not None:
            for each in answer:
                yield each
            return
        if name == "Snapshot":
            found = self.log.snapshot(start)
            if found is None:
                raise RpcError(Code.UNAVAILABLE, "snapshot not found")
            for frames in snapshot_frames(found, start):
                for frame in frames:
                    yield frame
            return
        token = self.token
        while token == self.token:
            self.wrote.clear()
            for frame in self.log.entries(start):
                yield frame
                start += 1
            if start > self.log.last:
                await self.wrote.wait()

    def talk(self, path: str, metadata: Any) -> Talk:
        if self.fault("StreamExec") is not None:
            return Talk(self.wrote, None)
        context: Any = DOUBLE["Context"](self.namespace, b"")
        self.talks.append(
            Talk(self.wrote, lambda requests: self.proxy.stream_exec(Call(path, {}, True, context), requests))
        )
        return self.talks[-1]


class Talk:
    """An Upstream's Talk, straight to the service."""

    def __init__(
        self, wrote: asyncio.Event, service: Callable[[AsyncIterator[ExecReq]], AsyncGenerator[bytes, None]] | None
    ) -> None:
        self._wrote = wrote
        self._requests: asyncio.Queue[bytes] = asyncio.Queue()
        self._answers = None if service is None else service(self._all())
        self.ended = False
        self._closing: asyncio.Task[None] | None = None

    async def _all(self) -> AsyncIterator[ExecReq]:
        while True:
            yield ExecReq.decode(await self._requests.get())

    async def say(self, message: bytes) -> None:
        self._requests.put_nowait(message)

    async def hear(self) -> bytes:
        if self._answers is None or self.ended:
            self.ended = True
            raise RpcError(Code.UNAVAILABLE, "nobody there")
        answer = await anext(self._answers)
        self._wrote.set()
        return answer

    def close(self) -> None:
        self.ended = True
        if self._answers is not None and self._closing is None:
            self._closing = asyncio.ensure_future(self._answers.aclose())


class Replica:
    """A copy in the making. As much of a ReplicaNamespace as sessions see."""

    def __init__(self, folder: Path, primary: Primary) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.primary = folder, primary
        self.path = folder / "data"
        self.configs: list[DatabaseConfig] = []
        upstream: Any = primary
        self.replicator = Replicator("main", folder, upstream, lambda: Injector(self.path))
        self.replicator.start(self.configs.append)

    async def until(self, true: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline, (self.replicator.error, self.primary.calls[-9:])
            await asyncio.sleep(0.002)

    async def synced(self) -> None:
        last = self.primary.log.last
        assert await self.replicator.reach(last, 30), self.replicator.error
        await self.until(lambda: self.replicator.current)

    def value(self, sql: str) -> Any:
        con = ServerConnection(self.path, name="x")
        try:
            rows = orjson.loads(con.execute(con.plan(sql), None, None, con.PLAIN, 1 << 26))["rows"]
            return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows
        finally:
            con.close()


Scene = Callable[[Primary, Replica], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene], None]:
    monkeypatch.setattr(replicator, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(replicator, "LONGEST_PAUSE", 0.02)

    def play(scene: Scene) -> None:
        async def run() -> None:
            primary = Primary(tmp_path / "primary")
            replica = Replica(tmp_path / "replica", primary)
            try:
                await scene(primary, replica)
            finally:
                await replica.replicator.close()
                for talk in primary.talks:
                    talk.close()
                await asyncio.sleep(0)
                await asyncio.gather(*(talk._closing for talk in primary.talks if talk._closing is not None))
                primary.close()

        asyncio.run(run())

    return play


def test_it_follows(play: Any) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a integer primary key, b)")
        await replica.synced()
        assert replica.configs[0].max_db_pages == 7
        for number in range(20):
            primary.run(f"insert into t(b) values (randomblob({number * 1000}))")
            assert await replica.replicator.reach(primary.log.last, 30)
            assert replica.value("select count(*) from t") == number + 1
        assert (replica.replicator.lag, replica.replicator.connected) == (0, True)
        position = Position(replica.folder / "client_wal_index")
        assert (position.log_id, position.frame) == (primary.log.log_id, primary.log.last)
        data = (replica.folder / "client_wal_index").read_bytes()
        assert data == uuid.UUID(primary.log.log_id).bytes[::-1] + primary.log.last.to_bytes(8, "little") + bytes(8)
        assert replica.replicator.frames == primary.log.last + 1
        # Nothing was asked for twice.
        assert primary.calls.count("Hello") == primary.calls.count("LogEntries") == 1

    play(scene)


def test_a_snapshot_comes_first(play: Any) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        await replica.replicator.close()
        primary.run("create table t(a)", "insert into t values (1)", "insert into t values (randomblob(100000))")
        assert primary.log.seal()
        primary.run("insert into t values (2)")
        # It is not finished when it is asked for.
        asked = 0

        def fault(name: str) -> Any:
            nonlocal asked
            if name == "Snapshot":
                asked += 1
                if asked == 2:
                    primary.log.compact()

        primary.fault = fault
        later = Replica(replica.folder, primary)
        try:
            await later.synced()
            assert later.value("select count(*) from t") == 3
            assert later.value("pragma integrity_check") == "ok"
            assert asked >= 2
        finally:
            await later.replicator.close()

    play(scene)


def test_a_snapshot_comes_amid_a_transaction(play: Any) -> None:
    """What has come of the transaction is forgotten: the snapshot begins where it began."""

    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a)", "create table u(a)")
        await replica.synced()
        cut = False

        def fault(name: str) -> Any:
            nonlocal cut
            if name == "LogEntries" and not cut:
                cut = True
                start = replica.replicator.frame + 1
                primary.run("begin", "insert into t values (randomblob(40000))", "insert into u values (1)", "commit")
                frames = primary.log.entries(start)
                assert primary.log.seal()
                primary.log.compact()
                return frames[: len(frames) // 2]
            return None

        primary.fault = fault
        primary.token = str(uuid.uuid4())
        primary.wrote.set()
        await replica.until(lambda: cut)
        await replica.synced()
        assert "Snapshot" in primary.calls
        assert replica.value("pragma integrity_check") == "ok"
        assert replica.value("select length(a) from t") == 40000

    play(scene)


def test_another_history(play: Any) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a)", "insert into t values (1)")
        await replica.synced()
        # The same frames under another name, as after a crash of the real one.
        primary.log_id = str(uuid.uuid4())
        primary.token = str(uuid.uuid4())
        primary.run("insert into t values (2)")
        await replica.until(lambda: replica.replicator.history == 1)
        await replica.synced()
        assert replica.value("select count(*) from t") == 2
        assert Position(replica.folder / "client_wal_index").log_id == primary.log_id

    play(scene)


def test_a_primary_that_is_behind(play: Any) -> None:
    """One that was restored from an older backup: what it has counts."""

    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a)", "insert into t values (1)", "insert into t values (2)")
        await replica.synced()
        primary.index = primary.log.last - 2
        primary.token = str(uuid.uuid4())
        primary.wrote.set()
        await replica.until(lambda: replica.replicator.history == 1)
        await replica.until(lambda: replica.replicator.current)
        assert replica.value("pragma integrity_check") == "ok"

    play(scene)


def gap(primary: Primary) -> bytes:
    frames = Frames.decode(primary.log.batch(0))
    del frames.frames[1]
    return frames.encode()


def torn(primary: Primary) -> bytes:
    return primary.log.batch(0)[:-9]


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("Hello", b"\xff\xff"),
        ("Hello", HelloResponse(log_id="no uuid").encode()),
        ("BatchLogEntries", b""),
        ("BatchLogEntries", b"\x0a\xff"),
        ("BatchLogEntries", gap),
        ("BatchLogEntries", torn),
        ("LogEntries", [b"\x0a\x01x"]),
        ("LogEntries", []),
    ],
)
def test_a_primary_that_lies(play: Any, method: str, answer: Any) -> None:
    """It is not believed, and asked again, in time."""

    async def scene(primary: Primary, replica: Replica) -> None:
        lies = 0

        def fault(name: str) -> Any:
            nonlocal lies
            if name == method and lies < 5:
                lies += 1
                return answer(primary) if callable(answer) else answer
            return None

        primary.run("create table t(a)", "insert into t values (1)")
        primary.fault = fault
        await replica.until(lambda: lies == 5)
        await replica.synced()
        if method == "LogEntries":
            primary.run("insert into t values (2)")
            await replica.synced()
        await replica.until(lambda: replica.replicator.connected)
        assert replica.value("pragma integrity_check") == "ok"
        assert replica.value("select count(*) from t") == 1 + (method == "LogEntries")
        if answer != []:
            assert replica.replicator.failures >= 5
            assert replica.replicator.error

    play(scene)


def test_a_primary_that_is_away(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a)")
        await replica.synced()

        def away(name: str) -> Any:
            raise RpcError(Code.FAILED_PRECONDITION, "NAMESPACE_DOESNT_EXIST")

        primary.fault = away
        primary.token = str(uuid.uuid4())
        primary.wrote.set()
        await replica.until(lambda: replica.replicator.failures > 3)
        assert "no namespace `main`" in (replica.replicator.error or "")
        assert replica.replicator.current
        assert not replica.replicator.connected
        assert replica.value("select count(*) from t") == 0
        # One that is opened meanwhile has what there is.
        await replica.replicator.close()
        again = Replica(replica.folder, primary)
        await again.replicator.tried(30)
        assert again.replicator.current
        primary.fault = lambda name: None
        primary.run("insert into t values (1)")
        again.replicator.nudge()
        await again.synced()
        await again.replicator.close()

    play(scene)


def test_silence_is_looked_into(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicator, "SILENCE_S", 0.02)

    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a)")
        await replica.synced()
        hellos = primary.calls.count("Hello")
        await replica.until(lambda: primary.calls.count("Hello") > hellos + 2)
        assert replica.replicator.failures == 0
        # Frames that are announced, but do not come.
        primary.index = primary.log.last + 5
        await replica.until(lambda: "does not send" in (replica.replicator.error or ""))
        primary.index = None
        primary.run("insert into t values (1)")
        await replica.synced()

    play(scene)


def test_pauses() -> None:
    backoff = Backoff(0.1, 10)
    pauses = [backoff.pause() for _ in range(12)]
    assert all(0.5 * 0.1 * 2**number <= pause <= 0.1 * 2**number for number, pause in enumerate(pauses[:6]))
    assert all(5 <= pause <= 10 for pause in pauses[7:])
    assert len(set(pauses)) == 12
    backoff.reset()
    assert backoff.pause() <= 0.1


# Sessions


class Namespace:
    """As much of a ReplicaNamespace as a session sees."""

    name = "main"
    closed = False
    migrations = None
    index: int | None = None

    def __init__(self, replica: Replica) -> None:
        self.replicator = replica.replicator
        self.upstream = replica.primary
        self.config = DOUBLE["Config"]()
        self.stats = DOUBLE["Stats"]()
        self.changes = SimpleNamespace(watched=False)
        self.writers = DOUBLE["Namespace"](replica.path).writers
        self.seen = -1

    def forwarded(self, frame: int) -> None:
        self.seen = max(self.seen, frame)

    def wrote(self, connection: ServerConnection) -> None:
        pass

    def release(self, connection: ServerConnection) -> None:
        connection.close()


async def session_of(replica: Replica) -> ReplicaSession:
    await replica.synced()
    namespace: Any = Namespace(replica)
    context: Any = SimpleNamespace(namespace=namespace, permission=FULL, identity=b"", rights=EVERYTHING)
    connection = ServerConnection(replica.path, name="main")
    return ReplicaSession(context, connection, replica.primary.workers, DOUBLE["Settings"](), SimpleNamespace(
        find=lambda sql, sql_id, version: sql))  # fmt: skip


async def ask(session: ReplicaSession, sql: str, *args: Any) -> Any:
    found = orjson.loads(await session.execute(session.resolve(Stmt(sql, None, args), 3), 0))
    return [[cell.get("value", cell.get("base64")) for cell in row] for row in found["rows"]]


def test_where_statements_run(play: Any) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a, b)")
        session = await session_of(replica)
        assert await ask(session, "select count(*) from t") == [["0"]]
        assert primary.talks == []
        for number in range(40):
            await ask(session, "insert into t values (?, ?)", number, b"\xff")
            assert await ask(session, "select count(*), max(a) from t") == [[str(number + 1), str(number)]]
        assert len(primary.talks) == 1
        await ask(session, "begin")
        assert not session.autocommit()
        assert not session.calm
        await ask(session, "delete from t")
        assert await ask(session, "select count(*) from t") == [["0"]]
        described = orjson.loads(await session.describe(Text("select a from t where a = :x", None), JSON, 3))
        assert described == {
            "params": [{"name": ":x"}], "cols": [{"name": "a", "decltype": None}], "is_explain": False,
            "is_readonly": True,
        }  # fmt: skip
        session.abandon()
        assert session.autocommit()
        assert await ask(session, "select count(*) from t") == [["40"]]
        assert await ask(session, "begin readonly") == []
        assert await ask(session, "select count(*) from t") == [["40"]]
        assert await ask(session, "commit") == []
        with pytest.raises(SqlError, match="no such table: nope") as caught:
            await ask(session, "insert into nope values (1)")
        assert caught.value.code == "SQLITE_UNKNOWN"
        with pytest.raises(SqlError, match="value for parameter 1 not found"):
            await ask(session, "insert into t values (?, 1)")
        session.leave()
        session.close()

    play(scene)


def test_the_primary_goes_amid_a_transaction(play: Any) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a)")
        session = await session_of(replica)
        await ask(session, "begin")
        await ask(session, "insert into t values (1)")
        primary.talks[-1].close()
        with pytest.raises(HttpError, match="transaction was lost"):
            await ask(session, "commit")
        assert session.autocommit()
        await ask(session, "insert into t values (2)")
        assert await ask(session, "select a from t") == [["2"]]
        answer = primary.talks[-1].hear

        async def garbled() -> bytes:
            return (await answer())[:-1]

        primary.talks[-1].hear = garbled  # type: ignore[method-assign]
        with pytest.raises(HttpError, match=r"error executing a request on the primary: `.*cut off"):
            await ask(session, "delete from t where a = 9")
        primary.talks[-1].close()
        primary.fault = lambda name: b"" if name == "StreamExec" else None
        with pytest.raises(HttpError, match="error executing a request on the primary: `nobody there`"):
            await ask(session, "insert into t values (3)")
        assert await ask(session, "select a from t") == [["2"]]
        session.leave()
        session.close()

    play(scene)


def test_batches(play: Any) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a unique)")
        session = await session_of(replica)

        def batch(*texts: str) -> Batch:
            return Batch([Step(("ok", number - 1) if number else None, Stmt(text, None)) for number, text in
                          enumerate(texts)])  # fmt: skip

        texts = "begin", "insert into t values (1)", "commit"
        done = orjson.loads(await session.batch(batch(*texts), JSON, 3))
        assert [each is not None for each in done["step_results"]] == [True] * 3
        assert done["replication_index"] == str(primary.log.last)
        done = orjson.loads(await session.batch(batch(*texts), JSON, 3))
        assert done["step_errors"][1] == {
            "message": "SQLite error: UNIQUE constraint failed: t.a", "code": "SQLITE_CONSTRAINT",
        }  # fmt: skip
        assert [each is not None for each in done["step_results"]] == [True, False, False]
        session.abandon()
        talks = len(primary.talks)
        read = orjson.loads(await session.batch(batch("begin", "select a from t", "commit"), JSON, 3))
        assert read["step_results"][1]["rows"] == [[{"type": "integer", "value": "1"}]]
        assert (len(primary.talks), session.autocommit()) == (talks, True)
        await session.batch(batch("begin", "select a from t"), PROTOBUF, 3)
        assert (len(primary.talks), session.autocommit()) == (talks + 1, False)
        session.leave()
        session.close()

    play(scene)


def test_a_client_that_knows_of_a_frame(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a)")
        session = await session_of(replica)
        asked = orjson.dumps({"sql": "select count(*) from t", "replication_index": str(primary.log.last + 1)})
        reading = asyncio.create_task(session.execute(session.resolve(json_decode.stmt(orjson.loads(asked)), 3), 0))
        await asyncio.sleep(0.01)
        assert not reading.done()
        primary.run("insert into t values (1)")
        assert orjson.loads(await reading)["rows"][0][0]["value"] == "1"
        assert primary.talks == []
        # What does not come here is asked for there.
        monkeypatch.setattr("libsql_core.server.replica_session.REACH_S", 0.01)
        step = {"stmt": {"sql": "select count(*) from t"}}
        batch = json_decode.batch({"steps": [step], "replication_index": 1 << 60})
        assert orjson.loads(await session.batch(batch, JSON, 3))["step_results"][0]["rows"][0][0]["value"] == "1"
        assert len(primary.talks) == 1
        session.leave()
        session.close()

    play(scene)


def test_what_is_too_large(play: Any) -> None:
    async def scene(primary: Primary, replica: Replica) -> None:
        primary.run("create table t(a)")
        session = await session_of(replica)
        session.limit = 500_000
        with pytest.raises(SqlError, match="Response is too large"):
            await ask(session, "insert into t select zeroblob(300000) from generate_series(1, 3) returning a")
        assert await ask(session, "select count(*) from t") == [["3"]]
        session.leave()
        session.close()

    play(scene)
