"""Who asks, and what may they do: tokens (tokens.py), HTTP basic, or nobody is asked.

Rights are asked for per namespace: 0 means that the namespace does not exist for their owner.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Protocol

from libsql_core.hrana.errors import AuthError
from libsql_core.server.api import FULL


class InvalidKey(ValueError):
    """A text is not a public key."""


class Rights:
    """What the owner of some credentials may do: everything, or `rest` where `named` says nothing else."""

    __slots__ = ("_named", "_rest", "identity")

    def __init__(self, rest: int, named: dict[str, int] | None = None) -> None:
        self._rest = rest
        self._named = named or {}
        self.identity = hashlib.sha256(json.dumps([rest, sorted(self._named.items())]).encode()).digest()

    def of(self, namespace: str) -> int:
        """The permissions, as bits, in a namespace."""
        return self._named.get(namespace, self._rest)


EVERYTHING = Rights(FULL)


class Authenticator(Protocol):
    """A way to tell who asks. Both raise AuthError."""

    def by_header(self, header: str | None) -> Rights:
        """The value of `Authorization`."""

    def by_hello(self, token: str | None) -> Rights:
        """What the `hello` of a WebSocket carries."""


def split_header(header: str | None) -> tuple[str, str]:
    if header is None:
        raise AuthError("Expected authorization header but none given", "AUTH_HEADER_NOT_FOUND")
    scheme, blank, token = header.partition(" ")
    if not blank:
        raise AuthError("Auth string does not conform to '<scheme> <token>' form", "AUTH_HEADER_MALFORMED")
    return scheme, token


class Open:
    """Nobody is asked; credentials are not even looked at."""

    def by_header(self, header: str | None) -> Rights:
        return EVERYTHING

    def by_hello(self, token: str | None) -> Rights:
        return EVERYTHING


class Basic:
    """One user and password, in base64. The scheme is not looked at: clients that know only tokens send `Bearer`."""

    def __init__(self, setting: str) -> None:
        scheme, colon, credentials = setting.partition(":")
        if scheme.lower() != "basic" or not colon or not credentials:
            raise InvalidKey(f"invalid HTTP auth config: {setting}")
        self._expected = self._normal(credentials)

    @staticmethod
    def _normal(credentials: str) -> bytes:
        return credentials.rstrip("=").encode()

    def by_header(self, header: str | None) -> Rights:
        return self.by_hello(split_header(header)[1])

    def by_hello(self, token: str | None) -> Rights:
        if token is None:
            split_header(None)
        if token is not None and hmac.compare_digest(self._normal(token), self._expected):
            return EVERYTHING
        raise AuthError("The `Basic` HTTP authentication credentials were rejected", "AUTH_BASIC_REJECTED")


class Closed:
    """Nobody is let in: there should be a key, but it is none."""

    def by_header(self, header: str | None) -> Rights:
        return self.by_hello(split_header(header)[1])

    def by_hello(self, token: str | None) -> Rights:
        raise AuthError("The JWT is invalid", "AUTH_JWT_INVALID")


def tokens(keys: str) -> Authenticator:
    """Tokens signed with the keys in a text; InvalidKey if there are none in it.

    What tells signatures right takes 10 MB of memory: servers without keys do without it.
    """
    from libsql_core.server.tokens import Tokens, parse_keys

    return Tokens(parse_keys(keys))


def base64_fault(text: str, alphabet: str) -> str | None:
    """What is wrong with base64 without padding, in the words that clients know; None if nothing."""
    bare = text.rstrip("=")
    for offset, character in enumerate(bare):
        if not (character.isascii() and (character.isalnum() or character in alphabet)):
            return f"Invalid byte {character.encode()[0]}, offset {offset}."
    if bare != text:
        return "Invalid padding"
    spare = {2: 4, 3: 2}.get(len(text) % 4, 0)
    if len(text) % 4 == 1:
        return "Encoded text cannot have a 6-bit remainder."
    if spare and base64.b64decode(b"AAA" + standard(text[-1]))[-1] & ((1 << spare) - 1):
        return f"Invalid last symbol {ord(text[-1])}, offset {len(text) - 1}."
    return None


def standard(text: str) -> bytes:
    return text.replace("-", "+").replace("_", "/").encode()
