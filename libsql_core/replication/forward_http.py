"""Statements on the primary, for one connection, in the second protocol: Hrana's JSON at /v3/pipeline."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from libsql_core._constants import ERROR_NAMES
from libsql_core._engine import OperationalError
from libsql_core.replication import messages as m
from libsql_core.replication.errors import ProtocolError, sql_error
from libsql_core.replication.forward import AFTER_LAST, IN_TRANSACTION, LOST, Call, Outcome, Result
from libsql_core.replication.http_sync import HttpReplicator

_CODES = {name: code for code, name in ERROR_NAMES.items()}
_OPENS = ("BEGIN", "SAVEPOINT")


def _value(value: m.Value) -> dict[str, Any]:
    if value is None:
        return {"type": "null"}
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return {"type": "integer", "value": str(int(value))}
    if isinstance(value, float):
        return {"type": "float", "value": value}
    if isinstance(value, str):
        return {"type": "text", "value": value}
    return {"type": "blob", "base64": base64.b64encode(value).decode().rstrip("=")}


def _python(value: dict[str, Any]) -> m.Value:
    kind = value["type"]
    if kind == "null":
        return None
    if kind == "integer":
        return int(value["value"])
    if kind == "float":
        return float(value["value"])
    if kind == "text":
        return str(value["value"])
    text = value["base64"]
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _step(number: int, call: Call) -> dict[str, Any]:
    condition: dict[str, Any] | None = None
    if call.when == AFTER_LAST:
        condition = {"type": "ok", "step": number - 1}
    elif call.when == IN_TRANSACTION:
        condition = {"type": "not", "cond": {"type": "is_autocommit"}}
    statement: dict[str, Any] = {"sql": call.sql, "want_rows": True}
    if call.names is None:
        statement["args"] = [_value(value) for value in call.values]
    else:
        pairs = zip(call.names, call.values, strict=True)
        statement["named_args"] = [{"name": name, "value": _value(value)} for name, value in pairs]
    return {"condition": condition, "stmt": statement}


def _error(found: dict[str, Any]) -> Exception:
    message = str(found.get("message", ""))
    for prefix in ("SQLite error: ", "SQLite input error: "):
        message = message.removeprefix(prefix)
    return sql_error(message, _CODES.get(str(found.get("code")), 1))


class HttpForwarder:
    """The stream that a ReplicaConnection has on the primary while a transaction is open."""

    def __init__(self, replicator: HttpReplicator) -> None:
        self._replicator = replicator
        self._http = replicator.http
        self._baton: str | None = None

    def run(self, calls: Sequence[Call], *, catch_up: bool) -> tuple[Outcome, bool]:
        """Run statements, each if the one before it went well; with `catch_up` synchronize behind them."""
        found = self._run(calls)
        if not catch_up:
            return found, False
        try:
            self._replicator.sync()
        except OperationalError:
            return found, False
        return found, True

    def _run(self, calls: Sequence[Call]) -> Outcome:
        within = self._baton is not None
        batch = {"steps": [_step(number, call) for number, call in enumerate(calls)]}
        requests: list[dict[str, Any]] = [{"type": "batch", "batch": batch}, {"type": "get_autocommit"}]
        if not within and not any(call.sql.lstrip().upper().startswith(_OPENS) for call in calls):
            requests.append({"type": "close"})
        status, data = self._http.fetch(
            "POST",
            "/v3/pipeline",
            json.dumps({"baton": self._baton, "requests": requests}).encode(),
            {"content-type": "application/json", "x-libsql-client-version": "libsql-remote-libsql-core"},
        )
        if status != 200:
            self._baton = None
            error = self._http.error(status, data)
            return Outcome([], OperationalError(f"{LOST} ({error})") if within else error, False, None)
        try:
            answer = json.loads(data)
            self._baton = answer["baton"] if len(requests) == 2 else None
            found = self._outcome(calls, answer["results"], within)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ProtocolError(f"{self._http.endpoint.name} answers what is no Hrana: {error!r}") from error
        if found.in_transaction is False:
            self._baton = None
        return found

    def _outcome(self, calls: Sequence[Call], answers: list[dict[str, Any]], within: bool) -> Outcome:
        if answers[0]["type"] == "error":
            self._baton = None
            return Outcome([], _error(answers[0]["error"]), False, None)
        state = answers[1]
        in_transaction = state["type"] == "ok" and not state["response"]["is_autocommit"]
        batch = answers[0]["response"]["result"]
        results: list[Result] = []
        error: Exception | None = None
        for call, result, failed in zip(calls, batch["step_results"], batch["step_errors"], strict=True):
            if failed is not None:
                error = _error(failed)
                break
            if result is None:
                if call.when == IN_TRANSACTION:
                    error = OperationalError(LOST)
                break
            columns = [m.Column(each.get("name") or "", each.get("decltype")) for each in result["cols"]]
            rows = [tuple([_python(value) for value in row]) for row in result["rows"]]
            rowid = result.get("last_insert_rowid")
            changes = int(result.get("affected_row_count") or 0)
            results.append(Result(columns, rows, changes, None if rowid is None else int(rowid)))
        return Outcome(results, error, in_transaction, None)

    def close(self) -> None:
        """End the stream; what is open is rolled back with it."""
        baton, self._baton = self._baton, None
        if baton is not None:
            body = json.dumps({"baton": baton, "requests": [{"type": "close"}]}).encode()
            self._http.fetch("POST", "/v3/pipeline", body, {"content-type": "application/json"})
