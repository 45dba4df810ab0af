"""kill -9 of the primary and of an embedded replica at random moments: one history, nothing lost, nothing half there.

30 kills here; `make replication-long` does 500 (LIBSQL_CORE_KILLS=500).
"""

from __future__ import annotations

import http.client
import os
import random
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / "interop" / name) for name in ("_server", "_replication")]

from history import History, Model
from replicas import Replica, Writer
from sqld_process import OURS, Server, free_port

import libsql_core

KILLS = int(os.environ.get("LIBSQL_CORE_KILLS", "30"))
SEED = os.environ.get("LIBSQL_CORE_SEED", str(random.randrange(10**6)))
CLIENT = os.environ.get("LIBSQL_CORE_REPLICA", "libsql_core")


class Pair:
    """A primary and a replica that are started again when they are dead."""

    def __init__(self, stack: ExitStack, cache: Path, folder: Path, dice: random.Random) -> None:
        self.stack, self.cache, self.folder, self.dice = stack, cache, folder, dice
        self.history = History(SEED, pages=20)
        self.model = stack.enter_context(closing(Model(self.history)))
        self.port = free_port()
        self.primary: Server | None = None
        self.replica: Replica | None = None
        self.log_id = b""
        self.kills = 0
        self.committed = -1  # the last transaction that was acknowledged
        self.seen: list[tuple[int, str]] = []  # states of the replica
        self.primary_seen: list[tuple[int, str]] = []
        stack.callback(self.kill, True, True)

    def start(self) -> None:
        """What is dead lives again, and is where it must be."""
        if self.primary is None:
            self.primary = Server(OURS, self.cache, self.folder / "primary", "--max-log-size", "1", port=self.port)
            with Writer(self.port) as writer:
                if self.committed < 0:
                    writer.run(self.history.text(0))
                    self.committed = 0
                n, _ = state = writer.state()
                assert self.committed <= n <= self.committed + 1, f"{self.committed} was acknowledged, {n} is there"
                self.committed = n
                self.primary_seen.append(state)
        if self.replica is None:
            url = f"http://127.0.0.1:{self.port}"
            self.replica = Replica(CLIENT, self.cache, self.folder / "replica" / "r.db", url)
            if self.seen:
                self.look("state")
        self.look("sync")
        assert self.seen[-1][0] == self.committed
        now = (self.folder / "replica" / "r.db-client_wal_index").read_bytes()[:16]
        assert now == (self.log_id or now), "the log has another identity"
        self.log_id = now

    def look(self, do: str) -> None:
        assert self.replica is not None
        self.seen.append(tuple(self.replica.ask(do)["state"]))

    def kill(self, primary: bool, replica: bool) -> None:
        if primary and self.primary is not None:
            self.primary.kill()
            self.primary = None
        if replica and self.replica is not None:
            self.replica.kill()
            self.replica = None

    def work(self, primary: bool, replica: bool) -> None:
        """Write, follow, and kill in the middle of it."""
        assert self.replica is not None
        self.replica.send("follow", until=10**9, seconds=60 if replica else 0.3)
        delay = self.dice.choice([0.0, 0.02, 0.1]) * self.dice.random()
        timer = threading.Timer(delay, self.kill_processes, (primary, replica))
        writer = Writer(self.port)
        timer.start()
        try:
            for _ in range(60):
                writer.run(self.history.text(self.committed + 1))
                self.committed += 1
                if not primary and not timer.is_alive():
                    break
        except (OSError, http.client.HTTPException):
            assert primary
        writer.close()
        timer.join()
        if not replica:
            self.seen += [(n, found) for n, found in self.replica.answer()["seen"]]
        self.kill(primary, replica)
        self.kills += 1

    def kill_processes(self, primary: bool, replica: bool) -> None:
        for dies, child in ((primary, self.primary), (replica, self.replica)):
            if dies and child is not None:
                child.process.kill()

    def check(self) -> None:
        states = self.seen + self.primary_seen
        self.model.run(self.committed, {n for n, _ in states})
        self.model.check(self.seen, "the replica")
        self.model.check(self.primary_seen, "the primary")


def test_kill_in_the_first_sync(server_cache: Path, tmp_path: Path) -> None:
    """A replica that begins again and again gets further, or stays where it was, at the end of some transaction."""
    dice = random.Random(SEED)
    history = History(SEED, pages=250)
    last = 150
    with ExitStack() as stack:
        primary = stack.enter_context(Server(OURS, server_cache, tmp_path / "primary"))
        model = stack.enter_context(closing(Model(history)))
        with Writer(primary.port) as writer:
            for n in range(last + 1):
                writer.run(history.text(n))
        seen: list[tuple[int, str]] = []
        file = tmp_path / "replica" / "r.db"
        for _ in range(max(KILLS // 3, 1)):
            with Replica(CLIENT, server_cache, file, primary.url) as replica:
                if replica.ask("read", sql="select 1 from sqlite_schema where name = 'history'")["rows"]:
                    seen.append(tuple(replica.ask("state")["state"]))
                replica.send("sync")
                time.sleep(dice.choice([0.002, 0.05, 0.2]) * dice.random())
        with Replica(CLIENT, server_cache, file, primary.url) as replica:
            seen.append(tuple(replica.ask("sync")["state"]))
            replica.end()
        model.run(last, {n for n, _ in seen})
        model.check(seen, f"seed {SEED}: the replica")
        assert seen[-1][0] == last
        with closing(libsql_core.connect(file)) as con:
            assert con.execute("pragma integrity_check").fetchall() == [("ok",)]


def test_kill(server_cache: Path, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    with ExitStack() as stack:
        pair = Pair(stack, server_cache, tmp_path, dice)
        try:
            for _ in range(KILLS):
                pair.start()
                pair.work(*dice.choice([(True, False), (False, True), (True, True)]))
            pair.start()
            pair.check()
            assert pair.committed > KILLS
            assert pair.replica is not None
            assert pair.primary is not None
            pair.replica.end()
            assert pair.primary.stop() == 0
            for file in (pair.replica.file, pair.primary.data / "dbs" / "default" / "data"):
                with closing(libsql_core.connect(file)) as con:
                    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        except BaseException as error:
            error.args = (f"seed {SEED}, kill {pair.kills}: {error}",)
            raise
