"""The SQL texts that a client stores in a stream, or on its WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libsql_core.hrana.errors import ProtocolError, SqlError

if TYPE_CHECKING:
    from libsql_core.hrana.types import StoreSql


class SqlTexts:
    """The texts that a client stored, by its ids."""

    def __init__(self, most: int, longest: int | None) -> None:
        self._texts: dict[int, str] = {}
        self._most = most
        self._longest = longest

    def store(self, request: StoreSql) -> None:
        if request.sql_id in self._texts:
            raise ProtocolError(f"SQL text {request.sql_id} already exists")
        if len(self._texts) >= self._most:
            message = f"The server already stores {self._most} SQL texts, it cannot store more"
            raise SqlError(message, "SQL_STORE_TOO_MANY")
        if self._longest is not None and (size := len(request.sql.encode())) > self._longest:
            sizes = f"{size / 1000:.1f} KB/{self._longest / 1000:.1f} KB"
            raise SqlError(f"The statement is too large to be stored: {sizes}", "SQL_STORE_TOO_LARGE")
        self._texts[request.sql_id] = request.sql

    def close(self, sql_id: int) -> None:
        self._texts.pop(sql_id, None)

    def find(self, sql: str | None, sql_id: int | None, version: int) -> str:
        if sql_id is None:
            if sql is None:
                raise ProtocolError("Either `sql` or `sql_id` are required")
            return sql
        if version < 2:
            raise ProtocolError("`sql_id` is only supported in protocol version hrana2 and higher")
        if sql is not None:
            raise ProtocolError("Either `sql` or `sql_id` are required, but not both")
        try:
            return self._texts[sql_id]
        except KeyError:
            raise ProtocolError(f"SQL text {sql_id} not found") from None
