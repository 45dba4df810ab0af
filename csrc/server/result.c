/*
** result.c: what a running statement becomes on the wire: columns, rows, StmtResult, cursor entries. Included by
** engine.c.
**
** Rows are read from the statement's result registers, which stay put until the next step. In protobuf everything has
** its length in front, so values are measured before they are written. Writers return 0 for text that is not UTF-8,
** which no encoding has room for; whatever else goes wrong is in lsc_out.rc.
*/

typedef struct SvrPiece { const char z[28]; int n; } SvrPiece;

#define SVR_PIECE(z) { z, (int)sizeof(z)-1 }

/* What stands in front of a value and behind it, by encoding and SQLite's type. */
static const SvrPiece aSvrOpen[2][6] = {
  { {"", 0}, SVR_PIECE("{\"type\":\"integer\",\"value\":\""), SVR_PIECE("{\"type\":\"float\",\"value\":"),
    SVR_PIECE("{\"type\":\"text\",\"value\":"), SVR_PIECE("{\"type\":\"blob\",\"base64\":\""),
    SVR_PIECE("{\"type\":\"null\"") },
  { {"", 0}, {"", 0}, {"", 0}, {"", 0}, SVR_PIECE("{\"base64\":\""), SVR_PIECE("null") },
};
static const SvrPiece aSvrClose[2][6] = {
  { {"", 0}, SVR_PIECE("\"}"), SVR_PIECE("}"), SVR_PIECE("}"), SVR_PIECE("\"}"), SVR_PIECE("}") },
  { {"", 0}, {"", 0}, {"", 0}, {"", 0}, SVR_PIECE("\"}"), {"", 0} },
};

static SQLITE_INLINE void svrPutPiece(lsc_out *o, const SvrPiece *p){
  memcpy(&o->a[o->n], p->z, sizeof(p->z));
  o->n += (size_t)p->n;
}

/* The bytes of a text or blob; NULL when out of memory. */
static const unsigned char *svrBytes(Mem *m, int type, int *pn){
  const unsigned char *z;
  if( (m->flags & MEM_Zero)==0 && (type==SQLITE_BLOB || ((m->flags & MEM_Str) && m->enc==SQLITE_UTF8)) ){
    z = (const unsigned char*)m->z;
    *pn = m->n;
  }else{
    z = type==SQLITE_TEXT ? sqlite3_value_text(m) : (const unsigned char*)sqlite3_value_blob(m);
    *pn = sqlite3_value_bytes(m);
  }
  return z==0 && *pn==0 ? (const unsigned char*)"" : z;
}

/* What a text has that is not UTF-8; for lsc_error. */
static char *svrBadText(const unsigned char *z, int n){
  int bad = 0;
  int i = svrUtf8End(z, n, &bad);
  if( bad==0 ) return sqlite3_mprintf("incomplete utf-8 byte sequence from index %d", i);
  return sqlite3_mprintf("invalid utf-8 sequence of %d bytes from index %d", bad, i);
}

/* One value in JSON; plain: as POST / has it. */
static int svrJsonValue(lsc_out *o, Mem *m, int plain){
  const unsigned char *z;
  int n;
  int type = sqlite3_value_type(m);
  if( !svrRoom(o, 2*sizeof(aSvrOpen[0][0].z)+32) ) return 1;
  svrPutPiece(o, &aSvrOpen[plain][type]);
  switch( type ){
    case SQLITE_INTEGER:
      o->n += (size_t)svrInteger(sqlite3_value_int64(m), &o->a[o->n]);
      break;
    case SQLITE_FLOAT: {
      double r = sqlite3_value_double(m);
      if( r-r==0 ){
        o->n += (size_t)svrReal(r, &o->a[o->n]);
      }else{
        svrLit(o, "null");
      }
      break;
    }
    case SQLITE_TEXT:
    case SQLITE_BLOB:
      z = svrBytes(m, type, &n);
      if( z==0 ){
        o->rc = SQLITE_NOMEM;
        return 1;
      }
      if( type==SQLITE_BLOB ){
        svrPutBase64(o, z, n);
      }else if( svrPutText(o, z, n)<n ){
        return 0;
      }
      if( !svrRoom(o, sizeof(aSvrClose[0][0].z)) ) return 1;
      break;
  }
  svrPutPiece(o, &aSvrClose[plain][type]);
  return 1;
}

static int svrJsonRow(lsc_out *o, Mem *a, int n, int plain){
  int i;
  svrLit(o, "[");
  for(i=0; i<n; i++){
    if( !svrJsonValue(o, &a[i], plain) ) return 0;
    svrLit(o, ",");
  }
  if( o->rc!=SQLITE_OK ) return 1;
  if( n>0 ) o->n--;
  svrLit(o, "]");
  return 1;
}

