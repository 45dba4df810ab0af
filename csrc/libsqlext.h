/*
** libsqlext.h: what an extension written for libSQL needs beyond sqlite3ext.h, which includes this at its end.
**
** The entry point of such an extension has a fourth parameter:
**
**     SQLITE_EXTENSION_INIT1
**     LIBSQL_EXTENSION_INIT1
**     int sqlite3_example_init(sqlite3 *db, char **pzErr, const sqlite3_api_routines *pApi,
**                              const libsql_api_routines *pLibsqlApi){
**       SQLITE_EXTENSION_INIT2(pApi)
**       LIBSQL_EXTENSION_INIT2(pLibsqlApi)
**       ...
**
** Those with three parameters load too.
*/
#ifndef LIBSQLEXT_H
#define LIBSQLEXT_H

#include "libsql.h"

#if !defined(SQLITE_CORE) && !defined(SQLITE_OMIT_LOAD_EXTENSION)
# define libsql_close_hook libsql_api->close_hook
# define LIBSQL_EXTENSION_INIT1     const libsql_api_routines *libsql_api = 0;
# define LIBSQL_EXTENSION_INIT2(v)  libsql_api = v;
# define LIBSQL_EXTENSION_INIT3     extern const libsql_api_routines *libsql_api;
#else
# define LIBSQL_EXTENSION_INIT1
# define LIBSQL_EXTENSION_INIT2(v)  (void)v;
# define LIBSQL_EXTENSION_INIT3
#endif

#endif
