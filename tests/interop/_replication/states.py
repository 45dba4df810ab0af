"""What a database holds, as a number and a hash that any client can find. Imports nothing of the project."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Rows = Callable[[str], Iterable[Sequence[Any]]]
COLUMNS = (
    "select m.name, p.name as column_name from sqlite_schema m, pragma_table_info(m.name) p where m.type = 'table'"
)


def state_query(schema: Iterable[Sequence[Any]]) -> str:
    """One SELECT of everything in the database, as text: one statement sees one state."""
    columns: dict[str, list[str]] = {}
    for table, column in schema:
        columns.setdefault(table, []).append(column)
    parts = [
        f"select 'column ' || name || ' ' || column_name from ({COLUMNS})",
        "select 'schema ' || type || ' ' || name from sqlite_schema where type <> 'index' or sql is not null",
    ]
    for table, names in sorted(columns.items()):
        cells = " || ' ' || ".join(f'quote("{name}")' for name in names)
        parts.append(f"""select '{table} ' || {cells} from "{table}" """)
    return " union all ".join(parts)


def digest(lines: Iterable[str]) -> tuple[int, str]:
    """(n, hash) of the lines of a `state_query`, in whatever order they come."""
    hashes, last = [], 0
    for line in lines:
        if line.startswith("history "):
            last = max(last, int(line[8:]))
        hashes.append(hashlib.sha256(line.encode()).hexdigest())
    return last, hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()[:32]


def state(rows: Rows) -> tuple[int, str]:
    """What a database holds. It is asked again when it has another schema by then."""
    asked = state_query(rows(COLUMNS))
    while True:
        try:
            lines = [row[0] for row in rows(asked)]
        except Exception:
            lines = []
            now = state_query(rows(COLUMNS))
            if now == asked:
                raise
        else:
            now = state_query(line.split()[1:] for line in lines if line.startswith("column "))
            if now == asked:
                return digest(lines)
        asked = now
