"""A primary, a server that replicates it, and an embedded replica in this program.

pip install 'libsql-core[server]'
python replica.py
"""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import libsql_core


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server(folder: Path, port: int, *flags: str) -> Iterator[None]:
    command = [sys.executable, "-m", "libsql_core.server", "--no-welcome", "--db-path", str(folder)]
    with (folder.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--http-listen-addr", f"127.0.0.1:{port}", *flags], stdout=log, stderr=log
        )
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, sql: str) -> list[list[str]]:
    """The rows of a statement, from a server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = {"requests": [{"type": "execute", "stmt": {"sql": sql}}, {"type": "close"}]}
    connection.request("POST", "/v2/pipeline", json.dumps(body))
    result = json.loads(connection.getresponse().read())["results"][0]
    connection.close()
    return [[cell["value"] for cell in row] for row in result["response"]["result"]["rows"]]


def main(folder: Path) -> None:
    first, second, between = free_port(), free_port(), f"127.0.0.1:{free_port()}"
    with (
        server(folder / "primary", first, "--grpc-listen-addr", between),
        server(folder / "replica", second, "--primary-grpc-url", f"http://{between}"),
    ):
        con = libsql_core.connect(folder / "local.db", sync_url=f"http://127.0.0.1:{first}")
        con.execute("CREATE TABLE song(id INTEGER PRIMARY KEY, title)")
        with con:
            con.executemany("INSERT INTO song(title) VALUES (?)", [("Aria",), ("Canon",)])
        print("written on the primary, read here:", con.execute("SELECT title FROM song").fetchall())

        ask(second, "INSERT INTO song(title) VALUES ('Fugue')")
        print("through the other server:", ask(second, "SELECT title FROM song WHERE id = 3"))
        print("not here yet:", con.execute("SELECT count(*) FROM song").fetchone())
        print("frames that came:", con.sync().frames_synced > 0)
        print("now:", con.execute("SELECT count(*) FROM song").fetchone())
        con.close()

    con = libsql_core.connect(folder / "local.db", sync_url=f"http://127.0.0.1:{first}")
    print("without the primary:", con.execute("SELECT max(title) FROM song").fetchone())
    try:
        con.sync()
    except libsql_core.OperationalError as error:
        print("sync:", type(error).__name__)
    con.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
