/*
** index.h: vector indexes as tables hold them and as a connection has them open. The parts:
**
**   index_meta.c     the metadata row: libsql_vector_meta_shadow(name, metadata), entries of a tag byte and 8 bytes
**   index_store.c    b-trees: rows of <name>_shadow and its indexes, node blocks read and written
**   index_compact.c  rows without vectors
**   index_entry.c    nodes that a search without memory begins at
**   index_cache.c    the graph of an open index in memory, which of its states is still true
**   index_update.c   insert, delete, clear
**   index_parts.c    more rows at once than fit into memory, in parts
**   index_merge.c    and these put together
**   index_fill.c     many rows at once
**   index_walk.c     the nearest nodes, straight from the blocks
**   index_search.c   the nearest nodes
**   index_table.c    vector_top_k()
**   index_survey.c   all blocks read and compared
**   index_check.c    vector_index_info(), vector_index_check()
**
** A node block is the value of column "data" of a shadow row, whose rowid is the node's id. C = nCap, little-endian:
**
**   0                    8             the id; written, never read
**   8                    2             E, the number of edges
**   10                   nHead-10      zero (nHead is 16; 10 in format versions 1 and 2)
**   nHead                nNode         the vector's data part
**   nHead+nNode          C * nEdge     vectors of the neighbours in the edge type
**   behind them          C * 16        4 bytes unused, f32 distance between both in the edge type, 8 bytes id
**
** An index of type=compact has other blocks: see index_compact.c.
**
** What lies behind the first E of both arrays means nothing. A block may be longer than the metadata says: that of
** the node to begin at has a directory behind it, see index_entry.c.
**
** The shadow table has one of two shapes. index_key is the rowid; or it is a column of its own with a unique index,
** and the rowid only numbers the nodes. <name>_shadow_idx is an index on the rowid and may be missing.
*/
#ifndef LSC_INDEX_H
#define LSC_INDEX_H

#define LSC_MAX_BLOCK 134217728     /* bytes of a node block */
#define LSC_MAX_META 128            /* bytes of a metadata value */
#define LSC_LEAST_CACHE ((u64)8*1024*1024)        /* bytes that an open index may keep whatever the limit is */
#define LSC_WRITE_CACHE ((u64)64*1024*1024)       /* until the transaction ends, if it wrote to the index */
#define LSC_WRITE_PAGES ((u64)16*1024*1024)       /* of changed pages that a transaction keeps in memory, at least */
#define LSC_ROW_JOURNAL (512*1024)                /* of pages that a statement of a transaction keeps in memory */
#define LSC_STARTS 8                /* nodes that a search begins at in a graph that is not in memory */
#define LSC_SMALL 1000              /* nodes of an index that is loaded as a whole, and all are compared */
#define LSC_FEW 50                  /* one row in so many is not many */
#define LSC_BUILD_MEMORY ((u64)1024*1024*1024)    /* PRAGMA libsql_vector_build_memory, unless it is set */

/* What the metadata says, and what follows from it. */
typedef struct LscIndexParams {
  int version;                      /* of the format, 1 to 3 */
  int type, edgeType;               /* LSC_F32 ... */
  int metric;                       /* LSC_COS or LSC_L2; LSC_HAMMING for columns of type LSC_F1BIT */
  u32 n;                            /* elements */
  u32 nBlock;                       /* bytes of a block */
  u32 nInsert, nSearch;             /* beams; 0: not given */
  u32 nMaxNeighbors;                /* as given, or 0 */
  float alpha;
  i64 iEntry;                       /* id of the node to begin at, if bEntry; the node may be gone */
  u8 bEntry;
  u8 bCompact;                      /* no vectors in blocks: nHead, nNode and nEdge are 0, nBlock is the most */
  u32 nHead, nNode, nEdge, nCap;    /* derived; see above */
} LscIndexParams;

/* An index that the connection has open, or had and keeps: LscConn.pVecIndexes. Guarded by the connection's mutex. */
typedef struct LscIndex LscIndex;

/* Functions that give an int: a result code; SQLITE_ERROR and others of SQLite's with a message in *pzErr, which is for
** sqlite3_free(), or 0. *pzErr must be 0 before. All of them need a transaction on the index's database, and those that
** write a write transaction. */

/* index_meta.c. SQLITE_ERROR for a value that does not describe an index, without a message. */
static int lscIndexMetaDecode(const u8 *aMeta, int nMeta, LscIndexParams *p);
/* The first row of that name, exactly: its first LSC_MAX_META+1 bytes. *pn is -1 if there is no such row or table. */
static int lscIndexMetaRead(sqlite3 *db, int iDb, const char *zName, u8 aMeta[LSC_MAX_META+1], int *pn);
/* Sets the row of that name, or deletes all of that name (case does not count then) if aMeta is NULL. Rows that stand
** twice or in the wrong order are repaired. */
static int lscIndexMetaWrite(sqlite3 *db, int iDb, const char *zName, const u8 *aMeta, int nMeta);

/* index_cache.c. zName is the name as in CREATE INDEX. lscIndexOpen() gives a reference for lscIndexClose(). */
static int lscIndexOpen(sqlite3 *db, int iDb, const char *zName, LscIndex **pp, char **pzErr);
static void lscIndexClose(LscIndex *p);
static void lscIndexShrink(LscConn *pConn);                     /* LscConn.nScanLimit was set */

/* index_update.c. pVector is the column's value; a NULL is not indexed. pKey is the rowid, or the value of the only
** PRIMARY KEY column of a WITHOUT ROWID table. A key that is not there is not deleted. */
static int lscIndexInsert(LscIndex *p, sqlite3_value *pVector, sqlite3_value *pKey, char **pzErr);
static int lscIndexDelete(LscIndex *p, sqlite3_value *pKey, char **pzErr);
static int lscIndexClear(LscIndex *p, char **pzErr);

/* index_fill.c. CREATE INDEX and REINDEX: begin, which clears; add in any order; end. Free at any point, also NULL. */
typedef struct LscFill LscFill;
static int lscFillNew(LscIndex *p, LscFill **pp, char **pzErr);
static int lscFillAdd(LscFill *p, sqlite3_value *pVector, sqlite3_value *pKey, char **pzErr);
static int lscFillEnd(LscFill *p, char **pzErr);
static void lscFillFree(LscFill *p);

/* index_ddl.c: the call of libsql_vector_idx() that an indexed expression is, or 0. */
static Expr *lscVecCall(Expr *pExpr);

/* index_table.c and index_check.c: the table functions. */
static int lscIndexRegister(sqlite3 *db);

#endif
