"""The admin API and the namespaces behind it, without a socket."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from libsql_core._engine import ServerConnection
from libsql_core.hrana.errors import HttpError
from libsql_core.server import namespace as one
from libsql_core.server import namespaces as module
from libsql_core.server.admin import Admin
from libsql_core.server.api import ATTACH, FULL, READ, WRITE, Request, Response
from libsql_core.server.auth import Closed
from libsql_core.server.config import Config
from libsql_core.server.listen import Changes
from libsql_core.server.metastore import NamespaceConfig
from libsql_core.server.namespace import Namespace, Parts
from libsql_core.server.namespaces import Namespaces
from libsql_core.server.pool import Slots

KEY = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
PEM = f"-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n"
JSON = {b"content-type": b"application/json"}


class Server:
    """Namespaces in a folder, and the admin API over them."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.config = Config(enable_namespaces=True, **settings)
        self.folder = folder
        self.dropped: list[Namespace] = []
        self.on_drop: Callable[[Namespace], None] = lambda namespace: None
        self.slots = Slots(100, 100, 1)
        self.namespaces = Namespaces(self.config, folder, Parts(self.config, self.slots, Changes), self.drop)
        self.admin = Admin(self.namespaces, self.config.admin_auth_key, lambda: "metrics\n", lambda: ["", "expired"])

    def drop(self, namespace: Namespace) -> None:
        self.dropped.append(namespace)
        self.on_drop(namespace)

    async def call(self, method: str, path: str, body: object = None, headers: dict[bytes, bytes] = JSON) -> Response:
        request = Request(method.encode(), path.encode(), b"", dict(headers))
        sent = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        request.body = b"" if body is None else sent
        return await self.admin.handle(request)

    async def ok(self, method: str, path: str, body: object = None) -> bytes:
        response = await self.call(method, path, body)
        assert response.status == 200, response.body
        return response.body

    async def create(self, name: str, **body: object) -> None:
        assert await self.ok("POST", f"/v1/namespaces/{name}/create", body) == b""

    async def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        response = await self.call(method, path, body)
        assert response.status != 200
        text = response.body.decode()
        return response.status, json.loads(text)["error"] if text.startswith("{") else text

    async def sql(self, name: str, text: str, permission: int = FULL) -> list[list[Any]]:
        namespace = await self.namespaces.get(name)
        connection = await namespace.acquire()
        try:
            plan = connection.plan(text)
            if plan.attach_name is not None:
                plan.attach_path = self.namespaces.attach_path(plan.attach_name, permission)
            made = connection.execute(plan, None, None, ServerConnection.PLAIN, 1 << 20)
            rows: list[list[Any]] = json.loads(made)["rows"]
            return rows
        finally:
            namespace.release(connection)