/* The size of a Value message. */
static u64 svrValueSize(Mem *m, int type){
  int n;
  switch( type ){
    case SQLITE_INTEGER: return 1 + (u64)svrVarintSize(svrZigzag(sqlite3_value_int64(m)));
    case SQLITE_FLOAT:   return 9;
    case SQLITE_NULL:    return 2;
    default:
      svrBytes(m, type, &n);
      return 1 + (u64)svrVarintSize((u64)n) + (u64)n;
  }
}

/* The size of a Row message, or -1: a text is not UTF-8. */
static i64 svrRowSize(lsc_out *o, Mem *a, int n){
  u64 size = 0;
  int i;
  for(i=0; i<n; i++){
    int type = sqlite3_value_type(&a[i]);
    u64 one;
    if( type==SQLITE_TEXT ){
      int nText, bad;
      const unsigned char *z = svrBytes(&a[i], type, &nText);
      if( z==0 ){
        o->rc = SQLITE_NOMEM;
        return 0;
      }
      if( svrUtf8End(z, nText, &bad)<nText ) return -1;
    }
    one = svrValueSize(&a[i], type);
    size += 1 + (u64)svrVarintSize(one) + one;
  }
  return (i64)size;
}

/* The content of a Row message. */
static void svrProtoRow(lsc_out *o, Mem *a, int n){
  int i;
  for(i=0; i<n && o->rc==SQLITE_OK; i++){
    int type = sqlite3_value_type(&a[i]);
    const unsigned char *z;
    int nByte;
    svrFieldSize(o, 1, svrValueSize(&a[i], type));
    switch( type ){
      case SQLITE_INTEGER: svrField(o, 2, svrZigzag(sqlite3_value_int64(&a[i]))); break;
      case SQLITE_FLOAT:   svrFieldDouble(o, 3, sqlite3_value_double(&a[i])); break;
      case SQLITE_NULL:    svrFieldSize(o, 1, 0); break;
      default:
        z = svrBytes(&a[i], type, &nByte);
        if( z==0 ) o->rc = SQLITE_NOMEM;
        else svrFieldBytes(o, type==SQLITE_TEXT ? 4 : 5, z, (size_t)nByte);
        break;
    }
  }
}

static int svrProxyRow(lsc_out*, int, Mem*, int);
static int svrProxyHead(lsc_out*, int, sqlite3_stmt*);
static void svrProxyTail(lsc_out*, int, unsigned, i64, i64);

/* One row of a StmtResult. */
static int svrRow(lsc_out *o, int encoding, Mem *a, int n){
  if( encoding>=LSC_PROXY ) return svrProxyRow(o, encoding, a, n);
  if( encoding==LSC_PROTOBUF ){
    i64 size = svrRowSize(o, a, n);
    if( size<0 ) return 0;
    svrFieldSize(o, 2, (u64)size);
    svrProtoRow(o, a, n);
    return 1;
  }
  return svrJsonRow(o, a, n, encoding==LSC_PLAIN);
}

static int svrIsJson(int encoding){ return encoding==LSC_JSON || encoding==LSC_PLAIN; }

static int svrPutName(lsc_out *o, const char *z){
  int n = sqlite3Strlen30(z);
  return svrPutText(o, (const unsigned char*)z, n)==n;
}

/* The columns: the content of an array, or for protobuf Col messages as a field. A name is NULL when out of memory. */
static int svrColumns(lsc_out *o, int encoding, int field, sqlite3_stmt *st){
  int n = sqlite3_column_count(st);
  int i;
  for(i=0; i<n; i++){
    const char *zName = sqlite3_column_name(st, i);
    const char *zType = encoding==LSC_PLAIN ? 0 : sqlite3_column_decltype(st, i);
    if( zName==0 ){
      o->rc = SQLITE_NOMEM;
      return 1;
    }
    if( !svrIsJson(encoding) ){
      int bad;
      int nName = sqlite3Strlen30(zName), nType = sqlite3Strlen30(zType);
      u64 size = 1 + (u64)svrVarintSize((u64)nName) + (u64)nName;
      if( zType ) size += 1 + (u64)svrVarintSize((u64)nType) + (u64)nType;
      if( svrUtf8End((const unsigned char*)zName, nName, &bad)<nName ) return 0;
      if( zType && svrUtf8End((const unsigned char*)zType, nType, &bad)<nType ) return 0;
      svrFieldSize(o, field, size);
      svrFieldBytes(o, 1, zName, (size_t)nName);
      if( zType ) svrFieldBytes(o, encoding==LSC_PROTOBUF ? 2 : 3, zType, (size_t)nType);
      continue;
    }
    if( i>0 ) svrLit(o, ",");
    if( encoding==LSC_JSON ) svrLit(o, "{\"name\":");
    if( !svrPutName(o, zName) ) return 0;
    if( encoding==LSC_PLAIN ) continue;
    svrLit(o, ",\"decltype\":");
    if( zType==0 ){
      svrLit(o, "null");
    }else if( !svrPutName(o, zType) ){
      return 0;
    }
    svrLit(o, "}");
  }
  return 1;
}

