"""The artefacts people install: a source distribution that needs no network, and a portable wheel."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A network that refuses at once, for npm and for Python.
NO_NETWORK = {
    "npm_config_offline": "true",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "PIP_NO_INDEX": "1",
}


def build(kind: str, source: Path, out: Path, **environment: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(out), str(source)],
        check=True, capture_output=True, env={**os.environ, **environment},
    )
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return build("wheel", source, tmp_path_factory.mktemp("wheel"), **NO_NETWORK)


def test_sdist_carries_what_it_is_built_from(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("vendor/sqlite/sqlite3.c", "vendor/sqlite/sqlite.lock.toml", "csrc/engine.c", "LICENSE"):
        assert needed in names
    assert not [name for name in names if name.endswith((".so", ".o", "/_engine.c"))]


def test_wheel_holds_the_package_and_no_build_code(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "libsql_core/py.typed" in names
    assert "libsql_core/_engine.pyi" in names
    assert "libsql_core/include/libsql.h" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"libsql_core"}
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".c"))]


def test_wheel_works_in_a_folder_of_its_own(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = "import libsql_core as s; print(s.__file__, s.connect(':memory:').execute('select 1+1').fetchone()[0])"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    file, result = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert result == "2"


if platform.system() == "Linux":

    def test_wheel_is_portable(wheel: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "auditwheel", "show", str(wheel)], check=True, capture_output=True, text=True
        )
        assert '"manylinux_' in done.stdout, done.stdout
