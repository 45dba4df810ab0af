"""`/v2/pipeline` and `/v3/pipeline`: streams, values, arguments, results, errors."""

from recorder import Cases, Http, Json, Wait, batch, execute, pipeline, post, stmt

FLAGS = ["--enable-namespaces"]
PATH = "/v3/pipeline"

TABLE = "create table t(a integer primary key, b text, c blob, d real)"
VALUES: list[Json] = [
    None, 0, 5, -5, 2**63 - 1, -(2**63), 2**53 + 1, 1.5, 2.0, -0.0, 3e20, 1e-7, 1e300, 5e-324, 0.1, 1 / 3, "", "é",
    "\0", "a\0b",
    "𝄞", '"\\/\b\f\n\r\t\x1f', {"type": "blob", "base64": ""}, {"type": "blob", "base64": "AQI"},
    {"type": "blob", "base64": "AQI="}, {"type": "blob", "base64": "+/8"}, {"type": "float", "value": 5},
    {"type": "integer", "value": "+5"}, {"type": "integer", "value": "-0"}, {"type": "integer", "value": "007"},
]  # fmt: skip
BAD_VALUES: list[Json] = [
    {"type": "integer", "value": 5}, {"type": "integer", "value": ""}, {"type": "integer", "value": " 5"},
    {"type": "integer", "value": "9223372036854775808"}, {"type": "integer", "value": "1e3"}, {"type": "integer"},
    {"type": "float", "value": "1.5"}, {"type": "float", "value": None}, {"type": "text", "value": 5}, {"type": "text"},
    {"type": "blob", "base64": "_-8"}, {"type": "blob", "base64": "A"}, {"type": "blob", "base64": "A==="},
    {"type": "blob"},
    {"type": "bool", "value": True}, {}, None, 5, "x", [],
]  # fmt: skip
BAD_BODIES = [
    "",
    " ",
    "{",
    "[]",
    "null",
    "5",
    "nonsense",
    '{"requests":}',
    "{}",
    '{"requests":null}',
    '{"requests":5}',
    '{"requests":[]} x',
    '{"requests":[]}}',
    '{"requests":[],"requests":[]}',
    "\ufeff{}",
    '{"requests":[5]}',
    '{"requests":[{}]}',
    '{"requests":[{"type":5}]}',
    '{"requests":[{"type":"bogus"}]}',
    '{"requests":[{"type":"execute"}]}',
    '{"requests":[{"type":"execute","stmt":{"sql":5}}]}',
    '{"requests":[{"type":"execute","stmt":{"sql":"x","args":null}}]}',
    '{"requests":[{"type":"execute","stmt":{"sql":"x","args":{}}}]}',
    '{"baton":5,"requests":[]}',
    '{"requests":[{"type":"batch","batch":{}}]}',
    '{"requests":[{"type":"batch","batch":{"steps":[{}]}}]}',
    '{"requests":[{"type":"store_sql","sql_id":1}]}',
    '{"requests":[{"type":"store_sql","sql_id":3000000000,"sql":"x"}]}',
    '{"requests":[{"type":"execute","stmt":{"sql":"select 1","replication_index":-1}}]}',
    '{"requests":[{"type":"batch","batch":{"steps":[{"stmt":{"sql":"x"},"condition":{"type":"bogus"}}]}}]}',
    '{"requests":[{"type":"batch","batch":{"steps":[{"stmt":{"sql":"x"},"condition":{"type":"ok","step":-1}}]}}]}',
]
GOOD_BODIES = [
    '{"requests":[]}',
    ' \n\t{"requests" : [ ] } \n',
    '{"extra":[1,{"a":null}],"requests":[],"baton":null}',
    '{"requests":[{"stmt":{"sql":"select 1","x":1},"more":2,"type":"execute"}]}',
    '{"requests":[{"type":"execute","stmt":{"sql":"select 1","sql_id":null,"want_rows":false,"named_args":[]}}]}',
    '{"requests":[{"type":"execute","stmt":{"sql":"select 1","want_rows":null,"replication_index":"1000000"}}]}',
    '{"requests":[{"type":"execute","stmt":{"sql":"select 1","replication_index":7}}]}',
    '{"requests":[{"type":"execute","stmt":{"sql":"select \'\\u00e9\\ud834\\udd1e\'"}}]}',
    '{"requests":[{"type":"get_autocommit"},{"type":"describe","sql":"select 1","sql_id":null}]}',
]
ERRORS = [
    "selec", "select 1 frm", "", ";", "-- nothing", "/* nothing */", "select 1; select 2", "select 1;", ";select 1",
    "select nope",
    "select * from nope", "select nope()", "select * from nope.t", "insert into t values (1)",
    "insert into t values (1,2,3)",
    "insert into u values (1)", "create table t(a)", "select json('x')", "select abs(-9223372036854775808)", "commit",
    "rollback",
    "release s", "rollback to s", "select load_extension('x')", "select hex(zeroblob(5000001))", "select 1 +",
    "select 'open",
    "select 99999999999999999999", "select 1e", "select @", "select x'0'", "select zeroblob(6000000)", "create table",
    "insert into t(a) values ('x')", "select cast('9' as integer) as \"two words\"", "select raise(abort, 'x')",
    "drop table nope",
    "alter table nope add column x", "update t set nope = 1", "delete from t where nope = 1", "select (select 1, 2)",
    "select 1 union select 1, 2", "insert into t default values returning nope", "create index i on t(nope)",
]  # fmt: skip
RESULTS = [
    "select 1, 2.5, 'x', null, x'00ff'", "select 1 as a, 2 as a, 3 as \"\"", "select a, b, c, d, a + 1 from t",
    "select count(*) from t", "values (1), (2)", "select 9e999, -9e999",
    "select 9007199254740993, 1e15, 1e16, 123456789012345680.0",
    "insert into t values (1, 'x', x'01', 1.5), (2, 'y', null, 2)", "insert into t(b) values ('z') returning a, b",
    "update t set b = b || '!' where a < 3", "update t set b = 'n' where a = 99 returning *",
    "replace into t values (1, 'r', 0, 0)",
    "delete from t where a = 2", "select last_insert_rowid(), changes(), total_changes()", "create index i on t(b)",
    "create view v as select a, b as bb from t", "select * from v", "explain select 1",
    "pragma table_info(t)", "select rowid, * from t order by a desc limit 1",
    "with x(n) as (values (1), (2)) select * from x",
    "create table w(a) without rowid", "create table w(a integer primary key, b) without rowid",
    "insert into w values (3, 4)",
    "select libsql_server_database_name() is not null", "begin", "select 1", "insert into t(b) values ('in')",
    "commit", "begin immediate", "rollback",
    "savepoint s", "release s", "select typeof(d), typeof(a) from t", "alter table t add column e default 7",
    "drop table t",
    "create virtual table f using fts5(x)", "insert into f values ('hello world')",
    "select * from f where f match 'hello'",
    "select vector_extract(vector32('[1,2,3]')), length(vector32('[1,2]'))", "select sqlite_version() > '3.40'",
    "reindex",
]  # fmt: skip


