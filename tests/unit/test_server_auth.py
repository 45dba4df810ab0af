"""Keys, tokens and claims: who is let in, with which rights, and the code of each refusal."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from libsql_core.hrana.errors import AuthError
from libsql_core.server import auth
from libsql_core.server import tokens as module
from libsql_core.server.api import ATTACH, DDL, FULL, READ, WRITE

NOW = 1_800_000_000
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def pem(key: Any) -> str:
    made: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made.decode()


def raw(key: Ed25519PrivateKey) -> str:
    return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode()


def sign(payload: object, key: Ed25519PrivateKey = KEY) -> str:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return jwt.PyJWS().encode(text.encode(), key, algorithm="EdDSA")


def tokens(text: str = "", now: float = NOW) -> module.Tokens:
    return module.Tokens(module.parse_keys(text or pem(KEY)), clock=lambda: now)


def code(call: Any, *arguments: object) -> str:
    with pytest.raises(AuthError) as caught:
        call(*arguments)
    assert caught.value.status == 401
    assert caught.value.message == f"Unauthorized: `{caught.value.reason}`"
    return caught.value.code


@pytest.mark.parametrize(
    "text",
    [
        pem(KEY),
        pem(KEY).replace("\n", "\r\n"),
        f"\n# of the first server\n{pem(OTHER)}between\n{pem(KEY)}behind",
        raw(KEY).rstrip("="),
        raw(KEY) + "\n",
        raw(KEY).replace("-", "+").replace("_", "/"),
        f"{raw(OTHER)}\n{raw(KEY)}\n",
    ],
)
def test_forms_of_keys(text: str) -> None:
    assert tokens(text).by_header("Bearer " + sign({})).of("any") == READ | WRITE


PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PRIVATE, "Received a private key, but a public key is expected"),
        (pem(generate_private_key(SECP256R1())), "Key is in unsupported PEM format"),
        (pem(KEY).replace("PUBLIC KEY", "CERTIFICATE"), "Key is in unsupported PEM format"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA", "Key is in unsupported PEM format"),
        ("!!", "Could not decode Ed25519 public key from base64: Base64 error: Invalid byte 33, offset 0."),
        ("zz", "Could not decode Ed25519 public key from base64: Base64 error: Invalid last symbol 122, offset 1."),
        (
            "AAAAA",
            "Could not decode Ed25519 public key from base64: Base64 error: "
            "Encoded text cannot have a 6-bit remainder.",
        ),
        ("AAAA", "An Ed25519 public key has 32 bytes, not 3"),
        (" \n", "There is no key in an empty text"),
    ],
)
def test_texts_that_are_no_keys(text: str, message: str) -> None:
    with pytest.raises(auth.InvalidKey) as caught:
        module.parse_keys(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, {"db1": READ | WRITE, "db2": READ | WRITE}),
        ({"a": None, "id": None, "p": None, "exp": None, "aud": None}, {"db1": READ | WRITE}),
        ({"a": "ro"}, {"db1": READ, "db2": READ}),
        ({"a": "roa"}, {"db1": READ | ATTACH}),
        ({"id": "db1"}, {"db1": READ | WRITE, "db2": 0}),
        ({"id": "db1", "a": "roa"}, {"db1": READ | ATTACH, "db2": 0}),
        ({"p": {}}, {"db1": 0}),
        ({"p": {"rw": None, "ro": {}, "roa": {"ns": None}}}, {"db1": 0}),
        ({"a": "rw", "p": {"ro": {"ns": ["db1"]}}}, {"db1": READ, "db2": 0}),
        ({"p": {"rw": {"ns": ["db1"]}, "roa": {"ns": ["db2", "db1"]}}}, {"db1": FULL & ~DDL, "db2": READ | ATTACH}),
        ({"p": {"rwa": {"ns": ["db1"]}, "ddl": {"ns": ["db2"]}}}, {"db1": FULL & ~DDL, "db2": READ | WRITE | DDL}),
        ({"p": {"other": {"ns": ["db1"]}}}, {"db1": 0}),
        ({"p": {"ro": {"tags": ["mine"]}, "rw": {"ns": ["db1"]}}}, {"db1": READ | WRITE, "db2": READ}),
        ({"p": {"ro": {"tags": ["theirs"]}}}, {"db1": 0}),
        ({"nbf": NOW + 9999, "iss": 5, "sub": [], "iat": "x"}, {"db1": READ | WRITE}),
        ({"exp": NOW - 60}, {"db1": READ | WRITE}),
    ],
)
def test_claims(claims: dict[str, Any], expected: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBSQL_GID", "mine")
    rights = tokens().by_header("bearer " + sign(claims))
    assert {name: rights.of(name) for name in expected} == expected


MALFORMED: list[object] = [
    {"exp": NOW + 0.5}, {"exp": "5"}, {"exp": True}, {"a": "x"}, {"a": 5}, {"id": ""}, {"id": 5}, {"p": 5},
    {"p": {"rw": []}}, {"p": {"rw": {"ns": "db1"}}}, {"p": {"rw": {"ns": [""]}}}, {"p": {"ro": {"tags": [5]}}},
    "[]", '{"id":null,"id":null}', "no JSON", "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"exp": NOW - 61}, "AUTH_JWT_EXPIRED"),
        ({"exp": NOW - 61, "aud": "x"}, "AUTH_JWT_EXPIRED"),
        ({"aud": "x"}, "AUTH_FAILED"),
        ({"aud": ["x"]}, "AUTH_FAILED"),
        *((payload, "AUTH_JWT_INVALID") for payload in MALFORMED),
    ],
)
def test_refused_claims(payload: object, expected: str) -> None:
    assert code(tokens().by_header, "Bearer " + sign(payload)) == expected


def test_several_keys() -> None:
    """Only an invalid token is tried with the next key."""
    both = pem(OTHER) + pem(KEY)
    assert tokens(both).by_hello(sign({})).of("x") == READ | WRITE
    assert code(tokens(both).by_hello, sign({"exp": 5}, OTHER)) == "AUTH_JWT_EXPIRED"
    assert code(tokens().by_hello, sign({}, OTHER)) == "AUTH_JWT_INVALID"


def test_other_algorithms() -> None:
    unsigned = jwt.encode({}, "", algorithm="none")
    shared = jwt.encode({}, "k" * 32, algorithm="HS256")
    for token in (unsigned, shared, "", "x", "a.b.c", "..", sign({})[:-8] + "AAAAAAAA"):
        assert code(tokens().by_hello, token) == "AUTH_JWT_INVALID"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "AUTH_HEADER_NOT_FOUND"),
        ("", "AUTH_HEADER_MALFORMED"),
        ("Bearer", "AUTH_HEADER_MALFORMED"),
        (f"Bearer\t{sign({})}", "AUTH_HEADER_MALFORMED"),
        (f"Bearer  {sign({})}", "AUTH_JWT_INVALID"),
        (f"Basic {sign({})}", "AUTH_HTTP_HEADER_UNSUPPORTED_SCHEME"),
    ],
)
def test_headers(header: str | None, expected: str) -> None:
    assert code(tokens().by_header, header) == expected


def test_a_verified_token_is_kept_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = float(NOW)
    checked = module.Tokens(module.parse_keys(pem(KEY)), clock=lambda: now)
    token = sign({"exp": NOW, "a": "ro"})
    first = checked.by_hello(token)
    monkeypatch.setattr(jwt.PyJWS, "decode", None)
    assert checked.by_hello(token) is first
    monkeypatch.undo()
    now += module.LEEWAY + 1
    assert code(checked.by_hello, token) == "AUTH_JWT_EXPIRED"


def test_few_tokens_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    checked = tokens()
    for number in range(10):
        checked.by_hello(sign({"id": f"db{number}"}))
    assert len(checked._kept) == 3


def test_identities() -> None:
    checked = tokens()
    mine = checked.by_hello(sign({"id": "db1"})).identity
    assert mine == checked.by_hello(sign({"id": "db1", "exp": NOW, "sub": "x"})).identity
    assert mine != checked.by_hello(sign({"id": "db2"})).identity
    assert auth.EVERYTHING.identity not in (mine, checked.by_hello(sign({})).identity)


@pytest.mark.parametrize("setting", ["basic:dXNlcjpwYXNz", "basic:dXNlcjpwYXNz=", "Basic:dXNlcjpwYXNz=="])
def test_basic(setting: str) -> None:
    checked = auth.Basic(setting)
    assert checked.by_header("Basic dXNlcjpwYXNz").of("x") == FULL
    assert checked.by_header("bearer dXNlcjpwYXNz==").of("x") == FULL
    assert checked.by_hello("dXNlcjpwYXNz").of("x") == FULL
    # Once it was enough to hold the right text.
    for wrong in ("dXNlcjpwYXN", "xxdXNlcjpwYXNzyy", "", "é"):
        assert code(checked.by_header, f"Basic {wrong}") == "AUTH_BASIC_REJECTED"
        assert code(checked.by_hello, wrong) == "AUTH_BASIC_REJECTED"
    assert code(checked.by_hello, None) == "AUTH_HEADER_NOT_FOUND"
    assert code(checked.by_header, "Basic") == "AUTH_HEADER_MALFORMED"


@pytest.mark.parametrize("setting", ["foo", "basic", "basic:", "bearer:x", ""])
def test_basic_settings_that_are_none(setting: str) -> None:
    with pytest.raises(auth.InvalidKey, match=f"invalid HTTP auth config: {setting}"):
        auth.Basic(setting)


def test_nobody_is_let_in() -> None:
    assert code(auth.Closed().by_header, None) == "AUTH_HEADER_NOT_FOUND"
    assert code(auth.Closed().by_header, "Bearer x") == code(auth.Closed().by_hello, None) == "AUTH_JWT_INVALID"


def test_nobody_is_asked() -> None:
    assert auth.Open().by_header("Bearer None").of("x") == FULL
    assert auth.Open().by_hello(None).of("x") == FULL
