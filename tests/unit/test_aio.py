"""The module for asyncio: the same results, in turn, off the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

import libsql_core
from libsql_core import aio


def test_statements(tmp_path: Path) -> None:
    async def run() -> None:
        async with aio.connect(tmp_path / "a.db") as con:
            await con.execute("create table t(id integer primary key, x)")
            cursor = await con.executemany("insert into t(x) values (?)", [(x,) for x in range(200)])
            assert (cursor.rowcount, con.in_transaction) == (200, True)
            await con.commit()
            assert not con.in_transaction
            async with con.execute("select x from t order by x") as rows:
                assert rows.description[0][0] == "x"
                assert await rows.fetchone() == (0,)
                assert await rows.fetchmany(2) == [(1,), (2,)]
                assert [x async for (x,) in rows] == list(range(3, 200))
            con.row_factory = libsql_core.Row
            row = await (await con.execute("select 1 as one")).fetchone()
            assert row["one"] == 1
            cursor = await con.cursor()
            await cursor.execute("insert into t(x) values (?)", (1000,))
            assert (cursor.lastrowid, con.total_changes) == (201, 201)
            with pytest.raises(libsql_core.OperationalError, match="no such table"):
                await con.execute("select * from missing")
        # What was not committed is gone.
        async with aio.connect(tmp_path / "a.db") as con, con.execute("select count(*) from t") as rows:
            assert await rows.fetchall() == [(200,)]
        with pytest.raises(libsql_core.ProgrammingError, match="closed"):
            await con.commit()
        await con.close()

    asyncio.run(run())


def test_the_loop_goes_on(tmp_path: Path) -> None:
    """A statement that takes long is waited for by its own task alone; interrupt() ends it."""

    async def run() -> None:
        con = await aio.connect(":memory:")
        ticks = 0
        loop_thread = threading.get_ident()
        assert await con.run(threading.get_ident) != loop_thread
        forever = "with recursive c(x) as (values(1) union all select x+1 from c) select count(*) from c"
        task = asyncio.ensure_future(con.run(lambda: con.plain.execute(forever).fetchall()))
        while ticks < 20:
            await asyncio.sleep(0.001)
            ticks += 1
        assert not task.done()
        deadline = time.monotonic() + 30
        while not task.done() and time.monotonic() < deadline:
            con.interrupt()
            await asyncio.sleep(0.001)
        with pytest.raises(libsql_core.OperationalError, match="interrupted"):
            await task
        await con.close()

    asyncio.run(run())


def test_connect_fails_or_is_cancelled(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(libsql_core.OperationalError):
            await aio.connect(tmp_path / "none" / "a.db")
        task = asyncio.ensure_future(aio.connect(tmp_path / "a.db").__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("libsql_core aio") and _lives(thread)
    ]


def _lives(thread: threading.Thread) -> bool:
    thread.join(30)
    return thread.is_alive()
