"""The second protocol against a primary of a few lines: bootstrap, frames, pushes, conflicts, generations, writes."""

from __future__ import annotations

import datetime
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import libsql_core
from libsql_core.replication import (
    AuthenticationError,
    ConflictError,
    OfflineConnection,
    PrimaryError,
    ProtocolError,
    ReplicaConnection,
    ReplicaError,
    UnreachableError,
)
from libsql_core.replication.http_sync import FRAME, Info, read_info


class Primary:
    """A database whose write-ahead log is what it serves; `cut()` begins a generation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.con = libsql_core.connect(path, check_same_thread=False, isolation_level=None)
        self.con.execute("pragma journal_mode=wal")
        self.con.wal_disable_checkpoint()
        self.con.execute("create table t(id integer primary key, x unique)")
        self.generation = 1
        self.exports = {1: b""}
        self.old: dict[int, list[bytes]] = {}
        self.cut(1)
        self.lock = threading.Lock()
        self.busy = 0
        self.answers: list[tuple[int, bytes]] = []
        self.seen: list[str] = []

    def cut(self, generation: int) -> None:
        self.old[self.generation] = self.frames()
        self.con.execute("pragma wal_checkpoint(truncate)").fetchall()
        self.con.wal_disable_checkpoint()
        self.generation = generation
        self.exports[generation] = self.path.read_bytes()

    def frames(self) -> list[bytes]:
        return [frame[:8] + bytes(16) + frame[24:] for frame in self.con.wal_frames()]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.seen.append(f"{method} {path}")
        if self.answers:
            return self.answers.pop(0)
        if path == "/info":
            return 200, json.dumps({"current_generation": self.generation}).encode()
        if path.startswith("/export/"):
            return 200, self.exports[int(path.rpartition("/")[2])]
        if path == "/v3/pipeline":
            return 200, json.dumps(self.pipeline(json.loads(body))).encode()
        match = re.fullmatch(r"/sync/(\d+)/(\d+)/(\d+)(?:/b)?", path)
        if match is None:
            return 404, b""
        generation, first, stop = map(int, match.groups())
        frames = self.frames() if generation == self.generation else self.old[generation]
        if method == "GET":
            found = frames[first - 1 : stop - 1]
            return (200, b"".join(found)) if found else (400, json.dumps({"generation": self.generation}).encode())
        if len(frames) >= first:
            return 200, json.dumps(
                {"status": "conflict", "generation": generation, "max_frame_no": len(frames)}
            ).encode()
        pushed = [body[at : at + FRAME] for at in range(0, len(body), FRAME)]
        assert len(pushed) == stop - first
        self.con.wal_insert(pushed, start=first)
        reply = {"status": "ok", "generation": generation, "max_frame_no": stop - 1, "baton": "b"}
        return 200, json.dumps(reply).encode()

    def pipeline(self, body: dict[str, Any]) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        for request in body["requests"]:
            if request["type"] == "batch":
                results.append({"type": "batch", "result": self.batch(request["batch"]["steps"])})
            elif request["type"] == "get_autocommit":
                results.append({"type": "get_autocommit", "is_autocommit": not self.con.in_transaction})
            else:
                results.append({"type": "close"})
        answers = [{"type": "ok", "response": result} for result in results]
        return {"baton": "one" if self.con.in_transaction else None, "base_url": None, "results": answers}

    def batch(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        done: list[Any] = []
        failed: list[Any] = []
        for step in steps:
            condition = step["condition"]
            if condition is not None and condition["type"] == "ok" and done[condition["step"]] is None:
                done.append(None)
                failed.append(None)
                continue
            try:
                statement = step["stmt"]
                values = [value.get("value") for value in statement.get("args", [])]
                cursor = self.con.execute(statement["sql"], values)
                rows = [[{"type": "text", "value": str(value)} for value in row] for row in cursor.fetchall()]
                names = [{"name": each[0]} for each in cursor.description or ()]
                changes = max(cursor.rowcount, 0)
                rowid = str(cursor.lastrowid)
                done.append({"cols": names, "rows": rows, "affected_row_count": changes, "last_insert_rowid": rowid})
                failed.append(None)
            except libsql_core.Error as error:
                done.append(None)
                failed.append({"message": f"SQLite error: {error}", "code": error.sqlite_errorname})
        return {"step_results": done, "step_errors": failed}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    primary: Primary

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        with self.primary.lock:
            status, data = self.primary.answer(self.command, self.path, body)
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Primary]:
    made = Primary(tmp_path / "primary.db")
    yield made
    made.con.close()


@pytest.fixture
def url(primary: Primary) -> Iterator[str]:
    handler = type("Bound", (Handler,), {"primary": primary})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> Path:
    """A key and a certificate for localhost that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    kind = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls(primary: Primary, tmp_path: Path) -> None:
    path = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"primary": primary})) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"https://localhost:{server.server_address[1]}"
            trusting = ssl.create_default_context(cafile=str(path))
            with closing(libsql_core.connect(tmp_path / "r.db", sync_url=url, tls_context=trusting)) as con:
                con.execute("insert into t(x) values (?)", ("a",))
                con.commit()
                for _ in range(3):
                    con.sync()
                assert ids(con) == [1]
            doubting = libsql_core.connect(tmp_path / "x.db", sync_url=url)
            with closing(doubting), pytest.raises(UnreachableError, match="certificate"):
                doubting.sync()
        finally:
            server.shutdown()
            thread.join()


