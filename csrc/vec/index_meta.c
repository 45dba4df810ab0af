/*
** index_meta.c: the metadata rows of vector indexes. Included by engine.c.
**
** libsql_vector_meta_shadow(name TEXT PRIMARY KEY, metadata BLOB) WITHOUT ROWID has one row for each index of its schema.
** A value is a sequence of entries: a tag byte, and 8 bytes that are an integer, or a double for the tag "alpha". The
** last of equal tags counts, unknown ones do not. libSQL's VACUUM leaves the table with copies of all rows behind the
** rows, out of order: only the first of a name, in the order of the b-tree, describes the index. So the table is read from
** its first row on, and put in order when it is written.
*/
enum {
  META_VERSION=1, META_KIND=2, META_TYPE=3, META_DIMS=4, META_METRIC=5, META_BLOCK=6, META_ALPHA=7, META_INSERT=8,
  META_SEARCH=9, META_NEIGHBORS=10, META_EDGES=11, META_ENTRY=100
};
enum { KIND_DISKANN=1, KIND_COMPACT=2 };
#define META_TABLE "libsql_vector_meta_shadow"

static int lscIndexMetaDecode(const u8 *aMeta, int nMeta, LscIndexParams *p){
  u64 aValue[META_EDGES+1];
  double alpha = 0.0;
  u64 nBlock;
  int i;
  memset(p, 0, sizeof(*p));
  memset(aValue, 0, sizeof(aValue));
  if( nMeta<0 || nMeta>LSC_MAX_META ) return SQLITE_ERROR;
  for(i=0; i+9<=nMeta; i+=9){
    u64 u = ixGet8(&aMeta[i+1]);
    if( aMeta[i]==META_ALPHA ) memcpy(&alpha, &u, 8);
    if( aMeta[i]<=META_EDGES ) aValue[aMeta[i]] = u;
    if( aMeta[i]==META_ENTRY ){
      p->bEntry = 1;
      p->iEntry = (i64)u;
    }
  }
  p->bCompact = aValue[META_KIND]==KIND_COMPACT;
  if( p->bCompact ){
    p->nCap = (u32)MIN(aValue[META_NEIGHBORS], 65536);
    if( aValue[META_BLOCK] || p->nCap<1 || p->nCap>65535 ) return SQLITE_ERROR;
  }
  nBlock = p->bCompact ? 3 + 9*p->nCap : aValue[META_BLOCK];
  if( nBlock<=128 && !p->bCompact ) nBlock *= 512;
  if( aValue[META_VERSION]>3 || aValue[META_KIND]>KIND_COMPACT ) return SQLITE_ERROR;
  if( aValue[META_TYPE]<LSC_F32 || aValue[META_TYPE]>LSC_FB16 || aValue[META_EDGES]>LSC_FB16 ) return SQLITE_ERROR;
  if( aValue[META_DIMS]<1 || aValue[META_DIMS]>LSC_MAX_DIMS ) return SQLITE_ERROR;
  if( aValue[META_METRIC]!=LSC_COS && aValue[META_METRIC]!=LSC_L2 ) return SQLITE_ERROR;
  if( nBlock<1 || nBlock>LSC_MAX_BLOCK ) return SQLITE_ERROR;
  p->version = aValue[META_VERSION] ? (int)aValue[META_VERSION] : 1;
  p->type = (int)aValue[META_TYPE];
  p->edgeType = aValue[META_EDGES] ? (int)aValue[META_EDGES] : p->type;
  p->metric = p->type==LSC_F1BIT ? LSC_HAMMING : (int)aValue[META_METRIC];
  p->n = (u32)aValue[META_DIMS];
  p->nBlock = (u32)nBlock;
  p->nInsert = (u32)MIN(aValue[META_INSERT], 0x7fffffff);
  p->nSearch = (u32)MIN(aValue[META_SEARCH], 0x7fffffff);
  p->nMaxNeighbors = (u32)MIN(aValue[META_NEIGHBORS], 0x7fffffff);
  p->alpha = (float)alpha;
  if( !(p->alpha>0.0f) ) p->alpha = 1.2f;
  if( p->bCompact ) return SQLITE_OK;
  p->nHead = p->version==3 ? 16 : 10;
  p->nNode = (u32)lscVectorSize(p->type, p->n);
  p->nEdge = (u32)lscVectorSize(p->edgeType, p->n);
  if( p->nBlock<p->nHead+p->nNode+p->nEdge+16 ) return SQLITE_ERROR;
  p->nCap = (p->nBlock-p->nHead-p->nNode)/(p->nEdge+16);
  if( p->nCap>65535 ) p->nCap = 65535;
  return SQLITE_OK;
}

