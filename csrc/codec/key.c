/*
** key.c: how a key reaches a database: PRAGMA, ATTACH, the file name, C. Included by engine.c.
**
**   PRAGMA cipher [= name]      the cipher of the next key; without one, the file tells, and a new file gets aes256cbc
**   PRAGMA key = 'secret'       also hexkey; '' takes the key away. The row "ok" says nothing about the key: the first
**                               read does
**   PRAGMA rekey = 'secret'     also hexrekey; '' leaves the database plain
**   ATTACH ... KEY 'secret'     without KEY the key of main, with KEY '' none
**   file:...?key=&hexkey=&cipher=
**
** x'64 digits' is a key itself, not a passphrase, where the cipher has such keys; so are bytes where the interface tells
** them from text. All of this runs under the connection's mutex.
*/
#define KEY_IN_MEMORY "Setting key not supported for in-memory or temporary databases."

static const LscCipher *lscCipherByName(const char *zName){
  int i;
  for(i=0; i<ArraySize(apLscCipher); i++) if( sqlite3StrICmp(apLscCipher[i]->zName, zName)==0 ) return apLscCipher[i];
  return 0;
}

static int keyCipher(const char *zName, const LscCipher **pp, char **pzErr){
  *pp = 0;
  if( zName==0 || zName[0]==0 ) return SQLITE_OK;
  *pp = lscCipherByName(zName);
  if( *pp ) return SQLITE_OK;
  *pzErr = sqlite3_mprintf("Cipher '%q' unknown.", zName);
  return SQLITE_ERROR;
}

/* What is a key itself as text, x'...', of chacha20 also raw:..., of a length that the cipher may take: its digits. */
static const u8 *keyDigits(const LscCipher *pCipher, const u8 *z, int n, int *pnRaw){
  int i;
  if( n>3 && (z[0]|0x20)=='x' && z[1]=='\'' && z[n-1]=='\'' ){
    z += 2;
    n -= 3;
  }else if( pCipher==&lscChacha && n>4 && memcmp(z, "raw:", 4)==0 ){
    z += 4;
    n -= 4;
  }else{
    return 0;
  }
  *pnRaw = n/2;
  if( (n&1) || (*pnRaw!=32 && *pnRaw!=32+LSC_SALT) ) return 0;
  if( pCipher && *pnRaw!=pCipher->nRaw && *pnRaw!=pCipher->nRawSalt ) return 0;
  for(i=0; i<n; i++) if( !sqlite3Isxdigit(z[i]) ) return 0;
  return z;
}

/* A codec for a key as a user gives it. */
static int keyCodec(
  sqlite3 *db, const LscCipher *pCipher, const void *pKey, int nKey, int bRaw, LscCodec **pp, char **pzErr
){
  u8 aRaw[32+LSC_SALT];
  int nRaw = 0, i, rc;
  const u8 *z = bRaw ? 0 : keyDigits(pCipher, pKey, nKey, &nRaw);
  if( z ){
    for(i=0; i<nRaw; i++) aRaw[i] = (u8)((sqlite3HexToInt(z[2*i])<<4) | sqlite3HexToInt(z[1+2*i]));
    rc = lscCodecNew(pCipher, aRaw, nRaw, 1, pp, pzErr);
    lscWipe(aRaw, sizeof(aRaw));
  }else{
    rc = lscCodecNew(pCipher, pKey, nKey, bRaw, pp, pzErr);
  }
  if( rc==SQLITE_OK && db->pLsc && db->pLsc->nClear && (pCipher==0 || pCipher==&lscSqlcipher) ){
    (*pp)->pCipher = &lscSqlcipher;
    (*pp)->nClear = db->pLsc->nClear;
  }
  return rc;
}

