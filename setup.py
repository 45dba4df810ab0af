"""Build the engine: fetch and patch SQLite, compile it with csrc/ and the Cython module into one extension.

Settings from the environment: LIBSQL_CORE_SQLITE_DIR (see vendor/sqlite/fetch.py), LIBSQL_CORE_SANITIZE=1 (ASan and
UBSan), LIBSQL_CORE_DEBUG=1 (assertions of SQLite and ours, no optimisation), LIBSQL_CORE_WERROR=1 (warnings of csrc/
are errors).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
PATCHED = ROOT / "build" / "engine"
HEADERS = ROOT / "libsql_core" / "include"

sys.path.insert(0, str(ROOT / "vendor" / "sqlite"))
sys.path.insert(0, str(ROOT / "libsql_core"))

import fetch
import patch_queue
from _version import __version__
from defines import SQLITE_DEFINES

SANITIZE = os.environ.get("LIBSQL_CORE_SANITIZE") == "1"
DEBUG = os.environ.get("LIBSQL_CORE_DEBUG") == "1"


def write_if_changed(path: Path, text: str) -> None:
    """Keep the time of an unchanged file, so that nothing is compiled for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def source_id() -> str:
    """Names the state of everything of ours that goes into the engine."""
    digest = hashlib.sha256()
    for folder, patterns in (("csrc", ("*.c", "*.h")), ("vendor/sqlite/patches", ("*.toml",))):
        for path in sorted(p for pattern in patterns for p in (ROOT / folder).rglob(pattern)):
            text = path.read_bytes().replace(b"\r\n", b"\n")
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + text + b"\0")
    return f"libsql_core {__version__} {digest.hexdigest()}"


def prepare_engine() -> None:
    """Put the patched amalgamation and the headers in place."""
    source = fetch.ensure()
    patch_queue.apply(source, PATCHED)
    write_if_changed(PATCHED / "source_id.gen.h", f'#define LSC_SOURCE_ID "{source_id()}"\n')
    HEADERS.mkdir(exist_ok=True)
    ours = [ROOT / "csrc" / name for name in ("libsql.h", "libsqlext.h", "lsc_api.h")]
    for header in (PATCHED / "sqlite3.h", PATCHED / "sqlite3ext.h", *ours):
        shutil.copyfile(header, HEADERS / header.name)


class BuildExt(build_ext):
    """Compiles the sources of an extension side by side, each with the flags it needs."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if SANITIZE or DEBUG:
            # Objects of a build with other flags must not be taken for these.
            self.build_temp += "-sanitize" if SANITIZE else "-debug"
            self.force = not Path(self.build_temp).exists()

    def build_extension(self, ext: Extension) -> None:
        msvc = self.compiler.compiler_type == "msvc"
        flags = ["/O2"] if msvc else ["-O0", "-g"] if DEBUG else ["-O2", "-g0"]
        if not msvc:
            flags += ["-fvisibility=hidden", "-fno-strict-aliasing", "-ffp-contract=off"]
        if SANITIZE and not msvc:
            flags += ["-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
                      "-fno-omit-frame-pointer"]
            ext.extra_link_args = ["-fsanitize=address,undefined"]
        ext.extra_compile_args = [*flags, *ext.extra_compile_args]
        objects: list[str] = []
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for made in pool.map(lambda source: self.compile_one(ext, source), ext.sources):
                objects += made
        ext.extra_objects = [*objects, *ext.extra_objects]
        ext.depends = objects
        ext.sources = []
        super().build_extension(ext)

    def compile_one(self, ext: Extension, source: str) -> list[str]:
        newest = max(Path(name).stat().st_mtime for name in (source, *ext.depends))
        target = Path(self.compiler.object_filenames([source], output_dir=self.build_temp)[0])
        if not self.force and target.exists() and target.stat().st_mtime > newest:
            return [str(target)]
        macros = [*ext.define_macros, *((name,) for name in ext.undef_macros)]
        return self.compiler.compile(
            [source], output_dir=self.build_temp, macros=macros, include_dirs=ext.include_dirs,
            extra_postargs=ext.extra_compile_args)


def extensions() -> list[Extension]:
    prepare_engine()
    macros: list[tuple[str, str | None]] = [*SQLITE_DEFINES, ("SQLITE_CORE", "1")]
    if DEBUG:
        macros.append(("SQLITE_DEBUG", "1"))
    engine = Extension(
        "libsql_core._engine",
        ["libsql_core/_engine.pyx", "csrc/engine.c"],
        include_dirs=[str(PATCHED.relative_to(ROOT)), "csrc"],
        define_macros=macros,
        depends=[str(p) for p in (*(ROOT / "csrc").rglob("*.[ch]"), *PATCHED.iterdir())],
    )
    if sys.platform == "linux":
        engine.libraries = ["m", "dl", "pthread"]
    package = ROOT / "libsql_core"
    parts = [str(p) for p in (package / "_engine.pyx", package / "_engine.pxd", *(package / "_pyx").iterdir())]
    built: list[Extension] = cythonize([engine], include_path=["libsql_core"], depfile=False,
                                       force=newer(parts, ROOT / "libsql_core" / "_engine.c"))
    return built


def newer(parts: list[str], target: Path) -> bool:
    return not target.exists() or max(os.stat(p).st_mtime for p in parts) > target.stat().st_mtime


setup(
    ext_modules=extensions(),
    cffi_modules=["csrc/gen/lowlevel.py:ffibuilder"],
    cmdclass={"build_ext": BuildExt},
)
