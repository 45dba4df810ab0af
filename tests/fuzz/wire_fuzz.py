"""Bytes from clients, changed at random, against the server's transport and decoders.

    python wire_fuzz.py [seed] [count]

Whatever comes over a connection, and in whichever pieces: the same requests are seen and the same is answered as when
it comes at once, a request that is answered 200 has the body that its head announces, and nothing is raised. Whatever a
body holds: a request, or one of the documented errors; and the reader in C gives the request that the decoder in Python
gives, or none. A failing case names its seed and number.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import random
import sys

from libsql_core.hrana import json_decode, proto_decode
from libsql_core.hrana.errors import HttpError, ProtocolError
from libsql_core.hrana.reader import READER
from libsql_core.server import v0
from libsql_core.server.api import Request, Response
from libsql_core.server.http1 import Http1
from libsql_core.server.listener import Limits, Listener

LIMITS = Limits(head=2_000, body=3_000, bodies=6_000)
HEADS = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v3/pipeline HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: z\r\n\r\n",
    b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    b"POST /no HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
    b"GET /no HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD /x?y=z HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n",
]
WORDS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"chunked", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b"0\r\n\r\n",
    b"ffffffff", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"Upgrade: x\r\n", b"Expect: 100-continue\r\n", b"x" * 300,
    b"\xff", b"-1", b"+2",
]  # fmt: skip
BODIES = [
    b'{"baton":null,"requests":[{"type":"execute","stmt":{"sql":"select ?","args":[{"type":"integer","value":"5"}]}}]}',
    b'{"requests":[{"type":"batch","batch":{"steps":[{"condition":{"type":"not","cond":{"type":"ok","step":0}},"stmt":'
    b'{"sql":"x","named_args":[{"name":"a","value":{"type":"blob","base64":"AQI="}}]}}]}},{"type":"close"}]}',
    b'{"batch":{"steps":[{"stmt":{"sql_id":1,"want_rows":true,"replication_index":"5"}}]}}',
    b'{"type":"request","request_id":1,"request":{"type":"fetch_cursor","cursor_id":1,"max_count":7}}',
    b'{"statements":["select 1",{"q":"select ?","params":[1,null,{"base64":"aGk"}]}]}',
    b"\x12\x1f\x12\x1d\x0a\x1b\x0a\x08select ?\x1a\x02\x10\x0a\x1a\x02\x22\x00\x22\x07\x0a\x01a\x12\x02\x0a\x00",
    b"\x12\x14\x1a\x12\x0a\x10\x0a\x0e\x0a\x04\x1a\x02\x08\x01\x12\x06\x0a\x04abcd\x12\x02\x0a\x00",
    b"\x12\x0b\x08\x07\x22\x07\x08\x01\x12\x03\x0a\x01x",
]
TOKENS = [
    b"null", b"true", b"[]", b"{}", b"-1", b"1e999", b"99999999999999999999", b'"', b"\\u0000", b"\\ud800", b"\xff",
    b",", b":", b'"type":"ok"', b"\x80", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"\x0a", b"\x12", b"\x1a",
    b"[" * 200,
]  # fmt: skip
DECODERS = [
    json_decode.cursor_body, json_decode.stmt_body, json_decode.batch_body, proto_decode.cursor_body, v0.decode
]  # fmt: skip
# Readers, whether they read protobuf, and what knows better.
READERS = [
    (READER.pipeline, False, json_decode.any_pipeline_body),
    (READER.socket, False, json_decode.any_socket_message),
    (READER.pipeline, True, proto_decode.any_pipeline_body),
    (READER.socket, True, proto_decode.any_socket_message),
]
Seen = list[tuple[bytes, bytes, bytes]]


def change(dice: random.Random, data: bytes, words: list[bytes]) -> bytes:
    for _ in range(dice.choice((0, 1, 1, 2, 5))):
        at, size = dice.randrange(len(data) + 1), dice.choice((0, 0, 1, 3, 20))
        new = dice.choice((dice.choice(words), dice.choice(words), dice.randbytes(2), data[at : at + size] * 2, b""))
        data = data[:at] + new + data[at + size :]
    return data


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.out = b""
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written after the end"
        self.out += data

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.ended

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


async def receive(pieces: list[bytes], *, wait: bool) -> tuple[Seen, bytes, bool]:
    """The requests that a server sees in pieces of bytes, what it answers, and whether it has closed."""
    seen: Seen = []

    async def handler(request: Request) -> Response:
        seen.append((request.method, request.path, request.body))
        if b"content-length" in request.headers:
            assert len(request.body) == int(request.headers[b"content-length"])
        if wait:
            await asyncio.sleep(0)
        return Response(200, request.method)

    listener = Listener(handler, LIMITS)
    wire, peer = Wire(), Http1(listener)
    peer.connection_made(wire)
    for piece in pieces:
        if wire.ended:
            break
        peer.data_received(piece)
        if wait:
            await asyncio.sleep(0)
    for _ in range(200 if wait else 0):
        await asyncio.sleep(0)
    peer.connection_lost(None)
    assert listener.bodies.left == LIMITS.bodies
    assert not listener.peers
    return seen, wire.out, wire.ended


def check_transport(dice: random.Random) -> None:
    data = b"".join(change(dice, dice.choice(HEADS), WORDS) for _ in range(dice.choice((1, 2, 3, 6))))
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.choice((1, 3, 30))))
    pieces = [data[at:end] for at, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if at < end]
    at_once = asyncio.run(receive([data], wait=False))
    assert asyncio.run(receive(pieces, wait=False)) == at_once, pieces
    if dice.random() < 0.2:
        later = asyncio.run(receive(pieces, wait=True))
        assert later[0] == at_once[0], pieces


def check_decoders(dice: random.Random) -> None:
    data = change(dice, dice.choice(BODIES), TOKENS)
    for decode in DECODERS:
        with contextlib.suppress(ProtocolError, HttpError):
            decode(data)
    for read, protobuf, know in READERS:
        found, known = read(data, protobuf), None
        with contextlib.suppress(ProtocolError, HttpError):
            known = know(data)
        assert found is None or repr(found) == repr(known), data


def main(seed: int = 1, count: int = 100_000) -> None:
    faulthandler.enable()
    dice = random.Random(seed)
    for number in range(count):
        try:
            check_decoders(dice)
            if number % 4 == 0:
                check_transport(dice)
        except BaseException:
            print(f"seed {seed}, case {number}", file=sys.stderr)
            raise


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
