"""Statistics of a namespace: sums, lists, hours, quantiles, and what stays on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from libsql_core.server import stats
from libsql_core.server.stats import Hour, Stats, Top

NOW = 1_800_000_000.0

# As sqld 0.24.32 wrote it.
REAL = (
    '{"id":"8650661d-25c3-4159-aac2-48483b74cbfe","rows_written":3,"rows_read":2,"storage_bytes_used":8192,'
    '"write_requests_delegated":0,"current_frame_no":2,"top_query_threshold":0,"top_queries":[{"rows_written":0,'
    '"rows_read":1,"query":"select * from t"},{"rows_written":1,"rows_read":0,"query":"insert into t values(1)"},'
    '{"rows_written":2,"rows_read":1,"query":"create table t(a)"}],"slowest_query_threshold":0,"slowest_queries":'
    '[{"elapsed_ms":0,"query":"insert into t values(1)","rows_written":1,"rows_read":0},{"elapsed_ms":1,"query":'
    '"create table t(a)","rows_written":2,"rows_read":1}],"embedded_replica_frames_replicated":0,"query_count":3,'
    '"query_latency":1613}'
)


def test_what_is_counted(tmp_path: Path) -> None:
    made = Stats(tmp_path, lambda: NOW)
    assert made.show()["queries"] is None
    for number in range(1000):
        made.note("insert into t values (1)", 2000, 0, 1)
        made.note(f"select {number}", 50, number, 0)
    shown = made.show()
    assert shown["rows_read_count"] == sum(range(1000))
    assert shown["rows_written_count"] == 1000
    assert shown["query_count"] == 2000
    assert shown["elapsed_ms"] == 2050.0
    assert [query["rows_read"] for query in shown["top_queries"]] == list(range(990, 1000))
    assert shown["slowest_queries"][-1] == {
        "elapsed_ms": 2, "query": "insert into t values (1)", "rows_written": 1, "rows_read": 0,
    }  # fmt: skip
    hour = shown["queries"]
    assert (hour["count"], hour["created_at"], len(hour["stats"])) == (2000, NOW, stats.HOURLY_QUERIES)
    assert hour["stats"][0] == {
        "query": "insert into t values (1)", "elapsed_ms": 2000.0, "count": 1000, "rows_written": 1000, "rows_read": 0,
    }  # fmt: skip
    assert (made.reads, made.writes) == (1000, 1000)


def test_an_hour_ends(tmp_path: Path) -> None:
    now = NOW
    made = Stats(tmp_path, lambda: now)
    made.note("select 1", 5, 0, 0)
    first = made.show()["queries"]["id"]
    now += 3600
    assert made.show()["queries"] is None
    made.note("select 2", 5, 0, 0)
    shown = made.show()
    assert shown["queries"]["id"] != first
    assert [query["query"] for query in shown["queries"]["stats"]] == ["select 2"]
    assert shown["query_count"] == 2


def test_quantiles() -> None:
    hour = Hour(0, 0)
    for micros in (53, 1416, 144):
        hour.add("x", micros, 0, 0)
    assert hour.show()["elapsed"] == {
        "sum": 1.613, "p50": 0.144, "p75": 1.416, "p90": 1.416, "p95": 1.416, "p99": 1.416, "p999": 1.416,
    }  # fmt: skip
    many = Hour(0, 0)
    for micros in range(1, 1_000_001, 10):
        many.add("x", micros, 0, 0)
    assert len(many.durations) < 12_000
    assert many.quantiles()["p90"] == pytest.approx(900, rel=0.002)


def test_top_keeps_the_highest() -> None:
    top = Top()
    for measure in (*range(30), *range(30)):
        top.add((measure, 0, measure, "x"))
    assert [query[0] for query in top.queries] == list(range(20, 30))
    assert top.threshold == 20


def test_lists_can_be_emptied(tmp_path: Path) -> None:
    made = Stats(tmp_path)
    made.note("select 1", 5000, 1, 0)
    assert made.forget("top")
    assert (made.show()["top_queries"], len(made.show()["slowest_queries"])) == ([], 1)
    assert made.forget("slowest")
    assert made.show()["slowest_queries"] == []
    assert not made.forget("count")


def test_what_stays_on_disk(tmp_path: Path) -> None:
    (tmp_path / "stats.json").write_text(REAL)
    made = Stats(tmp_path)
    assert (made.id, made.rows_written, made.query_count, made.micros) == (
        "8650661d-25c3-4159-aac2-48483b74cbfe", 3, 3, 1613,
    )  # fmt: skip
    made.note("select 'é'", 7, 5, 0)
    made.save()
    kept = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))
    assert list(kept) == list(json.loads(REAL))
    assert kept["top_queries"][-1] == {"rows_written": 0, "rows_read": 5, "query": "select 'é'"}
    again = Stats(tmp_path)
    assert {**again.show(), "queries": None} == {**made.show(), "queries": None}
    written = (tmp_path / "stats.json").stat().st_mtime_ns
    made.save()
    assert (tmp_path / "stats.json").stat().st_mtime_ns == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stats.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"id":5}', REAL.replace('"rows_read":2', '"rows_read":"x"'), "\0"])
def test_files_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "stats.json").write_text(text)
    assert Stats(tmp_path).query_count == 0


def test_long_texts_are_cut(tmp_path: Path) -> None:
    made = Stats(tmp_path)
    made.note("x" * 1_000_000, 5, 1, 0)
    assert made.show()["top_queries"][0]["query"] == "x" * stats.TEXT
