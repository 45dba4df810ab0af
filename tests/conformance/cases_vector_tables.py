"""Vectors in tables: column types, defaults, generated columns, constraints, views, aggregates, ordering."""

from typing import Any

TYPES = {
    "f32_blob": "vector32",
    "FLOAT32": "vector32",
    "F64_BLOB": "vector64",
    "Float64": "vector64",
    "F1BIT_BLOB": "vector1bit",
    "FLOAT1BIT": "vector1bit",
    "F8_BLOB": "vector8",
    "FLOAT8": "vector8",
    "F16_BLOB": "vector16",
    "FLOAT16": "vector16",
    "FB16_BLOB": "vectorb16",
    "FLOATB16": "vectorb16",
}
SHOW = "select id, typeof(v), v from t order by id"

COLUMNS: dict[str, list[Any]] = {
    f"column: {name}": [
        f"create table t(id integer primary key, v {name}(4))",
        "pragma table_info(t)",
        f"insert into t values (1, {function}('[1,2,3,4]')), (2, '[1,2,3,4]'), (3, null), (4, 12), (5, 1.5), (6, '12')",
        f"insert into t values (7, {function}('[1]')), (8, vector64('[1,2]')), (9, 'text'), (10, x'00'), (11, ' 7 ')",
        SHOW,
        "select id, vector_extract(v) from t where typeof(v) = 'blob' and id < 9 or id = 2 order by id",
        f"select vector_distance_cos(v, {function}('[4,3,2,1]')) from t where id = 1",
        "select vector_extract(v) from t where id = 4",
        "update t set v = 5 where id = 1",
        SHOW,
        "select id from t where v = 12 order by id",
    ]
    for name, function in TYPES.items()
}

DECLARED: dict[str, list[Any]] = {
    f"declared: {name}": [
        f"create table t(id integer primary key, v {name})",
        "select type, name from pragma_table_info('t') where name = 'v'",
        "insert into t values (1, '12'), (2, 12), (3, vector('[1,2,3]')), (4, '[1,2,3]')",
        SHOW,
    ]
    for name in (
        "F32_BLOB",
        "F32_BLOB(0)",
        "F32_BLOB(65537)",
        "F32_BLOB(-1)",
        "F32_BLOB(3,4)",
        "F32_BLOB ( 3 )",
        "F32_BLOB(3.5)",
        "F32_BLOB(x)",
        "F32_BLOB()",
        "FLOAT32",
        "FLOAT(3)",
        "VECTOR(3)",
        "VECTOR",
        "INT8(3)",
        "BFLOAT16(3)",
        "F16_BLOB(3) NOT NULL",
        "FB16_BLOB(3) UNIQUE",
        '"F32_BLOB(3)"',
    )
}

STRICT = {
    f"strict: {name}": [f"create table t(id integer primary key, v {name}(3)) strict"]
    for name in ("F32_BLOB", "FLOAT64", "f1bit_blob", "vector", "BLOB")
}

