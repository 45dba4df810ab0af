"""The configurations of all namespaces, in a database that libSQL's server reads and writes too.

A configuration is a protobuf message in a blob; fields that are not known here are kept as they came.
All functions block; changes are small transactions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from libsql_core import _engine as engine
from libsql_core.hrana import proto_decode
from libsql_core.hrana.errors import MalformedError
from libsql_core.hrana.proto_decode import LENGTH, VARINT

PAGE_SIZE = 4096
DEFAULT_PAGES = 244_140_625_000_000
# PRAGMA synchronous of each durability mode, and its number in the message.
DURABILITY = {"relaxed": (1, 0), "strong": (2, 1), "extra": (3, 2), "off": (0, 3)}
DURABILITY_NAMES = {number: name for name, (_, number) in DURABILITY.items()}
TXN_TIMEOUT_S = 5
MAX_ROW_SIZE = 5_000_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS namespace_configs(namespace TEXT NOT NULL PRIMARY KEY, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS shared_schema_links(
    shared_schema_name TEXT NOT NULL,
    namespace TEXT NOT NULL,
    PRIMARY KEY (shared_schema_name, namespace),
    FOREIGN KEY (shared_schema_name) REFERENCES namespace_configs(namespace) ON DELETE RESTRICT ON UPDATE RESTRICT,
    FOREIGN KEY (namespace) REFERENCES namespace_configs(namespace) ON DELETE RESTRICT ON UPDATE RESTRICT
);
CREATE TABLE IF NOT EXISTS jobs(
    job_id INTEGER PRIMARY KEY AUTOINCREMENT,
    schema TEXT NOT NULL,
    migration TEXT NOT NULL,
    status INTEGER,
    error TEXT,
    finished BOOLEAN GENERATED ALWAYS AS (status = 4 OR status = 5)
);
CREATE TABLE IF NOT EXISTS pending_tasks(
    task_id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER,
    target_namespace TEXT NOT NULL,
    status INTEGER,
    error TEXT,
    finished BOOLEAN GENERATED ALWAYS AS (status = 4 OR status = 5),
    FOREIGN KEY (job_id) REFERENCES jobs(job_id)
);
"""

# `metadata.DatabaseConfig`: number, name, type, and whether its absence is told from its zero.
_FIELDS: tuple[tuple[int, str, type, bool], ...] = (
    (1, "block_reads", bool, False),
    (2, "block_writes", bool, False),
    (3, "block_reason", str, True),
    (4, "max_db_pages", int, False),
    (5, "heartbeat_url", str, True),
    (6, "bottomless_db_id", str, True),
    (7, "jwt_key", str, True),
    (8, "txn_timeout_s", int, True),
    (9, "allow_attach", bool, False),
    (10, "max_row_size", int, True),
    (11, "shared_schema", bool, True),
    (12, "shared_schema_name", str, True),
    (13, "durability_mode", int, True),
)
_BY_NUMBER = {number: (name, kind) for number, name, kind, _ in _FIELDS}


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _sized(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | LENGTH) + _varint(len(data)) + data


