# The server's connections. Statements run without the GIL, and their rows become the bytes of a reply there: no Python
# object is made of a value.
#
# The session uses a connection from one thread at a time; `ServerConnection.running` counts calls under way, and a
# close that meets one is put off until it returns. No callback into Python exists, so a thread may wait for the
# connection's mutex with the GIL held, but does not: whatever may run long has let it go.

cdef inline int leave_server(ServerConnection con) except -1:
    """The end of a call that ran without the GIL."""
    con.running -= 1
    if con.closing and con.running == 0:
        finish_server(con)
    return 0


cdef int finish_server(ServerConnection con) except -1:
    cdef Plan plan
    con.closing = False
    if con.fork_id == lsc_fork_count():
        for plan in con.cache.values():
            # Whoever still knows it would keep the database open.
            if not plan.in_use:
                lsc_server_finalize(&plan.p)
    con.cache = {}
    drop_statements(con)
    if con.fork_id == lsc_fork_count():
        with nogil:
            lsc_server_close(&con.s)
    con.s.db = NULL
    lsc_out_free(&con.out)
    return 0


cdef int drop_statements(ServerConnection con) except -1:
    """Finalize all statements, also those of plans that others hold: with one left, the file would stay open."""
    cdef lsc_stmt *s
    cdef bint ours = con.fork_id == lsc_fork_count()
    while con.stmts is not NULL:
        s = con.stmts
        unlink_statement(s)
        if ours:
            with nogil:
                lsc_finalize(s)
    return 0


cdef int check_server(ServerConnection con, Plan plan) except -1:
    if con.s.db is NULL or con.closing:
        raise StatementError("SQLite error: the connection is closed", "SQLITE_MISUSE")
    if plan is not None and plan.owner != <void *>con:
        raise ValueError("the statement is of another connection")
    return 0


cdef Plan ready_plan(ServerConnection con, Plan plan):
    """The statement, prepared and not in use: the plan, or another for the same text if a cursor has that."""
    cdef Py_ssize_t n
    cdef const char *z
    cdef int offset = 0
    check_server(con, plan)
    if plan.in_use:
        z = PyUnicode_AsUTF8AndSize(plan._sql, &n)
        path = plan.attach_path
        plan = next_plan(con, plan._sql, z, <int>n, &offset)
        plan.attach_path = path
    if plan.p.s.st is NULL:
        compile_plan(con, plan)
    return plan


cdef int note_run(ServerConnection con, Plan plan, lsc_outcome *res) except -1:
    """What is known of a statement once it has run."""
    cdef long long took = res.micros - res.waited
    cdef long long micros = took
    con.res = res[0]
    # One long run alone may be a thread that had to wait for a processor.
    if plan._micros >= 0 and plan.last < took:
        micros = plan.last
    plan.last = took
    if res.code & 0xff == SQLITE_INTERRUPT:
        plan._micros = -1       # it would have taken longer, nobody knows how long
    elif plan._micros - (plan._micros >> 3) < micros:
        plan._micros = micros
    else:
        plan._micros -= plan._micros >> 3
    plan.bound = None
    if plan.flags & LSC_S_PRAGMA:
        # It does some of its work while it is compiled: it must be, each time.
        lsc_server_finalize(&plan.p)
    return 0


cdef bytes execute_plan(ServerConnection con, Plan plan, object args, object named, int encoding, Py_ssize_t limit,
                        bytes head, bytes tail, long long waited):
    """Run a statement; see ServerConnection.execute()."""
    cdef lsc_outcome res
    cdef int rc
    cdef lsc_plan *p
    plan = ready_plan(con, plan)
    bind_arguments(con, plan, args, named)
    p = &plan.p
    fit_out(&con.out, plan.size)
    con.out.n = 0
    con.out.rc = SQLITE_OK
    con.out.most = limit if limit > 0 else 0
    res.waited = waited
    con.running += 1
    with nogil:
        rc = lsc_server_execute(&con.s, p, encoding, &con.out, &res)
    try:
        failure = None if rc == 0 else take_failure(&p.s.error, res.offset)
        note_run(con, plan, &res)
        if failure is not None:
            raise failure
        plan.size = <Py_ssize_t>con.out.n
        return joined(head, &con.out, tail)
    finally:
        trim_out(&con.out)
        leave_server(con)


