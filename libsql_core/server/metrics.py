"""What Prometheus is told, under the names of libSQL's server.

Nothing is counted for it alone: the numbers are gathered from where they are when somebody asks. Written out by hand,
for client libraries end the names of counters in `_total`, which the dashboards made for these names do not know.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from libsql_core.server.replicator import Replicator
    from libsql_core.server.stats import Stats

Sample = tuple[Mapping[str, str], float]
# Name, kind, words, samples.
Family = tuple[str, str, str, list[Sample]]

QUANTILES = (0, 0.5, 0.9, 0.95, 0.99, 0.999, 1)


class Source(Protocol):
    """Where the numbers are."""

    @property
    def stats(self) -> Mapping[str, Stats]:
        """Of the open namespaces, by name."""

    @property
    def closed(self) -> Mapping[str, int]:
        """What namespaces that have been closed since had counted."""

    @property
    def connections(self) -> int:
        """Connections in use."""

    @property
    def streams(self) -> int: ...

    @property
    def vacuums(self) -> int: ...

    @property
    def responses(self) -> Mapping[int, int]:
        """Answers on the user port, by status."""

    @property
    def replicas(self) -> Mapping[str, Replicator]:
        """What keeps copies, by namespace."""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _durations(stats: Iterable[Stats]) -> tuple[dict[int, int], int, int]:
    """Of the hour's statements: how many of each duration, how many in all, their microseconds."""
    seen: dict[int, int] = {}
    micros = 0
    for each in stats:
        if each.hour is not None:
            micros += each.hour.micros
            for duration, count in each.hour.durations.items():
                seen[duration] = seen.get(duration, 0) + count
    return seen, sum(seen.values()), micros


def _quantiles(seen: Mapping[int, int], total: int) -> Iterator[Sample]:
    below = 0
    left = list(QUANTILES)
    for duration in sorted(seen):
        below += seen[duration]
        while left and below >= left[0] * total:
            yield {"quantile": str(left.pop(0))}, duration / 1e6


def _replicas(replicas: Mapping[str, Replicator]) -> Iterator[Family]:
    """How far the copies of a replica are; a primary has none."""
    if not replicas:
        return
    named = [({"namespace": name}, each) for name, each in replicas.items()]

    def family(name: str, kind: str, words: str, value: Callable[[Replicator], float]) -> Family:
        return f"libsql_replica_{name}", kind, words, [(label, value(each)) for label, each in named]

    yield family("frame", "gauge", "last frame of the copy, -1 without one", lambda each: each.frame)
    yield family("lag_frames", "gauge", "frames that the primary is known to have more", lambda each: each.lag)
    yield family("connected", "gauge", "whether the primary is followed at the moment", lambda each: each.connected)
    yield family("heard_timestamp", "gauge", "when the primary was last heard of", lambda each: each.heard_at)
    yield family("frames", "counter", "frames that were written", lambda each: each.frames)
    yield family("attempts", "counter", "attempts to follow the primary", lambda each: each.attempts)
    yield family("failures", "counter", "those that failed", lambda each: each.failures)
    errors = [({**label, "error": each.error}, each.failed_at) for label, each in named if each.error is not None]
    yield "libsql_replica_error_timestamp", "gauge", "the last error, and when it happened", list(errors)


def families(source: Source) -> Iterator[Family]:
    for each in source.stats.values():
        each.count()
    named = [({"namespace": name}, stats) for name, stats in source.stats.items()]

    def total(field: str) -> int:
        return source.closed.get(field, 0) + sum(stats.since_start(field) for _, stats in named)

    def by_name(field: str) -> list[Sample]:
        return [(label, stats.since_start(field)) for label, stats in named]

    millis: list[Sample] = [(label, micros // 1000) for label, micros in [({}, total("micros")), *by_name("micros")]]
    answers: list[Sample] = [
        ({"protocol": "http", "status": str(status)}, count) for status, count in sorted(source.responses.items())
    ]
    yield "libsql_server_count", "gauge", "a gauge counting the number of active servers", [({}, 1)]
    yield "libsql_server_reads_count", "counter", "number of read statements", [({}, total("reads"))]
    yield "libsql_server_writes_count", "counter", "number of write statements", [({}, total("writes"))]
    yield "libsql_server_libsql_query_execute", "counter", "", [({}, total("query_count"))]
    yield "libsql_server_query_count", "counter", "", [({}, total("query_count")), *by_name("query_count")]
    yield "libsql_server_query_latency", "counter", "milliseconds that statements took", millis
    yield "libsql_server_query_rows_read", "counter", "", [({}, total("rows_read"))]
    yield "libsql_server_query_rows_written", "counter", "", [({}, total("rows_written"))]
    yield "libsql_server_rows_read", "counter", "", by_name("rows_read")
    yield "libsql_server_rows_written", "counter", "", by_name("rows_written")
    yield "libsql_server_vacuum_count", "counter", "", [({}, source.vacuums)]
    yield "libsql_server_user_http_response", "counter", "", answers
    yield (
        "libsql_server_storage",
        "gauge",
        "bytes of the database file",
        [(label, stats.storage) for label, stats in named],
    )
    indexes: list[Sample] = [(label, stats.index()) for label, stats in named]
    yield "libsql_server_replication_index", "gauge", "the last frame in the log; -1: none", indexes
    frames: list[Sample] = [(label, stats.frames) for label, stats in named]
    yield "libsql_server_frames_sent", "counter", "frames of the log that replicas were sent", frames
    followers: list[Sample] = [(label, stats.followers) for label, stats in named]
    yield "libsql_server_followers", "gauge", "streams that follow the log", followers
    yield from _replicas(source.replicas)
    connections: list[Sample] = [({}, source.connections)]
    yield "libsql_server_concurrent_connections", "gauge", "number of concurrent connections", connections
    yield "libsql_server_stream_handles", "gauge", "amount of in-memory stream handles", [({}, source.streams)]
    seen, count, micros = _durations(source.stats.values())
    name = "libsql_server_statement_execution_time"
    yield name, "summary", "seconds that statements of the current hour took", list(_quantiles(seen, count))
    yield f"{name}_sum", "", "", [({}, micros / 1e6)]
    yield f"{name}_count", "", "", [({}, count)]
    yield "process_cpu_seconds_total", "counter", "processor time of this process", [({}, time.process_time())]
    memory = _memory()
    if memory is not None:
        yield "process_resident_memory_bytes", "gauge", "memory of this process", [({}, memory)]


def _memory() -> int | None:
    if sys.platform != "linux":
        return None
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def render(source: Source, labels: Mapping[str, str]) -> str:
    """The text of /metrics. labels: on every sample."""
    lines = []
    for name, kind, words, samples in families(source):
        if words:
            lines.append(f"# HELP {name} {words}")
        if kind:
            lines.append(f"# TYPE {name} {kind}")
        for own, value in samples:
            marks = ",".join(f'{key}="{_escaped(text)}"' for key, text in {**own, **labels}.items())
            lines.append(f"{name}{{{marks}}} {_number(value)}" if marks else f"{name} {_number(value)}")
        if kind != "summary" and not name.endswith("_sum"):
            lines.append("")
    return "\n".join(lines) + "\n"
