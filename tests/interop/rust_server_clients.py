"""Clients in Rust, which take minutes to build: run by `make interop-all`, not by `make test`."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).with_name("_server")))

import tokens
from sqld_process import NAMES, Server, tool

SOURCE = Path(__file__).with_name("_clients") / "rust"
TOKEN = tokens.token(tokens.KEY, {"a": "rw"})
GENI = "geni@1.3.3"
BUILD = 3000  # seconds
MIGRATIONS = {
    "1_users": ("create table users(id integer primary key, name text not null);", "drop table users;"),
    "2_email": (
        "alter table users add column email text; create index users_email on users(email);",
        "drop index users_email; alter table users drop column email;",
    ),
}


def run(*command: str, environment: dict[str, str], timeout: float = 120) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def crate(server_cache: Path) -> Path:
    cargo, target = tool("cargo", "install Rust"), server_cache / "rust"
    manifest = str(SOURCE / "Cargo.toml")
    environment = {"CARGO_TARGET_DIR": str(target)}
    run(cargo, "build", "--quiet", "--manifest-path", manifest, environment=environment, timeout=BUILD)
    return target / "debug" / "interop"


@pytest.fixture(scope="session")
def geni(server_cache: Path) -> Path:
    root = server_cache / "geni"
    environment = {"CARGO_TARGET_DIR": str(server_cache / "geni-build")}
    cargo = tool("cargo", "install Rust")
    run(cargo, "install", "--quiet", "--debug", GENI, "--root", str(root), environment=environment, timeout=BUILD)
    return root / "bin" / "geni"


@pytest.fixture(params=NAMES)
def each_server(request: pytest.FixtureRequest, server_cache: Path, tmp_path: Path) -> Iterator[Server]:
    environment = {"SQLD_AUTH_JWT_KEY": tokens.public_raw(tokens.KEY)}
    with Server(request.param, server_cache, tmp_path, env=environment) as server:
        yield server


def test_crate_libsql(each_server: Server, crate: Path) -> None:
    facts = json.loads(run(str(crate), each_server.url, TOKEN, environment={}))
    errors, refused = facts.pop("errors"), facts.pop("refused")
    assert facts == {
        "values": [None, "9007199254740993", 1.5, "é", "00ff"],
        "changes": 1,
        "rowid": "1",
        "batch": 3,
        "commit": 4,
        "rollback": 4,
        "prepared": "a",
        "concurrent": 190,
    }
    assert "UNIQUE constraint failed: t.x" in errors["unique"]
    assert "selec" in errors["syntax"]
    assert "no such table: nope" in errors["missing"]
    assert refused != "none"


def test_geni(each_server: Server, geni: Path, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name, (up, down) in MIGRATIONS.items():
        (folder / f"{name}.up.sql").write_text(up)
        (folder / f"{name}.down.sql").write_text(down)
    environment = {
        "DATABASE_URL": each_server.url,
        "DATABASE_TOKEN": TOKEN,
        "DATABASE_MIGRATIONS_FOLDER": str(folder),
        "DATABASE_SCHEMA_FILE": "schema.sql",
        "DATABASE_NO_DUMP_SCHEMA": "true",
    }

    def tables() -> list[str]:
        with closing(sqlite3.connect(each_server.data / "dbs" / "default" / "data")) as con:
            rows = con.execute("select name from sqlite_schema where name like 'users%' order by name")
            return [name for (name,) in rows]

    run(str(geni), "up", environment=environment)
    assert tables() == ["users", "users_email"]
    run(str(geni), "up", environment=environment)  # nothing to do
    run(str(geni), "down", environment=environment)
    assert tables() == ["users"]
