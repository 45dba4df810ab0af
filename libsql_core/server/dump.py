"""The text form of a database: what `GET /dump` sends, and how a new namespace is filled from it.

The statements are those that libSQL's server writes, in its order; but infinities, whole floats, quotes and U+0000 come
back as what they were. Loading reads whole statements, wherever their lines end.
"""

from __future__ import annotations

import asyncio
import io
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import IO, Any

from libsql_core import _constants as sqlite
from libsql_core import _engine as engine
from libsql_core.hrana.errors import HttpError

CHUNK = 1 << 16
FETCH_TIMEOUT_S = 60.0
PLAIN = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
WORDS = """
    abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade
    case cast check collate column commit conflict constraint create cross current current_date current_time
    current_timestamp database default deferrable deferred delete desc detach distinct do drop each else end escape
    except exclude exclusive exists explain fail filter first following for foreign from full generated glob group
    groups having if ignore immediate in index indexed initially inner insert instead intersect into is isnull join
    key last left like limit match materialized natural no not nothing notnull null nulls of offset on or order
    others outer over partition plan pragma preceding primary query raise range recursive references regexp reindex
    release rename replace restrict returning right rollback row rows savepoint select set table temp temporary then
    ties to transaction trigger unbounded union unique update using vacuum values view virtual when where window
    with without
"""
KEYWORDS = frozenset(WORDS.split())
# What a dump may set; anything else could change what the server relies on.
PRAGMAS = frozenset({"foreign_keys", "defer_foreign_keys", "writable_schema", "user_version", "application_id"})

COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/|;", re.DOTALL)
CREATE_TABLE = "CREATE TABLE "


def _name(text: str) -> str:
    if PLAIN.fullmatch(text) and text.lower() not in KEYWORDS:
        return text
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literal(column: str) -> str:
    r"""SQL for the literal of a column's value. Ends of lines are written as `replace('a\nb','\n',char(10))`."""
    text = f"quote({column})"
    unusual = f"instr({column}, char(0))"
    for number, mark, other in ((13, r"\r", r"\015"), (10, r"\n", r"\012")):
        chosen = f"CASE WHEN instr({column}, '{mark}') THEN '{other}' ELSE '{mark}' END"
        unusual += f" OR (instr({column}, char({number})) AND instr({column}, '{mark}') AND instr({column}, '{other}'))"
        text = (
            f"CASE WHEN instr({column}, char({number})) THEN 'replace(' || replace({text}, char({number}), {chosen})"
            f" || ',''' || {chosen} || ''',char({number}))' ELSE {text} END"
        )
    return (
        f"CASE typeof({column})"
        f" WHEN 'text' THEN CASE WHEN {unusual} THEN 'CAST(X''' || hex({column}) || ''' AS TEXT)' ELSE {text} END"
        f" WHEN 'blob' THEN 'X' || substr(lower(quote({column})), 2)"
        f" ELSE quote({column}) END"
    )


def statements(con: engine.Connection, rowids: bool) -> Iterator[bytes]:
    """The lines of a dump. rowids: of tables that have such and a name for them, write them too."""
    con.text_factory = bytes
    yield b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
    con.execute("BEGIN")
    tables = con.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT NULL"
        " ORDER BY tbl_name = 'sqlite_sequence', rowid"
    ).fetchall()
    writable = False
    for encoded, definition in tables:
        name, sql = encoded.decode(), definition.decode()
        if name == "sqlite_sequence":
            yield b"DELETE FROM sqlite_sequence;\n"
        elif re.fullmatch("sqlite_stat.", name):
            yield b"ANALYZE sqlite_schema;\n"
        elif name.startswith("sqlite_"):
            continue
        elif sql.upper().startswith("CREATE VIRTUAL TABLE"):
            if not writable:
                writable = True
                yield b"PRAGMA writable_schema=ON;\n"
            row = f"'table',{_text(name)},{_text(name)},0,{_text(sql)}"
            yield f"INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES({row});\n".encode()
            continue
        else:
            if sql.startswith(CREATE_TABLE):
                sql = f"{CREATE_TABLE}IF NOT EXISTS {sql[len(CREATE_TABLE) :]}"
            yield _ended(sql)
        for (line,) in con.execute(_rows(con, name, rowids)):
            yield line
    others = "SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND type IN ('index', 'trigger', 'view') ORDER BY rowid"
    for (definition,) in con.execute(others):
        yield _ended(definition.decode())
    if writable:
        yield b"PRAGMA writable_schema=OFF;\n"
    yield b"COMMIT;\n"


def _ended(sql: str) -> bytes:
    # A comment at its end would swallow the semicolon.
    return (f"{sql};\n" if engine.complete_statement(f"{sql};") else f"{sql}\n;\n").encode()