class NamespaceConfig:
    """Implements api.NamespaceConfig: a namespace's configuration, its fields as attributes; None is absent."""

    block_reads: bool
    block_writes: bool
    block_reason: str | None
    max_db_pages: int
    heartbeat_url: str | None
    bottomless_db_id: str | None
    jwt_key: str | None
    txn_timeout_s: int | None
    allow_attach: bool
    max_row_size: int | None
    shared_schema: bool | None
    shared_schema_name: str | None
    durability_mode: int | None

    def __init__(self, blob: bytes | None = None, **fields: Any) -> None:
        """From a blob, ValueError if it is no such message; or a new one. Then with other values in some fields."""
        for _, name, kind, optional in _FIELDS:
            setattr(self, name, None if optional else kind())
        # Fields that are not known, as they came.
        self._unknown = b""
        if blob is None:
            self.max_db_pages = DEFAULT_PAGES
            self.max_row_size = MAX_ROW_SIZE
            self.durability_mode = 0
        else:
            self._load(blob)
        for name, value in fields.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def _load(self, blob: bytes) -> None:
        try:
            for number, wire, value, end in proto_decode.fields(blob, 0, len(blob)):
                name, kind = _BY_NUMBER.get(number, ("", bytes))
                if kind is str and wire == LENGTH:
                    setattr(self, name, blob[value:end].decode())
                elif kind in (bool, int) and wire == VARINT:
                    setattr(self, name, kind(value))
                elif kind is not bytes:
                    raise ValueError(f"field {number} is of another type")
                elif wire == VARINT:
                    self._unknown += _varint(number << 3) + _varint(value)
                elif wire == LENGTH:
                    self._unknown += _sized(number, blob[value:end])
                else:
                    self._unknown += _varint(number << 3 | wire) + blob[value:end]
        except MalformedError as error:
            raise ValueError(str(error)) from None

    def changed(self, **fields: Any) -> NamespaceConfig:
        """A copy, with other values in some fields."""
        return NamespaceConfig(self.dump(), **fields)

    def dump(self) -> bytes:
        made = b""
        for number, name, kind, optional in _FIELDS:
            value = getattr(self, name)
            if value is None or (not optional and not value):
                continue
            made += _sized(number, value.encode()) if kind is str else _varint(number << 3) + _varint(int(value))
        return made + self._unknown

    @property
    def synchronous(self) -> int:
        return DURABILITY[self.durability][0]

    @property
    def durability(self) -> str:
        return DURABILITY_NAMES.get(self.durability_mode or 0, "relaxed")

    @property
    def row_limit(self) -> int:
        return MAX_ROW_SIZE if self.max_row_size is None else self.max_row_size

    @property
    def timeout(self) -> float:
        return TXN_TIMEOUT_S if self.txn_timeout_s is None else self.txn_timeout_s


class MetaStore:
    """An open metastore. Any thread may use it, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        self._con = engine.connect(folder / "data", autocommit=True, check_same_thread=False)
        try:
            self._con.execute("PRAGMA journal_mode=WAL")
            self._con.execute("PRAGMA foreign_keys=ON")
            with self.transaction():
                for statement in SCHEMA.split(";\n"):
                    if statement.strip():
                        self._con.execute(statement)
        except BaseException:
            self._con.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._con.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self._con.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._con.execute("ROLLBACK")
                raise
            self._con.execute("COMMIT")

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._con.execute(sql, values).fetchall()

    def configs(self) -> dict[str, NamespaceConfig]:
        """All of them by namespace; ValueError when one is no such message."""
        found = {}
        for name, blob in self.rows("SELECT namespace, config FROM namespace_configs"):
            try:
                found[name] = NamespaceConfig(blob)
            except ValueError:
                raise ValueError(f"the configuration of namespace `{name}` cannot be read") from None
        return found

    def put(self, name: str, config: NamespaceConfig) -> None:
        """Write the configuration of a namespace, and its link to a shared schema."""
        with self.transaction():
            self.rows(
                "INSERT INTO namespace_configs VALUES (?, ?)"
                " ON CONFLICT(namespace) DO UPDATE SET config = excluded.config",
                name,
                config.dump(),
            )
            if config.shared_schema_name is not None:
                self.rows("INSERT OR IGNORE INTO shared_schema_links VALUES (?, ?)", config.shared_schema_name, name)

    def remove(self, name: str) -> None:
        with self.transaction():
            self.rows("DELETE FROM shared_schema_links WHERE namespace = ?", name)
            self.rows("DELETE FROM namespace_configs WHERE namespace = ?", name)

    def linked(self, schema: str) -> list[str]:
        """The namespaces that share a schema."""
        return [
            name
            for (name,) in self.rows(
                "SELECT namespace FROM shared_schema_links WHERE shared_schema_name = ? ORDER BY namespace", schema
            )
        ]