DEFINED: dict[str, list[Any]] = {
    f"defined: {name}": [f"create table t(id integer primary key, {columns})", *steps]
    for name, columns, steps in (
        (
            "default of a function",
            "v f32_blob(3) default (vector('[1,2,3]'))",
            ["insert into t(id) values (1)", "insert into t values (2, vector('[4,5,6]'))", SHOW],
        ),
        ("default text", "v f32_blob(3) default '[1,2,3]'", ["insert into t(id) values (1)", SHOW]),
        ("default blob", "v f32_blob(1) default x'0000803F'", ["insert into t(id) values (1)", SHOW]),
        ("default that fails", "v f32_blob(1) default (vector('x'))", ["insert into t(id) values (1)", SHOW]),
        (
            "generated and stored",
            "x text, v f32_blob(2) as (vector(x)) stored",
            [
                "insert into t(id, x) values (1, '[1,2]')",
                "insert into t(id, x) values (2, 'bad')",
                "insert into t(id, x) values (3, null)",
                "update t set x = '[3,4]'",
                "select id, x, v from t",
            ],
        ),
        (
            "generated and virtual",
            "x text, v f32_blob(2) as (vector(x))",
            ["insert into t(id, x) values (1, '[1,2]')", "insert into t(id, x) values (2, 'bad')", "select v from t"],
        ),
        (
            "generated distance",
            "a f32_blob(2), b f32_blob(2), d real as (vector_distance_cos(a, b)) stored",
            ["insert into t(id, a, b) values (1, vector('[1,2]'), vector('[2,1]'))", "select d as distance from t"],
        ),
        (
            "check of the form",
            "v f32_blob(2) check(length(vector(v)) = 8)",
            [
                "insert into t values (1, '[1,2]')",
                "insert into t values (2, vector('[1,2]'))",
                "insert into t values (3, '[1]')",
                "insert into t values (4, 'bad')",
                "insert into t values (5, null)",
                SHOW,
            ],
        ),
        (
            "check of a distance",
            "v f32_blob(2) check(vector_distance_l2(v, '[0,0]') < 2)",
            ["insert into t values (1, '[1,1]')", "insert into t values (2, '[2,2]')", SHOW],
        ),
        ("not null", "v f32_blob not null", ["insert into t values (1, null)", "insert into t values (1, x'')", SHOW]),
        (
            "unique",
            "v f32_blob(1) unique",
            [
                "insert into t values (1, vector('[1]'))",
                "insert into t values (2, vector('[1]'))",
                "insert into t values (3, vector64('[1]'))",
                "insert into t values (4, '[1]')",
                "insert or replace into t values (5, vector('[1]'))",
                SHOW,
            ],
        ),
        (
            "index over an expression",
            "v f32_blob(2)",
            [
                "create index j on t(vector_distance_l2(v, '[0,0]'))",
                "insert into t values (1, '[3,4]'), (2, '[1,0]')",
                "select id, vector_distance_l2(v, '[0,0]') from t order by vector_distance_l2(v, '[0,0]')",
                "insert into t values (3, null)",
                "create index k on t(length(vector(v)))",
                "select id from t indexed by k where length(vector(v)) = 8 order by id",
            ],
        ),
        (
            "index over the column",
            "v f32_blob(1)",
            [
                "create index j on t(v)",
                "insert into t values (1, vector('[2]')), (2, vector('[1]')), (3, '[1]')",
                "select id from t indexed by j where v > '' order by v",
                "select id from t where v = vector('[1]')",
            ],
        ),
        (
            "partial index",
            "v f32_blob(1)",
            [
                "create index j on t(id) where vector_distance_l2(v, '[0]') > 1",
                "insert into t values (1, vector('[2]')), (2, vector('[1]'))",
                "select id from t indexed by j where vector_distance_l2(v, '[0]') > 1",
            ],
        ),
        (
            "alter table",
            "v blob",
            [
                "insert into t values (1, vector('[1]'))",
                "alter table t alter column v to v f32_blob(1)",
                "alter table t add column w float64(2) default '[1,2]'",
                "alter table t rename column v to u",
                "select id, vector_extract(u), vector_extract(w), typeof(w) from t",
                "alter table t drop column w",
                "pragma table_info(t)",
            ],
        ),
    )
}

FILL = [
    "create table t(id integer primary key, g, v f32_blob(3))",
    "insert into t values (1, 'a', vector('[1,2,3]')), (2, 'b', vector('[2,3,4]')), (3, 'a', vector('[3,4,5]')), "
    "(4, 'b', vector('[4,5,6]'))",
]
NEAR = "vector_distance_l2(v, '[3,4,5]')"

