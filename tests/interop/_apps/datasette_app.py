"""Datasette on a real file, asked in-process through its own client."""

# ruff: noqa: E402 - the replacement comes before whatever imports sqlite3
import sys

import libsql_core

libsql_core.install_as_sqlite3()
# Datasette prefers pysqlite3 where that is installed; it must meet us under the name sqlite3.
sys.modules["pysqlite3"] = None  # type: ignore[assignment]

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import Any

from datasette.app import Datasette


def create(path: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            """
            CREATE TABLE place(id INTEGER PRIMARY KEY, name TEXT, kind TEXT, size REAL);
            CREATE VIRTUAL TABLE place_fts USING fts5(name, content="place", content_rowid="id");
            CREATE VIEW big AS SELECT * FROM place WHERE size > 5;
            """
        )
        with db:
            db.executemany(
                "INSERT INTO place(name, kind, size) VALUES (?, ?, ?)",
                [(f"Place {n}", ("hill", "lake")[n % 2], n * 1.5) for n in range(1, 9)],
            )
            db.execute("INSERT INTO place_fts(place_fts) VALUES ('rebuild')")


async def ask() -> dict[str, Any]:
    datasette = Datasette(["places.db"])
    await datasette.invoke_startup()

    async def rows(path: str) -> Any:
        response = await datasette.client.get(path, follow_redirects=True)
        assert response.status_code == 200, (path, response.text)
        return response.json()

    def connection_type(connection: Any) -> str:
        return type(connection).__module__

    return {
        "table": await rows("/places/place.json?_shape=array&_size=2"),
        "filtered": await rows("/places/place.json?_shape=array&kind=lake&size__gt=4"),
        "facets": await rows("/places/place.json?_facet=kind&_extra=facet_results"),
        "search": await rows("/places/place.json?_shape=array&_search=7"),
        "view": len(await rows("/places/big.json?_shape=array")),
        "sql": await rows("/places.json?sql=select+sum(size)+as+s+from+place&_shape=array"),
        "versions": (await rows("/-/versions.json"))["sqlite"]["version"],
        "html": "Place 3" in (await datasette.client.get("/places/place")).text,
        "connection_type": await datasette.get_database("places").execute_fn(connection_type),
    }


create("places.db")
facts = asyncio.run(ask())
facts["our_version"] = libsql_core.sqlite_version
print(json.dumps(facts))
