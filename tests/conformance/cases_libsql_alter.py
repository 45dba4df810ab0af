"""ALTER TABLE ... ALTER COLUMN ... TO: what it accepts, what it stores, what it refuses."""

from collections.abc import Sequence
from typing import Any

T = "create table t(id, v)"


def to(change: str, *then: str, table: str = T, first: Sequence[str] = ()) -> list[str]:
    """Alter a column of a table with two rows, then write and read it."""
    return [
        table,
        *first,
        "insert into t(id, v) values (1, '2'), (3, null)",
        f"alter table t alter column {change}",
        *then,
        "insert into t(id, v) values (5, '6')",
        "insert into t(id) values (7)",
        "select id, v, typeof(v) from t order by id",
    ]


def info(change: str, table: str = T) -> list[str]:
    """Alter a column and show how the table is understood."""
    return to(change, "pragma table_xinfo(t)", table=table)


FORMS: dict[str, list[Any]] = {
    "type": info("v to v int"),
    "no type": info("v to v", "create table t(id, v int not null default 5 check(v > 0) collate nocase)"),
    "first column": info("id to id text"),
    "keywords in capitals": [T, "ALTER TABLE t ALTER COLUMN v TO v INT"],
    "name in capitals": [T, "alter table T alter column V to V int", "select V from t"],
    "name in other case": [T, "alter table t alter column v to V int"],
    "schema named": [T, "alter table main.t alter column v to v int"],
    "table quoted": ['create table "a b"(v)', 'alter table "a b" alter column v to v int'],
    "double quotes": info('"v" to "v" int'),
    "brackets": info("[v] to [v] int"),
    "back quotes": info("`v` to `v` int"),
    "single quotes": info("'v' to 'v' int"),
    "quotes in the table": info("v to v int", 'create table t(id, "v")'),
    "quotes in the new definition": info('v to "v" int'),
    "quotes in the old name": info('"v" to v int'),
    "two kinds of quotes": info('[v] to "v" int'),
    "name with blanks": ['create table t("a b", c)', 'alter table t alter column "a b" to "a b" int'],
    "name with quotes": ['create table t("a""b", c)', 'alter table t alter column "a""b" to "a""b" int'],
    "name not ASCII": ["create table t(größe, c)", "alter table t alter column größe to größe int"],
    "name that is a keyword": ['create table t("select", c)', 'alter table t alter column "select" to "select" int'],
    "name that may be a keyword": ["create table t(key, c)", "alter table t alter column key to key int"],
    "names of columns that start alike": ["create table t(ab, a, abc)", "alter table t alter column a to a int"],
    "without COLUMN": [T, "alter table t alter v to v int"],
    "blanks and comments between": [T, "alter /* a */ table\n t -- b\n alter\tcolumn v /* c */ to v int"],
    "semicolon": [T, "alter table t alter column v to v int;"],
    "semicolon and blanks": [T, "alter table t alter column v to v int ;  \n "],
    "semicolon and comment": [T, "alter table t alter column v to v int; -- done"],
    "comment at the end": [T, "alter table t alter column v to v int -- done"],
    "long comment at the end": [T, "alter table t alter column v to v int /* done */"],
    "long comment not closed": [T, "alter table t alter column v to v int /* done"],
    "script": [
        (f"{T}; alter table t alter column v to v int; insert into t values (1, '2');", None),
        "select typeof(v) from t",
    ],
    "two in a script": [
        (f"{T}; alter table t alter column v to v int; alter table t alter column id to id text", None),
    ],
    "explained": [T, "explain alter table t alter column nope to nope int"],
    "plan explained": [T, "explain query plan alter table t alter column nope to nope"],
}

