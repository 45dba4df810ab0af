"""A copy made of nothing but the frames of the original's log ends up as the same bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import libsql_core as sqlite3

TRANSACTIONS = 10_000


class Original:
    """A database that random transactions of all sizes change."""

    def __init__(self, path: Path, dice: random.Random) -> None:
        self.con = sqlite3.connect(path, isolation_level=None)
        self.con.wal_disable_checkpoint()
        self.con.executescript("""
            PRAGMA page_size=1024; PRAGMA auto_vacuum=incremental; PRAGMA journal_mode=wal; PRAGMA synchronous=off;
            PRAGMA cache_size=60;
            CREATE TABLE a(id INTEGER PRIMARY KEY, k, b);
            CREATE TABLE r(k, b) RANDOM ROWID;
            CREATE INDEX ak ON a(k);
        """)
        self.dice = dice
        self.serial = 0
        self.done = 0
        self.kinds = [self.insert, self.update, self.delete, self.random_rowid, self.schema, self.big, self.vacuum]
        self.weights = [50, 25, 12, 8, 3, 1.7, 0.3]

    def transaction(self) -> None:
        """One committed transaction; one in twenty has a part that is rolled back, or one before it that is."""
        kind = self.dice.choices(self.kinds, self.weights)[0]
        if kind == self.vacuum:
            self.vacuum()
        else:
            spoilt = self.dice.random()
            if spoilt < 0.03:
                self.con.execute("BEGIN")
                self.big()
                self.con.execute("ROLLBACK")
            self.con.execute("BEGIN")
            if spoilt > 0.97:
                self.con.execute("SAVEPOINT s")
                self.big()
                self.con.execute("ROLLBACK TO s")
            kind()
            self.con.execute("COMMIT")
        self.done += 1

    def rows(self, n: int) -> Iterator[tuple[int, bytes]]:
        for _ in range(n):
            size = int(self.dice.paretovariate(1)) * 10 % 5000
            yield self.dice.randrange(1000), self.dice.randbytes(size)

    def span(self) -> tuple[int, int]:
        last = self.con.execute("SELECT max(id) FROM a").fetchone()[0] or 1
        first = self.dice.randrange(last)
        return first, first + self.dice.choice((1, 1, 5, 40))

    def insert(self) -> None:
        self.con.executemany("INSERT INTO a(k, b) VALUES (?, ?)", self.rows(self.dice.choice((1, 1, 1, 4, 20))))

    def update(self) -> None:
        self.con.execute("UPDATE a SET k=k+1, b=b||'u' WHERE id BETWEEN ? AND ?", self.span())

    def delete(self) -> None:
        first, last = self.span()
        self.con.execute("DELETE FROM a WHERE id BETWEEN ? AND ?", (first, last + 5))

    def random_rowid(self) -> None:
        self.con.executemany("INSERT INTO r VALUES (?, ?)", self.rows(3))
        self.con.execute("DELETE FROM r WHERE k < ?", (self.dice.randrange(300),))

    def schema(self) -> None:
        self.serial += 1
        name = f"n{self.serial}"
        self.con.execute(f"CREATE TABLE {name}(x, y TEXT)")
        self.con.execute(f"INSERT INTO {name} SELECT id, b FROM a LIMIT 30")
        self.con.execute(f"CREATE INDEX {name}i ON {name}(y)")
        self.con.execute(f"ALTER TABLE {name} ALTER COLUMN y TO y TEXT DEFAULT 'new'")
        if self.serial > 5:
            self.con.execute(f"DROP TABLE n{self.serial - 5}")

    def big(self) -> None:
        if self.con.execute("SELECT count(*) FROM a").fetchone()[0] > 3000:
            self.con.execute("DELETE FROM a WHERE id % 3")
        self.con.executemany("INSERT INTO a(k, b) VALUES (?, ?)", self.rows(200))
        self.con.execute("REINDEX ak")
        self.con.execute("PRAGMA incremental_vacuum(50)").fetchall()

    def vacuum(self) -> None:
        self.con.execute("VACUUM")


@pytest.mark.parametrize("seed", [1])
def test_a_copy_of_frames(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    paths = [tmp_path / "original.db", tmp_path / "copy.db"]
    original = Original(paths[0], dice)
    copy = sqlite3.connect(paths[1], isolation_level=None)
    copy.wal_disable_checkpoint()
    copy.execute("PRAGMA synchronous=off")
    copied = total = logs = 0

    def take_over() -> None:
        nonlocal copied, total
        frames = original.con.wal_frames(copied + 1)
        assert copy.wal_insert(frames, start=copied + 1) == len(frames)
        copied += len(frames)
        total += len(frames)
        assert copy.wal_frame_count() == copied

    def compare() -> None:
        nonlocal copied, logs
        take_over()
        for con in (original.con, copy):
            assert con.execute("PRAGMA wal_checkpoint(truncate)").fetchone() == (0, 0, 0)
        assert paths[0].read_bytes() == paths[1].read_bytes(), f"seed {seed}: after {original.done} transactions"
        copied = 0
        logs += 1

    while original.done < TRANSACTIONS:
        for _ in range(min(dice.randint(1, 100), TRANSACTIONS - original.done)):
            original.transaction()
        take_over()
        chance = dice.random()
        if chance < 0.05:
            compare()
        elif chance < 0.1:  # of the copy alone; its log goes on
            assert copy.execute("PRAGMA wal_checkpoint(restart)").fetchone() == (0, copied, copied)
        elif chance < 0.15:  # frames that are there already
            assert copy.wal_insert(original.con.wal_frames(), start=1) == 0
        elif chance < 0.2:
            found = [con.execute("SELECT count(*), sum(k) FROM a").fetchone() for con in (original.con, copy)]
            assert found[0] == found[1]
    compare()
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert original.done == TRANSACTIONS
    assert total > 5 * TRANSACTIONS
    assert logs > 3
    original.con.close()
    copy.close()
    assert paths[0].read_bytes() == paths[1].read_bytes()
