"""Keep a database under a key of its own, and change that key: the key lies sealed under another one.

A database key of 32 random bytes does the work. A key file holds it encrypted under the operator's passphrase, here as
a small encrypted database: to change the passphrase rewrites a few kilobytes, whatever the size of the data. Only when
the database key itself may have leaked is the whole database rewritten.
"""

from __future__ import annotations

import secrets
import tempfile
from contextlib import closing
from pathlib import Path

import libsql_core
from libsql_core import encryption

CIPHER: encryption.Cipher = "xaes256gcm"


def make_key_file(path: Path, passphrase: str) -> None:
    with closing(libsql_core.connect(path, encryption_key=passphrase, cipher=CIPHER, isolation_level=None)) as keys:
        keys.execute("CREATE TABLE key(id INTEGER PRIMARY KEY, key BLOB)")
        keys.execute("INSERT INTO key(key) VALUES (?)", (secrets.token_bytes(32),))


def open_database(database: Path, key_file: Path, passphrase: str) -> libsql_core.Connection:
    """With the newest key that fits: a rotation that was killed leaves two. To try the wrong one does no harm."""
    with closing(libsql_core.connect(key_file, encryption_key=passphrase, cipher=CIPHER)) as keys:
        found = [key for (key,) in keys.execute("SELECT key FROM key ORDER BY id DESC")]
    for key in found:
        con: libsql_core.Connection = libsql_core.connect(database, encryption_key=key, cipher=CIPHER)
        try:
            con.execute("SELECT 1 FROM sqlite_schema").fetchall()
            return con
        except libsql_core.DatabaseError as error:
            con.close()
            if error.sqlite_errorcode != libsql_core.SQLITE_NOTADB:
                raise
    raise ValueError(f"no key in {key_file.name} opens {database.name}")


def change_passphrase(path: Path, old: str, new: str) -> None:
    with closing(libsql_core.connect(path, encryption_key=old, cipher=CIPHER)) as keys:
        keys.rekey(new)


def rotate(database: Path, key_file: Path, passphrase: str) -> None:
    """Give the database a new key. It is in the key file first, and the old one until the end."""
    new = secrets.token_bytes(32)
    with (
        closing(open_database(database, key_file, passphrase)) as con,
        closing(libsql_core.connect(key_file, encryption_key=passphrase, cipher=CIPHER, isolation_level=None)) as keys,
    ):
        keys.execute("INSERT INTO key(key) VALUES (?)", (new,))
        con.rekey(new)
        keys.execute("DELETE FROM key WHERE key <> ?", (new,))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        key_file, database = Path(name, "keys.db"), Path(name, "patients.db")
        make_key_file(key_file, "first passphrase")
        with closing(open_database(database, key_file, "first passphrase")) as con, con:
            con.execute("CREATE TABLE patient(name, born)")
            con.execute("INSERT INTO patient VALUES ('Ada', 1815)")
        found = encryption.probe(database)
        print("in the clear:", b"Ada" in database.read_bytes())
        print("it is", found.kind, "with", found.ciphers[0], "and a key that is", found.key)

        change_passphrase(key_file, "first passphrase", "second passphrase")
        rotate(database, key_file, "second passphrase")
        with closing(open_database(database, key_file, "second passphrase")) as con:
            print("found:", con.execute("SELECT name FROM patient").fetchall())
        try:
            open_database(database, key_file, "first passphrase")
        except libsql_core.DatabaseError as error:
            print("refused:", error)


if __name__ == "__main__":
    main()
