"""Configurations of namespaces, as libSQL's server keeps them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import libsql_core
from libsql_core.server.metastore import DEFAULT_PAGES, MetaStore, NamespaceConfig

# What sqld 0.24.32 wrote for a namespace that was created with an empty body.
REAL = bytes.fromhex("20c0ece9d9b6c13750c096b10258006800")


def test_the_original_is_read_and_written() -> None:
    config = NamespaceConfig(REAL)
    assert (config.max_db_pages, config.max_row_size, config.txn_timeout_s) == (DEFAULT_PAGES, 5_000_000, None)
    assert (config.block_reads, config.shared_schema, config.shared_schema_name) == (False, False, None)
    assert (config.durability, config.synchronous, config.timeout, config.row_limit) == ("relaxed", 1, 5, 5_000_000)
    assert config.dump() == REAL
    assert NamespaceConfig(shared_schema=False).dump() == REAL


def test_every_field() -> None:
    values = {
        "block_reads": True, "block_writes": True, "block_reason": "why", "max_db_pages": 7, "heartbeat_url": "http://x",
        "bottomless_db_id": "id", "jwt_key": "key", "txn_timeout_s": 0, "allow_attach": True, "max_row_size": 9,
        "shared_schema": False, "shared_schema_name": "s", "durability_mode": 2,
    }  # fmt: skip
    config = NamespaceConfig(REAL).changed(**values)
    again = NamespaceConfig(config.dump())
    assert {name: getattr(again, name) for name in values} == values
    assert (again.synchronous, again.durability, again.timeout) == (3, "extra", 0)
    assert again.changed(block_reason=None).dump() == NamespaceConfig(again.dump(), block_reason=None).dump()


@pytest.mark.parametrize("field", ["a00601", "a206026869", "a1060102030405060708", "a50601020304"])
def test_unknown_fields_are_kept(field: str) -> None:
    later = REAL + bytes.fromhex(field)  # number 100
    assert NamespaceConfig(later).changed(block_reads=True).dump() == b"\x08\x01" + later


@pytest.mark.parametrize("blob", ["ff", "0a0178", "1801", "1a05", "1a01ff", "20ffffffffffffffffffff01"])
def test_blobs_that_are_none(blob: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        NamespaceConfig(bytes.fromhex(blob))
    assert type(caught.value) in (ValueError, UnicodeDecodeError)


def test_a_store_is_what_stock_sqlite_reads(tmp_path: Path) -> None:
    store = MetaStore(tmp_path / "metastore")
    store.put("sch", NamespaceConfig(shared_schema=True))
    for name in ("t2", "t1"):
        store.put(name, NamespaceConfig(shared_schema_name="sch"))
    store.put("t1", NamespaceConfig(block_reads=True, shared_schema_name="sch"))
    assert store.linked("sch") == ["t1", "t2"]
    with pytest.raises(libsql_core.IntegrityError):
        store.remove("sch")
    store.close()
    con = sqlite3.connect(tmp_path / "metastore" / "data")
    assert con.execute("select count(*), max(namespace) from namespace_configs").fetchall() == [(3, "t2")]
    assert con.execute("insert into jobs(schema, migration, status) values ('s', 'm', 4) returning finished").fetchall()
    con.rollback()
    con.close()
    store = MetaStore(tmp_path / "metastore")
    assert store.configs()["t1"].block_reads
    store.remove("t1")
    store.remove("t2")
    store.remove("sch")
    assert store.configs() == {}
    store.close()


def test_a_blob_that_is_none(tmp_path: Path) -> None:
    store = MetaStore(tmp_path)
    store.rows("insert into namespace_configs values ('db1', x'ffff')")
    with pytest.raises(ValueError, match="configuration of namespace `db1` cannot be read"):
        store.configs()
    store.close()
