"""The settings of the server: one table that feeds flags, environment, configuration file and documentation.

A setting comes from the first of these that names it: a flag, its environment variable, the file, its default.
What the server cannot do is in the table too, with the reason that is given for refusing it.
"""

from __future__ import annotations

import ipaddress
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Address = tuple[str, int]

SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgtpe])(i?))?(?:b|$)?\s*", re.IGNORECASE)
UNITS = "kmgtpe"
# Sizes are shown in thousands, but by the powers of 1024 that they reach, as libSQL's server does.
STEP = math.log(1024) + 2e-10


class ConfigError(ValueError):
    """A setting that cannot be used; the message is for the one who gave it."""


def parse_size(text: str) -> int:
    """Bytes from a number or from text such as "10MB" (ten million) or "1MiB"."""
    found = SIZE.fullmatch(text)
    if not found:
        raise ValueError("couldn't be parsed as a size, as in 5KB, 10MB or 1MiB")
    number, unit, binary = found.groups()
    power = UNITS.index(unit.lower()) + 1 if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def format_size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    power = max(1, int(math.log(size) / STEP))
    return f"{size / 1000**power:.1f} {UNITS[power - 1].upper()}B"


def parse_address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    try:
        if host.startswith("[") and host.endswith("]"):
            address = str(ipaddress.IPv6Address(host[1:-1]))
        else:
            address = str(ipaddress.IPv4Address(host))
        number = int(port)
    except ValueError:
        raise ValueError("invalid socket address syntax") from None
    if not colon or not 0 <= number < 1 << 16:
        raise ValueError("invalid socket address syntax")
    return address, number


def show_address(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_count(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise ValueError("invalid digit found in string")
    return int(text)


def parse_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError("must be more than 0")
    return seconds


def parse_path(text: str) -> Path:
    if not text:
        raise ValueError("a path is required")
    return Path(text)


def parse_key(text: str) -> bytes:
    if not text:
        raise ValueError("an encryption key cannot be empty")
    return text.encode()


@dataclass(frozen=True)
class Config:
    """The settings that the server works with; a field's name is its flag's."""

    db_path: str = "data.sqld"
    extensions_path: Path | None = None
    encryption_key: bytes | None = None
    enable_wasm_functions: bool = False
    checkpoint_interval_s: int | None = None
    soft_heap_limit_mb: int | None = None
    hard_heap_limit_mb: int | None = None
    max_response_size: int = 10_000_000
    max_total_response_size: int = 32_000_000
    max_request_size: int = 64_000_000
    max_statement_time_s: int | None = None
    max_concurrent_connections: int = 128
    max_concurrent_requests: int = 128
    connection_creation_timeout_sec: int = 1
    disable_intelligent_throttling: bool = False
    http_listen_addr: Address = ("127.0.0.1", 8080)
    http_tls_cert_file: Path | None = None
    http_tls_key_file: Path | None = None
    enable_http_console: bool = False
    hrana_listen_addr: Address | None = None
    admin_listen_addr: Address | None = None
    admin_auth_key: str | None = None
    disable_metrics: bool = False
    http_self_url: str | None = None
    http_primary_url: str | None = None
    no_welcome: bool = False
    auth_jwt_key_file: Path | None = None
    auth_jwt_key: str | None = None
    http_auth: str | None = None
    enable_namespaces: bool = False
    disable_default_namespace: bool = False
    max_active_namespaces: int = 100
    allow_metastore_recovery: bool = False
    idle_shutdown_timeout_s: int | None = None
    initial_idle_shutdown_timeout_s: int | None = None
    shutdown_timeout: int = 30
    snapshot_at_shutdown: bool = False
    heartbeat_url: str | None = None
    heartbeat_auth: str | None = None
    heartbeat_period_s: int = 30
    enable_deadlock_monitor: bool = False
    grpc_listen_addr: Address | None = None
    grpc_tls: bool = False
    grpc_cert_file: Path | None = None
    grpc_key_file: Path | None = None
    grpc_ca_cert_file: Path | None = None
    primary_grpc_url: str | None = None
    primary_grpc_tls: bool = False
    primary_grpc_cert_file: Path | None = None
    primary_grpc_key_file: Path | None = None
    primary_grpc_ca_cert_file: Path | None = None
    max_log_size: int = 200
    max_log_duration: float | None = None
    snapshot_exec: str | None = None


DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Config)}

