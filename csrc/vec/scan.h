/*
** scan.h: what the rest of the engine has to do with searches: see scan.c.
*/
#ifndef LSC_SCAN_H
#define LSC_SCAN_H

#define SCAN_LIMIT (512*1024*1024)  /* bytes that a connection keeps of searched columns, unless it is told otherwise */

static int lscScanRegister(sqlite3 *db);                  /* scan_table.c: vector_scan() */
static void lscScanForget(LscConn *pConn, u64 nKeep);     /* scan_load.c: free what is kept, but for nKeep bytes */

#endif
