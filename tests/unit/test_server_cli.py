"""The command `sqld`: its flags, its help, and how it ends."""

from __future__ import annotations

import re
from typing import Any

import pytest
from click.testing import CliRunner

from libsql_core.server import cli
from libsql_core.server.app import StartError
from libsql_core.server.config import SETTINGS, Config


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.delenv("RUST_LOG", raising=False)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that a server was started with."""
    seen: list[Config] = []
    monkeypatch.setattr(cli, "_loop", seen.append)
    return seen


def invoke(*arguments: str, **environ: str) -> Any:
    return CliRunner().invoke(cli.main, arguments, env=environ, prog_name="sqld")


def test_flags_and_environment(started: list[Config]) -> None:
    done = invoke("-d", "x", "--enable-namespaces", "--http-listen-addr", "0.0.0.0:1", SQLD_SHUTDOWN_TIMEOUT="3")
    assert done.exit_code == 0, done.output
    assert started == [Config(db_path="x", enable_namespaces=True, http_listen_addr=("0.0.0.0", 1), shutdown_timeout=3)]
    assert "Welcome to sqld!" in done.stderr
    assert "\t- database path: x\n" in done.stderr
    assert invoke("--no-welcome").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bogus"], "No such option"),
        (["--http-listen-addr", "foo"], "invalid value 'foo' for '--http-listen-addr': invalid socket address syntax"),
        (["--admin-auth-key", "k"], "--admin-auth-key needs --admin-listen-addr"),
        (["--grpc-tls"], "--grpc-tls needs --grpc-cert-file"),
        (["--backup-meta-store"], "--backup-meta-store is refused: this version does not back up"),
        (["--use-custom-wal", "libsql-wal"], "--use-custom-wal is refused: the experimental libsql-wal"),
        (["admin-shell"], "`admin-shell` is refused: "),
        (["wal-toolkit"], "`wal-toolkit` is refused: "),
        (["data"], "unexpected argument 'data'"),
        (["--config", "nope.toml"], "Could not read the configuration file nope.toml"),
    ],
)
def test_usage_errors(started: list[Config], arguments: list[str], message: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert message in re.sub(r"\s+", " ", done.stderr)
    assert started == []


def test_a_filter_that_is_none(started: list[Config]) -> None:
    done = invoke(RUST_LOG="=,=")
    assert (done.exit_code, started) == (2, [])
    assert "RUST_LOG: invalid filter directive" in done.stderr


def test_help() -> None:
    done = invoke("--help")
    assert done.exit_code == 0
    assert invoke("-h").output == invoke("help").output == done.output
    groups = [line[:-1] for line in done.output.splitlines() if re.fullmatch(r"\S.*:", line)]
    assert groups == [*dict.fromkeys(setting.group for setting in SETTINGS if setting.flag), "Other"]
    words = re.sub(r"\s+", " ", done.output)
    for setting in SETTINGS:
        if setting.flag:
            assert re.search(rf"{setting.option}\b(?!-)", words)
            assert (setting.refused or setting.help) in words
        assert not setting.flag or f"[env: {setting.variable}]" in words
    assert "[default: 127.0.0.1:8080]" in words


def test_version() -> None:
    for flag in ("-V", "--version"):
        assert re.fullmatch(r"sqld sqld \d+\.\d+\.\d+ \(libsql_core \S+\)\n", invoke(flag).output)


def test_what_a_start_fails_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: Config) -> None:
        raise StartError("no port")

    monkeypatch.setattr(cli, "_loop", fail)
    done = invoke("--no-welcome")
    assert (done.exit_code, done.stderr) == (1, "Error: no port\n")
