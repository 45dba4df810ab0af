"""The text that Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from libsql_core.server.metrics import render
from libsql_core.server.stats import Stats

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:\w+="(?:[^"\\\n]|\\[\\n"])*",?)*)\})? ([\d.e+-]+)')


class Source:
    connections = 3
    streams = 2
    vacuums = 0
    responses: Mapping[int, int] = {200: 7, 404: 1}
    closed: Mapping[str, int] = {"reads": 10, "micros": 5000}
    replicas: Mapping[str, Any] = {}

    def __init__(self, folder: Path) -> None:
        self.stats = {'a"\\\n': Stats(folder), "db2": Stats(folder)}


def read(text: str) -> dict[str, str]:
    assert text.endswith("\n")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith(("# TYPE ", "# HELP ")):
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            found[sample[1] + (f"{{{sample[2]}}}" if sample[2] else "")] = sample[3]
    return found


def test_samples(tmp_path: Path) -> None:
    source = Source(tmp_path)
    first, second = source.stats.values()
    first.note("select 1", 1500, 20, 0)
    second.note("insert", 2500, 0, 3)
    second.index, second.frames, second.followers = (lambda: 41), 7, 2
    found = read(render(source, {}))
    assert found['libsql_server_replication_index{namespace="db2"}'] == "41"
    assert found['libsql_server_frames_sent{namespace="db2"}'] == "7"
    assert found['libsql_server_followers{namespace="db2"}'] == "2"
    assert found["libsql_server_reads_count"] == "11"
    assert found["libsql_server_writes_count"] == "1"
    assert found["libsql_server_query_latency"] == "9"
    assert found['libsql_server_query_latency{namespace="db2"}'] == "2"
    assert found['libsql_server_rows_read{namespace="a\\"\\\\\\n"}'] == "20"
    assert found['libsql_server_user_http_response{protocol="http",status="404"}'] == "1"
    assert found["libsql_server_concurrent_connections"] == "3"
    assert found["libsql_server_statement_execution_time_count"] == "2"
    assert found["libsql_server_statement_execution_time_sum"] == "0.004"
    assert found['libsql_server_statement_execution_time{quantile="0.5"}'] == "0.0015"
    assert found['libsql_server_statement_execution_time{quantile="1"}'] == "0.0025"
    assert float(found["process_cpu_seconds_total"]) > 0


def test_labels(tmp_path: Path) -> None:
    found = read(render(Source(tmp_path), {"app": "mine"}))
    assert found['libsql_server_count{app="mine"}'] == "1"
    assert all('app="mine"' in name for name in found)


def test_each_family_has_its_type_once(tmp_path: Path) -> None:
    text = render(Source(tmp_path), {})
    types = re.findall(r"^# TYPE (\w+) (?:counter|gauge|summary)$", text, re.MULTILINE)
    assert len(types) == len(set(types)) == text.count("# TYPE")
    names = {re.sub(r"_(sum|count)$", "", name.partition("{")[0]) for name in read(text)}
    assert {re.sub(r"_(sum|count)$", "", name) for name in types} == names


def test_replicas(tmp_path: Path) -> None:
    source = Source(tmp_path)
    assert "libsql_replica" not in render(source, {})
    state = {"frame": 7, "lag": 2, "connected": True, "heard_at": 1.5, "frames": 9, "attempts": 4, "failures": 3}
    broken = SimpleNamespace(**state, error='"no"', failed_at=8.0)
    source.replicas = {"a": SimpleNamespace(**state, error=None, failed_at=0.0), "b": broken}
    found = read(render(source, {}))
    assert found['libsql_replica_lag_frames{namespace="a"}'] == "2"
    assert found['libsql_replica_connected{namespace="b"}'] == "1"
    errors = [line for line in found if line.startswith("libsql_replica_error_timestamp")]
    assert errors == ['libsql_replica_error_timestamp{namespace="b",error="\\"no\\""}']
