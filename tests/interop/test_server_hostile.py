"""Clients that are slow, rude or many, and servers that are killed: on the real sqld, too, where it stands that."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).with_name("_server")))

from recorder import numbers
from sqld_process import NAMES, OURS, Server
from websocket_wire import TEXT, WebSocket

SLOW = f"select sum(a.value % 7) from {numbers(1000)} a, {numbers(25000)} b"  # a second and more


@pytest.fixture(params=NAMES)
def each_server(request: pytest.FixtureRequest, server_cache: Path, tmp_path: Path) -> Iterator[Server]:
    with Server(request.param, server_cache, tmp_path) as server:
        yield server


@pytest.fixture
def ours(server_cache: Path, tmp_path: Path) -> Iterator[Server]:
    with Server(OURS, server_cache, tmp_path) as server:
        yield server


def post(server: Server, body: object, path: str = "/v3/pipeline") -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        read = answer.read().decode()
    return answer.status, json.loads(read) if read[:1] in ("{", "[") else read


def run(server: Server, *texts: str, baton: str | None = None, close: bool = True) -> Any:
    """What the last statement gives: its rows, or its error; without `close` the baton."""
    requests: list[dict[str, Any]] = [{"type": "execute", "stmt": {"sql": text}} for text in texts]
    status, answer = post(server, {"baton": baton, "requests": [*requests, *([{"type": "close"}] if close else [])]})
    assert status == 200, answer
    if not close:
        return answer["baton"]
    last = answer["results"][-2]
    return last.get("error") or [[cell.get("value") for cell in row] for row in last["response"]["result"]["rows"]]


def request_text(body: object) -> bytes:
    data = json.dumps(body)
    return f"POST /v3/pipeline HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n{data}".encode()


def test_a_baton_in_use(each_server: Server) -> None:
    baton = run(each_server, "select 1", close=False)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(run, each_server, SLOW, baton=baton)
        time.sleep(0.2)
        assert post(each_server, {"baton": baton, "requests": []}) == (
            400,
            "Received a baton that has already been used",
        )
        assert len(slow.result()) == 1


def test_readers_do_not_wait_for_writers_nor_for_long_statements(each_server: Server) -> None:
    run(each_server, "create table t(x)")
    run(each_server, "begin immediate", "insert into t values (1)", close=False)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(run, each_server, SLOW)
        time.sleep(0.1)
        began = time.monotonic()
        for _ in range(20):
            assert run(each_server, "select count(*) from t") == [["0"]]
        assert not slow.done()
        assert time.monotonic() - began < 1
        slow.result()


def test_clients_that_go_with_a_transaction(each_server: Server) -> None:
    run(each_server, "create table t(x)")
    for _ in range(30):
        client = WebSocket(each_server.port, "hrana3", {}, 20)
        for message in (
            {"type": "hello"},
            {"type": "request", "request_id": 1, "request": {"type": "open_stream", "stream_id": 1}},
            {"type": "request", "request_id": 2, "request": {
                "type": "batch", "stream_id": 1,
                "batch": {"steps": [{"stmt": {"sql": sql}} for sql in ("begin immediate", "insert into t values (1)")]},
            }},
        ):  # fmt: skip
            client.frame(TEXT, json.dumps(message).encode())
            assert b'"error"' not in client.message()[1]
        client.close()
    assert run(each_server, "insert into t values (2)", "select * from t") == [["2"]]


def test_half_requests(each_server: Server) -> None:
    whole = request_text({"requests": [{"type": "execute", "stmt": {"sql": "select 1"}}]})
    assert run(each_server, "select 1") == [["1"]]
    before = len(each_server.files())
    with ExitStack() as stack:
        for number in range(100):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", each_server.port), 20))
            connection.sendall(whole[: number * len(whole) // 100])
        assert run(each_server, "select 1") == [["1"]]
    time.sleep(0.5)
    assert len(each_server.files()) <= before + 5


def test_a_statement_whose_client_went_is_ended(ours: Server) -> None:
    endless = f"select sum(value) from {numbers(10**10)}"
    with socket.create_connection(("127.0.0.1", ours.port), 20) as connection:
        connection.sendall(request_text({"requests": [{"type": "execute", "stmt": {"sql": endless}}]}))
        time.sleep(0.3)
    time.sleep(0.5)
    assert ours.cpu_share() < 0.3


def test_a_slow_reader_costs_no_memory(ours: Server) -> None:
    """100 MB of a cursor for a client that does not read."""
    run(ours, "select 1")
    text = f"select hex(zeroblob(50000)) from {numbers(1000)}"
    data = json.dumps({"batch": {"steps": [{"stmt": {"sql": text}}]}})
    before = ours.memory()
    with socket.create_connection(("127.0.0.1", ours.port), 60) as connection:
        head = f"POST /v3/cursor HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n{data}"
        connection.sendall(head.encode())
        time.sleep(2)
        assert ours.memory() < before + 30 * 2**20
        assert ours.cpu_share(0.5) < 0.3
        size = 0
        while read := connection.recv(1 << 20):
            size += len(read)
    assert size > 100_000_000
    assert ours.memory() < before + 30 * 2**20


def test_too_many_streams(server_cache: Path, tmp_path: Path) -> None:
    seen = {}
    for name in NAMES:
        flags = ("--max-concurrent-connections", "2", "--max-concurrent-requests", "2")
        with Server(name, server_cache, tmp_path / name, *flags) as server:
            batons = [run(server, "begin", close=False) for _ in range(2)]
            began = time.monotonic()
            refused = post(server, {"requests": [{"type": "execute", "stmt": {"sql": "select 1"}}]})
            waited = time.monotonic() - began
            assert 0.9 < waited < 3
            run(server, "commit", baton=batons[0])
            seen[name] = refused, run(server, "select 1")
    assert seen[NAMES[0]] == seen[NAMES[1]]
    assert seen[OURS] == ((429, {"error": "Timed out while opening database connection"}), [["1"]])


def test_a_killed_server_has_what_was_committed(server_cache: Path, tmp_path: Path) -> None:
    for name in NAMES:
        with Server(name, server_cache, tmp_path / name) as server:
            run(server, "create table t(x)", "insert into t values (1), (2)")
            run(server, "begin", "insert into t values (3)", close=False)
            server.kill()
            with Server(name, server_cache, tmp_path / name) as again:
                assert run(again, "select * from t") == [["1"], ["2"]]
                assert run(again, "insert into t values (4)", "select count(*) from t") == [["3"]]


def test_the_end_waits_for_what_runs(ours: Server) -> None:
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(run, ours, SLOW)
        time.sleep(0.2)
        assert ours.stop() == 0
        assert len(slow.result()) == 1
