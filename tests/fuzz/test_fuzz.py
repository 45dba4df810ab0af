"""Each fuzz target for a few seconds; `make fuzz` runs them longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TARGETS = sorted(Path(__file__).parent.glob("*_fuzz.py"))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_target(target: Path, seed: int, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(target), str(seed), "4000"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
