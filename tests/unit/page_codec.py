"""The page formats of the four ciphers once more, in Python over libcrypto: what the engine's files are held against.

A codec has `reserved`, and `encrypt(page, number)` and `decrypt(page, number)` turn a plain page into a stored one and
back; what does not authenticate raises ValueError. `encrypt_file()` and `decrypt_file()` do whole files.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from typing import Any

MAGIC = b"SQLite format 3\0"
PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


# What the tests open databases with.
KEYS: dict[str, str | bytes] = {
    "aes256cbc": "secret",
    "xaes256gcm": bytes(range(32)),
    "sqlcipher": bytes(range(32, 64)),
    "chacha20": bytes(range(64, 96)),
}


def find_libcrypto() -> Any:
    """The libcrypto that Python's own modules brought into the process."""
    import _hashlib

    names = [getattr(_hashlib, "__file__", None), ctypes.util.find_library("crypto")]
    for name in filter(None, names):
        library = ctypes.CDLL(name)
        if hasattr(library, "EVP_CIPHER_CTX_new"):
            return library
    raise OSError("no libcrypto was found")


LIB = find_libcrypto()
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_cbc", "EVP_aes_256_ecb", "EVP_aes_256_gcm", "EVP_chacha20"):
    getattr(LIB, _name).restype = ctypes.c_void_p
GET_TAG, SET_TAG, SET_IV_LENGTH = 0x10, 0x11, 0x9


def evp(kind: str, key: bytes, iv: bytes, data: bytes, encrypt: bool, aad: bytes = b"", tag: bytes = b"") -> bytes:
    """Run one cipher over data without padding; for GCM the tag is put behind the result, or checked."""
    context = ctypes.c_void_p(LIB.EVP_CIPHER_CTX_new())
    out = ctypes.create_string_buffer(len(data) + 32)
    n = ctypes.c_int()
    try:
        cipher = ctypes.c_void_p(getattr(LIB, f"EVP_{kind}")())
        assert LIB.EVP_CipherInit_ex(context, cipher, None, key, iv or None, int(encrypt)) == 1
        LIB.EVP_CIPHER_CTX_set_padding(context, 0)
        if aad:
            assert LIB.EVP_CipherUpdate(context, None, ctypes.byref(n), aad, len(aad)) == 1
        assert LIB.EVP_CipherUpdate(context, out, ctypes.byref(n), data, len(data)) == 1
        done = n.value
        if tag:
            assert LIB.EVP_CIPHER_CTX_ctrl(context, SET_TAG, 16, tag) == 1
        if LIB.EVP_CipherFinal_ex(context, ctypes.byref(out, done), ctypes.byref(n)) != 1:
            raise ValueError("the tag does not fit")
        result = out.raw[: done + n.value]
        if "gcm" in kind and encrypt:
            made = ctypes.create_string_buffer(16)
            assert LIB.EVP_CIPHER_CTX_ctrl(context, GET_TAG, 16, made) == 1
            result += made.raw
        return result
    finally:
        LIB.EVP_CIPHER_CTX_free(context)


