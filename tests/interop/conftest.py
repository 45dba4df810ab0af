"""Runs the programs of `_apps` in processes of their own, because they replace `sqlite3`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunApp = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def run_app(tmp_path_factory: pytest.TempPathFactory) -> RunApp:
    """Run an app in an empty folder; gives the facts that it printed as its last line."""

    def run(name: str, *arguments: str, warnings: str = "error") -> dict[str, Any]:
        app = Path(__file__).with_name("_apps") / f"{name}.py"
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-W", warnings, str(app), *arguments],
            cwd=tmp_path_factory.mktemp(name),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        assert done.stderr == ""
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return facts

    return run
