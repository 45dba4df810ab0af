"""ALTER TABLE ... ALTER COLUMN ... TO: kinds of tables, what hangs on them, transactions, neighbours."""

T = "create table t(id, v)"
ALTER = "alter table t alter column v to v int"
ROWS = "insert into t values (1, '2'), (3, 'x')"
READ = "select *, typeof(v) from t order by id"

KEYS = {
    "primary key dropped": ["create table t(id primary key, v)", "alter table t alter column id to id"],
    "primary key kept": ["create table t(id primary key, v)", "alter table t alter column id to id text primary key"],
    "primary key with ON CONFLICT": [
        "create table t(id primary key, v)",
        "alter table t alter column id to id primary key on conflict replace",
        "insert into t values (1, 2)",
        "insert into t values (1, 3)",
        "select * from t",
    ],
    "unique dropped": ["create table t(id, v unique)", "alter table t alter column v to v"],
    "unique kept": ["create table t(id, v unique)", "alter table t alter column v to v text unique"],
    "integer primary key kept": [
        "create table t(id integer primary key, v)",
        "alter table t alter column id to id integer primary key check(id > 0)",
        "insert into t values (-1, 2)",
    ],
    "integer primary key to another type": [
        "create table t(a integer primary key, v)",
        "alter table t alter column a to a int primary key",
    ],
    "integer primary key descending": [
        "create table t(a integer primary key, v)",
        "alter table t alter column a to a integer primary key desc",
    ],
    "other type to integer primary key": [
        "create table t(a int primary key, v)",
        "alter table t alter column a to a integer primary key",
    ],
    "key of the table": ["create table t(a, v, primary key(a))", "alter table t alter column a to a text"],
    "key of the table repeated": [
        "create table t(a, v, primary key(a))",
        "alter table t alter column a to a text primary key",
    ],
    "unique of the table": ["create table t(a, v, unique(a))", "alter table t alter column a to a text"],
    "unique of the table repeated": ["create table t(a, v, unique(a))", "alter table t alter column a to a unique"],
    "integer key of the table": [
        "create table t(a integer, v, primary key(a))",
        "alter table t alter column a to a text",
    ],
    "autoincrement kept": [
        "create table t(a integer primary key autoincrement, v)",
        "insert into t(v) values (1)",
        "alter table t alter column a to a integer primary key autoincrement check(a > 0)",
        "insert into t(v) values (2)",
        "select * from sqlite_sequence",
    ],
    "autoincrement dropped": [
        "create table t(a integer primary key autoincrement, v)",
        "insert into t(v) values (1)",
        "alter table t alter column a to a integer primary key",
        "insert into t(v) values (2)",
        "select * from t",
    ],
    "autoincrement added": [
        "create table t(a integer primary key, v)",
        "alter table t alter column a to a integer primary key autoincrement",
        "insert into t(v) values (2)",
        "select * from t",
    ],
    "autoincrement added to a temporary table": [
        "create temp table t(a integer primary key, v)",
        "alter table t alter column a to a integer primary key autoincrement",
        "insert into t(v) values (2)",
        "select * from temp.sqlite_sequence",
    ],
    "autoincrement added to an attached table": [
        "attach ':memory:' as x",
        "create table x.t(a integer primary key, v)",
        "alter table t alter column a to a integer primary key autoincrement",
        "insert into t(v) values (2)",
        "select * from x.sqlite_sequence",
    ],
    "autoincrement without rowid": [
        "create table t(a integer primary key, v) without rowid",
        "alter table t alter column a to a integer primary key autoincrement",
    ],
    "autoincrement added beside another": [
        "create table s(a integer primary key autoincrement)",
        "create table t(a integer primary key, v)",
        "insert into t values (8, 0)",
        "alter table t alter column a to a integer primary key autoincrement",
        "delete from t",
        "insert into t(v) values (2)",
        "select a from t",
    ],
}

