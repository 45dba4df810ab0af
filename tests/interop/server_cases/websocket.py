"""Hrana over WebSocket."""

from typing import Any

from recorder import Cases, Frame, Together, Wait, Ws, batch, pipeline, stmt
from websocket_wire import BINARY, PING, TEXT

FLAGS = ["--enable-namespaces"]
HELLO = {"type": "hello"}


def ask(number: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "request", "request_id": number, "request": {"type": kind, **fields}}


def run(number: int, sql: str, *args: Any, stream: int = 1) -> dict[str, Any]:
    return ask(number, "execute", stream_id=stream, stmt=stmt(sql, *args))


OPEN = ask(0, "open_stream", stream_id=1)
READY = (HELLO, OPEN)
PROTOCOLS = [
    "hrana3",
    "hrana2",
    "hrana1",
    None,
    "hrana3, hrana2, hrana1",
    "hrana1, hrana3",
    "HRANA2",
    "hrana2,hrana1",
    "hrana4",
    "hrana4, hrana2",
    "graphql-ws",
    "hrana3, hrana3-protobuf",
]
BROKEN = [
    "",
    "{",
    "[]",
    "5",
    '{"type":"bogus"}',
    "{}",
    '{"type":"request"}',
    '{"type":"request","request_id":1}',
    '{"type":"request","request_id":"x","request":{"type":"open_stream","stream_id":1}}',
    '{"type":"request","request_id":1,"request":{"type":"bogus"}}',
    '{"type":"request","request_id":1,"request":{"type":"open_stream"}}',
    '{"type":"request","request_id":1,"request":null}',
    '{"type":"request","request_id":3000000000,"request":{"type":"open_stream","stream_id":1}}',
    '{"type":"hello","jwt":5}',
]
FATAL: dict[str, dict[str, Any]] = {
    "unknown stream": run(1, "select 1", stream=9),
    "stream twice": OPEN,
    "unknown sql": ask(1, "execute", stream_id=1, stmt={"sql_id": 9}),
    "no sql": ask(1, "describe", stream_id=1),
    "both": ask(1, "sequence", stream_id=1, sql="select 1", sql_id=1),
    "unknown cursor": ask(1, "fetch_cursor", cursor_id=5, max_count=1),
    "close unknown cursor": ask(1, "close_cursor", cursor_id=5),
    "step ahead": ask(1, "batch", stream_id=1, batch=batch(({"type": "ok", "step": 0}, "select 1"))),
    "cursor on unknown stream": ask(1, "open_cursor", stream_id=9, cursor_id=1, batch=batch("select 1")),
    "autocommit of unknown stream": ask(1, "get_autocommit", stream_id=9),
}