TEXT = {
    "comments around": [
        "create table t ( id  /* c1 */ ,  v  -- c2\n , w )",
        "alter table t alter column v to v   INT  /* new */  DEFAULT   5",
    ],
    "comment behind a name": ["create table k(a/*x*/,b--y\n)", "alter table k alter column a to a int"],
    "comment behind the last column": ["create table k(a, b -- y\n)", "alter table k alter column b to b int"],
    "comment with a comma": ["create table k(a, b /* has , comma */ int)", "alter table k alter column b to b text"],
    "comment with a parenthesis": ["create table k(a /* ) */ int, b)", "alter table k alter column a to a text"],
    "comment in front": ["create table k(/* a */ a, b)", "alter table k alter column a to a text"],
    "comment in the new definition": [T, "alter table t alter column id to id /* , ) */ int"],
    "comma in the old default": ["create table t(id default ',', v)", "alter table t alter column id to id int"],
    "parenthesis in the old default": ["create table t(id default ')', v)", "alter table t alter column id to id int"],
    "comma in the new default": [
        T,
        "alter table t alter column id to id int default ','",
        "insert into t(v) values (1)",
    ],
    "commas in the old check": [
        "create table t(id check(id in (1, 2, 3)), v)",
        "alter table t alter column id to id int",
    ],
    "commas in the old type": ["create table t(id decimal(10,2), v)", "alter table t alter column id to id int"],
    "parentheses in the new default": [T, "alter table t alter column id to id default (')')"],
    "quotes within quotes": [T, "alter table t alter column id to id check(id <> 'it''s ,)' and id <> '(')"],
    "parenthesis in the old type": ['create table t(id "x)", v [y,z])', "alter table t alter column v to v int"],
    "parenthesis in the new type": [T, "alter table t alter column id to id [x),] not null"],
    "comment in front of the columns": [
        "create table t /* x(y, */ (id, v)",
        "alter table t alter column id to id int",
    ],
    "constraints without commas": [
        "create table t(id, v, check(id > 0) check(v > 0))",
        "alter table t alter column v to v text",
    ],
    "constraint with a name alone": [T, "alter table t alter column v to v int constraint x"],
    "type behind the old name": [T, "alter table t alter column v varchar(3) to v text"],
    "created from a query": ["create table t as select 1 a, 2 b", "alter table t alter column a to a text"],
    "line breaks": ["create table t(\n  id,\n  v\n)", "alter table t alter column v to v\n  int\n  not null"],
    "table constraints stay": [
        "create table t(id, v, primary key(id), unique(v), check(id > 0))",
        "alter table t alter column v to v text",
    ],
    "last column before the constraints": [
        "create table t(id, v check(v > 0), check(id > 0))",
        "alter table t alter column v to v text",
    ],
    "many columns": [
        f"create table t({', '.join(f'c{i} int' for i in range(100))})",
        "alter table t alter column c0 to c0 text",
        "alter table t alter column c57 to c57 text",
        "alter table t alter column c99 to c99 text",
    ],
    "twice": [*to("v to v int", "alter table t alter column v to v text")],
    "same again": [T, "alter table t alter column v to v", "alter table t alter column v to v"],
}

TYPES = {
    name: info(f"v to v {name}")
    for name in (
        "varchar(10)",
        "decimal(10,2)",
        "num(-1, +2)",
        "double precision",
        "unsigned big int",
        '"my type"',
        "blob",
        "any",
        "real",
    )
}