/* The pager of a temporary database that has none of our codecs: it stays in memory from now on. */
static void keyTempStays(sqlite3 *db){
  Pager *p = db->aDb[1].pBt ? sqlite3BtreePager(db->aDb[1].pBt) : 0;
  if( p==0 || p->pLscCodec || p->memDb ) return;
  p->doNotSpill |= SPILLFLAG_OFF;
  p->subjInMemory = 1;
  p->journalMode = PAGER_JOURNALMODE_MEMORY;
}

/* A file that is empty gets the reserved bytes of its codec. */
static int keyNewFile(Btree *p){
  p->pBt->btsFlags &= ~BTS_PAGESIZE_FIXED;
  p->pBt->usableSize = p->pBt->pageSize;
  return sqlite3BtreeSetPageSize(p, 0, 0, 0);
}

/* The database gets another codec, which is owned from here on; NULL: none. */
static int lscKeySet(sqlite3 *db, int iDb, LscCodec *pNew, char **pzErr){
  Btree *p = db->aDb[iDb].pBt;
  Pager *pPager = p ? sqlite3BtreePager(p) : 0;
  i64 nFile = 0;
  int rc = SQLITE_OK;
  if( p==0 || iDb==1 || pPager->tempFile || pPager->memDb ){
    *pzErr = sqlite3_mprintf("%s", KEY_IN_MEMORY);
    lscCodecFree(pNew);
    return SQLITE_ERROR;
  }
  sqlite3BtreeEnter(p);
  if( p->pBt->inTransaction!=TRANS_NONE || p->pBt->pCursor ){
    *pzErr = sqlite3_mprintf("cannot set a key while the database is in use");
    rc = SQLITE_ERROR;
    goto out;
  }
  if( isOpen(pPager->fd) ) rc = sqlite3OsFileSize(pPager->fd, &nFile);
  if( rc!=SQLITE_OK ) goto out;
  if( pPager->eState!=PAGER_OPEN ) pager_unlock(pPager);
  pager_reset(pPager);
  lscCodecFree(pPager->pLscCodec);
  pPager->pLscCodec = pNew;
  pagerFixMaplimit(pPager);
  if( pNew ){
    if( db->pLsc ) db->pLsc->bKeyed = 1;
    keyTempStays(db);
    sqlite3BtreeSecureDelete(p, 1);
  }
  if( nFile==0 ) rc = keyNewFile(p);
  pNew = 0;
  sqlite3ExpirePreparedStatements(db, 0);
  sqlite3ResetOneSchema(db, iDb);
out:
  sqlite3BtreeLeave(p);
  lscCodecFree(pNew);
  return rc;
}

/* sqlite3BtreeSetPageSize() is about to set these. */
static void lsc_page_size(BtShared *pBt, int *pnPage, int *pnReserve){
  LscCodec *p = pBt->pPager->pLscCodec;
  if( p==0 || p->pCipher==0 ) return;
  if( *pnReserve<p->pCipher->nReserve ) *pnReserve = p->pCipher->nReserve;
  if( p->pCipher->nReserve>32 && *pnPage<=0 && pBt->pageSize==512 ) *pnPage = 1024;
}

/* It stays on under a key: a page that was never written could not be told from a changed one. */
static void lsc_secure_delete(Btree *p){
  if( p->pBt->pPager->pLscCodec ){
    p->pBt->btsFlags &= ~BTS_FAST_SECURE;
    p->pBt->btsFlags |= BTS_SECURE_DELETE;
  }
}

static int keyFindDb(sqlite3 *db, const char *zDb){
  return zDb ? sqlite3FindDbName(db, zDb) : 0;
}

/* The end of a call from C: the error is the connection's. */
static int keyLeave(sqlite3 *db, int rc, char *zErr){
  if( rc!=SQLITE_OK && zErr ) sqlite3ErrorWithMsg(db, rc, "%s", zErr);
  else sqlite3Error(db, rc);
  sqlite3_free(zErr);
  rc = sqlite3ApiExit(db, rc);
  sqlite3_mutex_leave(db->mutex);
  return rc;
}

