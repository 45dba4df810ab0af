"""Tokens: JSON web tokens signed with Ed25519 keys, and the rights that their claims grant.

A token is verified once; its rights are then kept until it expires, as many as KEPT at a time.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from libsql_core.hrana.errors import AuthError
from libsql_core.server.api import ATTACH, DDL, READ, WRITE
from libsql_core.server.auth import InvalidKey, Rights, base64_fault, split_header, standard

KEPT = 4096
# A token is taken for this long after it expired: clocks differ.
LEEWAY = 60
KEY_BYTES = 32

PEM = re.compile(r"-----BEGIN ([^-\r\n]+)-----.*?-----END \1-----", re.DOTALL)
LEVELS = {"ro": READ, "rw": READ | WRITE, "roa": READ | ATTACH}
SCOPES = {
    "ro": READ,
    "rw": READ | WRITE,
    "roa": READ | ATTACH,
    "rwa": READ | WRITE | ATTACH,
    "ddl": READ | WRITE | DDL,
}


class Tokens:
    """JSON web tokens, signed with one of some Ed25519 keys."""

    def __init__(self, keys: Iterable[Ed25519PublicKey], clock: Callable[[], float] = time.time) -> None:
        self._keys = list(keys)
        self._clock = clock
        # Rights by token, with the time when they end; the oldest first.
        self._kept: dict[str, tuple[Rights, float]] = {}

    def by_header(self, header: str | None) -> Rights:
        scheme, token = split_header(header)
        if scheme.lower() != "bearer":
            raise AuthError(
                "The authentication scheme in the `Authorization` HTTP header is not supported",
                "AUTH_HTTP_HEADER_UNSUPPORTED_SCHEME",
            )
        return self._rights(token)

    def by_hello(self, token: str | None) -> Rights:
        if token is None:
            split_header(None)
        return self._rights(token or "")

    def _rights(self, token: str) -> Rights:
        found = self._kept.get(token)
        if found is not None:
            rights, end = found
            if self._clock() < end:
                return rights
            del self._kept[token]
        rights, end = self._verify(token)
        while len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[token] = rights, end
        return rights

    def _verify(self, token: str) -> tuple[Rights, float]:
        signed = jwt.PyJWS()
        for key in self._keys:
            try:
                claims = _claims(signed.decode(token, key, algorithms=["EdDSA"]))
            except (jwt.PyJWTError, ValueError, RecursionError):
                continue
            end = float("inf") if claims.get("exp") is None else claims["exp"] + LEEWAY
            if self._clock() > end:
                raise AuthError("The JWT has expired", "AUTH_JWT_EXPIRED")
            if claims.get("aud") is not None:
                raise AuthError("Authentication failed", "AUTH_FAILED")
            return rights_of(claims), end
        raise AuthError("The JWT is invalid", "AUTH_JWT_INVALID")


def _claims(payload: bytes) -> dict[str, Any]:
    """The claims of a token; ValueError when one that counts is not of its form."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a claim is given twice")
        return made

    claims = json.loads(payload, object_pairs_hook=unique)
    if not isinstance(claims, dict):
        raise ValueError("claims are an object")
    check_claims(claims)
    return claims


def check_claims(claims: dict[str, Any]) -> None:
    """ValueError when a claim that counts is not of its form."""
    exp, name, level, scopes = (claims.get(key) for key in ("exp", "id", "a", "p"))
    if not (
        (exp is None or type(exp) is int)
        and (name is None or (isinstance(name, str) and name))
        and (level is None or (isinstance(level, str) and level in LEVELS))
        and (scopes is None or (isinstance(scopes, dict) and all(map(_is_scope, map(scopes.get, SCOPES)))))
    ):
        raise ValueError("a claim is not of its form")


def _is_scope(scope: object) -> bool:
    if scope is None:
        return True
    if not isinstance(scope, dict):
        return False
    names, tags = scope.get("ns"), scope.get("tags")
    return (names is None or (isinstance(names, list) and all(isinstance(name, str) and name for name in names))) and (
        tags is None or (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags))
    )


def rights_of(claims: dict[str, Any], group: str | None = None) -> Rights:
    """The rights that claims of the right form grant. group: the tag of this server (LIBSQL_GID by default)."""
    scopes = claims.get("p")
    if scopes is None:
        level = LEVELS[claims.get("a") or "rw"]
        name = claims.get("id")
        return Rights(level) if name is None else Rights(0, {name: level})
    group = os.environ.get("LIBSQL_GID") if group is None else group
    rest = 0
    named: dict[str, int] = {}
    for scope, bits in SCOPES.items():
        given = scopes.get(scope) or {}
        if group and group in (given.get("tags") or ()):
            rest |= bits
        for name in given.get("ns") or ():
            named[name] = named.get(name, 0) | bits
    return Rights(rest, {name: bits | rest for name, bits in named.items()})


def _raw_key(text: str) -> Ed25519PublicKey:
    bare = text.rstrip("=")
    fault = base64_fault(bare, "-_+/")
    if fault:
        raise InvalidKey(f"Could not decode Ed25519 public key from base64: Base64 error: {fault}")
    try:
        data = base64.b64decode(standard(bare) + b"=" * (-len(bare) % 4))
    except binascii.Error as error:
        raise InvalidKey(f"Could not decode Ed25519 public key from base64: Base64 error: {error}") from None
    if len(data) != KEY_BYTES:
        raise InvalidKey(f"An Ed25519 public key has {KEY_BYTES} bytes, not {len(data)}")
    return Ed25519PublicKey.from_public_bytes(data)


def parse_keys(text: str) -> list[Ed25519PublicKey]:
    """The public keys in PEM blocks, or in base64, one a line; InvalidKey when there are none or others."""
    if "-----BEGIN" not in text:
        keys = [_raw_key(line) for line in text.split()]
        if not keys:
            raise InvalidKey("There is no key in an empty text")
        return keys
    keys = []
    for block in PEM.finditer(text):
        if "PRIVATE KEY" in block[1]:
            raise InvalidKey("Received a private key, but a public key is expected")
        try:
            key = load_pem_public_key(block[0].encode()) if block[1] == "PUBLIC KEY" else None
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidKey("Key is in unsupported PEM format")
        keys.append(key)
    if not keys:
        raise InvalidKey("Key is in unsupported PEM format")
    return keys
