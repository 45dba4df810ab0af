"""Cursors over HTTP, dumps and listeners: replies that are streams."""

from recorder import Cases, Http, admin, batch, get, numbers, pipeline, post

FLAGS = ["--enable-namespaces"]


def cursor(*steps: object, baton: str | None = None) -> Http:
    return post("/v3/cursor", {"baton": baton, "batch": batch(*steps)})


def listen(query: str, events: int, *statements: str) -> Http:
    return Http(
        "GET",
        f"/beta/listen?{query}",
        events=events,
        meanwhile=tuple(pipeline(text, {"type": "close"}) for text in statements),
    )


CASES: Cases = {
    "cursor": [
        cursor(
            "create table t(a)",
            "insert into t values (1), (2)",
            "select a, a as b from t",
            "select * from nope",
            ({"type": "ok", "step": 3}, "select 'skipped'"),
            ({"type": "error", "step": 3}, "select 10"),
            "insert into t values (3) returning a",
        ),
        cursor("select count(*) from t", baton="%baton1%"),
        pipeline("select 1", {"type": "close"}, baton="%baton2%"),
        cursor(),
    ],
    "cursor errors": [
        cursor("select 1", "selec"),
        cursor("select 1", "vacuum"),
        cursor(({"type": "ok", "step": 0}, "select 1")),
        cursor("select ?"),
        cursor("select 1", "select json('x')", "select 2"),
        cursor(f"select value, json(case value when 3 then 'x' else '1' end) from {numbers(5)}"),
        cursor(""),
    ],
    "cursor in a transaction": [
        cursor("begin", "create table t(a)", "insert into t values (1)"),
        pipeline("rollback", baton="%baton1%"),
        cursor("select * from t"),
    ],
    "cursor bodies": [
        post("/v3/cursor", body)
        for body in (
            "",
            "{}",
            "[]",
            '{"batch":{}}',
            '{"batch":{"steps":[]}}',
            '{"batch":{"steps":[]},"x":1}',
            '{"baton":"x","batch":{"steps":[]}}',
        )
    ],
    "cursor of many rows": [
        cursor("with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) select i from n")
    ],
    "cursor larger than a reply may be": [
        cursor(f"select length(hex(zeroblob(30000 + value))), hex(zeroblob(30000)) from {numbers(200)}"),
    ],
    "text that is not utf-8": [cursor("select 1", "select cast(x'ff' as text)")],
    "dump of nothing": [get("/dump")],
    "dump": [
        pipeline(
            {
                "type": "sequence",
                "sql": """
            create table d(a integer primary key, b text, c blob, d real);
            insert into d values(1, 'it''s', x'00ff', 1.5), (2, null, x'', 0.25),
            (3, 'é' || char(10) || '"', null, -7.5);
            insert into d values (4, x'01', 1, 0.1);
            create index di on d(b);
            create view dv as select * from d;
            create table au(x integer primary key autoincrement);
            insert into au values (5);
            create trigger dt after insert on d begin select 1; end;
            create table w(a primary key, b) without rowid;
            insert into w values (1, 2);
            create table g(a, b as (a + 1), c as (a + 2) stored);
            insert into g(a) values (1);
        """,
            }
        ),
        get("/dump"),
        get("/dump?preserve_row_ids=true"),
        get("/dump?preserve_row_ids=false"),
        get("/dump?preserve_row_ids=1"),
        get("/dump?x=1"),
    ],
    "dump of odd names": [
        pipeline('create table "odd name"("a b", "c""d")', 'insert into "odd name" values (1, 2)'),
        get("/dump"),
    ],
    "dump of numbers": [pipeline("create table i(a)", "insert into i values (2.0), (9e999), (1e300)"), get("/dump")],
    "dump of virtual tables": [
        pipeline("create virtual table df using fts5(z)", "create virtual table dr using rtree(id, a, b)"),
        get("/dump"),
    ],
    "dump of namespaces that are not": [get("/dump", host="nowhere.localhost")],
    "listen": [
        pipeline("create table t(a integer primary key, b)"),
        listen("table=t", 6, "insert into t(b) values (1), (2)", "update t set b = 3", "delete from t where a = 1"),
        listen("table=t&action=delete", 2, "insert into t(b) values (1), (2)", "delete from t where a = 2"),
        listen("table=t", 2, "create table u(x)", "insert into u values (1)", "insert into t(b) values (7)"),
        listen("table=t&action=update&action=insert", 2, "delete from t where a = 3", "insert into t values (99, 1)"),
    ],
    "listen to transactions": [
        pipeline("create table t(a)"),
        Http(
            "GET",
            "/beta/listen?table=t",
            events=2,
            meanwhile=(
                pipeline("begin", "insert into t values (1)", "rollback", {"type": "close"}),
                pipeline(
                    "begin",
                    "insert into t values (1)",
                    "insert into t values (2)",
                    "update t set a = 3 where a = 1",
                    "delete from t where a = 2",
                    "commit",
                    {"type": "close"},
                ),
            ),
        ),
    ],
    "listen, wrongly": [
        get("/beta/listen"),
        get("/beta/listen?action=insert"),
        get("/beta/listen?table=t&action=bogus"),
    ],
    "admin dump of a copy": [
        pipeline("create table t(a)", "insert into t values (1)"),
        admin("POST", "/v1/namespaces/%ns%/fork/%ns%-copy"),
        get("/dump", host="%ns%-copy.localhost"),
    ],
}
