# The C side: SQLite's public interface and lsc.h. Declarations only, all callable without the GIL.

cdef extern from "sqlite3.h" nogil:
    ctypedef long long sqlite3_int64
    ctypedef unsigned long long sqlite3_uint64
    ctypedef struct sqlite3:
        pass
    ctypedef struct sqlite3_stmt:
        pass
    ctypedef struct sqlite3_value:
        pass
    ctypedef struct sqlite3_context:
        pass
    ctypedef struct sqlite3_blob:
        pass
    ctypedef struct sqlite3_backup:
        pass
    ctypedef struct sqlite3_vfs:
        pass
    ctypedef struct sqlite3_io_methods:
        int (*xRead)(sqlite3_file *file, void *out, int n, sqlite3_int64 offset) noexcept nogil
        int (*xWrite)(sqlite3_file *file, const void *data, int n, sqlite3_int64 offset) noexcept nogil
        int (*xTruncate)(sqlite3_file *file, sqlite3_int64 size) noexcept nogil
        int (*xSync)(sqlite3_file *file, int flags) noexcept nogil
        int (*xFileSize)(sqlite3_file *file, sqlite3_int64 *size) noexcept nogil
        int (*xLock)(sqlite3_file *file, int level) noexcept nogil
        int (*xUnlock)(sqlite3_file *file, int level) noexcept nogil
        int (*xFileControl)(sqlite3_file *file, int op, void *arg) noexcept nogil
    ctypedef struct sqlite3_file:
        const sqlite3_io_methods *pMethods
    ctypedef void (*sqlite3_destructor_type)(void *) noexcept nogil

    int SQLITE_OK, SQLITE_ERROR, SQLITE_ROW, SQLITE_DONE, SQLITE_BUSY, SQLITE_LOCKED, SQLITE_INTERRUPT, SQLITE_NOMEM
    int SQLITE_TOOBIG, SQLITE_DENY, SQLITE_IOERR, SQLITE_IOERR_SHORT_READ, SQLITE_MISUSE, SQLITE_NOTFOUND
    int SQLITE_LOCK_SHARED, SQLITE_LOCK_EXCLUSIVE, SQLITE_FCNTL_LOCKSTATE, SQLITE_FCNTL_FILE_POINTER
    int SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT, SQLITE_BLOB, SQLITE_NULL
    int SQLITE_OPEN_READONLY, SQLITE_OPEN_READWRITE, SQLITE_OPEN_CREATE, SQLITE_OPEN_URI
    int SQLITE_UTF8, SQLITE_DETERMINISTIC, SQLITE_AUTH
    int SQLITE_LIMIT_FUNCTION_ARG
    int SQLITE_TRACE_STMT
    unsigned SQLITE_PREPARE_PERSISTENT
    unsigned SQLITE_SERIALIZE_NOCOPY
    unsigned SQLITE_DESERIALIZE_FREEONCLOSE, SQLITE_DESERIALIZE_RESIZEABLE
    sqlite3_destructor_type SQLITE_TRANSIENT

    const char *sqlite3_libversion()
    int sqlite3_threadsafe()
    int sqlite3_enable_shared_cache(int on)
    int sqlite3_open_v2(const char *filename, sqlite3 **db, int flags, const char *vfs)
    int sqlite3_close_v2(sqlite3 *db)
    int sqlite3_busy_timeout(sqlite3 *db, int ms)
    int sqlite3_errcode(sqlite3 *db)
    int sqlite3_extended_errcode(sqlite3 *db)
    const char *sqlite3_errmsg(sqlite3 *db)
    const char *sqlite3_errstr(int rc)
    int sqlite3_total_changes(sqlite3 *db)
    ctypedef struct sqlite3_mutex:
        pass
    sqlite3_mutex *sqlite3_db_mutex(sqlite3 *db)
    void sqlite3_mutex_enter(sqlite3_mutex *mutex)
    void sqlite3_mutex_leave(sqlite3_mutex *mutex)
    void sqlite3_interrupt(sqlite3 *db)
    int sqlite3_complete(const char *sql)
    int sqlite3_limit(sqlite3 *db, int category, int value)
    int sqlite3_db_config(sqlite3 *db, int op, ...)
    int sqlite3_enable_load_extension(sqlite3 *db, int on)
    int sqlite3_load_extension(sqlite3 *db, const char *path, const char *entry, char **errmsg)
    void sqlite3_free(void *p)
    void *sqlite3_malloc64(sqlite3_uint64 n)

    int sqlite3_stmt_readonly(sqlite3_stmt *stmt)
    int sqlite3_column_count(sqlite3_stmt *stmt)
    const char *sqlite3_sql(sqlite3_stmt *stmt)
    sqlite3 *sqlite3_db_handle(sqlite3_stmt *stmt)
    const char *sqlite3_column_name(sqlite3_stmt *stmt, int i)
    const char *sqlite3_column_decltype(sqlite3_stmt *stmt, int i)
    int sqlite3_bind_parameter_count(sqlite3_stmt *stmt)
    const char *sqlite3_bind_parameter_name(sqlite3_stmt *stmt, int i)
    char *sqlite3_expanded_sql(sqlite3_stmt *stmt)

    void *sqlite3_user_data(sqlite3_context *ctx)
    void *sqlite3_aggregate_context(sqlite3_context *ctx, int n)
    int sqlite3_value_type(sqlite3_value *value)
    sqlite3_int64 sqlite3_value_int64(sqlite3_value *value)
    double sqlite3_value_double(sqlite3_value *value)
    const unsigned char *sqlite3_value_text(sqlite3_value *value)
    const void *sqlite3_value_blob(sqlite3_value *value)
    int sqlite3_value_bytes(sqlite3_value *value)
    void sqlite3_result_null(sqlite3_context *ctx)
    void sqlite3_result_int64(sqlite3_context *ctx, sqlite3_int64 value)
    void sqlite3_result_double(sqlite3_context *ctx, double value)
    void sqlite3_result_text(sqlite3_context *ctx, const char *z, int n, sqlite3_destructor_type free)
    void sqlite3_result_blob(sqlite3_context *ctx, const void *z, int n, sqlite3_destructor_type free)
    void sqlite3_result_error(sqlite3_context *ctx, const char *z, int n)
    void sqlite3_result_error_nomem(sqlite3_context *ctx)
    void sqlite3_result_error_toobig(sqlite3_context *ctx)

    int sqlite3_create_function_v2(
        sqlite3 *db, const char *name, int n_arg, int flags, void *data,
        void (*call)(sqlite3_context *, int, sqlite3_value **) noexcept nogil,
        void (*step)(sqlite3_context *, int, sqlite3_value **) noexcept nogil,
        void (*final)(sqlite3_context *) noexcept nogil,
        void (*destroy)(void *) noexcept nogil)
    int sqlite3_create_window_function(
        sqlite3 *db, const char *name, int n_arg, int flags, void *data,
        void (*step)(sqlite3_context *, int, sqlite3_value **) noexcept nogil,
        void (*final)(sqlite3_context *) noexcept nogil,
        void (*value)(sqlite3_context *) noexcept nogil,
        void (*inverse)(sqlite3_context *, int, sqlite3_value **) noexcept nogil,
        void (*destroy)(void *) noexcept nogil)
    int sqlite3_create_collation_v2(
        sqlite3 *db, const char *name, int flags, void *data,
        int (*compare)(void *, int, const void *, int, const void *) noexcept nogil,
        void (*destroy)(void *) noexcept nogil)
    int sqlite3_set_authorizer(
        sqlite3 *db,
        int (*authorize)(void *, int, const char *, const char *, const char *, const char *) noexcept nogil,
        void *data)
    void sqlite3_progress_handler(sqlite3 *db, int n, int (*progress)(void *) noexcept nogil, void *data)
    int sqlite3_trace_v2(
        sqlite3 *db, unsigned mask, int (*trace)(unsigned, void *, void *, void *) noexcept nogil, void *data)

    int sqlite3_blob_open(
        sqlite3 *db, const char *schema, const char *table, const char *column, sqlite3_int64 rowid,
        int flags, sqlite3_blob **blob)
    int sqlite3_blob_close(sqlite3_blob *blob)
    int sqlite3_blob_bytes(sqlite3_blob *blob)

    sqlite3_backup *sqlite3_backup_init(sqlite3 *to, const char *to_name, sqlite3 *db, const char *name)
    int sqlite3_backup_step(sqlite3_backup *backup, int n)
    int sqlite3_backup_finish(sqlite3_backup *backup)
    int sqlite3_backup_remaining(sqlite3_backup *backup)
    int sqlite3_backup_pagecount(sqlite3_backup *backup)
    int sqlite3_sleep(int ms)

    int sqlite3_file_control(sqlite3 *db, const char *schema, int op, void *arg)
    unsigned char *sqlite3_serialize(sqlite3 *db, const char *schema, sqlite3_int64 *n, unsigned flags)
    int sqlite3_deserialize(
        sqlite3 *db, const char *schema, unsigned char *data, sqlite3_int64 n, sqlite3_int64 room, unsigned flags)