CONSTRAINTS = {
    "NOT NULL": to("v to v not null", "update t set v = null where id = 1"),
    "NOT NULL dropped": to("v to v", table="create table t(id, v default 5 not null)"),
    "NOT NULL ON CONFLICT": to("v to v not null on conflict replace default 9", "update t set v = null"),
    "NULL": to("v to v null"),
    "DEFAULT of a number": to("v to v default 5"),
    "DEFAULT of a negative number": to("v to v int default -5"),
    "DEFAULT with a plus sign": to("v to v int default +5"),
    "DEFAULT of a string": to("v to v default 'it''s'"),
    "DEFAULT of a blob": to("v to v default x'00ff'"),
    "DEFAULT of a word": to("v to v default yes"),
    "DEFAULT NULL": to("v to v default null"),
    "DEFAULT of an expression": to("v to v default (1 + 2 * 3)"),
    "DEFAULT of a function": to("v to v default (abs(-4))"),
    "DEFAULT of a function with two arguments": to("v to v default (max(1, 2))"),
    "DEFAULT of a column": to("v to v default (id)"),
    "DEFAULT CURRENT_DATE": [T, "alter table t alter column v to v default current_date"],
    "DEFAULT dropped": to("v to v", table="create table t(id, v default 5)"),
    "DEFAULT of rows that are older than their column": [
        "create table t(id)",
        "insert into t values (1)",
        "alter table t add column v default 5",
        "alter table t alter column v to v default 9",
        "select * from t",
        "alter table t alter column v to v",
        "select * from t",
    ],
    "CHECK": to("v to v check(v <> '6')"),
    "CHECK of two columns": to("v to v check(v <> id)", "update t set id = '2' where id = 1"),
    "CHECK with commas": to("v to v check(v in (1, 2, 3))"),
    "CHECK on the first column": to("id to id check(id in (1, 3, 5))"),
    "CHECK of an unknown column": to("v to v check(nosuch > 1)"),
    "CHECK of an unknown function": to("v to v check(nosuch(v))"),
    "CHECK with a subquery": to("v to v check(v in (select 1))"),
    "CHECK with a parameter": to("v to v check(v > ?)"),
    "CHECK dropped": to("v to v", table="create table t(id, v check(v <> '6'))"),
    "COLLATE": to("v to v collate nocase", "select count(*) from t where v = 'A'"),
    "COLLATE unknown": to("v to v collate nosuch", "select v from t order by v"),
    "COLLATE of an indexed column": [
        T,
        "create index j on t(v)",
        "insert into t values (1, 'a'), (2, 'B'), (3, 'c')",
        "alter table t alter column v to v collate nocase",
        "select id from t where v > 'A' order by v",
        "select id from t where v = 'b'",
    ],
    "type of an indexed column": [
        T,
        "create index j on t(v)",
        "insert into t values (1, '10'), (2, '9')",
        "alter table t alter column v to v int",
        "select id from t where v = 9",
        "select id from t where v > 8 order by v",
    ],
    "REFERENCES": to("v to v references p(a)", "pragma foreign_key_list(t)"),
    "REFERENCES with actions": to(
        "v to v references p(a) on delete set null on update cascade deferrable initially deferred",
        "pragma foreign_key_list(t)",
    ),
    "REFERENCES dropped": to("v to v", "pragma foreign_key_list(t)", table="create table t(id, v references p)"),
    "REFERENCES changed": to(
        "v to v references q", "pragma foreign_key_list(t)", table="create table t(id, v references p)"
    ),
    "REFERENCES beside FOREIGN KEY": to(
        "v to v references q", "pragma foreign_key_list(t)", table="create table t(id, v, foreign key(v) references p)"
    ),
    "named constraints": to("v to v constraint one not null constraint two default 3"),
    "NOT NULL and DEFAULT twice": to("v to v not null default 1 not null default 2"),
    "all together": info("v to v int constraint a not null default (4) check(v <> 1) collate nocase references p(a)"),
}

REFUSED = {
    change: [T, f"alter table {change}", "select * from t"]
    for change in (
        "t alter column id to id2",
        "t alter column id to v",
        "t alter column id to id primary key",
        "t alter column id to id integer primary key",
        "t alter column id to id unique",
        "t alter column id to id as (v)",
        "t alter column id to id generated always as (v) stored",
        "t alter column nope to nope int",
        't alter column "nope" to "nope" int',
        "t alter column rowid to rowid int",
        "nope alter column v to v int",
        "temp.nope alter column v to v int",
        "nope.t alter column v to v int",
        "sqlite_schema alter column sql to sql int",
        "sqlite_master alter column sql to sql int",
        "sqlite_temp_schema alter column sql to sql int",
        "t alter column v to 1",
        "t alter column v to",
        "t alter column v",
        "t alter column v int",
        "t alter column v to int to v",
        "t alter column v to v references p text",
        "t alter column v to v int, w",
        "t alter column v to v int, unique(v)",
        "t alter column v to v int)",
        "t alter column v to v (int",
        "t alter column v to v check",
        "t alter column v to v check(v",
        "t alter column v to v default",
        "t alter column v to v not",
        "t alter column v to v collate",
        "t alter column v to v unique unique foo(",
        "t alter column t.v to v int",
        "t alter columns v to v int",
        "t alter column to v int",
        "t alter column v to v int default 'x",
        "t alter column v to v #",
        "t alter column v to to int",
        "t alter column v to v int check(v > 0) foreign key(v) references p",
        "t alter column v to v int primary key autoincrement",
        "t alter column v to v int autoincrement",
        "t alter column v to v as (v) stored default 5",
        't alter column "" to "" int',
    )
}

GROUPS: dict[str, Any] = {
    "form": FORMS,
    "text": TEXT,
    "type": TYPES,
    "constraint": CONSTRAINTS,
    "refused": REFUSED,
}
CASES = {f"{group}: {name}": steps for group, cases in GROUPS.items() for name, steps in cases.items()}