AT_LEAST_ONE = (
    "max_concurrent_connections max_concurrent_requests max_active_namespaces checkpoint_interval_s heartbeat_period_s"
    " max_log_size"
)
NO_BACKUP = "this version does not back up to object storage"
NO_LIBSQL_WAL = "the experimental libsql-wal is not part of this server; its logs are SQLite's"


GRPC_ADDRESS: Address = ("0.0.0.0", 5001)  # of SQLD_NODE=primary
GRPC_FILES = ("cert_file", "key_file", "ca_cert_file")


@dataclass(frozen=True)
class Setting:
    """A line of the table. env: its variable, if the name is not the one that follows from the flag's."""

    name: str
    group: str
    help: str = ""
    kind: Callable[[str], Any] = str
    env: str = ""
    short: str = ""
    shown: str = ""
    switch: bool = False
    flag: bool = True
    refused: str = ""

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return self.env or f"SQLD_{self.name.upper()}"

    def read(self, text: str) -> Any:
        if not self.switch:
            return self.kind(text)
        if text.lower() in ("true", "1", "yes", "on", "y", "t"):
            return True
        if text.lower() in ("false", "0", "no", "off", "n", "f", ""):
            return False
        raise ValueError("a switch is true or false")


def _switch(name: str, group: str, help: str, env: str = "", refused: str = "") -> Setting:
    return Setting(name, group, help, env=env, switch=True, refused=refused)


def _refused(reason: str, group: str, names: str) -> list[Setting]:
    return [Setting(name, group, refused=reason) for name in names.split()]


STORAGE, LIMITS, LISTENING, AUTH = "Storage", "Limits", "Listening", "Authentication"
NAMESPACES, LIFECYCLE, REPLICATION = "Namespaces", "Lifecycle and heartbeat", "Replication"
BACKUP = "Backup and experiments (refused)"