GENERATED = {
    "virtual expression changed": [
        "create table t(a, v as (a + 1))",
        "insert into t(a) values (1)",
        "alter table t alter column v to v int as (a * 10)",
        "select * from t",
    ],
    "virtual said in words": [
        "create table t(a, v as (a + 1))",
        "alter table t alter column v to v generated always as (a) virtual",
    ],
    "virtual made stored": ["create table t(a, v as (a + 1))", "alter table t alter column v to v as (a + 1) stored"],
    "stored made virtual": ["create table t(a, v as (a + 1) stored)", "alter table t alter column v to v as (a + 1)"],
    "stored made plain": ["create table t(a, v as (a + 1) stored)", "alter table t alter column v to v"],
    "virtual made plain": ["create table t(a, v as (a + 1))", "alter table t alter column v to v int"],
    "stored with the same expression": [
        "create table t(a, v as (a + 1) stored)",
        "insert into t(a) values (1)",
        "alter table t alter column v to v not null as (a + 1) stored",
        "select * from t",
    ],
    "stored expression changed": [
        "create table t(a, v as (a + 1) stored)",
        "insert into t(a) values (1)",
        "alter table t alter column v to v as (a + 2) stored",
        "select * from t",
    ],
    "plain column before a generated one": [
        "create table t(a, g as (a + 1), v)",
        "insert into t(a, v) values ('1', '2')",
        "alter table t alter column v to v int",
        "insert into t(a, v) values ('1', '2')",
        "select *, typeof(v) from t",
    ],
    "expression of an unknown column": [
        "create table t(a, v as (a + 1))",
        "alter table t alter column v to v as (nosuch)",
    ],
    "expression of itself": ["create table t(a, v as (a + 1))", "alter table t alter column v to v as (v + 1)"],
}

TABLES = {
    "temporary": ["create temp table t(id, v)", ROWS, ALTER, ROWS, READ],
    "temporary by name": ["create temp table t(id, v)", "alter table temp.t alter column v to v int", ROWS, READ],
    "temporary over main": [T, "create temp table t(id, v)", ALTER, "alter table main.t alter column v to v text"],
    "attached": [
        "attach ':memory:' as x",
        "create table x.t(id, v)",
        "alter table x.t alter column v to v int",
        ROWS,
        READ,
        "select sql from x.sqlite_schema",
        "pragma x.integrity_check",
    ],
    "attached file": [
        "attach 'other.db' as x",
        "create table x.t(id, v)",
        "alter table t alter column v to v int",
        "detach x",
        "attach 'other.db' as y",
        "select sql from y.sqlite_schema",
    ],
    "attached and unknown there": [T, "attach ':memory:' as x", "alter table x.t alter column v to v int"],
    "without rowid": [
        "create table t(id primary key, v) without rowid",
        ROWS,
        ALTER,
        "insert into t values (5, '6')",
        READ,
    ],
    "key of without rowid": [
        "create table t(id text primary key, v) without rowid",
        "alter table t alter column id to id primary key",
        "alter table t alter column id to id",
    ],
    "collation of the key of without rowid": [
        "create table t(id text primary key, v) without rowid",
        "insert into t values ('a', 1), ('B', 2)",
        "alter table t alter column id to id text primary key collate nocase",
        "select * from t where id = 'b'",
    ],
    "type of the key of without rowid": [
        "create table t(id, v, primary key(id)) without rowid",
        "insert into t values ('10', 1), (9, 2)",
        "alter table t alter column id to id int",
        "select * from t where id = 10",
    ],
    "strict": [
        "create table t(id int, v text) strict",
        ROWS,
        "alter table t alter column v to v int",
        "insert into t values (5, 'x')",
        READ,
    ],
    "strict without a type": ["create table t(id int, v int) strict", "alter table t alter column v to v"],
    "strict with an unknown type": ["create table t(id int, v int) strict", "alter table t alter column v to v foo"],
    "strict with any": ["create table t(id int, v int) strict", "alter table t alter column v to v any", ROWS, READ],
    "random rowid": [
        "create table t(id, v) random rowid",
        ALTER,
        ROWS,
        "select count(*) from t where rowid > 1000000",
    ],
    "view": [T, "create view w as select v from t", "alter table w alter column v to v int"],
    "shadow table": [
        "create virtual table f using fts5(a)",
        "alter table f_content alter column c0 to c0 text",
        "insert into f values ('abc')",
        "select * from f where f match 'abc'",
    ],
    "virtual table": ["create virtual table f using fts5(a)", "alter table f alter column a to a int"],
    "table function": ["alter table pragma_table_info alter column name to name int"],
    "statistics": [
        T,
        "create index j on t(v)",
        ROWS,
        "analyze",
        "alter table sqlite_stat1 alter column idx to idx int",
        "drop table if exists sqlite_stat4",
    ],
    "sequence": [
        "create table t(a integer primary key autoincrement)",
        "alter table sqlite_sequence alter column seq to seq int",
    ],
    "alone in its table": ["create table t(v)", ALTER, "insert into t values ('1')", "select typeof(v) from t"],
}

