"""The interpreter's own sqlite3 tests pass on `libsql_core`, and run as much as on `sqlite3`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUNNER = Path(__file__).with_name("stdlib_suite.py")
TIMEOUT = 600


def run_suite(folder: Path, *options: str) -> dict[str, Any]:
    report = folder / "report.json"
    done = subprocess.run(
        [sys.executable, str(RUNNER), "--json", str(report), *options],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if not report.exists():  # it crashed, or refused to start
        pytest.fail(f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")
    result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return result


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_suite(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stdlib(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_suite(tmp_path_factory.mktemp("stdlib"), "--stdlib")


def test_the_suite_ran_on_our_module(ours: dict[str, Any]) -> None:
    assert ours["module"] == "libsql_core"
    assert len(ours["ran"]) > 300


def test_no_test_fails(ours: dict[str, Any]) -> None:
    assert not ours["failing"], "\n\n".join(f"{k}\n{v}" for k, v in ours["failing"].items())


def test_no_accepted_difference_is_out_of_date(ours: dict[str, Any]) -> None:
    assert not ours["outdated"]


def test_same_tests_run_and_skip_as_on_the_stdlib(ours: dict[str, Any], stdlib: dict[str, Any]) -> None:
    assert stdlib["module"] == "sqlite3"
    assert sorted(ours["ran"]) == sorted(stdlib["ran"])
    assert ours["skipped"] == stdlib["skipped"]
