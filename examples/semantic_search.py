"""Find notes by what they are about: vectors in a column, the nearest ones to a question.

The vectors of a real program come from a model. Here a word adds to four of 512 numbers that its hash picks, so that
texts with words in common lie near each other; nothing is downloaded, and every run gives the same.
"""

from __future__ import annotations

import math
import re
import zlib
from array import array
from contextlib import closing

import libsql_core
from libsql_core import vector

DIMS = 512
NOTES = [
    "Sourdough bread needs flour, water, salt and a long night in the kitchen",
    "The night train to Vienna leaves at nine from platform four",
    "A bicycle chain lasts longer when it is cleaned and oiled every month",
    "To bake bread without yeast, feed a starter of flour and water for a week",
    "Trains in the mountains run every hour, buses wait for them at the platform",
    "Oil the hinges of the gate before the winter",
]
COMMON = {"a", "and", "at", "for", "from", "how", "in", "is", "it", "of", "the", "them", "to", "when", "where"}


def embed(text: str) -> array[float]:
    """A vector of length 1 for the words of a text."""
    numbers = array("f", bytes(4 * DIMS))
    for word in re.findall(r"\w+", text.lower()):
        stem = word.removesuffix("s")
        for salt in range(0 if stem in COMMON else 4):
            hashed = zlib.crc32(f"{salt} {stem}".encode())
            numbers[hashed % DIMS] += 1 if hashed & 0x10000 else -1
    length = math.sqrt(sum(x * x for x in numbers)) or 1
    return array("f", (x / length for x in numbers))


def main() -> None:
    with closing(libsql_core.connect(":memory:")) as con:
        con.execute(f"CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT DEFAULT '', embedding F32_BLOB({DIMS}))")
        vector.insert_many(con, "note", range(len(NOTES)), [embed(note) for note in NOTES])
        con.executemany("UPDATE note SET text = ? WHERE id = ?", [(note, i) for i, note in enumerate(NOTES)])

        questions = ["how to bake bread", "where is the platform of the train", "oil for a bicycle"]
        ids, distances = vector.search(con, "note", "embedding", [embed(question) for question in questions], k=2)
        for question, nearest, how_far in zip(questions, ids, distances, strict=True):
            print(f"{question}?")
            for note, distance in zip(nearest, how_far, strict=True):
                print(f"  {distance:.2f}  {NOTES[note]}")

        # The same in SQL, where it may be joined, filtered and grouped.
        sql = "SELECT text FROM note WHERE text LIKE '%water%' ORDER BY vector_distance_cos(embedding, ?) LIMIT 1"
        print(con.execute(sql, (vector.from_array(embed("yeast")),)).fetchone()[0])


if __name__ == "__main__":
    main()