@asynccontextmanager
async def server(folder: Path, **settings: Any) -> AsyncIterator[Server]:
    made = Server(folder, **settings)
    try:
        yield made
    finally:
        await made.namespaces.close()
        assert made.slots.free == 100


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def test_the_life_of_a_namespace(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            missing = 404, "Namespace `db1` doesn't exist"
            assert await made.refused("GET", "/v1/namespaces/db1/config") == missing
            await made.create("db1")
            assert await made.refused("POST", "/v1/namespaces/db1/create", {}) == (
                400, "Namespace `db1` already exists",
            )  # fmt: skip
            await made.sql("db1", "create table t(a)")
            await made.sql("db1", "insert into t values (5)")
            assert (tmp_path / "dbs" / "db1" / ".sentinel").exists()
            await made.ok("POST", "/v1/namespaces/db1/fork/db2")
            assert await made.refused("POST", "/v1/namespaces/db1/fork/db2") == (400, "Namespace `db2` already exists")
            assert await made.refused("POST", "/v1/namespaces/nope/fork/db3") == (
                404, "Namespace `nope` doesn't exist",
            )  # fmt: skip
            await made.sql("db1", "insert into t values (6)")
            assert await made.sql("db2", "select * from t") == [[5]]
            await made.ok("DELETE", "/v1/namespaces/db1")
            assert await made.refused("DELETE", "/v1/namespaces/db1") == missing
            assert sorted(path.name for path in (tmp_path / "dbs").iterdir()) == ["db2"]
            with pytest.raises(HttpError, match="Namespace `db1` doesn't exist"):
                await made.namespaces.get("db1")
            await made.create("db1")
            assert await made.sql("db1", "select * from sqlite_schema") == []
        assert not (tmp_path / "dbs" / "db2" / ".sentinel").exists()
        con = sqlite3.connect(tmp_path / "dbs" / "db2" / "data")
        assert con.execute("select * from t").fetchall() == [(5,)]
        assert con.execute("pragma journal_mode").fetchall() == [("wal",)]
        con.close()
        async with server(tmp_path) as made:
            assert await made.sql("db2", "select * from t") == [[5]]

    run(main())


def test_the_default_namespace_is_always_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            config = json.loads(await made.ok("GET", "/v1/namespaces/default/config"))
            assert config["txn_timeout_s"] == 5
            for _ in range(2):
                await made.create("default")
            await made.sql("default", "create table t(a)")
            await made.ok("DELETE", "/v1/namespaces/default")
            assert await made.sql("default", "select * from sqlite_schema") == []
            assert await made.refused("POST", "/v1/namespaces/default/fork/default") == (
                400, "Namespace `default` already exists",
            )  # fmt: skip

    run(main())


def test_configuration(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.create("db1", max_db_size="100KB", txn_timeout_s=7, allow_attach=True, durability_mode="off")
            path = "/v1/namespaces/db1/config"
            before = {
                "block_reads": False, "block_writes": False, "block_reason": None, "max_db_size": "98.3 KB",
                "heartbeat_url": None, "jwt_key": None, "allow_attach": True, "txn_timeout_s": 7,
                "durability_mode": "off",
            }  # fmt: skip
            shown = json.loads(await made.ok("GET", path))
            assert list(shown.items()) == list(before.items())
            # What is left out is cleared, but for three.
            await made.ok("POST", path, {"block_reads": False, "block_writes": True})
            shown = json.loads(await made.ok("GET", path))
            assert shown == {**before, "block_writes": True, "allow_attach": False, "txn_timeout_s": None}
            given = {
                "block_reads": True, "block_writes": False, "block_reason": "quota", "jwt_key": PEM,
                "allow_attach": True, "txn_timeout_s": 1, "max_db_size": 8192, "heartbeat_url": "http://x/y",
                "durability_mode": "extra",
            }  # fmt: skip
            await made.ok("POST", path, given)
            shown = json.loads(await made.ok("GET", path))
            assert shown == {**given, "max_db_size": "8.2 KB"}
            namespace = await made.namespaces.get("db1")
            assert namespace.auth is not None
            assert namespace.config.block_reason == "quota"
            assert namespace.config.synchronous == 3
        async with server(tmp_path) as made:
            assert json.loads(await made.ok("GET", path)) == shown

    run(main())


def test_a_key_that_is_none_lets_nobody_in(tmp_path: Path) -> None:
    """The original takes such keys."""

    async def main() -> None:
        async with server(tmp_path) as made:
            made.namespaces._put("db1", NamespaceConfig(jwt_key="AAAA"))
            assert isinstance((await made.namespaces.get("db1")).auth, Closed)

    run(main())


def test_settings_reach_open_connections(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.create("db1", max_db_size=20 * 4096)
            await made.sql("db1", "create table t(a)")
            fill = "insert into t values (zeroblob(100000))"
            with pytest.raises(Exception, match="database or disk is full"):
                await made.sql("db1", fill)
            await made.ok(
                "POST", "/v1/namespaces/db1/config",
                {"block_reads": False, "block_writes": False, "max_db_size": "1MB"},
            )  # fmt: skip
            await made.sql("db1", fill)

    run(main())


AT = " at line 1 column "
TARGET = "Failed to deserialize the JSON body into the target type: "


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        # As sqld 0.24.32 answers, to the column.
        ("/db1/config", {}, (422, TARGET + "missing field `block_reads`" + AT + "2")),
        ("/db1/config", {"block_reads": False}, (422, TARGET + "missing field `block_writes`" + AT + "21")),
        ("/x//create", {}, (200, "")),
        ("//create", {}, (400, "Invalid URL: Invalid namespace")),
        ("/%ff/create", {}, (400, "Invalid URL: Invalid UTF-8 in `namespace`")),
        ("/x/create", 5,
         (422, TARGET + "invalid type: integer `5`, expected struct CreateNamespaceReq" + AT + "1")),
        ("/x/create", {"txn_timeout_s": -1},
         (422, TARGET + "txn_timeout_s: invalid value: integer `-1`, expected u64" + AT + "19")),
        ("/x/create", {"max_row_size": "x"},
         (422, TARGET + 'max_row_size: invalid type: string "x", expected u64' + AT + "19")),
        ("/x/create", {"allow_attach": 1},
         (422, TARGET + "allow_attach: invalid type: integer `1`, expected a boolean" + AT + "17")),
        ("/x/create", {"jwt_key": []},
         (422, TARGET + "jwt_key: invalid type: sequence, expected a string" + AT + "13")),
        ("/x/create", {"max_db_size": "abc"},
         (422, TARGET + 'max_db_size: invalid value: string "abc", expected parsable string' + AT + "20")),
        ("/x/create", {"max_db_size": -1},
         (422, TARGET + "max_db_size: invalid value: integer `-1`, expected integer overflow" + AT + "17")),
        ("/x/create", {"durability_mode": "abc"},
         (422, TARGET + "durability_mode: unknown variant `abc`, "
          "expected one of `extra`, `strong`, `relaxed`, `off`" + AT + "24")),
        ("/x/create", {"dump_url": "nope"},
         (422, TARGET + 'dump_url: invalid value: string "nope", expected relative URL without a base' + AT + "18")),
        ("/x/create", {"dump_url": "file:///nope"}, (400, "The passed dump file path doesn't exist")),
        ("/x/create", {"dump_url": "ftp://x/"},
         (400, "Unsupported dump url scheme `ftp`, supported schemes are: `http`, `file`")),
        ("/x/create", {"heartbeat_url": "x"}, (400, "Wrong URL: relative URL without a base")),
        ("/x/create", {"heartbeat_url": "http://"}, (400, "Wrong URL: empty host")),
        ("/x/create", {"jwt_key": "zz"},
         (500, "Internal Error: `Could not decode Ed25519 public key from base64: Base64 error: "
          "Invalid last symbol 122, offset 1.`")),
        ("/x/create", {"shared_schema": True, "shared_schema_name": "db1"},
         (400, "Shared schema error: shared schema database cannot reference another shared schema")),
        ("/x/create", {"shared_schema_name": "db1", "dump_url": "file:///x"},
         (400, "Shared schema usage error: database using shared schema database cannot be created from a dump")),
        ("/x/create", {"shared_schema_name": "nope"}, (404, "Namespace `nope` doesn't exist")),
        ("/db1/fork/f2", {"timestamp": "2026-11-21T03:00:00"}, (500, "backup service not configured")),
        # Names that are no names of folders.
        *[(f"/{name}/create", {}, (400, "Invalid namespace")) for name in
          ("a%2fb", "..", "%2e%2e%2fx", ".x", "x.", "a%20b", "%00", "x" * 65, "%C3%A9")],
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, path: str, body: object, expected: tuple[int, str]) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.create("db1")
            if expected[0] == 200:
                assert (await made.call("POST", f"/v1/namespaces{path}", body)).head == (
                    b"content-type: application/grpc\r\ngrpc-status: 12\r\n"
                )
            else:
                assert await made.refused("POST", f"/v1/namespaces{path}", body) == expected
            # Nothing of it stays.
            assert list(made.namespaces.configs) == ["db1"]
            assert [path.name for path in (tmp_path / "dbs").iterdir()] == ["db1"]

    run(main())


def test_bodies_that_are_not_json(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            path = "/v1/namespaces/x/create"
            status, text = await made.refused("POST", path, b"{")
            assert (status, text.startswith("Failed to parse the request body as JSON: ")) == (400, True)
            response = await made.call("POST", path, {}, {b"content-type": b"text/plain"})
            assert (response.status, response.body) == (
                415, b"Expected request with `Content-Type: application/json`",
            )  # fmt: skip
            assert (await made.call("POST", path, None, {})).status == 415
            kind = {b"content-type": b"application/json; charset=utf-8"}
            assert (await made.call("POST", path, {"unknown": 1}, kind)).status == 200
            # The body of a fork may be anything.
            await made.ok("POST", "/v1/namespaces/x/fork/y", b"{bad")

    run(main())


def test_other_paths(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            assert await made.ok("GET", "/") == b"Welcome to the sqld admin API"
            assert await made.ok("HEAD", "/metrics") == b"metrics\n"
            assert json.loads(await made.ok("GET", "/v1/diagnostics")) == ["", "expired"]
            response = await made.call("PUT", "/")
            assert (response.status, response.head) == (405, b"allow: GET,HEAD\r\n")
            assert (await made.call("GET", "/v1/namespaces/db1")).head == b"allow: DELETE\r\n"
            assert await made.ok("GET", "/nope") == b""
            assert await made.refused("POST", "/log-filter", b"[=") == (
                500,
                "Internal Error: `invalid filter directive`",
            )
            await made.ok("POST", "/log-filter", b"off")

    run(main())


def test_the_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, admin_auth_key="secret", disable_metrics=True) as made:
            for header in (b"", b"basic", b"basic secre", b"basic secret ", b"Bearer secret", b"basic \xff"):
                response = await made.call("GET", "/nope", None, {b"authorization": header})
                assert (response.status, response.body) == (401, b"")
            response = await made.call("GET", "/", None, {b"authorization": b"BASIC secret"})
            assert response.status == 200

    run(main())


def test_statistics(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.create("db1")
            (await made.namespaces.get("db1")).stats.note("select 1", 10, 3, 0)
            shown = json.loads(await made.ok("GET", "/v1/namespaces/db1/stats"))
            assert (shown["rows_read_count"], len(shown["top_queries"])) == (3, 1)
            assert shown["storage_bytes_used"] > 0
            await made.ok("DELETE", "/v1/namespaces/db1/stats/top")
            shown = json.loads(await made.ok("GET", "/v1/namespaces/db1/stats"))
            assert (shown["rows_read_count"], shown["top_queries"]) == (3, [])
            assert await made.refused("DELETE", "/v1/namespaces/db1/stats/x") == (
                500, "Internal Error: `Invalid stats type`",
            )  # fmt: skip
            for method, path in (("GET", "stats"), ("DELETE", "stats/top")):
                assert (await made.refused(method, f"/v1/namespaces/nope/{path}"))[0] == 404
        assert json.loads((tmp_path / "dbs" / "db1" / "stats.json").read_text())["rows_read"] == 3
        assert made.namespaces.counted["rows_read"] == 3

    run(main())


def test_a_dump_fills_a_namespace(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "dump.sql"
        file.write_text("begin;\ncreate table t(a);\ninsert into t values (7);\ncommit;\n")
        async with server(tmp_path / "data") as made:
            await made.create("db1", dump_url=file.as_uri())
            assert await made.sql("db1", "select a from t") == [[7]]
            file.write_text("create table x(a);\nbegin;\ncreate table t(a);\nnonsense;\n")
            status, text = await made.refused("POST", "/v1/namespaces/db2/create", {"dump_url": file.as_uri()})
            assert (status, text[:52]) == (400, 'The passed dump sql is invalid: msg: near "nonsense"')
            # It exists, and is empty.
            assert await made.sql("db2", "select * from sqlite_schema") == []

    run(main())


def test_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(one, "VACUUM_PAGES", 10)
        async with server(tmp_path) as made:
            await made.ok("POST", "/v1/namespaces/nope/checkpoint")
            await made.create("db1")
            await made.sql("db1", "create table t(a)")
            await made.sql("db1", "insert into t values (zeroblob(200000))")
            wal, data = (tmp_path / "dbs" / "db1" / name for name in ("data-wal", "data"))
            assert wal.stat().st_size > 200_000
            await made.ok("POST", "/v1/namespaces/db1/checkpoint")
            assert (wal.stat().st_size, data.stat().st_size > 200_000) == (0, True)
            await made.sql("db1", "delete from t")
            await made.ok("POST", "/v1/namespaces/db1/checkpoint")
            await made.ok("POST", "/v1/namespaces/db1/checkpoint")
            assert data.stat().st_size < 20_000
            assert made.namespaces.vacuums == 1

    run(main())


def test_deleting_under_load(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.create("db1")
            namespace = await made.namespaces.get("db1")
            connection = await namespace.acquire()
            connection.run(connection.plan("begin immediate"))
            # What the streams do: the transaction is rolled back, the connection given back.
            made.on_drop = lambda dropped: dropped.release(connection)
            await made.ok("DELETE", "/v1/namespaces/db1")
            assert made.dropped == [namespace]
            assert namespace.closed
            assert list((tmp_path / "dbs").iterdir()) == []
            with pytest.raises(HttpError, match="doesn't exist"):
                await namespace.acquire()

    run(main())


def test_a_connection_that_is_kept_does_not_stop_deletion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(module, "DRAIN_S", 0.05)
        async with server(tmp_path) as made:
            await made.create("db1")
            namespace = await made.namespaces.get("db1")
            connection = await namespace.acquire()
            await made.ok("DELETE", "/v1/namespaces/db1")
            assert list((tmp_path / "dbs").iterdir()) == []
            namespace.release(connection)

    run(main())


def test_few_are_kept_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, max_active_namespaces=2) as made:
            for number in range(4):
                await made.create(f"db{number}")
            assert [namespace.name for namespace in made.namespaces.loaded] == ["db2", "db3"]
            assert not (tmp_path / "dbs" / "db0" / ".sentinel").exists()
            busy = await made.namespaces.get("db2")
            connection = await busy.acquire()
            await made.namespaces.get("db0")
            await made.namespaces.get("db1")
            assert {namespace.name for namespace in made.namespaces.loaded} == {"db1", "db2"}
            busy.release(connection)

    run(main())


def test_who_is_asleep_wakes_up(tmp_path: Path) -> None:
    """A client that has been connected for long still has the namespace that was closed meanwhile."""

    async def main() -> None:
        async with server(tmp_path, max_active_namespaces=1) as made:
            await made.create("db1")
            await made.sql("db1", "create table t(a)")
            kept = await made.namespaces.get("db1")
            kept.stats.note("select 1", 1, 5, 0)
            await made.create("db2")
            assert (kept.asleep, kept.closed) == (True, False)
            assert not (tmp_path / "dbs" / "db1" / ".sentinel").exists()
            assert made.namespaces.counted["rows_read"] == 5
            first, second = await asyncio.gather(kept.acquire(), kept.acquire())
            assert not kept.asleep
            assert await made.namespaces.get("db1") is kept
            kept.release(first)
            kept.release(second)
            assert await made.sql("db1", "select * from t") == []
            assert kept.stats.since_start("rows_read") == 0
            # Deleted while it slept, it is gone.
            await made.sql("db2", "select 1")
            assert kept.asleep
            await made.ok("DELETE", "/v1/namespaces/db1")
            await made.create("db1")
            with pytest.raises(HttpError, match="Namespace `db1` doesn't exist"):
                await kept.acquire()

    run(main())


def test_who_waits_keeps_it_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, max_active_namespaces=1) as made:
            await made.create("db1")
            waited = await made.namespaces.get("db1")
            taken = [await waited.acquire() for _ in range(100)]
            waiting = asyncio.create_task(waited.acquire())
            await asyncio.sleep(0.01)
            for connection in taken:
                waited.release(connection)
            await made.namespaces.make_room()
            waited.release(await waiting)

    run(main())


def test_creating_and_deleting_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, max_active_namespaces=3) as made:
            await made.create("source")
            await made.sql("source", "create table t(a)")

            async def live(number: int) -> list[int]:
                name = f"db{number % 3}"
                seen = []
                for _ in range(10):
                    for method, path in (
                        ("POST", f"/v1/namespaces/source/fork/{name}"),
                        ("GET", f"/v1/namespaces/{name}/stats"),
                        ("DELETE", f"/v1/namespaces/{name}"),
                    ):
                        seen.append((await made.call(method, path)).status)
                return seen

            statuses = await asyncio.gather(*map(live, range(6)))
            assert {status for seen in statuses for status in seen} <= {200, 400, 404}
            assert sum(seen.count(200) for seen in statuses) > 60

    run(main())


def test_what_a_crash_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "dbs" / "default"
        folder.mkdir(parents=True)
        con = sqlite3.connect(folder / "data")
        con.execute("create table t(a)")
        con.close()
        (folder / ".sentinel").touch()
        (folder / "wallog").write_bytes(b"SQLDWAL\0" + bytes(56))
        (folder / "snapshots").mkdir()
        (folder / "snapshots" / "x.snap").touch()
        async with server(tmp_path) as made:
            assert await made.sql("default", "select count(*) from t") == [[0]]
        # A log that does not fit the database is made anew, and its snapshots go.
        assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["data", "stats.json", "wallog"]
        assert not list(folder.glob("snapshots/*"))

    run(main())


def test_copies_and_deletions_that_were_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    async def main() -> None:
        async with server(tmp_path) as made:
            await made.create("db1")
            await made.sql("db1", "create table t(a)")

            def crash(path: Path) -> None:
                raise Crash

            for method, path in (("POST", "db1/fork/db2"), ("DELETE", "db1")):
                with monkeypatch.context() as patched:
                    patched.setattr(module, "remove", crash)
                    with pytest.raises(Crash):
                        await made.call(method, f"/v1/namespaces/{path}")
            assert len(list((tmp_path / "dbs").glob(".*"))) == 2
            assert [path.name for path in (tmp_path / "dbs").glob("[!.]*")] == []
        async with server(tmp_path) as made:
            assert list((tmp_path / "dbs").iterdir()) == []
            await made.create("db2")
            assert await made.sql("db2", "select * from sqlite_schema") == []

    run(main())


def test_recovery_of_the_metastore(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.create("db1")
        for path in (tmp_path / "metastore").iterdir():
            path.unlink()
        async with server(tmp_path) as made:
            assert await made.refused("GET", "/v1/namespaces/db1/config") == (404, "Namespace `db1` doesn't exist")
        (tmp_path / "dbs" / "db1" / "config.json").write_text('{"block_writes":true,"block_reason":5}')
        async with server(tmp_path, allow_metastore_recovery=True) as made:
            config = json.loads(await made.ok("GET", "/v1/namespaces/db1/config"))
            assert (config["block_writes"], config["block_reason"]) == (True, None)

    run(main())


def test_attaching(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            await made.create("db1")
            await made.create("db2", allow_attach=True)
            await made.sql("db2", "create table t(a)")
            await made.sql("db1", "attach db2 as other")
            for name, permission, message in (
                ("db2", READ | WRITE, "Current session doesn't not have AttachRead permission to namespace db2"),
                ("db1", READ | ATTACH, "Namespace `db1` doesn't allow attach"),
                ("nope", FULL, "Namespace `nope` doesn't allow attach"),
            ):
                with pytest.raises(HttpError) as caught:
                    made.namespaces.attach_path(name, permission)
                assert (caught.value.status, caught.value.message) == (403, f"Authorization forbidden: {message}")

    run(main())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"host": b"db1.example.com:8080"}, "db1"),
        ({b"host": b"DB1.x"}, "DB1"),
        ({b"host": b"localhost:8080"}, "default"),
        ({b"host": b"127.0.0.1:8080"}, "127"),
        ({b"host": b".x"}, "default"),
        ({b"host": b"[::1]:8080"}, "default"),
        ({}, "default"),
        ({b"host": b"db1.x", b"x-namespace": b"db2"}, "db2"),
        ({b"host": b"db1.x", b"x-namespace": b"db2", b"x-namespace-bin": b"ZGIz"}, "db3"),
        ({b"x-namespace-bin": b"!"}, "400 Invalid namespace bytes: `Invalid byte 33, offset 0.`"),
        ({b"x-namespace-bin": b"ZGIz=="}, "400 Invalid namespace bytes: `Invalid padding`"),
        ({b"x-namespace-bin": b""}, "400 Invalid namespace"),
        ({b"x-namespace-bin": b"Li4veA"}, "400 Invalid namespace"),
        ({b"x-namespace": b"a/b"}, "400 Invalid namespace"),
        ({b"host": b"a b.x"}, "400 Invalid namespace"),
    ],
)
def test_names_in_requests(tmp_path: Path, headers: dict[bytes, bytes], expected: str) -> None:
    async def main() -> None:
        async with server(tmp_path) as made:
            try:
                found = made.namespaces.name_of(headers)
            except HttpError as error:
                found = f"{error.status} {error.message}"
            assert found == expected

    run(main())


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({b"host": b"localhost:8080"}, "Invalid host header: `host header should be in the format <namespace>.<...>`"),
        ({b"host": b".x"}, "Invalid namespace"),
        ({}, "Invalid host header: `missing host header`"),
    ],
)
def test_requests_must_name_one(tmp_path: Path, headers: dict[bytes, bytes], message: str) -> None:
    async def main() -> None:
        async with server(tmp_path, disable_default_namespace=True) as made:
            with pytest.raises(HttpError) as caught:
                made.namespaces.name_of(headers)
            assert (caught.value.status, caught.value.message) == (400, message)
            assert made.namespaces.name_of({b"host": b"default.x"}) == "default"

    run(main())


def test_encryption(tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, encryption_key=b"key") as made:
            await made.create("db1")
            await made.sql("db1", "create table secret(a)")
            await made.ok("POST", "/v1/namespaces/db1/fork/db2")
            assert len(await made.sql("db2", "select * from sqlite_schema")) == 1
        for name in ("db1", "db2"):
            assert b"secret" not in (tmp_path / "dbs" / name / "data").read_bytes()
        async with server(tmp_path, encryption_key=b"other") as made:
            with pytest.raises(HttpError, match="file is not a database"):
                await made.namespaces.get("db1")

    run(main())
