/*
** index_entry.c: the directory of an index: nodes from all over it, with their vectors, that a search which has nothing
** in memory begins at. Included by engine.c.
**
** It lies behind the block of the node that the metadata names as the one to begin at, in the same value, where libSQL
** does not look:
**
**   0         4          "LSCd"
**   4         4          M, the number of its nodes
**   8         4          beam: what lscGraphBeam() was when the index was built; 0: not known
**   12        4          places that were given to other nodes since
**   16        8          rows that the index had then
**   24        M*8        ids of the nodes
**   24+M*8    M*nEdge    their vectors in the edge type
**
** It is a hint. libSQL does not keep it up: a node may be gone or have another vector, and with the node that it lies
** at all of it may go. We keep it up: a node that goes leaves its place to one of its neighbours, some of the new ones
** take places of others, and the directory moves when the node that it lies at goes. What was read is kept beside the
** graph, as long as the connection may keep anything.
*/
enum { DIR_HEAD=24, DIR_MOST=512, DIR_LEAST=4, DIR_BYTES=96*1024, DIR_TRIED=4 };

static u32 dirBytes(const LscIndexParams *p, u32 n){ return DIR_HEAD + n*(8 + p->nEdge); }
static i64 dirId(const LscIndex *p, u32 i){ return (i64)ixGet8(&p->aDir[DIR_HEAD + 8*i]); }
static u32 dirVectorAt(const LscIndex *p, u32 i){ return DIR_HEAD + 8*p->nDir + i*p->par.nEdge; }

/* What is broken is not wanted. */
static int ixExcuse(LscIndex *p){
  sqlite3_free(p->zErr);
  p->zErr = 0;
  return SQLITE_OK;
}

static void dirForget(LscIndex *p){
  sqlite3_free(p->aDir);
  p->aDir = 0;
  p->nDir = 0;
  p->bDir = 0;
}

/* Reads it, unless that was done. None, or a broken one, is no error. */
static int dirRead(LscIndex *p, LscRows *pRows){
  const LscIndexParams *pPar = &p->par;
  u32 n;
  int found = 0, rc;
  if( p->bDir ) return SQLITE_OK;
  if( pPar->bEntry && !pPar->bCompact ){
    rc = rowsSeek(pRows, pPar->iEntry, &found);
    if( rc!=SQLITE_OK ) found = 0;
    if( rc==SQLITE_CORRUPT_VTAB ) rc = ixExcuse(p);
    if( rc!=SQLITE_OK ) return rc;
  }
  p->bDir = 1;
  if( !found || pRows->nData<pPar->nBlock+dirBytes(pPar, 1) ) return SQLITE_OK;
  n = pRows->nData - pPar->nBlock;
  if( n>dirBytes(pPar, DIR_LEAST) + DIR_BYTES ) return SQLITE_OK;
  p->aDir = sqlite3_malloc64(n);
  if( p->aDir==0 ){
    p->bDir = 0;
    return SQLITE_NOMEM_BKPT;
  }
  rc = rowsRead(pRows, pPar->nBlock, n, p->aDir);
  if( rc==SQLITE_OK && memcmp(p->aDir, "LSCd", 4)==0 ){
    memcpy(&p->nDir, &p->aDir[4], 4);
    if( p->nDir>=1 && p->nDir<=DIR_MOST && dirBytes(pPar, p->nDir)==n ) return SQLITE_OK;
  }
  dirForget(p);
  p->bDir = rc==SQLITE_OK;
  return rc;
}

/* Its nodes that are nearest to a vector of the column's type, at most nMost, nearest first: numbers of places. */
static int dirNearest(LscIndex *p, const u8 *aData, u32 *aPlace, u32 nMost, u32 *pn){
  float *aNear = sqlite3_malloc64(sizeof(float)*(u64)nMost + p->par.nEdge);
  u8 *aEdge;
  u32 i, j, n = 0;
  int rc;
  *pn = 0;
  if( aNear==0 ) return SQLITE_NOMEM_BKPT;
  aEdge = (u8*)&aNear[nMost];
  rc = ixToEdge(&p->par, aData, aEdge);
  for(i=0; i<p->nDir && rc==SQLITE_OK; i++){
    float d = ixDistance(&p->par, p->par.edgeType, aEdge, &p->aDir[dirVectorAt(p, i)]);
    if( !(d<INFINITY) || (n==nMost && d>=aNear[n-1]) ) continue;
    for(j=n<nMost ? n++ : n-1; j>0 && aNear[j-1]>d; j--){
      aNear[j] = aNear[j-1];
      aPlace[j] = aPlace[j-1];
    }
    aNear[j] = d;
    aPlace[j] = i;
  }
  sqlite3_free(aNear);
  *pn = n;
  return rc;
}

