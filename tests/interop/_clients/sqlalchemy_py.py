"""sqlalchemy-libsql of PyPI: python sqlalchemy_py.py PORT TOKEN"""

import json
import sys
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm


class Base(orm.DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.String(100), unique=True)
    price: orm.Mapped[float | None]


def main(port: str, token: str) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    engine = sa.create_engine(f"sqlite+libsql://127.0.0.1:{port}?secure=false", connect_args={"auth_token": token})
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([Book(title="one", price=1.5), Book(title="two")])
        session.commit()
        found = session.execute(sa.select(Book).order_by(Book.id)).scalars().all()
        facts["books"] = [[b.id, b.title, b.price] for b in found]
        found[0].title = "changed"
        session.commit()
        session.add(Book(title="gone"))
        session.flush()
        session.rollback()
        facts["titles"] = list(session.execute(sa.select(Book.title).order_by(Book.id)).scalars())
    with engine.connect() as con:
        facts["sum"] = con.execute(sa.text("select sum(id) from book where id < :limit"), {"limit": 10}).scalar()
        try:
            con.execute(sa.text("select * from nope"))
        except Exception as error:
            facts["missing"] = str(error).splitlines()[0]
    facts["tables"] = sa.inspect(engine).get_table_names()
    engine.dispose()
    return facts


print(json.dumps(main(*sys.argv[1:])))