class Cbc:
    """aes256cbc, libSQL's."""

    reserved = 0

    def __init__(self, passphrase: bytes) -> None:
        key = (passphrase + PAD)[:32]
        for _ in range(4002):
            key = hashlib.sha256(key).digest()
        self.key = key

    def page_key(self, number: int) -> bytes:
        return hashlib.sha256(self.key + struct.pack("<I", number) + b"sAlT").digest()

    @staticmethod
    def before_md5(number: int) -> bytes:
        z, out = number + 1, b""
        for _ in range(4):
            z = 40692 * (z % 52774) - 3791 * (z // 52774)
            z += 2147483399 if z < 0 else 0
            out += struct.pack("<I", z)
        return out

    def iv(self, number: int) -> bytes:
        return hashlib.md5(self.before_md5(number)).digest()

    def run(self, data: bytes, number: int, encrypt: bool) -> bytes:
        return evp("aes_256_cbc", self.page_key(number), self.iv(number), data, encrypt)

    def encrypt(self, page: bytes, number: int) -> bytes:
        if number != 1:
            return self.run(page, number, True)
        first, rest = self.run(page[:16], 1, True), self.run(page[16:], 1, True)
        return first[:8] + rest[:8] + page[16:24] + rest[8:]

    def decrypt(self, page: bytes, number: int) -> bytes:
        if number != 1:
            return self.run(page, number, False)
        rest = self.run(page[8:16] + page[24:], 1, False)
        if rest[:8] != page[16:24]:
            raise ValueError("the key does not fit")
        return MAGIC + rest


class LegacyCbc(Cbc):
    """The same with page 1 in one piece."""

    def encrypt(self, page: bytes, number: int) -> bytes:
        return self.run(page, number, True)

    def decrypt(self, page: bytes, number: int) -> bytes:
        return self.run(page, number, False)


class Xaes:
    """xaes256gcm: AES-GCM under a key derived of each nonce, page number and file bound."""

    reserved = 40

    def __init__(self, key: bytes, header: bytes) -> None:
        self.header = header
        suite = header[3]
        if suite == 1:
            self.base = key
        elif suite == 2:
            self.base = hashlib.scrypt(key, salt=header, n=2**15, r=8, p=3, maxmem=2**26, dklen=32)
        else:
            self.base = hashlib.pbkdf2_hmac("sha512", key, header, 256000, 32)
        self.key = hmac.digest(self.base, b"libsql_core page key v1" + header, "sha256")

    def encrypt(self, page: bytes, number: int, nonce: bytes = b"") -> bytes:
        nonce, start, end = nonce or os.urandom(24), 24 if number == 1 else 0, len(page) - 40
        sealed = xaes(self.key, nonce, page[start:end], self.aad(page, number))
        clear = self.header + page[16:24] if number == 1 else b""
        return clear + sealed + nonce

    def decrypt(self, page: bytes, number: int) -> bytes:
        start, end = 24 if number == 1 else 0, len(page) - 40
        plain = xaes(self.key, page[-24:], page[start:end], self.aad(page, number), page[end:-24])
        return (MAGIC + page[16:24] if number == 1 else b"") + plain + bytes(40)

    def aad(self, page: bytes, number: int) -> bytes:
        return self.header + (page[16:24] if number == 1 else b"") + struct.pack(">I", number)


def xaes(key: bytes, nonce: bytes, data: bytes, aad: bytes, tag: bytes = b"") -> bytes:
    """XAES-256-GCM; with a tag it opens, else it seals."""
    number = int.from_bytes(evp("aes_256_ecb", key, b"", bytes(16), True), "big") << 1
    if number >> 128:
        number = (number ^ 0x87) & ((1 << 128) - 1)
    blocks = [int.from_bytes(bytes([0, i, 0x58, 0]) + nonce[:12], "big") ^ number for i in (1, 2)]
    derived = evp("aes_256_ecb", key, b"", b"".join(block.to_bytes(16, "big") for block in blocks), True)
    return evp("aes_256_gcm", derived, nonce[12:], data, not tag, aad, tag)


class Sqlcipher:
    """SQLCipher 4 with its defaults; bytes of a key that is not a passphrase go in as `raw`."""

    reserved = 80

    def __init__(self, passphrase: bytes, salt: bytes, raw: bool = False) -> None:
        self.salt = salt
        self.key = passphrase if raw else hashlib.pbkdf2_hmac("sha512", passphrase, salt, 256000, 32)
        self.mac_key = hashlib.pbkdf2_hmac("sha512", self.key, bytes(byte ^ 0x3A for byte in salt), 2, 32)

    def mac(self, sealed: bytes, iv: bytes, number: int) -> bytes:
        return hmac.digest(self.mac_key, sealed + iv + struct.pack("<I", number), "sha512")

    def encrypt(self, page: bytes, number: int, iv: bytes = b"") -> bytes:
        iv, start = iv or os.urandom(16), 16 if number == 1 else 0
        sealed = evp("aes_256_cbc", self.key, iv, page[start:-80], True)
        return (self.salt if number == 1 else b"") + sealed + iv + self.mac(sealed, iv, number)

    def decrypt(self, page: bytes, number: int) -> bytes:
        start = 16 if number == 1 else 0
        sealed, iv = page[start:-80], page[-80:-64]
        if self.mac(sealed, iv, number) != page[-64:]:
            raise ValueError("the MAC does not fit")
        return (MAGIC if number == 1 else b"") + evp("aes_256_cbc", self.key, iv, sealed, False) + bytes(80)


class Chacha:
    """chacha20 of SQLite3 Multiple Ciphers, with its defaults."""

    reserved = 32

    def __init__(self, passphrase: bytes, salt: bytes, raw: bool = False) -> None:
        self.salt = salt
        self.key = passphrase if raw else hashlib.pbkdf2_hmac("sha256", passphrase, salt, 64007, 32)

    def keys(self, nonce: bytes, number: int) -> tuple[bytes, bytes, Callable[[bytes], bytes]]:
        counter = struct.unpack("<I", nonce[12:])[0] ^ number
        start = struct.pack("<I", counter) + nonce[:12]
        made = evp("chacha20", self.key, start, bytes(64), True)
        after = struct.pack("<I", (counter + 1) & 0xFFFFFFFF) + nonce[:12]
        return made[:32], made[32:], lambda data: evp("chacha20", made[32:], after, data, True)

    def encrypt(self, page: bytes, number: int, nonce: bytes = b"") -> bytes:
        nonce, start = nonce or os.urandom(16), 24 if number == 1 else 0
        mac_key, _, run = self.keys(nonce, number)
        clear = self.salt + page[16:24] if number == 1 else b""
        sealed = clear + run(page[start:-32]) + nonce
        return sealed + poly1305(mac_key, sealed)

    def decrypt(self, page: bytes, number: int) -> bytes:
        start, nonce = 24 if number == 1 else 0, page[-32:-16]
        mac_key, _, run = self.keys(nonce, number)
        if poly1305(mac_key, page[:-16]) != page[-16:]:
            raise ValueError("the tag does not fit")
        return (MAGIC + page[16:24] if number == 1 else b"") + run(page[start:-32]) + bytes(32)


def poly1305(key: bytes, data: bytes) -> bytes:
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total, prime = 0, (1 << 130) - 5
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at : at + 16] + b"\1", "little")) * r % prime
    return ((total + int.from_bytes(key[16:], "little")) & ((1 << 128) - 1)).to_bytes(16, "little")


