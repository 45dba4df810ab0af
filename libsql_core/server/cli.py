"""The command `sqld`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from libsql_core.server import log
from libsql_core.server.app import StartError, serve
from libsql_core.server.config import SETTINGS, Config, ConfigError, load, show_address
from libsql_core.server.directory import DirectoryError
from libsql_core.server.host import VERSION_TEXT

# Commands of the original that are not part of this server, and what to do instead.
REFUSED = {
    "admin-shell": "Statements of an administrator go through the user API.",
    "wal-toolkit": "There are no logs of libsql-wal here to look into.",
}
# Of glibc's malloc.h; other C libraries have no such function, or do nothing.
M_ARENA_MAX = -8
BANNER = r"""           _     _
 ___  __ _| | __| |
/ __|/ _` | |/ _` |
\__ \ (_| | | (_| |
|___/\__, |_|\__,_|
        |_|
"""


class Command(click.Command):
    """Shows its options in the groups of the table of settings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for name, settings in groupby((s for s in SETTINGS if s.flag), key=lambda setting: setting.group):
            with formatter.section(name):
                rows = []
                for setting in settings:
                    value = "" if setting.switch else f" {setting.name.upper()}"
                    flags = f"{setting.short}, {setting.option}" if setting.short else f"    {setting.option}"
                    words = [f"Refused: {setting.refused}." if setting.refused else setting.help]
                    words.append(f"[env: {setting.variable}]")
                    default = setting.shown or getattr(Config(), setting.name, None)
                    if not setting.refused and not setting.switch and default is not None:
                        words.append(f"[default: {default}]")
                    rows.append((flags + value, " ".join(words)))
                formatter.write_dl(rows)
        with formatter.section("Other"):
            formatter.write_dl(
                [
                    (
                        "    --config FILE",
                        "TOML file of settings, named as the flags; flags and environment go before it.",
                    ),
                    ("-V, --version", "Print the version."),
                    ("-h, --help", "Print this help."),
                ]
            )


def _options() -> list[click.Parameter]:
    made: list[click.Parameter] = [
        click.Option(["--config", "file"], type=click.Path(path_type=Path)),
        click.Option(["-V", "--version"], is_flag=True),
        click.Argument(["command"], required=False),
    ]
    for setting in SETTINGS:
        if setting.flag:
            names = [setting.name, setting.option, *([setting.short] if setting.short else [])]
            made.append(click.Option(names, is_flag=setting.switch, default=None))
    return made


def run(file: Path | None, version: bool, command: str | None, **flags: Any) -> None:
    if version:
        click.echo(f"sqld {VERSION_TEXT}")
        return
    if command is not None:
        if command == "help":
            click.echo(click.get_current_context().get_help())
            return
        reason = REFUSED.get(command)
        raise click.UsageError(f"`{command}` is refused: {reason}" if reason else f"unexpected argument '{command}'")
    given = {name: "true" if value is True else str(value) for name, value in flags.items() if value is not None}
    try:
        config = load(given, os.environ, file)
        handler = log.start(os.environ.get("RUST_LOG") or "info")
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except ValueError as error:
        raise click.UsageError(f"RUST_LOG: {error}") from None
    if not config.no_welcome:
        welcome(config)
    try:
        _loop(config)
    except (StartError, DirectoryError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    finally:
        log.stop(handler)


def _save_memory() -> None:
    """Have the C library keep two heaps, not one for each worker thread that ever ran a statement."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def _loop(config: Config) -> None:
    _save_memory()
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(config))
    else:
        uvloop.run(serve(config))


def welcome(config: Config) -> None:
    """The banner, on stderr."""
    mode = "standalone"
    if config.grpc_listen_addr is not None:
        mode = f"primary ({show_address(config.grpc_listen_addr)})"
    elif config.primary_grpc_url is not None:
        mode = f"replica (primary at {config.primary_grpc_url})"
    lines = [
        BANNER,
        "Welcome to sqld!",
        "",
        f"version: {VERSION_TEXT.removeprefix('sqld ')}",
        "",
        "config:",
        f"\t- mode: {mode}",
        f"\t- database path: {config.db_path}",
        f"\t- extensions path: {config.extensions_path or '<disabled>'}",
        f"\t- listening for HTTP requests on: {show_address(config.http_listen_addr)}",
        f"\t- grpc_tls: {'yes' if config.grpc_tls else 'no'}",
        f"\t- encryption at rest: {'disabled' if config.encryption_key is None else 'enabled'}",
    ]
    click.echo("\n".join(lines), err=True)


main = Command(
    "sqld",
    callback=run,
    params=_options(),
    help="A server for SQLite databases that libSQL's clients talk to.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def entry() -> None:
    """The `sqld` script. Ctrl-C before the server runs is no error."""
    with contextlib.suppress(KeyboardInterrupt):
        main(prog_name="sqld")
