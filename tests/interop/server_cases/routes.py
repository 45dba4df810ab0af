"""Every route, its methods and what surrounds a request: headers, lengths, encodings, versions of HTTP."""

from recorder import Cases, Http, admin, execute, get, pipeline, post

FLAGS = ["--enable-namespaces", "--enable-http-console"]

ONE = '{"requests":[{"type":"execute","stmt":{"sql":"select 1"}},{"type":"close"}]}'
ROUTES = {
    "/": "POST", "/health": "GET", "/version": "GET", "/console": "GET", "/dump": "GET", "/v1": "GET",
    "/v1/execute": "POST", "/v1/batch": "POST", "/v2": "GET", "/v2/pipeline": "POST", "/v3": "GET",
    "/v3/pipeline": "POST", "/v3/cursor": "POST", "/v3-protobuf": "GET", "/v3-protobuf/pipeline": "POST",
    "/v3-protobuf/cursor": "POST", "/v1/jobs": "GET", "/beta/listen": "GET",
}  # fmt: skip
UNKNOWN = [
    "/nothing", "/v4", "/v2/cursor", "/v2/execute", "/v3/", "/v2/pipeline/", "//", "/V2", "/dev/%ns%/v2", "/dev/x/dump",
    "/dev/%ns%/v3/cursor", "/v1/jobs/1/2", "/metrics",
]  # fmt: skip
LONG = '"%s"' % ("x" * 100)

CASES: Cases = {
    "probes": [get(path) for path in ("/health", "/version", "/v1", "/v2", "/v3", "/v3-protobuf", "/")],
    "console": [Http("HEAD", "/console")],
    "unknown paths": [get(path) for path in UNKNOWN] + [post(path, ONE) for path in UNKNOWN],
    "wrong methods": [
        Http(method, path, b"" if method == "POST" else None)
        for path, right in ROUTES.items()
        for method in ("GET", "POST", "DELETE", "PUT")
        if method != right and path not in ("/", "/beta/listen")
    ],
    "options": [Http("OPTIONS", path) for path in (*ROUTES, "/nothing")],
    "head": [Http("HEAD", path) for path in ("/health", "/version", "/v2", "/v3", "/v1", "/dump", "/nothing")],
    "preflight": [
        Http(
            "OPTIONS",
            "/v2/pipeline",
            None,
            {
                "origin": "http://example.com",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization",
            },
        ),
    ],
    "origin": [pipeline("select 1", {"type": "close"}, origin="http://example.com")],
    "content types are ignored": [
        post("/v2/pipeline", ONE, content_type=kind)
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "image/png", "")
    ],
    "v0 content types": [post("/", '{"statements":["select 1"]}', content_type=kind) for kind in ("text/plain", None)],
    "gzip request": [post("/v2/pipeline", b"\x1f\x8b\x08\x00\x00", content_encoding="gzip")],
    "compressed reply": [
        pipeline(f"select {LONG!s}", accept_encoding=kind) for kind in ("gzip", "identity", "*", "zstd")
    ],
    "short replies are not compressed": [get("/v1", accept_encoding="gzip")],
    "empty body": [post(path, b"") for path in ("/v2/pipeline", "/v3/cursor", "/v1/execute", "/v1/batch", "/")],
    "http/1.0": [
        Http("", "", raw=b"GET /health HTTP/1.0\r\n\r\n"),
        Http("", "", raw=b"GET /v2 HTTP/1.0\r\nHost: localhost\r\n\r\n"),
    ],
    "chunked request": [
        Http(
            "",
            "",
            raw=b"POST /v2/pipeline HTTP/1.1\r\nHost: %ns%.localhost\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (ONE[:20].encode(), ONE[20:].encode()))
            + b"0\r\n\r\n",
        ),
    ],
    "broken requests": [
        Http("", "", raw=b"nonsense\r\n\r\n"),
        Http("", "", raw=b"GET / HTTP/9.9\r\n\r\n"),
        Http("", "", raw=b"POST /v2/pipeline HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        Http("", "", raw=b"POST /v2/pipeline HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        Http("", "", raw=b"GET /health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n"),
    ],
    "query strings are ignored": [get("/v2?x=1"), get("/health?%%%")],
    "pipelined over one connection": [
        Http(
            "",
            "",
            raw=b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"GET /v3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ),
    ],
    "big request": [
        pipeline(
            {
                "type": "execute",
                "stmt": {"sql": "select length(?)", "args": [{"type": "text", "value": "x" * 3_000_000}]},
            }
        )
    ],
    "big v0 request": [post("/", {"statements": [{"q": "select length(?)", "params": ["x" * 2_200_000]}]})],
    "large reply": [pipeline("select hex(zeroblob(6000000)) as a, 1 as b", execute("select 1"))],
    "upgrade to h2c is not asked for": [get("/v2", connection="keep-alive")],
    "no host": [Http("", "", raw=b"GET /v2 HTTP/1.1\r\nConnection: close\r\n\r\n")],
    "admin probes": [
        admin("GET", "/"),
        admin("POST", "/"),
        admin("GET", "/v1/namespaces/%ns%"),
        admin("PUT", "/metrics"),
    ],
}
