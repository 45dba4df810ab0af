"""A connection to a replica as a user has it: DB-API, transactions, background, encryption, snapshots, asyncio."""

from __future__ import annotations

import asyncio
import datetime
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import aio, encryption
from libsql_core.replication import ReplicaConnection, ReplicaError, UnreachableError

sys.path.append(str(Path(__file__).parents[1] / "interop" / "_server"))

from sqld_process import NAMES, Server


@pytest.fixture(scope="module", params=NAMES)
def primary(
    request: pytest.FixtureRequest, server_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with Server(request.param, server_cache, tmp_path_factory.mktemp("primary"), "--max-log-size", "1") as server:
        yield server


@pytest.fixture
def con(primary: Server, tmp_path: Path) -> Iterator[ReplicaConnection]:
    with closing(libsql_core.connect(tmp_path / "r.db", sync_url=primary.url)) as made:
        made.executescript("drop table if exists t; create table t(id integer primary key, x, day date)")
        yield made


def xs(con: libsql_core.Connection) -> list[object]:
    return [x for (x,) in con.execute("select x from t order by id")]


def test_transactions(con: ReplicaConnection, primary: Server, tmp_path: Path) -> None:
    cursor = con.execute("insert into t(x) values (?)", (1,))
    assert (cursor.rowcount, cursor.lastrowid, cursor.description) == (1, 1, None)
    assert con.in_transaction
    assert xs(con) == [1]
    with closing(libsql_core.connect(tmp_path / "r.db")) as other:
        assert xs(other) == []
        con.rollback()
        assert (xs(con), con.in_transaction) == ([], False)
        with con:
            con.executemany("insert into t(x) values (:x)", ({"x": x} for x in range(2000)))
        assert (con.execute("select count(*) from t").fetchone(), con.total_changes) == ((2000,), 2001)
        assert len(xs(other)) == 2000
        con.execute("delete from t")
        with pytest.raises(libsql_core.IntegrityError, match=r"^UNIQUE constraint failed: t\.id$") as caught, con:
            con.execute("insert into t(id) values (7), (7)")
        assert caught.value.sqlite_errorname == "SQLITE_CONSTRAINT_PRIMARYKEY"
        assert len(xs(con)) == 2000
    con.execute("begin immediate")
    con.execute("savepoint s")
    con.execute("delete from t")
    assert xs(con) == []
    con.execute("rollback to s")
    con.execute("commit")
    assert len(xs(con)) == 2000
    con.isolation_level = None
    con.execute("delete from t where id > 1 returning x").fetchall()
    assert (con.in_transaction, xs(con)) == (False, [0])
    con.autocommit = False
    con.execute("insert into t(x) values (2)")
    assert con.in_transaction
    con.commit()
    con.autocommit = True
    assert xs(con) == [0, 2]


def test_read_transaction(con: ReplicaConnection, primary: Server, tmp_path: Path) -> None:
    con.execute("begin readonly")
    assert xs(con) == []
    with closing(libsql_core.connect(tmp_path / "w.db", sync_url=primary.url, autocommit=True)) as writer:
        writer.execute("insert into t(x) values (1)")
        con.sync()
        assert xs(con) == []
        with pytest.raises(libsql_core.OperationalError, match="READONLY"):
            con.execute("insert into t(x) values (2)")
        con.commit()
        assert xs(con) == [1]
        # Behind: what it wrote itself is there as soon as it can be read.
        assert writer.replication_index == con.replication_index
        assert con.sync_until(writer.replication_index).frames_synced == 0
        with pytest.raises(libsql_core.OperationalError, match="no frame"):
            con.sync_until(writer.replication_index + 1000)


def test_rows(con: ReplicaConnection) -> None:
    con.row_factory = libsql_core.Row
    for sql in ("insert into t(x) values ('a') returning id as number, x, x'00' as b, 1.5 as r, null as n", "select 1"):
        cursor = con.execute(sql)
        assert next(cursor)[0] == 1
        assert cursor.fetchone() is None
    row = con.execute("update t set x = 'b' returning id as number, x").fetchall()[0]
    assert (row["NUMBER"], row.keys(), tuple(row)) == (1, ["number", "x"], (1, "b"))
    cursor = con.cursor()
    cursor.row_factory = None
    assert cursor.execute("insert into t(x) values (1), (2), (3) returning x").fetchmany(2) == [(1,), (2,)]
    assert list(cursor) == [(3,)]
    con.text_factory = bytes
    assert tuple(con.execute("update t set x = x where id = 1 returning x").fetchone()) == (b"b",)
    with pytest.raises(libsql_core.ProgrammingError, match="supplied"):
        con.execute("insert into t(x) values (?)")
    with pytest.raises(libsql_core.ProgrammingError, match="not supported"):
        con.execute("insert into t(x) values (?)", (object(),))
    with pytest.raises(libsql_core.ProgrammingError, match="one statement"):
        con.execute("delete from t; delete from t")
    with pytest.raises(libsql_core.NotSupportedError):
        con.execute("vacuum")
    cursor.close()
    with pytest.raises(libsql_core.ProgrammingError, match="closed cursor"):
        cursor.execute("delete from t")
    caught: list[BaseException] = []

    def elsewhere() -> None:
        for call in (con.commit, lambda: con.execute("delete from t")):
            try:
                call()
            except libsql_core.ProgrammingError as error:
                caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert [str(error)[:34] for error in caught] == ["SQLite objects created in a thread"] * 2
    assert len(xs(con)) == 4
    with pytest.raises(libsql_core.OperationalError):
        con.execute("insert into missing values (1)")


class Shouting(libsql_core.Cursor):
    """As frameworks have them: written for any connection."""

    def execute(self, sql: str, parameters: Any = (), /) -> Shouting:
        return super().execute(sql.upper(), parameters)


class Numbers:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        return index + 40


def test_existing_code(con: ReplicaConnection) -> None:
    cursor = con.cursor(factory=Shouting)
    assert isinstance(cursor, Shouting)
    assert cursor.execute("insert into t(id, x) values (?, ?)", Numbers()) is cursor
    con.commit()
    assert cursor.execute("select id, x from t where id = ? or x = ?", Numbers()).fetchall() == [(40, 41)]
    with pytest.raises(TypeError):
        con.cursor(lambda _: None)
    with pytest.raises(ValueError, match="null character"):
        con.executescript("delete from t;\0")
    with pytest.raises(libsql_core.ProgrammingError, match="null character"):
        con.execute("delete from t\0")
    with pytest.raises(libsql_core.ProgrammingError, match="unsupported type"):
        con.execute("delete from t where x = ?", {1})


@pytest.mark.parametrize("name", NAMES)
def test_lost_transaction(name: str, server_cache: Path, tmp_path: Path) -> None:
    """What belongs to a transaction that the primary has no more is not run outside of it."""
    with Server(name, server_cache, tmp_path / "primary") as first:
        con = libsql_core.connect(tmp_path / "r.db", sync_url=first.url)
        con.execute("create table t(id integer primary key, x)")
        con.execute("insert into t(x) values (1)")
        first.kill()
        with pytest.raises(UnreachableError):
            con.execute("insert into t(x) values (2)")
        assert con.in_transaction
        with closing(con), Server(name, server_cache, tmp_path / "primary", port=first.port):
            with pytest.raises(libsql_core.OperationalError, match="has ended the transaction"):
                con.execute("insert into t(x) values (3)")
            assert not con.in_transaction
            con.execute("insert into t(x) values (4)")
            con.commit()
            assert xs(con) == [4]


def test_connections_are_given_back(primary: Server, con: ReplicaConnection, tmp_path: Path) -> None:
    """The primary allows for so many at a time."""
    for _ in range(140):
        with closing(libsql_core.connect(tmp_path / "r.db", sync_url=primary.url)) as other:
            other.execute("insert into t(x) values (1)")
    assert xs(con) == []


def test_converters(primary: Server, con: ReplicaConnection, tmp_path: Path) -> None:
    types = libsql_core.PARSE_DECLTYPES | libsql_core.PARSE_COLNAMES
    libsql_core.register_converter("year", lambda data: int(data[:4]))
    with closing(libsql_core.connect(tmp_path / "c.db", sync_url=primary.url, detect_types=types)) as typed:
        typed.execute("insert into t(day) values ('2026-11-21')")
        for _ in range(2):
            cursor = typed.execute('select day as "y [year]" from t')
            assert (cursor.fetchall(), cursor.description[0][0]) == ([(2026,)], "y")
            typed.commit()
    assert datetime.date(2026, 11, 21).year == 2026


def test_background(primary: Server, con: ReplicaConnection, tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "b.db", sync_url=primary.url, sync_interval=0.01)) as other:
        con.execute("insert into t(x) values (1)")
        con.commit()
        index = con.replication_index
        deadline = time.monotonic() + 60
        while other.replication_index < index and time.monotonic() < deadline:
            time.sleep(0.005)
        assert xs(other) == [1]
        assert other.last_sync_error is None
        assert other.last_sync is not None
    assert "libsql_core sync" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("end", ["", "del con", "sys.exit()"])
