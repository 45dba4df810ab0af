"""Protobuf over HTTP and WebSocket."""

from typing import Any

from protobuf_wire import encode
from recorder import Cases, Http, Ws, pb, pipeline, post

FLAGS = ["--enable-namespaces"]
Fields = dict[str, Any]
VALUES: list[Fields] = [
    {"null": {}}, {"integer": 0}, {"integer": 5}, {"integer": -5}, {"integer": 2**63 - 1}, {"integer": -(2**63)},
    {"float": 0.0}, {"float": 1.5},
    {"float": float("inf")}, {"text": ""}, {"text": "é\0"}, {"blob": b""}, {"blob": b"\0\xff"},
]  # fmt: skip


def run(sql: str, *args: Fields, **more: Any) -> Fields:
    return {"execute": {"stmt": {"sql": sql, "args": list(args), **more}}}


def piped(*requests: Fields, baton: str | None = None) -> Http:
    fields: Fields = {"baton": baton.ljust(64, "#")} if baton else {}
    return pb("PipelineReqBody", {**fields, "requests": list(requests)}, "/v3-protobuf/pipeline", "PipelineRespBody")


def cursor(*steps: Fields, baton: str | None = None) -> Http:
    fields: Fields = {"baton": baton.ljust(64, "#")} if baton else {}
    return pb("CursorReqBody", {**fields, "batch": {"steps": list(steps)}}, "/v3-protobuf/cursor", "CursorRespBody")


def step(sql: str, condition: Fields | None = None) -> Fields:
    return {**({"condition": condition} if condition else {}), "stmt": {"sql": sql}}


def raw(body: bytes, path: str = "/v3-protobuf/pipeline", answer: str = "PipelineRespBody") -> Http:
    return Http("POST", path, body, decode=answer)


def ask(number: int, **request: Any) -> Fields:
    return {"request": {"request_id": number, **request}}


HELLO: Fields = {"hello": {}}
STEPS = [
    step("create table t(a unique)"),
    step("insert into t values (1), (2)"),
    step("insert into t values (1)"),
    step("select * from t", {"step_error": 2}),
    step("select 'skipped'", {"step_ok": 2}),
    step("select 'error of skipped'", {"step_error": 4}),
    step("select 'not'", {"not": {"step_ok": 2}}),
    step("select 'and'", {"and": {"conds": [{"step_ok": 0}, {"step_error": 2}]}}),
    step("select 'or'", {"or": {}}),
    step("select 'auto'", {"is_autocommit": {}}),
]

