"""The table of settings: sources, their order, sizes and addresses, and what is refused."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from libsql_core.server import config
from libsql_core.server.config import SETTINGS, Config, ConfigError, format_size, load, parse_address, parse_size


def test_the_table_and_the_settings_agree() -> None:
    assert [setting.name for setting in SETTINGS if not setting.refused] == [field.name for field in fields(Config)]
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    variables = [setting.variable for setting in SETTINGS]
    assert len(set(variables)) == len(variables)
    # Those that the flag's name does not give away.
    assert {"LIBSQL_ADMIN_AUTH_KEY", "SQLD_AUTH_JWT_KEY", "SQLD_META_STORE_SECRET_ACCESS"} <= set(variables)


def test_defaults() -> None:
    made = load({}, {})
    assert made == Config()
    for setting in SETTINGS:
        if setting.shown:
            assert setting.read(setting.shown) == getattr(made, setting.name)


def test_order_of_sources(tmp_path: Path) -> None:
    file = tmp_path / "sqld.toml"
    file.write_text('db-path = "file"\nhttp_self_url = "http://file"\nenable-namespaces = true\nshutdown-timeout = 5\n')
    environ = {"SQLD_DB_PATH": "environment", "SQLD_HTTP_SELF_URL": "http://environment", "SQLD_MAX_RESPONSE_SIZE": ""}
    made = load({"db_path": "flag"}, environ, file)
    assert (made.db_path, made.http_self_url, made.shutdown_timeout) == ("flag", "http://environment", 5)
    assert made.enable_namespaces
    assert made.max_response_size == 10_000_000


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("5", 5), ("100KB", 100_000), ("1MiB", 1 << 20), ("1.5 mb", 1_500_000), ("2k", 2000), ("7B", 7),
     ("1GiB", 1 << 30), ("3 Ki", 3072)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1XB", "MB", "1 MB 2"])
def test_texts_that_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (4096, "4.1 KB"), (98_304, "98.3 KB"), (1 << 20, "1048.6 KB"),
     (999_997_440, "1000.0 MB"), (1_499_136, "1.5 MB"), (10**18, "1000.0 PB")],
)  # fmt: skip
def test_shown_sizes(size: int, text: str) -> None:
    """As libSQL's server writes them."""
    assert format_size(size) == text


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "[::1]:0", "0.0.0.0:65535"])
def test_addresses(text: str) -> None:
    assert config.show_address(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["foo", "localhost:8080", "127.0.0.1", ":8080", "127.0.0.1:65536", "::1:80", "1.1.1.1:x"]
)
def test_texts_that_are_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="invalid socket address syntax"):
        parse_address(text)


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        (
            {"http_listen_addr": "foo"},
            {},
            "invalid value 'foo' for '--http-listen-addr': invalid socket address syntax",
        ),
        ({}, {"SQLD_SHUTDOWN_TIMEOUT": "-1"}, "invalid value '-1' for 'SQLD_SHUTDOWN_TIMEOUT': invalid digit found in"),
        (
            {"primary_grpc_url": "http://x", "grpc_listen_addr": "0.0.0.0:1"},
            {},
            "--grpc-listen-addr makes a primary, --primary-grpc-url a replica: not both",
        ),
        ({}, {"SQLD_NODE": "leader"}, "invalid value 'leader' for 'SQLD_NODE': it is primary, replica or standalone"),
        ({}, {"SQLD_NODE": "replica"}, "SQLD_NODE=replica needs SQLD_PRIMARY_URL"),
        ({}, {"SQLD_MAX_LOG_SIZE": "0"}, "--max-log-size must be at least 1"),
        ({}, {"SQLD_MAX_LOG_DURATION": "-1"}, "invalid value '-1' for 'SQLD_MAX_LOG_DURATION': must be more than 0"),
        ({"grpc_tls": "true"}, {}, "--grpc-tls needs --grpc-cert-file"),
        ({"primary_grpc_tls": "true", "primary_grpc_cert_file": "a"}, {}, "--primary-grpc-tls needs"),
        ({}, {"SQLD_BACKUP_META_STORE": "true"}, "SQLD_BACKUP_META_STORE is refused: this version does not back up"),
        ({"admin_auth_key": "k"}, {}, "--admin-auth-key needs --admin-listen-addr"),
        ({"initial_idle_shutdown_timeout_s": "5"}, {}, "needs --idle-shutdown-timeout-s"),
        ({"http_tls_key_file": "x"}, {}, "--http-tls-key-file needs --http-tls-cert-file"),
        ({"max_concurrent_connections": "0"}, {}, "--max-concurrent-connections must be at least 1"),
        ({}, {"SQLD_ALLOW_METASTORE_RECOVERY": "maybe"}, "a switch is true or false"),
        ({"encryption_key": ""}, {}, "an encryption key cannot be empty"),
        ({"auth_jwt_key_file": ""}, {}, "a path is required"),
        ({"extensions_path": ""}, {}, "a path is required"),
    ],
)
def test_what_cannot_be_used(flags: dict[str, str], environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ)
    assert message in str(caught.value)


def test_nodes() -> None:
    url = "http://primary:5001"
    assert load({}, {"SQLD_NODE": "standalone"}) == load({}, {"SQLD_NODE": ""}) == Config()
    assert load({}, {"SQLD_NODE": "primary"}).grpc_listen_addr == ("0.0.0.0", 5001)
    assert load({}, {"SQLD_NODE": "replica", "SQLD_PRIMARY_URL": url}).primary_grpc_url == url
    assert load({"grpc_listen_addr": "127.0.0.1:1"}, {"SQLD_NODE": "primary"}).grpc_listen_addr == ("127.0.0.1", 1)


def test_a_refused_switch_may_be_off() -> None:
    assert load({}, {"SQLD_BACKUP_META_STORE": "false"}) == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope = 1", "there is no setting `nope`"),
        ('meta-store-region = "x"', "meta-store-region is refused: this version does not back up"),
        ("no-welcome = 1", "`no-welcome` must be true or false"),
        ("db-path = true", "`db-path` must be text or a number"),
        ("db-path = [1]", "`db-path` must be text or a number"),
        ("= 1", "is not TOML"),
        ("\udcff", "is not TOML"),
        (None, "Could not read the configuration file"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "sqld.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError) as caught:
        load({}, {}, file)
    assert message in str(caught.value)


def test_every_setting_has_its_words() -> None:
    for setting in SETTINGS:
        shown: Any = setting.help or setting.refused
        assert shown, setting.name


def test_the_manual_names_every_flag() -> None:
    text = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    for setting in SETTINGS:
        name = setting.option if setting.flag else setting.variable
        assert setting.refused or re.search(rf"{name}\b(?!-)", text), name