/* A row of the table. */
typedef struct MetaRow {
  char *zName;                      /* owned */
  int nMeta;
  u8 aMeta[LSC_MAX_META+1];
} MetaRow;

/* A cursor on the table, and its description; SQLITE_NOTFOUND if there is no such table. */
static int metaOpen(sqlite3 *db, int iDb, int bWrite, BtCursor *pCur, KeyInfo **ppInfo, Table **ppTab){
  Table *pTab = sqlite3FindTable(db, META_TABLE, db->aDb[iDb].zDbSName);
  Btree *pBt = db->aDb[iDb].pBt;
  Index *pPk;
  Parse parse;
  int rc;
  *ppInfo = 0;
  if( pTab==0 || !IsOrdinaryTable(pTab) || HasRowid(pTab) || pTab->nCol!=2 ) return SQLITE_NOTFOUND;
  pPk = sqlite3PrimaryKeyIndex(pTab);
  if( pPk->nKeyCol!=1 || pPk->aiColumn[0]!=0 || pTab->pIndex!=pPk || pPk->pNext ) return SQLITE_NOTFOUND;
  sqlite3ParseObjectInit(&parse, db);
  *ppInfo = sqlite3KeyInfoOfIndex(&parse, pPk);
  rc = *ppInfo ? SQLITE_OK : parse.rc ? parse.rc : SQLITE_NOMEM_BKPT;
  sqlite3DbFree(db, parse.zErrMsg);
  sqlite3ParseObjectReset(&parse);
  if( rc==SQLITE_OK ) rc = ixLock(db, pBt, pTab->tnum, bWrite);
  if( rc==SQLITE_OK ){
    sqlite3BtreeCursorZero(pCur);
    rc = sqlite3BtreeCursor(pBt, pTab->tnum, bWrite ? BTREE_WRCSR : 0, *ppInfo, pCur);
  }
  if( rc!=SQLITE_OK ){
    sqlite3KeyInfoUnref(*ppInfo);
    *ppInfo = 0;
  }
  *ppTab = pTab;
  return rc;
}

/* The row that the cursor is at. A value that is no blob has length LSC_MAX_META+1, which no index has. */
static int metaRow(sqlite3 *db, BtCursor *pCur, MetaRow *pRow){
  u32 n = sqlite3BtreePayloadSize(pCur), nHead = 0, type = 0, typeMeta = 0, at, nName, nMeta;
  sqlite3_value *pName = 0;
  u8 *a;
  int rc;
  memset(pRow, 0, sizeof(*pRow));
  if( n>1000000 ) return SQLITE_CORRUPT_BKPT;
  a = sqlite3_malloc64((u64)n + 32);
  if( a==0 ) return SQLITE_NOMEM_BKPT;
  memset(&a[n], 0, 32);
  rc = sqlite3BtreePayload(pCur, 0, n, a);
  if( rc!=SQLITE_OK ) goto out;
  at = getVarint32(a, nHead);
  at += getVarint32(&a[at], type);
  at += getVarint32(&a[at], typeMeta);
  nName = sqlite3VdbeSerialTypeLen(type);
  nMeta = sqlite3VdbeSerialTypeLen(typeMeta);
  if( at>nHead || nHead>n || nName>n-nHead || nMeta>n-nHead-nName ){
    rc = SQLITE_CORRUPT_BKPT;
    goto out;
  }
  pRow->nMeta = LSC_MAX_META+1;
  if( typeMeta>=12 && (typeMeta&1)==0 && nMeta<=LSC_MAX_META ){
    memcpy(pRow->aMeta, &a[nHead+nName], nMeta);
    pRow->nMeta = (int)nMeta;
  }
  pName = sqlite3ValueNew(db);
  if( pName ) sqlite3ValueSetStr(pName, (int)nName, &a[nHead], type>=13 && (type&1) ? ENC(db) : SQLITE_UTF8, SQLITE_TRANSIENT);
  pRow->zName = sqlite3_mprintf("%s", sqlite3_value_text(pName));
  if( pRow->zName==0 ) rc = SQLITE_NOMEM_BKPT;
out:
  sqlite3ValueFree(pName);
  sqlite3_free(a);
  return rc;
}

