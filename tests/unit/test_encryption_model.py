"""The same random statements on an encrypted database and on a plain one, each with two connections and tiny caches:
whatever is read is the same, in every snapshot."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import libsql_core

KEYS: dict[str, str | bytes] = {
    "aes256cbc": "secret",
    "xaes256gcm": bytes(range(32)),
    "sqlcipher": bytes(range(32, 64)),
    "chacha20": bytes(range(64, 96)),
}
RESERVED = {"aes256cbc": 0, "xaes256gcm": 40, "sqlcipher": 80, "chacha20": 32}
SUMS = "select count(*), sum(id), sum(length(x)), sum(unicode(substr(x, id % 5 + 1, 1))) from t"


class Twin:
    """A plain and an encrypted database that get the same statements by the same connections."""

    def __init__(self, folder: Path, cipher: Any, mode: str, seed: str) -> None:
        self.folder, self.cipher = folder, cipher
        self.dice = random.Random(seed)
        self.connections: list[tuple[libsql_core.Connection, libsql_core.Connection]] = []
        self.busy = 0
        self.open()
        for sql in ("pragma page_size = 1024", "pragma auto_vacuum = 2", "pragma user_version = 1"):
            self.run(0, sql)
        self.close()
        plain = folder / "plain.db"
        data = bytearray(plain.read_bytes())  # one page: as many bytes of it are left free
        data[20], data[105:107] = RESERVED[cipher], (1024 - RESERVED[cipher]).to_bytes(2, "big")
        plain.write_bytes(data)
        self.open()
        for sql in (
            f"pragma journal_mode = {mode}", "create table t(id integer primary key, x)", "create index i on t(x)"
        ):  # fmt: skip
            self.run(0, sql)
        self.reopen()

    def open(self) -> None:
        for _ in range(2):
            plain = libsql_core.connect(self.folder / "plain.db", timeout=0, isolation_level=None)
            coded = libsql_core.connect(
                self.folder / "coded.db", timeout=0, isolation_level=None,
                encryption_key=KEYS[self.cipher], cipher=self.cipher,
            )  # fmt: skip
            self.connections.append((plain, coded))
            for sql in ("pragma cache_size = 4", "pragma synchronous = off", "pragma secure_delete = on"):
                self.run(-1, sql)

    def close(self) -> None:
        while self.connections:
            for con in self.connections.pop():
                con.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def run(self, number: int, sql: str, *values: Any) -> Any:
        """What both say, which is the same."""
        said: list[Any] = []
        for con in self.connections[number]:
            try:
                said.append(con.execute(sql, values).fetchall())
            except libsql_core.OperationalError as error:
                said.append(str(error))
        assert said[0] == said[1], (sql, values)
        self.busy += said[0] == "database is locked"
        return said[0]

    def step(self, number: int) -> None:
        """Something inside of a transaction, or outside of one."""
        dice = self.dice
        at, n = dice.randrange(400), dice.choice((1, 3, 40))
        sql = dice.choice((
            "select x from t where id = ?1 and ?2", "select x from t where id between ?1 and ?1 + ?2",
            "select id from t where x > ?1 || ' ' and ?2 limit 9", SUMS + " where ?1 + ?2",
            "insert or replace into t values (?1, hex(zeroblob(?1 % 300)) || ?2)",
            "update t set x = x || ?2 where id between ?1 and ?1 + ?2", "delete from t where id between ?1 and ?1 + ?2",
            "insert or replace into t select id + ?2, x || ?1 from t where id between ?1 and ?1 + 30",
            "savepoint s", "rollback to s", "release s",
        ))  # fmt: skip
        self.run(number, sql, *((at, n) if "?" in sql else ()))

    def between(self, number: int) -> None:
        self.run(number, self.dice.choice((
            "vacuum", "pragma incremental_vacuum(5)", "pragma wal_checkpoint", "pragma wal_checkpoint(truncate)",
            "pragma shrink_memory", "pragma integrity_check", "pragma optimize",
        )))  # fmt: skip


@pytest.mark.parametrize("mode", ["delete", "truncate", "wal"])
@pytest.mark.parametrize("cipher", KEYS)
def test_both_read_the_same(cipher: str, mode: str, tmp_path: Path) -> None:
    twin = Twin(tmp_path, cipher, mode, f"{cipher} {mode}")
    dice = twin.dice
    try:
        for i in range(400):
            twin.run(0, "insert into t values (?, ?)", i, f"row {i} " * (i % 30))
        for _ in range(250):
            number = dice.randrange(2)
            twin.run(number, dice.choice(("begin", "begin immediate", "savepoint a")))
            for _ in range(dice.randrange(12)):
                twin.step(dice.choice((number, number, number, 1 - number)))
            for one in (0, 1):
                twin.run(one, dice.choice(("commit", "commit", "rollback")))
                if twin.connections[one][0].in_transaction:
                    twin.run(one, "rollback")
            if dice.random() < 0.3:
                twin.between(dice.randrange(2))
            if dice.random() < 0.05:
                twin.reopen()
            assert twin.run(0, SUMS) == twin.run(1, SUMS)
        assert twin.run(0, "pragma integrity_check") == [("ok",)]
        assert twin.run(0, SUMS)[0][0] > 50
        assert twin.busy > 20
    finally:
        twin.close()
