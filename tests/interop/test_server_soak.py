"""Mixed traffic of clients that are killed at random: nothing is lost, nothing leaks, no lock stays.

15 seconds here; `make soak` runs it for three minutes (LIBSQL_CORE_SOAK=180).
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).with_name("_server")))

from recorder import numbers as rows_of
from soak_client import ACCOUNTS, TOTAL
from sqld_process import OURS, Server

SECONDS = float(os.environ.get("LIBSQL_CORE_SOAK", "15"))
SEED = os.environ.get("LIBSQL_CORE_SOAK_SEED", str(random.randrange(10**6)))
SERVER = os.environ.get("LIBSQL_CORE_SOAK_SERVER", OURS)
CLIENTS = 8
PROGRAM = Path(__file__).with_name("_server") / "soak_client.py"


def ask(port: int, method: str, path: str, body: object, host: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Host": host, "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        read = answer.read()
        return answer.status, json.loads(read) if read[:1] in (b"{", b"[") else read.decode()
    finally:
        connection.close()


def rows(server: Server, *texts: str) -> Any:
    requests = [{"type": "execute", "stmt": {"sql": text}} for text in texts]
    status, answer = ask(server.port, "POST", "/v2/pipeline", {"requests": [*requests, {"type": "close"}]}, "bank.x")
    assert status == 200, answer
    assert "error" not in answer["results"][-2], answer
    return [[cell.get("value") for cell in row] for row in answer["results"][-2]["response"]["result"]["rows"]]


class Workers:
    """The clients, and what they said."""

    def __init__(self, port: int, folder: Path, numbers: random.Random) -> None:
        self.port, self.folder, self.numbers = port, folder, numbers
        self.running: list[subprocess.Popen[bytes]] = []
        self.started = 0

    def start(self) -> None:
        self.started += 1
        out = (self.folder / f"{self.started}.out").open("wb")
        command = [sys.executable, str(PROGRAM), str(self.port), f"{SEED}-{self.started}"]
        with out:
            self.running.append(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT))

    def kill_one(self) -> None:
        """A client that ended by itself has found something wrong."""
        chosen = self.running.pop(self.numbers.randrange(len(self.running)))
        ended = chosen.poll()
        chosen.kill()
        chosen.wait()
        assert ended is None, self.said()

    def end(self) -> None:
        for child in self.running:
            child.terminate()
        codes = [child.wait(60) for child in self.running]
        self.running.clear()
        assert {*codes} <= {0, -signal.SIGTERM}, self.said()  # the latter before it could listen to us

    def close(self) -> None:
        for child in self.running:
            child.kill()
            child.wait()

    def said(self) -> str:
        texts = [path.read_text(errors="replace") for path in self.folder.glob("*.out")]
        return f"seed {SEED}\n" + "\n".join(text for text in texts if "Traceback" in text)[-5000:]

    def committed(self) -> int:
        return sum(path.read_text(errors="replace").count("committed\n") for path in self.folder.glob("*.out"))


def test_soak(server_cache: Path, tmp_path: Path) -> None:
    numbers = random.Random(SEED)
    with ExitStack() as stack:
        server = stack.enter_context(
            Server(SERVER, server_cache, tmp_path / "server", "--enable-namespaces", admin=True)
        )
        create = {"txn_timeout_s": 1}
        assert ask(server.admin, "POST", "/v1/namespaces/bank/create", create, "localhost")[0] == 200
        rows(
            server,
            "create table account(id integer primary key, balance integer not null)",
            "create table ledger(id integer primary key)",
            f"insert into account select value, {TOTAL // ACCOUNTS} from {rows_of(ACCOUNTS)}",
        )
        (tmp_path / "clients").mkdir()
        workers = Workers(server.port, tmp_path / "clients", numbers)
        stack.callback(workers.close)
        for _ in range(CLIENTS):
            workers.start()
        end, kills = time.monotonic() + SECONDS, 0
        memory: list[int] = []
        while time.monotonic() < end:
            time.sleep(numbers.uniform(0.1, 0.6))
            workers.kill_one()
            kills += 1
            workers.start()
            memory.append(server.memory())
            if kills % 5 == 0:
                delete_under_load(server, kills)
        workers.end()
        committed = workers.committed()

        began = time.monotonic()
        rows(server, "insert into ledger default values")  # nobody holds the lock, or not for long
        assert time.monotonic() - began < 3
        ((total, count),) = rows(server, "select sum(balance), count(*) from account")
        assert (int(total), int(count)) == (TOTAL, ACCOUNTS), f"seed {SEED}"
        # Of what a killed client had under way nobody knows whether it was committed.
        ((ledger,),) = rows(server, "select count(*) - 1 from ledger")
        assert committed <= int(ledger) <= committed + kills * 2 + CLIENTS, f"seed {SEED}"
        assert committed > SECONDS * 5
        assert rows(server, "pragma integrity_check") == [["ok"]]

        # Abandoned streams end after 10 seconds, idle connections some time later. SQLite keeps the descriptors of a
        # database file for the next to open it, those of its log go with the connection.
        end = time.monotonic() + 30
        while (left := open_files(server)) and time.monotonic() < end:
            time.sleep(0.5)
        assert not left
        streams = ask(server.admin, "GET", "/v1/diagnostics", None, "localhost")[1]
        assert [stream for stream in streams if stream == "acquired"] == []
        early, late = memory[len(memory) // 3], server.memory()
        assert late < early * 1.3 + 20 * 2**20, [size >> 20 for size in memory]
        assert server.cpu_share() < 0.2
        assert server.stop() == 0


def open_files(server: Server) -> Counter[str]:
    """What more than a few are open of, that belongs to a connection."""
    kinds = Counter(Path(name).name.split("[")[0] for name in server.files())
    return Counter({kind: count for kind, count in kinds.items() if kind != "data" and count > 20})


def delete_under_load(server: Server, number: int) -> None:
    """A namespace that is deleted while a transaction is open in it."""
    name = f"short-lived-{number}"
    assert ask(server.admin, "POST", f"/v1/namespaces/{name}/create", {}, "localhost")[0] == 200
    requests = [{"type": "sequence", "sql": "create table t(x); begin immediate; insert into t values (1)"}]
    status, answer = ask(server.port, "POST", "/v2/pipeline", {"requests": requests}, f"{name}.x")
    assert (status, answer["results"][0]["type"]) == (200, "ok")
    assert ask(server.admin, "DELETE", f"/v1/namespaces/{name}", None, "localhost")[0] == 200
    assert ask(server.port, "POST", "/v2/pipeline", {"requests": []}, f"{name}.x")[0] == 404
