/*
** engine.c: the one translation unit of the engine: the patched amalgamation, then our additions, which so can call
** SQLite's static functions and see its structures. The only file that includes a .c file.
*/
#include "sqlite3.c"

#include "libsql.h"
#include "libsqlext.h"
#include "lsc.h"
#include "sql/sql_int.h"
#include "vec/vector.h"
#include "vec/scan.h"
#include "source_id.gen.h"

#include "wal/stock.c"
#include "wal/registry.c"
#include "wal/v1.c"
#include "wal/dispatch.c"
#include "wal/frames.c"

#include "core/api.c"
#include "core/conn.c"
#include "core/memory.c"
#include "core/pragma.c"
#include "core/process.c"
#include "core/row.c"
#include "wal/batch.c"
#include "core/stmt.c"
#include "sql/rowid.c"
#include "sql/parse.c"
#include "sql/alter.c"
#include "sql/alter_check.c"
#include "sql/alter_text.c"

#include "vec/kern_portable.c"
#include "vec/kern_avx2.c"
#include "vec/kernels.c"
#include "vec/blob.c"
#include "vec/convert.c"
#include "vec/text.c"
#include "vec/functions.c"
#include "vec/scan.c"
#include "vec/scan_load.c"
#include "vec/scan_table.c"