def bound(sql: str, *args: Json, **more: Json) -> Http:
    return pipeline(execute(sql, *args, **more))


def named(sql: str, **values: Json) -> Http:
    return bound(
        sql, named_args=[{"name": name, "value": {"type": "integer", "value": str(of)}} for name, of in values.items()]
    )


CASES: Cases = {
    **{f"value {number}: {str(of)[:20]}": [bound("select ?, typeof(?1)", of)] for number, of in enumerate(VALUES)},
    **{
        f"bad value {number}": [
            post(PATH, {"requests": [{"type": "execute", "stmt": {"sql": "select ?", "args": [of]}}]})
        ]
        for number, of in enumerate(BAD_VALUES)
    },
    **{f"bad body {number}: {body[:40]}": [post(PATH, body)] for number, body in enumerate(BAD_BODIES)},
    **{f"good body {number}": [post(PATH, body)] for number, body in enumerate(GOOD_BODIES)},
    "not utf-8": [post(PATH, b'{"requests":[{"type":"execute","stmt":{"sql":"select \'\xff\'"}}]}')],
    "escapes in integers and blobs": [
        post(
            PATH,
            '{"requests":[{"type":"execute","stmt":{"sql":"select ?","args":[{"type":"integer","value":"\\u0035"}]}}]}',
        ),
        post(
            PATH,
            '{"requests":[{"type":"execute","stmt":{"sql":"select ?","args":[{"type":"blob","base64":"ab\\/c"}]}}]}',
        ),
    ],
    "text that is not utf-8": [pipeline("select cast(x'ff' as text)", "select 1")],
    "errors": [pipeline(TABLE, *ERRORS)],
    "results": [pipeline(TABLE, *RESULTS)],
    "positional": [
        bound("select ?, ?", 1, 2),
        bound("select ?, ?", 1),
        bound("select ?", 1, 2),
        bound("select ?3", 1, 2, 3),
        bound("select ?2, ?1", 1, 2),
        bound("select ?3", 1),
        bound("select :a", 1),
        bound("select @a, $b", 1, 2),
        bound("select ?, :a", 1, 2),
        bound("select 1", 1),
        bound("explain select ?"),
        bound("select ?1, ?1", 1),
        bound("select ?", {"type": "text", "value": "x" * 5_000_001}),
    ],
    "named": [
        named("select :a", a=1),
        named("select :a, @a, $a", a=1),
        named("select :a, @a, $a", **{":a": 1, "@a": 2, "$a": 3}),
        named("select :a, :b", a=1),
        named("select :a", a=1, b=2),
        named("select ?1", **{"?1": 1}),
        named("select ?1", **{"1": 1}),
        named("select :a", **{":a": 1, "a": 2}),
        named("select :A", a=1),
        bound("select ?, :a", 1, named_args=[{"name": "a", "value": {"type": "null"}}]),
    ],
    "replication index": [
        pipeline(TABLE, "insert into t(a) values (1)", "select 1", "create table u(x)", "drop table u")
    ],
    "counters": [
        pipeline(
            TABLE,
            "insert into t values (1,'x',null,0.5),(2,'y',null,1)",
            "create table w(x)",
            "insert into w values (1)",
            "select * from t",
            "create table u(x)",
            "select * from u",
            "insert into u values (1),(2),(3),(4),(10)",
            "update u set x=x+1",
            "delete from u where x>5",
            "insert into u values (9) returning x",
            "select count(*) from u",
            "select max(a) from t",
            "create index ti on t(b)",
            "select 1",
            "pragma table_info(t)",
            "begin",
            "commit",
            "select * from t order by d",
            "drop table w",
        ),
    ],
    "stream lives on": [
        pipeline("create table s(x)"),
        pipeline("insert into s values (1)", "begin", baton="%baton1%"),
        pipeline("insert into s values (2)", {"type": "get_autocommit"}, baton="%baton2%"),
        pipeline("rollback", "select count(*) from s", baton="%baton3%"),
        pipeline({"type": "close"}, baton="%baton4%"),
        pipeline("select 1", baton="%baton4%"),
        pipeline("select 1", baton="%baton1%"),
    ],
    "baton on other routes": [
        pipeline("create temp table x(a)", "begin"),
        pipeline({"type": "get_autocommit"}, baton="%baton1%"),
        pipeline("select 1", baton="%baton2%", path="/v2/pipeline"),
        post("/v3/cursor", {"baton": "%baton3%", "batch": batch("select 1")}),
        pipeline({"type": "get_autocommit"}, baton="%baton4%"),
    ],
    "baton used twice": [
        pipeline(),
        pipeline("select 1", baton="%baton1%"),
        pipeline("select 1", baton="%baton1%"),
        pipeline("select 2", baton="%baton2%"),
    ],
    "forged batons": [
        pipeline("select 1", baton=baton) for baton in ("x", "", "A" * 64, "!" * 64, "é", "A" * 63, "A" * 63 + "=")
    ],
    "request after close": [
        pipeline("create table s(x)", {"type": "close"}, "select 1"),
        pipeline({"type": "close"}, {"type": "close"}),
        pipeline("select * from s"),
    ],
    "close, then stored sql": [
        pipeline(
            {"type": "close"}, {"type": "store_sql", "sql_id": 1, "sql": "select 1"}, {"type": "close_sql", "sql_id": 1}
        )
    ],
    "an unreadable body leaves the stream": [
        pipeline(),
        post(PATH, '{"baton":"%baton1%","requests":[{"type":"bogus"}]}'),
        pipeline("select 1", baton="%baton1%"),
    ],
    "an error of the protocol ends the stream": [
        pipeline("create table s(x)", "begin", "insert into s values (1)"),
        pipeline({"type": "execute", "stmt": {"sql_id": 9}}, baton="%baton1%"),
        pipeline("select 1", baton="%baton1%"),
        pipeline("select count(*) from s"),
    ],
    "an error of SQL does not": [
        pipeline("begin", "create table s(x)", "selec", "insert into s values (1)", "commit", "select * from s")
    ],
    "stored sql": [
        pipeline(
            {"type": "store_sql", "sql_id": 1, "sql": "select ?"},
            {"type": "execute", "stmt": {"sql_id": 1, "args": [{"type": "null"}]}},
        ),
        pipeline(
            {"type": "execute", "stmt": {"sql_id": 1, "args": [{"type": "null"}]}},
            {"type": "describe", "sql_id": 1},
            {"type": "batch", "batch": {"steps": [{"stmt": {"sql_id": 1, "args": [{"type": "null"}]}}]}},
            baton="%baton1%",
        ),
        pipeline(
            {"type": "close_sql", "sql_id": 1},
            {"type": "close_sql", "sql_id": 77},
            {"type": "store_sql", "sql_id": 1, "sql": "create table s(x)"},
            {"type": "sequence", "sql_id": 1},
            baton="%baton2%",
        ),
        pipeline({"type": "store_sql", "sql_id": 1, "sql": "select 1"}, baton="%baton3%"),
    ],
    "sql ids": [
        pipeline({"type": "execute", "stmt": {"sql_id": 1}}),
        pipeline({"type": "execute", "stmt": {}}),
        pipeline({"type": "describe"}),
        pipeline({"type": "execute", "stmt": {"sql": "select 1", "sql_id": 1}}),
        pipeline({"type": "sequence", "sql": "select 1", "sql_id": 1}),
        pipeline({"type": "store_sql", "sql_id": -1, "sql": "select 2"}, {"type": "execute", "stmt": {"sql_id": -1}}),
        pipeline({"type": "batch", "batch": {"steps": [{"stmt": {"sql_id": 5}}]}}),
        pipeline({"type": "sequence", "sql_id": 3}),
    ],
    "too many stored": [pipeline(*({"type": "store_sql", "sql_id": n, "sql": "select 1"} for n in range(52)))],
    "too large to store": [
        pipeline(
            {"type": "store_sql", "sql_id": 1, "sql": "--" + "x" * 4998},
            {"type": "store_sql", "sql_id": 2, "sql": "--" + "x" * 5000},
            {"type": "store_sql", "sql_id": 3, "sql": "--" + "x" * 5998},
        )
    ],
    "only in version 3": [
        pipeline({"type": "get_autocommit"}, path="/v2/pipeline"),
        pipeline({"type": "batch", "batch": batch(({"type": "is_autocommit"}, "select 1"))}, path="/v2/pipeline"),
        pipeline(
            {
                "type": "batch",
                "batch": batch(({"type": "not", "cond": {"type": "is_autocommit"}}, "select 1"), "select 2"),
            }
        ),
    ],
    "version 2 shows the same": [
        pipeline(TABLE, "insert into t(a) values (7)", "select * from t", path="/v2/pipeline")
    ],
    "batch": [
        pipeline(
            {
                "type": "batch",
                "batch": batch(
                    TABLE,
                    "insert into t(a) values (1)",
                    "insert into t(a) values (1)",
                    "select count(*) from t",
                    ({"type": "ok", "step": 1}, "select 'ok 1'"),
                    ({"type": "ok", "step": 2}, "select 'ok 2'"),
                    ({"type": "error", "step": 2}, "select 'error 2'"),
                    ({"type": "error", "step": 5}, "select 'error of a skipped one'"),
                    ({"type": "not", "cond": {"type": "ok", "step": 0}}, "select 'not'"),
                    ({"type": "and", "conds": []}, "select 'and'"),
                    ({"type": "or", "conds": []}, "select 'or'"),
                    (
                        {"type": "and", "conds": [{"type": "ok", "step": 0}, {"type": "error", "step": 2}]},
                        "select 'both'",
                    ),
                    (
                        {"type": "or", "conds": [{"type": "ok", "step": 2}, {"type": "error", "step": 2}]},
                        "select 'one'",
                    ),
                ),
            },
            {"type": "batch", "batch": {"steps": []}},
        )
    ],
    "batch of a transaction": [
        pipeline(
            {"type": "store_sql", "sql_id": 0, "sql": "insert into t(a) values (?)"},
            TABLE,
            {
                "type": "batch",
                "batch": batch(
                    "begin immediate",
                    ({"type": "ok", "step": 0}, {"sql_id": 0, "args": [{"type": "integer", "value": "1"}]}),
                    ({"type": "ok", "step": 1}, {"sql_id": 0, "args": [{"type": "integer", "value": "1"}]}),
                    ({"type": "ok", "step": 2}, "commit"),
                    ({"type": "not", "cond": {"type": "ok", "step": 3}}, "rollback"),
                ),
            },
            "select count(*) from t",
            {"type": "close"},
        )
    ],
    "batch for reading": [
        pipeline(
            TABLE,
            {
                "type": "batch",
                "batch": batch(
                    "begin transaction readonly",
                    ({"type": "ok", "step": 0}, "select count(*) from t"),
                    ({"type": "ok", "step": 1}, "commit"),
                    ({"type": "not", "cond": {"type": "ok", "step": 2}}, "rollback"),
                ),
            },
        )
    ],
    "batch that does not parse": [
        pipeline(
            TABLE, {"type": "batch", "batch": batch("insert into t(a) values (1)", "selec")}, "select count(*) from t"
        ),
        pipeline({"type": "batch", "batch": batch("insert into t(a) values (1)", "vacuum")}, "select count(*) from t"),
    ],
    "batch refers ahead": [
        pipeline({"type": "batch", "batch": batch("select 1", ({"type": "ok", "step": 1}, "select 2"))}),
        pipeline({"type": "batch", "batch": batch(({"type": "error", "step": 7}, "select 2"))}),
    ],
    "batch with arguments": [
        pipeline(
            {
                "type": "batch",
                "batch": {
                    "steps": [
                        {"stmt": stmt("select ?", 1)},
                        {"stmt": stmt("select ?")},
                        {"stmt": stmt("select 1", 2)},
                        {
                            "condition": None,
                            "stmt": {
                                "sql": "select :x",
                                "named_args": [{"name": "x", "value": {"type": "text", "value": "y"}}],
                            },
                        },
                    ],
                    "replication_index": "1",
                },
            }
        )
    ],
    "sequence": [
        pipeline(
            {
                "type": "sequence",
                "sql": "create table s(x); insert into s values (1); -- two\n insert into s values (2)",
            },
            "select * from s",
        ),
        pipeline(
            {"type": "sequence", "sql": ""}, {"type": "sequence", "sql": ";;"}, {"type": "sequence", "sql": "-- x"}
        ),
        pipeline(
            {
                "type": "sequence",
                "sql": "insert into s values (3); insert into nope values (4); insert into s values (5)",
            },
            "select count(*) from s",
        ),
        pipeline(
            {"type": "sequence", "sql": "insert into s values (6); vacuum"},
            {"type": "sequence", "sql": "insert into s values (7); selec"},
            "select count(*) from s",
        ),
        pipeline(
            {"type": "sequence", "sql": "begin; insert into s values (8)"},
            {"type": "get_autocommit"},
            "select count(*) from s",
            "rollback",
            "select count(*) from s",
        ),
        pipeline({"type": "sequence", "sql": "select 1; select * from s; select ?"}),
        pipeline(
            {
                "type": "sequence",
                "sql": "create trigger g after insert on s begin select 1; select 2; end; insert into s values (9)",
            },
            "select count(*) from s",
        ),
    ],
    "describe": [
        pipeline(
            TABLE,
            *(
                {"type": "describe", "sql": sql}
                for sql in (
                    "select 1",
                    "select a, b as x, a + 1 from t",
                    "select ?1, :foo, @bar, $baz, ?",
                    "select ?3",
                    "insert into t values (?, ?, ?, ?)",
                    "explain select 1",
                    "explain query plan select 1",
                    "vacuum",
                    "attach 'x' as y",
                    "select 1; select 2",
                    "",
                    ";",
                    "selec",
                    "select * from nope",
                    "begin",
                    "commit",
                    "pragma user_version",
                    "pragma user_version = 5",
                    "insert into t(a) values (1) returning a, b",
                    "create table u(x)",
                    "select nope from t",
                )
            ),
        )
    ],
    "autocommit": [
        pipeline(
            *(
                {"type": "get_autocommit"} if sql == "?" else execute(sql)
                for sql in (
                    "?",
                    "begin",
                    "?",
                    "savepoint s",
                    "commit",
                    "?",
                    "savepoint s",
                    "?",
                    "release s",
                    "?",
                    "begin",
                    "selec",
                    "?",
                    "end",
                    "?",
                )
            )
        )
    ],
    "many requests": [pipeline(*["select 1"] * 200)],
    "a wait in a stream": [pipeline("begin"), Wait(1.5), pipeline("commit", baton="%baton1%")],
}
