"""What the statements of a namespace cost: counters, the heaviest and slowest of them, and the current hour's.

`note` only keeps what it is told; it is counted in bunches, and whenever somebody reads the numbers.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from bisect import insort
from collections.abc import Callable
from pathlib import Path
from typing import Any

PENDING = 512
KEPT_QUERIES = 10
HOURLY_QUERIES = 30
# Microseconds; longer times are rounded to a thousandth.
EXACT = 2048
# Longer texts are cut, so that statistics stay small.
TEXT = 2048
QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}

# What is summed up over namespaces.
COUNTERS = ("reads", "writes", "query_count", "micros", "rows_read", "rows_written")

# What orders a query, its rows written and read, its text.
Query = tuple[int, int, int, str]


class Top:
    """The queries with the highest of some measure, ascending; the same one only once."""

    def __init__(self) -> None:
        self.queries: list[Query] = []
        # What a query must have to be kept.
        self.least = 0
        self._kept: set[Query] = set()

    def add(self, query: Query) -> None:
        if query[0] < self.least or query in self._kept:
            return
        self._kept.add(query)
        insort(self.queries, query)
        if len(self.queries) > KEPT_QUERIES:
            self._kept.discard(self.queries.pop(0))
        if len(self.queries) == KEPT_QUERIES:
            self.least = self.queries[0][0] + 1

    @property
    def threshold(self) -> int:
        return max(0, self.least - 1)


class Hour:
    """The statements of one hour."""

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.id = str(uuid.uuid4())
        self.created_at = int(now)
        self.count = 0
        self.micros = 0
        # How often each duration was seen.
        self.durations: dict[int, int] = {}
        # Count, microseconds, rows written, rows read by text.
        self.queries: dict[str, list[int]] = {}

    def add(self, sql: str, micros: int, rows_read: int, rows_written: int, times: int = 1) -> None:
        self.count += times
        self.micros += micros * times
        rounded = micros
        if micros >= EXACT:
            spare = micros.bit_length() - EXACT.bit_length() + 1
            rounded = micros >> spare << spare
        self.durations[rounded] = self.durations.get(rounded, 0) + times
        query = self.queries.get(sql)
        if query is None:
            if len(self.queries) >= HOURLY_QUERIES:
                return
            query = self.queries[sql] = [0, 0, 0, 0]
        query[0] += times
        query[1] += micros * times
        query[2] += rows_written * times
        query[3] += rows_read * times

    def quantiles(self) -> dict[str, float]:
        found = {}
        below = 0
        left = list(QUANTILES.items())
        for duration in sorted(self.durations):
            below += self.durations[duration]
            while left and below >= left[0][1] * self.count:
                found[left.pop(0)[0]] = duration / 1000
        return found

    def show(self) -> dict[str, Any]:
        stats = [
            {"query": sql, "elapsed_ms": micros / 1000, "count": count, "rows_written": written, "rows_read": read}
            for sql, (count, micros, written, read) in self.queries.items()
        ]
        elapsed = {"sum": self.micros / 1000, **self.quantiles()}
        return {"id": self.id, "created_at": self.created_at, "count": self.count, "stats": stats, "elapsed": elapsed}


class Stats:
    """Implements api.Stats. The numbers begin with those of `stats.json` in the folder, if it holds any."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = folder / "stats.json"
        self._data = folder / "data"
        self._clock = clock
        # How often each statement took just so much.
        self._pending: dict[tuple[str, int, int, int], int] = {}
        self._noted = 0
        self._saved = ""
        self.hour: Hour | None = None
        self.id = str(uuid.uuid4())
        self.rows_read = self.rows_written = self.query_count = self.micros = 0
        self.reads = self.writes = 0
        # Frames that replicas were sent, writes that were sent to a primary, the last frame of the log.
        self.frames = self.delegated = 0
        self.followers = 0
        self.index: Callable[[], int] = lambda: -1
        self.top = Top()
        self.slowest = Top()
        self._load()
        self._before: dict[str, int] = {field: getattr(self, field) for field in COUNTERS}

    def since_start(self, field: str) -> int:
        """How much this process has counted, and not yet taken."""
        now: int = getattr(self, field)
        return now - self._before[field]

    def take(self) -> dict[str, int]:
        """What this process has counted since the last call."""
        self.count()
        taken = {field: self.since_start(field) for field in COUNTERS}
        self._before = {field: getattr(self, field) for field in COUNTERS}
        return taken

    def note(self, sql: str, micros: int, rows_read: int, rows_written: int, times: int = 1) -> None:
        pending = self._pending
        same = (sql if len(sql) <= TEXT else sql[:TEXT], micros, rows_read, rows_written)
        pending[same] = pending.get(same, 0) + times
        self._noted += times
        if self._noted >= PENDING:
            self.count()

    def count(self) -> None:
        """Add up what was noted."""
        pending = self._pending
        if not pending:
            return
        count, self._noted = self._noted, 0
        self._pending = {}
        now = self._clock()
        hour = self.hour
        if hour is None or hour.number != now // 3600:
            hour = self.hour = Hour(int(now // 3600), now)
        add, top, slowest = hour.add, self.top, self.slowest
        all_micros = all_read = all_written = writes = 0
        for (sql, micros, rows_read, rows_written), times in pending.items():
            all_micros += micros * times
            all_read += rows_read * times
            all_written += rows_written * times
            if rows_written:
                writes += times
            if rows_read + rows_written >= top.least:
                top.add((rows_read + rows_written, rows_written, rows_read, sql))
            if micros // 1000 >= slowest.least:
                slowest.add((micros // 1000, rows_written, rows_read, sql))
            add(sql, micros, rows_read, rows_written, times)
        self.query_count += count
        self.micros += all_micros
        self.rows_read += all_read
        self.rows_written += all_written
        self.writes += writes
        self.reads += count - writes

    def forget(self, kind: str) -> bool:
        """Empty a list, `top` or `slowest`; False for other names."""
        self.count()
        if kind not in ("top", "slowest"):
            return False
        setattr(self, kind, Top())
        return True

    @property
    def storage(self) -> int:
        """Bytes of the database file."""
        try:
            return os.stat(self._data).st_size
        except OSError:
            return 0

    def _lists(self) -> dict[str, Any]:
        return {
            "top_queries": [
                {"rows_written": written, "rows_read": read, "query": sql} for _, written, read, sql in self.top.queries
            ],
            "slowest_queries": [
                {"elapsed_ms": elapsed, "query": sql, "rows_written": written, "rows_read": read}
                for elapsed, written, read, sql in self.slowest.queries
            ],
        }

    def show(self) -> dict[str, Any]:
        """As the admin API tells them."""
        self.count()
        hour = self.hour
        current = hour is not None and hour.number == self._clock() // 3600
        return {
            "id": self.id,
            "rows_read_count": self.rows_read,
            "rows_written_count": self.rows_written,
            "storage_bytes_used": self.storage,
            "write_requests_delegated": self.delegated,
            "replication_index": max(0, self.index()),
            **self._lists(),
            "embedded_replica_frames_replicated": self.frames,
            "query_count": self.query_count,
            "elapsed_ms": self.micros / 1000,
            "queries": hour.show() if hour is not None and current else None,
        }

    def save(self) -> None:
        """Write stats.json, if there is something new."""
        self.count()
        lists = self._lists()
        kept = {
            "id": self.id,
            "rows_written": self.rows_written,
            "rows_read": self.rows_read,
            "storage_bytes_used": self.storage,
            "write_requests_delegated": self.delegated,
            "current_frame_no": max(0, self.index()),
            "top_query_threshold": self.top.threshold,
            "top_queries": lists["top_queries"],
            "slowest_query_threshold": self.slowest.threshold,
            "slowest_queries": lists["slowest_queries"],
            "embedded_replica_frames_replicated": self.frames,
            "query_count": self.query_count,
            "query_latency": self.micros,
        }
        text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
        if text == self._saved:
            return
        partial = self._file.with_suffix(".json~")
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(self._file)
        self._saved = text

    def _load(self) -> None:
        """What the last server counted; a file that cannot be read counts for nothing."""
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            numbers = [int(kept[name]) for name in ("rows_read", "rows_written", "query_count", "query_latency")]
            frames = int(kept.get("embedded_replica_frames_replicated", 0))
            tops = [_query(q, q["rows_read"] + q["rows_written"]) for q in kept["top_queries"]]
            slow = [_query(q, q["elapsed_ms"]) for q in kept["slowest_queries"]]
            self.id = str(uuid.UUID(kept["id"]))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return
        self.rows_read, self.rows_written, self.query_count, self.micros = numbers
        self.frames = frames
        for top, queries in ((self.top, tops), (self.slowest, slow)):
            for query in queries:
                top.add(query)


def _query(kept: dict[str, Any], measure: int) -> Query:
    return int(measure), int(kept["rows_written"]), int(kept["rows_read"]), str(kept["query"])
