"""CREATE INDEX ... (libsql_vector_idx(column)): what is refused and how, what it makes, what later statements do to it.

libSQL leaves tables behind where CREATE INDEX failed, hence CLEAN.
"""

from typing import Any

TABLE = "create table t(id integer primary key, v f32_blob(3), w text)"
CLEAN = ["drop table if exists t", "drop table if exists libsql_vector_meta_shadow"]
SCHEMA = "select type, name, tbl_name, sql from sqlite_schema"
META = "select name, typeof(metadata) from libsql_vector_meta_shadow"
KEYS = "select index_key, typeof(index_key) from i_shadow order by 1"

TERMS = [
    "libsql_vector_idx(v), w",
    "w, libsql_vector_idx(v)",
    "w, LIBSQL_vector_idx(v), id",
    "libsql_vector_idx(v), libsql_vector_idx(v)",
    "libsql_vector_idx(v), abs(w)",
    "libsql_vector_idx(v) collate nocase",
    "libsql_vector_idx(v) collate binary desc",
    "libsql_vector_idx(v) nulls last",
    "libsql_vector_idx(v) desc nulls first",
    "libsql_vector_idx(v || x'')",
    "libsql_vector_idx('v')",
    "libsql_vector_idx(+v)",
    "libsql_vector_idx(null)",
    "libsql_vector_idx(t.v)",
    "libsql_vector_idx(v collate nocase)",
    "libsql_vector_idx(vector('[1]'))",
    "libsql_vector_idx(id)",
    "libsql_vector_idx(rowid)",
    "libsql_vector_idx(nothing)",
    "libsql_vector_idx(w)",
    "libsql_vector_idx(?)",
    "libsql_vector_idx(v, v)",
    "libsql_vector_idx(v, w)",
    "libsql_vector_idx(v, 5)",
    "libsql_vector_idx(v, null)",
    "libsql_vector_idx(v, x'00')",
    "libsql_vector_idx(v, ?)",
    "libsql_vector_idx(v, 'metric=l2' || '')",
    "libsql_vector_idx(v, 'metric=l2' collate nocase)",
    'libsql_vector_idx(v, "w")',
    "libsql_vector_idx(v, *)",
]
PARAMETERS = [
    *("", "=", "metric", "metric=dot", "metric=cosine2", " metric=l2", "metric = l2", "type=hnsw", "foo=1"),
    *("compress_neighbors=float64", "compress_neighbors=int8", "max_neighbors=0", "max_neighbors=-1", "max_neighbors="),
    *("max_neighbors=abc", "max_neighbors= 5", "max_neighbors=2147483647", "max_neighbors=2147483648", "search_l=0"),
    *("search_l=-0", "search_l=99999999999999999999", "insert_l=0", "insert_l=-7", "alpha=", "alpha=x", "alpha=1.5x"),
    *("alpha=0x10", "alpha=1=2", "alpha=nan"),
]
ACCEPTED = [
    *("metric=", "metric=l", "METRIC=L2", "Metric=Cos", "type=", "type=disk", "type=DiskANN"),
    *("compress_neighbors=float", "compress_neighbors=", "compress_neighbors=FloatB", "compress_neighbors=float32"),
    *("max_neighbors=10abc", "max_neighbors=1.5", "max_neighbors=0x10", "max_neighbors=+5", "max_neighbors=00005"),
    *("alpha=1.5", "alpha= 1.5 ", "alpha=0", "alpha=-1", "alpha=1e400", "search_l=5", "insert_l=7"),
]
TYPES = [
    *("BLOB", "VECTOR(3)", "FLOAT(3)", "F32_BLOB", "INT8(3)", "BFLOAT16(3)", "", "text", '"F32_BLOBX(3)"'),
    *(
        "F32_BLOB(-1)",
        "F32_BLOB(+3)",
        "F32_BLOB(3,4)",
        "F32_BLOB(3.5)",
        '"F32_BLOB(x"',
        '"F32_BLOB(3x"',
        '"XF32_BLOB(3)"',
    ),
    *('"F32_BLOB(0x3)"', '"F32_BLOB((3))"', '"F32_BLOB(3;)"', '"F32_BLOB(65537x)"', '"F32_BLOB(65537"'),
    *("F32_BLOB(0)", "FLOAT64(00)", '"F32_BLOB()"', '"F32_BLOB( )"', '"F32_BLOB(0"', '"F32_BLOB(0) x"'),
    *("F32_BLOB(65537)", "F8_BLOB(99999999999999999999)", "FLOAT1BIT(4294967297)", '"F32_BLOB x(3)"', '"F32_BLOB "'),
    *('"F32_BLOB("', '"F32_BLOB( "', '"F32_BLOB(3"', '"F32_BLOB(3 x"', '"F32_BLOB(3 4)"', '"F32_BLOB (3"'),
    *('"F32_BLOB(3))"', '"F32_BLOB(3) NOT"'),
    *("f32_blob ( 3 )", '"  F32_BLOB(3)"', '"F32_BLOB(3)\t "', '"F32_BLOB(0003)"', "F32_BLOB(65536)", "Float16(3)"),
]
NAMES = ['"my idx"', '"my-idx"', '"1idx"', '"i.x"', '"a;b"', '"[a]"', '"$x"', '"a\'b"', '"x""y"', "[a b]"]
GOOD_NAMES = ['"select"', '"idxÉ"', '"_x"', '"x$y"', '""', '"É"', "[Mixed]", "i_shadow"]
KEYED = {
    "text": ("a text primary key", "'b', 'a', 'B'"),
    "text nocase": ("a text collate nocase primary key", "'b', 'a', 'c'"),
    "rtrim in the key": ("a text, primary key(a collate rtrim)", "'b', 'a', 'c '"),
    "integer": ("a integer primary key", "7, -9223372036854775808, 9223372036854775807"),
    "int desc": ("a int, primary key(a desc)", "7, -1, 0"),
    "int nocase": ("a int collate nocase primary key", "7, -1, 'x'"),
    "real": ("a real primary key", "1.5, -1, 2e300"),
    "blob": ("a blob primary key", "x'00', x'', '7'"),
    "numeric": ("a numeric primary key", "1, '2', 'x'"),
    "no type": ("a primary key", "1, '2', x'33'"),
    "a, a": ("a text, primary key(a, a)", "'b', 'a', 'B'"),
    "binary": ("a text collate binary primary key", "'b', 'a', 'B'"),
}


