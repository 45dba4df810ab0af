"""The data directory: what is made in it, and when it is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from libsql_core.server.directory import VERSION, Directory, DirectoryError


def test_a_new_one(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path / "a" / "b"))
    assert (directory.path / ".version").read_bytes() == VERSION.encode()
    directory.close()
    directory.close()
    Directory(str(tmp_path / "a" / "b")).close()


def test_it_belongs_to_one_server(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    with pytest.raises(DirectoryError, match="is in use by another server"):
        Directory(str(tmp_path))
    directory.close()
    Directory(str(tmp_path)).close()


def test_nothing_is_left_of_memory() -> None:
    directory = Directory(":memory:")
    assert directory.path.is_dir()
    directory.close()
    assert not directory.path.exists()


def test_what_a_killed_server_left_in_memory_goes() -> None:
    killed = Directory(":memory:")
    assert killed._lock is not None
    killed._lock.close()
    living = Directory(":memory:")
    assert not killed.path.exists()
    Directory(":memory:").close()
    assert living.path.exists()
    living.close()


@pytest.mark.parametrize("text", ["", "x", "1.2", "0.24.32.1", "\xff"])
def test_versions_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".version").write_bytes(text.encode("latin-1"))
    with pytest.raises(DirectoryError, match=r"^invalid version file$"):
        Directory(str(tmp_path))
    # It is given back.
    (tmp_path / ".version").write_text("0.25.0-beta.1\n")
    Directory(str(tmp_path)).close()
    assert (tmp_path / ".version").read_text() == "0.25.0-beta.1\n"


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(DirectoryError, match="is a file, not the directory of a server"):
        Directory(str(tmp_path / "x"))
    with pytest.raises(DirectoryError, match="Could not open"):
        Directory(str(tmp_path / "x" / "y"))


def test_the_layout_before_namespaces(tmp_path: Path) -> None:
    con = sqlite3.connect(tmp_path / "data")
    con.execute("pragma journal_mode=wal")
    con.execute("create table t(a)")
    con.execute("insert into t values (1)")
    con.commit()
    # As a crash leaves it: the rows are in the log alone.
    (tmp_path / "kept").write_bytes((tmp_path / "data").read_bytes())
    wal = (tmp_path / "data-wal").read_bytes()
    con.close()
    (tmp_path / "kept").rename(tmp_path / "data")
    (tmp_path / "data-wal").write_bytes(wal)
    directory = Directory(str(tmp_path))
    assert (tmp_path / ".version").read_text() == "0.18.0"
    assert not (tmp_path / "data").exists()
    con = sqlite3.connect(tmp_path / "dbs" / "default" / "data")
    assert con.execute("select a from t").fetchall() == [(1,)]
    con.close()
    directory.close()
