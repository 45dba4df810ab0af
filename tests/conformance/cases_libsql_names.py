"""BEGIN READONLY, CREATE INDEX ... USING, and the words that libSQL added, as names."""

from typing import Any

T = "create table t(id, v)"
WORDS = ("random", "readonly", "function", "language")

READONLY: dict[str, list[Any]] = {
    f"{statement}; {then}": [T, statement, "select * from t", then, "commit"]
    for statement, then in (
        ("begin readonly", "select 1"),
        ("BEGIN READONLY", "insert into t values (1, 2)"),
        ("begin readonly transaction", "insert into t values (1, 2)"),
        ("begin transaction readonly", "insert into t values (1, 2)"),
        ("begin /* not to write */ readonly", "insert into t values (1, 2)"),
        ("begin readonly;", "begin readonly"),
        ("begin readonly transaction named", "rollback"),
        ("begin deferred readonly", "rollback"),
        ("begin readonly readonly", "rollback"),
        ("begin readonly deferred", "rollback"),
        ("begin 'readonly'", "rollback"),
        ("begin read only", "rollback"),
        ("begin immediate transaction readonly", "insert into t values (1, 2)"),
        ("savepoint readonly", "release readonly"),
        ("begin concurrent", "rollback"),
        ("commit readonly", "select 1"),
    )
}
READONLY["in a script"] = [
    ("create table t(id); begin readonly; insert into t values (1); commit;", None),
    "select * from t",
]
READONLY["as the start of a name"] = [T, "begin readonly_", "rollback", "begin transaction readonly_", "rollback"]

NAMES = {
    f"{word} {what}": steps
    for word in WORDS
    for what, steps in {
        "table": [
            f"create table {word}(a)",
            f"insert into {word} values (1)",
            f"select * from {word}",
            f"drop table {word}",
        ],
        "columns": [
            f"create table t({word}, b)",
            f"insert into t({word}) values (1)",
            f"select x.{word} as {word} from t x where {word} = 1 group by {word} order by {word}",
            f"select {word} from t",
            f"create index j on t({word})",
            f"alter table t rename column {word} to x",
        ],
        "alias": [T, f"select id {word} from t {word} where {word}.id = 1", f"select 1 as {word}"],
        "others": [
            T,
            f"create index {word} on t(id)",
            f"create view {word}v as select 1 {word}",
            f"select {word} from {word}v",
            f"savepoint {word}",
            f"release {word}",
            f"attach ':memory:' as {word}",
            f"create table {word}.{word}({word} {word})",
            f"select {word}.{word}.{word} from {word}.{word}",
        ],
    }.items()
}
NAMES |= {
    "function language": ["create table function(language)", "select language from function"],
    "all in one table": ["create table x(random, readonly, function, language)", "select * from x"],
    "all with types": ["create table x(a random, b readonly, c function, d language)", "pragma table_info(x)"],
    "random and rowid in a table": ["create table x(a, random rowid)", "pragma table_info(x)"],
    "random and rowid first in a table": ["create table x(random rowid, a)", "pragma table_info(x)"],
    "random behind a check": ["create table x(a check(a > (1)), random rowid)", "pragma table_info(x)"],
    "random rowid in a query": [
        T,
        "select 1, random rowid from (select 2 random)",
        "select (1), random rowid from (select 2 random)",
    ],
    "random rowid in a table from a query": [
        "create table y as select 1, random rowid from (select 2 random)",
        "select * from y",
    ],
    "random rowid in a view": [
        T,
        "create view y as select (id), random rowid from (select 1 id, 2 random)",
        "select * from y",
    ],
    "random from": ["select random from (select 1 random) as random"],
    "random()": ["select typeof(random()), typeof(RANDOM())", "create table t(a default (random()))"],
    "column constraint behind random": ["create table x(random not null, readonly check(random > 0))"],
}

INDEXES = {
    "USING": [T, "create index i on t(v)", "create index k using vector on t(v)"],
    "USING two": [T, "create index k using vector, cosine on t(v)"],
    "USING behind": [T, "create index k on t(v) using vector"],
    "USING unique": [T, "create unique index k using vector on t(v)"],
    "named using": [T, "create index using on t(v)"],
}

CASES = {
    f"{group}: {name}": steps
    for group, cases in {"begin": READONLY, "name": NAMES, "index": INDEXES}.items()
    for name, steps in cases.items()
}
