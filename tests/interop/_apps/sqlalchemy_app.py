"""An address-book sized use of the SQLAlchemy ORM; prints what it saw.

Argument `module` hands our module to `create_engine`, `installed` replaces `sqlite3`.
"""

import sys

import libsql_core

if sys.argv[1] == "installed":
    libsql_core.install_as_sqlite3()

import json
import warnings
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, ForeignKey, Numeric, String, create_engine, event, func, inspect, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError, SAWarning
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    selectinload,
)

# SQLAlchemy says so of every sqlite driver: Decimal travels as a float.
warnings.filterwarnings("ignore", ".*does .not. support Decimal objects", SAWarning)


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    born: Mapped[datetime]
    books: Mapped[list["Book"]] = relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    cover: Mapped[bytes | None]
    published: Mapped[date]
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


def fill(session: Session) -> None:
    ada = Author(name="Ada", born=datetime(1815, 12, 10, 4, 5, 6, 789))
    bob = Author(name="Bob", born=datetime(1990, 1, 2))
    for number in range(1, 6):
        ada.books.append(
            Book(
                title=f"Volume {number}",
                price=Decimal("10.25") * number,
                cover=bytes(range(256)) if number == 1 else None,
                published=date(1843, number, 1),
                extra={"pages": 100 * number, "tags": ["old", "né"]},
            )
        )
    session.add_all([ada, bob])


def query(session: Session) -> dict[str, Any]:
    first = session.scalars(select(Book).order_by(Book.id).limit(1)).one()
    session.expire_all()
    total = func.sum(Book.price)
    grouped = select(Author.name, func.count(Book.id), total).join(Book).group_by(Author.name)
    eager = select(Author).options(selectinload(Author.books)).order_by(Author.name)
    return {
        "born": first.author.born.isoformat(),
        "price": repr(first.price),
        "cover": first.cover == bytes(range(256)),
        "published": first.published.isoformat(),
        "extra": first.extra,
        "between": session.scalars(select(Book.title).where(Book.price.between(20, 40)).order_by(Book.id)).all(),
        "joined": session.scalar(select(func.count(Book.id)).join(Author).where(Author.name == "Ada")),
        "regexp": session.scalars(select(Book.title).where(Book.title.regexp_match("[12]$"))).all(),
        "json": session.scalars(select(Book.id).where(Book.extra["pages"].as_integer() > 300).order_by(Book.id)).all(),
        "grouped": [list(map(str, row)) for row in session.execute(grouped)],
        "having": session.execute(grouped.having(total > 1000)).all(),
        "eager": {author.name: len(author.books) for author in session.scalars(eager)},
        "streamed": [book.id for book in session.scalars(select(Book).execution_options(yield_per=2))],
    }


def transactions(session: Session) -> dict[str, Any]:
    def count() -> int:
        return session.scalar(select(func.count()).select_from(Author)) or 0

    facts: dict[str, Any] = {"before": count()}
    session.add(Author(name="Carl", born=datetime(2000, 1, 1)))
    session.flush()
    facts["flushed"] = count()
    session.rollback()
    facts["rolled_back"] = count()
    with session.begin_nested() as savepoint:
        session.add(Author(name="Dora", born=datetime(2000, 1, 1)))
        session.flush()
        savepoint.rollback()
    facts["savepoint"] = count()
    for name, broken in {
        "unique": Author(name="Ada", born=datetime(2000, 1, 1)),
        "foreign_key": Book(title="", price=Decimal(1), published=date(2000, 1, 1), extra={}, author_id=99),
    }.items():
        session.add(broken)
        try:
            session.commit()
        except IntegrityError as error:
            original: Any = error.orig
            facts[name] = [type(original).__module__, original.sqlite_errorname, str(original)]
            session.rollback()
    statement = upsert(Author).values(id=1, name="Ada", born=datetime(1815, 12, 10))
    changed = statement.on_conflict_do_update(index_elements=["id"], set_={"name": "Ada L."})
    facts["upsert"] = session.scalars(changed.returning(Author.name)).all()
    session.commit()
    return facts


def main() -> None:
    options = {"module": libsql_core} if sys.argv[1] == "module" else {}
    engine = create_engine("sqlite:///library.db", **options)
    types = set()

    @event.listens_for(engine, "connect")
    def foreign_keys_on(connection: Any, _record: object) -> None:
        types.add(f"{type(connection).__module__}.{type(connection).__qualname__}")
        connection.execute("PRAGMA foreign_keys = ON")

    Base.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session)
        session.commit()
        facts = query(session) | transactions(session)
        facts["sqlite_version"] = session.scalar(select(func.sqlite_version()))
    facts["tables"] = inspect(engine).get_table_names()
    facts["foreign_keys"] = [key["referred_table"] for key in inspect(engine).get_foreign_keys("book")]
    facts["connection_types"] = sorted(types)
    facts["our_version"] = libsql_core.sqlite_version
    engine.dispose()
    print(json.dumps(facts))


main()
