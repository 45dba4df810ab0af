"""Tokens: keys, claims, scopes, where they are sent."""

import tokens
from recorder import Cases, Http, Quiet, Ws, admin, get, pipeline, post, stmt

FLAGS = ["--enable-namespaces", "--admin-auth-key", "secret"]
ENV = {"SQLD_AUTH_JWT_KEY": tokens.public_pem(tokens.KEY) + tokens.public_pem(tokens.OTHER_KEY)}
NAMES = [
    *tokens.CLAIMS, "other-key", "wrong-key", "wrong-key-expired", "other-key-expired", "none", "hs256", "kid",
    "changed",
    "cut", "two-parts", "id", "id-ro", "p-ro", "p-rw", "p-roa", "p-rwa", "p-ddl", "p-wins",
]  # fmt: skip
HEADERS: list[dict[str, str | None]] = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer "},
    {"authorization": "%token:full%"},
    {"authorization": "bearer %token:full%"},
    {"authorization": "BEARER %token:full%"},
    {"authorization": "Bearer  %token:full%"},
    {"authorization": "Basic %token:full%"},
    {"authorization": "Basic dTpw"},
    {"authorization": "Bearer None"},
    {"authorization": "Bearer %token:full% more"},
    {"x-authorization": "Bearer %token:full%"},
    {"x-authorization": "Bearer %token:full%", "authorization": "Bearer nonsense"},
    {"x-authorization": "nonsense", "authorization": "Bearer %token:full%"},
]
NEEDS = [
    "select 1", "explain select 1", "begin", "rollback", "savepoint s", "release s", "pragma table_list",
    "pragma user_version", "insert into t values (1)",
    "update t set x = 1", "delete from t", "replace into t values (1)", "create table u(x)",
    "drop table if exists nope", "reindex", "create view v as select 1",
    "alter table t add column y", "create index i on t(x)", "explain insert into t values (1)", "pragma foreign_keys",
    "values (1)",
]  # fmt: skip
FULL = "Bearer %token:full%"
HELLO = {"type": "hello", "jwt": "%token:full%"}
OPEN = {"type": "request", "request_id": 1, "request": {"type": "open_stream", "stream_id": 1}}


def run(number: int, sql: str) -> object:
    return {"type": "request", "request_id": number, "request": {"type": "execute", "stream_id": 1, "stmt": stmt(sql)}}


def secret(method: str, path: str, body: object = None) -> Http:
    return admin(method, path, body, authorization="basic secret")


