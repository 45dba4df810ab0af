"""The types that users see: examples under mypy, and the stubs against the modules themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import libsql_core

HERE = Path(__file__).parent
# grpcio has no types.
SETTINGS = "[mypy]\nstrict = true\nimplicit_reexport = false\n[mypy-grpc.*]\nignore_missing_imports = true\n"


def run(folder: Path, *command: str) -> str:
    """The output of a module of mypy, run in an empty folder; fails the test unless it exits with 0."""
    package = Path(libsql_core.__file__).parents[1]
    (folder / "mypy.ini").write_text(SETTINGS, encoding="utf-8")
    # An installed package is found through its py.typed; mypy knows nothing of the hooks of editable installs.
    path = {} if package.name.endswith("-packages") else {"MYPYPATH": str(package)}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, **path, "MYPY_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("example", ["accepted.py", "refused.py"])
def test_example(example: str, tmp_path: Path) -> None:
    assert run(tmp_path, "mypy", "--config-file=mypy.ini", str(HERE / example)).startswith("Success")


def test_stubs_fit_the_modules(tmp_path: Path) -> None:
    options = ("--mypy-config-file=mypy.ini", f"--allowlist={HERE / 'stubtest_allowed.txt'}")
    assert run(tmp_path, "mypy.stubtest", "libsql_core", *options).startswith("Success")
