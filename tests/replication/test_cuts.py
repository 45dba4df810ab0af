"""Replicas behind a proxy that cuts, stalls and duplicates connections: late perhaps, but never wrong."""

from __future__ import annotations

import os
import random
import signal
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / "interop" / name) for name in ("_server", "_replication")]
sys.path.append(str(Path(__file__).parent))

from cutting_proxy import Proxy
from history import History, Model
from replicas import Following, Replica, ServerFollower, Writer
from sqld_process import OURS, REAL, Server, free_port

import libsql_core

SEED = os.environ.get("LIBSQL_CORE_SEED", str(random.randrange(10**6)))
TRANSACTIONS = int(os.environ.get("LIBSQL_CORE_TRANSACTIONS", "200"))


@pytest.mark.parametrize("primary_name", [OURS, REAL])
def test_embedded_replica(primary_name: str, server_cache: Path, tmp_path: Path) -> None:
    dice = random.Random(f"{SEED} {primary_name}")
    history = History(SEED, pages=250)
    with ExitStack() as stack:
        primary = stack.enter_context(Server(primary_name, server_cache, tmp_path / "primary"))
        proxy = stack.enter_context(Proxy(primary.port, dice))
        model = stack.enter_context(closing(Model(history)))
        writer = stack.enter_context(Writer(primary.port))
        for n in range(TRANSACTIONS // 2):
            writer.run(history.text(n))
        url = f"http://127.0.0.1:{proxy.port}"
        replica = stack.enter_context(Replica("libsql_core", server_cache, tmp_path / "replica" / "r.db", url))
        following = Following([replica], TRANSACTIONS, 90 + TRANSACTIONS)
        for n in range(TRANSACTIONS // 2, TRANSACTIONS):
            writer.run(history.text(n))
            if n % 10 == 0:
                proxy.wait_for_fault()
        proxy.calm()
        writer.run(history.text(TRANSACTIONS))
        (answer,) = following.answers()
        check(model, answer["seen"], f"seed {SEED}, {answer['errors'][-3:]}")
        replica.end()
        sound(replica.file)
        assert sum(proxy.done.values()) > 5, proxy.done


def test_replica_server(server_cache: Path, tmp_path: Path) -> None:
    dice = random.Random(f"{SEED} server")
    history = History(SEED, pages=250)
    port = free_port()
    with ExitStack() as stack:
        primary = stack.enter_context(
            Server(OURS, server_cache, tmp_path / "primary", "--grpc-listen-addr", f"127.0.0.1:{port}")
        )
        # What is cut are connections that replicate for ever: each ends after some bytes.
        proxy = stack.enter_context(Proxy(port, dice))
        model = stack.enter_context(closing(Model(history)))
        writer = stack.enter_context(Writer(primary.port))
        writer.run(history.text(0))
        flags = ["--primary-grpc-url", f"http://127.0.0.1:{proxy.port}"]
        replica = stack.enter_context(Server(OURS, server_cache, tmp_path / "replica", *flags))
        follower = ServerFollower(replica.port, TRANSACTIONS, 90 + TRANSACTIONS)
        for n in range(1, TRANSACTIONS):
            writer.run(history.text(n))
            if n % 20 == 0:
                proxy.wait_for_fault(0.2)
        proxy.calm()
        writer.run(history.text(TRANSACTIONS))
        follower.join()
        check(model, follower.seen, f"seed {SEED}, {follower.errors[-3:]}")
        assert sum(proxy.done.values()) > 2, proxy.done
        assert replica.stop() == 0
        sound(replica.data / "dbs" / "default" / "data")


def test_replica_server_that_sleeps(server_cache: Path, tmp_path: Path) -> None:
    """Whose primary makes snapshots of its log meanwhile, perhaps in the middle of what was being sent."""
    history = History(SEED, pages=250)
    listen = f"127.0.0.1:{free_port()}"
    flags = ["--grpc-listen-addr", listen, "--max-log-size", "2"]
    with ExitStack() as stack:
        primary = stack.enter_context(Server(OURS, server_cache, tmp_path / "primary", *flags))
        model = stack.enter_context(closing(Model(history)))
        writer = stack.enter_context(Writer(primary.port))
        writer.run(history.text(0))
        flags = ["--primary-grpc-url", f"http://{listen}"]
        replica = stack.enter_context(Server(OURS, server_cache, tmp_path / "replica", *flags))
        follower = ServerFollower(replica.port, TRANSACTIONS, 90 + TRANSACTIONS)
        for n in range(1, TRANSACTIONS + 1):
            if n % 40 == 10:
                replica.process.send_signal(signal.SIGSTOP)
            writer.run(history.text(n))
            if n % 40 == 35:
                replica.process.send_signal(signal.SIGCONT)
        replica.process.send_signal(signal.SIGCONT)
        follower.join()
        check(model, follower.seen, f"seed {SEED}, {follower.errors[-3:]}")
        assert replica.stop() == 0
        sound(replica.data / "dbs" / "default" / "data")


def check(model: Model, seen: list[tuple[int, str]], where: str) -> None:
    model.run(TRANSACTIONS, {n for n, _ in seen})
    model.check(seen, where)
    assert seen, where
    assert seen[-1][0] == TRANSACTIONS, (where, seen[-1])


def sound(file: Path) -> None:
    with closing(libsql_core.connect(file)) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