static int keyApi(sqlite3 *db, const char *zDb, const char *zCipher, const void *pKey, int nKey, int bRaw, int bRekey){
  const LscCipher *pCipher = 0;
  LscCodec *pNew = 0;
  char *zErr = 0;
  int iDb, rc = SQLITE_OK;
  if( !sqlite3SafetyCheckOk(db) ) return SQLITE_MISUSE_BKPT;
  if( pKey && nKey<0 ) nKey = sqlite3Strlen30(pKey);
  sqlite3_mutex_enter(db->mutex);
  iDb = keyFindDb(db, zDb);
  if( iDb<0 ){
    zErr = sqlite3_mprintf("unknown database: %s", zDb);
    rc = SQLITE_ERROR;
  }
  if( rc==SQLITE_OK ) rc = keyCipher(zCipher, &pCipher, &zErr);
  if( rc==SQLITE_OK && pCipher==0 && db->pLsc ) pCipher = db->pLsc->pCipher;
  if( rc==SQLITE_OK && pKey && nKey>0 ){
    if( bRekey && pCipher==0 ) pCipher = lscRekeyCipher(db, iDb);
    rc = keyCodec(db, pCipher, pKey, nKey, bRaw, &pNew, &zErr);
  }
  if( rc==SQLITE_OK ) rc = bRekey ? lscRekey(db, iDb, pNew, &zErr) : lscKeySet(db, iDb, pNew, &zErr);
  return keyLeave(db, rc, zErr);
}

int lsc_codec_open(sqlite3 *db, const char *zDb, const char *zCipher, const void *pKey, int nKey, int bRaw){
  return keyApi(db, zDb, zCipher, pKey, nKey, bRaw, 0);
}
int lsc_codec_rekey(sqlite3 *db, const char *zDb, const char *zCipher, const void *pKey, int nKey, int bRaw){
  return keyApi(db, zDb, zCipher, pKey, nKey, bRaw, 1);
}
int sqlite3_key(sqlite3 *db, const void *pKey, int nKey){ return keyApi(db, 0, 0, pKey, nKey, 0, 0); }
int sqlite3_key_v2(sqlite3 *db, const char *zDb, const void *pKey, int nKey){
  return keyApi(db, zDb, 0, pKey, nKey, 0, 0);
}
int sqlite3_rekey(sqlite3 *db, const void *pKey, int nKey){ return keyApi(db, 0, 0, pKey, nKey, 0, 1); }
int sqlite3_rekey_v2(sqlite3 *db, const char *zDb, const void *pKey, int nKey){
  return keyApi(db, zDb, 0, pKey, nKey, 0, 1);
}

/* Codes a row of one text. */
static void keyRow(Parse *pParse, const char *zName, const char *zValue){
  Vdbe *v = sqlite3GetVdbe(pParse);
  if( v==0 ) return;
  sqlite3VdbeSetNumCols(v, 1);
  sqlite3VdbeSetColName(v, 0, COLNAME_NAME, zName, SQLITE_STATIC);
  returnSingleText(v, zValue);
}

static void keyPragmaSet(Parse *pParse, int iDb, const char *zValue, int bHex, int bRekey){
  sqlite3 *db = pParse->db;
  const LscCipher *pCipher = db->pLsc->pCipher;
  LscCodec *pNew = 0;
  char *zErr = 0;
  void *pHex = 0;
  int n = sqlite3Strlen30(zValue), i, rc = SQLITE_OK;
  Vdbe *v = sqlite3GetVdbe(pParse);
  if( v==0 ) return;
  v->lsc.bSecret = LSC_SECRET_PRAGMA;
  if( bHex ){
    for(i=0; i<n && sqlite3Isxdigit(zValue[i]); i++){}
    if( i<n || (n&1) ){
      zErr = sqlite3_mprintf("Malformed hex string");
      rc = SQLITE_ERROR;
    }else{
      pHex = sqlite3HexToBlob(db, zValue, n);
      n /= 2;
      if( pHex==0 ) rc = SQLITE_NOMEM_BKPT;
    }
  }
  if( bRekey && pCipher==0 ) pCipher = lscRekeyCipher(db, iDb);
  if( rc==SQLITE_OK && n>0 ) rc = keyCodec(db, pCipher, bHex ? pHex : zValue, n, 0, &pNew, &zErr);
  if( rc==SQLITE_OK ) rc = bRekey ? lscRekey(db, iDb, pNew, &zErr) : lscKeySet(db, iDb, pNew, &zErr);
  if( pHex ) lscWipe(pHex, (size_t)n);
  sqlite3DbFree(db, pHex);
  if( rc!=SQLITE_OK ){
    sqlite3ErrorMsg(pParse, "%s", zErr ? zErr : lsc_error_text(db, rc));
    pParse->rc = rc;
  }else{
    keyRow(pParse, bRekey ? "rekey" : "key", "ok");
  }
  sqlite3_free(zErr);
}

