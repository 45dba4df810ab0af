"""Starts embedded replicas in processes of their own, and writes to primaries."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import states
from sqld_process import tool

CLIENTS = Path(__file__).parents[1] / "_clients"
OLD = "libsql==0.1.8"  # the last that speaks the older protocol; the newest lives in the environment of the tests
Json = dict[str, Any]


def npm_packages(cache: Path) -> Path:
    """A folder with the npm packages and our programs for them."""
    folder = cache / "npm"
    folder.mkdir(exist_ok=True)
    wanted = (CLIENTS / "package.json").read_text()
    installed = folder / "node_modules" / "installed.json"
    for program in CLIENTS.glob("*.mjs"):
        shutil.copy(program, folder)
    if not installed.exists() or installed.read_text() != wanted:
        npm = tool("npm", "install Node.js 20 or later")
        (folder / "package.json").write_text(wanted)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        installed.write_text(wanted)
    return folder


def old_libsql(cache: Path) -> Path:
    """A folder to import the older `libsql` from."""
    folder = cache / OLD.replace("==", "-")
    if not (folder / "libsql").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), OLD]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


class Replica:
    """A client's embedded replica in a process. `kind`: a Python module, `libsql-old`, or `npm:` and a package."""

    def __init__(
        self, kind: str, cache: Path, file: Path, url: str, token: str = "", wait: bool = True, **options: Any
    ) -> None:
        self.kind, self.file, self.ended = kind, file, False
        environment = dict(os.environ)
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind.startswith("npm:"):
            node = tool("node", "install Node.js 20 or later")
            program = [node, str(npm_packages(cache) / "replica_npm.mjs"), kind[4:]]
        else:
            if kind == "libsql-old":
                environment["PYTHONPATH"] = os.pathsep.join([str(old_libsql(cache)), environment.get("PYTHONPATH", "")])
            program = [sys.executable, "-X", "faulthandler", str(CLIENTS / "replica_py.py"), kind.partition("-")[0]]
        self.log = file.with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*program, str(file), url, token, json.dumps(options)],
                cwd=file.parent, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        if wait:
            try:
                self.answer()
            except BaseException:
                self.kill()
                raise

    def send(self, do: str, **arguments: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Json:
        """The next answer; a command that failed has `error`."""
        assert self.process.stdout is not None
        line = next((line for line in self.process.stdout if line.startswith("{")), "")  # some clients print, too
        if not line:
            code = self.process.wait(30)
            raise RuntimeError(f"{self.kind} ended with {code}\n{self.log.read_text(errors='replace')[-3000:]}")
        answer: Json = json.loads(line)
        return answer

    def ask(self, do: str, **arguments: Any) -> Json:
        self.send(do, **arguments)
        answer = self.answer()
        if "error" in answer:
            raise RuntimeError(f"{self.kind}: {answer['error']}")
        return answer

    def end(self) -> None:
        """Have it close its database."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(30) == 0, self.log.read_text(errors="replace")[-3000:]
        self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self) -> Replica:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def opened(
    kind: str, cache: Path, file: Path, url: str, token: str = "", seconds: float = 20, **options: Any
) -> Replica:
    """A replica that may fail to open at first: a server that has clients of both protocols behind one address learns
    from the first attempt which one this client speaks."""
    end = time.monotonic() + seconds
    while True:
        try:
            return Replica(kind, cache, file, url, token, **options)
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


class Writer:
    """A keep-alive connection to a server, for SQL."""

    def __init__(self, port: int, token: str = "", host: str = "localhost") -> None:
        self.headers = {"Host": host, **({"Authorization": f"Bearer {token}"} if token else {})}
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def pipeline(self, *requests: Json) -> list[Json]:
        body = json.dumps({"requests": [*requests, {"type": "close"}]})
        self.connection.request("POST", "/v2/pipeline", body, self.headers)
        if self.connection.sock is not None:
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reply = self.connection.getresponse()
        read = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{reply.status}: {read.decode(errors='replace')}")
        results: list[Json] = json.loads(read)["results"]
        for result in results:
            if result["type"] == "error":
                raise RuntimeError(result["error"]["message"])
        return results

    def run(self, sql: str) -> None:
        """Statements, one or more."""
        self.pipeline({"type": "sequence", "sql": sql})

    def rows(self, sql: str) -> list[list[str | None]]:
        """Values come as the texts of Hrana."""
        result = self.pipeline({"type": "execute", "stmt": {"sql": sql}})[0]["response"]["result"]
        return [[cell.get("value") for cell in row] for row in result["rows"]]

    def state(self) -> tuple[int, str]:
        return states.state(self.rows)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Following:
    """Replicas that follow while the caller writes."""

    def __init__(self, replicas: Sequence[Replica], until: int, seconds: float = 90) -> None:
        self.replicas = replicas
        for replica in replicas:
            replica.send("follow", until=until, seconds=seconds)

    def answers(self) -> list[Json]:
        return [replica.answer() for replica in self.replicas]


class ServerFollower(threading.Thread):
    """Asks a replica server for its state again and again until it has transaction `until`."""

    def __init__(self, port: int, until: int, seconds: float = 90, host: str = "localhost") -> None:
        super().__init__(daemon=True)
        self.port, self.until, self.seconds, self.host = port, until, seconds, host
        self.seen: list[tuple[int, str]] = []
        self.errors: list[str] = []
        self.start()

    def run(self) -> None:
        end = time.monotonic() + self.seconds
        writer = Writer(self.port, host=self.host)
        while (not self.seen or self.seen[-1][0] < self.until) and time.monotonic() < end:
            try:
                if writer.rows("select 1 from sqlite_schema where name = 'history'"):
                    self.seen.append(writer.state())
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                writer.close()
                writer = Writer(self.port, host=self.host)
            time.sleep(0.5)
        writer.close()