def test_left_open(
    end: str, primary: Server, con: ReplicaConnection, run_child: Callable[..., Any], tmp_path: Path
) -> None:
    """A program ends, whatever it has left open, also in the background."""
    code = f"""
con = sqlite3.connect(sys.argv[2], sync_url=sys.argv[3], sync_interval=0.001)
con.sync()
con.execute("begin readonly")
con.execute("select * from sqlite_schema")
print(json.dumps(con.in_transaction), flush=True)
{end}
"""
    if sys.version_info >= (3, 13):
        code = "import warnings; warnings.simplefilter('ignore')\n" + code  # an unclosed connection warns there
    assert run_child(code, tmp_path / "l.db", primary.url) is True


def test_encrypted(primary: Server, con: ReplicaConnection, tmp_path: Path) -> None:
    con.execute("insert into t(x) values (zeroblob(20000))")
    con.commit()
    file = tmp_path / "e.db"
    for _ in range(2):
        with closing(libsql_core.connect(file, sync_url=primary.url, encryption_key="secret")) as other:
            other.sync()
            other.execute("insert into t(x) values (1)")
            other.commit()
            assert len(xs(other)) > 1
    assert encryption.probe(file).encrypted
    with closing(libsql_core.connect(file, encryption_key="secret")) as other:
        assert xs(other)[1:] == [1, 1]