def rows(keys: str) -> str:
    values = ", ".join(f"({key}, vector('[{n},1,2]'))" for n, key in enumerate(keys.split(", ")))
    return f"insert into t(a, v) values {values}"


REFUSED: dict[str, list[Any]] = {
    **{f"refused: {term}": [TABLE, f"create index i on t({term})", *CLEAN] for term in TERMS},
    **{
        f"refused: {parameter!r}": [TABLE, f"create index i on t(libsql_vector_idx(v, '{parameter}'))", *CLEAN]
        for parameter in PARAMETERS
    },
    **{
        f"type: {name}": [
            f"create table t(id integer primary key, v {name})",
            "create index i on t(libsql_vector_idx(v, 'max_neighbors=2'))",
            "drop index if exists i",
            *CLEAN,
        ]
        for name in TYPES
    },
    **{f"name: {name}": [TABLE, f"create index {name} on t(libsql_vector_idx(v))", *CLEAN] for name in NAMES},
    "refused: one bit and l2": [
        TABLE,
        "create index i on t(libsql_vector_idx(v, 'compress_neighbors=float1bit', 'metric=l2'))",
        "create index j on t(libsql_vector_idx(v, 'metric=l2', 'compress_neighbors=float1bit'))",
        "create index k on t(libsql_vector_idx(v, 'compress_neighbors=float1bit', 'metric=l2', 'metric=cos'))",
        *CLEAN,
    ],
    "refused: USING": [
        TABLE,
        "create index i using diskann on t(v)",
        "create index main.i using x on t(v)",
        "create index if not exists i using x on t(v desc) where id > 5",
        "create unique index i using x on t(v)",
        'create index "a b" using x on "t"("v")',
        "create index i using x on t(v, w)",
        "create index i using x, 'y', z on t(v)",
        "create index i using x y on t(v)",
        "create index i on t(v) using x",
        "create index i using x on nothing(v)",
        "select * from t a join t b using x on a.id = b.id",
    ],
    "refused: where it stands": [
        TABLE,
        "create view vw as select * from t",
        "create index i on vw(libsql_vector_idx(v))",
        "create virtual table f using fts5(v)",
        "create index i on f(libsql_vector_idx(v))",
        "create index temp.i on t(libsql_vector_idx(v))",
        "create index nothing.i on t(libsql_vector_idx(v))",
        "create index i on nothing(libsql_vector_idx(v))",
        "create table k(a, b, v f32_blob(3), primary key(a, b)) without rowid",
        "create index i on k(libsql_vector_idx(v))",
        "create table u(a, unique(libsql_vector_idx(a)))",
        "create table s(v f32_blob(3)) strict",
        "drop table f",
        "drop table if exists libsql_vector_meta_shadow",
    ],
    "refused: names that are taken": [
        TABLE,
        "create table i_shadow(a)",
        "create index i on t(libsql_vector_idx(v))",
        "create index i_shadow on t(libsql_vector_idx(v))",
        "drop table i_shadow",
        "create table i_shadow_idx(a)",
        "create index i on t(libsql_vector_idx(v))",
        "drop table if exists i_shadow",
        "drop table i_shadow_idx",
        "create view i_shadow as select 1",
        "create index i on t(libsql_vector_idx(v))",
        "drop view i_shadow",
        "create index i_shadow on t(w)",
        "create index i on t(libsql_vector_idx(v))",
        "drop index i_shadow",
        "create table if not exists libsql_vector_meta_shadow(a)",
        "drop table libsql_vector_meta_shadow",
        "create table libsql_vector_meta_shadow(a)",
        "create index i on t(libsql_vector_idx(v))",
        "drop table if exists i_shadow",
        *CLEAN,
    ],
}

