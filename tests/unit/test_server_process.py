"""`sqld` as a process: how it starts, what it says, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

LISTENING = re.compile(r" INFO sqld: listening for incoming (.+) on (\S+):(\d+)$")
BYE = "sqld was shutdown gracefully. Bye!"


class Server:
    """A running one. Its log is read as it comes."""

    def __init__(self, folder: Path, *flags: str, **environ: str) -> None:
        command = [sys.executable, "-W", "error", "-m", "libsql_core.server", "--http-listen-addr", "127.0.0.1:0"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SQLD_", "LIBSQL_"))}
        self.process = subprocess.Popen(
            [*command, *flags], cwd=folder, env={**kept, **environ}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.lines: list[str] = []
        self.errors = ""
        self.ports: dict[str, int] = {}
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                found = LISTENING.search(line.rstrip())
                if found:
                    self.ports[found[1]] = int(found[3])
                self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()

    def port(self, what: str = "user HTTP connection") -> int:
        with self._changed:
            assert self._changed.wait_for(lambda: what in self.ports, 20), (self.lines, self.errors)
            return self.ports[what]

    def request(
        self, method: str, path: str, body: object = None, what: str = "user HTTP connection", **headers: str
    ) -> tuple[int, str]:
        port = self.port(what)
        con = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            sent = None if body is None else json.dumps(body)
            con.request(method, path, sent, {"host": "localhost", "content-type": "application/json", **headers})
            response = con.getresponse()
            return response.status, response.read().decode()
        finally:
            con.close()

    def sql(self, text: str, **headers: str) -> Any:
        body = {"requests": [{"type": "execute", "stmt": {"sql": text}}, {"type": "close"}]}
        status, answer = self.request("POST", "/v2/pipeline", body, **headers)
        if status != 200:
            return status
        (result, _) = json.loads(answer)["results"]
        if result["type"] == "error":
            return result["error"]["code"]
        return [[value.get("value") for value in row] for row in result["response"]["result"]["rows"]]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Stop it; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        try:
            code = self.process.wait(20)
        finally:
            self.process.kill()
            for reader in self._readers:
                reader.join()
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()
        return code


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Server] = []

    def make(*flags: str, **environ: str) -> Server:
        started.append(Server(tmp_path, *flags, **environ))
        return started[-1]

    yield make
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        if not server.process.stdout or not server.process.stdout.closed:
            server.wait()


def test_start_and_stop(start: Start, tmp_path: Path) -> None:
    server = start()
    assert server.request("GET", "/health") == (200, "")
    assert server.request("GET", "/version")[1].startswith("sqld 0.24.32 (")
    assert server.sql("create table t(a)") == []
    assert server.sql("insert into t values (5)") == []
    assert (tmp_path / "data.sqld" / "dbs" / "default" / ".sentinel").exists()
    assert server.end() == 0
    assert "Got SIGTERM shutdown signal, gracefully shutting down...this may take some time" in server.lines[-3]
    assert server.lines[-1].endswith(f" INFO sqld: {BYE}")
    assert "Welcome to sqld!" in server.errors
    con = sqlite3.connect(tmp_path / "data.sqld" / "dbs" / "default" / "data")
    assert con.execute("select * from t").fetchall() == [(5,)]
    con.close()
    again = start("--no-welcome")
    assert again.sql("select * from t") == [["5"]]
    assert again.end(signal.SIGINT) == 0
    assert "Got SIGINT shutdown signal" in again.lines[-3]
    assert again.errors == ""


def test_a_killed_server_loses_nothing(start: Start, tmp_path: Path) -> None:
    server = start()
    server.sql("create table t(a)")
    server.sql("insert into t values (5)")
    server.end(signal.SIGKILL)
    again = start()
    assert again.sql("select * from t") == [["5"]]
    assert any("the replication log of `default` was compared with its database" in line for line in again.lines)
    assert again.end() == 0


def test_the_directory_is_for_one_server(start: Start) -> None:
    server = start()
    server.port()
    other = start("--no-welcome")
    assert other.wait() == 1
    assert other.errors == "Error: data.sqld is in use by another server\n"
    assert server.end() == 0


def test_a_port_that_is_taken(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = start("--no-welcome", "--admin-listen-addr", address)
        assert server.wait() == 1
        assert server.errors.startswith(f"Error: Could not listen on {address}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [("AAAA", "Error: Could not parse JWT decoding key(s)"), (None, "Error: Could not read file with JWT key(s)")],
)
def test_keys_that_are_none(start: Start, tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text)
    server = start("--no-welcome", "--auth-jwt-key-file", "key")
    assert server.wait() == 1
    assert server.errors.startswith(message)


def test_settings_from_a_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sqld.toml").write_text(
        'db-path = "elsewhere"\nenable-namespaces = true\nno-welcome = true\nadmin-listen-addr = "127.0.0.1:0"\n'
        'hrana-listen-addr = "127.0.0.1:0"\nhttp-auth = "basic:dXNlcjpwYXNz"\nadmin-auth-key = "secret"\n'
    )
    server = start("--config", "sqld.toml")
    admin = "admin HTTP connection"
    assert server.request("GET", "/metrics", what=admin)[0] == 401
    status, text = server.request("GET", "/metrics", what=admin, authorization="basic secret")
    assert (status, "libsql_server_count 1" in text) == (200, True)
    create = "/v1/namespaces/db1/create"
    assert server.request("POST", create, {}, admin, authorization="basic secret") == (200, "")
    assert server.sql("select 1", host="db1.x") == 401
    assert server.sql("select 1", host="db1.x", authorization="Basic dXNlcjpwYXNz") == [["1"]]
    assert server.sql("select 1", host="db2.x", authorization="Basic dXNlcjpwYXNz") == 404
    assert server.port("Hrana connection")
    assert server.end() == 0
    assert (tmp_path / "elsewhere" / "dbs" / "db1" / "data").exists()


def test_idle_shutdown(start: Start) -> None:
    server = start("--idle-shutdown-timeout-s", "1", "--initial-idle-shutdown-timeout-s", "3")
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        # This path alone does not count.
        assert server.request("GET", "/health")[0] == 200
        time.sleep(0.2)
    server.sql("select 1")
    began = time.monotonic()
    assert server.wait() == 0
    assert time.monotonic() - began < 4
    assert any("Idle timeout, no new connection in 1s. Shutting down." in line for line in server.lines)


def test_nothing_is_left_of_memory(start: Start, tmp_path: Path) -> None:
    server = start("--db-path", ":memory:")
    server.sql("create table t(a)")
    assert server.sql("select * from t") == []
    assert server.end() == 0
    assert list(tmp_path.iterdir()) == []


def test_who_listens_does_not_keep_it(start: Start) -> None:
    server = start()
    server.sql("create table t(a)")
    con = http.client.HTTPConnection("127.0.0.1", server.port(), timeout=20)
    con.request("GET", "/beta/listen?table=t")
    response = con.getresponse()
    server.sql("insert into t values (1)")
    assert response.readline() == b"event:changes\n"
    began = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - began < 5
    assert response.read() == b'data:{"insert":1}\n\n'
    con.close()


def test_an_open_transaction_ends_with_the_server(start: Start, tmp_path: Path) -> None:
    server = start()
    server.sql("create table t(a)")
    body = {"requests": [{"type": "execute", "stmt": {"sql": sql}} for sql in ("begin", "insert into t values (1)")]}
    assert server.request("POST", "/v2/pipeline", body)[0] == 200
    assert server.end() == 0
    assert BYE in server.lines[-1]
    con = sqlite3.connect(tmp_path / "data.sqld" / "dbs" / "default" / "data")
    assert con.execute("select * from t").fetchall() == []
    con.close()


def test_tls(start: Start, tmp_path: Path) -> None:
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = start("--http-tls-cert-file", "cert.pem", "--http-tls-key-file", "key.pem")
    port = server.port()
    context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as con,
    ):
        con.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert con.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.end() == 0


def test_heartbeats(start: Start) -> None:
    import http.server

    seen: list[tuple[str, str | None, Any]] = []
    arrived = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.path, self.headers["authorization"], json.loads(body)))
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{receiver.server_port}/beat"
            server = start("--heartbeat-url", url, "--heartbeat-auth", "mine", "--heartbeat-period-s", "1")
            server.sql("select 1")
            assert arrived.wait(20)
        finally:
            receiver.shutdown()
    assert server.end() == 0
    path, authorization, stats = seen[0]
    assert (path, authorization, stats["query_count"]) == ("/beat/default", "mine", 1)