cdef extern from "lsc.h" nogil:
    ctypedef union lsc_cell_u:
        sqlite3_int64 i
        double r
        const void *z
    ctypedef struct lsc_cell:
        lsc_cell_u u
        int n
        int type
    ctypedef struct lsc_error:
        int code
        char *text
    ctypedef struct lsc_stmt:
        sqlite3_stmt *st
        lsc_cell *row
        int n_col
        int fork
        sqlite3_int64 changes
        sqlite3_int64 rowid
        lsc_error error
        lsc_stmt *next
        lsc_stmt **link
    ctypedef struct lsc_batch:
        lsc_cell *cell
        unsigned char *heap
        int n_row
    int LSC_BATCH_ROWS, LSC_BATCH_CELLS

    int lsc_initialize()
    int lsc_prepare(sqlite3 *db, const char *sql, sqlite3_int64 n, unsigned flags, lsc_stmt *s, int *tail)
    int lsc_is_dml(const char *sql)
    int lsc_is_blank(const char *sql)
    int lsc_bind(lsc_stmt *s, const lsc_cell *param, int n)
    int lsc_step(lsc_stmt *s)
    int lsc_release(lsc_stmt *s)
    int lsc_fetch(lsc_stmt *s, lsc_batch *b, int max_row)
    void lsc_batch_free(lsc_batch *b)
    int lsc_run_many(lsc_stmt *s, const lsc_cell *param, int n_col, int n_row, int *done, sqlite3_int64 *changes)
    int lsc_script(sqlite3 *db, const char *sql, sqlite3_int64 n, lsc_error *error)
    int lsc_blob_read(sqlite3 *db, sqlite3_blob *blob, void *out, int n, int offset, lsc_error *error)
    int lsc_blob_write(sqlite3 *db, sqlite3_blob *blob, const void *data, int n, int offset, lsc_error *error)
    int lsc_wal_info(sqlite3 *db, unsigned *n, int *frame_size, lsc_error *error)
    int lsc_wal_read(sqlite3 *db, unsigned first, int n, unsigned char **out, int size, lsc_error *error)
    int lsc_wal_insert(sqlite3 *db, unsigned first, int n, const unsigned char **frames, int size, unsigned *added,
                       lsc_error *error)
    int lsc_vector_search(
        sqlite3 *db, const char *schema, const char *table, const char *column, const char *where, int metric,
        const void *queries, int is_double, int n_query, int dims, int k, sqlite3_int64 *ids, float *distances,
        int *found, lsc_error *error)
    void lsc_vector_watch(
        sqlite3 *db, int (*progress)(void *, sqlite3_int64, sqlite3_int64) noexcept nogil, void *data)
    const void *lsc_column_blob(lsc_stmt *s, int i, int *n)
    sqlite3_int64 lsc_vector_size(int type, int n)
    int lsc_vector_encode(const void *numbers, int number, sqlite3_int64 n_row, int n, int type, void *out)
    int lsc_vector_decode(const void *z, sqlite3_int64 n, int is_text, int *type, int *dims, int number, void **out,
                          lsc_error *error)
    void lsc_finalize(lsc_stmt *s)
    int lsc_autocommit(sqlite3 *db)
    int lsc_n_prepare(const lsc_stmt *s)
    void lsc_take_rows(lsc_stmt *s, sqlite3_int64 *n_read, sqlite3_int64 *n_written)
    int lsc_fork_count()
    int lsc_has_file(sqlite3 *db)
    int lsc_codec_open(
        sqlite3 *db, const char *schema, const char *cipher, const void *key, int n, int is_raw)
    int lsc_codec_rekey(
        sqlite3 *db, const char *schema, const char *cipher, const void *key, int n, int is_raw)
    int lsc_codec_missing()
    ctypedef struct lsc_wasm:
        const char *name
        const void *source
        sqlite3_int64 n
        int is_text, deterministic, wasi
        unsigned long long fuel
        sqlite3_int64 memory
    int lsc_wasm_define(sqlite3 *db, const lsc_wasm *want, lsc_error *error)
    int lsc_wasm_missing()
    void lsc_wasm_finder(int (*find)(char *, int) noexcept nogil)