/* The two settings of SQLCipher's plaintext header: its size in front of the key or behind it, the salt behind. */
static int keyPragmaHeader(Parse *pParse, int iDb, const char *zName, const char *zValue){
  Btree *p = pParse->db->aDb[iDb].pBt;
  LscCodec *pCodec = p ? sqlite3BtreePager(p)->pLscCodec : 0;
  int n = zValue ? sqlite3Strlen30(zValue) : 0, i;
  if( pCodec && pCodec->pCipher && pCodec->pCipher!=&lscSqlcipher ) return 0;
  if( zValue && sqlite3StrICmp(zName, "plaintext_header_size")==0 ){
    i = sqlite3Atoi(zValue);
    if( i<0 || i>96 || i%16 || i==16 ){
      sqlite3ErrorMsg(pParse, "a plaintext header has 0, 32, 48, 64, 80 or 96 bytes");
      return 1;
    }
    pParse->db->pLsc->nClear = (u8)i;
    if( pCodec==0 ) return 1;
    pCodec->nClear = (u8)i;
  }else if( zValue && pCodec && sqlite3StrICmp(zName, "salt")==0 ){
    for(i=2; i<n-1 && sqlite3Isxdigit(zValue[i]); i++){}
    if( n!=3+2*LSC_SALT || (zValue[0]|0x20)!='x' || zValue[1]!='\'' || i!=n-1 ){
      sqlite3ErrorMsg(pParse, "a salt is x'32 digits'");
      return 1;
    }
    for(i=0; i<LSC_SALT; i++){
      pCodec->aSalt[i] = (u8)((sqlite3HexToInt(zValue[2+2*i])<<4) | sqlite3HexToInt(zValue[3+2*i]));
    }
    pCodec->bSalt = 1;
  }else if( pCodec && pCodec->bKeys && sqlite3StrICmp(zName, "salt")==0 ){
    char zSalt[2*LSC_SALT+1];
    for(i=0; i<LSC_SALT; i++) sqlite3_snprintf(3, zSalt+2*i, "%02x", pCodec->keys.aSalt[i]);
    keyRow(pParse, "cipher_salt", zSalt);
    return 1;
  }else{
    return 0;
  }
  pCodec->pCipher = &lscSqlcipher;
  pCodec->bKeys = pCodec->bProven = 0;
  if( sqlite3BtreePager(p)->dbSize==0 && (p->pBt->btsFlags & BTS_PAGESIZE_FIXED)==0 ) (void)keyNewFile(p);
  return 1;
}