QUERIES: dict[str, list[Any]] = {
    f"query: {name}": [*FILL, *steps]
    for name, steps in (
        ("nearest", [f"select id, {NEAR} from t order by {NEAR}, id limit 3"]),
        ("farthest", [f"select id, {NEAR} from t order by {NEAR} desc, id"]),
        ("limit and offset", [f"select id from t order by {NEAR}, id limit 2 offset 1"]),
        ("nearest of a parameter", [("select id from t order by vector_distance_cos(v, ?) limit 2", ["[1,2,3]"])]),
        ("within", [f"select id from t where {NEAR} < 1.8 order by id"]),
        ("nothing", [f"select id from t where {NEAR} < 0"]),
        ("alias", [f"select id, {NEAR} as d from t where d > 1 order by d, id"]),
        ("filter", [f"select id from t where g = 'b' order by {NEAR} limit 1"]),
        ("between rows", ["select a.id, b.id, vector_distance_cos(a.v, b.v) from t a, t b where a.id < b.id"]),
        ("a row that is null", ["insert into t values (5, 'c', null)", f"select id from t order by {NEAR}"]),
        ("a row that is null, left out", ["insert into t(id) values (5)", f"select {NEAR} from t where v is not null"]),
        ("a row of another length", ["insert into t values (5, 'c', vector('[1]'))", f"select {NEAR} from t"]),
        ("a row of another type", ["insert into t values (5, 'c', vector64('[1,2,3]'))", f"select {NEAR} from t"]),
        ("a row of text", ["insert into t values (5, 'c', '[3,4,6]')", f"select {NEAR} from t"]),
        ("a number", ["insert into t values (5, 'c', 7)", f"select {NEAR} from t"]),
        ("query of another length", ["select vector_distance_cos(v, '[1]') from t"]),
        ("query of another type", ["select vector_distance_cos(v, vector64('[1,2,3]')) from t"]),
        ("query that is null", ["select vector_distance_cos(v, null) from t"]),
        ("query that is broken", ["select vector_distance_cos(v, '[1,2,x]') from t"]),
        ("broken query, no rows", ["delete from t", "select vector_distance_cos(v, '[1,2,x]') from t"]),
        (
            "query that changes by row",
            [
                "create table q(x)",
                "insert into q values ('[1,2,3]'), ('[4,5,6]'), (vector('[2,3,4]'))",
                "select q.rowid, t.id, vector_distance_l2(v, x) from q, t order by 1, 2",
                "select q.rowid, (select min(vector_distance_l2(v, x)) from t where id <> q.rowid) from q",
            ],
        ),
        (
            "the same statement with other parameters",
            [("select id from t order by vector_distance_l2(v, ?), id limit 1", [q]) for q in ("[1,2,3]", "[9,9,9]")]
            + [("select vector_distance_l2(v, ?) from t", [q]) for q in ("[1]", "[1,2,3]", "x", None)],
        ),
        ("count", [f"select count(v), count({NEAR}), count(distinct v) from t"]),
        ("distinct", ["insert into t select id + 10, g, v from t", "select count(distinct v), count(v) from t"]),
        ("min and max", ["select min(v) = vector('[1,2,3]'), vector_extract(max(v)) from t"]),
        ("min and max of a distance", [f"select min({NEAR}), max({NEAR}), avg({NEAR}), sum({NEAR}) from t"]),
        ("sum of vectors", ["select sum(v), total(v), avg(v), typeof(sum(v)) from t"]),
        ("group_concat", ["select group_concat(vector_extract(v)), length(group_concat(v, '')) from t"]),
        ("json_group_array", ["select json_group_array(json(vector_extract(v))) from t"]),
        ("json_group_array of blobs", ["select json_group_array(v) from t"]),
        ("group by", [f"select g, min({NEAR}) as distance from t group by g order by g"]),
        ("having", [f"select g from t group by g having max({NEAR}) > 3"]),
        ("group by the vector", ["select vector_extract(v), count(*) from t group by v order by v"]),
        ("window", [f"select id, rank() over (order by {NEAR}) from t order by id"]),
        ("window of vectors", ["select id, vector_extract(lag(v) over (order by id)) from t"]),
        ("union", ["select v from t union select v from t order by 1"]),
        ("in", ["select id from t where v in (vector('[1,2,3]'), vector('[9,9,9]'))"]),
        ("case", [f"select id, case when {NEAR} < 1 then 'near' else 'far' end from t"]),
        ("with", [f"with n as (select id, {NEAR} d from t) select id, d as distance from n where d > 0 order by id"]),
        ("cast", ["select typeof(cast(v as text)), cast(v as integer), cast(v as f32_blob) = v from t where id = 1"]),
        ("update", ["update t set v = vector('[9,9,9]') where id = 1", "select vector_extract(v) from t"]),
        ("update from itself", ["update t set v = vector64(v)", "select hex(v) from t where id = 1"]),
        ("returning", ["insert into t values (9, 'z', vector('[7,7,7]')) returning vector_extract(v)"]),
        ("delete", [f"delete from t where {NEAR} > 2", "select id from t"]),
        (
            "view",
            [
                f"create view w as select id, vector_extract(v) as x, {NEAR} as distance from t",
                "select id, x, distance from w order by id",
                "pragma table_info(w)",
                "pragma trusted_schema = off",
                "select id, x from w order by id",
            ],
        ),
        (
            "trigger",
            [
                "create table log(d)",
                "create trigger g after insert on t begin "
                "insert into log values (vector_distance_l2(new.v, '[3,4,5]')); end",
                "insert into t values (5, 'c', vector('[0,0,0]'))",
                "insert into t values (6, 'c', 'bad')",
                "select d as distance from log",
                "select count(*) from t",
            ],
        ),
        (
            "upsert",
            [
                "insert into t values (1, 'x', vector('[0,0,0]')) on conflict(id) do update set v = excluded.v",
                "select vector_extract(v) from t where id = 1",
            ],
        ),
        (
            "without rowid",
            [
                "create table k(v f32_blob(1) primary key, x) without rowid",
                "insert into k values (vector('[1]'), 1), (vector('[2]'), 2)",
                "insert into k values (vector('[1]'), 3)",
                "select vector_extract(v), x from k order by v",
            ],
        ),
        ("create table as", ["create table c as select id, v from t", "pragma table_info(c)", "select * from c"]),
        ("vacuum", ["vacuum", "select id, v from t"]),
        ("in a subquery", [f"select count(*) > 0 from (select {NEAR} from t)"]),
    )
}

CASES = {**COLUMNS, **DECLARED, **STRICT, **DEFINED, **QUERIES}
