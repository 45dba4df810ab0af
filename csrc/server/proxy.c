/*
** proxy.c: results as the proxy of replicas has them: `ResultRows`, whose values are in bincode, and the steps of a
** `ProgramResp` from begin_step to finish_step, each a field of its own so that an answer can be cut between any two.
** Included by engine.c.
*/

/* Tags of bincode, by SQLite's type. */
static const unsigned char aSvrBincode[] = { 0, 1, 2, 3, 4, 0 };

/* The content of a RowValue. */
static u64 svrStepValueSize(Mem *m, int type){
  int n;
  switch( type ){
    case SQLITE_INTEGER: return 1 + (u64)svrVarintSize((u64)sqlite3_value_int64(m));
    case SQLITE_FLOAT:   return 9;
    case SQLITE_NULL:    return 2;
    default:
      svrBytes(m, type, &n);
      return 1 + (u64)svrVarintSize((u64)n) + (u64)n;
  }
}

static u64 svrBincodeSize(Mem *m, int type){
  int n;
  switch( type ){
    case SQLITE_INTEGER: case SQLITE_FLOAT: return 12;
    case SQLITE_NULL:    return 4;
    default:
      svrBytes(m, type, &n);
      return 12 + (u64)n;
  }
}

/* The size of a field of n bytes whose number is below 16. */
static u64 svrWrapped(u64 n){ return 1 + (u64)svrVarintSize(n) + n; }

/* 0: a text of the row is not UTF-8. */
static int svrIsUtf8Row(lsc_out *o, Mem *a, int n){
  int i;
  for(i=0; i<n; i++){
    int nText, bad;
    const unsigned char *z;
    if( sqlite3_value_type(&a[i])!=SQLITE_TEXT ) continue;
    z = svrBytes(&a[i], SQLITE_TEXT, &nText);
    if( z==0 ){
      o->rc = SQLITE_NOMEM;
      return 1;
    }
    if( svrUtf8End(z, nText, &bad)<nText ) return 0;
  }
  return 1;
}

static void svrBincode(lsc_out *o, Mem *m, int type){
  unsigned char a[12] = { aSvrBincode[type], 0, 0, 0 };
  const unsigned char *z = 0;
  i64 v = 0;
  int n = 0;
  switch( type ){
    case SQLITE_NULL:
      svrPut(o, a, 4);
      return;
    case SQLITE_INTEGER:
      v = sqlite3_value_int64(m);
      break;
    case SQLITE_FLOAT:
      svrDouble(&a[4], sqlite3_value_double(m));
      svrPut(o, a, 12);
      return;
    default:
      z = svrBytes(m, type, &n);
      if( z==0 ){
        o->rc = SQLITE_NOMEM;
        return;
      }
      v = n;
      break;
  }
  for(type=4; type<12; type++, v = (i64)((u64)v>>8)) a[type] = (unsigned char)v;
  svrPut(o, a, 12);
  svrPut(o, z, (size_t)n);
}

static void svrStepValue(lsc_out *o, Mem *m, int type){
  const unsigned char *z;
  int n;
  switch( type ){
    case SQLITE_INTEGER: svrField(o, 2, (u64)sqlite3_value_int64(m)); break;
    case SQLITE_FLOAT:   svrFieldDouble(o, 3, sqlite3_value_double(m)); break;
    case SQLITE_NULL:    svrField(o, 5, 1); break;
    default:
      z = svrBytes(m, type, &n);
      if( z==0 ) o->rc = SQLITE_NOMEM;
      else svrFieldBytes(o, type==SQLITE_TEXT ? 1 : 4, z, (size_t)n);
      break;
  }
}

static int svrProxyRow(lsc_out *o, int encoding, Mem *a, int n){
  int i;
  if( !svrIsUtf8Row(o, a, n) ) return 0;
  if( encoding==LSC_PROXY ){
    u64 size = 0;
    for(i=0; i<n; i++) size += svrWrapped(svrWrapped(svrBincodeSize(&a[i], sqlite3_value_type(&a[i]))));
    svrFieldSize(o, 2, size);
  }else{
    svrLit(o, "\012\002\072\000");                          /* begin_row */
  }
  for(i=0; i<n && o->rc==SQLITE_OK; i++){
    int type = sqlite3_value_type(&a[i]);
    if( encoding==LSC_PROXY ){
      u64 size = svrBincodeSize(&a[i], type);
      svrFieldSize(o, 1, svrWrapped(size));
      svrFieldSize(o, 1, size);
      svrBincode(o, &a[i], type);
    }else{
      u64 size = svrStepValueSize(&a[i], type);
      svrFieldSize(o, 1, svrWrapped(svrWrapped(size)));
      svrFieldSize(o, 8, svrWrapped(size));                 /* add_row_value */
      svrFieldSize(o, 1, size);
      svrStepValue(o, &a[i], type);
    }
  }
  if( encoding==LSC_STEPS ) svrLit(o, "\012\002\112\000");  /* finish_row */
  return 1;
}

static int svrProxyHead(lsc_out *o, int encoding, sqlite3_stmt *st){
  lsc_out columns = { 0, 0, 0, (size_t)-1, SQLITE_OK };
  int ok;
  if( encoding==LSC_PROXY ) return svrColumns(o, encoding, 1, st);
  ok = svrColumns(&columns, encoding, 1, st);
  if( columns.rc!=SQLITE_OK ) o->rc = columns.rc;
  svrLit(o, "\012\002\022\000");                            /* begin_step */
  svrFieldSize(o, 1, svrWrapped(columns.n));
  svrFieldBytes(o, 5, columns.a, columns.n);                /* cols_description */
  svrLit(o, "\012\002\062\000");                            /* begin_rows */
  lsc_out_free(&columns);
  return ok;
}

static void svrProxyTail(lsc_out *o, int encoding, unsigned flags, i64 rowid, i64 changes){
  if( encoding==LSC_PROXY ){
    if( changes ) svrField(o, 3, (u64)changes);
    if( flags & LSC_S_INSERT ) svrField(o, 4, (u64)rowid);
  }else{
    u64 size = 0;
    if( changes ) size += 1 + (u64)svrVarintSize((u64)changes);
    if( flags & LSC_S_INSERT ) size += 1 + (u64)svrVarintSize((u64)rowid);
    svrLit(o, "\012\002\122\000");                          /* finish_rows */
    svrFieldSize(o, 1, svrWrapped(size));
    svrFieldSize(o, 3, size);                               /* finish_step */
    if( changes ) svrField(o, 1, (u64)changes);
    if( flags & LSC_S_INSERT ) svrField(o, 2, (u64)rowid);
  }
}