AROUND = {
    "index": [T, "create index j on t(v) where v > 0", ROWS, "alter table t alter column v to v check(v <> 4)"],
    "index on an expression": [
        T,
        "create index j on t(v || 'x')",
        ROWS,
        "alter table t alter column v to v not null",
        "select id from t where v || 'x' = '2x'",
    ],
    "view on it": [T, "create view w as select v, id from t", ROWS, ALTER, ROWS, "select v, typeof(v) from w"],
    "trigger on it": [
        T,
        "create table log(x)",
        "create trigger g after insert on t begin insert into log values (typeof(new.v)); end",
        ALTER,
        "insert into t values (1, '2')",
        "select * from log",
    ],
    "broken view": [T, "create view bad as select nosuch from t", ALTER, "select sql from sqlite_schema"],
    "broken view elsewhere": [T, "create table u(a)", "create view bad as select nosuch from u", ALTER],
    "broken trigger": [
        T,
        "create trigger tt after insert on t begin select nosuch from t; end",
        ALTER,
    ],
    "broken temporary view": [T, "create temp view bad as select nosuch from t", ALTER],
    "legacy_alter_table": [
        "pragma legacy_alter_table = on",
        T,
        "create view bad as select nosuch from t",
        ALTER,
    ],
    "view of a missing table": [T, "create view bad as select * from missing", ALTER],
    "quoted string in a view": [T, "create view w as select 'str' from t", ALTER, "select * from w"],
    "double-quoted string in a stored view": [
        T,
        "pragma writable_schema = on",
        "insert into sqlite_schema values ('view', 'w', 'w', 0, 'CREATE VIEW w AS SELECT \"str\" FROM t')",
        "pragma writable_schema = reset",
        ALTER,
    ],
    "foreign key that is broken by now": [
        "pragma foreign_keys = on",
        "create table p(a primary key)",
        T,
        "insert into t values (1, 2)",
        "alter table t alter column v to v references p",
        "pragma foreign_key_check",
        "insert into t values (1, 2)",
        "insert into t values (1, null)",
        "insert into p values (2)",
        "update t set v = 2 where v is null",
        "delete from p",
    ],
    "foreign key to the column": [
        "pragma foreign_keys = on",
        "create table t(id, v unique)",
        "create table c(x references t(v))",
        "insert into t values (1, 2)",
        "insert into c values (2)",
        "alter table t alter column v to v unique check(v > 0)",
        "insert into c values (3)",
        "delete from t",
    ],
    "writable_schema": [
        T,
        "pragma writable_schema = on",
        "alter table t alter column v to v primary key",
        "pragma writable_schema = off",
    ],
    "defensive queries": [T, "pragma query_only = on", ALTER, "pragma query_only = off", ALTER],
    "schema version": [T, "pragma schema_version", ALTER, "pragma schema_version"],
    "changes": [T, ROWS, ALTER, "select changes(), total_changes(), last_insert_rowid()"],
    "function behind it": [f"select libsql_alter_column({', '.join('1' * count)})" for count in (5, 8)],
    "function of the statement that renames": ["select sqlite_rename_column(1, 2, 3, 4, 5, 6, 7, 8, 9)"],
}

