"""Each case of `cases_*.py` shows the same on `libsql_core` as on the stdlib's `sqlite3`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HARNESS = Path(__file__).with_name("against.py")
PYTHON = [sys.executable, "-X", "faulthandler"]
CASES: dict[str, list[str]] = json.loads(
    subprocess.run([*PYTHON, str(HARNESS), "--list"], stdout=subprocess.PIPE, check=True).stdout
)


def run_file(file: str, target: Path) -> dict[str, dict[str, Any]]:
    """Run the cases of a file; where one ends the process, go on after it."""
    outcomes: dict[str, dict[str, Any]] = {}
    after: list[str] = []
    code = 1
    while code:
        command = [*PYTHON, str(HARNESS), "--run", file, str(target), *after]
        try:
            done = subprocess.run(command, stderr=subprocess.PIPE, timeout=120, check=False)
            code, error = done.returncode, done.stderr.decode(errors="replace")
        except subprocess.TimeoutExpired:
            code, error = -1, "no end after 120 seconds"
        started = "no case"
        for line in target.read_text().splitlines() if target.exists() else []:
            found = json.loads(line)
            started = found.get("start", started)
            if "crash" not in outcomes.get(started, {}):
                outcomes[started] = found
        crash = f"exit code {code} in or after this case\n{error[-3000:]}"
        if code and (started == "no case" or after == [started]):  # no way on
            return {name: outcomes.get(name, {"crash": crash}) for name in CASES[file]}
        if code:
            outcomes[started] = {"crash": crash}
            after = [started]
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give the outcomes of a file of cases, run when its first test asks for them."""
    known: dict[str, dict[str, dict[str, Any]]] = {}

    def of(file: str) -> dict[str, dict[str, Any]]:
        if file not in known:
            known[file] = run_file(file, tmp_path_factory.mktemp(file) / "outcomes")
        return known[file]

    return of


def test_enough_cases() -> None:
    assert sum(map(len, CASES.values())) > 250


@pytest.mark.parametrize(
    ("file", "name"),
    [pytest.param(file, name, id=f"{file}-{name}") for file in CASES for name in CASES[file]],
)
def test_same_as_stdlib(file: str, name: str, outcomes: Any) -> None:
    outcome = outcomes(file)[name]
    assert "crash" not in outcome, outcome["crash"]
    assert outcome["ours"] == outcome.get("stdlib", outcome["ours"])  # hostile: no crash is all
