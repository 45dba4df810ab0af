"""Sends requests to a server and notes all of the answers that should not differ from one server to another.

A case is a list of steps: `Http`, `Ws` and `Wait`; each case has a namespace of its own. Text of the form
`%baton1%` stands for what the answer to step 1 of the case had, `%ns%` for the namespace, `%token:NAME%` for a token.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import json
import re
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import protobuf_wire
from sqld_process import Server
from websocket_wire import BINARY, PONG, TEXT, Closed, WebSocket

TIMEOUT = 20.0
EVENT_TIMEOUT = 4.0  # below the time between signs of life
Json = Any
Seen = list[Any]


@dataclass(frozen=True)
class Http:
    """A request. `body`: JSON, text, or bytes. `raw`: the whole of it, as it goes over the socket."""

    method: str
    path: str
    body: Json = None
    headers: dict[str, str | None] = field(default_factory=dict)
    admin: bool = False
    decode: str | None = None  # the protobuf message of the answer
    raw: bytes | None = None
    events: int = 0  # read so many events of a stream, then close
    meanwhile: tuple[Step, ...] = ()  # steps while the stream is open


@dataclass(frozen=True)
class Ws:
    """A connection: messages one after the other, each but a `Quiet` one answered before the next is sent."""

    messages: tuple[Any, ...]
    protocols: str | None = "hrana3"
    headers: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Quiet:
    """A message whose answer is not awaited."""

    message: Any


@dataclass(frozen=True)
class Together:
    """Messages that are sent without waiting; their answers may come in any order."""

    messages: tuple[Any, ...]


@dataclass(frozen=True)
class Frame:
    """A frame as it is."""

    opcode: int
    payload: bytes
    last: bool = True
    answered: bool = True


@dataclass(frozen=True)
class Wait:
    seconds: float


Step = Http | Ws | Wait
Cases = dict[str, Sequence[Step]]


# --- what cases are written with


def post(path: str, body: Json, **headers: str | None) -> Http:
    return Http("POST", path, body, headers)


def get(path: str, **headers: str | None) -> Http:
    return Http("GET", path, None, headers)


def execute(sql: str, *args: Json, **more: Json) -> dict[str, Json]:
    """A request of a pipeline; arguments are Python values."""
    return {"type": "execute", "stmt": stmt(sql, *args, **more)}


def stmt(sql: str, *args: Json, **more: Json) -> dict[str, Json]:
    return {"sql": sql, **({"args": [value(arg) for arg in args]} if args else {}), **more}


def value(of: Json) -> dict[str, Json]:
    match of:
        case None:
            return {"type": "null"}
        case int():
            return {"type": "integer", "value": str(of)}
        case float():
            return {"type": "float", "value": of}
        case str():
            return {"type": "text", "value": of}
        case dict():
            return of
    raise TypeError(of)


def pipeline(*requests: Json, baton: str | None = None, path: str | None = None, **headers: str | None) -> Http:
    """Texts are statements to execute."""
    body = {"baton": baton} if baton else {}
    listed = [execute(request) if isinstance(request, str) else request for request in requests]
    return Http("POST", path or "/v3/pipeline", {**body, "requests": listed}, headers)


def batch(*steps: Json, **more: Json) -> dict[str, Json]:
    """Texts are statements; pairs are a condition and a statement."""
    out: list[Json] = []
    for step in steps:
        condition, text = step if isinstance(step, tuple) else (None, step)
        made = {"stmt": stmt(text) if isinstance(text, str) else text}
        out.append({"condition": condition, **made} if condition else made)
    return {"steps": out, **more}


def pb(message: str, fields: dict[str, Json], path: str, answer: str, **headers: str | None) -> Http:
    return Http("POST", path, protobuf_wire.encode(message, fields), headers, decode=answer)


def admin(method: str, path: str, body: Json = None, **headers: str | None) -> Http:
    given = {"content-type": "application/json"} if isinstance(body, dict | list) else {}
    return Http(method, path, body, {**given, **headers}, admin=True)


def numbers(limit: int) -> str:
    """The source of a SELECT: `value` from 1 to a limit."""
    rows = f"select 1 union all select value + 1 from n where value < {limit}"
    return f"(with recursive n(value) as ({rows}) select * from n)"


# --- masks

NUMBERS = ["query_duration_ms", "elapsed_ms", "sum", "p50", "p75", "p90", "p95", "p99", "p999", "storage_bytes_used"]
TEXTS = ["id", "created_at"]
HEADERS = [
    "content-type", "content-encoding", "allow", "access-control-allow-origin", "access-control-allow-methods",
    "access-control-allow-headers", "vary", "cache-control", "location", "sec-websocket-protocol", "grpc-status",
]  # fmt: skip
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DURATION = re.compile(r'(?<="query_duration_ms":)[0-9.e-]+')
VERSION = re.compile(r"^sqld \d+\.\d+\.\d+ \(.*\)$")


def masked(found: Json, key: str = "") -> Json:
    """Objects become lists of pairs, so that their order counts."""
    if isinstance(found, dict):
        return ["object", *([name, masked(inner, name)] for name, inner in found.items())]
    if isinstance(found, tuple):
        return [found[0], masked(found[1], found[0])]
    if isinstance(found, list):
        return [masked(inner) for inner in found]
    if key == "baton" and isinstance(found, str):
        return f"<baton of {len(found)}>"
    if key in NUMBERS and isinstance(found, int | float):
        return "<number>"
    if key in TEXTS and isinstance(found, str | int) and not isinstance(found, bool):
        return f"<{key}>"
    if isinstance(found, str):
        return short(UUID.sub("<uuid>", found))
    return found


def short(text: str) -> str:
    """Long texts by their beginning, length and hash."""
    if len(text) <= 2000:
        return text
    return f"{text[:200]}... {len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def headers_of(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, text in given:
        found.setdefault(name.lower(), []).append(text)
    kept = {name: ", ".join(sorted(found[name])) for name in HEADERS if name in found}
    if "server-timing" in found:
        kept["server-timing"] = "<times>"
    return kept


def body_of(body: bytes, content_type: str, message: str | None) -> Json:
    if message and "json" not in content_type and "text" not in content_type:
        if message == "CursorRespBody":
            return [masked(entry) for entry in protobuf_wire.decode_stream(message, "CursorEntry", body)]
        return masked(protobuf_wire.decode(message, body))
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"<bytes> {body.hex()}"
    if VERSION.match(text):
        return "<version>"
    if text[:1] in ("{", "["):
        lines = text.splitlines()
        for parts in ([text], lines):
            with contextlib.suppress(ValueError):
                return [masked(json.loads(part)) for part in parts]
    return short(DURATION.sub("<number>", UUID.sub("<uuid>", text)))


def answer(kind: int, got: bytes) -> Json:
    """A message of a WebSocket."""
    if kind == PONG:
        return ["pong", got.decode()]
    if kind == BINARY:
        return masked(protobuf_wire.decode("ServerMsg", got))
    assert kind == TEXT
    return masked(json.loads(got))


# --- sending


class Recorder:
    """Runs cases on a server. `token` makes the tokens that cases name."""

    def __init__(self, server: Server, token: Callable[[str, str], str], *, namespaces: bool) -> None:
        self.server, self.token, self.namespaces = server, token, namespaces

    def run(self, name: str, steps: Iterable[Step]) -> Seen:
        case = Case(self, re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"))
        if self.namespaces:
            created = case.request(admin("POST", f"/v1/namespaces/{case.namespace}/create", {}))
            if created["status"] != 200:
                return [created]
        return case.steps(steps)


class Case:
    def __init__(self, recorder: Recorder, namespace: str) -> None:
        self.recorder, self.namespace = recorder, namespace
        self.batons: dict[str, str] = {}

    def steps(self, steps: Iterable[Step]) -> Seen:
        seen: Seen = []
        for number, step in enumerate(steps, 1):
            try:
                match step:
                    case Http():
                        seen.append(self.request(step, f"baton{number}"))
                    case Ws():
                        seen.append(self.websocket(step))
                    case Wait():
                        time.sleep(step.seconds)
            except (OSError, AssertionError, KeyError, IndexError) as error:
                seen.append({"failed": f"{type(error).__name__}: {error}"})
        return seen

    def fill(self, text: str) -> str:
        def of(match: re.Match[str]) -> str:
            kind, _, name = match[1].partition(":")
            if kind == "ns":
                return self.namespace
            if kind == "token":
                return self.recorder.token(name, self.namespace)
            if kind == "data":
                return str(self.recorder.server.folder)
            return self.batons.get(kind, "no-such-baton")

        return re.sub(r"%(baton\d+|ns|token:[\w-]+|data)%", of, text)

    def head(self, given: dict[str, str | None], admin: bool) -> dict[str, str]:
        host = "localhost" if admin or not self.recorder.namespaces else f"{self.namespace}.localhost"
        fields: dict[str, str | None] = {"host": host}
        fields |= {name.replace("_", "-").lower(): text for name, text in given.items()}
        return {name: self.fill(text) for name, text in fields.items() if text is not None}

    def request(self, step: Http, baton: str = "") -> dict[str, Json]:
        body = step.body
        if isinstance(body, dict | list):
            body = json.dumps(body)
        if isinstance(body, str):
            body = self.fill(body).encode("utf-8", "surrogatepass")
        elif body is not None and self.batons:
            for name, made in self.batons.items():  # both are of one length
                body = body.replace(f"%{name}%".encode().ljust(64, b"#"), made.encode())
        port = self.recorder.server.admin if step.admin else self.recorder.server.port
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            if step.raw is not None:
                connection.sendall(self.fill(step.raw.decode("latin-1")).encode("latin-1"))
            else:
                fields = self.head(step.headers, step.admin)
                if body is not None and "transfer-encoding" not in fields:
                    fields.setdefault("content-length", str(len(body)))
                head = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
                connection.sendall(f"{step.method} {self.fill(step.path)} HTTP/1.1\r\n{head}\r\n".encode())
                with contextlib.suppress(ConnectionError):
                    connection.sendall(body or b"")
            response = http.client.HTTPResponse(connection, method=step.method)
            try:
                response.begin()
                if step.events:
                    connection.settimeout(EVENT_TIMEOUT)
                    return self.listen(step, response)
                read = response.read()
            except (http.client.HTTPException, ConnectionError):
                return {"dropped": True}
            finally:
                response.close()
        if response.headers.get("content-encoding") == "gzip":
            read = gzip.decompress(read)
        if step.decode:
            self.keep_baton(baton, read)
        else:
            found = re.search(rb'"baton":"([^"]+)"', read)
            if found:
                self.batons[baton] = found[1].decode()
        read = read.replace(str(self.recorder.server.folder).encode(), b"<folder>")
        content = response.headers.get("content-type", "")
        return {
            "status": response.status,
            **headers_of(response.headers.items()),
            "body": body_of(read, content, step.decode),
        }

    def keep_baton(self, name: str, read: bytes) -> None:
        size, at = (read[1], 2) if read[:1] == b"\x0a" else (0, 0)
        if not size and read[1:2] == b"\x0a":  # a cursor has its length first
            size, at = read[2], 3
        if size:
            self.batons[name] = read[at : at + size].decode("latin-1")

    def listen(self, step: Http, response: http.client.HTTPResponse) -> dict[str, Json]:
        """Note the events that a stream shows while other steps run."""
        during = self.steps(step.meanwhile)
        lines: list[str] = []
        while len(lines) < step.events:
            line = response.readline().decode().strip()
            if not line and not response.fp:
                break
            if line and not line.startswith(":"):
                lines.append(line.replace(": ", ":", 1))
        return {
            "status": response.status,
            **headers_of(response.headers.items()),
            "meanwhile": during,
            "events": lines,
        }

    def websocket(self, step: Ws) -> Json:
        seen: list[Json] = []
        binary = bool(step.protocols) and "protobuf" in str(step.protocols)
        headers = self.head(step.headers, admin=False)
        headers["Host"] = headers.pop("host")
        socket_ = None
        try:
            socket_ = WebSocket(self.recorder.server.port, step.protocols, headers, TIMEOUT)
            seen.append({"status": socket_.status, **headers_of(socket_.headers.items())})
            if socket_.status != 101:
                return [*seen, socket_.body.decode()]
            for message in step.messages:
                if isinstance(message, Wait):
                    time.sleep(message.seconds)
                    continue
                parts = message.messages if isinstance(message, Together) else (message,)
                awaited = sum([self.send(socket_, part, binary) for part in parts])
                seen += sorted([answer(*socket_.message()) for _ in range(awaited)], key=text)
        except Closed as closed:
            seen.append({"closed": closed.code, "reason": closed.reason})
        except TimeoutError:
            seen.append("silence")
        finally:
            if socket_:
                socket_.close()
        return seen

    def send(self, socket_: WebSocket, message: Any, binary: bool) -> bool:
        match message:
            case Frame():
                socket_.frame(message.opcode, message.payload, last=message.last)
                return message.answered
            case Quiet():
                self.send(socket_, message.message, binary)
                return False
            case str():
                socket_.frame(TEXT, self.fill(message).encode())
            case bytes():
                socket_.frame(BINARY, message)
            case dict() if binary:
                socket_.frame(BINARY, protobuf_wire.encode("ClientMsg", message))
            case _:
                socket_.frame(TEXT, self.fill(json.dumps(message)).encode())
        return True


def text(seen: Json, indent: str = "") -> str:
    """What was seen, as text that can be compared and read: what fits on a line is on one."""
    line = json.dumps(seen, ensure_ascii=False)
    if len(line) < 100 or not isinstance(seen, dict | list):
        return indent + line
    inner = indent + "  "
    if isinstance(seen, list):
        return "\n".join([f"{indent}[", *(text(part, inner) for part in seen), f"{indent}]"])
    parts = (f"{inner}{name}:\n{text(part, inner + '  ')}" for name, part in seen.items())
    return "\n".join([f"{indent}{{", *parts, f"{indent}}}"])


def count(steps: Iterable[Step]) -> int:
    """How many requests a case sends."""
    total = 0
    for step in steps:
        if isinstance(step, Ws):
            total += 1 + sum(not isinstance(message, Wait) for message in step.messages)
        elif isinstance(step, Http):
            total += 1 + count(step.meanwhile)
    return total