cdef extern from "wal/replication.h" nogil:
    enum:
        LSC_LOG_PAGE, LSC_LOG_FRAME, LSC_LOG_HEADER, LSC_SNAP_HEADER, LSC_ERR_FRAMES
    ctypedef struct lsc_key:
        const char *cipher
        const void *key
        int n
        int is_raw
    ctypedef struct lsc_replog:
        pass
    ctypedef struct lsc_replog_state:
        sqlite3_int64 first
        sqlite3_int64 last
        sqlite3_int64 began
        unsigned pages
        unsigned char id[16]
        int rebuilt
    int lsc_replog_open(lsc_replog **log, const char *folder, int dirty, const lsc_key *key,
                        const unsigned char *uuid, lsc_error *error)
    int lsc_replog_close(lsc_replog *log)
    void lsc_replog_free(lsc_replog *log)
    void lsc_replog_state_of(lsc_replog *log, lsc_replog_state *out)
    sqlite3_int64 lsc_replog_last(lsc_replog *log)
    sqlite3_int64 lsc_replog_time(lsc_replog *log, sqlite3_int64 frame)
    int lsc_replog_read(lsc_replog *log, sqlite3_int64 start, int n, unsigned char *out, int *n_read)
    int lsc_replog_seal(lsc_replog *log, const char *to)
    int lsc_snapshot_write(lsc_replog *log, const char **from_, int n, const char *to, sqlite3_int64 *start,
                           sqlite3_int64 *end, sqlite3_int64 *count, lsc_error *error)
    ctypedef struct lsc_frame_key:
        pass
    int lsc_frame_key_new(lsc_frame_key **p, const lsc_key *key, lsc_error *error)
    void lsc_frame_key_free(lsc_frame_key *p)
    int lsc_frame_decrypt(lsc_frame_key *p, unsigned char *frames, int n)
    unsigned long long lsc_frame_checksum(unsigned long long before, const void *page, sqlite3_int64 n)
    ctypedef struct lsc_injector:
        pass
    ctypedef struct lsc_injected:
        sqlite3_int64 taken
        sqlite3_int64 last
        sqlite3_int64 committed
    int lsc_injector_open(lsc_injector **p, const char *path, const lsc_key *key, int checkpoint, lsc_replog *log,
                          lsc_error *error)
    void lsc_injector_close(lsc_injector *p)
    void lsc_injector_rollback(lsc_injector *p)
    int lsc_injector_frames(lsc_injector *p, const unsigned char **frames, int n, sqlite3_int64 expected,
                            const unsigned long long *before, lsc_injected *out, lsc_error *error)
    int lsc_injector_snapshot(lsc_injector *p, const unsigned char **frames, int n, int begin, sqlite3_int64 expected,
                              lsc_injected *out, lsc_error *error)