def _rows(con: engine.Connection, table: str, rowids: bool) -> str:
    """The query whose rows are the INSERTs of a table."""
    columns = [row[1].decode() for row in con.execute(f"PRAGMA table_xinfo({_text(table)})") if not row[6]]
    into, values = _name(table), columns
    if rowids:
        (without,) = con.execute(
            "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", [table]
        ).fetchone()
        taken = {column.lower() for column in columns}
        free = next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)
        if not without and free:
            values = [free, *columns]
            into += f"({','.join(map(_name, values))})"
    quoted = [value if rowids and value is values[0] and values is not columns else _name(value) for value in values]
    literals = " || ',' || ".join(map(_literal, quoted))
    head = _text(f"INSERT INTO {into} VALUES(")
    return f"SELECT {head} || {literals} || ');' || char(10) FROM {_name(table)}"


async def stream(opened: Callable[[], engine.Connection], rowids: bool) -> AsyncGenerator[bytes, None]:
    """A dump in pieces; each is made in a worker thread once the one before is taken."""
    con = await asyncio.to_thread(opened)
    try:
        lines = statements(con, rowids)

        def piece() -> bytes:
            made = bytearray()
            for line in lines:
                made += line
                if len(made) >= CHUNK:
                    break
            return bytes(made)

        while part := await asyncio.to_thread(piece):
            yield part
    finally:
        await asyncio.to_thread(con.close)


# Loading


def open_source(url: str) -> IO[bytes]:
    """What a dump's URL leads to; HttpError 400 if that cannot be read."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        path = Path(urllib.request.url2pathname(parts.path or "/"))
        if parts.path and not path.is_absolute():
            raise HttpError(400, "The passed dump file path is not absolute")
        if not path.exists():
            raise HttpError(400, "The passed dump file path doesn't exist")
        if not path.is_file():
            raise HttpError(400, "Path is not a file")
        return path.open("rb")
    if parts.scheme not in ("http", "https"):
        supported = "supported schemes are: `http`, `file`"
        raise HttpError(400, f"Unsupported dump url scheme `{parts.scheme}`, {supported}")
    try:
        opened: IO[bytes] = urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise HttpError(400, f"The dump cannot be fetched: {error}") from None
    return opened


def _refuse(action: int, name: str | None, *_: Any) -> int:
    refused = action in (sqlite.SQLITE_ATTACH, sqlite.SQLITE_DETACH) or (
        action == sqlite.SQLITE_PRAGMA and (name or "").lower() not in PRAGMAS
    )
    return sqlite.SQLITE_DENY if refused else sqlite.SQLITE_OK


def read_statements(source: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Each statement with the line it begins on."""
    text = io.TextIOWrapper(source, encoding="utf-8", newline="")
    waiting: list[str] = []
    first = 1
    try:
        for number, line in enumerate(text, 1):
            if not waiting:
                first = number
            waiting.append(line)
            if ";" in line and engine.complete_statement("".join(waiting)):
                yield first, "".join(waiting)
                waiting.clear()
    except UnicodeDecodeError:
        raise HttpError(400, "The passed dump is not UTF-8") from None
    finally:
        text.detach()
    if "".join(waiting).strip():
        yield first, "".join(waiting)


def load(con: engine.Connection, source: IO[bytes]) -> None:
    """Run a dump, which must hold its statements in a transaction; HttpError tells what is wrong with it."""
    con.set_authorizer(_refuse)
    count = 0
    for line, text in read_statements(source):
        for sql in _split(text):
            if not COMMENTS.sub("", sql).strip():
                continue
            if count >= 2 and not con.in_transaction:
                raise HttpError(400, "A dump should execute within a transaction.")
            count += 1
            try:
                row = con.execute(sql).fetchone()
            except engine.Error as error:
                raise _invalid(str(error), sql, line) from None
            if row is not None:
                reason = "Execute returned results - did you mean to call query?"
                raise HttpError(500, f"Internal error: line: {line}, error: {reason}")
    if con.in_transaction:
        raise HttpError(400, "The dump should commit the transaction.")


def _invalid(message: str, sql: str, line: int) -> HttpError:
    token = re.match(r'(?:near|unrecognized token:) "(.*)"', message, re.DOTALL)
    if token is None:
        return HttpError(500, f"Internal error: line: {line}, error: {message}")
    offset = len(sql[: max(0, sql.find(token[1]))].encode())
    return HttpError(400, f"The passed dump sql is invalid: msg: {message}, sql: {sql}, offset: {offset}")


def _split(text: str) -> Iterator[str]:
    """The statements of a text that ends with one; nearly always that is the only one."""
    end = text.find(";")
    while end >= 0 and text[end + 1 :].strip():
        if engine.complete_statement(text[: end + 1]):
            yield text[: end + 1]
            text, end = text[end + 1 :], -1
        end = text.find(";", end + 1)
    if text.strip():
        yield text
