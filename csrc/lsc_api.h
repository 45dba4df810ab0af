/*
** lsc_api.h: the engine's functions as tables of pointers, for code that runs beside the Python module and must not
** bring a second SQLite into the process: two copies would drop each other's file locks.
**
** A C extension gets them from the capsule LSC_API_CAPSULE:
**
**     #include <Python.h>
**     #include "lsc_api.h"
**     static const sqlite3_api_routines *sqlite3_api;      // what the macros of sqlite3ext.h use
**     const struct lsc_api *lsc = PyCapsule_Import(LSC_API_CAPSULE, 0);
**     sqlite3_api = lsc->sqlite;
**     lsc->libsql_close_hook(...);
**
** The tables are static and constant. Members are only ever added at the end, so an extension works with this and any
** later engine: it checks lsc->size >= (int)sizeof(*lsc) and, for lsc->sqlite, the engine's version number.
*/
#ifndef LSC_API_H
#define LSC_API_H

/* sqlite3.h declares these parts only on demand; include this header before it, or define the same. */
#ifndef SQLITE_ENABLE_PREUPDATE_HOOK
# define SQLITE_ENABLE_PREUPDATE_HOOK 1
#endif
#ifndef SQLITE_ENABLE_SESSION
# define SQLITE_ENABLE_SESSION 1
#endif
#include "sqlite3ext.h"
#include "libsql.h"
#undef libsql_close_hook        /* here not by way of an extension's fourth argument */

#define LSC_API_CAPSULE "libsql_core._engine.api"

/* What older releases do not have. */
#if SQLITE_VERSION_NUMBER>=3052000
# define LSC_API_3_52(X) \
   X(sqlite3changeset_apply_v3) \
   X(sqlite3changeset_apply_v3_strm)
#else
# define LSC_API_3_52(X)
#endif
#if SQLITE_VERSION_NUMBER>=3054000
# define LSC_API_3_54(X) \
   X(sqlite3changegroup_config) \
   X(sqlite3changegroup_change_begin) \
   X(sqlite3changegroup_change_int64) \
   X(sqlite3changegroup_change_null) \
   X(sqlite3changegroup_change_double) \
   X(sqlite3changegroup_change_text) \
   X(sqlite3changegroup_change_blob) \
   X(sqlite3changegroup_change_finish)
#else
# define LSC_API_3_54(X)
#endif

/* The public functions that sqlite3_api_routines lacks. Add at the end only. */
#define LSC_API_ROUTINES(X) \
  X(libsql_libversion) \
  X(libsql_sourceid) \
  X(libsql_close_hook) \
  X(sqlite3_initialize) \
  X(sqlite3_shutdown) \
  X(sqlite3_config) \
  X(sqlite3_memory_alarm) \
  X(sqlite3_enable_load_extension) \
  X(sqlite3_preupdate_hook) \
  X(sqlite3_preupdate_old) \
  X(sqlite3_preupdate_count) \
  X(sqlite3_preupdate_depth) \
  X(sqlite3_preupdate_new) \
  X(sqlite3_preupdate_blobwrite) \
  X(sqlite3_snapshot_get) \
  X(sqlite3_snapshot_open) \
  X(sqlite3_snapshot_free) \
  X(sqlite3_snapshot_cmp) \
  X(sqlite3_snapshot_recover) \
  X(sqlite3_rtree_geometry_callback) \
  X(sqlite3_rtree_query_callback) \
  X(sqlite3session_create) \
  X(sqlite3session_delete) \
  X(sqlite3session_object_config) \
  X(sqlite3session_enable) \
  X(sqlite3session_indirect) \
  X(sqlite3session_attach) \
  X(sqlite3session_table_filter) \
  X(sqlite3session_changeset) \
  X(sqlite3session_changeset_size) \
  X(sqlite3session_diff) \
  X(sqlite3session_patchset) \
  X(sqlite3session_isempty) \
  X(sqlite3session_memory_used) \
  X(sqlite3changeset_start) \
  X(sqlite3changeset_start_v2) \
  X(sqlite3changeset_next) \
  X(sqlite3changeset_op) \
  X(sqlite3changeset_pk) \
  X(sqlite3changeset_old) \
  X(sqlite3changeset_new) \
  X(sqlite3changeset_conflict) \
  X(sqlite3changeset_fk_conflicts) \
  X(sqlite3changeset_finalize) \
  X(sqlite3changeset_invert) \
  X(sqlite3changeset_concat) \
  X(sqlite3changegroup_new) \
  X(sqlite3changegroup_schema) \
  X(sqlite3changegroup_add) \
  X(sqlite3changegroup_add_change) \
  X(sqlite3changegroup_output) \
  X(sqlite3changegroup_delete) \
  X(sqlite3changeset_apply) \
  X(sqlite3changeset_apply_v2) \
  X(sqlite3rebaser_create) \
  X(sqlite3rebaser_configure) \
  X(sqlite3rebaser_rebase) \
  X(sqlite3rebaser_delete) \
  X(sqlite3changeset_apply_strm) \
  X(sqlite3changeset_apply_v2_strm) \
  X(sqlite3changeset_concat_strm) \
  X(sqlite3changeset_invert_strm) \
  X(sqlite3changeset_start_strm) \
  X(sqlite3changeset_start_v2_strm) \
  X(sqlite3session_changeset_strm) \
  X(sqlite3session_patchset_strm) \
  X(sqlite3changegroup_add_strm) \
  X(sqlite3changegroup_output_strm) \
  X(sqlite3rebaser_rebase_strm) \
  X(sqlite3session_config) \
  LSC_API_3_52(X) \
  LSC_API_3_54(X) \
  X(libsql_open) \
  X(libsql_open_v2) \
  X(libsql_open_v3) \
  X(libsql_wal_manager_register) \
  X(libsql_wal_manager_unregister) \
  X(libsql_wal_manager_find) \
  X(libsql_wal_manager_next) \
  X(sqlite3_wal_backfilled) \
  X(sqlite3_wal_frame_page_no) \
  X(libsql_wal_disable_checkpoint) \
  X(libsql_wal_frame_count) \
  X(libsql_wal_get_frame) \
  X(libsql_wal_insert_begin) \
  X(libsql_wal_insert_frame) \
  X(libsql_wal_insert_end) \
  X(libsql_wal_checkpoint_seq_count) \
  X(libsql_stmt_interrupt) \
  X(libsql_wal_methods_find) \
  X(libsql_wal_methods_register) \
  X(libsql_wal_methods_unregister) \
  X(libsql_wal_methods_next) \
  X(libsql_wal_methods_name) \
  X(sqlite3_key) \
  X(sqlite3_key_v2) \
  X(sqlite3_rekey) \
  X(sqlite3_rekey_v2)

/* Each member has the name and the type of its function. */
#ifdef __cplusplus
# define LSC_API_MEMBER(name) decltype(::name) *name;
extern "C" {
#else
# define LSC_API_MEMBER(name) __typeof__(name) *name;
#endif

struct lsc_api {
  int size;                             /* of the engine's struct, in bytes */
  const sqlite3_api_routines *sqlite;
  char **sqlite3_temp_directory;        /* where these two variables are */
  char **sqlite3_data_directory;
  LSC_API_ROUTINES(LSC_API_MEMBER)
};

/* Inside the engine; others go through the capsule. */
const struct lsc_api *lsc_api(void);

#ifdef __cplusplus
}
#endif
#endif
