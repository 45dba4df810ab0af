"""A primary that tells another one's answers, but changes them on the way."""

from __future__ import annotations

import http.client
import socketserver
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from libsql_core.replication.messages import Frame, Frames, HelloResponse

FRAME = struct.Struct("<QQII")  # number, checksum, page, size of the database behind the transaction
Lie = Callable[[list[bytes]], list[bytes]]


def messages(body: bytes) -> tuple[list[bytes], bytes]:
    """The messages of a grpc-web body, and its last frame."""
    found, at = [], 0
    while at < len(body) and not body[at] & 0x80:
        size = int.from_bytes(body[at + 1 : at + 5], "big")
        found.append(body[at + 5 : at + 5 + size])
        at += 5 + size
    return found, body[at:]


def on_frames(change: Callable[[list[list[Any]]], None]) -> Lie:
    """A lie about a batch; a frame is [number, checksum, page, size, content]."""

    def lie(told: list[bytes]) -> list[bytes]:
        frames = Frames.decode(told[0]).frames
        fields = [[*FRAME.unpack_from(frame.data), bytes(frame.data[FRAME.size :])] for frame in frames]
        if fields:
            change(fields)
        return [Frames(frames=[Frame(data=FRAME.pack(*each[:4]) + each[4]) for each in fields]).encode()]

    return lie


def on_hello(change: Callable[[HelloResponse], None]) -> Lie:
    def lie(told: list[bytes]) -> list[bytes]:
        hello = HelloResponse.decode(told[0])
        change(hello)
        return [hello.encode()]

    return lie


class LyingPrimary:
    """`lies`: by the name of a call, what becomes of its messages; `body`: what becomes of all that is sent."""

    def __init__(self, target: int) -> None:
        self.lies: dict[str, Lie] = {}
        self.body: Callable[[bytes], bytes] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.answer(self, target)

            def do_GET(self) -> None:
                outer.answer(self, target)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        class Listening(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # it does not want to hear more

        self.server = Listening(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def answer(self, asked: BaseHTTPRequestHandler, target: int) -> None:
        body = b""
        if asked.headers.get("transfer-encoding"):
            while size := int(asked.rfile.readline(), 16):
                body += asked.rfile.read(size)
                asked.rfile.readline()
            asked.rfile.readline()
        else:
            body = asked.rfile.read(int(asked.headers.get("content-length", 0)))
        dropped = ("transfer-encoding", "content-length", "connection")
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in dropped}
        connection = http.client.HTTPConnection("127.0.0.1", target, timeout=30)
        connection.request(asked.command, asked.path, body, headers)
        reply = connection.getresponse()
        told = reply.read()
        connection.close()
        lie = self.lies.get(asked.path.rpartition("/")[2])
        if lie is not None:
            found, end = messages(told)
            if found:
                told = b"".join(b"\0" + len(each).to_bytes(4, "big") + each for each in lie(found)) + end
        if self.body is not None:
            told = self.body(told)
        asked.send_response_only(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in dropped:
                asked.send_header(name, value)
        asked.send_header("content-length", str(len(told)))
        asked.end_headers()
        asked.wfile.write(told)

    def __enter__(self) -> LyingPrimary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
