"""From nothing to a secured server with a migrated database, step by step as a user goes."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3 as stock
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.append(str(Path(__file__).with_name("_server")))

import tokens
from sqld_process import NAMES, OURS, Server

FIRST = """
    import asyncio, sys
    import libsql_client

    async def main():
        token = sys.argv[2] if len(sys.argv) > 2 else None
        async with libsql_client.create_client(sys.argv[1], auth_token=token) as client:
            await client.batch([
                "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT)",
                libsql_client.Statement("INSERT INTO users(email) VALUES (?)", ["it@works.example"]),
            ])
            rows = (await client.execute("SELECT email FROM users WHERE id = 1")).rows
            assert [tuple(row) for row in rows] == [("it@works.example",)], rows
        print("It works!!!")

    asyncio.run(main())
"""
MIGRATION = [
    "ALTER TABLE users ADD COLUMN name TEXT NOT NULL DEFAULT 'nobody'",
    "CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER REFERENCES users(id), body TEXT)",
    "CREATE INDEX posts_author ON posts(author)",
    "CREATE TRIGGER no_empty BEFORE INSERT ON posts WHEN new.body = '' BEGIN SELECT raise(abort, 'empty'); END",
    "INSERT INTO posts(author, body) SELECT id, 'It''s \U0001f600' FROM users",
]
DUMP = """\
CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT, name TEXT NOT NULL DEFAULT 'nobody');
CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER REFERENCES users(id), body TEXT);
CREATE INDEX posts_author ON posts(author);
CREATE TRIGGER no_empty BEFORE INSERT ON posts WHEN new.body = '' BEGIN SELECT raise(abort, 'empty'); END;
INSERT INTO users VALUES(1,'it@works.example','nobody');
INSERT INTO users VALUES(2,'it@works.example','nobody');
INSERT INTO posts VALUES(1,1,'It''s \U0001f600');
INSERT INTO posts VALUES(2,2,'It''s \U0001f600');
"""


def script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = folder / "first.py"
    program.write_text(textwrap.dedent(FIRST))
    command = [sys.executable, str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def post(url: str, body: object, authorization: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": authorization} if authorization else {}
    request = urllib.request.Request(f"{url}/v2/pipeline", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def dump(path: Path) -> list[str]:
    """The lines of stock SQLite's dump, by its shell where there is one."""
    shell = shutil.which("sqlite3")
    if shell:
        done = subprocess.run([shell, str(path), ".dump"], capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.splitlines()
    with closing(stock.connect(path)) as con:
        return [line.replace('"', "", 2) if line.startswith("INSERT") else line for line in con.iterdump()]


@pytest.mark.parametrize("name", NAMES)
def test_walkthrough(name: str, server_cache: Path, tmp_path: Path) -> None:
    with Server(name, server_cache, tmp_path) as server:
        done = script(tmp_path, server.url)
        assert (done.stdout, done.stderr) == ("It works!!!\n", "")
        assert server.stop() == 0

    private = Ed25519PrivateKey.generate()
    key_file = tmp_path / "jwt_key.pem"
    key_file.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    full, reader = tokens.token(private, {"a": "rw"}), tokens.token(private, {"a": "ro"})
    one = {"requests": [{"type": "execute", "stmt": {"sql": "select count(*) from users"}}, {"type": "close"}]}
    with Server(name, server_cache, tmp_path, "--auth-jwt-key-file", str(key_file)) as server:
        assert post(server.url, one) == (
            401,
            {"error": "Unauthorized: `Expected authorization header but none given`"},
        )
        stranger = tokens.token(tokens.STRANGE_KEY, {"a": "rw"})
        assert post(server.url, one, f"Bearer {stranger}") == (401, {"error": "Unauthorized: `The JWT is invalid`"})
        status, answer = post(server.url, one, f"Bearer {reader}")
        assert status == 200
        assert answer["results"][0]["response"]["result"]["rows"] == [[{"type": "integer", "value": "1"}]]

        assert "It works!!!" not in script(tmp_path, server.url).stdout
        done = script(tmp_path, server.url, full)
        assert (done.stdout, done.stderr) == ("It works!!!\n", "")
        change = {"requests": [{"type": "sequence", "sql": ";".join(MIGRATION)}, {"type": "close"}]}
        assert post(server.url, change, f"Bearer {reader}")[0] == 403
        status, answer = post(server.url, change, f"Bearer {full}")
        assert (status, answer["results"][0]) == (200, {"type": "ok", "response": {"type": "sequence"}})

        database = server.data / "dbs" / "default" / "data"
        assert set(DUMP.splitlines()) <= set(dump(database))  # while it runs
        assert server.stop() == 0
    assert set(DUMP.splitlines()) <= set(dump(database))
    with closing(stock.connect(database)) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]


def test_what_it_says_when_it_ends(server_cache: Path, tmp_path: Path) -> None:
    with Server(OURS, server_cache, tmp_path) as server:
        assert server.stop() == 0
        assert "Got SIGTERM shutdown signal, gracefully shutting down...this may take some time" in server.said()
        assert "sqld was shutdown gracefully. Bye!" in server.said()
    assert not (server.data / "dbs" / "default" / ".sentinel").exists()
    assert (server.data / ".version").read_text()


def test_a_taken_port_ends_it(server_cache: Path, tmp_path: Path) -> None:
    with Server(OURS, server_cache, tmp_path / "first") as first:
        # The first one answers in its place, so it starts; then it must end by itself.
        with contextlib.suppress(RuntimeError):
            second = Server(OURS, server_cache, tmp_path / "second", port=first.port)
            assert second.process.wait(20) == 1, second.said()
        assert "in use" in (tmp_path / "second" / "server.log").read_text()


def test_a_folder_has_one_server(server_cache: Path, tmp_path: Path) -> None:
    with Server(OURS, server_cache, tmp_path), pytest.raises(RuntimeError, match="ended with 1"):
        Server(OURS, server_cache, tmp_path)