SETTINGS = [
    Setting("db_path", STORAGE, "Directory of the data; `:memory:` keeps nothing behind.", short="-d"),
    Setting(
        "extensions_path",
        STORAGE,
        "Folder of extensions to load; its trusted.lst lists `sha256 name`.",
        parse_path,
        short="-e",
    ),
    Setting("encryption_key", STORAGE, "Key of encryption at rest (AES-256-CBC).", parse_key),
    _switch("enable_wasm_functions", STORAGE, "Have CREATE FUNCTION, and run what databases hold."),
    Setting(
        "checkpoint_interval_s",
        STORAGE,
        "Seconds between checkpoints; without it SQLite's rule of 1000 pages.",
        parse_count,
    ),
    Setting("soft_heap_limit_mb", LIMITS, "MiB of memory that SQLite tries to stay below.", parse_count),
    Setting("hard_heap_limit_mb", LIMITS, "MiB of memory beyond which statements fail.", parse_count),
    Setting("max_response_size", LIMITS, "Size of one response, as in 5KB or 10MB.", parse_size, shown="10MB"),
    Setting("max_total_response_size", LIMITS, "Size of all responses being made.", parse_size, shown="32MB"),
    Setting("max_request_size", LIMITS, "Size of one request, as in 5KB or 10MB.", parse_size, shown="64MB"),
    Setting("max_statement_time_s", LIMITS, "Seconds after which a statement is interrupted.", parse_count),
    Setting("max_concurrent_connections", LIMITS, "Open database connections; each stream holds one.", parse_count),
    Setting("max_concurrent_requests", LIMITS, "Requests that may wait for a connection.", parse_count),
    Setting("connection_creation_timeout_sec", LIMITS, "Seconds to wait for a connection.", parse_count),
    _switch("disable_intelligent_throttling", LIMITS, "Always so here: memory pressure does not cut concurrency."),
    Setting("http_listen_addr", LISTENING, "IP:PORT of the user API.", parse_address, shown="127.0.0.1:8080"),
    Setting("http_tls_cert_file", LISTENING, "PEM certificate chain: the user API then speaks TLS.", parse_path),
    Setting("http_tls_key_file", LISTENING, "PEM key of that certificate.", parse_path),
    _switch("enable_http_console", LISTENING, "Serve a page at /console that runs statements."),
    Setting("hrana_listen_addr", LISTENING, "IP:PORT of an extra port for WebSocket alone.", parse_address, short="-l"),
    Setting("admin_listen_addr", LISTENING, "IP:PORT of the admin API.", parse_address),
    Setting("admin_auth_key", LISTENING, "Key that the admin API asks for.", env="LIBSQL_ADMIN_AUTH_KEY"),
    _switch("disable_metrics", LISTENING, "No /metrics on the admin port.", env="LIBSQL_DISABLE_METRICS"),
    Setting("http_self_url", LISTENING, "URL of this very server, sent as base_url."),
    Setting("http_primary_url", LISTENING, "URL that /beta/listen redirects to."),
    _switch("no_welcome", LISTENING, "No banner."),
    Setting(
        "auth_jwt_key_file", AUTH, "File with the Ed25519 public key(s) of tokens: PEM, or URL-safe base64.", parse_path
    ),
    Setting("auth_jwt_key", AUTH, "The text of such a file, in the environment only.", flag=False),
    Setting("http_auth", AUTH, "basic:BASE64 of user:password; goes before tokens."),
    _switch("enable_namespaces", NAMESPACES, "Many databases, told apart by Host or header."),
    _switch("disable_default_namespace", NAMESPACES, "Refuse requests that name no namespace."),
    Setting("max_active_namespaces", NAMESPACES, "Namespaces kept open; idle ones beyond are closed.", parse_count),
    _switch("allow_metastore_recovery", NAMESPACES, "Fill an empty metastore from the folders of the namespaces."),
    Setting("idle_shutdown_timeout_s", LIFECYCLE, "Seconds without requests, after which to stop.", parse_count),
    Setting(
        "initial_idle_shutdown_timeout_s", LIFECYCLE, "The same for the time before the first request.", parse_count
    ),
    Setting("shutdown_timeout", LIFECYCLE, "Seconds that a graceful stop may take.", parse_count),
    _switch("snapshot_at_shutdown", LIFECYCLE, "Always so here: closing a database leaves nothing in its log."),
    Setting("heartbeat_url", LIFECYCLE, "URL that statistics are posted to, one request a namespace."),
    Setting("heartbeat_auth", LIFECYCLE, "Authorization header of these requests."),
    Setting("heartbeat_period_s", LIFECYCLE, "Seconds between them.", parse_count),
    _switch("enable_deadlock_monitor", LIFECYCLE, "Log when the server does not get to its work."),
    Setting("grpc_listen_addr", REPLICATION, "IP:PORT of the port for servers that replicate this one.", parse_address),
    _switch("grpc_tls", REPLICATION, "TLS on that port, for servers with a certificate alone; needs the three files."),
    Setting(
        "grpc_cert_file", REPLICATION, "PEM certificate chain of that port; servers expect the name `sqld`.", parse_path
    ),
    Setting("grpc_key_file", REPLICATION, "PEM key of that certificate.", parse_path),
    Setting("grpc_ca_cert_file", REPLICATION, "PEM certificates that sign those of the servers.", parse_path),
    Setting("primary_grpc_url", REPLICATION, "URL of the primary's port for servers: this server is then its replica."),
    _switch("primary_grpc_tls", REPLICATION, "TLS to the primary; needs the three files, and an https URL."),
    Setting("primary_grpc_cert_file", REPLICATION, "PEM certificate chain to show the primary.", parse_path),
    Setting("primary_grpc_key_file", REPLICATION, "PEM key of that certificate.", parse_path),
    Setting("primary_grpc_ca_cert_file", REPLICATION, "PEM certificates that sign the primary's.", parse_path),
    Setting("max_log_size", REPLICATION, "MB of the replication log, beyond which it becomes a snapshot.", parse_count),
    Setting("max_log_duration", REPLICATION, "Seconds after which it does.", parse_seconds),
    Setting("snapshot_exec", REPLICATION, "Command run with each snapshot: FILE NAMESPACE FIRST LAST LOG_ID."),
    _switch("enable_bottomless_replication", BACKUP, "", refused=NO_BACKUP),
    _switch("backup_meta_store", BACKUP, "", refused=NO_BACKUP),
    *_refused(
        NO_BACKUP,
        BACKUP,
        "meta_store_access_key_id meta_store_session_token meta_store_region meta_store_backup_id"
        " meta_store_bucket_name meta_store_backup_interval_s meta_store_bucket_endpoint",
    ),
    Setting("meta_store_secret_access_key", BACKUP, env="SQLD_META_STORE_SECRET_ACCESS", refused=NO_BACKUP),
    _switch("meta_store_destroy_on_error", BACKUP, "", refused=NO_BACKUP),
    *_refused(NO_LIBSQL_WAL, BACKUP, "use_custom_wal"),
    Setting("storage_server_address", BACKUP, env="LIBSQL_STORAGE_SERVER_ADDR", refused=NO_LIBSQL_WAL),
    _switch("migrate_bottomless", BACKUP, "", env="LIBSQL_MIGRATE_BOTTOMLESS", refused=NO_LIBSQL_WAL),
    _switch("sync_from_storage", BACKUP, "", env="LIBSQL_SYNC_FROM_STORAGE", refused=NO_LIBSQL_WAL),
    Setting("sync_conccurency", BACKUP, env="LIBSQL_SYNC_CONCCURENCY", refused=NO_LIBSQL_WAL),
    _switch("force_load_wals", BACKUP, "", refused=NO_LIBSQL_WAL),
]
BY_NAME = {setting.name: setting for setting in SETTINGS}


