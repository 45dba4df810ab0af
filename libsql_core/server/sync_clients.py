"""Which of the two sync protocols a client is to speak, where it leaves that to the server.

Clients ask `GET /info` in the same words whether they speak both protocols, and take a 2xx for the newer one, or speak
the newer one alone, and fail without. Only the former's older copies can go wrong: one that was made by the log's
protocol is refused by the client itself once it hears of the newer one. So `/info` answers, but where such copies may
be about: in a namespace that a client of the log's protocol has said hello in, or that came from another server, as
the file `.copied` in its folder tells. There a client that asks the first time is sent to the log's protocol (404). If
it does not say hello there, it speaks the newer one alone, and has it from its next attempt on. Clients are told apart
by address and credentials; those that have pulled or pushed are remembered in `.copied`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

# Seconds after which one who was refused, and has not said hello, is taken to speak the newer protocol alone.
SILENCE = 1.0
# Clients that are remembered.
MOST = 4096


def client(address: str, headers: Mapping[bytes, bytes]) -> str:
    """Who asks, as far as that can be told."""
    said = headers.get(b"authorization", headers.get(b"x-authorization", b""))
    said = said.partition(b" ")[2] or said
    origin = headers.get(b"x-forwarded-for", address.encode("latin-1", "replace"))
    return hashlib.blake2b(b"%b\0%b" % (origin, said), digest_size=16).hexdigest()


class SyncClients:
    """Those of a namespace. Small files are read and written where this is called."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / ".copied"
        self._refused: dict[str, float] = {}
        self._greeted: dict[str, None] = {}
        self._newer: set[str] | None = None
        with contextlib.suppress(OSError, ValueError):
            self._newer = set(self._file.read_text(encoding="ascii").split()[-MOST:])

    def hello(self, who: str) -> None:
        """A client said hello by the log's protocol."""
        if self._newer is None:
            self._file.touch()
            self._newer = set()
        self._refused.pop(who, None)
        self._greeted[who] = None
        if len(self._greeted) > MOST:
            del self._greeted[next(iter(self._greeted))]

    def newer(self, who: str) -> bool:
        """Whether a client that asks is to speak the newer protocol."""
        if self._newer is None or (who in self._newer and who not in self._greeted):
            return True
        refused = self._refused.pop(who, None)
        if refused is not None and monotonic() - refused >= SILENCE:
            return True
        self._refused[who] = monotonic() if refused is None else refused
        if len(self._refused) > MOST:
            del self._refused[next(iter(self._refused))]
        return False

    def used(self, who: str) -> None:
        """A client speaks the newer one."""
        known = self._newer
        if known is not None and who not in known and who not in self._greeted and len(known) < MOST:
            known.add(who)
            with self._file.open("a", encoding="ascii") as file:
                file.write(who + "\n")
