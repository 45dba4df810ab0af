"""A client of the soak: random operations on a bank until it is told to end, or killed.

python soak_client.py PORT SEED        prints a line for each transfer that was committed for sure
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from recorder import numbers
from websocket_wire import TEXT, Closed, WebSocket

ACCOUNTS, TOTAL = 50, 50_000
HOST = "bank.localhost"
MAY_HAPPEN = {"TRANSACTION_TIMEOUT", "SQLITE_BUSY", "STREAM_EXPIRED"}


class Failed(Exception):
    """A statement failed in a way that may happen under load."""


class Client:
    def __init__(self, port: int, seed: str) -> None:
        self.port, self.random = port, random.Random(seed)
        self.ending = False
        self.http: http.client.HTTPConnection | None = None
        self.socket: WebSocket | None = None

    # --- transport

    def post(self, path: str, body: object) -> Any:
        if self.http is None:
            self.http = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        try:
            self.http.request("POST", path, json.dumps(body), {"Host": HOST})
            answer = self.http.getresponse()
            read = answer.read()
        except (OSError, http.client.HTTPException):
            self.http.close()
            self.http = None
            raise
        if answer.status != 200:
            if answer.status == 429 or any(code in read.decode() for code in MAY_HAPPEN):
                raise Failed(read)
            raise AssertionError(f"{answer.status}: {read.decode()}")
        return [json.loads(line) for line in read.splitlines()] if path == "/v3/cursor" else json.loads(read)

    def pipeline(self, baton: str | None, *requests: dict[str, Any]) -> tuple[str | None, list[Any]]:
        answer = self.post("/v3/pipeline", {"baton": baton, "requests": list(requests)})
        return answer["baton"], [self.checked(result) for result in answer["results"]]

    def checked(self, result: Any) -> Any:
        error = result.get("error")
        if error:
            if error["code"] in MAY_HAPPEN:
                raise Failed(error)
            raise AssertionError(str(error))
        response = result["response"].get("result", {})
        for error in filter(None, response.get("step_errors", [])):
            if error["code"] not in MAY_HAPPEN:
                raise AssertionError(str(error))
            raise Failed(error)
        return response

    def ask(self, **request: Any) -> Any:
        """A request over the WebSocket."""
        if self.socket is None:
            self.socket = WebSocket(self.port, "hrana3", {"Host": HOST}, 40)
            for message in (
                {"type": "hello"},
                {"type": "request", "request_id": 1, "request": {"type": "open_stream", "stream_id": 1}},
            ):
                self.socket.frame(TEXT, json.dumps(message).encode())
                assert b"ok" in self.socket.message()[1]
        text = json.dumps({"type": "request", "request_id": 7, "request": {"stream_id": 1, **request}})
        self.socket.frame(TEXT, text.encode())
        answer = json.loads(self.socket.message()[1])
        return self.checked({"response": answer["response"]} if "response" in answer else answer)

    def leave(self) -> None:
        """Drop what is open, without a word."""
        if self.socket:
            self.socket.close()
            self.socket = None
        if self.http:
            self.http.close()
            self.http = None

    # --- operations

    def transfer(self) -> tuple[list[str], list[str]]:
        """The statements of a transfer: those before a pause, those after."""
        a, b = self.random.sample(range(1, ACCOUNTS + 1), 2)
        amount = self.random.randint(1, 9)
        return (
            ["begin immediate", f"update account set balance = balance - {amount} where id = {a}"],
            [
                f"update account set balance = balance + {amount} where id = {b}",
                "insert into ledger default values",
                "commit",
            ],
        )

    def chained(self, texts: list[str]) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"stmt": {"sql": text}} for text in texts]
        for number, step in enumerate(steps[1:]):
            step["condition"] = {"type": "ok", "step": number}
        return {"type": "batch", "batch": {"steps": steps}}

    def pause(self) -> None:
        if self.random.random() < 0.1:
            time.sleep(self.random.random() * 0.05)

    def count(self) -> None:
        print("committed", flush=True)

    def transfer_at_once(self) -> None:
        first, second = self.transfer()
        undo = {"condition": {"type": "not", "cond": {"type": "ok", "step": 4}}, "stmt": {"sql": "rollback"}}
        request = self.chained(first + second)
        request["batch"]["steps"].append(undo)
        self.pipeline(None, request, {"type": "close"})
        self.count()

    def transfer_with_baton(self) -> None:
        first, second = self.transfer()
        baton, _ = self.pipeline(None, self.chained(first))
        self.pause()
        if self.random.random() < 0.05:
            return  # the server has to end this one
        if self.random.random() < 0.2:
            self.pipeline(baton, {"type": "execute", "stmt": {"sql": "rollback"}}, {"type": "close"})
            return
        self.pipeline(baton, self.chained(second), {"type": "close"})
        self.count()

    def transfer_over_websocket(self) -> None:
        first, second = self.transfer()
        try:
            self.ask(**self.chained(first))
            self.pause()
            if self.random.random() < 0.1:
                self.leave()
                return
            self.ask(**self.chained(second))
        except Failed:
            self.leave()  # whatever is open goes with it
            raise
        self.count()

    def single_write(self) -> None:
        """Several of these may share a commit, but not an error."""
        if self.random.random() < 0.2:
            body = {
                "requests": [
                    {"type": "execute", "stmt": {"sql": "insert into account values (1, 1)"}},
                    {"type": "close"},
                ]
            }
            (result, _) = self.post("/v2/pipeline", body)["results"]
            assert result["error"]["code"] in {"SQLITE_CONSTRAINT", *MAY_HAPPEN}, result
            return
        self.pipeline(
            None, {"type": "execute", "stmt": {"sql": "insert into ledger default values"}}, {"type": "close"}
        )
        self.count()

    def sum_of_all(self) -> None:
        """Nobody ever sees half a transfer."""
        text = "select sum(balance), count(*) from account"
        way = self.random.randrange(5)
        if way == 0:
            found = self.post("/", {"statements": [text]})[0]["results"]["rows"][0]
        elif way == 1:
            found = [
                int(cell["value"]) for cell in self.post("/v1/execute", {"stmt": {"sql": text}})["result"]["rows"][0]
            ]
        elif way == 2:
            entries = self.post("/v3/cursor", {"batch": {"steps": [{"stmt": {"sql": text}}]}})
            found = [int(cell["value"]) for entry in entries if entry.get("type") == "row" for cell in entry["row"]]
        elif way == 3:
            found = [int(cell["value"]) for cell in self.ask(type="execute", stmt={"sql": text})["rows"][0]]
        else:
            _, (result, _) = self.pipeline(None, {"type": "execute", "stmt": {"sql": text}}, {"type": "close"})
            found = [int(cell["value"]) for cell in result["rows"][0]]
        assert found == [TOTAL, ACCOUNTS], found

    def raw(self, data: bytes, *, read: int = 0, wait: float = 0) -> None:
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall(data)
            if read:
                connection.recv(read)
            time.sleep(wait)

    def request(self, path: str, body: object) -> bytes:
        data = json.dumps(body)
        return f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(data)}\r\n\r\n{data}".encode()

    def cursor_left_early(self) -> None:
        text = f"select hex(zeroblob(5000)) from {numbers(2000)}"
        self.raw(self.request("/v3/cursor", {"batch": {"steps": [{"stmt": {"sql": text}}]}}), read=2000)

    def half_a_request(self) -> None:
        data = self.request("/v2/pipeline", {"requests": [{"type": "close"}]})
        self.raw(data[: self.random.randrange(len(data))])

    def long_statement_left(self) -> None:
        text = f"select sum(value) from {numbers(1000000000)}"
        body = {"requests": [{"type": "execute", "stmt": {"sql": text}}]}
        self.raw(self.request("/v2/pipeline", body), wait=0.05)

    def nonsense(self) -> None:
        self.raw(self.random.randbytes(200))

    def run(self) -> None:
        choices: list[tuple[int, Callable[[], None]]] = [
            (30, self.transfer_at_once), (20, self.transfer_with_baton), (20, self.transfer_over_websocket),
            (25, self.sum_of_all), (20, self.single_write), (2, self.cursor_left_early), (1, self.half_a_request),
            (1, self.long_statement_left), (1, self.nonsense), (1, self.leave),
        ]  # fmt: skip
        weights, operations = zip(*choices, strict=True)
        while not self.ending:
            with contextlib.suppress(Failed, ConnectionError, http.client.HTTPException):
                try:
                    self.random.choices(operations, weights)[0]()
                except Closed:
                    self.leave()
        self.leave()


def main(port: str, seed: str) -> None:
    client = Client(int(port), seed)

    def end(*_: object) -> None:
        client.ending = True

    signal.signal(signal.SIGTERM, end)
    client.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