def _read(setting: Setting, text: str, source: str) -> Any:
    if setting.refused and not (setting.switch and setting.read(text) is False):
        raise ConfigError(f"{source} is refused: {setting.refused}")
    try:
        return setting.read(text)
    except ValueError as error:
        raise ConfigError(f"invalid value '{text}' for '{source}': {error}") from None


def _file(path: Path) -> dict[str, Any]:
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Could not read the configuration file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {path} is not TOML: {error}") from None
    values = {}
    for key, value in read.items():
        setting = BY_NAME.get(key.replace("-", "_"))
        if setting is None:
            raise ConfigError(f"{path}: there is no setting `{key}`")
        if isinstance(value, bool) != setting.switch or not isinstance(value, bool | int | float | str):
            raise ConfigError(f"{path}: `{key}` must be {'true or false' if setting.switch else 'text or a number'}")
        text = str(value).lower() if setting.switch else str(value)
        values[setting.name] = _read(setting, text, f"{path}: {key}")
    return values


def _check(config: Config) -> Config:
    """What one setting asks of another."""
    pairs = (
        ("admin_auth_key", "admin_listen_addr"),
        ("initial_idle_shutdown_timeout_s", "idle_shutdown_timeout_s"),
        ("http_tls_cert_file", "http_tls_key_file"),
        ("http_tls_key_file", "http_tls_cert_file"),
        *((f"{port}grpc_tls", f"{port}grpc_{file}") for port in ("", "primary_") for file in GRPC_FILES),
    )
    for name, needed in pairs:
        if getattr(config, name) not in (None, False) and getattr(config, needed) is None:
            raise ConfigError(f"{BY_NAME[name].option} needs {BY_NAME[needed].option}")
    if config.grpc_listen_addr is not None and config.primary_grpc_url is not None:
        raise ConfigError("--grpc-listen-addr makes a primary, --primary-grpc-url a replica: not both")
    for name in AT_LEAST_ONE.split():
        if getattr(config, name) == 0:
            raise ConfigError(f"{BY_NAME[name].option} must be at least 1")
    return config


def _node(environ: Mapping[str, str]) -> dict[str, Any]:
    """What SQLD_NODE stands for, as in the container image of libSQL's server."""
    node = environ.get("SQLD_NODE") or "standalone"
    if node == "standalone":
        return {}
    if node == "primary":
        return {"grpc_listen_addr": GRPC_ADDRESS}
    if node != "replica":
        raise ConfigError(f"invalid value '{node}' for 'SQLD_NODE': it is primary, replica or standalone")
    url = environ.get("SQLD_PRIMARY_URL") or environ.get("SQLD_PRIMARY_GRPC_URL")
    if not url:
        raise ConfigError("SQLD_NODE=replica needs SQLD_PRIMARY_URL")
    return {"primary_grpc_url": url}


def load(flags: Mapping[str, str], environ: Mapping[str, str], file: Path | None = None) -> Config:
    """The settings from all sources; ConfigError names the first that cannot be used."""
    values = {**_node(environ), **({} if file is None else _file(file))}
    for setting in SETTINGS:
        if setting.name in flags:
            values[setting.name] = _read(setting, flags[setting.name], setting.option)
        elif environ.get(setting.variable):
            values[setting.name] = _read(setting, environ[setting.variable], setting.variable)
    return _check(Config(**{name: values.get(name, default) for name, default in DEFAULTS.items()}))
