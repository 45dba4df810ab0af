/*
** index_survey.c: all blocks of an index, read one by one and compared. Included by engine.c; index_check.c shows what
** comes out.
**
** A survey looks at rows alone, not at what the connection keeps. It holds in memory for each node its id, its edges and
** its vector in the edge type. Nothing that a file may contain stops it: what cannot be read is a problem that is noted.
*/

typedef struct LscProblem {
  i64 id;                           /* of the node */
  sqlite3_value *pKey;              /* owned: the key, if there is one but no node */
  char *zText;                      /* owned */
} LscProblem;

typedef struct LscSurvey {
  LscIndex *p;
  LscRows rows;
  i64 n, nAlloc;                    /* nodes, by ascending id */
  i64 *aId;                         /* owned, as are the others */
  u64 *aFirst;                      /* where the node's edges begin in aTo */
  u8 *aEdge;                        /* nEdge bytes for each */
  u8 *aBroken;                      /* the block cannot be read */
  i64 *aTo;                         /* numbers of nodes; -1: dead */
  u64 nTo, nToAlloc;
  u32 *aIn;                         /* edges that lead to the node */
  i64 nOrphan, nDead;
  u64 nPage;                        /* of the shadow table and its indexes */
  LscProblem *aProblem;
  int nProblem;
} LscSurvey;

static void surveyClear(LscSurvey *s){
  int i;
  for(i=0; i<s->nProblem; i++){
    sqlite3_free(s->aProblem[i].zText);
    sqlite3ValueFree(s->aProblem[i].pKey);
  }
  sqlite3_free(s->aProblem);
  sqlite3_free(s->aId);
  sqlite3_free(s->aFirst);
  sqlite3_free(s->aEdge);
  sqlite3_free(s->aBroken);
  sqlite3_free(s->aTo);
  sqlite3_free(s->aIn);
}

/* Notes a problem; takes the key. */
static int surveyNote(LscSurvey *s, i64 id, sqlite3_value *pKey, const char *zFormat, ...){
  LscProblem *a = sqlite3_realloc64(s->aProblem, sizeof(*a)*((u64)s->nProblem+1));
  va_list ap;
  char *z;
  va_start(ap, zFormat);
  z = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  if( a ) s->aProblem = a;
  if( a==0 || z==0 ){
    sqlite3_free(z);
    sqlite3ValueFree(pKey);
    return SQLITE_NOMEM_BKPT;
  }
  a[s->nProblem].id = id;
  a[s->nProblem].pKey = pKey;
  a[s->nProblem++].zText = z;
  return SQLITE_OK;
}

/* The number of the node of an id, or -1. */
static i64 surveyFind(const LscSurvey *s, i64 id){
  i64 lo = 0, hi = s->n;
  while( lo<hi ){
    i64 mid = lo + (hi-lo)/2;
    if( s->aId[mid]<id ) lo = mid+1; else hi = mid;
  }
  return lo<s->n && s->aId[lo]==id ? lo : -1;
}

static int surveyGrow(LscSurvey *s){
  u64 n = (u64)s->nAlloc*2 + 256, i;
  struct { void **pp; u64 nItem; } a[4];
  a[0].pp = (void**)&s->aId;      a[0].nItem = sizeof(i64);
  a[1].pp = (void**)&s->aFirst;   a[1].nItem = sizeof(u64);
  a[2].pp = (void**)&s->aEdge;    a[2].nItem = s->p->par.nEdge + (u64)s->p->par.bCompact;
  a[3].pp = (void**)&s->aBroken;  a[3].nItem = 1;
  for(i=0; i<4; i++){
    void *pNew = sqlite3_realloc64(*a[i].pp, (n+1)*a[i].nItem);
    if( pNew==0 ) return SQLITE_NOMEM_BKPT;
    *a[i].pp = pNew;
  }
  s->nAlloc = (i64)n;
  return SQLITE_OK;
}

/* Pages of a b-tree, as a cursor comes by them. */
typedef struct PageCount { Pgno aLast[BTCURSOR_MAX_DEPTH]; u64 n; } PageCount;

static void pageCount(PageCount *p, BtCursor *pCur){
  u32 nOverflow = pCur->pBt->usableSize - 4;
  int i;
  for(i=0; i<=pCur->iPage; i++){
    Pgno pgno = i==pCur->iPage ? pCur->pPage->pgno : pCur->apPage[i]->pgno;
    if( p->aLast[i]!=pgno ) p->n++;
    p->aLast[i] = pgno;
  }
  getCellInfo(pCur);
  if( pCur->info.nPayload>pCur->info.nLocal ){
    p->n += (pCur->info.nPayload - pCur->info.nLocal + (u64)nOverflow - 1)/nOverflow;
  }
}