def codec_of(cipher: str, key: bytes, head: bytes, raw: bool = False) -> Any:
    """The codec that opens a file that begins with these 16 bytes."""
    if cipher == "aes256cbc":
        return Cbc(key)
    if cipher == "xaes256gcm":
        return Xaes(key, head)
    return {"sqlcipher": Sqlcipher, "chacha20": Chacha}[cipher](key, head, raw)


def pages(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def decrypt_file(data: bytes, codec: Any, page_size: int) -> bytes:
    """A plain database; its reserved bytes are zeros."""
    return b"".join(codec.decrypt(page, number) for number, page in enumerate(pages(data, page_size), 1))


def encrypt_file(data: bytes, codec: Any, page_size: int) -> bytes:
    """Of a plain database that was made with as many reserved bytes."""
    return b"".join(codec.encrypt(page, number) for number, page in enumerate(pages(data, page_size), 1))


def wal_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Page numbers and pages of a log."""
    size = struct.unpack(">I", data[8:12])[0]
    frames = [data[at : at + 24 + size] for at in range(32, len(data) - 24 - size + 1, 24 + size)]
    return [(struct.unpack(">I", frame[:4])[0], frame[24:]) for frame in frames]


def wal_checksums_fit(data: bytes) -> bool:
    """Whether the checksums of a log run over the pages as they are stored."""
    order = ">" if struct.unpack(">I", data[:4])[0] & 1 else "<"
    size = struct.unpack(">I", data[8:12])[0]

    def add(state: tuple[int, int], part: bytes) -> tuple[int, int]:
        a, b = state
        words = struct.unpack(f"{order}{len(part) // 4}I", part)
        for x, y in zip(words[::2], words[1::2], strict=True):
            a = (a + x + b) & 0xFFFFFFFF
            b = (b + y + a) & 0xFFFFFFFF
        return a, b

    state = add((0, 0), data[:24])
    if state != struct.unpack(">2I", data[24:32]):
        return False
    for at in range(32, len(data), 24 + size):
        frame = data[at : at + 24 + size]
        state = add(add(state, frame[:8]), frame[24:])
        if state != struct.unpack(">2I", frame[16:24]):
            return False
    return True
