"""Run the interpreter's own sqlite3 tests with `libsql_core` in the place of `sqlite3`.

    python stdlib_suite.py [-v] [--json FILE] [--stdlib] [pattern]

It needs a process of its own, because the replacement must stand before any test is imported.
Child processes that the tests start get it through a `sitecustomize` on PYTHONPATH.
`--stdlib` runs the same tests on the interpreter's module, as the yardstick for skips.
"""

import argparse
import contextlib
import faulthandler
import importlib
import importlib.util
import json
import os
import sys
import sysconfig
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DIFFERENCES = Path(__file__).with_name("differences.toml")
MOST_DIFFERENCES = 5
CHILD_SETUP = """\
import sys, libsql_core
libsql_core.install_as_sqlite3()
sys.modules["_sqlite3"] = libsql_core
"""


class Recorder(unittest.TextTestResult):
    """Keeps the traceback of each failing test; a test counts once, however many subtests fail."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ran: list[str] = []
        self.failing: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.ran.append(test.id())

    def _fail(self, test: unittest.TestCase, err: Any) -> None:
        text = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]
        self.failing[test.id()] = self.failing.get(test.id(), "") + text

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._fail(test, err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._fail(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(test, err)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.failing[test.id()] = "unexpected success"


def accepted_differences() -> dict[str, str]:
    """Read {test id: reason (date)} for this Python; the list is capped so that it cannot become a habit."""
    entries = tomllib.loads(DIFFERENCES.read_text(encoding="utf-8")).get("difference", [])
    if len(entries) > MOST_DIFFERENCES:
        raise SystemExit(f"{DIFFERENCES.name}: {len(entries)} entries, {MOST_DIFFERENCES} allowed")
    here = ".".join(map(str, sys.version_info[:2]))
    return {
        entry["test"]: f"{entry['reason']} ({entry['date']})"
        for entry in entries
        if here in entry["pythons"]
    }


def replace_sqlite3(folder: Path) -> ModuleType:
    """Put our module under every name of the stdlib's, here and in child processes."""
    ours = importlib.import_module("libsql_core")
    ours.install_as_sqlite3()
    sys.modules["_sqlite3"] = ours
    sys.modules["sqlite3.__main__"] = importlib.import_module("libsql_core.__main__")
    (folder / "sitecustomize.py").write_text(CHILD_SETUP, encoding="utf-8")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    return ours


def check_replacement(ours: ModuleType) -> None:
    """Fail unless every name, here and in a child, really leads to our module."""
    from test.support import script_helper  # type: ignore[import-not-found]

    # Said to need its environment, no child is started with -I or -E, which would lose ours.
    script_helper.interpreter_requires_environment = lambda: True
    for name in ("sqlite3", "sqlite3.dbapi2", "sqlite3.dump"):
        module = importlib.import_module(name)
        if not module.__name__.startswith("libsql_core"):
            raise SystemExit(f"{name} is still {module!r}")
    with contextlib.closing(sys.modules["sqlite3"].connect(":memory:")) as connection:
        if type(connection) is not ours.Connection:
            raise SystemExit(f"connect() gave {type(connection)!r}")
    script_helper.assert_python_ok(
        "-c", "import sqlite3, libsql_core as ours; assert sqlite3.connect is ours.connect"
    )


def flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def load_tests(pattern: str | None) -> unittest.TestSuite:
    """Load the suite of the running interpreter, filtered by a part of the test id."""
    name = "test.test_sqlite3"
    if sys.version_info < (3, 11):  # there the tests live inside the package we replace
        name = "test.test_sqlite"
        folder = Path(sysconfig.get_path("stdlib"), "sqlite3", "test")
        spec = importlib.util.spec_from_file_location(
            "sqlite3.test", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    tests = unittest.defaultTestLoader.loadTestsFromName(name)
    return unittest.TestSuite(test for test in flatten(tests) if (pattern or "") in test.id())


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Work in a temporary folder: the tests create files in the current one."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "cwd").mkdir()
        os.chdir(Path(name) / "cwd")
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def run(stdlib: bool, verbose: bool, pattern: str | None) -> dict[str, Any]:
    with scratch_folder() as folder:
        if stdlib:
            module = importlib.import_module("sqlite3")
        else:
            module = replace_sqlite3(folder)
            check_replacement(module)
        tests = load_tests(pattern)
        runner = unittest.TextTestRunner(resultclass=Recorder, verbosity=1 + verbose)
        result = runner.run(tests)
    assert isinstance(result, Recorder)
    accepted = {} if stdlib else accepted_differences()
    return {
        "module": module.__name__,
        "sqlite": module.sqlite_version,
        "python": sys.version.split()[0],
        "ran": result.ran,
        "failing": {k: v for k, v in result.failing.items() if k not in accepted},
        "skipped": {test.id(): reason for test, reason in result.skipped},
        "accepted": {k: v for k, v in accepted.items() if k in result.failing},
        "outdated": [k for k in accepted if k in result.ran and k not in result.failing],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-v", "--verbose", action="store_true", help="name each test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
    parser.add_argument("--stdlib", action="store_true", help="test the stdlib's own module")
    parser.add_argument("pattern", nargs="?", help="run only tests whose id contains this")
    options = parser.parse_args()
    target = options.json and options.json.absolute()
    faulthandler.enable()
    report = run(options.stdlib, options.verbose, options.pattern)
    if target:
        target.write_text(json.dumps(report, indent=1), encoding="utf-8")
    for test, reason in report["accepted"].items():
        print(f"accepted difference: {test}: {reason}")
    for test in report["outdated"]:
        print(f"accepted difference is out of date, the test passes: {test}")
    print(
        f"{report['module']} (SQLite {report['sqlite']}) on Python {report['python']}: "
        f"{len(report['ran'])} run, {len(report['failing'])} failing, "
        f"{len(report['skipped'])} skipped, {len(report['accepted'])} accepted"
    )
    return 1 if report["failing"] or report["outdated"] or not report["ran"] else 0


if __name__ == "__main__":
    sys.exit(main())
