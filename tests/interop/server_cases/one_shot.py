"""Version 0 and version 1: requests without streams."""

from recorder import Cases, Http, batch, numbers, pipeline, post, stmt

FLAGS = ["--enable-namespaces"]


def v0(*statements: object, **more: object) -> Http:
    return post("/", {"statements": list(statements), **more})


def v1(sql: object, *args: object, **more: object) -> Http:
    return post("/v1/execute", {"stmt": stmt(sql, *args, **more) if isinstance(sql, str) else sql})


CASES: Cases = {
    "v0 results": [
        v0("create table if not exists z(a,b)", "insert into z values(1,'x')", "select * from z"),
        v0(),
        v0("select 1;", "-- x\nselect 2"),
    ],
    "v0 values": [v0("select 1, 2.5, 'x', null, x'00ff', x'', 9e999, 9007199254740993, 2.0, -0.0")],
    "v0 parameters": [
        v0({"q": "select ?, ?, ?, ?, ?, ?", "params": [None, True, 5, 2.5, "é", {"base64": "AP8"}]}),
        v0({"q": "select :a, @b, $c", "params": {"a": 1, "@b": 2, "$c": 3}}),
        v0({"q": "select 1"}),
        v0({"q": "select ?"}),
        v0({"q": "select ?", "params": []}),
        v0({"q": "select ?", "params": [1, 2]}),
        v0({"q": "select ?", "params": [{"base64": "aGk="}]}),
        v0({"q": "select ?", "params": [[1]]}),
        v0({"q": "select ?", "params": [{"x": 1}]}),
        v0({"q": "select ?", "params": 5}),
        v0({"q": "select 9", "more": 1}),
        v0({"params": []}),
        v0(5),
        v0(None),
    ],
    "v0 bodies": [
        post("/", body)
        for body in (
            "",
            "{",
            "[]",
            "{}",
            '{"statements":5}',
            '{"statements":[]} x',
            "{x}",
            '{"statements":["select 1"],"more":1}',
            '{"statements":[],"replication_index":5}',
            '{"statements":[],"replication_index":null}',
        )
    ],
    "v0 errors": [
        v0("create table t(x)"),
        v0("insert into t values (1)", "select * from nope", "insert into t values (2)"),
        v0("select * from t"),
        v0(""),
        v0("selec"),
        v0("vacuum"),
        v0("select 1; select 2"),
        v0("begin"),
        v0("begin", "insert into t values (3)", "commit"),
        v0("begin", "commit", "select count(*) from t"),
        v0("savepoint s"),
        v0("savepoint s", "release s"),
        v0("rollback to s"),
        v0("select 1", "begin"),
        v0("insert into t values (4)", "selec"),
        v0("select * from t"),
        v0("select hex(zeroblob(6000000))"),
    ],
    "v0 error in a transaction": [
        v0("create table t(x)"),
        v0("begin", "insert into t values (1)", "select * from nope", "commit"),
        v0("select * from t"),
    ],
    "v0 reply that is too large": [v0(f"select value, 'some text' from {numbers(900000)}")],
    "v0 text that is not utf-8": [v0("select cast(x'ff' as text)")],
    "v1 execute": [
        v1("select 1 as a"),
        v1("create table t(a unique)"),
        v1("insert into t values (?)", 5),
        v1("insert into t values (5)"),
        v1("selec"),
        v1(""),
        v1("select 1; select 2"),
        v1("select ?"),
        v1("select nope"),
        v1("select * from nope"),
        v1("select hex(zeroblob(9000000))"),
        v1({"sql_id": 1}),
        v1({}),
        v1("select ?", 1, named_args=[{"name": "a", "value": {"type": "null"}}]),
        v1("begin"),
        v1("select count(*) from t"),
        v1("select cast(x'ff' as text)"),
        v1("vacuum"),
        v1("commit"),
    ],
    "v1 bodies": [
        post("/v1/execute", body)
        for body in ("", "{}", '{"stmt":{}}', '{"stmt":5}', '{"stmt":{"sql":"select 1"}} x', "[]")
    ]
    + [
        post("/v1/batch", body)
        for body in ("", "{}", '{"batch":{}}', '{"batch":{"steps":[{}]}}', '{"batch":{"steps":[]}}')
    ],
    "v1 batch": [
        post(
            "/v1/batch",
            {
                "batch": batch(
                    "create table t(a unique)",
                    "insert into t values (1)",
                    "insert into t values (1)",
                    ({"type": "error", "step": 2}, "select 'failed'"),
                    ({"type": "ok", "step": 2}, "select 'fine'"),
                )
            },
        ),
        post("/v1/batch", {"batch": batch("insert into t values (2)", "selec")}),
        pipeline("select * from t"),
        post("/v1/batch", {"batch": batch(({"type": "is_autocommit"}, "select 1"))}),
        post("/v1/batch", {"batch": batch(({"type": "ok", "step": 0}, "select 1"))}),
        post("/v1/batch", {"batch": {"steps": [{"stmt": {"sql_id": 1}}]}}),
        post("/v1/batch", {"batch": batch("begin", "insert into t values (9)")}),
        pipeline("select * from t"),
    ],
}