MADE: dict[str, list[Any]] = {
    **{
        f"parameter: {parameter!r}": [
            "create table t(id integer primary key, v f32_blob(300))",
            f"create index i on t(libsql_vector_idx(v, 'compress_neighbors=float16', '{parameter}'))",
            "insert into t values (1, vector(replace(hex(zeroblob(150)), '00', '')) ), (1, x'')",
            META,
            SCHEMA,
        ]
        for parameter in ACCEPTED
    },
    **{
        f"good name: {name}": [
            TABLE,
            f"create index {name} on t(libsql_vector_idx(v))",
            SCHEMA,
            META,
            f"drop index {name}",
            SCHEMA,
            META,
        ]
        for name in GOOD_NAMES
    },
    **{
        f"key: {name}": [
            f"create table t({columns.replace(',', ', v f32_blob(3),', 1)}) without rowid"
            if "," in columns
            else f"create table t({columns}, v f32_blob(3)) without rowid",
            "create index i on t(libsql_vector_idx(v))",
            rows(keys),
            KEYS,
            SCHEMA,
            "delete from t where a in (select max(a) from t)",
            KEYS,
            "select id, typeof(id) from vector_top_k('i', '[0,1,2]', 9) order by id",
        ]
        for name, (columns, keys) in KEYED.items()
    },
    "terms in parentheses": [
        TABLE,
        "create index i on t((libsql_vector_idx((v))) desc)",
        "create index j on t(LIBSQL_Vector_idx(\"V\", ('metric=l2')) asc)",
        SCHEMA,
        "pragma index_list(t)",
        "select seqno, cid, name from pragma_index_xinfo('i')",
    ],
    "not a vector index": [
        TABLE,
        "create index a on t(abs(libsql_vector_idx(v)))",
        "create index b on t(libsql_vector_idx(v) || '')",
        "create index c on t(w) where libsql_vector_idx(v) is not null",
        SCHEMA,
    ],
}

BLOCKS: dict[str, list[Any]] = {
    f"block: {name}({n}) {edges}": [
        f"create table t(id integer primary key, v {name}({n}))",
        *[
            f"create index i{k} on t(libsql_vector_idx(v, 'compress_neighbors={edges}'{more}))"
            for k, more in enumerate(("", ", 'max_neighbors=5'", ", 'max_neighbors=700'"))
        ],
        (f"insert into t values (1, {function}(?))", [str([1] * n)]),
        *[f"select length(data), substr(hex(data), 1, 32) from i{k}_shadow" for k in range(3)],
    ]
    for name, function in (
        ("F32_BLOB", "vector32"),
        ("FLOAT64", "vector64"),
        ("FLOAT8", "vector8"),
        ("FLOAT1BIT", "vector1bit"),
    )
    for n in (1, 3, 100, 1025)
    for edges in ("float1bit", "float8", "floatb16", "float32")
}

