"""Each case of `cases_{libsql,vector}_*.py` shows the same on `libsql_core` as on libSQL, or a listed difference."""

import json
import math
import platform
import random
import re
import runpy
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
HARNESS = HERE / "against_libsql.py"
DIFFERENCES = HERE / "libsql_differences.toml"
ENGINES = ("libsql", "libsql_core")
Seen = dict[str, str]
CASES: dict[str, list[Any]] = {
    f"{path.stem.removeprefix('cases_').removeprefix('libsql_')}: {name}": steps
    for pattern in ("cases_libsql_*.py", "cases_vector_*.py")
    for path in sorted(HERE.glob(pattern))
    for name, steps in runpy.run_path(str(path))["CASES"].items()
}
ENTRIES = tomllib.loads(DIFFERENCES.read_text(encoding="utf-8"))["difference"]
OURS: dict[str, Seen] = {name: ours for entry in ENTRIES for name, ours in entry["ours"].items()}

# 2026-11-21: libsql 0.1.11 has wheels for these alone; its tests run wherever pyproject.toml installs it.
HAS_PEER = (sys.platform, platform.machine()) == ("linux", "x86_64") or (
    sys.platform != "linux" and sys.version_info < (3, 14)
)
pytestmark = pytest.mark.skipif(not HAS_PEER, reason="2026-11-21: no wheel of libsql for this platform")


def numbered(steps: list[Any]) -> Seen:
    """The steps by the names of what they show, as text."""
    return {str(number): str(step) for number, step in enumerate(steps, 1)}


FLOAT = re.compile(r"-?\d+(?:\.\d+(?:e[+-]\d+)?|e[+-]\d+)")


def same(ours: str, libsql: str | None, step: str = "") -> bool:
    """Whether two engines showed the same. Distances may differ as sums of float32 do: libSQL adds one by one."""
    if ours == libsql or libsql is None or "distance" not in step:
        return ours == libsql
    relative = 2e-6 if "distance_l2" in step else 2e-7
    return FLOAT.split(ours) == FLOAT.split(libsql) and all(
        math.isclose(float(a), float(b), rel_tol=relative, abs_tol=2e-7)
        for a, b in zip(FLOAT.findall(ours), FLOAT.findall(libsql), strict=True)
    )


def run(engine: str, target: Path, cases: list[tuple[str, str, list[Any]]], *options: str) -> dict[str, Seen]:
    """Run cases in the folder of `target`, in a process of their own; where one ends it, go on after it."""
    found: dict[str, Seen] = {}
    while cases:
        target.unlink(missing_ok=True)
        command = [sys.executable, str(HARNESS), engine, str(target), *options]
        done = subprocess.run(
            command, input=json.dumps(cases).encode(), cwd=target.parent, capture_output=True, timeout=60, check=False
        )
        lines = [json.loads(line) for line in target.read_text().splitlines()] if target.exists() else []
        found |= {line["name"]: line["seen"] for line in lines if "seen" in line}
        error = f"exit code {done.returncode}: {done.stderr.decode(errors='replace')[-3000:]}"
        if not lines:
            pytest.fail(error)
        if done.returncode:
            found[lines[-1].get("start", lines[-1].get("name"))] = {"crash": error}
        cases = [case for case in cases if case[0] not in found]
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Seen]]:
    """Give what all cases showed on each engine."""
    cases = [(name, ":memory:", steps) for name, steps in CASES.items()]
    return {engine: run(engine, tmp_path_factory.mktemp(engine) / "seen", cases) for engine in ENGINES}


def test_enough_cases() -> None:
    vectors = sum(name.startswith("vector_") for name in CASES)
    assert vectors >= 420
    assert len(CASES) - vectors > 250
    assert len(OURS) < len(CASES) / 4


def test_listed_differences_are_of_cases_and_have_reasons() -> None:
    assert not OURS.keys() - CASES.keys()
    assert sum(len(entry["ours"]) for entry in ENTRIES) == len(OURS)  # none twice
    assert all(entry["reason"] and entry["date"] for entry in ENTRIES)


@pytest.mark.parametrize("name", CASES)
def test_same_as_libsql(name: str, seen: dict[str, dict[str, Seen]]) -> None:
    libsql, ours = (seen[engine][name] for engine in ENGINES)
    assert "crash" not in ours, ours["crash"]
    steps = numbered(CASES[name])
    different = {part: text for part, text in ours.items() if not same(text, libsql.get(part), steps.get(part, ""))}
    assert different == OURS.get(name, {})