CASES: Cases = {
    "values": [piped(*(run("select ?, typeof(?1)", value) for value in VALUES))],
    "results": [
        piped(
            *map(
                run,
                (
                    "create table t(a integer primary key, b)",
                    "insert into t values (6, 'x')",
                    "select * from t",
                    "update t set b = null",
                    "delete from t",
                    "select 1 where 0",
                    "selec",
                    "select * from nope",
                    "insert into t values (6, 2)",
                    "insert into t values (6, 2)",
                ),
            )
        )
    ],
    "requests": [
        piped(
            {"store_sql": {"sql_id": 1, "sql": "select ?"}},
            {"execute": {"stmt": {"sql_id": 1, "args": [{"null": {}}]}}},
            {"describe": {"sql_id": 1}},
            {"close_sql": {"sql_id": 1}},
            {"sequence": {"sql": "create table t(a); insert into t values (1)"}},
            {"describe": {"sql": "select a, a + 1, :x from t"}},
            {"describe": {"sql": "insert into t values (?)"}},
            {"get_autocommit": {}},
            run("begin"),
            {"get_autocommit": {}},
            {"describe": {"sql": "selec"}},
            {"describe": {"sql": ""}},
        ),
        piped(run("commit"), {"close": {}}, baton="%baton1%"),
    ],
    "empty": [raw(b""), piped({"close": {}})],
    "baton": [
        piped(run("begin")),
        pipeline({"type": "get_autocommit"}, baton="%baton1%"),
        piped({"get_autocommit": {}}, baton="%baton2%"),
        piped(run("select 1"), baton="%baton2%"),
        piped(run("select 1"), baton="nonsense"),
    ],
    "named": [
        piped(
            run(
                "select :a, $b",
                named_args=[{"name": "a", "value": {"integer": 1}}, {"name": "$b", "value": {"text": "x"}}],
            ),
            run("select ?, :a", {"integer": 1}, named_args=[{"name": "a", "value": {"integer": 1}}]),
            run("select ?"),
            run("select 1", {"null": {}}),
        )
    ],
    "batch": [
        piped({"batch": {"batch": {"steps": STEPS}}}, {"batch": {"batch": {}}}),
        piped({"batch": {"batch": {"steps": [step("select 1"), step("selec")]}}}),
    ],
    "cursor": [
        cursor(*STEPS),
        cursor(step("select count(*) from t"), step("select * from nope"), baton="%baton1%"),
        cursor(),
        cursor(step("select 1"), step("selec")),
    ],
    "broken": [
        raw(b"\xff\xff"),
        raw(b"\x12\x05a"),
        raw(b"\x12\x00"),
        raw(b"\x0a\x01\xff"),
        raw(b"{}"),
        raw(b"\xff", "/v3-protobuf/cursor"),
        raw(b"", "/v3-protobuf/cursor", "CursorRespBody"),
        piped({"execute": {"stmt": {"sql": "select ?", "args": [{}]}}}),
        piped({"execute": {}}),
        piped({"execute": {"stmt": {"sql": "select 1", "sql_id": 2}}}),
        piped({"execute": {"stmt": {"sql_id": 2}}}),
        piped({"batch": {"batch": {"steps": [step("select 1", {"step_ok": 3})]}}}),
        piped({"batch": {"batch": {"steps": [{"condition": {}, "stmt": {"sql": "select 1"}}]}}}),
        piped(run("select 1"), {"close": {}}, run("select 2")),
        raw(encode("PipelineReqBody", {"requests": [run("select 5")]}) + b"\xa2\x06\x01x"),
    ],
    "not utf-8": [piped(run("select cast(x'ff' as text)"))],
    "json on the protobuf route": [post("/v3-protobuf/pipeline", '{"requests":[]}')],
    "websocket": [
        Ws(
            (
                HELLO,
                ask(1, open_stream={"stream_id": 1}),
                ask(
                    2,
                    execute={
                        "stream_id": 1,
                        "stmt": {"sql": "select ?, ?", "args": [{"integer": -7}, {"blob": b"\1"}]},
                    },
                ),
                ask(3, batch={"stream_id": 1, "batch": {"steps": STEPS}}),
                ask(
                    4, open_cursor={"stream_id": 1, "cursor_id": 7, "batch": {"steps": [step("values (1), (2), (3)")]}}
                ),
                ask(5, fetch_cursor={"cursor_id": 7, "max_count": 2}),
                ask(6, fetch_cursor={"cursor_id": 7, "max_count": 100}),
                ask(7, fetch_cursor={"cursor_id": 7, "max_count": 100}),
                ask(8, close_cursor={"cursor_id": 7}),
                ask(9, sequence={"stream_id": 1, "sql": "begin; select 1"}),
                ask(10, get_autocommit={"stream_id": 1}),
                ask(11, describe={"stream_id": 1, "sql": "select 1"}),
                ask(12, store_sql={"sql_id": 1, "sql": "select 1"}),
                ask(13, execute={"stream_id": 1, "stmt": {"sql_id": 1}}),
                ask(14, close_sql={"sql_id": 1}),
                ask(15, execute={"stream_id": 1, "stmt": {"sql": "select * from nope"}}),
                ask(-1, close_stream={"stream_id": 1}),
            ),
            "hrana3-protobuf",
        )
    ],
    "websocket: no message": [Ws((HELLO, b""), "hrana3-protobuf")],
    "websocket: broken": [Ws((HELLO, b"\xff\xff\xff"), "hrana3-protobuf")],
    "websocket: text": [Ws((HELLO, '{"type":"hello"}'), "hrana3-protobuf")],
    "websocket: no request": [Ws((HELLO, ask(1)), "hrana3-protobuf")],
    "websocket: before hello": [Ws((ask(1, open_stream={"stream_id": 1}),), "hrana3-protobuf")],
}