def ids(con: libsql_core.Connection) -> list[int]:
    return [row[0] for row in con.execute("select id from t order by id")]


def test_info_file(tmp_path: Path) -> None:
    assert json.loads(Info(1, 0).encode()) == {
        "hash": 3278479626, "version": 0, "durable_frame_num": 0, "generation": 1,
    }  # fmt: skip
    assert json.loads(Info(1, 2).encode())["hash"] == 2169284215
    (tmp_path / "x-info").write_bytes(Info(3, 4).encode().replace(b'"generation":3', b'"generation":4'))
    with pytest.raises(ReplicaError, match="damaged"):
        read_info(str(tmp_path / "x"))


def test_remote_writes(primary: Primary, url: str, tmp_path: Path) -> None:
    file = tmp_path / "r.db"
    with closing(libsql_core.connect(file, sync_url=url)) as con:
        assert isinstance(con, ReplicaConnection)
        cursor = con.execute("insert into t(x) values (?)", ("a",))
        assert (cursor.rowcount, cursor.lastrowid, con.in_transaction) == (1, 1, True)
        assert con.execute("select x from t").fetchall() == [("a",)]
        con.commit()
        assert not con.in_transaction
        assert ids(con) == [1]
        assert read_info(str(file)) == Info(1, len(primary.frames()))
        with pytest.raises(libsql_core.IntegrityError, match=r"^UNIQUE constraint failed: t\.x$"):
            con.execute("insert into t(x) values ('a')")
        con.rollback()
        assert not primary.con.in_transaction
        con.executemany("insert into t(x) values (?)", [("b",), ("c",)])
        con.commit()
        assert ids(con) == [1, 2, 3]
    assert (tmp_path / "r.db-wal").exists()
    with closing(libsql_core.connect(file, sync_url=url)) as con:
        primary.con.executemany("insert into t(x) values (?)", [(x,) for x in range(100)])
        assert con.sync().frames_synced > 128
        assert len(ids(con)) == 103


