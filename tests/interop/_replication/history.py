"""A random history of transactions, the same for each seed, and what a database holds after each of them.

Transaction n ends by putting n into the table `history`, so a database tells how far it is: its `states.state()` is
(n, hash) of all that it holds, and `Model` says what the hash of n must be.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import states

import libsql_core

START = "create table if not exists history(n integer primary key)"


class History:
    """Draws transactions. `pages`: the greatest size of a blob."""

    def __init__(self, seed: object, pages: int = 100) -> None:
        self.dice, self.pages = random.Random(str(seed)), pages
        self.texts: list[str] = [START]  # what each transaction runs
        self.tables: dict[str, int] = {}  # and how many columns it has
        self.made = 0

    def text(self, n: int) -> str:
        """What transaction n runs, n = 0 is the start."""
        while len(self.texts) <= n:
            number = len(self.texts)
            body = "; ".join(self.draw())
            self.texts.append(f"begin immediate; {body}; insert into history values ({number}); commit")
        return self.texts[n]

    def draw(self) -> list[str]:
        dice = self.dice
        if len(self.tables) < 3:
            return self.new_table()
        kinds = [self.insert, self.update, self.delete, self.blob, self.schema, self.undone, self.many]
        (kind,) = dice.choices(kinds, [40, 25, 10, 6, 8, 6, 2])
        statements: list[str] = kind()
        return statements

    def new_table(self) -> list[str]:
        self.made += 1
        name, width = f"t{self.made}", self.dice.randint(2, 5)
        self.tables[name] = width
        names = ", ".join(f"c{number}" for number in range(1, width))
        return [f"create table {name}(id integer primary key, {names})", *self.insert(name)]

    def table(self) -> str:
        return self.dice.choice(sorted(self.tables))

    def value(self) -> str:
        dice = self.dice
        kind = dice.randrange(6)
        if kind == 0:
            return "null"
        if kind == 1:
            return str(dice.randint(-(2**62), 2**62))
        if kind == 2:
            return str(dice.randint(-1000, 1000) / 4)
        if kind == 3:
            return f"x'{dice.randbytes(dice.randint(0, 30)).hex()}'"
        return "'" + "".join(dice.choices("aeiou é'€ 日", k=dice.randint(0, 40))).replace("'", "''") + "'"

    def insert(self, name: str = "", rows: int = 0) -> list[str]:
        name = name or self.table()
        width = self.tables[name]
        values = ", ".join(
            f"({', '.join(['null', *(self.value() for _ in range(width - 1))])})"
            for _ in range(rows or self.dice.randint(1, 8))
        )
        return [f"insert into {name} values {values}"]

    def many(self) -> list[str]:
        return self.insert(rows=300)

    def update(self) -> list[str]:
        name, part = self.table(), self.dice.randint(2, 9)
        column = self.dice.randrange(1, self.tables[name])
        return [f"update {name} set c{column} = {self.value()} where id % {part} = {self.dice.randrange(part)}"]

    def delete(self) -> list[str]:
        part = self.dice.randint(2, 5)
        return [f"delete from {self.table()} where id % {part} = {self.dice.randrange(part)}"]

    def blob(self) -> list[str]:
        name = self.table()
        content = self.dice.randbytes(64).hex()
        size = self.dice.randint(1, self.pages) * 4096
        made = f"cast(replace(substr(hex(zeroblob({size // 128})), 1, {size // 128}), '0', '{content}') as blob)"
        return [
            f"delete from {name} where length(c1) > 1000 and id % 2",
            f"insert into {name}(c1) values ({made})",
        ]

    def schema(self) -> list[str]:
        name = self.table()
        self.made += 1
        made = f"{name}_{self.made}"
        choice = self.dice.randrange(7)
        if choice == 0 and len(self.tables) > 5:
            del self.tables[name]
            return [f"drop table {name}"]
        if choice == 1 and self.tables[name] < 9:
            self.tables[name] += 1
            return [f"alter table {name} add column c{self.tables[name] - 1} default {self.dice.randint(0, 9)}"]
        if choice == 2:
            return [f"create index i{made} on {name}(c1)", *self.update()]
        if choice == 3:
            renamed = f"t{self.made}"
            self.tables[renamed] = self.tables.pop(name)
            return [f"alter table {name} rename to {renamed}"]
        if choice == 4:
            return [f"create view v{made} as select count(*) as n from history"]
        if choice == 5:
            trigger = f"create trigger r{made} after delete on {name} when old.id % 50 = 0"
            return [f"{trigger} begin update {name} set c1 = old.id where id = old.id + 1; end"]
        return self.new_table()

    def undone(self) -> list[str]:
        """What a savepoint takes back."""
        return ["savepoint s", *self.insert(rows=40), *self.delete(), "rollback to s", "release s", *self.insert()]


class Model:
    """Replays a history; `hash_after(n)` is what every database at n must hold."""

    def __init__(self, history: History) -> None:
        self.history, self.at = history, -1
        self.con = libsql_core.connect(":memory:", isolation_level=None)
        self.hashes: dict[int, str] = {}

    def run(self, to: int, wanted: Iterable[int]) -> None:
        """Replay up to `to`, and take the hash after each n of `wanted`."""
        wanted = {*wanted}
        while self.at < to:
            self.at += 1
            self.con.executescript(self.history.text(self.at))
            if self.at in wanted:
                n, found = states.state(self.con.execute)
                assert n == self.at
                self.hashes[n] = found

    def check(self, seen: Iterable[Sequence[Any]], who: str, back: bool = False) -> None:
        """All states of a replica that were seen are states of the history, and unless `back` none is older than the
        one before it."""
        last = 0
        for n, found in seen:
            assert back or n >= last, f"{who} went from {last} back to {n}"
            assert self.hashes[n] == found, f"{who} is at {n} and holds something else"
            last = n

    def close(self) -> None:
        self.con.close()
