# Layouts of the extension's classes, and the rules that hold between them.
#
# GIL: `Connection.running` counts calls into SQLite for which the GIL was released. It changes only under the GIL.
# While it is zero nobody holds the connection's mutex, so a short call may take that mutex without releasing the GIL;
# while it is not, such a call must release the GIL first, or it could wait for a thread that waits for the GIL.
# Closing while it is not zero is put off until the last such call returns. lock() and unlock() do both.
from libsql_core._pyx.c_api cimport *


cdef class Columns:
    cdef tuple names            # interned
    cdef tuple description      # 7-tuples, as Cursor.description; None until asked for
    cdef int distinct           # no two names are equal when case is ignored; UNKNOWN until asked for


cdef class Statement:
    cdef lsc_stmt s
    cdef str sql
    cdef bint is_dml
    cdef bint readonly
    cdef bint has_names         # at least one parameter has a name
    cdef bint in_use            # a cursor runs it
    cdef int n_param
    cdef lsc_cell *params       # n_param cells
    cdef object bound           # keeps alive what params points into
    cdef Columns columns        # of the last run; None if it has no columns
    cdef int n_prepare          # SQLite's count of re-preparations when columns was made
    cdef tuple names            # of the parameters, None for those without; made when first needed
    cdef Statement older, newer    # neighbours in the cache, by last use


cdef class Connection:
    cdef sqlite3 *db
    cdef lsc_stmt *stmts        # all statements of this connection
    cdef dict cache             # SQL text -> Statement
    cdef Py_ssize_t cache_size
    cdef Statement oldest, newest
    cdef Statement begin_stmt, commit_stmt, rollback_stmt
    cdef object _row_factory
    cdef object _text_factory
    cdef object _isolation_level
    cdef str begin_sql          # None: no implicit transactions
    cdef int _autocommit        # -1: legacy control
    cdef int detect_types
    cdef bint check_same_thread
    cdef unsigned long thread_id
    cdef int fork_id
    cdef bint initialized
    cdef bint closing
    cdef int running
    cdef unsigned rollbacks     # counts rollbacks, for the running interpreter's rules
    cdef list blobs             # weak references
    cdef object authorizer, progress, trace
    cdef object __weakref__


cdef class Cursor:
    cdef Connection _connection
    cdef Statement stmt         # with a current row; None when there are no more
    cdef list given             # rows of a result from elsewhere, those that are left; None without
    cdef Py_ssize_t n_given     # how many of them were fetched
    cdef Columns columns
    cdef list converters        # one for each column, or None
    cdef int _arraysize
    cdef object _row_factory
    cdef bint has_rowid
    cdef sqlite3_int64 rowid
    cdef long long _rowcount
    cdef sqlite3_int64 n_read, n_written    # of the last execute, those that note_rows() has seen
    cdef bint initialized
    cdef bint closed
    cdef bint locked
    cdef unsigned rollbacks
    cdef object __weakref__


cdef class Row:
    cdef tuple data
    cdef Columns columns


cdef class Blob:
    cdef Connection connection
    cdef sqlite3_blob *handle
    cdef int offset
    cdef bint closing           # closed as soon as no thread reads or writes
    cdef int running            # reads and writes under way
    cdef object __weakref__


cdef class Key:
    cdef object owner
    cdef Py_buffer view         # of owner, unless that is a str
    cdef const char *data
    cdef int n
    cdef bint is_raw            # the key itself, not a passphrase
    cdef bytes cipher           # None: what the database has


cdef class Plan:
    cdef lsc_plan p
    cdef void *owner            # the connection, only compared
    cdef int fork_id
    cdef str _sql, _verb, _attach_name, _alias
    cdef public object attach_path
    cdef int _kind
    cdef unsigned flags
    cdef long long _micros
    cdef long long last         # what the last run took
    cdef Py_ssize_t size        # bytes of its result
    cdef int n_param
    cdef lsc_cell *params       # n_param cells
    cdef int *places            # n_param indexes of positional values; -1 for parameters that have names
    cdef tuple names            # n_param names, None for those without
    cdef list bound             # keeps alive what params points into
    cdef str cached_as
    cdef bint used              # since the cache looked at it last
    cdef bint in_use            # a cursor runs it


cdef class ReplicationLog:
    cdef lsc_replog *p
    cdef str folder
    cdef bint closed
    cdef bint compacting


cdef class FrameKey:
    cdef lsc_frame_key *p


cdef class Injector:
    cdef lsc_injector *p
    cdef ReplicationLog log     # of the database itself, or None
    cdef bint running           # a thread is in it


cdef class ServerConnection:
    cdef lsc_server s
    cdef ReplicationLog log     # what commits are appended to, or None
    cdef lsc_stmt *stmts        # all statements of this connection
    cdef lsc_out out
    cdef lsc_outcome res        # of the last statement
    cdef int fork_id
    cdef dict cache             # text -> Plan
    cdef Py_ssize_t cache_size
    cdef int running
    cdef bint closing
    cdef object __weakref__


cdef class ServerCursor:
    cdef ServerConnection con
    cdef Plan plan              # None once it has ended
    cdef lsc_entries f
    cdef object unbound         # what is wrong with its arguments
    cdef object failure


cdef class RequestReader:
    cdef type body, message, request, batch, step, stmt     # of named tuples
    cdef list texts             # of the last requests
