"""The log of the server: lines on stdout, in the form that libSQL's server writes them."""

from __future__ import annotations

import logging
import re
import sys
from datetime import datetime, timezone
from typing import TextIO

ROOT = "sqld"
TRACE = 5
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}
NAMES = {number: name.upper() for name, number in LEVELS.items()}
TARGET = re.compile(r"[\w:.-]+")


def logger(part: str = "") -> logging.Logger:
    """The logger of a part of the server: `sqld`, `sqld.auth` and so on."""
    return logging.getLogger(f"{ROOT}.{part}" if part else ROOT)


class Line(logging.Formatter):
    """`2026-11-21T17:50:05.294449Z  INFO sqld: text`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        level = NAMES.get(record.levelno, record.levelname)
        text = f"{at} {level:>5} {record.name.replace('.', '::')}: {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _target(name: str) -> str:
    """The logger that a target of the filter means; names of the original's modules mean their counterpart."""
    parts = re.split(r"::|\.", name)
    if parts[0] in (ROOT, "libsql_server", "libsql_core"):
        parts[0] = ROOT
    return ".".join(parts)


def parse_filter(text: str) -> dict[str, int]:
    """Levels by logger from directives such as `info` or `warn,sqld::auth=debug`; ValueError when one is not such."""
    levels = {"": LEVELS["error"]}
    for directive in filter(None, (part.strip() for part in text.split(","))):
        target, equals, level = directive.rpartition("=")
        if level.lower() not in LEVELS and not equals and TARGET.fullmatch(level):
            target, level = level, "trace"
        if level.lower() not in LEVELS or (equals and not TARGET.fullmatch(target)):
            raise ValueError("invalid filter directive")
        levels[_target(target) if target else ""] = LEVELS[level.lower()]
    return levels


def set_filter(text: str) -> None:
    levels = parse_filter(text)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(f"{ROOT}."):
            logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger(ROOT).setLevel(levels.pop("", LEVELS["error"]))
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def start(text: str, stream: TextIO | None = None) -> logging.Handler:
    """Write the log from here on; the handler is what `stop` takes back."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(Line())
    set_filter(text)
    root = logging.getLogger(ROOT)
    root.addHandler(handler)
    root.propagate = False
    return handler


def stop(handler: logging.Handler) -> None:
    root = logging.getLogger(ROOT)
    root.removeHandler(handler)
    root.propagate = True
    handler.close()