/* The start of a StmtResult, up to its first row. */
static int svrResultHead(lsc_out *o, int encoding, sqlite3_stmt *st){
  if( encoding>=LSC_PROXY ) return svrProxyHead(o, encoding, st);
  if( encoding==LSC_PROTOBUF ) return svrColumns(o, encoding, 1, st);
  if( encoding==LSC_JSON ) svrLit(o, "{\"cols\":[");
  else svrLit(o, "{\"columns\":[");
  if( !svrColumns(o, encoding, 0, st) ) return 0;
  svrLit(o, "],\"rows\":[");
  return 1;
}

/* And its end. */
static void svrResultTail(lsc_out *o, int encoding, unsigned flags, i64 rowid, const lsc_outcome *res){
  if( encoding>=LSC_PROXY ){
    svrProxyTail(o, encoding, flags, rowid, res->changes);
    return;
  }
  if( encoding==LSC_PROTOBUF ){
    if( res->changes ) svrField(o, 3, (u64)res->changes);
    if( flags & LSC_S_INSERT ) svrField(o, 4, svrZigzag(rowid));
    if( res->index>=0 ) svrField(o, 5, (u64)res->index);
    if( res->rows_read ) svrField(o, 6, (u64)res->rows_read);
    if( res->rows_written ) svrField(o, 7, (u64)res->rows_written);
    if( res->micros ) svrFieldDouble(o, 8, (double)res->micros/1000.0);
    return;
  }
  if( encoding==LSC_JSON ){
    svrLit(o, "],\"affected_row_count\":");
    svrPutInteger(o, res->changes);
    svrLit(o, ",\"last_insert_rowid\":");
    if( flags & LSC_S_INSERT ){
      svrLit(o, "\"");
      svrPutInteger(o, rowid);
      svrLit(o, "\"");
    }else{
      svrLit(o, "null");
    }
    if( res->index<0 ){
      svrLit(o, ",\"replication_index\":null,\"rows_read\":");
    }else{
      svrLit(o, ",\"replication_index\":\"");
      svrPutInteger(o, res->index);
      svrLit(o, "\",\"rows_read\":");
    }
  }else{
    svrLit(o, "],\"rows_read\":");
  }
  svrPutInteger(o, res->rows_read);
  svrLit(o, ",\"rows_written\":");
  svrPutInteger(o, res->rows_written);
  svrLit(o, ",\"query_duration_ms\":");
  svrPutMillis(o, res->micros);
  svrLit(o, "}");
}

/* Entries of a cursor. In JSON they are lines, or elements of an array; in protobuf messages with their length, or the
** first field of a FetchCursorResp. */

static void svrEntryBegin(lsc_out *o, const lsc_entries *f){
  if( f->websocket && f->n_entry>0 ) svrLit(o, ",");
}

static void svrEntryEnd(lsc_out *o, lsc_entries *f){
  if( f->encoding!=LSC_PROTOBUF && !f->websocket ) svrLit(o, "\n");
  f->n_entry++;
}

/* The start of an entry of protobuf that is one message of n bytes, as a field. */
static void svrProtoEntry(lsc_out *o, lsc_entries *f, int field, u64 n){
  u64 size = 1 + (u64)svrVarintSize(n) + n;
  if( f->websocket ){
    svrFieldSize(o, 1, size);
  }else if( svrRoom(o, 10) ){
    o->n = (size_t)(svrVarint(&o->a[o->n], size) - o->a);
  }
  svrFieldSize(o, field, n);
  f->n_entry++;
}

/* An entry of protobuf whose content is complete; frees it. */
static void svrProtoWhole(lsc_out *o, lsc_entries *f, int field, lsc_out *content){
  if( content->rc!=SQLITE_OK ) o->rc = content->rc;
  svrProtoEntry(o, f, field, content->n);
  svrPut(o, content->a, content->n);
  lsc_out_free(content);
}

static int svrStepBegin(lsc_out *o, lsc_entries *f, sqlite3_stmt *st){
  if( f->encoding==LSC_PROTOBUF ){
    lsc_out content = { 0, 0, 0, (size_t)-1, SQLITE_OK };
    int ok;
    if( f->step ) svrField(&content, 1, f->step);
    ok = svrColumns(&content, LSC_PROTOBUF, 2, st);
    if( ok ) svrProtoWhole(o, f, 1, &content);
    else lsc_out_free(&content);
    return ok;
  }
  svrEntryBegin(o, f);
  svrLit(o, "{\"type\":\"step_begin\",\"step\":");
  svrPutInteger(o, f->step);
  svrLit(o, ",\"cols\":[");
  if( !svrColumns(o, LSC_JSON, 0, st) ) return 0;
  svrLit(o, "]}");
  svrEntryEnd(o, f);
  return 1;
}

