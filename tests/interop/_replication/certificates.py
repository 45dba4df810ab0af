"""Certificates for TLS between servers: one authority, one key pair for each side."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make(folder: Path) -> None:
    """`ca.pem`, and `NAME.pem` with `NAME.key` for sqld (what servers are called), replica, and stranger."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    authority = ec.generate_private_key(ec.SECP256R1())
    other = ec.generate_private_key(ec.SECP256R1())
    for text, signer, issuer in (
        ("ca", authority, "ca"), ("sqld", authority, "ca"), ("replica", authority, "ca"), ("stranger", other, "other"),
    ):  # fmt: skip
        key = authority if text == "ca" else ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name(text))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=text == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(text)]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        (folder / f"{text}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{text}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def flags(prefix: str, folder: Path, who: str) -> list[str]:
    """Of a server's command line; `prefix`: `--` or `--primary-`."""
    return [
        f"{prefix}grpc-tls", f"{prefix}grpc-cert-file", str(folder / f"{who}.pem"),
        f"{prefix}grpc-key-file", str(folder / f"{who}.key"), f"{prefix}grpc-ca-cert-file", str(folder / "ca.pem"),
    ]  # fmt: skip
