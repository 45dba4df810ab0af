"""A WebSocket client that sends whatever it is told, right or wrong, and tells how the connection ended."""

from __future__ import annotations

import base64
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Closed(Exception):
    """The server ended the connection: with a code and a reason, or (None) without a word."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class WebSocket:
    def __init__(self, port: int, protocols: str | None, headers: dict[str, str], timeout: float) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fields = {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
        }
        if protocols is not None:
            fields["Sec-WebSocket-Protocol"] = protocols
        fields |= headers
        request = "GET / HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.socket.sendall(request.encode() + b"\r\n")
        self.buffer = b""
        head = self.until(b"\r\n\r\n").decode("latin-1")
        lines = head.split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body = b""
        if self.status != 101:
            self.body = self.exactly(int(self.headers.get("content-length", 0)))

    def more(self) -> None:
        try:
            read = self.socket.recv(1 << 16)
        except ConnectionError:
            read = b""
        if not read:
            raise Closed(None)
        self.buffer += read

    def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            self.more()
        head, _, self.buffer = self.buffer.partition(end)
        return head

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self.more()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def frame(self, opcode: int, payload: bytes, *, last: bool = True) -> None:
        size = len(payload)
        head = bytes([opcode | (0x80 if last else 0)])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += b"\xfe" + struct.pack(">H", size)
        else:
            head += b"\xff" + struct.pack(">Q", size)
        mask = os.urandom(4)
        key = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
        try:
            self.socket.sendall(head + mask + masked)
        except ConnectionError:
            raise Closed(None) from None

    def message(self) -> tuple[int, bytes]:
        """The next message; pings are answered."""
        whole = b""
        kind = 0
        while True:
            first, second = self.exactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", self.exactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self.exactly(8))
            payload = self.exactly(size)
            opcode = first & 0x0F
            if opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                raise Closed(code, payload[2:].decode())
            if opcode == PING:
                self.frame(PONG, payload)
                continue
            if opcode == PONG:
                return PONG, payload
            kind = opcode or kind
            whole += payload
            if first & 0x80:
                return kind, whole

    def close(self) -> None:
        self.socket.close()
