"""What the server lets SQL do: classes of statements, pragmas, limits, and the lock of writers."""

from recorder import Cases, Http, Wait, batch, execute, numbers, pipeline

FLAGS = ["--enable-namespaces"]
REFUSED = [
    "attach 'x.db' as y", "attach database 'x.db' as y", "vacuum", "vacuum into 'x.db'", "analyze",
    "create temp table x(a)",
    "create temporary table x(a)", "create temp view x as select 1",
    "create temp trigger x after insert on t begin select 1; end",
    "create table temp.x(a)", "begin concurrent", "insert into libsql_wasm_func_table values (1, 2)",
    "delete from _litestream_seq",
    "update _litestream_lock set id = 1", "create function f language wasm as 'x'", "detach nope", "explain vacuum",
    "create table if not exists temp.x(a)", "drop function f", "attach nowhere as z",
]  # fmt: skip
PASSED = [
    "create view temp.v as select 1", "select * from temp.sqlite_master", "select * from pragma_journal_mode",
    "begin readonly", "rollback", "begin exclusive", "rollback", "begin deferred transaction", "end", "reindex t",
    "explain query plan select 1",
    "create table r(a) random rowid",
    "alter table t alter column b to b text", "select count(*) from dbstat", "select value from generate_series(1, 3)",
    "select * from json_each('[1]')", "select sqrt(2)", "create virtual table rt using rtree(id, a, b)",
    "select readfile('x')",
    "select x regexp 'y' from (select 'y' as x)", "alter table t rename to t2",
    "alter table t2 rename column b to bb",
    "create table fk(x references t2(a))", "insert into fk values (99)",
    "drop table if exists nope",
]  # fmt: skip
PRAGMAS = [
    "table_list", "index_list(t)", "table_info(t)", "table_xinfo(t)", "index_info(i)", "index_xinfo(i)",
    "database_list", "encoding",
    "schema_version", "schema_version = 5", "defer_foreign_keys", "foreign_keys", "foreign_keys = off", "foreign_keys",
    "foreign_key_list(t)",
    "foreign_key_check", "data_version", "freelist_count", "integrity_check", "quick_check",
    "page_count", "user_version",
    "user_version = 7", "user_version", "analysis_limit", "application_id", "auto_vacuum", "automatic_index",
    "cell_size_check", "journal_mode", "journal_mode = delete", "journal_size_limit", "locking_mode", "page_size",
    "query_only",
    "query_only = 1", "read_uncommitted", "recursive_triggers", "secure_delete", "synchronous", "synchronous = off",
    "temp_store", "threads",
    "trusted_schema", "case_sensitive_like", "ignore_check_constraints", "incremental_vacuum",
    "optimize", "shrink_memory",
    "wal_checkpoint", "writable_schema", "writable_schema = on", "full_column_names", "short_column_names",
    "temp_store_directory", "nonsense",
    "nonsense = 1", "main.user_version", "USER_VERSION", "busy_timeout = 5", "cache_size",
    "cache_size = 10",
    "legacy_file_format", "stats", "mmap_size", "max_page_count", "max_page_count = 1", "reverse_unordered_selects",
    "soft_heap_limit",
]  # fmt: skip


def write(baton: str, *requests: object) -> Http:
    return pipeline(*requests, baton=baton)


NOT_HERE = ["select sha256('a') is not null", "select uuid4() is not null", "select text_length('a')"]
OTHERWISE = {
    "pragma collation_list": "pragma collation_list",
    "pragma wal_autocheckpoint": "pragma wal_autocheckpoint",
    "pragma busy_timeout": "pragma busy_timeout",
    "pragma cache_spill": "pragma cache_spill",
    "limit": "delete from t limit 1",
    "explain query plan": "explain query plan select * from t where a = 1",
    "median": "select median(x) from (select 1 as x union select 3)",
}

CASES: Cases = {
    **{f"function: {sql}": [pipeline(sql)] for sql in NOT_HERE},
    **{
        f"other version: {name}": [pipeline("create table t(a integer primary key)"), pipeline(sql)]
        for name, sql in OTHERWISE.items()
    },
    "refused": [pipeline("create table t(a, b)", *REFUSED)],
    "refused in a batch": [
        pipeline({"type": "batch", "batch": batch("create table t(a)", "analyze")}, "select * from t")
    ],
    "passed": [pipeline("create table t(a integer primary key, b)", "create index i on t(b)", *PASSED)],
    "pragmas": [
        pipeline(
            "create table t(a integer primary key, b)",
            "create index i on t(b)",
            *(f"pragma {name}" for name in PRAGMAS),
        )
    ],
    "size of values": [
        pipeline(
            "select length(zeroblob(5000000))",
            "select length(zeroblob(5000001))",
            "create table t(x)",
            "insert into t values (zeroblob(5000001))",
        ),
    ],
    "writers wait in a queue": [
        pipeline("create table t(x)"),
        pipeline("begin immediate", "insert into t values (1)", baton="%baton1%"),
        pipeline("select count(*) from t", {"type": "close"}),
        pipeline("commit", baton="%baton2%"),
        pipeline("select count(*) from t"),
    ],
    "a lock is taken from one who keeps it": [
        pipeline("create table t(x)"),
        pipeline("begin immediate", "insert into t values (1)", baton="%baton1%"),
        Wait(5.3),
        pipeline("insert into t values (2)", "select * from t"),
        pipeline({"type": "get_autocommit"}, "commit", "insert into t values (3)", "select * from t", baton="%baton2%"),
    ],
    "a lock is taken while it is waited for": [
        pipeline("create table t(x)"),
        pipeline("begin immediate", "insert into t values (1)", baton="%baton1%"),
        pipeline("insert into t values (2)", "select * from t"),
        pipeline(
            {
                "type": "batch",
                "batch": batch("insert into t values (4)", "commit", ({"type": "error", "step": 0}, "rollback")),
            },
            "insert into t values (3)",
            "select * from t",
            baton="%baton2%",
        ),
    ],
    "nobody waits, nothing is taken": [
        pipeline("create table t(x)"),
        pipeline("begin immediate", "insert into t values (1)", baton="%baton1%"),
        Wait(6.2),
        pipeline("commit", "select * from t", baton="%baton2%"),
    ],
    "an old snapshot cannot write": [
        pipeline("create table t(x)"),
        pipeline("begin", "select * from t", baton="%baton1%"),
        pipeline("insert into t values (1)"),
        pipeline(
            "insert into t values (2)", "rollback", "insert into t values (3)", "select * from t", baton="%baton2%"
        ),
    ],
    "a stream expires": [
        pipeline("create table t(x)", "begin", "insert into t values (1)"),
        Wait(11.5),
        pipeline("select 1", baton="%baton1%"),
        pipeline("select 1", baton="%baton1%"),
        pipeline("select count(*) from t"),
    ],
    "a stream does not expire at 9 seconds": [pipeline("begin"), Wait(9), pipeline("commit", baton="%baton1%")],
    "each use starts the time anew": [
        pipeline("begin"),
        Wait(6),
        pipeline("select 1", baton="%baton1%"),
        Wait(6),
        pipeline("commit", baton="%baton2%"),
    ],
    "rows per reply": [
        pipeline(
            execute(f"select value, 'some text that is long' from {numbers(200000)}"),
            "select 'the stream goes on'",
        )
    ],
    "a reply that is too large in a batch": [
        pipeline(
            {
                "type": "batch",
                "batch": batch(
                    "create table t(x)",
                    f"select value, 'some text that is long' from {numbers(200000)}",
                ),
            },
            "select * from t",
        )
    ],
}