static int surveyTree(LscSurvey *s, Pgno iRoot, KeyInfo *pInfo, i64 *pnEntry){
  PageCount pages;
  BtCursor cur;
  int eof = 0, rc;
  *pnEntry = 0;
  if( iRoot==0 ) return SQLITE_OK;
  memset(&pages, 0, sizeof(pages));
  rc = treeOpen(s->p, iRoot, pInfo, 0, &cur);
  if( rc==SQLITE_OK ) rc = sqlite3BtreeFirst(&cur, &eof);
  if( rc==SQLITE_OK && eof ) pages.n = 1;
  while( rc==SQLITE_OK && !eof ){
    pageCount(&pages, &cur);
    ++*pnEntry;
    rc = sqlite3BtreeNext(&cur, 0);
  }
  sqlite3BtreeCloseCursor(&cur);
  s->nPage += pages.n;
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/* First pass, one row: its vector. */
static int surveyNode(LscSurvey *s){
  LscIndex *p = s->p;
  const LscIndexParams *pPar = &p->par;
  i64 id = rowsId(&s->rows);
  u32 nTo;
  int rc = SQLITE_OK;
  if( s->n==s->nAlloc ) rc = surveyGrow(s);
  if( rc!=SQLITE_OK ) return rc;
  s->aId[s->n] = id;
  s->aBroken[s->n] = 1;
  rc = rowsHeader(&s->rows);
  if( rc==SQLITE_OK && pPar->bCompact ){
    rc = compactEdges(&s->rows, p->aId, &nTo);
    s->aBroken[s->n] = rc!=SQLITE_OK;
    if( rc==SQLITE_OK ) goto out;
  }
  if( rc==SQLITE_OK ) rc = rowsRead(&s->rows, 0, pPar->nHead+pPar->nNode, p->aBlock);
  if( rc==SQLITE_OK ){
    nTo = ixGet2(&p->aBlock[8]);
    rc = ixToEdge(pPar, &p->aBlock[pPar->nHead], &s->aEdge[(u64)s->n*pPar->nEdge]);
    if( rc==SQLITE_OK && nTo>pPar->nCap ) rc = surveyNote(s, id, 0, "%u edges, %u are possible", nTo, pPar->nCap);
    else s->aBroken[s->n] = 0;
    if( rc==SQLITE_OK && (i64)ixGet8(p->aBlock)!=id ){
      rc = surveyNote(s, id, 0, "the block is that of %lld", (i64)ixGet8(p->aBlock));
    }
  }else if( rc==SQLITE_CORRUPT_VTAB ){
    rc = surveyNote(s, id, 0, "%s", p->zErr ? p->zErr : sqlite3ErrStr(rc));
    sqlite3_free(p->zErr);
    p->zErr = 0;
  }
out:
  s->n++;
  return rc;
}

/* Second pass, one edge: slot j of node i, whose block is in p->aBlock, to the node of an id. */
static int surveyEdge(LscSurvey *s, i64 i, u32 j, i64 to, const char *zName){
  LscIndex *p = s->p;
  const LscIndexParams *pPar = &p->par;
  i64 iTo = surveyFind(s, to);
  float stored, distance;
  u64 k;
  int rc = SQLITE_OK;
  if( s->nTo==s->nToAlloc ){
    u64 nNew = s->nToAlloc ? 2*s->nToAlloc : 1024;
    i64 *aNew = sqlite3_realloc64(s->aTo, nNew*sizeof(i64));
    if( aNew==0 ) return SQLITE_NOMEM_BKPT;
    s->aTo = aNew;
    s->nToAlloc = nNew;
  }
  for(k=s->aFirst[i]; k<s->nTo && (iTo<0 || s->aTo[k]!=iTo); k++){}
  if( k<s->nTo ) rc = surveyNote(s, s->aId[i], 0, "two edges to %lld", to);
  s->aTo[s->nTo++] = iTo;
  if( rc!=SQLITE_OK ) return rc;
  if( iTo<0 ){
    s->nDead++;
    return surveyNote(s, s->aId[i], 0, "edge to %lld, which is not in %s_shadow", to, zName);
  }
  s->aIn[iTo]++;
  if( iTo==i ) return surveyNote(s, s->aId[i], 0, "edge to itself");
  if( s->aBroken[iTo] || pPar->bCompact ) return SQLITE_OK;
  if( memcmp(&p->aBlock[ixVectorAt(pPar, j)], &s->aEdge[(u64)iTo*pPar->nEdge], pPar->nEdge) ){
    return surveyNote(s, s->aId[i], 0, "edge to %lld with another vector", to);
  }
  memcpy(&stored, &p->aBlock[ixSlotAt(pPar, j)+4], 4);
  distance = ixDistance(pPar, pPar->edgeType, &s->aEdge[(u64)i*pPar->nEdge], &s->aEdge[(u64)iTo*pPar->nEdge]);
  if( pPar->version>1 && stored!=distance && !(isnan(stored) && isnan(distance))
   && !(fabsf(stored-distance)<=2e-5f*(1+fabsf(distance))) ){
    rc = surveyNote(s, s->aId[i], 0, "edge to %lld at distance %g, stored as %g", to, distance, stored);
  }
  return rc;
}

static int surveyEdges(LscSurvey *s){
  LscIndex *p = s->p;
  const LscIndexParams *pPar = &p->par;
  i64 i;
  int rc = SQLITE_OK;
  s->aIn = sqlite3_malloc64(sizeof(u32)*(u64)s->n + 1);
  if( s->aIn==0 || (s->nAlloc==0 && surveyGrow(s)!=SQLITE_OK) ) return SQLITE_NOMEM_BKPT;
  memset(s->aIn, 0, sizeof(u32)*(size_t)s->n);
  for(i=0; i<s->n && rc==SQLITE_OK; i++){
    u32 nTo, j;
    int found;
    s->aFirst[i] = s->nTo;
    if( s->aBroken[i] ) continue;
    if( AtomicLoad(&p->db->u1.isInterrupted) ) return SQLITE_INTERRUPT;
    rc = rowsSeek(&s->rows, s->aId[i], &found);
    if( rc==SQLITE_OK && pPar->bCompact ) rc = compactEdges(&s->rows, p->aId, &nTo);
    else if( rc==SQLITE_OK ) rc = rowsRead(&s->rows, 0, pPar->nBlock, p->aBlock);
    if( rc!=SQLITE_OK ) break;
    if( !pPar->bCompact ) nTo = ixGet2(&p->aBlock[8]);
    for(j=0; j<nTo && rc==SQLITE_OK; j++){
      i64 to = pPar->bCompact ? p->aId[j] : (i64)ixGet8(&p->aBlock[ixSlotAt(pPar, j)+8]);
      rc = surveyEdge(s, i, j, to, p->zName);
    }
  }
  s->aFirst[s->n] = s->nTo;
  for(i=0; i<s->n; i++) s->nOrphan += s->aIn[i]==0 && s->n>1;
  return rc;
}

/* Nodes that cannot be reached from the one that searches begin at. */
static int surveyReach(LscSurvey *s){
  i64 iEntry = s->p->par.bEntry ? surveyFind(s, s->p->par.iEntry) : -1, i, n = 0;
  i64 *aOpen = sqlite3_malloc64(sizeof(i64)*(u64)s->n + 1);
  u8 *aSeen = sqlite3_malloc64((u64)s->n + 1);
  int rc = aOpen && aSeen ? SQLITE_OK : SQLITE_NOMEM_BKPT;
  if( iEntry<0 ) iEntry = 0;
  if( rc==SQLITE_OK && s->n ){
    memset(aSeen, 0, (size_t)s->n);
    aSeen[iEntry] = 1;
    aOpen[n++] = iEntry;
    while( n ){
      u64 k;
      i = aOpen[--n];
      for(k=s->aFirst[i]; k<s->aFirst[i+1]; k++){
        i64 to = s->aTo[k];
        if( to<0 || aSeen[to] ) continue;
        aSeen[to] = 1;
        aOpen[n++] = to;
      }
    }
    for(i=0; i<s->n && rc==SQLITE_OK; i++){
      if( !aSeen[i] ) rc = surveyNote(s, s->aId[i], 0, "no path from %lld", s->aId[iEntry]);
    }
  }
  sqlite3_free(aOpen);
  sqlite3_free(aSeen);
  return rc;
}

/* Reads everything. The problems are those that the shadow tables have in themselves. */
static int surveyRun(LscSurvey *s, LscIndex *p){
  PageCount pages;
  i64 nRow = 0, nKey = 0;
  int eof = 0, rc;
  memset(s, 0, sizeof(*s));
  memset(&pages, 0, sizeof(pages));
  s->p = p;
  rc = rowsOpen(p, 0, &s->rows);
  if( rc==SQLITE_OK ) rc = sqlite3BtreeFirst(&s->rows.cur, &eof);
  if( eof ) pages.n = 1;
  while( rc==SQLITE_OK && !eof ){
    pageCount(&pages, &s->rows.cur);
    rc = surveyNode(s);
    if( rc==SQLITE_OK ) rc = sqlite3BtreeNext(&s->rows.cur, 0);
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  if( rc==SQLITE_OK ) rc = surveyEdges(s);
  if( rc==SQLITE_OK ) rc = surveyReach(s);
  s->nPage += pages.n;
  if( rc==SQLITE_OK ) rc = surveyTree(s, p->iRowRoot, p->pRowInfo, &nRow);
  if( rc==SQLITE_OK ) rc = surveyTree(s, p->iKeyRoot, p->pKeyInfo, &nKey);
  if( rc==SQLITE_OK && ((p->iRowRoot && nRow!=s->n) || (p->iKeyRoot && nKey!=s->n)) ){
    rc = surveyNote(s, 0, sqlite3ValueNew(p->db), "%lld rows in %s_shadow, another number in its indexes", s->n, p->zName);
  }
  rowsClose(&s->rows);
  return rc;
}
