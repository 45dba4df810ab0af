"""The formats as `page_codec.py` writes them give known bytes; the engine's files are compared with it elsewhere."""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path
from typing import Any

import pytest

CODEC = runpy.run_path(str(Path(__file__).with_name("page_codec.py")))
Cbc, LegacyCbc, Xaes, Sqlcipher = (CODEC[name] for name in ("Cbc", "LegacyCbc", "Xaes", "Sqlcipher"))
SALT = bytes(range(16))


def page(number: int, size: int, reserved: int, start: bytes = CODEC["MAGIC"]) -> bytes:
    """Bytes that are easy to make; page 1 with a header."""
    data = bytes((7 * i + 13 * number) % 256 for i in range(size))
    if number == 1:
        data = start + size.to_bytes(2, "big") + bytes([1, 1, reserved, 0x40, 0x20, 0x20]) + data[24:]
    return data


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_keys_of_aes256cbc() -> None:
    codec = Cbc(b"secret")
    assert codec.key.hex() == "cadb71ad944d36e639585e219b5b3a5cecd1b9c5faee39abd924cc2db01d591d"
    assert {n: (codec.page_key(n).hex(), codec.iv(n).hex()) for n in (1, 2, 3, 65536)} == {
        1: (
            "3ef8f6ec8dac53cad13170dd2de2d0d5a25d55c7f9ecc19fc7edfa3b46cd9b9b",
            "20d7420f9c37a35dca6fe92a1c6999a9",
        ),
        2: (
            "4e1777cba6450f9a926ec8118d020abd03d15c108117419babb4c52b522fe922",
            "b2547aac5270eef583e1d267a725d988",
        ),
        3: (
            "9579fb6a43c20184baf378eec976f132da6e4e7de0b3eee7fb3bcaa49326164b",
            "a58ce66f7d76cb8ce976ddb2557499de",
        ),
        65536: (
            "44568c1f07cb3cbd72f656795295b22c1658d11b0e6e9e58ec346c091ebda9b3",
            "82727263ca4cbff8567a87192dab6439",
        ),
    }
    assert codec.before_md5(1).hex() == "e83d010019326445a7fdbe7a31172b5f"


@pytest.mark.parametrize(
    ("passphrase", "key"),
    [
        (b"", "e36e1031fbe92304fa62a6e8b5abf35753631818b5eb3c25a035427ec4d52f68"),
        (
            b"correct horse battery staple and more than 32 bytes",
            "6f60d37c6a0fff1155f5976c57c623247b195f81e54833a84fd6e52433645122",
        ),
        ("pässwörd".encode(), "dbdd0f36ff9d81a2a1a265686df026ca395f0a4e12865488f6ceb27519f9bd0e"),
    ],
)
def test_passphrases_of_aes256cbc(passphrase: bytes, key: str) -> None:
    assert Cbc(passphrase).key.hex() == key


@pytest.mark.parametrize(
    ("codec", "size", "number", "start", "stored"),
    [
        (Cbc, 512, 1, "c64429a4f4947cb8044d23d8f519319d", "dcf3fb89868755a5ea51ff25151beb65"),
        (Cbc, 512, 2, "a7d26d674c2c003b0dda5fd2c0778422", "0f3e2eb150583e9e1e6dc766446f097f"),
        (Cbc, 512, 3, "7450899aa30c2051f763f9d8dbaa0a89", "b42b0181a8418a08a94477a48a8a4712"),
        (Cbc, 4096, 1, "c64429a4f4947cb850a4789fd879003b", "2a5e29f5c6f661e1f2dbff114207cdb3"),
        (Cbc, 4096, 2, "a7d26d674c2c003b0dda5fd2c0778422", "f278ae15db522327e938e9e415d778f7"),
        (Cbc, 4096, 3, "7450899aa30c2051f763f9d8dbaa0a89", "347c558010477071ed6345d4263e4619"),
        (LegacyCbc, 4096, 1, "c64429a4f4947cb8c50acfe9a702e5ef", "675b62b847f9135c261929a796f04775"),
    ],
)
def test_pages_of_aes256cbc(codec: Any, size: int, number: int, start: str, stored: str) -> None:
    plain = page(number, size, 0)
    made = codec(b"secret").encrypt(plain, number)
    assert (made[:16].hex(), digest(made)[:32]) == (start, stored)
    assert codec(b"secret").decrypt(made, number) == plain


def test_sqlcipher() -> None:
    codec = Sqlcipher(b"secret", SALT)
    assert codec.key.hex() == "822248b21ca90dc2fb644ddbe49a594289b90f00c7375a71a584ddf10fd49d5f"
    assert codec.mac_key.hex() == "71dcfe9a93f7b339e89baf9fe1895b9383b765523a953201ad76ce0b995f13f2"
    made = [codec.encrypt(page(number, 4096, 80), number, b"\x5a" * 16) for number in (1, 2)]
    assert [(data[-64:-48].hex(), digest(data)) for data in made] == [
        ("2cac29fa6bc505b4428306b59c39fe1e", "4ef22fd1544af70fa48016c0a2b3b1cd6b7e710122a26b39c969828d058ffe75"),
        ("119ae2d59b7ca44d459ee31406906f48", "bcd9568bf33e135042e52061094bfb9923afa9802ce78cfd3aafa2d20d0e5aaa"),
    ]


@pytest.mark.parametrize(
    ("key", "aad", "sealed"),
    [
        (b"\1" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\3" * 32, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_published_vectors_of_xaes256gcm(key: bytes, aad: bytes, sealed: str) -> None:
    assert CODEC["xaes"](key, b"ABCDEFGHIJKLMNOPQRSTUVWX", b"XAES-256-GCM", aad).hex() == sealed


def test_pages_of_xaes256gcm() -> None:
    header = bytes.fromhex("4c510102") + bytes(range(12))
    codec = Xaes(b"secret", header)
    assert codec.base.hex() == "25b17c7cbd605ee08f362e5f400ed95379f703435b5fb840bdd397819ebf0870"
    assert codec.key.hex() == "095b1b73b14af9240152972ad1b69418cabbe11aae4047dcd5be734ee37562eb"
    made = [codec.encrypt(page(number, 4096, 40), number, b"\x5a" * 24) for number in (1, 2)]
    assert [(data[-40:-24].hex(), digest(data)) for data in made] == [
        ("4fbb8e73d29cc6fa143a14fff3ec78c4", "bc236f4f1e5edf0df61dc26279ab2bfa18d83f62632922ca2be6a831fce71ad4"),
        ("f46ce56220be7491ba95598bcaadbd7c", "395c1c1071463bb5a2815588db29eaf11323df2e29f2a6ab5d2dbd3ca7185511"),
    ]
    with pytest.raises(ValueError, match="tag"):
        codec.decrypt(made[1], 3)
