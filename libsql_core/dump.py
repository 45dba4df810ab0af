"""The text form of a database, behind `Connection.iterdump`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libsql_core._engine import Connection


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _iterdump(connection: Connection, *, filter: str | None = None) -> Iterator[str]:
    """Yield the SQL statements that make the database anew.

    filter: a LIKE pattern, with backslash as escape; only objects whose name matches are dumped.
    """
    # Rows as tuples, whatever the connection's factory makes.
    cursor = connection.cursor()
    cursor.row_factory = None
    matches = ""
    values: tuple[str, ...] = ()
    if filter:
        matches, values = r" AND name LIKE ? ESCAPE '\'", (filter,)

    if sys.version_info >= (3, 13) and cursor.execute("PRAGMA foreign_key_check").fetchall():
        # Rows that violate a key already would be refused.
        yield "PRAGMA foreign_keys=OFF;"
    yield "BEGIN TRANSACTION;"
    tables = cursor.execute(
        f'SELECT name, sql FROM sqlite_master WHERE sql NOT NULL AND type = \'table\'{matches} ORDER BY name', values
    ).fetchall()
    sequence = False
    virtual = False
    for table, sql in tables:
        if table == "sqlite_sequence":
            sequence = True
            continue
        if table == "sqlite_stat1":
            yield 'ANALYZE "sqlite_master";'
        elif table.startswith("sqlite_"):
            continue
        elif sql.startswith("CREATE VIRTUAL TABLE"):
            # The table's own code would run: enter its definition as text instead.
            if not virtual:
                virtual = True
                yield "PRAGMA writable_schema=ON;"
            yield (
                "INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql)"
                f"VALUES('table',{_text(table)},{_text(table)},0,{_text(sql)});"
            )
            continue
        else:
            yield f"{sql};"
        columns = [_name(row[1]) for row in cursor.execute(f"PRAGMA table_info({_name(table)})")]
        quoted = " || ',' || ".join(f"quote({column})" for column in columns)
        insert = _text(f"INSERT INTO {_name(table)} VALUES(")
        rows = cursor.execute(f"SELECT {insert} || {quoted} || ')' FROM {_name(table)}")
        for (statement,) in rows:
            yield f"{statement};"

    others = cursor.execute(
        f"SELECT sql FROM sqlite_master WHERE sql NOT NULL AND type IN ('index', 'trigger', 'view'){matches}", values
    ).fetchall()
    for (sql,) in others:
        yield f"{sql};"
    if virtual:
        yield "PRAGMA writable_schema=OFF;"
    if sequence:
        # Behind the tables, whose creation makes sqlite_sequence.
        yield 'DELETE FROM "sqlite_sequence";'
        for (statement,) in cursor.execute(
            "SELECT 'INSERT INTO \"sqlite_sequence\" VALUES(' || quote(name) || ',' || quote(seq) || ')'"
            " FROM sqlite_sequence"
        ).fetchall():
            yield f"{statement};"
    yield "COMMIT;"
