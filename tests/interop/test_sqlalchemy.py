"""The SQLAlchemy ORM works on `libsql_core`, handed in as a module and in the place of sqlite3."""

from typing import Any

import pytest


@pytest.fixture(scope="module", params=["module", "installed"])
def facts(request: pytest.FixtureRequest, run_app: Any) -> Any:
    return run_app("sqlalchemy_app", request.param)


def test_it_ran_on_our_module(facts: dict[str, Any]) -> None:
    assert facts["sqlite_version"] == facts["our_version"]
    assert all(name.startswith("libsql_core") for name in facts["connection_types"])
    assert facts["connection_types"]


def test_types_make_the_round_trip(facts: dict[str, Any]) -> None:
    assert facts["born"] == "1815-12-10T04:05:06.000789"
    assert facts["price"] == "Decimal('10.25')"
    assert facts["cover"] is True
    assert facts["published"] == "1843-01-01"
    assert facts["extra"] == {"pages": 100, "tags": ["old", "né"]}


def test_filters_and_relations(facts: dict[str, Any]) -> None:
    assert facts["between"] == ["Volume 2", "Volume 3"]
    assert facts["joined"] == 5
    assert facts["regexp"] == ["Volume 1", "Volume 2"]  # a Python function, called by the engine
    assert facts["json"] == [4, 5]
    assert facts["grouped"] == [["Ada", "5", "153.75"]]
    assert facts["having"] == []
    assert facts["eager"] == {"Ada": 5, "Bob": 0}
    assert facts["streamed"] == [1, 2, 3, 4, 5]


def test_rollback_and_savepoint(facts: dict[str, Any]) -> None:
    assert [facts[k] for k in ("before", "flushed", "rolled_back", "savepoint")] == [2, 3, 2, 2]
    assert facts["upsert"] == ["Ada L."]


def test_errors_keep_class_and_code(facts: dict[str, Any]) -> None:
    module, name, text = facts["unique"]
    assert module.startswith("libsql_core")
    assert (name, text) == ("SQLITE_CONSTRAINT_UNIQUE", "UNIQUE constraint failed: author.name")
    assert facts["foreign_key"][1:] == [
        "SQLITE_CONSTRAINT_FOREIGNKEY",
        "FOREIGN KEY constraint failed",
    ]


def test_reflection(facts: dict[str, Any]) -> None:
    assert facts["tables"] == ["author", "book"]
    assert facts["foreign_keys"] == ["author"]
