/*
** sql_int.h: what the files of csrc/sql/ share: a reader of SQL tokens, and the parts of ALTER COLUMN.
**
** Text is always borrowed and ends with a NUL. Tokens are those of SQLite's own tokenizer, so strings, quoted names and
** comments are what they are everywhere else.
*/
#ifndef LSC_SQL_INT_H
#define LSC_SQL_INT_H

/* A reader at one token; blanks and comments are behind it. */
typedef struct LscLex {
  Token t;              /* where the token is; empty at the end of the text */
  int type;             /* TK_..., or 0 at the end of the text; comments that are switched off are TK_ILLEGAL */
  u8 noComments;        /* SQLITE_DBCONFIG_ENABLE_COMMENTS is off */
} LscLex;

/* parse.c. db may be NULL: comments are allowed then. */
static void lscLexStart(LscLex *p, const char *z, const sqlite3 *db);
static int lscLexNext(LscLex *p);                 /* to the next token; gives its type */
static int lscLexIsName(int type);                /* whether a token may be the name of something */
static void lscLexSkipGroup(LscLex *p);           /* from "(" to its ")", or to the end of the text */
static void lscLexError(Parse *pParse, const LscLex *p);  /* what the parser says about a token it cannot use */

/* One column definition in a CREATE TABLE text, from its name to its last token. */
typedef struct LscSpan {
  int iStart;           /* byte offsets */
  int iEnd;
} LscSpan;

/* alter.c. 0: not ours, nothing was done; else the statement was compiled, or the error noted, and *pzSql is behind it. */
static int lscAlterParse(Parse *pParse, LscLex *p, int explain, const char **pzSql);

/* alter_text.c */
static void lscAlterColumnFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv);
static int lscAlterSameColl(sqlite3 *db, Column *pCol, const Token *pDef);

/* alter_check.c */
static void lscAlterAfterFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv);

#endif
