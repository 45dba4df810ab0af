"""What the primary does for replicas that pass statements on: programs, their conditions, clients and streams."""

from __future__ import annotations

import asyncio
import random
import runpy
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from libsql_core._engine import ServerConnection
from libsql_core.hrana.errors import HttpError
from libsql_core.replication.messages import (
    AndCond,
    Cond,
    DescribeRequest,
    DisconnectMessage,
    ErrCond,
    Error,
    ErrorCode,
    ExecReq,
    ExecResp,
    ExecuteResults,
    IsAutocommitCond,
    Named,
    NotCond,
    OkCond,
    OrCond,
    Positional,
    Program,
    ProgramReq,
    ProgramResp,
    Query,
    ResultRows,
    RowValue,
    State,
    Step,
    StreamDescribeReq,
    StreamProgramReq,
    ValueData,
    decode_value,
    encode_value,
)
from libsql_core.server.api import FULL, READ
from libsql_core.server.flow import Workers
from libsql_core.server.proxy_service import PIECE, ProxyService, cut
from libsql_core.server.rpc import Call, Code, RpcError
from libsql_core.server.streams import Streams

DOUBLE = runpy.run_path(str(Path(__file__).with_name("server_double.py")))
ALICE, BOB = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
NO_MATCH = "select 1 where false"
LONG = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


def step(sql: str, *values: Any, cond: Cond | None = None, **named: Any) -> Step:
    if named:
        query = Query(sql, named=Named(list(named), [ValueData(encode_value(each)) for each in named.values()]))
    else:
        query = Query(sql, positional=Positional([ValueData(encode_value(each)) for each in values]))
    return Step(cond, query)


def program(*steps: Step | str) -> Program:
    return Program([step(each) if isinstance(each, str) else each for each in steps])


def ok(number: int) -> Cond:
    return Cond(ok=OkCond(number))


class Primary:
    """A service on one database."""

    def __init__(self, path: Path) -> None:
        self.namespace: Any = DOUBLE["Namespace"](path)
        self.namespace.index = 41
        self.workers = Workers(4)
        self.streams = Streams(DOUBLE["Settings"](), self.workers)
        self.service = ProxyService(self.streams)
        self.permission = FULL

    def call(self, identity: bytes = b"") -> Call:
        context: Any = DOUBLE["Context"](self.namespace, identity)
        context.permission = self.permission
        return Call("", {}, True, context)

    async def execute(self, *steps: Step | str, client: str = ALICE, identity: bytes = b"") -> ExecuteResults:
        call = self.call(identity)
        return ExecuteResults.decode(await self.service.execute(call, ProgramReq(client, program(*steps))))

    async def rows(self, *steps: Step | str, client: str = ALICE) -> list[Any]:
        """Of each result: its rows, or its error's message."""
        return [shown(result) for result in (await self.execute(*steps, client=client)).results]

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        stream = Stream(self.service, self.call())
        try:
            yield stream
        finally:
            await stream.answers.aclose()


class Stream:
    def __init__(self, service: ProxyService, call: Call) -> None:
        self.requests: asyncio.Queue[ExecReq | None] = asyncio.Queue()
        self.answers = service.stream_exec(call, self._requests())

    async def _requests(self) -> AsyncIterator[ExecReq]:
        while (request := await self.requests.get()) is not None:
            yield request

    def ask(self, number: int, *steps: Step | str) -> None:
        self.requests.put_nowait(ExecReq(number, execute=StreamProgramReq(program(*steps))))

    async def answer(self) -> ExecResp:
        return ExecResp.decode(await asyncio.wait_for(anext(self.answers), 20))


def shown(result: Any) -> Any:
    if result.error is not None:
        return result.error.message
    return [[decode_value(value.data) for value in row.values] for row in result.row.rows]


def names(answer: ExecResp) -> list[str]:
    """What the steps of an answer are called."""
    assert answer.program_resp is not None
    fields = ["init", "begin_step", "finish_step", "step_error", "cols_description", "begin_rows", "begin_row"]
    fields += ["add_row_value", "finish_row", "finish_rows", "finish"]
    return [name for each in answer.program_resp.steps for name in fields if getattr(each, name) is not None]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Primary], Coroutine[Any, Any, None]]], None]:
    def play(scene: Callable[[Primary], Coroutine[Any, Any, None]]) -> None:
        async def run() -> None:
            primary = Primary(tmp_path / "data")
            try:
                await scene(primary)
                primary.streams.shut()
                assert primary.namespace.out == 0
            finally:
                primary.workers.close()
                primary.namespace.close()

        asyncio.run(run())

    return play