/* The beam that it names, or 0 if a good part of the rows came or went since: a place is given away for about one of
** nRow/nDir that go. */
static u32 dirBeam(const LscIndex *p){
  u32 beam, nGiven;
  i64 nRow;
  if( p->nDir==0 ) return 0;
  memcpy(&beam, &p->aDir[8], 4);
  memcpy(&nGiven, &p->aDir[12], 4);
  nRow = (i64)ixGet8(&p->aDir[16]);
  return nGiven<=p->nDir/4 && p->nRow/2<=nRow ? beam : 0;
}

/* ---- making one ---- */

/* Moves to a row, on each page to any of its cells. */
static int rowsAny(LscRows *pRows, u64 *pDice, int *pFound){
  BtCursor *pCur = &pRows->cur;
  int rc = moveToRoot(pCur);
  *pFound = rc==SQLITE_OK;
  if( rc==SQLITE_EMPTY ) return SQLITE_OK;
  while( rc==SQLITE_OK ){
    MemPage *pPage = pCur->pPage;
    u32 nCell = pPage->nCell, iCell;
    *pDice = *pDice*6364136223846793005u + 1442695040888963407u;
    iCell = (u32)((*pDice>>33)*(nCell + (u64)(pPage->leaf==0))>>31);
    pCur->ix = (u16)iCell;
    if( pPage->leaf ) break;
    rc = moveToChild(pCur, get4byte(iCell==nCell ? &pPage->aData[pPage->hdrOffset+8] : findCell(pPage, iCell)));
  }
  pCur->info.nSize = 0;
  pCur->curFlags &= (u8)~(BTCF_ValidNKey|BTCF_ValidOvfl|BTCF_AtLast);
  return rc==SQLITE_OK ? rowsHeader(pRows) : rc;
}

/* Of n vectors in the edge type some that are far from each other; their number, and they are put in front in aPick. */
static u32 dirSpread(const LscIndexParams *p, const u8 *aEdge, u32 n, u32 nMost, float *aFar, u32 *aPick){
  u32 i, iNext = 0, nPick = 0;
  float far = INFINITY;
  for(i=0; i<n; i++) aFar[i] = INFINITY;
  while( nPick<nMost && nPick<n && far>0.0f ){
    const u8 *aNew = &aEdge[(u64)iNext*p->nEdge];
    aPick[nPick++] = iNext;
    far = 0.0f;
    aFar[iNext] = 0.0f;
    for(i=0; i<n; i++){
      float d = aFar[i]>0.0f ? ixDistance(p, p->edgeType, aNew, &aEdge[(u64)i*p->nEdge]) : 0.0f;
      if( !(d>=aFar[i]) ) aFar[i] = d>0.0f ? d : 0.0f;
      if( aFar[i]>far ){
        far = aFar[i];
        iNext = i;
      }
    }
  }
  return nPick;
}

/* Writes the row of a node anew, with these bytes behind its block. The cursor is at it. */
static int dirPut(LscIndex *p, LscRows *pRows, const u8 *aDir, u32 nDir){
  const LscIndexParams *pPar = &p->par;
  sqlite3_value *pKey = 0;
  u8 *a = sqlite3_malloc64((u64)pPar->nBlock + nDir);
  i64 id = rowsId(pRows);
  BtCursor cur;
  int rc = a ? rowsRead(pRows, 0, pPar->nBlock, a) : SQLITE_NOMEM_BKPT;
  if( rc==SQLITE_OK ) rc = rowsKey(pRows, &pKey);
  if( rc==SQLITE_OK ){
    memcpy(&a[pPar->nBlock], aDir, nDir);
    rc = treeOpen(p, p->iRoot, 0, 1, &cur);
    if( rc==SQLITE_OK ) rc = rowInsert(p, &cur, id, pKey, a, pPar->nBlock + nDir, 0);
    sqlite3BtreeCloseCursor(&cur);
  }
  sqlite3ValueFree(pKey);
  sqlite3_free(a);
  return rc;
}

/* Notes the node to begin at in the metadata. */
static int ixSetEntry(LscIndex *p, i64 id){
  u8 aMeta[LSC_MAX_META+1];
  int n, i, rc = lscIndexMetaRead(p->db, p->iDb, p->zName, aMeta, &n);
  if( rc!=SQLITE_OK || n<0 ) return rc;
  n -= n%9;
  for(i=0; i<n && aMeta[i]!=META_ENTRY; i+=9){}
  if( i+9>LSC_MAX_META ) return SQLITE_OK;
  aMeta[i] = META_ENTRY;
  ixPut8(&aMeta[i+1], (u64)id);
  p->par.bEntry = 1;
  p->par.iEntry = id;
  return lscIndexMetaWrite(p->db, p->iDb, p->zName, aMeta, i==n ? n+9 : n);
}

