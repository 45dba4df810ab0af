"""Keys and tokens, made without a library for tokens, so that a test may make wrong ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def private_key(seed: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())


def public_pem(key: Ed25519PrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def public_raw(key: Ed25519PrivateKey) -> str:
    return part(key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(key: Ed25519PrivateKey, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    head = {"alg": "EdDSA", "typ": "JWT", **(header or {})}
    signed = ".".join(part(json.dumps(piece).encode()) for piece in (head, claims))
    if head["alg"] == "HS256":
        return f"{signed}.{part(hmac.digest(b'secret', signed.encode(), 'sha256'))}"
    return f"{signed}.{part(b'' if head['alg'] == 'none' else key.sign(signed.encode()))}"


KEY, OTHER_KEY, STRANGE_KEY = map(private_key, ("first", "second", "nobody knows it"))
NOW = int(time.time())


def access(**scopes: list[str]) -> dict[str, Any]:
    return {"p": {name: {"ns": namespaces} for name, namespaces in scopes.items()}}


CLAIMS: dict[str, dict[str, Any]] = {
    "full": {},
    "rw": {"a": "rw"},
    "ro": {"a": "ro"},
    "roa": {"a": "roa"},
    "null": {"a": None},
    "bad-a": {"a": "everything"},
    "number-a": {"a": 5},
    "fresh": {"exp": NOW + 3600},
    "just-expired": {"exp": NOW - 10},
    "expired": {"exp": NOW - 7200},
    "float-exp": {"exp": NOW + 3600.5},
    "text-exp": {"exp": str(NOW + 3600)},
    "later": {"nbf": NOW + 3600},
    "aud": {"aud": "somebody"},
    "others": {"iss": "x", "sub": "y", "iat": NOW, "jti": "z", "more": {"a": 1}},
    "elsewhere": {"id": "elsewhere"},
    "empty-id": {"id": ""},
    "number-id": {"id": 5},
    "p-empty": {"p": {}},
    "p-unknown": {"p": {"all": {"ns": ["default"]}}},
    "p-bad": {"p": {"ro": {"ns": "default"}}},
    "p-list": {"p": []},
    "p-tags": {"p": {"rw": {"tags": ["x"]}}},
}
SCOPED = {  # of the namespace of a case, and of its second one
    "id": lambda ns: {"id": ns},
    "id-ro": lambda ns: {"id": ns, "a": "ro"},
    "p-ro": lambda ns: access(ro=[ns]),
    "p-rw": lambda ns: access(rw=[ns]),
    "p-roa": lambda ns: access(roa=[ns]),
    "p-rwa": lambda ns: access(rwa=[ns]),
    "p-ddl": lambda ns: access(ddl=[ns]),
    "p-both": lambda ns: access(ro=[ns], rw=[f"{ns}-b"]),
    "p-attach": lambda ns: access(rw=[ns], roa=[f"{ns}-b"]),
    "p-wins": lambda ns: {**access(ro=[ns]), "a": "rw", "id": "elsewhere"},
}


def make(name: str, namespace: str) -> str:
    """The token that cases call by this name."""
    match name:
        case "other-key":
            return token(OTHER_KEY, {})
        case "wrong-key":
            return token(STRANGE_KEY, {})
        case "wrong-key-expired":
            return token(STRANGE_KEY, {"exp": NOW - 7200})
        case "other-key-expired":
            return token(OTHER_KEY, {"exp": NOW - 7200})
        case "none":
            return token(KEY, {}, {"alg": "none"})
        case "hs256":
            return token(KEY, {}, {"alg": "HS256"})
        case "kid":
            return token(KEY, {}, {"kid": "x"})
        case "changed":
            head, _, signature = token(KEY, {"a": "ro"}).split(".")
            return f"{head}.{part(b'{}')}.{signature}"
        case "cut":
            return token(KEY, {})[:-5]
        case "two-parts":
            return token(KEY, {}).rpartition(".")[0]
    return token(KEY, CLAIMS[name] if name in CLAIMS else SCOPED[name](namespace))
