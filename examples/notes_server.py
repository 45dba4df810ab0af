"""A secured server with a namespace for each customer: keys, tokens, the admin API, and requests over HTTP.

pip install 'libsql-core[server]'
python notes_server.py
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def request(method: str, url: str, body: object = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=10) as answer:
        read = answer.read()
    return json.loads(read) if read else None


class Database:
    """A namespace as one client sees it."""

    def __init__(self, url: str, namespace: str, token: str) -> None:
        self.url = url
        self.headers = {"Host": f"{namespace}.localhost", "Authorization": f"Bearer {token}"}

    def rows(self, sql: str, **values: int | str) -> list[list[Any]]:
        given = [
            {"name": name, "value": {"type": "text" if isinstance(value, str) else "integer", "value": str(value)}}
            for name, value in values.items()
        ]
        statement = {"type": "execute", "stmt": {"sql": sql, "named_args": given}}
        body = {"requests": [statement, {"type": "close"}]}
        result = request("POST", f"{self.url}/v2/pipeline", body, **self.headers)["results"][0]
        if result["type"] == "error":
            raise RuntimeError(result["error"]["message"])
        return [[cell.get("value") for cell in row] for row in result["response"]["result"]["rows"]]


def start(folder: Path, public_key: str, port: int, admin_port: int) -> "subprocess.Popen[bytes]":
    (folder / "public.pem").write_text(public_key)
    command = [
        sys.executable, "-m", "libsql_core.server", "--no-welcome", "--enable-namespaces",
        "--db-path", str(folder / "data"), "--auth-jwt-key-file", str(folder / "public.pem"),
        "--http-listen-addr", f"127.0.0.1:{port}", "--admin-listen-addr", f"127.0.0.1:{admin_port}",
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(200):
        try:
            request("GET", f"http://127.0.0.1:{port}/health")
            return server
        except OSError:
            time.sleep(0.05)
    server.kill()
    raise RuntimeError("the server does not answer")


def main() -> None:
    key = Ed25519PrivateKey.generate()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    with tempfile.TemporaryDirectory() as folder:
        port, admin_port = free_port(), free_port()
        server = start(Path(folder), public, port, admin_port)
        try:
            url, admin = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
            for customer in ("ada", "grace"):
                request("POST", f"{admin}/v1/namespaces/{customer}/create", {"max_db_size": "10MB"})

            # Ada's own program may write in her namespace; a report may only read there.
            writer = Database(url, "ada", jwt.encode({"id": "ada"}, key, algorithm="EdDSA"))
            reader = Database(url, "ada", jwt.encode({"id": "ada", "a": "ro"}, key, algorithm="EdDSA"))
            writer.rows("CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
            for text in ("the engine", "the cards"):
                writer.rows("INSERT INTO note(text) VALUES (:text)", text=text)
            print("notes:", reader.rows("SELECT id, text FROM note WHERE id >= :first", first=1))

            for who, sql in ((reader, "DELETE FROM note"), (Database(url, "grace", ""), "SELECT 1")):
                try:
                    who.rows(sql)
                except urllib.error.HTTPError as error:
                    with error:
                        print("refused:", error.code, json.load(error)["error"])
            counted = request("GET", f"{admin}/v1/namespaces/ada/stats")
            print("rows written:", counted["rows_written_count"] > 0)
        finally:
            server.terminate()
            print("ended with", server.wait(30))


if __name__ == "__main__":
    main()