def test_rows_in_both_forms(tmp_path: Path) -> None:
    """Random rows say the same in bincode and as steps, which may be cut anywhere between two of them."""
    chance = random.Random(7)
    values: list[Any] = [
        None,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        1.5,
        float("inf"),
        "",
        "é\0x",
        b"",
        b"\xff" * 200,
        "y" * 70_000,
    ]
    con = ServerConnection(tmp_path / "data", name="x")
    con.run(con.plan("create table t(a integer, b, c)"))
    insert = con.plan("insert into t values (?, ?, ?)")
    expected = [[chance.choice(values) for _ in range(3)] for _ in range(60)]
    for row in expected:
        con.execute(insert, row, None, con.PROXY, 1 << 20)
    found = con.execute(con.plan('select rowid as r, a, b, c as "ü" from t'), None, None, con.PROXY, 1 << 24)
    rows = ResultRows.decode(found)
    con_rows = [[number + 1, *row] for number, row in enumerate(expected)]
    assert [[decode_value(each.data) for each in row.values] for row in rows.rows] == con_rows
    columns = [(each.name, each.decltype) for each in rows.column_descriptions]
    assert columns == [("r", "INTEGER"), ("a", "INTEGER"), ("b", None), ("ü", None)]
    steps = con.execute(con.plan('select rowid as r, a, b, c as "ü" from t'), None, None, con.STEPS, 1 << 24)
    pieces = cut(steps)
    assert b"".join(pieces) == steps
    assert len(pieces) > 5
    assert max(map(len, pieces)) < PIECE
    cells: list[Any] = []
    kinds: list[str] = []
    for piece in pieces:
        for each in ProgramResp.decode(piece).steps:
            if each.add_row_value is not None:
                assert each.add_row_value.val is not None
                cells.append(plain(each.add_row_value.val))
            elif each.begin_row is None and each.finish_row is None:
                kinds += [
                    name
                    for name in ("begin_step", "cols_description", "begin_rows", "finish_rows", "finish_step")
                    if getattr(each, name) is not None
                ]
    assert cells == [cell for row in con_rows for cell in row]
    assert kinds == ["begin_step", "cols_description", "begin_rows", "finish_rows", "finish_step"]
    con.close()


def plain(value: RowValue) -> Any:
    given = [each for each in (value.text, value.integer, value.real, value.blob) if each is not None]
    assert value.null or len(given) == 1
    return None if value.null else given[0]