UNIQUE_NOCASE = "alter table t alter column v to v unique collate nocase"
STALE = {
    "unique index and collation": [
        "create table t(id, v unique)",
        "insert into t values (1, 'a'), (2, 'B')",
        UNIQUE_NOCASE,
        "insert into t values (3, 'b')",
        "select id from t where v = 'b'",
    ],
    "unique index and collation that makes two equal": [
        "create table t(id, v unique)",
        "insert into t values (1, 'a'), (2, 'A')",
        UNIQUE_NOCASE,
        "select id from t where v = 'a'",
    ],
    "index on an expression and collation": [
        T,
        "create index j on t(v = 'a')",
        "insert into t values (1, 'a'), (2, 'A')",
        "alter table t alter column v to v collate nocase",
        "select id from t where (v = 'a') = 1",
    ],
    "index on an expression and type": [
        "create table t(id, v text)",
        "create index j on t(v < '9')",
        "insert into t values (1, '10'), (2, '8')",
        "alter table t alter column v to v int",
        "select id from t where (v < '9') = 1",
    ],
    "partial index and collation": [
        T,
        "create index j on t(id) where v = 'a'",
        "insert into t values (1, 'a'), (2, 'A')",
        "alter table t alter column v to v collate nocase",
        "select id from t where v = 'a' and id > 0",
    ],
    "index with a collation of its own": [
        T,
        "create index j on t(v collate rtrim)",
        "insert into t values (1, 'a '), (2, 'A')",
        "alter table t alter column v to v collate nocase",
        "select id from t where v = 'a' collate rtrim",
    ],
    "index on a virtual column": [
        "create table t(a, v as (a + 1))",
        "create index j on t(v)",
        "insert into t(a) values (1), (2)",
        "alter table t alter column v to v as (a * -10)",
        "select a from t where v < 0 order by v",
    ],
    "virtual column of one that is altered": [
        "create table t(v, g as (v = 'a'))",
        "create index j on t(g)",
        "insert into t values ('a'), ('A')",
        "alter table t alter column v to v collate nocase",
        "select v from t where g = 1",
    ],
    "stored column of one that is altered": [
        "create table t(v, g as (v = 'a') stored)",
        "insert into t values ('a'), ('A')",
        "alter table t alter column v to v collate nocase",
        "select v from t where g = 1",
    ],
    "check of the table and collation": [
        "create table t(v, check(v <> 'a'))",
        "insert into t values ('A')",
        "alter table t alter column v to v collate nocase",
        "insert into t values ('A')",
    ],
}

OLDER = {
    name: [
        table,
        "insert into t values (1), (2)",
        "alter table t add column v default 5",
        "insert into t values (3, 6)",
        *first,
        "alter table t alter column v to v default 9",
        "select changes(), total_changes()",
        "insert into t(id) values (4)",
        "select * from t order by id",
        *then,
    ]
    for name, table, first, then in (
        ("plain", "create table t(id)", [], []),
        ("index", "create table t(id)", ["create index j on t(v)"], ["select id from t where v = 5"]),
        ("without rowid", "create table t(id primary key) without rowid", [], []),
        ("random rowid", "create table t(id) random rowid", [], ["select min(rowid) > 1000000 from t"]),
        ("temporary", "create temp table t(id)", [], []),
        ("another column added", "create table t(id)", ["alter table t add column w default 7"], []),
        (
            "triggers",
            "create table t(id)",
            [
                "create table log(x)",
                "create trigger g after update on t begin insert into log values (new.id); end",
            ],
            ["select * from log"],
        ),
        (
            "trigger that refuses",
            "create table t(id)",
            ["create trigger g before update on t begin select raise(abort, 'no'); end"],
            [],
        ),
        ("check", "create table t(id, check(id < 4))", [], []),
        ("in a transaction", "create table t(id)", ["begin"], ["rollback", "select * from t order by id"]),
        ("virtual column", "create table t(id, g as (id + 1))", [], []),
    )
}

