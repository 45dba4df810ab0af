"""Run a case on the stdlib's `sqlite3` and on `libsql_core`, and note all that can be seen of it.

A case is a function of the module under test; it gives a value or raises. Cases live in
`cases_*.py` and run in child processes of `test_against_stdlib.py`, so that a crash is one failure.

    python against.py --list                  names of all cases that this Python has
    python against.py --run FILE OUT [AFTER]  outcomes, one JSON line each, appended to OUT
"""

import contextlib
import faulthandler
import gc
import importlib
import io
import json
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Case = Callable[[Any], object]
Action = Callable[[Any, Any], object]
registry: dict[str, dict[str, Case]] = {}
hostile_cases: set[str] = set()

# Only names, addresses and our own frames may differ; the stdlib calls itself by two names.
NORMAL = [
    (re.compile(r"\b(libsql_core(\._engine|\.dbapi2)?|_sqlite3)\b"), "sqlite3"),
    (re.compile(r"0x[0-9a-fA-F]+"), "0x"),
    (re.compile(r"thread id \d+"), "thread id N"),
    (re.compile(r'^  File ".*\.pyx", line .*\n', re.MULTILINE), ""),
]

# A call with the wrong arguments and a write to a read-only attribute are refused in words of the
# compiler's choosing, which even differ between interpreters: there only the class is compared.
REFUSED_CALL = re.compile(
    r"takes (no|at most|at least|exactly) .*(argument|given)"
    r"|expected (at least |at most )?\d+ arguments?, got \d+"
    r"|missing required argument|(unexpected|invalid) keyword argument"
)
REFUSED_WRITE = re.compile(r"^readonly attribute$|is not writable$")


def case(function: Case) -> Case:
    """Register a case under the name of its function."""
    file = function.__module__
    registry.setdefault(file, {})[function.__name__] = function
    return function


def since(major: int, minor: int) -> Callable[[Case], Case]:
    """Register a case only where the stdlib has what it shows."""
    return case if sys.version_info >= (major, minor) else lambda function: function


def each(
    group: str,
    prepare: Case,
    actions: dict[str, Action],
    min_python: tuple[int, int] = (3, 10),
) -> None:
    """Register a case per action; each gets the module and a fresh result of `prepare`."""
    if sys.version_info < min_python:
        return
    cases = registry.setdefault(next(iter(actions.values())).__module__, {})
    for name, action in actions.items():
        key = f"{group}: {name}"
        assert key not in cases, key
        cases[key] = lambda m, action=action: action(m, prepare(m))  # type: ignore[misc]


def newer(module: str, *names: str, since: tuple[int, int] = (3, 11)) -> None:
    """Leave out of older Pythons cases in which ours does on all Pythons what the stdlib does since then."""
    cases = registry[module]
    for name in names:
        assert name in cases, name
        if sys.version_info < since:
            del cases[name]


def memory(m: Any) -> Any:
    return m.connect(":memory:")


def table(m: Any) -> Any:
    """Give a connection whose table `t` has the rows (1, 'a'), (2, 'b'), (3, 'c')."""
    con = memory(m)
    con.execute("create table t(id integer primary key, x)")
    con.executemany("insert into t(x) values (?)", "abc")
    con.commit()
    return con


def hostile(function: Case) -> Case:
    """Register a case that may crash the stdlib: ours must give a value or an `Error`."""
    hostile_cases.add(function.__name__)
    return case(function)


def hostile_since(major: int, minor: int, *names: str) -> None:
    """Do not ask the stdlib of this version and later about these cases: it crashes."""
    if sys.version_info >= (major, minor):
        hostile_cases.update(names)


def attempt(function: Callable[..., object], *args: Any, **kwargs: Any) -> object:
    """Give the result or the exception, for cases that look at several in a row."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return error


def put(target: object, name: str, value: object) -> object:
    """Set an attribute within an expression."""
    return setattr(target, name, value)  # type: ignore[func-returns-value]


def in_thread(function: Callable[[], object]) -> object:
    """Give what `function` gives or raises in another thread."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(attempt(function)))
    thread.start()
    thread.join()
    return results[0]


