"""Datasette serves a file of `libsql_core` in the place of `sqlite3`."""

from typing import Any

import pytest


@pytest.fixture(scope="module")
def facts(run_app: Any) -> Any:
    # Its own dependencies warn on newer Pythons; only ours are our concern.
    return run_app("datasette_app", warnings="ignore")


def test_it_ran_on_our_module(facts: dict[str, Any]) -> None:
    assert facts["connection_type"].startswith("libsql_core")
    assert facts["versions"] == facts["our_version"]


def test_table_json(facts: dict[str, Any]) -> None:
    assert facts["table"] == [
        {"id": 1, "name": "Place 1", "kind": "lake", "size": 1.5},
        {"id": 2, "name": "Place 2", "kind": "hill", "size": 3.0},
    ]
    assert facts["html"] is True


def test_filters_views_and_sql(facts: dict[str, Any]) -> None:
    assert [row["id"] for row in facts["filtered"]] == [3, 5, 7]
    assert facts["view"] == 5
    assert facts["sql"] == [{"s": 54.0}]


def test_full_text_search(facts: dict[str, Any]) -> None:
    assert [row["name"] for row in facts["search"]] == ["Place 7"]


def test_facets(facts: dict[str, Any]) -> None:
    (facet,) = [f for f in _facets(facts["facets"]) if f["name"] == "kind"]
    assert {r["value"]: r["count"] for r in facet["results"]} == {"hill": 4, "lake": 4}


def _facets(answer: dict[str, Any]) -> list[dict[str, Any]]:
    results = answer["facet_results"]
    return list(results.get("results", results).values())