LIFE: dict[str, list[Any]] = {
    "twice": [
        TABLE,
        "create index i on t(libsql_vector_idx(v))",
        "create index i on t(libsql_vector_idx(v, 'metric=l2'))",
        "create index I on t(libsql_vector_idx(v))",
        "create index if not exists i on t(libsql_vector_idx(v, 'metric=l2'))",
        "create table i(a)",
        "create table i_shadow(a)",
        "create index j on t(libsql_vector_idx(v))",
        "pragma index_list(t)",
        "pragma index_info(i)",
        SCHEMA,
        "drop index I",
        META,
        SCHEMA,
    ],
    "alter": [
        TABLE,
        "create index i on t(libsql_vector_idx(v))",
        "insert into t values (1, '[1,2,3]', 'a'), (2, '[3,2,1]', 'b')",
        "alter table t drop column v",
        "alter table t rename to u",
        "alter table u rename column v to vec",
        "alter table u add column more",
        "alter table u drop column w",
        SCHEMA,
        "insert into u values (3, '[1,2,3]', 'c')",
        "insert into u values (4, '[1,2]', 'c')",
        KEYS,
        "drop table u",
        SCHEMA,
    ],
    "rows": [
        TABLE,
        "create index i on t(libsql_vector_idx(v))",
        "insert into t values (1, vector('[1,2,3]'), 'a'), (2, '[1,2,4]', 'b'), (3, null, 'c')",
        KEYS,
        "insert into t values (4, vector('[1]'), 'd')",
        "insert into t values (4, vector64('[1,2,3]'), 'd')",
        "insert into t values (4, vector8('[1,2,3]'), 'd')",
        "insert into t values (4, 5, 'd')",
        "insert into t values (4, 1.5, 'd')",
        "insert into t values (4, '[1,2]', 'd')",
        "insert into t values (4, 'x', 'd')",
        "insert into t values (4, x'00', 'd')",
        "insert into t values (4, x'', 'd')",
        "insert or ignore into t values (5, '[5,5,5]', 'e'), (4, '[1]', 'd')",
        "insert or fail into t values (5, '[5,5,5]', 'e'), (4, '[1]', 'd')",
        "update t set v = '[1]' where id = 1",
        "update t set v = null where id = 1",
        "update t set v = '[7,7,7]' where id = 3",
        "update t set w = 'z'",
        KEYS,
        "update t set id = id + 10 where id > 1",
        KEYS,
        "insert or replace into t values (12, '[8,0,1]', 'f')",
        "insert into t values (13, null, 'x') on conflict(id) do update set v = '[9,9,9]', w = 'up'",
        "insert into t select id + 100, v, w from t",
        "select id, v, w from t where id > 100",
        KEYS,
        "select id from vector_top_k('i', '[8,0,1]', 2) order by id",
        "delete from t where id = 12",
        KEYS,
    ],
    "values of a REAL column": [
        "create table t(id integer primary key, v float32(3))",
        "create index i on t(libsql_vector_idx(v))",
        "insert into t values (1, '[1,2,3]')",
        "insert into t values (2, '12')",
        "insert into t values (2, 12)",
        KEYS,
    ],
    "text under other types": [
        "create table t(id integer primary key, v f64_blob(3), b f1bit_blob(3))",
        "create index i on t(libsql_vector_idx(v))",
        "create index j on t(libsql_vector_idx(b))",
        "insert into t values (1, '[1,2,3]', null)",
        "insert into t values (1, null, '[1,2,3]')",
        "insert into t values (1, vector64('[1,2,3]'), vector1bit('[1,2,3]'))",
        KEYS,
    ],
    "broken": [
        TABLE,
        "create index i on t(libsql_vector_idx(v))",
        "insert into t values (1, '[1,2,3]', 'a'), (2, '[1,2,4]', 'b')",
        "insert into i_shadow values (9, zeroblob(256))",
        "insert into t values (9, '[1,2,3]', 'a')",
        "delete from libsql_vector_meta_shadow",
        "insert into t values (11, '[1,2,3]', 'a')",
        "drop index i",
        SCHEMA,
    ],
    "transactions": [
        TABLE,
        "begin",
        "create index i on t(libsql_vector_idx(v))",
        "insert into t values (1, '[1,2,3]', 'a')",
        KEYS,
        "rollback",
        SCHEMA,
        "create index i on t(libsql_vector_idx(v))",
        "insert into t values (1, '[1,2,3]', 'a')",
        "begin",
        "insert into t values (2, '[1,2,4]', 'a')",
        "savepoint s",
        "delete from t where id = 1",
        "insert into t values (3, '[1,2,4]', 'a'), (4, '[1]', 'a')",
        "update t set v = '[3,3,3]'",
        KEYS,
        "rollback to s",
        KEYS,
        "insert into t values (4, '[1,2,4]', 'a'), (2, '[1,2,3]', 'a')",
        "commit",
        KEYS,
        "select id from vector_top_k('i', '[1,2,4]', 5)",
    ],
    "partial": [
        TABLE,
        "create index i on t(libsql_vector_idx(v)) where w = 'in'",
        "insert into t values (1, '[1,2,3]', 'in'), (2, 'junk', 'out'), (3, 7, null), (4, null, 'in')",
        "update t set w = 'in' where id = 2",
        "update t set w = 'in', v = '[3,2,1]' where id = 2",
        KEYS,
        "update t set w = 'out' where id = 1",
        KEYS,
        "insert into t values (5, '[1]', 'in')",
        SCHEMA,
    ],
    "triggers and foreign keys": [
        "pragma foreign_keys = on",
        "create table p(k integer primary key)",
        "create table t(id integer primary key, k references p on delete cascade, v f32_blob(3))",
        "create index i on t(libsql_vector_idx(v))",
        "create table log(id integer primary key, v f32_blob(3))",
        "create index l on log(libsql_vector_idx(v))",
        "create trigger g after delete on t begin insert into log values (old.id, old.v); end",
        "insert into p values (1), (2)",
        "insert into t values (1, 1, '[1,2,3]'), (2, 2, '[1,2,4]'), (3, 1, null)",
        "delete from p where k = 1",
        KEYS,
        "select index_key from l_shadow",
        "select id from vector_top_k('l', '[1,2,3]', 3)",
    ],
    "generated columns": [
        "create table t(id integer primary key, x text, v f32_blob(2) as (vector(x)), "
        "s f32_blob(2) as (vector(x)) stored)",
        "insert into t(id, x) values (1, '[1,2]')",
        "create index i on t(libsql_vector_idx(v))",
        "create index j on t(libsql_vector_idx(s))",
        "insert into t(id, x) values (2, '[2,1]')",
        "update t set x = '[3,3]' where id = 1",
        "insert into t(id, x) values (3, '[2]')",
        KEYS,
        "select id from vector_top_k('i', '[3,3]', 1)",
        "select id from vector_top_k('j', '[2,1]', 1)",
    ],
    "temp": [
        "create temp table t(v f32_blob(3), w)",
        "create index i on t(libsql_vector_idx(v))",
        "insert into t values ('[1,2,3]', 1), ('[3,2,1]', 2)",
        "select type, name, sql from temp.sqlite_schema",
        "select id from vector_top_k('temp.i', '[3,2,1]', 1)",
        "drop table t",
        "select type, name, sql from temp.sqlite_schema",
    ],
    "attached": [
        "attach ':memory:' as x",
        "create table x.t(id integer primary key, v f32_blob(3))",
        "create index x.i on t(libsql_vector_idx(v))",
        "insert into x.t values (1, '[1,2,3]')",
        "select type, name, sql from x.sqlite_schema",
        "select id from vector_top_k('x.i', '[3,2,1]', 1)",
        "drop index x.i",
        "select type, name, sql from x.sqlite_schema",
        SCHEMA,
    ],
    "planner": [
        TABLE,
        "create index i on t(libsql_vector_idx(v))",
        "insert into t values (1, vector('[1,2,3]'), 'a'), (2, null, 'b')",
        "select count(*) from t",
        "select id from t",
        "select id from t where libsql_vector_idx(v) = x'0000803F0000004000004040'",
        "select id from t order by libsql_vector_idx(v)",
        "select id from t indexed by i",
        "select id from t where v in (select v from t)",
        "pragma integrity_check",
        "pragma quick_check",
        "reindex i",
        "reindex t",
        "reindex",
        KEYS,
    ],
    "a dump, tables first": [
        TABLE,
        "create table libsql_vector_meta_shadow ( name text primary key, metadata blob ) without rowid",
        "create table i_shadow (index_key  integer , data blob, primary key (index_key))",
        "insert into t values (1, vector('[1,2,3]'), 'a'), (2, vector('[1,2,4]'), 'b')",
        "insert into libsql_vector_meta_shadow values ('i', x'010300000000000000030100000000000000040300000000000000"
        "02010000000000000005010000000000000006000100000000000007333333333333F33F08460000000000000009C800000000000000')",
        f"insert into i_shadow values (2, x'02{'0' * 30}0000803f0000004000008040{'0' * 456}')",
        "create index i_shadow_idx on i_shadow (index_key)",
        "create index i on t(libsql_vector_idx(v))",
        "select name, hex(metadata) from libsql_vector_meta_shadow",
        KEYS,
        "select id from vector_top_k('i', '[1,2,3]', 5)",
        SCHEMA,
    ],
}

CASES: dict[str, list[Any]] = {**REFUSED, **MADE, **BLOCKS, **LIFE}