static int svrRowEntry(lsc_out *o, lsc_entries *f, Mem *a, int n){
  if( f->encoding==LSC_PROTOBUF ){
    i64 size = svrRowSize(o, a, n);
    if( size<0 ) return 0;
    svrProtoEntry(o, f, 4, (u64)size);
    svrProtoRow(o, a, n);
    return 1;
  }
  svrEntryBegin(o, f);
  svrLit(o, "{\"type\":\"row\",\"row\":");
  if( !svrJsonRow(o, a, n, 0) ) return 0;
  svrLit(o, "}");
  svrEntryEnd(o, f);
  return 1;
}

static void svrStepEnd(lsc_out *o, lsc_entries *f, unsigned flags, i64 rowid){
  if( f->encoding==LSC_PROTOBUF ){
    lsc_out content = { 0, 0, 0, (size_t)-1, SQLITE_OK };
    if( f->res.changes ) svrField(&content, 1, (u64)f->res.changes);
    if( flags & LSC_S_INSERT ) svrField(&content, 2, svrZigzag(rowid));
    svrProtoWhole(o, f, 2, &content);
    return;
  }
  svrEntryBegin(o, f);
  svrLit(o, "{\"type\":\"step_end\",\"affected_row_count\":");
  svrPutInteger(o, f->res.changes);
  svrLit(o, ",\"last_insert_rowid\":");
  if( flags & LSC_S_INSERT ) svrPutInteger(o, rowid);
  else svrLit(o, "null");
  svrLit(o, "}");
  svrEntryEnd(o, f);
}

void lsc_server_step_error(lsc_entries *f, lsc_out *o, const char *message, int n_message, const char *code){
  int nCode = sqlite3Strlen30(code);
  if( f->encoding==LSC_PROTOBUF ){
    lsc_out error = { 0, 0, 0, (size_t)-1, SQLITE_OK };
    lsc_out content = { 0, 0, 0, (size_t)-1, SQLITE_OK };
    svrFieldBytes(&error, 1, message, (size_t)n_message);
    svrFieldBytes(&error, 2, code, (size_t)nCode);
    if( error.rc!=SQLITE_OK ) o->rc = error.rc;
    if( f->step ) svrField(&content, 1, f->step);
    svrFieldBytes(&content, 2, error.a, error.n);
    lsc_out_free(&error);
    svrProtoWhole(o, f, 3, &content);
    return;
  }
  svrEntryBegin(o, f);
  svrLit(o, "{\"type\":\"step_error\",\"step\":");
  svrPutInteger(o, f->step);
  svrLit(o, ",\"error\":{\"message\":");
  svrPutText(o, (const unsigned char*)message, n_message);
  svrLit(o, ",\"code\":");
  svrPutText(o, (const unsigned char*)code, nCode);
  svrLit(o, "}}");
  svrEntryEnd(o, f);
}

/* DescribeResult; st may be NULL. */
static int svrDescribe(lsc_out *o, int encoding, sqlite3_stmt *st){
  int n = sqlite3_bind_parameter_count(st);
  int explain = sqlite3_stmt_isexplain(st)!=0;
  int readonly = sqlite3_stmt_readonly(st)!=0;
  int i;
  if( encoding!=LSC_PROTOBUF ) svrLit(o, "{\"params\":[");
  for(i=1; i<=n; i++){
    const char *zName = sqlite3_bind_parameter_name(st, i);
    if( encoding==LSC_PROTOBUF ){
      int nName = sqlite3Strlen30(zName);
      svrFieldSize(o, 1, zName ? 1 + (u64)svrVarintSize((u64)nName) + (u64)nName : 0);
      if( zName ) svrFieldBytes(o, 1, zName, (size_t)nName);
      continue;
    }
    if( i>1 ) svrLit(o, ",");
    svrLit(o, "{\"name\":");
    if( zName==0 ){
      svrLit(o, "null");
    }else if( !svrPutName(o, zName) ){
      return 0;
    }
    svrLit(o, "}");
  }
  if( encoding==LSC_PROTOBUF ){
    if( !svrColumns(o, encoding, 2, st) ) return 0;
    if( explain ) svrField(o, 3, 1);
    if( readonly ) svrField(o, 4, 1);
    return 1;
  }
  svrLit(o, "],\"cols\":[");
  if( !svrColumns(o, LSC_JSON, 0, st) ) return 0;
  svrLit(o, "],\"is_explain\":");
  if( explain ) svrLit(o, "true");
  else svrLit(o, "false");
  svrLit(o, ",\"is_readonly\":");
  if( readonly ) svrLit(o, "true}");
  else svrLit(o, "false}");
  return 1;
}
