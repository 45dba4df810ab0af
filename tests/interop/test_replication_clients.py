"""Replicas that nobody here wrote follow our primary, and ours follow the real sqld, through one random history.

All of them at once, while transactions are written; in the middle the primary is stopped and started again. Its log is
so short that it becomes snapshots now and then. At the end others come that have nothing yet.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).with_name(name)) for name in ("_server", "_replication")]

from history import History, Model
from replicas import Following, Replica, ServerFollower, Writer, opened
from sqld_process import OURS, REAL, Server, free_port

import libsql_core

TRANSACTIONS = int(os.environ.get("LIBSQL_CORE_TRANSACTIONS", "2000"))
SEED = os.environ.get("LIBSQL_CORE_SEED", "1")
OLD = ["libsql-old", "libsql_experimental", "npm:libsql", "npm:@libsql/client"]
CASES = {
    # Where ours has begun with the log's protocol, the old ones go on with it; the newest of PyPI speaks the other. The
    # server tells them apart by their tokens, of which it checks none.
    OURS: (["libsql_core", *OLD, "libsql"], [REAL, OURS]),
    REAL: (["libsql_core"], [OURS]),
}


@pytest.mark.parametrize("name", CASES)
def test_replicas_follow(name: str, server_cache: Path, tmp_path: Path) -> None:
    kinds, servers = CASES[name]
    flags = ["--grpc-listen-addr", f"127.0.0.1:{free_port()}", "--max-log-size", "8"]
    with ExitStack() as stack:
        primary = stack.enter_context(Server(name, server_cache, tmp_path / "primary", *flags))
        history = History(SEED)
        model = stack.enter_context(closing(Model(history)))
        with Writer(primary.port) as writer:
            writer.run(history.text(0))
            replica_flags = ["--primary-grpc-url", f"http://{flags[1]}"]
            replica_servers = [
                stack.enter_context(Server(each, server_cache, tmp_path / f"replica-{each}", *replica_flags))
                for each in servers
            ]
            url = primary.url

            def replica(kind: str, where: str) -> Replica:
                file = tmp_path / f"{where} {kind.replace(':', '-').replace('/', '-')}" / "r.db"
                made = stack.enter_context(opened(kind, server_cache, file, url, f"{where}-{kind}"))
                if kind == "libsql_core":
                    made.ask("sync")
                return made

            replicas = [replica(kind, "early") for kind in kinds]
            following = Following(replicas, TRANSACTIONS)
            followers = [ServerFollower(server.port, TRANSACTIONS) for server in replica_servers]
            for n in range(1, TRANSACTIONS // 2):
                writer.run(history.text(n))
        assert primary.stop() == 0
        again = Server(name, server_cache, tmp_path / "primary", *flags, port=primary.port)
        primary = stack.enter_context(again)
        with Writer(primary.port) as writer:
            for n in range(TRANSACTIONS // 2, TRANSACTIONS + 1):
                writer.run(history.text(n))
            answers = dict(zip(kinds, following.answers(), strict=True))
            for follower in followers:
                follower.join()
            late = [replica(kind, "late") for kind in kinds]
            for kind, answer in zip(kinds, Following(late, TRANSACTIONS).answers(), strict=True):
                answers[f"late {kind}"] = answer
            seen = {kind: answer["seen"] for kind, answer in answers.items()}
            seen |= {f"server {each}": follower.seen for each, follower in zip(servers, followers, strict=True)}
            model.run(TRANSACTIONS, {TRANSACTIONS, *(n for states in seen.values() for n, _ in states)})
            assert writer.state() == (TRANSACTIONS, model.hashes[TRANSACTIONS])
        for who, states in seen.items():
            # The real replica asks the primary at first, and may go back when it no longer does.
            model.check(states, who, back=who == f"server {REAL}")
            said = answers[who]["errors"][-3:] if who in answers else followers[servers.index(who[7:])].errors[-3:]
            assert states, (who, said)
            assert states[-1][0] == TRANSACTIONS, (who, states[-1], said)
        for each in (*replicas, *late):
            each.end()
            with closing(libsql_core.connect(each.file)) as con:
                assert con.execute("pragma integrity_check").fetchall() == [("ok",)], each.kind