static int lscIndexMetaRead(sqlite3 *db, int iDb, const char *zName, u8 aMeta[LSC_MAX_META+1], int *pn){
  BtCursor cur;
  KeyInfo *pInfo;
  Table *pTab;
  int eof = 0, rc;
  *pn = -1;
  sqlite3BtreeEnter(db->aDb[iDb].pBt);
  rc = metaOpen(db, iDb, 0, &cur, &pInfo, &pTab);
  if( rc==SQLITE_OK ){
    for(rc=sqlite3BtreeFirst(&cur, &eof); rc==SQLITE_OK && !eof && *pn<0; rc=sqlite3BtreeNext(&cur, 0)){
      MetaRow row;
      rc = metaRow(db, &cur, &row);
      if( rc==SQLITE_OK && strcmp(row.zName, zName)==0 ){
        memcpy(aMeta, row.aMeta, sizeof(row.aMeta));
        *pn = row.nMeta;
      }
      sqlite3_free(row.zName);
      if( rc!=SQLITE_OK ) break;
    }
    if( rc==SQLITE_DONE ) rc = SQLITE_OK;
    sqlite3BtreeCloseCursor(&cur);
    sqlite3KeyInfoUnref(pInfo);
  }
  sqlite3BtreeLeave(db->aDb[iDb].pBt);
  return rc==SQLITE_NOTFOUND ? SQLITE_OK : rc;
}

/* The table's rows, of each name the first, but for those that are to go. */
static int metaAll(sqlite3 *db, BtCursor *pCur, const char *zWithout, int bExact, MetaRow **paRow, int *pnRow){
  MetaRow *a = 0;
  int n = 0, i, eof = 0, rc;
  for(rc=sqlite3BtreeFirst(pCur, &eof); rc==SQLITE_OK && !eof; rc=sqlite3BtreeNext(pCur, 0)){
    MetaRow row;
    MetaRow *aNew = 0;
    rc = metaRow(db, pCur, &row);
    if( rc!=SQLITE_OK ) break;
    for(i=0; i<n && strcmp(a[i].zName, row.zName)!=0; i++){}
    if( i<n || (bExact ? strcmp(row.zName, zWithout) : sqlite3StrICmp(row.zName, zWithout))==0 ){
      sqlite3_free(row.zName);
      continue;
    }
    aNew = sqlite3_realloc64(a, sizeof(*a)*((u64)n+1));
    if( aNew==0 ){
      sqlite3_free(row.zName);
      rc = SQLITE_NOMEM_BKPT;
      break;
    }
    a = aNew;
    a[n++] = row;
  }
  *paRow = a;
  *pnRow = n;
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

static int metaInsert(sqlite3 *db, int iDb, BtCursor *pCur, const char *zName, const u8 *aMeta, int nMeta){
  LscIndex format;                  /* what recMake() wants to know */
  sqlite3_value *apValue[2];
  BtreePayload x;
  u8 *a = 0;
  u32 n = 0;
  int rc = SQLITE_NOMEM_BKPT;
  memset(&format, 0, sizeof(format));
  format.db = db;
  format.iFormat = db->aDb[iDb].pSchema->file_format;
  apValue[0] = sqlite3ValueNew(db);
  apValue[1] = sqlite3ValueNew(db);
  if( apValue[0] && apValue[1] ){
    sqlite3ValueSetStr(apValue[0], -1, zName, SQLITE_UTF8, SQLITE_STATIC);
    sqlite3ValueSetStr(apValue[1], nMeta, aMeta, 0, SQLITE_STATIC);
    rc = recMake(&format, apValue, 2, 0, &a, &n);
  }
  if( rc==SQLITE_OK ){
    memset(&x, 0, sizeof(x));
    x.pKey = a;
    x.nKey = n;
    rc = sqlite3BtreeInsert(pCur, &x, 0, 0);
  }
  sqlite3_free(a);
  sqlite3ValueFree(apValue[0]);
  sqlite3ValueFree(apValue[1]);
  return rc;
}

static int lscIndexMetaWrite(sqlite3 *db, int iDb, const char *zName, const u8 *aMeta, int nMeta){
  Btree *pBt = db->aDb[iDb].pBt;
  MetaRow *a = 0;
  BtCursor cur;
  KeyInfo *pInfo;
  Table *pTab;
  int i, n = 0, rc;
  sqlite3BtreeEnter(pBt);
  rc = metaOpen(db, iDb, 1, &cur, &pInfo, &pTab);
  if( rc==SQLITE_OK ){
    lsc_btree_touched(pBt, pTab->tnum);
    rc = metaAll(db, &cur, zName, aMeta!=0, &a, &n);
    sqlite3BtreeClearCursor(&cur);
    if( rc==SQLITE_OK ) rc = sqlite3BtreeClearTable(pBt, (int)pTab->tnum, 0);
    for(i=0; i<n && rc==SQLITE_OK; i++) rc = metaInsert(db, iDb, &cur, a[i].zName, a[i].aMeta, a[i].nMeta);
    if( rc==SQLITE_OK && aMeta ) rc = metaInsert(db, iDb, &cur, zName, aMeta, nMeta);
    sqlite3BtreeCloseCursor(&cur);
    sqlite3KeyInfoUnref(pInfo);
  }
  for(i=0; i<n; i++) sqlite3_free(a[i].zName);
  sqlite3_free(a);
  sqlite3BtreeLeave(pBt);
  return rc;
}