/* Makes the directory of an index that was just filled with nRow rows, at the node that the metadata name. */
static int dirMake(LscIndex *p, i64 nRow, u32 beam){
  const LscIndexParams *pPar = &p->par;
  u32 nMost = (u32)MIN(sqrt((double)nRow), DIR_MOST), nTried, i, *aPick = 0;
  u64 dice = 0x9e3779b97f4a7c15u;
  u8 *aEdge = 0, *aDir = 0;
  i64 *aId = 0;
  float *aFar = 0;
  LscRows rows;
  int found = 1, rc;
  dirForget(p);
  if( pPar->bCompact || !pPar->bEntry || nRow<=LSC_SMALL ) return SQLITE_OK;
  nMost = MIN(nMost, MAX(DIR_BYTES/(8 + pPar->nEdge), DIR_LEAST));
  nTried = DIR_TRIED*nMost;
  aEdge = sqlite3_malloc64((u64)nTried*pPar->nEdge);
  aId = sqlite3_malloc64(nTried*(sizeof(*aId) + sizeof(*aFar) + sizeof(*aPick)));
  aDir = sqlite3_malloc64(dirBytes(pPar, nMost));
  rc = aEdge && aId && aDir ? rowsOpen(p, 0, &rows) : SQLITE_NOMEM_BKPT;
  if( rc!=SQLITE_OK ) goto out;
  aFar = (float*)&aId[nTried];
  aPick = (u32*)&aFar[nTried];
  for(i=0; i<nTried && rc==SQLITE_OK; i++){
    rc = rowsAny(&rows, &dice, &found);
    if( rc==SQLITE_OK && !found ) nTried = i;
    if( rc!=SQLITE_OK || !found ) break;
    aId[i] = rowsId(&rows);
    rc = rowsRead(&rows, pPar->nHead, pPar->nNode, p->aBlock);
    if( rc==SQLITE_OK ) rc = ixToEdge(pPar, p->aBlock, &aEdge[(u64)i*pPar->nEdge]);
  }
  if( rc==SQLITE_OK && nTried>0 ){
    u32 n = dirSpread(pPar, aEdge, nTried, nMost, aFar, aPick);
    memset(aDir, 0, DIR_HEAD);
    memcpy(aDir, "LSCd", 4);
    memcpy(&aDir[4], &n, 4);
    memcpy(&aDir[8], &beam, 4);
    ixPut8(&aDir[16], (u64)nRow);
    for(i=0; i<n; i++){
      ixPut8(&aDir[DIR_HEAD + 8*i], (u64)aId[aPick[i]]);
      memcpy(&aDir[DIR_HEAD + 8*n + i*pPar->nEdge], &aEdge[(u64)aPick[i]*pPar->nEdge], pPar->nEdge);
    }
    rc = rowsSeek(&rows, pPar->iEntry, &found);
    if( rc==SQLITE_OK && found ) rc = dirPut(p, &rows, aDir, dirBytes(pPar, n));
  }
  rowsClose(&rows);
out:
  sqlite3_free(aEdge);
  sqlite3_free(aId);
  sqlite3_free(aDir);
  return rc;
}

/* ---- keeping it up ---- */

/* The place of a node, or nDir. */
static u32 dirPlace(const LscIndex *p, i64 id){
  u32 i;
  for(i=0; i<p->nDir && dirId(p, i)!=id; i++){}
  return i;
}

/* Another node takes a place. */
static int dirSet(LscIndex *p, LscRows *pRows, u32 iPlace, i64 id, const u8 *aEdge){
  u8 *aId = &p->aDir[DIR_HEAD + 8*iPlace], *aVector = &p->aDir[dirVectorAt(p, iPlace)];
  u32 n;
  int found, rc = rowsSeek(pRows, p->par.iEntry, &found);
  if( rc!=SQLITE_OK || !found || pRows->nData<p->par.nBlock+dirBytes(&p->par, p->nDir) ) return rc;
  ixPut8(aId, (u64)id);
  memcpy(aVector, aEdge, p->par.nEdge);
  memcpy(&n, &p->aDir[12], 4);
  n++;
  memcpy(&p->aDir[12], &n, 4);
  rc = rowsWrite(pRows, p->par.nBlock + 12, 4, &p->aDir[12]);
  if( rc==SQLITE_OK ) rc = rowsWrite(pRows, p->par.nBlock + DIR_HEAD + 8*iPlace, 8, aId);
  return rc==SQLITE_OK ? rowsWrite(pRows, p->par.nBlock + dirVectorAt(p, iPlace), p->par.nEdge, aVector) : rc;
}