cdef extern from "server/server.h" nogil:
    int LSC_JSON, LSC_PROTOBUF, LSC_PLAIN, LSC_PROXY, LSC_STEPS
    int LSC_READ, LSC_WRITE, LSC_DDL, LSC_TXN, LSC_SAVEPOINT, LSC_ATTACH, LSC_DETACH
    unsigned LSC_S_READONLY, LSC_S_BEGIN, LSC_S_IMMEDIATE, LSC_S_NO_WRITE, LSC_S_EXPLAIN, LSC_S_PRAGMA
    int LSC_ERR_TOO_LARGE, LSC_ERR_NOT_UTF8
    int LSC_ENTRIES_START, LSC_ENTRIES_DONE
    ctypedef struct lsc_out:
        unsigned char *a
        size_t n
        size_t room
        size_t most
        int rc
    void lsc_out_free(lsc_out *o)
    ctypedef struct lsc_statement:
        int start
        int end
        int next
        int kind
        unsigned flags
        const char *verb
        int name
        int n_name
        int alias
        int n_alias
    int lsc_server_statement(const char *sql, int n, int start, lsc_statement *p, lsc_error *error)
    char *lsc_server_name(const char *z, int n)
    ctypedef struct lsc_server:
        sqlite3 *db
        int wal_pages
        int indexed
        int watching
    ctypedef struct lsc_server_options:
        const char *path
        const char *name
        const char *cipher
        const void *key
        int n_key
        int is_raw
        int row_limit
        long long max_pages
        int synchronous
        int checkpoint
        lsc_replog *log
    void lsc_server_functions(int on)
    int lsc_server_open(lsc_server *p, const lsc_server_options *o, lsc_error *error)
    void lsc_server_close(lsc_server *p)
    int lsc_server_reset(lsc_server *p)
    int lsc_server_next(lsc_server *p)
    int lsc_server_rollback(lsc_server *p, lsc_error *error)
    ctypedef struct lsc_plan:
        lsc_stmt s
    ctypedef struct lsc_outcome:
        sqlite3_int64 rows_read
        sqlite3_int64 rows_written
        sqlite3_int64 micros
        sqlite3_int64 waited
        int code
        int offset
    int lsc_server_prepare(lsc_server *p, const char *sql, int n, unsigned flags, lsc_plan *plan, int *offset)
    void lsc_server_release(lsc_plan *plan)
    void lsc_server_finalize(lsc_plan *plan)
    int lsc_server_is_short(lsc_server *p, const lsc_plan *plan)
    int lsc_server_execute(lsc_server *p, lsc_plan *plan, int encoding, lsc_out *out, lsc_outcome *res)
    ctypedef struct lsc_entries:
        int encoding
        int websocket
        unsigned step
        int state
        int n_entry
        lsc_outcome res
    int lsc_server_fetch(lsc_server *p, lsc_plan *plan, lsc_entries *f, int max_entry, size_t max_bytes, lsc_out *out)
    void lsc_server_step_begin(lsc_server *p, lsc_plan *plan, lsc_entries *f, lsc_out *out)
    void lsc_server_step_error(lsc_entries *f, lsc_out *out, const char *message, int n_message, const char *code)
    int lsc_server_describe(lsc_server *p, const char *sql, int n, int encoding, lsc_out *out, lsc_error *error,
                            int *offset)
    ctypedef struct lsc_change:
        pass
    void lsc_server_watch(lsc_server *p, int on)
    const char *lsc_server_take_change(lsc_server *p, lsc_change **pp, sqlite3_int64 *n)
    int lsc_server_load(lsc_server *p, const char *path, lsc_error *error)
    int lsc_server_vacuum(lsc_server *p, lsc_error *error)
    int lsc_server_checkpoint(lsc_server *p, int mode, int *n_log, int *n_copied, lsc_error *error)
    sqlite3_int64 lsc_micros()
    int lsc_base64_decode(const char *z, int n, unsigned char *out)
    int LSC_JSON_ESCAPES
    sqlite3_int64 lsc_json_string(const unsigned char *z, const unsigned char *end, int *flags)
    sqlite3_int64 lsc_json_unescape(const unsigned char *z, sqlite3_int64 n, unsigned char *out)
    int LSC_KEY_TYPE, LSC_KEY_SQL, LSC_KEY_STMT, LSC_KEY_VALUE, LSC_KEY_ARGS, LSC_KEY_STEP, LSC_KEY_CONDITION
    int LSC_KEY_WANT_ROWS, LSC_KEY_NAMED_ARGS, LSC_KEY_NAME, LSC_KEY_BASE64, LSC_KEY_REQUESTS, LSC_KEY_REQUEST
    int LSC_KEY_REQUEST_ID, LSC_KEY_STREAM_ID, LSC_KEY_BATON, LSC_KEY_BATCH, LSC_KEY_STEPS, LSC_KEY_COND
    int LSC_KEY_CONDS, LSC_KEY_SQL_ID, LSC_KEY_INDEX
    int lsc_json_key(const unsigned char *z, sqlite3_int64 n)
    int lsc_json_number(const unsigned char *z)


