"""aiosqlite works on `libsql_core` in the place of `sqlite3`."""

from typing import Any

import pytest


@pytest.fixture(scope="module")
def facts(run_app: Any) -> Any:
    return run_app("aiosqlite_app")


def test_it_ran_on_our_module(facts: dict[str, Any]) -> None:
    assert facts["connection_type"].startswith("libsql_core")
    assert {facts["sqlite_version"], *facts["versions"]} == {facts["sqlite_version"]}


def test_iteration_and_rows(facts: dict[str, Any]) -> None:
    assert facts["description"] == ["id", "body", "data"]
    assert facts["iterated"] == [[1, "body 0", 0], [2, "body 1", 1], [3, "body 2", 2]]
    module, keys, number, body = facts["row"]
    assert module.startswith("libsql_core")
    assert (keys, number, body) == (["number", "body"], 7, "body 6")
    assert facts["many"] == [40, 60]


def test_function_and_trace(facts: dict[str, Any]) -> None:
    assert facts["function"] == "BODY 1!"
    assert facts["traced"] == ["SELECT 42"]


def test_transactions(facts: dict[str, Any]) -> None:
    assert facts["in_transaction"] is True
    assert facts["kept"] == 100
    assert facts["insert_id"] == 101
    assert facts["concurrent"] == 80


def test_backup_and_dump(facts: dict[str, Any]) -> None:
    assert facts["copied"] == 101
    assert facts["backup_steps"] == [True, 0]
    assert facts["dump"] == 101


def test_errors(facts: dict[str, Any]) -> None:
    assert all(facts[k][0].startswith("libsql_core") for k in ("syntax", "primary_key"))
    assert facts["syntax"][1:] == ["OperationalError", 'near "SELEC": syntax error']
    assert facts["primary_key"][1:] == ["IntegrityError", "UNIQUE constraint failed: note.id"]
    assert facts["no_parameters"][1:] == [
        "ProgrammingError",
        "Incorrect number of bindings supplied. The current statement uses 1, and there are 0 supplied.",
    ]
