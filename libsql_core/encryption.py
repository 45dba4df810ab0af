"""What an encrypted file seems to be, told without its key.

    from libsql_core import encryption

    found = encryption.probe("app.db")
    if found.encrypted:
        con = libsql_core.connect("app.db", encryption_key=key, cipher=found.ciphers[0])

`connect(encryption_key=)` and `Connection.rekey()` encrypt; see docs/encryption.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from libsql_core._engine import file_head

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath

__all__ = ["Cipher", "Probe", "probe"]

Cipher: TypeAlias = Literal["xaes256gcm", "aes256cbc", "sqlcipher", "chacha20"]

_HEAD = 4096
_MAGIC = b"SQLite format 3\0"
_OURS = b"LQ\x01"
_KEYS: dict[int, Literal["passphrase", "raw"]] = {1: "raw", 2: "passphrase", 3: "passphrase"}  # by suite


@dataclass(frozen=True)
class Probe:
    """What a file seems to be."""

    kind: Literal["empty", "plain", "encrypted", "unknown"]
    """Of an "unknown" file: no key opens it here."""

    ciphers: tuple[Cipher, ...] = ()
    """Those that may have written it, the likeliest first."""

    key: Literal["passphrase", "raw"] | None = None
    """What opens it, where the file says so: those of xaes256gcm do."""

    page_size: int | None = None
    reserved: int | None = None
    """Bytes at the end of each page that hold no data of SQLite's."""

    wal: bool | None = None
    """Whether it is in WAL mode. None, like the other fields: that cannot be seen without the key."""

    @property
    def encrypted(self) -> bool:
        return self.kind == "encrypted"


def probe(path: StrOrBytesPath) -> Probe:
    """Say what a database file seems to be, by its first bytes.

    It may be asked of a database that is open. Raises OperationalError if the file cannot be read.
    """
    head, size = file_head(path, _HEAD)
    if size == 0:
        return Probe("empty")
    page_size = 65536 if head[16:18] == b"\0\1" else int.from_bytes(head[16:18], "big")
    clear = (
        len(head) >= 512
        and 512 <= page_size <= 65536
        and page_size & (page_size - 1) == 0
        and head[18] in (1, 2)
        and head[21:24] == b"\x40\x20\x20"
    )
    if not clear:
        # A page of SQLCipher, or of libSQL's "legacy" form, is random from its first byte on.
        random = len(head) >= 512 and size % 512 == 0 and len(set(head)) > 150
        return Probe("encrypted", ("sqlcipher", "aes256cbc")) if random else Probe("unknown")
    key = None
    ciphers: tuple[Cipher, ...]
    if head.startswith(_MAGIC):
        # Here SQLite keeps zeros; SQLCipher can leave no more than the bytes before them clear.
        ciphers = () if not any(head[72:92]) else ("sqlcipher",)
    elif head.startswith(_OURS):
        key = _KEYS.get(head[3])
        if key is None:
            return Probe("unknown")
        ciphers = ("xaes256gcm",)
    else:
        ciphers = ("chacha20", "aes256cbc") if head[20] == 32 else ("aes256cbc",)
    return Probe("encrypted" if ciphers else "plain", ciphers, key, page_size, head[20], head[18] == 2)