def test_programs(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        await primary.rows("create table t(a integer primary key, b unique)")
        made = await primary.execute(
            step("insert into t(b) values (?)", "x"), step("insert into t(b) values (:b)", b="y")
        )
        assert [(each.row.affected_row_count, each.row.last_insert_rowid) for each in made.results if each.row] == [
            (1, 1),
            (1, 2),
        ]
        assert (made.state, made.current_frame_no) == (State.INIT, 41)
        failed = await primary.execute("insert into t(b) values ('x')")
        assert failed.results[0].error == Error(ErrorCode.INTERNAL, "UNIQUE constraint failed: t.b", 2067)
        assert await primary.rows("select b from t where a = 2; delete from t") == [[["y"]]]
        missing = (await primary.execute("select ?")).results[0].error
        assert missing == Error(
            ErrorCode.SQL_ERROR,
            "LibSQL failed to bind provided query parameters: `value for parameter 1 not found`",
        )
        assert await primary.rows(
            "select 1",
            "select * from nope",
            step("select 2", cond=ok(1)),
            step("select 3", cond=Cond(err=ErrCond(1))),
            step("select 4", cond=ok(2)),
            step("select 5", cond=Cond(err=ErrCond(2))),
            step("select 6", cond=Cond(is_autocommit=IsAutocommitCond())),
            step("select 7", cond=Cond(not_=NotCond(ok(0)))),
            step("select 8", cond=Cond(and_=AndCond([ok(0), Cond(or_=OrCond([ok(1), ok(3)]))]))),
        ) == [[[1]], "no such table: nope", [], [[3]], [], [[5]], [[6]], [], [[8]]]

    play(scene)


def test_refusals(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        await primary.rows("create table t(a)")
        deep = ok(0)
        for _ in range(200):
            deep = Cond(not_=NotCond(deep))
        for bad, text in [
            (program("select 1", "selec"), "syntax error"),
            (program("vacuum"), "unsupported statement: vacuum"),
            (program("  -- nothing"), "invalid empty statement"),
            (Program([Step(None, Query("select 1"))]), "missing params in query"),
            (Program([Step()]), "missing query"),
            (program(step("select 1", cond=Cond())), "invalid condition"),
            (program(step("select 1", cond=ok(0))), "Invalid batch step: 0"),
            (program(step("select 1", cond=ok(-1))), "Invalid batch step: -1"),
            (program("select 1", step("select 1", cond=deep)), "invalid condition"),
            (None, "missing program"),
        ]:
            with pytest.raises(RpcError, match=text) as caught:
                await primary.service.execute(primary.call(), ProgramReq(ALICE, bad))
            assert caught.value.code == Code.INVALID_ARGUMENT
        with pytest.raises(RpcError, match="no UUID"):
            await primary.rows("select 1", client="alice")
        primary.permission = READ
        with pytest.raises(RpcError, match="Write permission") as caught:
            await primary.rows("begin", "insert into t values (1)", "commit", client=BOB)
        assert caught.value.code == Code.PERMISSION_DENIED
        primary.permission = FULL
        primary.namespace.config.block_writes = True
        with pytest.raises(RpcError, match="Operation was blocked") as caught:
            await primary.rows("delete from t")
        assert caught.value.code == Code.PERMISSION_DENIED

    play(scene)


def test_a_transaction_spans_calls(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        await primary.rows("create table t(a)")
        assert (await primary.execute("begin", "insert into t values (1)")).state == State.TXN
        assert await primary.rows("select count(*) from t", client=BOB) == [[[0]]]
        assert (await primary.execute("insert into t values (last_insert_rowid() + 1)")).state == State.TXN
        assert (await primary.execute("commit")).state == State.INIT
        assert await primary.rows("select a from t", client=BOB) == [[[1], [2]]]
        # Outside of transactions, too, it is one connection.
        await primary.execute("insert into t values (7)")
        assert await primary.rows("select changes(), last_insert_rowid()") == [[[1, 3]]]
        assert await primary.rows("commit") == ["cannot commit - no transaction is active"]
        await primary.rows("begin", "delete from t")
        await primary.service.disconnect(primary.call(), DisconnectMessage(ALICE))
        await primary.service.disconnect(primary.call(), DisconnectMessage(ALICE))
        assert await primary.rows("rollback") == ["cannot rollback - no transaction is active"]
        assert await primary.rows("select count(*) from t") == [[[3]]]
        # Another one's rights do not reach this one's transaction, whatever id is sent.
        await primary.rows("begin")
        assert (await primary.execute("commit", identity=b"other")).results[0].error is not None

    play(scene)


def test_who_stays_away_is_forgotten(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(primary: Primary) -> None:
        now = 1000.0
        monkeypatch.setattr("libsql_core.server.proxy_service.monotonic", lambda: now)
        await primary.rows("create table t(a)")
        await primary.rows("begin", "insert into t values (1)")
        now += 29
        primary.service.sweep()
        assert primary.namespace.out == 1
        await primary.rows("insert into t values (2)")
        now += 31
        primary.service.sweep()
        assert primary.namespace.out == 0
        assert await primary.rows("commit", "select * from t") == ["cannot commit - no transaction is active", []]
        # Those outside of transactions make room for others.
        monkeypatch.setattr("libsql_core.server.proxy_service.MOST_IDLE", 3)
        await primary.rows("begin", client=BOB)
        for number in range(10, 20):
            await primary.rows("select 1", client=str(uuid.UUID(int=number)))
        assert primary.namespace.out == 4
        assert await primary.rows("commit", client=BOB) == [[]]

    play(scene)


def test_a_lock_is_taken_away(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        primary.namespace.timeout = 0.05
        await primary.rows("create table t(a)")
        await primary.rows("begin immediate", "insert into t values ('lost')")
        await primary.rows("insert into t values ('kept')", client=BOB)
        lost = await primary.execute("insert into t values ('late')", "commit")
        assert [each.error for each in lost.results] == [Error(ErrorCode.TX_TIMEOUT, "Transaction timed-out")] * 2
        assert lost.state == State.INIT
        assert await primary.rows("select a from t") == [[["kept"]]]

    play(scene)


def test_who_goes_amid_a_call(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        await primary.rows("create table t(a)")
        await primary.rows("begin", "insert into t values (1)")
        running = asyncio.create_task(primary.execute(LONG))
        while primary.namespace.out and not any(each.connection.in_statement for each in primary.streams._sessions):
            await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert primary.namespace.out == 0
        assert await primary.rows("select * from t") == [[]]

    play(scene)


def test_a_namespace_goes(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        await primary.rows("begin")
        primary.streams.drop(primary.namespace)
        assert primary.namespace.out == 0

        async def gone(*_: Any) -> Any:
            raise HttpError(404, "Namespace `main` doesn't exist")

        primary.namespace.acquire = gone
        with pytest.raises(HttpError):
            await primary.rows("commit")
        primary.service.sweep()

    play(scene)


def test_describe(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        await primary.rows("create table t(a integer, b)")

        async def describe(sql: str) -> Any:
            return (await primary.service.describe(primary.call(), DescribeRequest(ALICE, sql))).description

        found = await describe("select a, b, 1 from t where a = :x and b = ? and a = ?7")
        assert [(each.name, each.decltype or "") for each in found.column_descriptions] == [
            ("a", "INTEGER"),
            ("b", ""),
            ("1", ""),
        ]
        assert (found.param_names, found.param_count) == ([":x", "?7"], 7)
        with pytest.raises(RpcError, match="no such table: nope") as caught:
            await describe("select * from nope")
        assert caught.value.code == Code.PERMISSION_DENIED

    play(scene)


def test_a_stream(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        await primary.rows("create table t(a unique)", client=BOB)
        async with primary.stream() as stream:
            stream.ask(0, "begin", step("insert into t values (?)", 5))
            answer = await stream.answer()
            one = ["begin_step", "cols_description", "begin_rows", "finish_rows", "finish_step"]
            assert names(answer) == ["init", *one, *one, "finish"]
            assert answer.program_resp is not None
            finish = answer.program_resp.steps[-1].finish
            assert finish is not None
            assert (finish.last_frame_no, finish.is_autocommit) == (41, False)
            stream.ask(3, "insert into t values (5)", step("select 1", cond=ok(0)), "select a from t")
            answer = await stream.answer()
            row = ["begin_row", "add_row_value", "finish_row"]
            assert (answer.request_id, names(answer)) == (3, [
                "init", "begin_step", "step_error", "finish_step", "begin_step", "finish_step",
                *one[:3], *row, *one[3:], "finish",
            ])  # fmt: skip
            stream.requests.put_nowait(ExecReq(4, describe=StreamDescribeReq("select a from t where a = :x")))
            described = (await stream.answer()).describe_resp
            assert described is not None
            assert [each.name for each in described.params] == [":x"]
            stream.requests.put_nowait(ExecReq(5, describe=StreamDescribeReq("select * from nope")))
            error = (await stream.answer()).error
            assert error is not None
            assert error.message == "no such table: nope"
            stream.ask(5, "select 1")
            with pytest.raises(RpcError, match="less than last"):
                await stream.answer()
        # The transaction went with it.
        assert await primary.rows("select count(*) from t", client=BOB) == [[[0]]]
        assert primary.namespace.out == 1

    play(scene)


def test_a_stream_ends_when_nothing_more_is_asked(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        async with primary.stream() as stream:
            stream.ask(0, "select 1")
            stream.requests.put_nowait(None)
            assert names(await stream.answer())[-1] == "finish"
            with pytest.raises(StopAsyncIteration):
                await stream.answer()
            assert primary.namespace.out == 0

    play(scene)


def test_a_new_request_stops_the_one_that_runs(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        async with primary.stream() as stream:
            stream.ask(0, LONG)
            answer = asyncio.create_task(stream.answer())
            while not any(each.connection.in_statement for each in primary.streams._sessions):
                await asyncio.sleep(0.001)
            stream.ask(1, "select 'next'")
            assert (await answer).request_id == 1
            stream.ask(2, LONG)
            answer = asyncio.create_task(stream.answer())
            while not any(each.connection.in_statement for each in primary.streams._sessions):
                await asyncio.sleep(0.001)
            answer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answer
        assert primary.namespace.out == 0

    play(scene)


def test_large_answers_come_in_pieces(play: Any) -> None:
    async def scene(primary: Primary) -> None:
        async with primary.stream() as stream:
            stream.ask(0, "select value, 'some text that is repeated' from generate_series(1, 10000)", NO_MATCH)
            found: list[int | None] = []
            count = 0
            while True:
                answer = await stream.answer()
                count += 1
                assert answer.program_resp is not None
                for each in answer.program_resp.steps:
                    if each.add_row_value is not None and each.add_row_value.val is not None:
                        found.append(each.add_row_value.val.integer)
                if answer.program_resp.steps[-1].finish is not None:
                    break
            assert count > 4
            assert found[::2] == list(range(1, 10001))
            stream.ask(1, "select zeroblob(2000000)")
            error = (await stream.answer()).error
            assert error is not None
            assert error.message == "Response is too large"

    play(scene)
