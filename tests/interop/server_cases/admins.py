"""Namespaces, and the admin API."""

from recorder import Cases, Http, Wait, admin, get, numbers, pipeline

FLAGS = ["--enable-namespaces"]
NS = "/v1/namespaces/%ns%"
CONFIG = {"block_reads": False, "block_writes": False}


def ns(method: str, tail: str, body: object = None, **headers: str | None) -> Http:
    return admin(method, f"/v1/namespaces/%ns%{tail}", body, **headers)


def at(name: str, *requests: object, **headers: str | None) -> Http:
    return pipeline(*requests, host=f"{name}.localhost", **headers)


CASES: Cases = {
    "host": [
        pipeline("select libsql_server_database_name()", host=host)
        for host in (
            "%ns%.localhost:8080",
            "%ns%.example.com",
            "localhost",
            "127.0.0.1",
            ".x",
            "nowhere.x",
            "",
            "x..y",
            "é.x",
        )
    ],
    "namespace in a header": [
        pipeline("select libsql_server_database_name()", {"type": "close"}, x_namespace_bin=name)
        for name in ("bm93aGVyZQ", "!", "", "ZGVmYXVsdA", "ZGVmYXVsdA==")
    ],
    "namespace in the path": [
        pipeline(
            "select libsql_server_database_name()",
            {"type": "close"},
            path=f"/dev/%ns%/{version}/pipeline",
            host="localhost",
        )
        for version in ("v2", "v3", "v1", "v9")
    ]
    + [
        pipeline("select 1", path="/dev/nowhere/v2/pipeline", host="localhost"),
        pipeline("select 1", path="/dev/%ns%/v2/pipeline", host="nowhere.x"),
    ],
    "create": [
        ns("POST", "-b/create", {}),
        ns("POST", "-b/create", {}),
        at("%ns%-b", "create table t(a)", "select libsql_server_database_name()"),
        admin("POST", "/v1/namespaces/default/create", {}),
        admin("POST", "/v1/namespaces/default/create", {}),
        ns("POST", "-c/create"),
        ns("POST", "-c/create", "{}", content_type="text/plain"),
        ns("POST", "-c/create", "{", content_type="application/json"),
        ns("POST", "-c/create", "[]", content_type="application/json"),
        ns("POST", "-c/create", "5", content_type="application/json"),
        ns("POST", "-c/create", {"max_db_size": "nonsense"}),
        ns("POST", "-c/create", {"unknown": 1}),
        ns("POST", "-d/create", {"heartbeat_url": "x"}),
        ns("POST", "-e/create", {"durability_mode": "nonsense"}),
        ns("POST", "-f/create", {"jwt_key": "x"}),
        ns("POST", "-g/create", {"txn_timeout_s": "x"}),
        admin("POST", "/v1/namespaces//create", {}),
        admin("GET", "/v1/namespaces/%ns%-b/create"),
    ],
    "size": [
        ns("POST", "-b/create", {"max_db_size": "100KB"}),
        at("%ns%-b", "create table t(x)", "insert into t values (zeroblob(200000))", "insert into t values (1)"),
        ns("GET", "-b/config"),
        ns("POST", "-c/create", {"max_row_size": 1000}),
        at(
            "%ns%-c",
            "create table t(x)",
            "insert into t values (zeroblob(999))",
            "insert into t values (zeroblob(1001))",
        ),
    ],
    "delete": [
        ns("POST", "-b/create", {}),
        at("%ns%-b", "create table t(x)"),
        ns("DELETE", "-b"),
        at("%ns%-b", "select 1"),
        ns("DELETE", "-b"),
        ns("POST", "-b/create", {}),
        at("%ns%-b", "select count(*) from sqlite_master"),
        ns("DELETE", "-b", {"keep_backup": True}),
        ns("DELETE", "-b", {"keep_backup": True}),
    ],
    "a stream on a namespace that is deleted": [
        ns("POST", "-b/create", {}),
        at("%ns%-b", "create table t(x)", "begin"),
        ns("DELETE", "-b"),
        pipeline("select 1", baton="%baton2%", host="%ns%-b.localhost"),
    ],
    "fork": [
        pipeline("create table t(x)", "insert into t values (1)"),
        ns("POST", "/fork/%ns%-b"),
        at("%ns%-b", "insert into t values (2)", "select * from t"),
        pipeline("select * from t"),
        ns("POST", "/fork/%ns%-b"),
        admin("POST", "/v1/namespaces/nowhere/fork/%ns%-x"),
        ns("POST", "/fork/%ns%-c", {"timestamp": "2026-01-01T00:00:00"}),
        ns("POST", "/fork/%ns%-d", {"nonsense": 1}),
        ns("POST", "/fork/"),
    ],
    "config": [
        ns("GET", "/config"),
        ns("POST", "/config", CONFIG),
        ns("GET", "/config"),
        ns("POST", "/config", {}),
        ns("POST", "/config", {"block_reads": 5, "block_writes": False}),
        admin("GET", "/v1/namespaces/nowhere/config"),
        admin("POST", "/v1/namespaces/nowhere/config", CONFIG),
        ns(
            "POST",
            "/config",
            {**CONFIG, "txn_timeout_s": 3, "allow_attach": True, "max_db_size": "1MiB", "durability_mode": "strong"},
        ),
        ns("GET", "/config"),
        ns("POST", "/config", CONFIG),
        ns("GET", "/config"),
        ns("POST", "/config"),
        ns("DELETE", "/config"),
    ],
    "sizes in config": [
        step
        for size in ("100KB", "1MiB", "5 GB", 123456, "4096", "10.5MB")
        for step in (ns("POST", "/config", {**CONFIG, "max_db_size": size}), ns("GET", "/config"))
    ],
    "blocked writes": [
        pipeline("create table t(x)"),
        ns("POST", "/config", {**CONFIG, "block_writes": True, "block_reason": "quota"}),
        pipeline(
            "insert into t values (1)",
            "select * from t",
            "create table u(x)",
            "begin",
            "commit",
            "pragma user_version",
            "pragma table_list",
            baton="%baton1%",
        ),
        Http("POST", "/v1/execute", {"stmt": {"sql": "insert into t values (1)"}}),
        Http("POST", "/", {"statements": ["insert into t values (1)"]}),
        ns("POST", "/config", CONFIG),
        pipeline("insert into t values (1)"),
    ],
    "blocked reads": [
        pipeline("create table t(x)"),
        ns("POST", "/config", {"block_reads": True, "block_writes": False}),
        pipeline(
            "select 1", "insert into t values (1)", "begin", "commit", "savepoint s", "release s", "explain select 1"
        ),
        ns("POST", "/config", {"block_reads": True, "block_writes": True, "block_reason": "because"}),
        pipeline("select 1", "insert into t values (1)"),
        get("/dump"),
        ns("GET", "/config"),
    ],
    "attach": [
        ns("POST", "-b/create", {}),
        at("%ns%-b", "create table t(x)", "insert into t values (5)"),
        pipeline("attach '%ns%-b' as o"),
        pipeline('attach "%ns%-b" as o'),
        ns("POST", "-b/config", {**CONFIG, "allow_attach": True}),
        pipeline(
            'attach "%ns%-b" as o',
            "select * from o.t",
            "insert into o.t values (1)",
            "create table o.u(x)",
            "detach o",
            "select * from o.t",
        ),
        pipeline("attach nowhere as o"),
        pipeline("detach o"),
    ],
    "stats": [
        ns("GET", "/stats"),
        pipeline("create table t(x)", "insert into t values (1)", "select * from t"),
        Wait(0.2),
        admin("GET", "/v1/namespaces/nowhere/stats"),
        ns("DELETE", "/stats/top"),
        ns("DELETE", "/stats/slowest"),
        ns("DELETE", "/stats/nonsense"),
        admin("DELETE", "/v1/namespaces/nowhere/stats/top"),
    ],
    "checkpoint": [
        pipeline("create table t(x)"),
        ns("POST", "/checkpoint"),
        admin("POST", "/v1/namespaces/nowhere/checkpoint"),
    ],
    "log filter": [admin("POST", "/log-filter", "info"), admin("POST", "/log-filter", "=nonsense=/=")],
    "unknown": [
        admin("GET", "/nothing"),
        admin("GET", "/v1/namespaces"),
        admin("POST", "/v1/namespaces/%ns%/nothing", {}),
        admin("GET", "/health"),
    ],
    "jobs": [get("/v1/jobs"), get("/v1/jobs/1"), get("/v1/jobs/x")],
    "dumps that are not": [
        ns("POST", f"-{number}/create", {"dump_url": url})
        for number, url in enumerate(
            ("file:///nowhere.sql", "file:///", "ftp://x/y", "nonsense", "file://relative.sql")
        )
    ],
    "tables of many pages": [
        pipeline(
            "create table t(x)",
            f"insert into t select zeroblob(3000) from {numbers(100)}",
            "pragma page_count",
            "select sum(length(x)) from t",
        )
    ],
    "shared schema, wrongly": [
        ns("POST", "-s/create", {"shared_schema": True}),
        ns("POST", "-a/create", {"shared_schema_name": "nowhere"}),
        ns("POST", "-b/create", {"shared_schema": True, "shared_schema_name": "%ns%-s"}),
        ns("POST", "-c/create", {"shared_schema_name": "%ns%-s", "dump_url": "file:///x.sql"}),
        ns("POST", "-s/fork/%ns%-d"),
    ],
}