def test_offline(primary: Primary, url: str, tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "a.db", sync_url=url, offline=True)) as con:
        assert isinstance(con, OfflineConnection)
        for refused in (lambda: con.rekey("secret"), lambda: con.wal_insert([]), lambda: con.deserialize(b"")):
            with pytest.raises(libsql_core.NotSupportedError, match="on a replica"):
                refused()
        con.execute("insert into t(x) values ('a')")
        con.commit()
        for x in range(100):
            con.execute("insert into t(x) values (?)", (x,))
            con.commit()
        assert ids(primary.con) == []
        assert con.sync().frames_synced == con.wal_frame_count() > 128
        assert len(ids(primary.con)) == 101
        primary.con.execute("delete from t where id > 1")
        con.sync()
        assert ids(con) == [1]
    # A push that could not be noted any more.
    (tmp_path / "a.db-info").write_bytes(Info(1, 0).encode())
    with closing(libsql_core.connect(tmp_path / "a.db", sync_url=url, offline=True)) as con:
        con.execute("insert into t(x) values ('b')")
        con.commit()
        con.sync()
    assert len(ids(primary.con)) == 2


def test_conflicts(primary: Primary, url: str, tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "a.db", sync_url=url, offline=True)) as con:
        con.execute("insert into t(x) values ('a')")
        con.commit()
        primary.con.execute("insert into t(x) values ('b')")
        with pytest.raises(ConflictError, match="changes that those made here do not know"):
            con.sync()
        assert isinstance(con.last_sync_error, ConflictError)
        assert con.execute("select x from t").fetchall() == [("a",)]


def test_a_log_begun_anew(primary: Primary, url: str, tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "a.db", sync_url=url, offline=True)) as con:
        con.execute("insert into t(x) values ('a')")
        con.commit()
        con.sync()
        con.execute("pragma wal_checkpoint(restart)").fetchall()
        for x in range(9):
            con.execute("insert into t(x) values (?)", (x,))
            con.commit()
        with pytest.raises(ReplicaError, match="begun anew"):
            con.sync()
    assert len(ids(primary.con)) == 1


def test_generations(primary: Primary, url: str, tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "r.db", sync_url=url)) as con:
        primary.con.execute("insert into t(x) values ('a')")
        primary.cut(2)
        primary.con.execute("insert into t(x) values ('b')")
        con.sync()
        assert (ids(con), read_info(str(tmp_path / "r.db"))) == ([1, 2], Info(2, len(primary.frames())))
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    with closing(libsql_core.connect(tmp_path / "new.db", sync_url=url)) as con:
        con.sync()
        assert ids(con) == [1, 2]


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ((200, b"short"), ProtocolError, "5 bytes, which are no frames"),
        ((400, b"oops"), ProtocolError, "no JSON object"),
        ((400, b"{}"), ProtocolError, "generation None"),
        ((400, b'{"generation": 0}'), ReplicaError, "at generation 1, .* at 0"),
        ((410, b""), ReplicaError, "no longer keeps generation 1"),
        ((418, b"tea"), PrimaryError, "answers 418: tea"),
        ((401, b""), AuthenticationError, "refuses the token"),
        ((200, bytes(FRAME)), ProtocolError, "amid a transaction"),
    ],
)
def test_bad_answers(
    answer: tuple[int, bytes], kind: type[Exception], message: str, primary: Primary, url: str, tmp_path: Path
) -> None:
    with closing(libsql_core.connect(tmp_path / "r.db", sync_url=url)) as con:
        con.sync()
        primary.answers.append(answer)
        with pytest.raises(kind, match=message):
            con.sync()
        primary.con.execute("insert into t(x) values ('b')")
        con.sync()
        assert ids(con) == [1]


def test_files_that_do_not_belong_together(primary: Primary, url: str, tmp_path: Path) -> None:
    file = tmp_path / "r.db"
    libsql_core.connect(file).close()
    with closing(libsql_core.connect(file)) as con:
        con.execute("create table t(id)")
    with pytest.raises(ReplicaError, match="does not, so it is no replica"):
        libsql_core.connect(file, sync_url=url, offline=True)
    with pytest.raises(ReplicaError, match="no replica"):
        libsql_core.connect(file, sync_url=url)
    file.unlink()
    libsql_core.connect(file, sync_url=url, offline=True).close()
    file.unlink()
    with pytest.raises(ReplicaError, match=r"-info exists, but"):
        libsql_core.connect(file, sync_url=url, offline=True)
