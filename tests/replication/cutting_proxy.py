"""A TCP proxy that treats connections badly: cuts, stalls, crumbles and duplicates them, by a seed."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from types import TracebackType

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST
FAULTS = ("cut", "reset", "cut request", "stall", "crumbs", "double")


class Proxy:
    """Listens on `port` and passes connections on to `target`. What happens to each is drawn by `dice` from `faults`.

    cut, reset   the end after some bytes of the answer, by FIN or by RST
    cut request  the end after some bytes of the request
    stall        nothing more of the answer for `patience` seconds, then the end
    crumbs       the answer in pieces of a few bytes, then cut
    double       requests go to the target twice, on two connections, and one answer is dropped; then cut
    """

    def __init__(
        self, target: int, dice: random.Random, faults: tuple[str, ...] = FAULTS, patience: float = 0.5
    ) -> None:
        self.target, self.dice, self.faults, self.patience = target, dice, faults, patience
        self.connections: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()
        self.closed = False
        self.done: dict[str, int] = dict.fromkeys(FAULTS, 0)  # what has really happened
        self.passed = 0  # bytes of answers
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.start(self.accept)

    def wait_for_fault(self, seconds: float = 1) -> None:
        """Until one more happens, or some time has passed."""
        before, end = sum(self.done.values()), time.monotonic() + seconds
        while sum(self.done.values()) == before and time.monotonic() < end:
            time.sleep(0.01)

    def calm(self) -> None:
        """No more faults for connections to come."""
        self.faults = ("none",)

    def start(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
        with self.lock:
            self.threads.append(thread)
        thread.start()

    def accept(self) -> None:
        while not self.closed:
            try:
                taken, _ = self.listening.accept()
            except OSError:
                return
            with self.lock:
                fault = self.dice.choice(self.faults)
                limit = int(2 ** self.dice.uniform(5, 12 if fault == "cut request" else 19))
            self.open(taken, fault, limit)

    def open(self, taken: socket.socket, fault: str, limit: int) -> None:
        targets = []
        try:
            for _ in range(2 if fault == "double" else 1):
                targets.append(socket.create_connection(("127.0.0.1", self.target), 5))
        except OSError:
            for each in (taken, *targets):
                each.close()
            return
        for each in (taken, *targets):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.settimeout(None)
        with self.lock:
            self.connections += [taken, *targets]
        if fault == "double":
            self.done[fault] += 1
            self.start(self.drop, targets[1])
        self.start(self.request, taken, targets, limit if fault == "cut request" else 0)
        self.start(self.reply, targets[0], taken, fault, limit)

    def request(self, taken: socket.socket, targets: list[socket.socket], limit: int) -> None:
        passed = 0
        while data := self.receive(taken):
            passed += len(data)
            if limit and passed > limit:
                self.done["cut request"] += 1
                break
            for each in targets:
                with contextlib.suppress(OSError):
                    each.sendall(data)
        for each in (taken, *targets):
            self.end(each)

    def reply(self, target: socket.socket, taken: socket.socket, fault: str, limit: int) -> None:
        passed = 0
        while data := self.receive(target):
            self.passed += len(data)
            if fault not in ("none", "cut request") and passed + len(data) > limit:
                data = data[: limit - passed]
                self.send(taken, data)
                if fault in ("cut", "reset", "stall"):
                    self.done[fault] += 1
                if fault == "stall":
                    end = time.monotonic() + self.patience
                    while not self.closed and time.monotonic() < end:
                        time.sleep(0.02)
                if fault == "reset":
                    with contextlib.suppress(OSError):
                        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        taken.shutdown(socket.SHUT_RD)  # wakes who waits for it
                        taken.close()
                break
            passed += len(data)
            if fault == "crumbs" and passed < 4096:
                self.done[fault] += 1
                for start in range(0, len(data), 7):
                    self.send(taken, data[start : start + 7])
            elif not self.send(taken, data):
                break
        for each in (taken, target):
            self.end(each)

    def drop(self, target: socket.socket) -> None:
        while self.receive(target):
            pass

    @staticmethod
    def receive(sock: socket.socket) -> bytes:
        try:
            return sock.recv(1 << 16)
        except OSError:
            return b""

    @staticmethod
    def send(sock: socket.socket, data: bytes) -> bool:
        try:
            sock.sendall(data)
        except OSError:
            return False
        return True

    @staticmethod
    def end(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.closed = True
        self.end(self.listening)
        self.listening.close()
        while self.threads:
            for sock in self.connections:
                self.end(sock)
            with self.lock:
                thread = self.threads.pop()
            thread.join(10)
            assert not thread.is_alive()
        for sock in self.connections:
            sock.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