/* The place of one of the two nodes that are nearest to each other, if they are nearer than a vector is to all; else
** nDir. */
static u32 dirWorst(const LscIndex *p, const u8 *aEdge){
  const LscIndexParams *pPar = &p->par;
  float near = INFINITY, least;
  u32 i, j, iWorst = p->nDir;
  for(i=0; i<p->nDir; i++){
    float d = ixDistance(pPar, pPar->edgeType, aEdge, &p->aDir[dirVectorAt(p, i)]);
    if( d<near ) near = d;
  }
  least = near;
  for(i=0; i<p->nDir; i++){
    for(j=0; j<i; j++){
      float d = ixDistance(pPar, pPar->edgeType, &p->aDir[dirVectorAt(p, j)], &p->aDir[dirVectorAt(p, i)]);
      if( !(d<least) ) continue;
      least = d;
      iWorst = i;
    }
  }
  return iWorst;
}

/* A row came. One of so many may take the place of a node that has another near, so that what is new can be found. */
static int dirInserted(LscIndex *p, LscRows *pRows, i64 id, const u8 *aData){
  u64 nRow;
  u32 iPlace;
  u8 *aEdge;
  int rc = dirRead(p, pRows);
  if( rc!=SQLITE_OK || p->nDir==0 ) return rc;
  nRow = p->nRow>0 ? (u64)p->nRow : ixGet8(&p->aDir[16]);
  if( graphMix(id)%(nRow/p->nDir + 1)!=0 || dirPlace(p, id)<p->nDir ) return SQLITE_OK;
  aEdge = sqlite3_malloc64(p->par.nEdge);
  rc = aEdge ? ixToEdge(&p->par, aData, aEdge) : SQLITE_NOMEM_BKPT;
  iPlace = rc==SQLITE_OK ? dirWorst(p, aEdge) : p->nDir;
  if( iPlace<p->nDir ) rc = dirSet(p, pRows, iPlace, id, aEdge);
  sqlite3_free(aEdge);
  return rc;
}

/* The neighbour of a node that is to take its place: its id, and its vector at p->aBlock. */
static int dirHeir(LscIndex *p, LscRows *pRows, i64 id, i64 *pHeir, int *pFound){
  const LscIndexParams *pPar = &p->par;
  u8 *aSlots = 0;
  u32 nTo, i, iSlot = 0;
  int rc = rowsSeek(pRows, id, pFound), res = 0;
  if( rc!=SQLITE_OK || !*pFound ) return rc;
  *pFound = 0;
  rc = rowsRead(pRows, 8, 2, p->aBlock);
  nTo = ixGet2(p->aBlock);
  if( rc!=SQLITE_OK || nTo==0 || nTo>pPar->nCap ) return rc;
  aSlots = sqlite3_malloc64(16*(u64)nTo);
  rc = aSlots ? rowsRead(pRows, ixSlotAt(pPar, 0), nTo*16, aSlots) : SQLITE_NOMEM_BKPT;
  for(i=0; i<nTo && rc==SQLITE_OK && !*pFound; i++){
    *pHeir = (i64)ixGet8(&aSlots[16*i+8]);
    iSlot = i;
    if( *pHeir==id || dirPlace(p, *pHeir)<p->nDir ) continue;
    rc = sqlite3BtreeTableMoveto(&pRows->cur, *pHeir, 0, &res);
    *pFound = rc==SQLITE_OK && res==0;
  }
  sqlite3_free(aSlots);
  if( rc!=SQLITE_OK || !*pFound ) return rc;
  rc = rowsSeek(pRows, id, pFound);
  return rc==SQLITE_OK ? rowsRead(pRows, ixVectorAt(pPar, iSlot), pPar->nEdge, p->aBlock) : rc;
}

/* A row is about to go. */
static int dirDeleting(LscIndex *p, LscRows *pRows, i64 id){
  i64 heir = 0;
  u32 i;
  int found = 0, rc = dirRead(p, pRows);
  if( rc!=SQLITE_OK || p->nDir==0 ) return rc;
  i = dirPlace(p, id);
  if( i<p->nDir ){
    rc = dirHeir(p, pRows, id, &heir, &found);
    if( rc==SQLITE_CORRUPT_VTAB ) rc = ixExcuse(p);      /* it may go all the same */
    if( rc==SQLITE_OK && found ) rc = dirSet(p, pRows, i, heir, p->aBlock);
  }
  if( rc!=SQLITE_OK || id!=p->par.iEntry ) return rc;
  for(i=0, found=0; i<p->nDir && rc==SQLITE_OK && !found; i++){
    if( dirId(p, i)!=id ) rc = rowsSeek(pRows, dirId(p, i), &found);
  }
  if( rc==SQLITE_OK && found ){
    heir = rowsId(pRows);
    rc = dirPut(p, pRows, p->aDir, dirBytes(&p->par, p->nDir));
    if( rc==SQLITE_OK ) rc = ixSetEntry(p, heir);
  }
  return rc;
}
