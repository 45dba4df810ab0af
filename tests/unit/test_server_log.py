"""Lines of the log, and what a filter lets through."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from libsql_core.server import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = log.start("info", stream)
    yield stream
    log.stop(handler)
    log.set_filter("")


def test_lines(lines: io.StringIO) -> None:
    log.logger().info("listening for %s on %s", "requests", "127.0.0.1:8080")
    log.logger("auth").error("broken")
    log.logger("auth").debug("hidden")
    first, second = lines.getvalue().splitlines()
    assert re.fullmatch(
        r"\d{4}(-\d\d){2}T\d\d(:\d\d){2}\.\d{6}Z  INFO sqld: listening for requests on 127.0.0.1:8080", first
    )
    assert re.fullmatch(r"\S+Z ERROR sqld::auth: broken", second)


def test_an_exception_has_its_traceback(lines: io.StringIO) -> None:
    try:
        raise ZeroDivisionError("by nought")
    except ZeroDivisionError:
        log.logger().exception("failed")
    assert "Traceback" in lines.getvalue()
    assert lines.getvalue().endswith("ZeroDivisionError: by nought\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("debug", {"sqld": "DEBUG", "sqld.auth": "DEBUG"}),
        ("warn,sqld::auth=trace", {"sqld": "WARN", "sqld.auth": "TRACE"}),
        ("libsql_server::auth=debug", {"sqld": "ERROR", "sqld.auth": "DEBUG"}),
        ("off", {"sqld": None, "sqld.auth": None}),
        ("INFO, sqld::auth=off", {"sqld": "INFO", "sqld.auth": None}),
    ],
)
def test_filters(lines: io.StringIO, text: str, shown: dict[str, str | None]) -> None:
    log.set_filter("trace,sqld::auth=error")
    log.set_filter(text)
    levels = [(log.TRACE, "TRACE"), (10, "DEBUG"), (20, "INFO"), (30, "WARN"), (40, "ERROR")]
    for name, lowest in shown.items():
        logger = logging.getLogger(name)
        assert next((text for number, text in levels if logger.isEnabledFor(number)), None) == lowest


@pytest.mark.parametrize("text", ["nonsense=[=", "sqld=loud", "=debug=", "a b"])
def test_filters_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="invalid filter directive"):
        log.parse_filter(text)


def test_silent_until_started() -> None:
    assert logging.getLogger("sqld").handlers == []