ctypedef int (*libsql_page_call)(void *ctx, unsigned pgno) noexcept nogil
ctypedef int (*libsql_busy_call)(void *arg) noexcept nogil


cdef extern from "libsql.h" nogil:
    const char *libsql_libversion()
    const char *libsql_sourceid()

    ctypedef struct wal_impl:
        pass
    ctypedef struct wal_manager_impl:
        pass
    ctypedef struct libsql_pghdr:
        void *pData
        libsql_pghdr *pDirty
        unsigned pgno
    ctypedef struct libsql_wal_methods:
        int iVersion
        void (*xLimit)(wal_impl *, long long) noexcept nogil
        int (*xBeginReadTransaction)(wal_impl *, int *) noexcept nogil
        void (*xEndReadTransaction)(wal_impl *) noexcept nogil
        int (*xFindFrame)(wal_impl *, unsigned, unsigned *) noexcept nogil
        int (*xReadFrame)(wal_impl *, unsigned, int, unsigned char *) noexcept nogil
        int (*xReadFrameRaw)(wal_impl *, unsigned, int, unsigned char *) noexcept nogil
        unsigned (*xDbsize)(wal_impl *) noexcept nogil
        int (*xBeginWriteTransaction)(wal_impl *) noexcept nogil
        int (*xEndWriteTransaction)(wal_impl *) noexcept nogil
        int (*xUndo)(wal_impl *, int (*)(void *, unsigned) noexcept nogil, void *) noexcept nogil
        void (*xSavepoint)(wal_impl *, unsigned *) noexcept nogil
        int (*xSavepointUndo)(wal_impl *, unsigned *) noexcept nogil
        int (*xFrameCount)(wal_impl *, int, unsigned *) noexcept nogil
        int (*xFrames)(wal_impl *, int, libsql_pghdr *, unsigned, int, int, int *) noexcept nogil
        int (*xCheckpoint)(
            wal_impl *, sqlite3 *, int, int (*)(void *) noexcept nogil, void *, int, int, unsigned char *, int *, int *,
            int (*)(void *, int, const unsigned char *, int, int, int) noexcept nogil, void *) noexcept nogil
        int (*xCallback)(wal_impl *) noexcept nogil
        int (*xExclusiveMode)(wal_impl *, int) noexcept nogil
        int (*xHeapMemory)(wal_impl *) noexcept nogil
        sqlite3_file *(*xFile)(wal_impl *) noexcept nogil
        void (*xSavepointForget)(wal_impl *, unsigned *) noexcept nogil
    ctypedef struct libsql_wal:
        libsql_wal_methods methods
        wal_impl *pData
    ctypedef struct libsql_wal_manager:
        int bUsesShm
        int (*xOpen)(
            wal_manager_impl *, sqlite3_vfs *, sqlite3_file *, int, long long, const char *,
            libsql_wal *) noexcept nogil
        int (*xClose)(wal_manager_impl *, wal_impl *, sqlite3 *, int, int, unsigned char *) noexcept nogil
        int (*xLogDestroy)(wal_manager_impl *, sqlite3_vfs *, const char *) noexcept nogil
        int (*xLogExists)(wal_manager_impl *, sqlite3_vfs *, const char *, int *) noexcept nogil
        void (*xDestroy)(wal_manager_impl *) noexcept nogil
        wal_manager_impl *pData
    const libsql_wal_manager sqlite3_wal_manager
    int libsql_open(const char *filename, sqlite3 **db, int flags, const char *vfs, const char *wal)
    int libsql_wal_manager_register(const char *name, libsql_wal_manager manager)
    int libsql_wal_manager_unregister(const char *name)
    const char *libsql_wal_manager_next(const char *name)
    int libsql_wal_disable_checkpoint(sqlite3 *db)


cdef extern from "lsc_api.h" nogil:
    const char *LSC_API_CAPSULE
    const void *lsc_api()
