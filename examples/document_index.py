"""Search documents through a vector index: all of them, those of a language, the newer ones.

The vectors of a real program come from a model. Here those of a topic lie near each other, nothing is downloaded, and
every run gives the same.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from contextlib import closing

import libsql_core
from libsql_core import Connection, vector

DIMS, TOPICS, DOCUMENTS = 96, 40, 4000
LANGUAGES = ("de", "en", "fr")
SCHEMA = f"""
CREATE TABLE doc(
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    lang TEXT NOT NULL,
    year INTEGER NOT NULL,
    embedding F32_BLOB({DIMS})
);
CREATE INDEX doc_by_lang ON doc(lang, year);
"""


def embed(topic: int, noise: float, dice: random.Random) -> array[float]:
    """A vector near that of a topic."""
    own = random.Random(topic)
    return array("f", (own.gauss(0, 1) + noise * dice.gauss(0, 1) for _ in range(DIMS)))


def documents() -> Iterator[tuple[str, str, int, bytes]]:
    dice = random.Random(1)
    for number in range(DOCUMENTS):
        topic = number % TOPICS
        lang = dice.choice(LANGUAGES)
        yield f"{lang} {number} on {topic}", lang, 1990 + number % 37, vector.from_array(embed(topic, 0.6, dice))


def create(con: Connection) -> None:
    """Rows first, then the index: it is built from all of them at once."""
    con.executescript(SCHEMA)
    with con:
        con.executemany("INSERT INTO doc(title, lang, year, embedding) VALUES (?, ?, ?, ?)", documents())
    vector.create_index(con, "doc_near", "doc", "embedding", compress_neighbors="float8")


def nearest(con: Connection, query: array[float], k: int, condition: str | None = None) -> list[tuple[str, float]]:
    """Titles and distances of the k nearest documents that meet a condition. The condition is ours, not the user's."""
    sql = """
        SELECT doc.title, near.distance
        FROM vector_top_k('doc_near', :query, :k, :condition) AS near JOIN doc ON doc.id = near.id
        ORDER BY near.distance
    """
    return con.execute(sql, {"query": vector.from_array(query), "k": k, "condition": condition}).fetchall()


def main() -> None:
    with closing(libsql_core.connect(":memory:")) as con:
        create(con)
        query = embed(7, 0.3, random.Random(2))
        for condition in (None, "lang = 'fr'", "lang = 'en' AND year >= 2020"):
            print(condition or "all")
            for title, distance in nearest(con, query, 3, condition):
                print(f"  {distance:.3f}  {title}")

        # A statement that knows nothing of the index uses it, too.
        con.execute("PRAGMA libsql_vector_order = on")
        plain = "SELECT title FROM doc ORDER BY vector_distance_cos(embedding, ?) LIMIT 3"
        parameters = (vector.from_array(query),)
        planned = con.execute(f"EXPLAIN QUERY PLAN {plain}", parameters).fetchall()
        print("through the index:", any("vector_top_k" in row[3] for row in planned))
        titles = [title for (title,) in con.execute(plain, parameters)]
        print("the same rows:", titles == [title for title, _ in nearest(con, query, 3)])

        # What changes in the table changes in the index, in the same transaction.
        with con:
            con.execute("DELETE FROM doc WHERE lang = 'fr'")
        print("after DELETE:", len(nearest(con, query, 3, "lang = 'fr'")))
        nodes, size = con.execute("SELECT nodes, bytes FROM vector_index_info('doc_near')").fetchone()
        problems = con.execute("SELECT count(*) FROM vector_index_check('doc_near')").fetchone()[0]
        print(f"{nodes} nodes, {size / nodes / 4 / DIMS:.1f} times the vectors, {problems} problems")
        print("recall at least 0.95:", vector.recall(con, "doc_near") >= 0.95)


if __name__ == "__main__":
    main()