def test_snapshots(primary: Server, con: ReplicaConnection, tmp_path: Path) -> None:
    """A snapshot file that the primary made is taken as it is; the rest comes from the primary."""
    for _ in range(8):
        con.execute("insert into t(x) values (randomblob(400000))")
        con.commit()
    folder = primary.data / "dbs" / "default" / "snapshots"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = sorted(folder.glob("*.snap")) if folder.exists() else []
        first = [path for path in found if path.stem.split("-")[5] == "0" * len(path.stem.split("-")[5])]
        if first:
            break
        time.sleep(0.05)
    kept = tmp_path / "kept.snap"
    kept.write_bytes(first[0].read_bytes())
    seen: list[tuple[int, int]] = []
    with closing(libsql_core.connect(tmp_path / "s.db", sync_url=primary.url)) as other:
        taken = other.apply_snapshot(kept)
        assert taken.frames_synced > 0
        assert other.replication_index == taken.frame
        assert other.apply_snapshot(kept) == (taken.frame, 0)
        other.sync(progress=lambda done, left: seen.append((done, left)))
        assert seen == [] or seen[-1][1] == 0
        assert xs(other) == xs(con)
        assert other.execute("pragma integrity_check").fetchall() == [("ok",)]
    kept.write_bytes(b"x" * 5000)
    with pytest.raises(ReplicaError, match="no snapshot"):
        con.apply_snapshot(kept)


def test_asyncio(primary: Server, con: ReplicaConnection, tmp_path: Path) -> None:
    async def run() -> None:
        async with aio.connect(tmp_path / "a.db", sync_url=primary.url) as other:
            await other.execute("insert into t(x) values (?)", ("a",))
            await other.commit()
            assert await (await other.execute("select x from t")).fetchall() == [("a",)]
            assert (await other.sync()).frames_synced == 0

    asyncio.run(run())


def test_two_connections(primary: Server, con: ReplicaConnection, tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "r.db", sync_url=primary.url)) as other:
        con.execute("insert into t(x) values (1)")
        con.commit()
        assert xs(other) == [1]
        with pytest.raises(ReplicaError, match="other parameters"):
            libsql_core.connect(tmp_path / "r.db", sync_url=primary.url, auth_token="other")