def normal(text: str) -> str:
    for pattern, replacement in NORMAL:
        text = pattern.sub(replacement, text)
    # Lone surrogates must survive the way through a JSON file.
    return text.encode("ascii", "backslashreplace").decode()


def message(error: BaseException) -> str:
    text = normal(str(error))
    if type(error) is TypeError and REFUSED_CALL.search(text):
        return "<arguments>"
    if type(error) is AttributeError and REFUSED_WRITE.search(text):
        return "<read-only>"
    return text


def describe(value: Any) -> object:
    """Turn a value into something that JSON carries and that keeps types apart."""
    if isinstance(value, BaseException):
        known = [type(value).__name__, message(value), len(value.args)]
        if sys.version_info >= (3, 11):
            known += [getattr(value, f"sqlite_error{part}", None) for part in ("code", "name")]
        return ["raised", *known, describe(value.__cause__) if value.__cause__ else None]
    if type(value) in (list, tuple, set, frozenset):
        return [type(value).__name__, *map(describe, value)]
    if type(value) is dict:
        return ["dict", *([describe(k), describe(v)] for k, v in value.items())]
    if type(value).__name__ == "Row":
        return ["Row", value.keys(), *map(describe, value)]
    return [type(value).__qualname__, normal(repr(value))]


@contextlib.contextmanager
def fresh_folder() -> Iterator[None]:
    """Give a case an empty folder, so that it may name its files as it likes."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def observe(function: Case, module: object) -> dict[str, object]:
    """Run one case; its warnings, unraisable errors and prints belong to its outcome."""
    unraisable: list[object] = []
    sys.unraisablehook = lambda found: unraisable.append(
        [describe(found.exc_value), found.err_msg and normal(found.err_msg)]
    )
    printed = io.StringIO()
    with (
        fresh_folder(),
        warnings.catch_warnings(record=True) as warned,
        contextlib.redirect_stderr(printed),
        contextlib.redirect_stdout(printed),
    ):
        warnings.simplefilter("always")
        seen = describe(attempt(function, module))
        gc.collect()
    sys.unraisablehook = sys.__unraisablehook__
    return {
        "result": seen,
        "warnings": [
            [w.category.__name__, normal(str(w.message)), Path(w.filename).name, w.lineno]
            for w in warned
            if w.category is not ResourceWarning  # reported from wherever an object dies
        ],
        "unclosed": sorted(normal(str(w.message)) for w in warned if w.category is ResourceWarning),
        "unraisable": unraisable,
        "printed": normal(printed.getvalue()),
    }


def run_file(file: str, target: Path, after: str | None) -> None:
    """Append a line before and after each case, so that a crash names its case."""
    import sqlite3

    import libsql_core

    importlib.import_module(file)
    names = list(registry[file])
    with target.open("a", encoding="ascii") as out:
        for name in names[names.index(after) + 1 :] if after else names:
            print(json.dumps({"start": name}), file=out, flush=True)
            function = registry[file][name]
            outcome: dict[str, object] = {"name": name, "ours": observe(function, libsql_core)}
            if name not in hostile_cases:
                outcome["stdlib"] = observe(function, sqlite3)
            print(json.dumps(outcome), file=out, flush=True)


def main(arguments: list[str]) -> None:
    faulthandler.enable()
    if arguments[0] == "--list":
        for path in sorted(Path(__file__).parent.glob("cases_*.py")):
            importlib.import_module(path.stem)
        print(json.dumps({file: list(cases) for file, cases in registry.items()}))
    else:
        _, file, target, *after = arguments
        run_file(file, Path(target), after[0] if after else None)


if __name__ == "__main__":
    import against  # the cases register with the imported copy, not with `__main__`

    against.main(sys.argv[1:])
