"""Code written for sqlite3, on libsql_core: only the import has changed."""

import tempfile
from contextlib import closing
from pathlib import Path

import libsql_core as sqlite3


def main(path: Path) -> list[tuple[str, int]]:
    """Keep a reading list in the file and return what is longer than 400 pages."""
    with closing(sqlite3.connect(path)) as con:
        con.row_factory = sqlite3.Row
        con.create_function("initials", 1, lambda name: "".join(word[0] for word in name.split()))
        with con:
            con.execute("CREATE TABLE book(title TEXT, author TEXT, pages INTEGER, read_on TEXT)")
            con.executemany(
                "INSERT INTO book VALUES(?, ?, ?, ?)",
                [
                    ("The Left Hand of Darkness", "Ursula Le Guin", 304, "2025-11-02"),
                    ("A Fire Upon the Deep", "Vernor Vinge", 613, None),
                    ("Middlemarch", "George Eliot", 880, "2026-01-17"),
                ],
            )
        print(f"SQLite {sqlite3.sqlite_version}, libSQL {sqlite3.libsql_version}, file {path.name}")
        found = []
        query = "SELECT title, initials(author) AS by, pages FROM book WHERE pages > ? ORDER BY pages"
        for row in con.execute(query, (400,)):
            print(f"{row['title']} ({row['by']}): {row['pages']} pages")
            found.append((row["title"], row["pages"]))
        return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder) / "books.db")
