"""The parts of the package import downwards only, and no file depends on where it was made."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "libsql_core"

# Each part, the lowest first, and the parts it may import. The package itself, its public API, is called "api".
LAYERS: dict[str, set[str]] = {
    "_version": set(),
    "_constants": set(),
    "_include": set(),
    "_install": set(),
    "dump": set(),
    "_wasmtime": set(),
    "_engine": {"_constants", "_wasmtime", "dump"},
    "lowlevel": {"_engine"},
    "_legacy": {"_engine"},
    "dbapi2": {"_constants", "_engine", "_legacy"},
    "wal": {"_constants", "_engine"},
    "vector": {"_engine"},
    "encryption": {"_engine"},
    "hrana": {"_engine"},
    "replication": {"_constants", "_engine", "hrana"},
    "api": {"_version", "_engine", "_include", "_install", "_legacy", "dump", "dbapi2", "replication"},
    "aio": {"_engine"},
    "server": {"_version", "_constants", "_engine", "dbapi2", "hrana", "replication"},
    "__main__": {"api"},
}
# What the extras of the package bring.
SERVER = {"grpc", "h2", "httptools", "websockets", "orjson", "jwt", "cryptography", "click", "tomli", "uvloop"}
EXTRAS = {"hrana": {"orjson"}, "server": SERVER}
# Users of the public API; of other objects they touch no private attribute either.
PUBLIC_ONLY = ("dump", "__main__")
# The embedded engine waits for nobody, and needs nothing beside the standard library.
ONLINE = ("aio", "replication", "server")
NETWORK = {"asyncio", "http", "selectors", "socket", "socketserver", "ssl"}
OUTSIDE = sys.stdlib_module_names - NETWORK

CYTHON_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(\S+)[ \t]+)?c?import[ \t]+([^#\n]+)", re.MULTILINE)


def part_of(path: Path) -> str:
    """The part that a file belongs to; the included files of the engine are the engine."""
    name = path.relative_to(PACKAGE).parts[0].split(".")[0]
    return {"__init__": "api", "_pyx": "_engine"}.get(name, name)


def named(module: str, names: list[str]) -> Iterator[str]:
    """The parts that an import names; modules of others come with their full name."""
    top, _, rest = module.partition(".")
    if top != "libsql_core":
        yield module
    elif rest:
        yield part_of(PACKAGE / rest.partition(".")[0])
    else:
        for name in names or ["api"]:
            yield name if name in LAYERS else "api"


def python_imports(path: Path) -> Iterator[str]:
    """What a module imports when it runs, functions included, but not what only type checkers read."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from named(alias.name, [])
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from named(node.module or "", [alias.name for alias in node.names])
        waiting += ast.iter_child_nodes(node)


def cython_imports(path: Path) -> Iterator[str]:
    for module, names in CYTHON_IMPORT.findall(path.read_text(encoding="utf-8")):
        found = [name.split()[0] for name in names.strip(" ()").split(",")]
        for name in [module] if module else found:
            if not name.startswith(("cpython", "libc", "cython")):
                yield from named(name, found if module else [])


def sources(*suffixes: str) -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in suffixes and "include" not in path.parts)


def test_every_part_has_its_layer() -> None:
    assert {part_of(path) for path in sources(".py", ".pyx", ".pxd", ".pxi")} == set(LAYERS)


def test_layers_point_downwards() -> None:
    below: set[str] = set()
    for part, uses in LAYERS.items():
        assert uses <= below, part
        below.add(part)


@pytest.mark.parametrize("part", LAYERS)
def test_imports(part: str) -> None:
    found: dict[str, set[str]] = {}
    for path in sources(".py", ".pyx", ".pxd", ".pxi"):
        if part_of(path) == part:
            read = python_imports if path.suffix == ".py" else cython_imports
            for name in read(path):
                found.setdefault(name, set()).add(path.name)
    ours = {name for name in found if name in LAYERS}
    assert ours - {part} <= LAYERS[part], found
    outside = OUTSIDE | EXTRAS.get(part, set()) | (NETWORK if part in ONLINE else set())
    assert {name.partition(".")[0] for name in found.keys() - ours} <= outside, found


def test_every_package_is_installed() -> None:
    listed = re.search(r"^packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M | re.S)
    assert listed is not None
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert {name.strip('" \n') for name in listed[1].split(",") if name.strip()} == found


def test_the_engine_is_found_to_import_what_it_does() -> None:
    """Proves that imports are seen at all, also those inside functions and of Cython files."""
    assert {"_constants", "dump"} <= {name for path in sources(".pyx") for name in cython_imports(path)}
    assert {"_engine", "_legacy", "datetime"} <= set(python_imports(PACKAGE / "dbapi2.py"))


@pytest.mark.parametrize("part", PUBLIC_ONLY)
def test_public_api_only(part: str) -> None:
    for node in ast.walk(ast.parse((PACKAGE / f"{part}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "self":
            assert re.match(r"__\w+__$|(?!_)", node.attr), f"{part}.py:{node.lineno}: {ast.unparse(node)}"


# Written so that this file does not hold what it looks for.
REGISTRY = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|yarnpkg|jsdelivr|unpkg|rubygems)\.(?:org|com|io|net)\b"
    r"|\b(?:crates)\.io\b|\b(?:proxy|sum|pkg)\.(?:golang|go)\b|\b(?:deb|ftp|security)\.(?:debian|ubuntu)\b"
)
MACHINE_PATH = re.compile(r"(?<![\w.}~/])/(?:root|home|work|tmp|Users|mnt|private|var/folders)/\w|\b[A-Za-z]:\\\w")
MADE = {
    "build", "dist", "include", "__pycache__", "node_modules",
    "sqlite3.c", "sqlite3.h", "sqlite3ext.h", "_engine.c", "_lowlevel.c",
}
TEXT = {".c", ".h", ".in", ".json", ".md", ".pxd", ".pxi", ".py", ".pyi", ".pyx", ".toml", ".txt", ".yml", ""}


def tree(folder: Path = ROOT) -> Iterator[Path]:
    """Every text file of the project, without what is built, fetched or hidden (`.ci` excepted)."""
    for path in sorted(folder.iterdir()):
        if path.name in MADE or path.name.endswith(".egg-info") or (path.name[0] == "." and path.name != ".ci"):
            continue
        if path.is_dir():
            yield from tree(path)
        elif path.suffix in TEXT:
            yield path


def test_no_registry_host_and_no_machine_path() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in tree()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in (REGISTRY.search(line), MACHINE_PATH.search(line))
        if match
    ]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY, "https://registry.npmjs" + ".org/x"),
        (REGISTRY, "files.pythonhosted" + ".org"),
        (REGISTRY, "index = crates" + ".io"),
        (MACHINE_PATH, 'open("/ho' + 'me/someone/x.db")'),
        (MACHINE_PATH, "C:" + "\\temp"),
    ],
)
def test_what_is_looked_for_would_be_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


def test_the_tree_holds_the_sources() -> None:
    assert {ROOT / "setup.py", PACKAGE / "_engine.pyx", ROOT / "csrc" / "libsql.h"} <= set(tree())