CASES: Cases = {
    **{
        f"protocol {protocol}": [Ws((HELLO, OPEN, run(1, "select 1")), protocol)]
        for protocol in PROTOCOLS
        if not protocol or "protobuf" not in protocol
    },
    "protobuf comes first": [Ws(({"hello": {}},), "hrana3, hrana3-protobuf")],
    "hello": [Ws((HELLO, HELLO, {"type": "hello", "jwt": None}, {"type": "hello", "jwt": "nonsense"}))],
    "hello twice in version 1": [Ws((HELLO, HELLO), "hrana1")],
    "hello later": [Ws((OPEN,))],
    "without waiting": [Ws((Together((HELLO, OPEN, run(1, "select 1"))),))],
    "execute": [
        Ws(
            (
                *READY,
                run(1, "create table t(a, b)"),
                run(2, "insert into t values (?, ?)", 1, "é"),
                run(3, "select * from t"),
                run(4, "selec"),
                run(5, "select * from nope"),
                run(6, "vacuum"),
                run(7, "select ?"),
                run(7, "select :a, ?", 1),
                run(-8, "select 1, 2.5, null, x'ff', 9e999"),
            )
        )
    ],
    "batch": [
        Ws(
            (
                *READY,
                ask(
                    1,
                    "batch",
                    stream_id=1,
                    batch=batch(
                        "create table t(a unique)",
                        "insert into t values (1)",
                        "insert into t values (1)",
                        ({"type": "error", "step": 2}, "select 1"),
                        ({"type": "ok", "step": 2}, "select 2"),
                        ({"type": "is_autocommit"}, "select 3"),
                    ),
                ),
                ask(2, "batch", stream_id=1, batch=batch("select 1", "selec")),
            )
        )
    ],
    "sequence, describe, autocommit": [
        Ws(
            (
                *READY,
                ask(1, "sequence", stream_id=1, sql="create table t(a); begin"),
                ask(2, "get_autocommit", stream_id=1),
                ask(3, "describe", stream_id=1, sql="select a, :x from t"),
                ask(4, "sequence", stream_id=1, sql="selec"),
                ask(5, "sequence", stream_id=1, sql="insert into nope values (1)"),
                ask(6, "describe", stream_id=1, sql="selec"),
            )
        )
    ],
    "stored sql is of the connection": [
        Ws(
            (
                HELLO,
                ask(1, "store_sql", sql_id=1, sql="select ?"),
                OPEN,
                ask(2, "open_stream", stream_id=2),
                ask(3, "execute", stream_id=1, stmt={"sql_id": 1, "args": [{"type": "null"}]}),
                ask(4, "execute", stream_id=2, stmt={"sql_id": 1, "args": [{"type": "null"}]}),
                ask(5, "describe", stream_id=2, sql_id=1),
                ask(6, "close_sql", sql_id=1),
                ask(7, "close_sql", sql_id=1),
                ask(8, "store_sql", sql_id=1, sql="-- long" + "x" * 6000),
            )
        )
    ],
    "too much stored sql": [Ws((HELLO, *(ask(n, "store_sql", sql_id=n, sql="select 1") for n in range(151))))],
    "stored twice": [
        Ws((HELLO, ask(1, "store_sql", sql_id=1, sql="select 1"), ask(2, "store_sql", sql_id=1, sql="select 1")))
    ],
    "streams": [
        Ws(
            (
                *READY,
                run(1, "create table t(a)"),
                run(2, "begin"),
                run(3, "insert into t values (1)"),
                ask(4, "open_stream", stream_id=2),
                run(5, "select count(*) from t", stream=2),
                ask(6, "close_stream", stream_id=1),
                run(7, "select count(*) from t", stream=2),
                OPEN,
                ask(8, "get_autocommit", stream_id=1),
                ask(9, "close_stream", stream_id=77),
                ask(10, "open_stream", stream_id=-5),
                run(11, "select 1", stream=-5),
            )
        )
    ],
    "a closed id is free at once": [
        Ws(
            (
                *READY,
                Together((ask(1, "close_stream", stream_id=1), ask(2, "open_stream", stream_id=1))),
                run(3, "select 1"),
            )
        )
    ],
    "a stream waits longer than over HTTP": [Ws((*READY, run(1, "begin immediate"), Wait(11.5), run(2, "commit")))],
    "cursors": [
        Ws(
            (
                *READY,
                ask(
                    1,
                    "open_cursor",
                    stream_id=1,
                    cursor_id=1,
                    batch=batch(
                        "values (1), (2), (3)", "select * from nope", ({"type": "error", "step": 1}, "select 'x' as y")
                    ),
                ),
                ask(2, "fetch_cursor", cursor_id=1, max_count=0),
                ask(3, "fetch_cursor", cursor_id=1, max_count=2),
                ask(4, "fetch_cursor", cursor_id=1, max_count=100),
                ask(5, "fetch_cursor", cursor_id=1, max_count=100),
                ask(6, "close_cursor", cursor_id=1),
                run(7, "select 'the stream is free'"),
            )
        )
    ],
    "a cursor is closed early": [
        Ws(
            (
                *READY,
                ask(1, "open_cursor", stream_id=1, cursor_id=1, batch=batch("values (1), (2), (3)")),
                ask(3, "fetch_cursor", cursor_id=1, max_count=2),
                ask(6, "close_cursor", cursor_id=1),
                run(7, "select 1"),
            )
        )
    ],
    "a cursor that does not parse": [
        Ws(
            (
                *READY,
                ask(1, "open_cursor", stream_id=1, cursor_id=1, batch=batch("select 1", "selec")),
                run(7, "select 1"),
                ask(2, "open_cursor", stream_id=1, cursor_id=1, batch=batch("select 2")),
                ask(3, "fetch_cursor", cursor_id=1, max_count=10),
            )
        )
    ],
    "a stream goes with its cursor": [
        Ws(
            (
                *READY,
                ask(1, "open_cursor", stream_id=1, cursor_id=1, batch=batch("values (1), (2)")),
                ask(2, "close_stream", stream_id=1),
                ask(3, "close_cursor", cursor_id=1),
            )
        )
    ],
    **{f"fatal: {name}": [Ws((*READY, message))] for name, message in FATAL.items()},
    **{f"broken {number}": [Ws((HELLO, message))] for number, message in enumerate(BROKEN)},
    "newer than the protocol": [
        Ws((*READY, message), protocol)
        for message, protocol in (
            (ask(1, "sequence", stream_id=1, sql="select 1"), "hrana1"),
            (ask(1, "describe", stream_id=1, sql="select 1"), "hrana1"),
            (ask(1, "store_sql", sql_id=1, sql="select 1"), "hrana1"),
            (ask(1, "get_autocommit", stream_id=1), "hrana2"),
            (ask(1, "open_cursor", stream_id=1, cursor_id=1, batch=batch("select 1")), "hrana2"),
            (ask(1, "execute", stream_id=1, stmt={"sql_id": 1}), "hrana1"),
        )
    ],
    "binary on json": [Ws((HELLO, Frame(BINARY, b"x")))],
    "fragments": [
        Ws(
            (
                HELLO,
                Frame(TEXT, b'{"type":"request","request_id":1,', last=False, answered=False),
                Frame(0, b'"request":{"type":"open_stream","stream_id":1}}'),
            )
        )
    ],
    "ping": [Ws((HELLO, Frame(PING, b"hello")))],
    "transaction across requests": [
        Ws(
            (
                *READY,
                run(1, "create table t(a)"),
                run(2, "begin"),
                run(3, "insert into t values (1)"),
                run(4, "commit"),
                run(5, "select * from t"),
            )
        ),
        pipeline("select * from t"),
    ],
    "the socket goes, so does the transaction": [
        Ws((*READY, run(1, "create table t(a)"), run(2, "begin immediate"), run(3, "insert into t values (1)"))),
        Wait(0.5),
        pipeline("insert into t values (2)", "select * from t"),
    ],
    "a namespace that is not": [Ws((HELLO,), headers={"host": "nowhere.localhost"})],
    "headers are no credentials": [Ws((HELLO,), headers={"authorization": "Bearer nonsense"})],
}