def server_functions(bint on, /):
    """Say whether connections of the server that are opened from now on have functions in WebAssembly."""
    lsc_server_functions(on)


@cython.final
@cython.no_gc_clear              # the log is needed until the connection is closed
cdef class ServerConnection:
    """A connection of the server; used by one thread at a time, but for interrupt()."""

    JSON = LSC_JSON
    PROTOBUF = LSC_PROTOBUF
    PLAIN = LSC_PLAIN
    PROXY = LSC_PROXY
    STEPS = LSC_STEPS

    def __init__(self, path, *, name, row_limit=5_000_000, max_pages=0, synchronous=1, wal_autocheckpoint=1000,
                 encryption_key=None, cipher=None, cached_statements=64, ReplicationLog log=None):
        cdef lsc_server_options options
        cdef lsc_error error
        cdef bytes file = file_name(path)
        cdef bytes namespace = c_text(name, "ServerConnection() argument 'name'")
        cdef Key key = make_key(encryption_key, cipher, "ServerConnection()")
        cdef int rc
        if self.s.db is not NULL:
            raise ValueError("the connection is open")
        memset(&options, 0, sizeof(options))
        memset(&error, 0, sizeof(error))
        options.path = file
        options.name = namespace
        if key is not None:
            options.cipher = NULL if key.cipher is None else <const char *>key.cipher
            options.key, options.n_key, options.is_raw = key.data, key.n, key.is_raw
        options.row_limit = row_limit
        options.max_pages = max_pages
        options.synchronous = synchronous
        options.checkpoint = wal_autocheckpoint
        if log is not None:
            options.log = open_log(log)
        self.s.indexed = 1
        self.log = log
        self.fork_id = lsc_fork_count()
        self.cache = {}
        self.cache_size = cached_statements
        with nogil:
            rc = lsc_server_open(&self.s, &options, &error)
        if rc != SQLITE_OK:
            raise take_failure(&error, -1)

    def __dealloc__(self):
        drop_statements(self)
        if self.fork_id == lsc_fork_count():
            with nogil:
                lsc_server_close(&self.s)
        lsc_out_free(&self.out)

    @property
    def autocommit(self):
        """Whether no transaction is open."""
        return self.s.db is NULL or lsc_autocommit(self.s.db) != 0

    @property
    def in_statement(self):
        """Whether a thread runs a statement."""
        return self.running > 0

    @property
    def rows_read(self):
        """Rows that the last statement read."""
        return self.res.rows_read

    @property
    def rows_written(self):
        """Rows that the last statement wrote."""
        return self.res.rows_written

    @property
    def micros(self):
        """Microseconds that the last statement took."""
        return self.res.micros

    @property
    def wal_pages(self):
        """Pages in the write-ahead log when this connection last committed."""
        return self.s.wal_pages

    def parse(self, str sql not None):
        """The statements of a text. Raises StatementError if the server does not run one of them."""
        cdef Py_ssize_t n
        cdef const char *z = PyUnicode_AsUTF8AndSize(sql, &n)
        cdef int offset = 0
        cdef list plans = []
        cdef Plan plan
        check_server(self, None)
        check_length(n)
        while True:
            plan = next_plan(self, sql, z, <int>n, &offset)
            if plan is None:
                return plans
            plans.append(plan)

    def plan(self, str sql not None):
        """The only statement of a text, kept for the next time it is asked for."""
        cdef PyObject *found = PyDict_GetItemWithError(self.cache, sql)
        cdef Plan plan
        if found is not NULL:
            plan = <Plan>found
            plan.used = True
            return plan
        check_server(self, None)
        return new_plan(self, sql)

    def execute(self, Plan plan not None, object args, object named, int encoding, Py_ssize_t limit, bytes head=b"",
                bytes tail=b"", long long waited=0):
        """Run the statement; head + its StmtResult + tail. Raises StatementError."""
        return execute_plan(self, plan, args, named, encoding, limit, head, tail, waited)

    def read(self, str sql not None, object args, object named, int encoding, Py_ssize_t limit, bytes head, bytes tail,
             long long longest):
        """As execute(), for a text; None if that is no statement that reads within `longest` microseconds."""
        cdef Plan plan = self.plan(sql)
        if plan._kind != LSC_READ or not 0 <= plan._micros <= longest:
            return None
        return execute_plan(self, plan, args, named, encoding, limit, head, tail, 0)

    def execute_group(self, list items not None, Py_ssize_t limit):
        """Run statements of several clients in one transaction, each as if it were alone."""
        cdef list results = None
        check_server(self, None)
        if len(items) > 1 and lsc_autocommit(self.s.db):
            results = run_together(self, items, limit)
        return run_apart(self, items, limit) if results is None else results

    def plan_steps(self, list steps not None):
        """The statements of a batch's steps, or None if one has more to it than a text and arguments."""
        check_server(self, None)
        return plan_batch(self, steps)

    def execute_steps(self, list plans not None, list steps not None, Py_ssize_t at, list results not None,
                      int encoding, Py_ssize_t limit, bint writes, long long longest, long long most):
        """Run the steps of a batch from one on, whose own condition is met; see run_steps()."""
        check_server(self, None)
        return run_steps(self, plans, steps, at, results, encoding, limit, writes, longest, most)

    def run(self, Plan plan not None):
        """Run a statement without arguments; rows are thrown away. Raises StatementError."""
        cdef lsc_outcome res
        cdef int rc
        cdef lsc_plan *p
        plan = ready_plan(self, plan)
        bind_arguments(self, plan, None, None)
        p = &plan.p
        res.waited = 0
        self.running += 1
        with nogil:
            rc = lsc_server_execute(&self.s, p, LSC_JSON, NULL, &res)
        try:
            failure = None if rc == 0 else take_failure(&p.s.error, res.offset)
            note_run(self, plan, &res)
            if failure is not None:
                raise failure
        finally:
            leave_server(self)

    def cursor(self, Plan plan not None, object args, object named, int encoding, unsigned step, bint websocket):
        """The entries of a batch's step. Raises StatementError if the statement cannot be prepared."""
        cdef ServerCursor cur
        plan = ready_plan(self, plan)
        cur = ServerCursor.__new__(ServerCursor)
        cur.f.encoding = encoding
        cur.f.websocket = websocket
        cur.f.step = step
        cur.con = self
        cur.plan = plan
        plan.in_use = True
        try:
            bind_arguments(self, plan, args, named)
        except StatementError as error:
            cur.unbound = error
        return cur

    def describe(self, str sql not None, int encoding):
        """DescribeResult of the first statement of a text."""
        cdef lsc_statement found
        cdef lsc_error error
        cdef Py_ssize_t n
        cdef const char *z = PyUnicode_AsUTF8AndSize(sql, &n)
        cdef int rc, offset = -1
        check_server(self, None)
        check_length(n)
        memset(&error, 0, sizeof(error))
        self.out.n = 0
        self.out.rc = SQLITE_OK
        self.out.most = PY_SSIZE_T_MAX
        self.running += 1
        with nogil:
            # Describing a pragma can change the connection: those that do not run are not described.
            rc = lsc_server_statement(z, <int>n, 0, &found, &error)
            if rc >= 0 or not found.flags & LSC_S_PRAGMA:
                sqlite3_free(error.text)
                error.text = NULL
                rc = lsc_server_describe(&self.s, z, <int>n, encoding, &self.out, &error, &offset)
        try:
            if rc < 0 and error.code == SQLITE_AUTH:
                raise parse_failure(f"unsupported statement: {sql}")
            if rc != SQLITE_OK:
                raise take_failure(&error, offset)
            return joined(b"", &self.out, b"")
        finally:
            trim_out(&self.out)
            leave_server(self)

    def rollback(self):
        """Roll back the open transaction, if there is one."""
        cdef lsc_error error
        cdef int rc
        check_server(self, None)
        memset(&error, 0, sizeof(error))
        self.running += 1
        with nogil:
            rc = lsc_server_rollback(&self.s, &error)
        leave_server(self)
        if rc != SQLITE_OK:
            raise take_failure(&error, -1)

    def interrupt(self):
        """Make the running statement fail soon; any thread may."""
        if self.s.db is not NULL:
            sqlite3_interrupt(self.s.db)

    def reset(self):
        """Make the connection as it was when it was opened; False if only a new one would be that."""
        cdef int done
        check_server(self, None)
        if self.running:
            return False
        self.running += 1
        with nogil:
            done = lsc_server_reset(&self.s)
        leave_server(self)
        memset(&self.res, 0, sizeof(self.res))
        return done != 0

    @property
    def watching(self):
        """Whether changed rows are counted, for take_changes()."""
        return self.s.watching != 0

    @watching.setter
    def watching(self, bint on):
        check_server(self, None)
        if on != self.watching:
            lsc_server_watch(&self.s, on)

    def take_changes(self):
        """(table, inserted, updated, deleted) for each table that was changed and committed since the last call."""
        cdef lsc_change *at = NULL
        cdef sqlite3_int64 n[3]
        cdef const char *table
        cdef list found = []
        check_server(self, None)
        while True:
            table = lsc_server_take_change(&self.s, &at, n)
            if table is NULL:
                return found
            found.append((table.decode("utf-8", "replace"), n[0], n[1], n[2]))

    def load_extension(self, path):
        """Load an extension from a shared library."""
        cdef lsc_error error
        cdef bytes file = file_name(path)
        cdef const char *z = file
        cdef int rc
        check_server(self, None)
        self.running += 1
        with nogil:
            rc = lsc_server_load(&self.s, z, &error)
        leave_server(self)
        if rc != SQLITE_OK:
            raise take_failure(&error, -1)

    @property
    def indexed(self):
        """Whether results tell the last frame in the log."""
        return self.s.indexed != 0

    @indexed.setter
    def indexed(self, bint on):
        self.s.indexed = on

    def vacuum(self):
        """VACUUM, which statements may not do."""
        cdef lsc_error error
        cdef int rc
        check_server(self, None)
        memset(&error, 0, sizeof(error))
        self.running += 1
        with nogil:
            rc = lsc_server_vacuum(&self.s, &error)
        leave_server(self)
        if rc != SQLITE_OK:
            raise take_failure(&error, -1)

    def checkpoint(self, mode="PASSIVE"):
        """Copy the log into the database; pages in the log and pages copied, or (-1, -1) if others are in the way."""
        cdef lsc_error error
        cdef int n_log = -1
        cdef int n_copied = -1
        cdef int rc
        cdef int op = ("PASSIVE", "FULL", "RESTART", "TRUNCATE").index(mode)
        check_server(self, None)
        memset(&error, 0, sizeof(error))
        self.running += 1
        with nogil:
            rc = lsc_server_checkpoint(&self.s, op, &n_log, &n_copied, &error)
        leave_server(self)
        if rc & 0xff == SQLITE_BUSY or rc & 0xff == SQLITE_LOCKED:
            sqlite3_free(error.text)
            return -1, -1
        if rc != SQLITE_OK:
            raise take_failure(&error, -1)
        return n_log, n_copied

    def close(self):
        """Close the connection, rolling back; what runs on it is interrupted and ends first."""
        if self.s.db is NULL or self.closing:
            return
        self.closing = True
        if self.running:
            sqlite3_interrupt(self.s.db)
        else:
            finish_server(self)