TRANSACTIONS = {
    "rolled back": [T, "begin", ALTER, ROWS, "rollback", ROWS, READ],
    "committed": [T, "begin", ALTER, ROWS, "commit", READ],
    "savepoint undone": [T, "savepoint a", ALTER, "rollback to a", ROWS, "release a", READ],
    "savepoint kept": [T, "savepoint a", ALTER, "release a", ROWS, READ],
    "one of two undone": [
        T,
        "begin",
        "alter table t alter column id to id text",
        "savepoint a",
        ALTER,
        "rollback to a",
        "commit",
    ],
    "refusal within": [T, "begin", ROWS, "alter table t alter column v to v unique", ROWS, "commit", READ],
    "created within": ["begin", T, ALTER, "commit"],
    "altered and dropped": ["begin", T, ALTER, "drop table t", "rollback", "select 1"],
    "read only": [T, "begin readonly", ALTER, "commit"],
}

NEIGHBOURS = {
    "RENAME COLUMN after": [T, ALTER, "alter table t rename column v to w", ROWS, "select w from t"],
    "RENAME COLUMN before": [
        T,
        "alter table t rename column v to w",
        "alter table t alter column w to w int",
        ALTER,
    ],
    "RENAME COLUMN of a checked one": [
        T,
        "alter table t alter column v to v check(v > 0 and id > 0)",
        "alter table t rename column v to w",
        "alter table t rename column id to key",
    ],
    "RENAME TO": [T, ALTER, "alter table t rename to u", "alter table u alter column v to v text"],
    "DROP COLUMN": [T, ALTER, "alter table t drop column v", "alter table t alter column v to v"],
    "DROP of another COLUMN": [T, ROWS, ALTER, "alter table t drop column id", "select * from t"],
    "ADD COLUMN": [
        T,
        ROWS,
        ALTER,
        "alter table t add column w default 4",
        "alter table t alter column w to w int default 4",
    ],
    "ADD COLUMN in front of a comment": [
        "create table t(id, v -- last\n)",
        ALTER,
        "alter table t add column w",
        "alter table t alter column w to w text",
    ],
    "VACUUM": [T, ROWS, ALTER, "vacuum", READ],
    "REINDEX": [T, "create index j on t(v)", ROWS, "alter table t alter column v to v collate nocase", "reindex"],
    "CREATE INDEX": [T, ALTER, "create index j on t(v)", ROWS, "select id from t where v = '2'"],
    "SET NOT NULL": [T, "alter table t alter column v set not null"],
    "DROP NOT NULL": ["create table t(id, v not null)", "alter table t alter column v drop not null"],
    "SET DEFAULT": [T, "alter table t alter column v set default 5"],
    "ADD CHECK": [T, "alter table t add check(v > 0)"],
    "ADD CONSTRAINT": [T, "alter table t add constraint c check(v > 0)"],
    "DROP CONSTRAINT": ["create table t(id, v constraint c check(v > 0))", "alter table t drop constraint c"],
    "TYPE": [T, "alter table t alter column v type int"],
}

CASES = {
    f"{group}: {name}": steps
    for group, cases in {
        "key": KEYS,
        "generated": GENERATED,
        "table": TABLES,
        "around": AROUND,
        "stale": STALE,
        "older rows": OLDER,
        "transaction": TRANSACTIONS,
        "neighbour": NEIGHBOURS,
    }.items()
    for name, steps in cases.items()
}
