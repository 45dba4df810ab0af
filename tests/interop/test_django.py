"""Django's sqlite backend works on `libsql_core` in the place of `sqlite3`."""

from typing import Any

import pytest


@pytest.fixture(scope="module")
def facts(run_app: Any) -> Any:
    return run_app("django_app")


def test_it_ran_on_our_module(facts: dict[str, Any]) -> None:
    assert facts["connection_type"].startswith("libsql_core")
    assert facts["sqlite_version"] == facts["our_version"]


def test_migrations_and_schema_editor(facts: dict[str, Any]) -> None:
    assert {"auth_user", "django_content_type", "shop_item", "shop_shop"} <= set(facts["tables"])
    assert facts["columns"][:3] == ["id", "shop_id", "name"]
    assert facts["altered"] == [["Before", "1.5"]]
    assert facts["user"] is True


def test_types_make_the_round_trip(facts: dict[str, Any]) -> None:
    assert facts["types"] == [
        "South",
        "Decimal('3.30')",
        "2024-02-02T23:30:00.001234+00:00",
        "3 days, 0:00:00.000005",
        "00ff00ff00ff",
        {"size": 3, "tags": ["a", "é"]},
    ]


def test_lookups_that_call_python_functions(facts: dict[str, Any]) -> None:
    assert facts["regex"] == ["Item 2", "Item 3"]
    assert facts["iregex"] == ["Item 4", "Item 5"]
    assert facts["months"] == [["2024-01-01T00:00:00+00:00", 1], ["2024-02-01T00:00:00+00:00", 5]]
    assert (facts["year"], facts["dates"]) == (6, 1)
    assert facts["until"] == "2024-02-03T23:30:00.001239+00:00"
    assert facts["twice"] == "4 days, 0:00:00.000010"


def test_expressions_and_aggregates(facts: dict[str, Any]) -> None:
    assert facts["f_update"] == 11
    assert facts["f_filter"] == ["Item 2"]
    assert float(facts["aggregate"]["price__sum"]) == pytest.approx(23.1)
    assert facts["aggregate"]["stock__avg"] == pytest.approx(31 / 6)
    assert float(facts["aggregate"]["price__stddev"]) == pytest.approx(1.8786, abs=1e-4)
    assert [row[:2] for row in facts["annotated"]] == [["North", 3], ["South", 3]]
    assert [float(row[2]) for row in facts["annotated"]] == pytest.approx([61.6, 49.5])
    assert (facts["text"], facts["math"]) == ("ITEM 1!", 2.0)
    assert facts["json"] == ["Item 5", "Item 6"]


def test_relations_and_iteration(facts: dict[str, Any]) -> None:
    assert facts["prefetch"] == [3, 3]
    assert facts["iterated"] == 6
    assert facts["union"] == 2
    assert facts["cascaded"] == 3
    assert facts["plan"] is True


def test_rollback_and_savepoint(facts: dict[str, Any]) -> None:
    assert facts["shops"] == ["Kept", "North", "South"]
    assert facts["upsert"] is False


def test_errors_keep_class_and_code(facts: dict[str, Any]) -> None:
    module, name, text = facts["unique"]
    assert module.startswith("libsql_core")
    assert (name, text) == ("SQLITE_CONSTRAINT_UNIQUE", "UNIQUE constraint failed: shop_shop.name")
    assert facts["check"][1:] == ["SQLITE_CONSTRAINT_CHECK", "CHECK constraint failed: stock"]
    assert facts["missing"] == "no such table: missing"
