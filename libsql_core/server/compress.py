"""Bodies in the encoding that a client accepts."""

from __future__ import annotations

import zlib

# Shorter bodies gain nothing.
SHORTEST = 32
# Longer ones keep the loop from others.
LONG = 1 << 16
# zlib's window bits by coding, the preferred first: a gzip head, a zlib head.
_BITS = {b"gzip": 16, b"deflate": 0}


def choose(accepted: bytes) -> bytes | None:
    """The coding for an Accept-Encoding header, or None."""
    weights = {}
    for part in accepted.lower().split(b","):
        name, _, parameter = part.partition(b";")
        key, _, weight = parameter.strip().partition(b"=")
        try:
            weights[name.strip()] = float(weight) if key.strip() == b"q" else 1.0
        except ValueError:
            return None
    best = max(_BITS, key=lambda coding: weights.get(coding, 0.0))
    return best if weights.get(best, 0.0) > 0 else None


def compress(body: bytes, coding: bytes) -> bytes:
    # A window no larger than the body: a small one costs far less to set up.
    bits = min(15, max(9, len(body).bit_length()))
    made = zlib.compressobj(1, zlib.DEFLATED, bits + _BITS[coding], min(9, bits - 6))
    return made.compress(body) + made.flush()
