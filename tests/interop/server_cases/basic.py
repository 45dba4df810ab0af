"""HTTP basic authentication, and a server without namespaces."""

from recorder import Cases, Ws, get, pipeline, post

FLAGS = ["--http-auth", "basic:dXNlcjpwYXNz", "--http-self-url", "http://self.example:1234"]
GIVEN = [
    None,
    "",
    "Basic",
    "Basic dXNlcjpwYXNz",
    "basic dXNlcjpwYXNz",
    "Basic dXNlcjp3cm9uZw==",
    "Basic nonsense",
    "dXNlcjpwYXNz",
    "Bearer x",
]

CASES: Cases = {
    **{
        f"header {number}": [pipeline("select 1", {"type": "close"}, authorization=given)]
        for number, given in enumerate(GIVEN)
    },
    "any scheme": [pipeline("select 1", {"type": "close"}, authorization="Bearer dXNlcjpwYXNz")],
    "more than the credentials": [pipeline("select 1", {"type": "close"}, authorization="Basic xxdXNlcjpwYXNzyy")],
    "v0": [post("/", '{"statements":["select 1"]}', authorization=given) for given in (None, "Basic dXNlcjpwYXNz")],
    "dump": [get("/dump"), get("/dump", authorization="Basic dXNlcjpwYXNz")],
    "websocket": [Ws(({"type": "hello", "jwt": jwt},)) for jwt in ("dXNlcjpwYXNz", "wrong", None)],
    "url of its own": [
        pipeline("select 1", authorization="Basic dXNlcjpwYXNz"),
        post("/v3/cursor", {"batch": {"steps": []}}, authorization="Basic dXNlcjpwYXNz"),
    ],
    "namespaces are off": [
        pipeline(
            "select libsql_server_database_name()", {"type": "close"}, authorization="Basic dXNlcjpwYXNz", host=host
        )
        for host in ("db1.localhost", "127.0.0.1", "x")
    ]
    + [
        pipeline(
            "select libsql_server_database_name()",
            {"type": "close"},
            authorization="Basic dXNlcjpwYXNz",
            path=f"/dev/{name}/v2/pipeline",
        )
        for name in ("default", "nowhere")
    ],
}
