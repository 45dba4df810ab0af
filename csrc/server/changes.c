/*
** changes.c: which tables a connection's transactions changed, for those who listen. Included by engine.c.
**
** Counts go from the running statement to the open transaction when the statement succeeds, and from there to what is
** handed out when it commits. As SQLite's update hook has it: tables without rowid are not seen, nor is a DELETE without
** WHERE. A list has one element for each table that was ever changed; what does not fit into memory is not counted.
*/

struct lsc_change {
  struct lsc_change *pNext;
  i64 aStmt[3], aOpen[3], aDone[3];   /* rows inserted, updated, deleted */
  char zTable[1];
};

static void svrChanged(void *pArg, int op, const char *zDb, const char *zTable, sqlite3_int64 rowid){
  lsc_server *p = pArg;
  lsc_change *c = p->changes;
  (void)rowid;
  if( strcmp(zDb, "main")!=0 ) return;
  while( c && strcmp(c->zTable, zTable)!=0 ) c = c->pNext;
  if( c==0 ){
    size_t n = strlen(zTable);
    c = sqlite3_malloc64(sizeof(*c)+n);
    if( c==0 ) return;
    memset(c, 0, sizeof(*c));
    memcpy(c->zTable, zTable, n+1);
    c->pNext = p->changes;
    p->changes = c;
  }
  c->aStmt[op==SQLITE_INSERT ? 0 : op==SQLITE_UPDATE ? 1 : 2]++;
  p->changed = 1;
}

static void svrRolledBack(void *pArg){
  lsc_change *c;
  for(c=((lsc_server*)pArg)->changes; c; c=c->pNext){
    memset(c->aStmt, 0, sizeof(c->aStmt));
    memset(c->aOpen, 0, sizeof(c->aOpen));
  }
}

/* After a statement. */
static void svrCountChanges(lsc_server *p, int ok){
  lsc_change *c;
  int i;
  for(c=p->changes; c; c=c->pNext){
    for(i=0; i<3; i++){
      if( ok ) c->aOpen[i] += c->aStmt[i];
      c->aStmt[i] = 0;
      if( p->db->autoCommit ){
        c->aDone[i] += c->aOpen[i];
        c->aOpen[i] = 0;
      }
    }
  }
  if( p->db->autoCommit ) p->changed = 0;
}

static void svrForgetChanges(lsc_server *p){
  while( p->changes ){
    lsc_change *c = p->changes;
    p->changes = c->pNext;
    sqlite3_free(c);
  }
  p->changed = 0;
}

void lsc_server_watch(lsc_server *p, int on){
  sqlite3_mutex_enter(p->db->mutex);
  sqlite3_update_hook(p->db, on ? svrChanged : 0, p);
  sqlite3_rollback_hook(p->db, on ? svrRolledBack : 0, p);
  if( !on ) svrForgetChanges(p);
  p->watching = on;
  sqlite3_mutex_leave(p->db->mutex);
}

const char *lsc_server_take_change(lsc_server *p, lsc_change **pp, sqlite3_int64 *n){
  lsc_change *c = *pp ? (*pp)->pNext : p->changes;
  while( c && (c->aDone[0] | c->aDone[1] | c->aDone[2])==0 ) c = c->pNext;
  *pp = c;
  if( c==0 ) return 0;
  memcpy(n, c->aDone, sizeof(c->aDone));
  memset(c->aDone, 0, sizeof(c->aDone));
  return c->zTable;
}
