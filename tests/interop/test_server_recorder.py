"""Each case of `server_cases/` shows the same on our server as on the real sqld, or a listed difference."""

from __future__ import annotations

import datetime
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).with_name("_server")))

import differences
import record
import recorder
from sqld_process import NAMES, OURS, REAL

GROUPS = record.groups()
CASES = {name: steps for group in GROUPS for name, steps in group.cases.items()}
ENTRIES = differences.read()


@pytest.fixture(scope="module")
def seen(server_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What all cases showed on each server. Both at once: most of it is waiting."""
    folder = tmp_path_factory.mktemp("recorder")
    with ThreadPoolExecutor(len(NAMES)) as threads:
        running = {name: threads.submit(record.record, name, server_cache, folder, GROUPS) for name in NAMES}
        return {name: future.result() for name, future in running.items()}


def test_enough_requests() -> None:
    assert sum(map(recorder.count, CASES.values())) > 1400
    assert len(CASES) > 350


def test_differences_are_few_and_have_reasons() -> None:
    assert len(ENTRIES) < 10
    for entry in ENTRIES:
        assert entry["reason"]
        assert isinstance(entry["date"], datetime.date)
        assert entry.get("replace") or entry.get("at")
        assert {place["case"] for place in entry.get("at", [])} <= CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_same_as_the_real_one(name: str, seen: dict[str, dict[str, Any]]) -> None:
    ours, real, _ = differences.settle(ENTRIES, name, seen[OURS][name], seen[REAL][name])
    different = record.different(ours, real)
    assert not different, f"\n{different}"


def test_listed_differences_are_there(seen: dict[str, dict[str, Any]]) -> None:
    """Each entry makes a difference, and each step that it lists is shown as listed."""
    used = set()
    places = {(place["case"], place["step"]) for entry in ENTRIES for place in entry.get("at", [])}
    for name in CASES:
        ours, _, numbers = differences.settle(ENTRIES, name, seen[OURS][name], seen[REAL][name])
        used |= numbers
        places -= {(name, number) for number, step in enumerate(ours, 1) if step == "<listed>"}
    assert used == set(range(len(ENTRIES)))
    assert not places
