"""Databases that share a schema: alone on a server, for the real one cannot migrate while others write settings."""

from recorder import Cases, Http, admin, get, pipeline

FLAGS = ["--enable-namespaces"]


def ns(method: str, tail: str, body: object = None, **headers: str | None) -> Http:
    return admin(method, f"/v1/namespaces/%ns%{tail}", body, **headers)


def at(name: str, *requests: object, **headers: str | None) -> Http:
    return pipeline(*requests, host=f"{name}.localhost", **headers)


CASES: Cases = {
    "shared schema": [
        ns("POST", "-s/create", {"shared_schema": True}),
        at("%ns%-s", "create table users(x)"),
        ns("POST", "-t1/create", {"shared_schema_name": "%ns%-s"}),
        ns("POST", "-t2/create", {"shared_schema_name": "%ns%-s"}),
        at("%ns%-s", "create table more(y)"),
        at(
            "%ns%-t1",
            "select name from sqlite_master where type = 'table'",
            "create table own(z)",
            "insert into users values (1)",
            "select * from users",
        ),
        at("%ns%-t2", "select * from users"),
        get("/v1/jobs", host="%ns%-s.localhost"),
        get("/v1/jobs/1", host="%ns%-s.localhost"),
        get("/v1/jobs/99", host="%ns%-s.localhost"),
        get("/v1/jobs/x", host="%ns%-s.localhost"),
        at("%ns%-s", "create table users(x)"),
        at("%ns%-s", "begin"),
        at("%ns%-s", {"type": "sequence", "sql": "create table s1(a); create table s2(b)"}),
        at("%ns%-t2", "select name from sqlite_master where name like 's_'"),
        at(
            "%ns%-s",
            {
                "type": "batch",
                "batch": {
                    "steps": [
                        {"stmt": {"sql": "begin"}},
                        {"stmt": {"sql": "create table b1(a)"}},
                        {"stmt": {"sql": "commit"}},
                    ]
                },
            },
        ),
        at("%ns%-s", "select 1"),
        ns("DELETE", "-s"),
        ns("DELETE", "-t1"),
        ns("DELETE", "-t2"),
        ns("DELETE", "-s"),
    ],
}
