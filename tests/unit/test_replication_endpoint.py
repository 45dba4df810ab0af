"""Where a primary is: what the URL, the token and the namespace of a replica say."""

from __future__ import annotations

import pytest

from libsql_core.replication.grpcweb import LOG, Endpoint
from libsql_core.replication.messages import HelloRequest


@pytest.mark.parametrize(
    ("url", "base", "namespace"),
    [
        ("http://localhost:8080", "http://localhost:8080", "default"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/", "default"),
        ("https://[::1]:8080", "https://[::1]:8080", "default"),
        ("libsql://db.example.com", "https://db.example.com", "db"),
        ("libsql://db.example.com:80?tls=0", "http://db.example.com:80", "db"),
        ("LIBSQL://example/path/", "https://example/path/", "default"),
    ],
)
def test_urls(url: str, base: str, namespace: str) -> None:
    endpoint = Endpoint(url)
    assert (endpoint.url.geturl(), endpoint.namespace) == (base, namespace)
    assert not endpoint.path.endswith("/")


@pytest.mark.parametrize("url", ["local.db", "ftp://x", "http://", "http://x?unknown=1", "http://x#a"])
def test_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sync_url"):
        Endpoint(url)
    with pytest.raises(ValueError, match="auth_token"):
        Endpoint("http://x", auth_token="a\r\nb: c")


def test_a_call_as_the_real_client_sends_it() -> None:
    """The fields and their values; the order is free."""
    endpoint = Endpoint("http://localhost:8080?authToken=TOK123", namespace="127")
    head, _, body = endpoint.call(LOG + "Hello", HelloRequest(1), "token").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /wal_log.ReplicationLog/Hello HTTP/1.1"
    assert {
        "host: localhost:8080",
        "te: trailers",
        "content-type: application/grpc-web",
        "x-authorization: Bearer TOK123",
        "x-namespace-bin: MTI3",
        "x-session-token: token",
        "content-length: 7",
    } <= set(lines)
    assert body.hex() == "00000000020801"