cdef int check_length(Py_ssize_t n) except -1:
    if n >= INT_MAX:
        raise StatementError("SQLite error: string or blob too big", "SQLITE_TOOBIG")
    return 0


cdef Plan new_plan(ServerConnection con, str sql):
    """Check a text and put its statement into the cache."""
    cdef Py_ssize_t n
    cdef const char *z = PyUnicode_AsUTF8AndSize(sql, &n)
    cdef int offset = 0
    cdef Plan plan, oldest
    cdef lsc_statement more
    cdef lsc_error error
    check_length(n)
    plan = next_plan(con, sql, z, <int>n, &offset)
    if plan is None:
        raise no_statement()
    memset(&error, 0, sizeof(error))
    if lsc_server_statement(z, <int>n, offset, &more, &error) != 0:
        sqlite3_free(error.text)
        raise StatementError("SQL string contains more than one statement", "SQL_MANY_STATEMENTS")
    if plan.flags & LSC_S_PRAGMA:
        plan._micros = 0
    elif plan._kind != LSC_ATTACH:
        try:
            compile_plan(con, plan)
            if lsc_server_is_short(&con.s, &plan.p):
                plan._micros = 0
        except StatementError:
            pass        # what it needs may come before it runs; else it is said then
    while len(con.cache) >= con.cache_size > 0:
        # The oldest that was not used again since it was looked at last.
        oldest = con.cache.pop(next(iter(con.cache)))
        if oldest.used:
            oldest.used = False
            con.cache[oldest.cached_as] = oldest
        else:
            break
    if con.cache_size > 0 and n <= 65536:
        plan.cached_as = sql
        con.cache[sql] = plan
    return plan