static int lscKeyPragma(Parse *pParse, int iDb, const char *zName, const char *zValue){
  static const struct { const char *zName; u8 bHex, bRekey; } aKey[] = {
    { "key", 0, 0 }, { "hexkey", 1, 0 }, { "rekey", 0, 1 }, { "hexrekey", 1, 1 },
  };
  LscConn *pConn = pParse->db->pLsc;
  int i;
  if( sqlite3StrICmp(zName, "cipher")==0 ){
    Btree *p = pParse->db->aDb[iDb].pBt;
    LscCodec *pCodec = p ? sqlite3BtreePager(p)->pLscCodec : 0;
    const LscCipher *pCipher = pConn->pCipher;
    if( zValue ){
      char *zErr = 0;
      if( keyCipher(zValue, &pCipher, &zErr)!=SQLITE_OK ){
        sqlite3ErrorMsg(pParse, "%s", zErr);
        sqlite3_free(zErr);
        return 1;
      }
      pConn->pCipher = pCipher;
    }else if( pCodec && pCodec->pCipher ){
      pCipher = pCodec->pCipher;
    }
    keyRow(pParse, "cipher", (pCipher ? pCipher : &lscCbc)->zName);
    return 1;
  }
  if( sqlite3StrNICmp(zName, "cipher_", 7)==0 ) return keyPragmaHeader(pParse, iDb, zName+7, zValue);
  for(i=0; i<ArraySize(aKey); i++){
    if( sqlite3StrICmp(zName, aKey[i].zName)!=0 ) continue;
    if( zValue ) keyPragmaSet(pParse, iDb, zValue, aKey[i].bHex, aKey[i].bRekey);
    return 1;
  }
  return 0;
}

/* The statement has a KEY clause. */
static void lsc_key_clause(Parse *pParse){
  Vdbe *v = sqlite3GetVdbe(pParse);
  if( v ) v->lsc.bSecret = LSC_SECRET_CLAUSE;
}

/* The text that a statement shows. Of one with a key only the beginning, up to the key; an ATTACH is compiled anew from
** the whole text, which lsc_whole_text() gives. */
static char *lsc_statement_text(Vdbe *p, const char *z, int n){
  int i = 0, nToken, type = 0, prev = 0;
  char *zOut;
  if( p->lsc.bSecret==0 ) return sqlite3DbStrNDup(p->db, z, (u64)n);
  for(; i<n; i+=nToken){
    nToken = (int)sqlite3GetToken((const u8*)z+i, &type);
    if( type==TK_SPACE || type==TK_COMMENT ) continue;
    if( p->lsc.bSecret==LSC_SECRET_CLAUSE ? type==TK_KEY && prev!=TK_AS : type==TK_EQ || type==TK_LP ) break;
    prev = type;
  }
  if( p->lsc.bSecret!=LSC_SECRET_CLAUSE ) return sqlite3DbStrNDup(p->db, z, (u64)i);
  zOut = sqlite3MPrintf(p->db, "%.*s%s", i, z, i<n ? "KEY ***" : "");
  p->lsc.zWhole = sqlite3DbStrNDup(p->db, z, (u64)n);
  return zOut;
}

static const char *lsc_whole_text(Vdbe *p){ return p->lsc.zWhole ? p->lsc.zWhole : p->zSql; }

/* The parameters of the file name of a database: 1 if there was a key among them. */
static int keyOfName(sqlite3 *db, int iDb, int *pbFound, char **pzErr){
  const char *zFile = sqlite3PagerFilename(sqlite3BtreePager(db->aDb[iDb].pBt), 0);
  const char *zKey, *zHex, *zCipher;
  const LscCipher *pCipher = 0;
  LscCodec *pNew = 0;
  u8 *aHex = 0;
  int rc, n;
  *pbFound = 0;
  if( zFile==0 || zFile[0]==0 ) return SQLITE_OK;
  zKey = sqlite3_uri_parameter(zFile, "key");
  zHex = sqlite3_uri_parameter(zFile, "hexkey");
  zCipher = sqlite3_uri_parameter(zFile, "cipher");
  rc = keyCipher(zCipher, &pCipher, pzErr);
  if( pCipher==0 && db->pLsc ) pCipher = db->pLsc->pCipher;
  if( rc!=SQLITE_OK || (zKey==0 && zHex==0) ) return rc;
  *pbFound = 1;
  n = sqlite3Strlen30(zKey ? zKey : zHex);
  if( zKey==0 ){
    int i;
    for(i=0; i<n && sqlite3Isxdigit(zHex[i]); i++){}
    if( i<n || (n&1) ){
      *pzErr = sqlite3_mprintf("Malformed hex string");
      return SQLITE_ERROR;
    }
    aHex = sqlite3HexToBlob(db, zHex, n);
    if( aHex==0 ) return SQLITE_NOMEM_BKPT;
    n /= 2;
  }
  if( n ) rc = keyCodec(db, pCipher, aHex ? (const void*)aHex : zKey, n, 0, &pNew, pzErr);
  if( aHex ) lscWipe(aHex, (size_t)n);
  sqlite3DbFree(db, aHex);
  return rc==SQLITE_OK && pNew ? lscKeySet(db, iDb, pNew, pzErr) : rc;
}