CASES: Cases = {
    **{
        f"token {name}": [
            pipeline("create table if not exists t(x)", {"type": "close"}, authorization=FULL),
            pipeline("select 1", {"type": "close"}, authorization=f"Bearer %token:{name}%"),
            pipeline("insert into t values (1)", {"type": "close"}, authorization=f"Bearer %token:{name}%"),
        ]
        for name in NAMES
    },
    **{
        f"token {name} over websocket": [Ws(({"type": "hello", "jwt": f"%token:{name}%"}, OPEN, run(2, "select 1")))]
        for name in ("full", "expired", "wrong-key", "aud", "bad-a", "ro", "elsewhere", "p-empty", "cut")
    },
    **{
        f"headers {number}": [pipeline("select 1", {"type": "close"}, **headers)]
        for number, headers in enumerate(HEADERS)
    },
    "routes that need a token": [
        *(
            get(path)
            for path in (
                "/health",
                "/version",
                "/v1",
                "/v2",
                "/v3",
                "/dump",
                "/v1/jobs",
                "/beta/listen?table=t",
                "/console",
                "/nothing",
            )
        ),
        *(
            post(path, "{}")
            for path in (
                "/",
                "/v1/execute",
                "/v1/batch",
                "/v2/pipeline",
                "/v3/pipeline",
                "/v3/cursor",
                "/dev/%ns%/v2/pipeline",
            )
        ),
        Http("OPTIONS", "/v2/pipeline"),
        Http("DELETE", "/v2/pipeline"),
    ],
    "what reading allows": [
        pipeline("create table t(x)", {"type": "close"}, authorization=FULL),
        *(pipeline(sql, {"type": "close"}, authorization="Bearer %token:ro%") for sql in NEEDS),
        get("/dump", authorization="Bearer %token:ro%"),
        pipeline(
            {"type": "describe", "sql": "insert into t values (1)"},
            {"type": "close"},
            authorization="Bearer %token:ro%",
        ),
        pipeline({"type": "sequence", "sql": "select 1; insert into t values (1)"}, authorization="Bearer %token:ro%"),
        pipeline(
            {"type": "batch", "batch": {"steps": [{"stmt": stmt("select 1")}, {"stmt": stmt("delete from t")}]}},
            authorization="Bearer %token:ro%",
        ),
        post("/", {"statements": ["insert into t values (1)"]}, authorization="Bearer %token:ro%"),
        post("/v1/execute", {"stmt": stmt("insert into t values (1)")}, authorization="Bearer %token:ro%"),
    ],
    "what was done before a refusal stays": [
        pipeline("create table t(x)", {"type": "close"}, authorization=FULL),
        pipeline("select 1", "insert into t values (1)", authorization="Bearer %token:ro%"),
        pipeline("select * from t", {"type": "close"}, authorization="Bearer %token:ro%"),
    ],
    "attach": [
        secret("POST", "/v1/namespaces/%ns%-b/create", {"allow_attach": True}),
        *(
            pipeline('attach "%ns%-b" as o', {"type": "close"}, authorization=f"Bearer %token:{name}%")
            for name in ("full", "rw", "ro", "roa", "p-rw", "p-rwa", "p-attach", "p-both", "id")
        ),
    ],
    "order of checks": [
        pipeline("select 1", host="nowhere.x"),
        pipeline("select 1", host="nowhere.x", authorization=FULL),
        pipeline("select 1", host="nowhere.x", authorization="Bearer x"),
        pipeline("select 1", authorization="Bearer x", x_namespace_bin="!"),
        post("/v2/pipeline", "nonsense"),
        post("/v2/pipeline", "nonsense", authorization=FULL),
        pipeline("select 1", baton="x"),
        pipeline("selec", baton="x", authorization=FULL),
        post("/v2/pipeline", "nonsense", authorization="Bearer %token:elsewhere%"),
    ],
    "key of a namespace": [
        secret("POST", "/v1/namespaces/%ns%-b/create", {"jwt_key": tokens.public_raw(tokens.STRANGE_KEY)}),
        pipeline("select 1", host="%ns%-b.x", authorization=FULL),
        pipeline("select 1", host="%ns%-b.x"),
        pipeline("select 1", host="%ns%-b.x", authorization="Bearer %token:wrong-key%"),
        pipeline("select 1", authorization="Bearer %token:wrong-key%"),
    ],
    "admin key": [
        admin("GET", "/", authorization=None),
        *(
            admin("GET", "/", authorization=given)
            for given in (
                "",
                "basic",
                "basic nonsense",
                "basic secret",
                "Basic secret",
                "Bearer secret",
                "secret",
                "basic  secret",
            )
        ),
        admin("GET", "/nothing", authorization=None),
        admin("POST", "/v1/namespaces/x/create", {}, authorization=None),
    ],
    "websocket: no token": [Ws(({"type": "hello"},))],
    "websocket: null": [Ws(({"type": "hello", "jwt": None}, OPEN))],
    "websocket: a header is no token": [Ws(({"type": "hello"},), headers={"authorization": FULL})],
    "websocket: requests without waiting": [Ws((Quiet({"type": "hello", "jwt": "x"}), OPEN))],
    "websocket: hello again": [
        Ws((HELLO, OPEN, {"type": "hello", "jwt": "%token:ro%"}, run(2, "select 1"), {"type": "hello", "jwt": "x"}))
    ],
    "websocket: a write that is not allowed": [
        Ws(({"type": "hello", "jwt": "%token:ro%"}, OPEN, run(2, "select 1"), run(3, "create table t(x)")))
    ],
    "websocket: another namespace": [Ws(({"type": "hello", "jwt": "%token:elsewhere%"}, OPEN))],
    "linked to a shared schema": [
        secret("POST", "/v1/namespaces/%ns%-s/create", {"shared_schema": True}),
        secret("POST", "/v1/namespaces/%ns%-b/create", {"shared_schema_name": "%ns%-s"}),
        pipeline("create table own(x)", {"type": "close"}, host="%ns%-b.x", authorization=FULL),
        pipeline("select 1", {"type": "close"}, host="%ns%-b.x", authorization=FULL),
    ],
}