VECTORS = ("vector32", "vector64", "vector16", "vectorb16", "vector8", "vector1bit")
WRITE = [
    "create table t(id integer primary key, v, w decimal(10,2) default 5)",
    "create index j on t(v)",
    "create view vw as select v, w from t",
    "create trigger g after insert on t begin insert into r values (new.v); end",
    "create table r(v) random rowid",
    "create table s(v int) random rowid, strict",
    "create table k(a text primary key, b) without rowid",
    "insert into t(v) values ('1'), ('2')",
    "alter table t alter column v to v text not null default 'new' check(v <> 'bad')",
    "alter table r alter column v to v text collate nocase",
    "alter table k alter column b to b references t(id)",
    "insert into t(id) values (7)",
    "insert into s values (1), (2), (3)",
    "insert into k values ('x', 1), ('y', 2)",
    "create table vec(id integer primary key, v f32_blob(3), w float64(3) default (vector64('[1,2,3]')), "
    "x f32_blob(3) as (vector(w)) stored)",
    *[
        f"insert into vec(v) values ({function}('{text}'))"
        for function in VECTORS
        for text in ("[]", "[0.1,-2,1e10]", "[1,2,3,4,5,6,7,8,-9]")
    ],
    "create index near on vec(vector_distance_l2(x, '[0,0,0]'))",
]
WRITE_MORE = [
    "insert into t(v) values ('3')",
    "insert into s select v + 10 from s",
    "update k set b = 7 where a = 'x'",
    "delete from r where v = '1'",
    "alter table t alter column v to v text not null check(v <> 'worse')",
    "alter table s alter column v to v int check(v < 100)",
    "alter table t rename column w to price",
    "update vec set v = vector64(v), w = vector16(x) where id % 2",
    "delete from vec where id % 5 = 0",
]
READ = [
    "select * from t",
    "select v from t indexed by j where v > '1' order by v",
    "select * from vw",
    "select v, rowid from r order by rowid",
    "select v, rowid from s order by rowid",
    "select min(rowid) > 1000000, count(*) from (select rowid from r union all select rowid from s)",
    "select * from k",
    "pragma table_info(t)",
    "pragma foreign_key_list(k)",
    "select *, vector_extract(v), vector_extract(w) from vec",
    "select id, vector_distance_l2(v, v) from vec where id < 13 and length(v) > 0",
    "select id from vec indexed by near where vector_distance_l2(x, '[0,0,0]') > 1",
]


@pytest.mark.parametrize("journal", ["delete", "wal", "wal left behind"])
@pytest.mark.parametrize("writer", ENGINES)
def test_file_of_one_is_read_and_written_by_the_other(writer: str, journal: str, tmp_path: Path) -> None:
    reader = ENGINES[writer == ENGINES[0]]
    leave = ["--leave"] if "left" in journal else []
    prepare = f"pragma journal_mode = {journal.split()[0]}"

    def work(engine: str, *steps: str) -> tuple[list[str], Seen]:
        """Run steps and then READ on the file; give what READ and the check of all showed."""
        seen = run(engine, tmp_path / engine, [("all", "file.db", [*steps, *READ])], *leave)["all"]
        assert "crash" not in seen, seen["crash"]
        assert not {part: text for part, text in seen.items() if text.startswith("error")}
        assert seen["integrity"] == "[('ok',)]"
        return [seen[str(len(steps) + n + 1)] for n in range(len(READ))], seen

    written, at_first = work(writer, prepare, *WRITE)
    assert (tmp_path / "file.db-wal").exists() is bool(leave)
    assert written[5] == "[(1, 6)]"
    read, again = work(reader)
    assert read == written
    assert again["schema"] == at_first["schema"]
    changed, at_last = work(reader, prepare, *WRITE_MORE)
    assert changed != written
    read, again = work(writer)
    assert read == changed
    assert again["schema"] == at_last["schema"]


@pytest.mark.parametrize("engine", ENGINES)
def test_constraints_of_the_other_are_kept(engine: str, tmp_path: Path) -> None:
    other = ENGINES[engine == ENGINES[0]]
    run(other, tmp_path / "written", [("all", "file.db", WRITE)])
    steps = [
        "insert into t(v) values ('bad')",
        "insert into t(v) values (null)",
        "insert into s values ('x')",
        "insert into s values (9)",
        "pragma foreign_keys = on",
        "insert into k values ('z', 99)",
    ]
    seen = run(engine, tmp_path / "tried", [("all", "file.db", steps)])["all"]
    assert [seen[str(number)] for number in range(1, len(steps) + 1)] == [
        "error: CHECK constraint failed: v <> 'bad'",
        "error: NOT NULL constraint failed: t.v",
        "error: cannot store TEXT value in INT column s.v",
        "[]",
        "[]",
        "error: FOREIGN KEY constraint failed",
    ]


def test_random_vectors(tmp_path: Path) -> None:
    """10 000 of each type, made from text and from each other type, and their distances."""
    numbers = random.Random(4)
    steps: list[Any] = []
    for i in range(10_000):
        n = numbers.choice([numbers.randint(1, 20), numbers.randint(1, 70), i % 1537 if i % 50 == 0 else i % 33])
        scale = numbers.choice([1, 1, 100, 1e5, 1e-3, 1e-6])
        rows = [[numbers.gauss(0, scale) for _ in range(n)] for _ in "ab"]
        blobs = [(struct.pack(f"<{n}d", *row) + b"\2").hex() for row in rows]
        # From text for a while; not to float64, for libSQL's SQLite misreads some decimal numbers.
        made_of = f"{VECTORS[i % 7 - 1]}(unhex(?1))" if i % 7 else "?1"
        made = {function: f"{function}({made_of})" for function in VECTORS if i % 7 or function != "vector64"}
        eight = made.pop("vector8")  # without its pad bytes
        steps += [
            (
                f"select {', '.join(map('hex({})'.format, made.values()))}, hex(substr({eight}, 1, ?2)), "
                f"hex(substr({eight}, (?2 + 3) / 4 * 4 + 1))",
                [blobs[0] if i % 7 else str(rows[0]), n],
            ),
            (f"select {', '.join(f'vector_distance_cos({f}(unhex(?1)), {f}(unhex(?2)))' for f in VECTORS)}", blobs),
            (f"select {', '.join(f'vector_distance_l2({f}(unhex(?1)), {f}(unhex(?2)))' for f in VECTORS[:-1])}", blobs),
        ]
    libsql, ours = (run(engine, tmp_path / engine, [("all", ":memory:", steps)])["all"] for engine in ENGINES)
    different = {
        part: (step, ours[part], libsql[part])
        for part, step in numbered(steps).items()
        if ours[part].startswith("error") or not same(ours[part], libsql[part], step)
    }
    assert not different