/* The database was attached, nothing was read from it. The text of an error is for sqlite3DbFree(). */
static int lsc_attach_key(sqlite3 *db, sqlite3_value *pKey, char **pzErr){
  int iDb = db->nDb-1, iFrom = 0, bFound = 0, rc;
  Pager *pPager = sqlite3BtreePager(db->aDb[iDb].pBt);
  LscCodec *pNew = 0, *pFrom;
  char *zErr = 0;
  if( pPager->tempFile || pPager->memDb ) return SQLITE_OK;
  rc = keyOfName(db, iDb, &bFound, &zErr);
  if( rc==SQLITE_OK && !bFound ){
    switch( sqlite3_value_type(pKey) ){
      case SQLITE_NULL:
        if( db->pLsc && db->pLsc->iVacuum ) iFrom = db->pLsc->iVacuum-1;
        pFrom = sqlite3BtreePager(db->aDb[iFrom].pBt)->pLscCodec;
        if( pFrom ) rc = lscCodecNew(pFrom->pCipher, pFrom->aSecret, pFrom->nSecret, pFrom->bRaw, &pNew, &zErr);
        if( pNew ) pNew->nClear = pFrom->nClear;
        break;
      case SQLITE_TEXT:
      case SQLITE_BLOB: {
        int bRaw = sqlite3_value_type(pKey)==SQLITE_BLOB;
        const void *p = bRaw ? sqlite3_value_blob(pKey) : sqlite3_value_text(pKey);
        int n = sqlite3_value_bytes(pKey);
        if( p && n ) rc = keyCodec(db, db->pLsc ? db->pLsc->pCipher : 0, p, n, bRaw, &pNew, &zErr);
        break;
      }
      default:
        zErr = sqlite3_mprintf("Invalid key value");
        rc = SQLITE_ERROR;
    }
    if( rc==SQLITE_OK && pNew ) rc = lscKeySet(db, iDb, pNew, &zErr);
  }
  if( zErr ) *pzErr = sqlite3DbStrDup(db, zErr);
  sqlite3_free(zErr);
  return rc;
}

/* The connection can run SQL. */
static int lscKeyStart(sqlite3 *db){
  int bFound, rc;
  char *zErr = 0;
  rc = keyOfName(db, 0, &bFound, &zErr);
  sqlite3_free(zErr);
  return rc;
}

/* VACUUM has attached its database: the bytes to reserve in its pages. A page size cannot change under a key in place. */
static int lsc_vacuum_reserve(sqlite3 *db, int iDb, Btree *pTo, int bInto, int nReserve){
  LscCodec *p = sqlite3BtreePager(db->aDb[iDb].pBt)->pLscCodec;
  LscCodec *pOut = bInto ? sqlite3BtreePager(pTo)->pLscCodec : p;
  if( !bInto && p ) db->nextPagesize = 0;
  if( !bInto && db->pLsc && db->pLsc->bReserve ) nReserve = db->pLsc->nReserve;
  else if( bInto && (p || pOut) ) nReserve = pOut && pOut->pCipher ? pOut->pCipher->nReserve : 0;
  return nReserve;
}
