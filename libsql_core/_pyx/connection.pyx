# Connections. The methods check their arguments; the work is done in the parts that the other files hold.

cdef class Connection:
    """A connection to a database; made by `connect()`, whose parameters it takes."""

    Warning = Warning
    Error = Error
    InterfaceError = InterfaceError
    DatabaseError = DatabaseError
    DataError = DataError
    OperationalError = OperationalError
    IntegrityError = IntegrityError
    InternalError = InternalError
    ProgrammingError = ProgrammingError
    NotSupportedError = NotSupportedError

    def __init__(self, *args, autocommit=-1, wal=None, encryption_key=None, cipher=None, **kwargs):
        cdef list given
        cdef double seconds
        cdef int detect, cached, control
        cdef str begin_sql
        cdef Key key
        cdef bint same_thread, as_uri
        warn_positional("_sqlite3.Connection", args)
        given = take_args("Connection", connect_names, 1, args, kwargs)
        database = given[0]
        seconds = 5.0 if given[1] is ABSENT else given[1]
        detect = 0 if given[2] is ABSENT else c_int(given[2])
        begin_sql = begin_text("" if given[3] is ABSENT else given[3])
        same_thread = True if given[4] is ABSENT else bool(given[4])
        cached = 128 if given[6] is ABSENT else c_int(given[6])
        as_uri = False if given[7] is ABSENT else bool(given[7])
        control = autocommit_value(autocommit)
        PySys_Audit("sqlite3.connect", "O", <PyObject *>database)
        path = file_name(database)
        wal_name = None if wal is None else c_text(wal, "connect() argument 'wal'")
        key = make_key(encryption_key, cipher, "connect()")
        if self.running:
            raise ProgrammingError("Cannot initialise a connection anew while one of its statements runs.")
        if self.initialized:
            self.initialized = False
            retire_connection(self)
        open_connection(self, path, seconds, detect, begin_sql, same_thread, cached, as_uri, control,
                        wal_name, key)
        PySys_Audit("sqlite3.connect/handle", "O", <PyObject *>self)

    def __dealloc__(self):
        if self.db is not NULL:
            self.running = 0
            close_handle(self)

    def __del__(self):
        if PY_VERSION_HEX >= 0x030D0000 and self.db is not NULL and self.initialized:
            warn_unclosed(self)

    # Statements

    def cursor(self, factory=Cursor):
        """A new cursor. `factory(connection)` may make it; the result must be a Cursor."""
        check_connection(self)
        if factory is Cursor:
            return new_cursor(self)
        cursor = factory(self)
        if not isinstance(cursor, Cursor):
            raise TypeError(f"factory must return a cursor, not {type_name(cursor)}")
        if self._row_factory is not None:
            (<Cursor>cursor)._row_factory = self._row_factory
        return cursor

    def execute(self, sql, parameters=(), /):
        """Run one statement on a new cursor and return that."""
        cdef Cursor cur
        check_connection(self)
        sql = check_sql(sql, "execute() argument 1")
        cur = new_cursor(self)
        execute_one(cur, <str>sql, parameters)
        return cur

    def executemany(self, sql, parameters, /):
        """Run one data-changing statement for each item, on a new cursor, and return that."""
        check_connection(self)
        return new_cursor(self).executemany(sql, parameters)

    def executescript(self, sql_script, /):
        """Run any number of statements on a new cursor and return that."""
        check_connection(self)
        return new_cursor(self).executescript(sql_script)

    @cython.embedsignature(False)
    def __call__(self, *args):
        """__call__($self, sql, /)
--

Compile a statement without running it.
"""
        check_open(self)
        if len(args) != 1:
            raise TypeError(f"function takes exactly 1 argument ({len(args)} given)")
        sql = check_sql(args[0], "argument 1")
        check_thread(self)
        return prepare(self, sql, False)

    # Transactions

    def commit(self):
        """Commit the open transaction, if there is one."""
        check_connection(self)
        end_transaction(self, True)

    def rollback(self):
        """Roll back the open transaction, if there is one."""
        check_connection(self)
        end_transaction(self, False)

    def __enter__(self):
        check_open(self)
        return self

    def __exit__(self, type, value, traceback, /):
        cdef bint done = type is None and value is None and traceback is None
        check_connection(self)
        if not done:
            end_transaction(self, False)
            return False
        try:
            end_transaction(self, True)
        except BaseException:
            # The transaction must not stay open behind the `with`.
            if self.db is not NULL and not self.closing:
                end_transaction(self, False)
            raise
        return False

    @property
    def row_factory(self):
        """What `cursor()` gives its cursors as row_factory."""
        return self._row_factory

    @row_factory.setter
    def row_factory(self, factory):
        self._row_factory = factory

    @row_factory.deleter
    def row_factory(self):
        raise AttributeError("cannot delete row_factory attribute")

    @property
    def text_factory(self):
        """Makes the object of a TEXT value from its bytes; str, bytes and bytearray are known to the engine."""
        return self._text_factory

    @text_factory.setter
    def text_factory(self, factory):
        self._text_factory = factory

    @text_factory.deleter
    def text_factory(self):
        raise AttributeError("cannot delete text_factory attribute")

    @property
    def isolation_level(self):
        """Kind of the transactions opened implicitly under legacy control; None for none."""
        check_open(self)
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level):
        cdef str sql = begin_text(level)
        if sql is None:
            check_connection(self)
            end_transaction(self, True)
            self._isolation_level = None
        else:
            self._isolation_level = sql[6:]
        self.begin_sql = sql

    @isolation_level.deleter
    def isolation_level(self):
        raise AttributeError("cannot delete attribute")

    @property
    def autocommit(self):
        """True: SQLite's own autocommit. False: a transaction is always open. -1: legacy control."""
        check_connection(self)
        return self._autocommit if self._autocommit == -1 else bool(self._autocommit)

    @autocommit.setter
    def autocommit(self, value):
        cdef int control
        check_connection(self)
        control = autocommit_value(value)
        if control == 1:
            if not lsc_autocommit(self.db):
                run_commit(self)
        elif control == 0:
            if lsc_autocommit(self.db):
                begin(self, "BEGIN")
        self._autocommit = control

    @autocommit.deleter
    def autocommit(self):
        raise AttributeError("cannot delete autocommit attribute")

    @property
    def in_transaction(self):
        """Whether a transaction is open."""
        check_open(self)
        return not lsc_autocommit(self.db)

    @property
    def total_changes(self):
        """Rows changed since the connection was opened."""
        cdef int changes
        check_open(self)
        lock(self)
        changes = sqlite3_total_changes(self.db)
        unlock(self)
        return changes

    def close(self):
        """Close the connection. An open transaction is rolled back, whatever the transaction control."""
        check_thread(self)
        if not self.initialized:
            raise ProgrammingError("Base Connection.__init__ not called.")
        if self.db is NULL or self.closing:
            return
        if (self._autocommit == 0 and self.fork_id == lsc_fork_count() and not self.running
                and not lsc_autocommit(self.db)):
            try:
                run_rollback(self)
            finally:
                close_connection(self)
        else:
            close_connection(self)

    def interrupt(self):
        """Make running statements of this connection, in whatever thread, fail soon."""
        check_open(self)
        sqlite3_interrupt(self.db)      # takes no mutex

    # Functions and hooks

    @cython.embedsignature(False)
    def create_function(self, *args, deterministic=False, **kwargs):
        """create_function($self, /, name, narg, func, *, deterministic=False)
--

Register a Python function for SQL, or remove one by None. narg -1 takes any number of arguments.

Raises OperationalError if SQLite refuses it.
"""
        warn_keywords("create_function", ("name", "narg", "func"), kwargs)
        name, narg, func = take_args("create_function", ("name", "narg", "func"), 3, args, kwargs)
        define_function(self, name, narg, func, bool(deterministic))

    @cython.embedsignature(False)
    def create_aggregate(self, *args, **kwargs):
        """create_aggregate($self, /, name, n_arg, aggregate_class)
--

Register a class with `step(*args)` and `finalize()` as an aggregate, or remove one by None.
"""
        warn_keywords("create_aggregate", ("name", "n_arg", "aggregate_class"), kwargs)
        name, narg, made_by = take_args("create_aggregate", ("name", "n_arg", "aggregate_class"), 3, args, kwargs)
        define_aggregate(self, name, narg, made_by, False)

    def create_window_function(self, name, num_params, aggregate_class, /):
        """Register a class with `step`, `inverse`, `value` and `finalize` as a window function, or remove one."""
        define_aggregate(self, name, num_params, aggregate_class, True)

    def create_collation(self, name, callback, /):
        """Register a function that compares two str (negative, zero, positive) as a collation, or remove one."""
        define_collation(self, name, callback)

    def create_wasm_function(self, name, wasm, *, deterministic=True, fuel=None, memory_limit=None, capabilities=()):
        """Register what a WebAssembly module exports under this name as an SQL function of this connection.

        wasm: the module, as text (str) or in binary form; None removes the functions of that name.
        deterministic: equal arguments give equal results, so that it may be used in indexes.
        fuel: about how many instructions a call may run; None for no such limit.
        memory_limit: bytes that the module may use; None for that of the connection.
        capabilities: "wasi" lets it import WASI, with clock and random numbers, but no files, streams or variables.

        CREATE FUNCTION stores one in the database instead. Raises OperationalError for a module that does not fit,
        NotSupportedError if wasmtime is not installed.
        """
        define_wasm(self, name, wasm, bool(deterministic), fuel, memory_limit, capabilities)

    @cython.embedsignature(False)
    def set_authorizer(self, *args, **kwargs):
        """set_authorizer($self, /, authorizer_callback)
--

Have each access checked by a callable when a statement is compiled; None removes it.
"""
        warn_keywords("set_authorizer", ("authorizer_callback",), kwargs)
        (callback,) = take_args("set_authorizer", ("authorizer_callback",), 1, args, kwargs)
        set_authorizer(self, callback)

    @cython.embedsignature(False)
    def set_progress_handler(self, *args, **kwargs):
        """set_progress_handler($self, /, progress_handler, n)
--

Call progress_handler about every n instructions; a true result interrupts. None removes it.
"""
        warn_keywords("set_progress_handler", ("progress_handler",), kwargs)
        callback, n = take_args("set_progress_handler", ("progress_handler", "n"), 2, args, kwargs)
        set_progress(self, callback, n)

    @cython.embedsignature(False)
    def set_trace_callback(self, *args, **kwargs):
        """set_trace_callback($self, /, trace_callback)
--

Call trace_callback(sql) for each statement that starts; None removes it.
"""
        warn_keywords("set_trace_callback", ("trace_callback",), kwargs)
        (callback,) = take_args("set_trace_callback", ("trace_callback",), 1, args, kwargs)
        set_trace(self, callback)

    # Databases as a whole

    def backup(self, target, *, pages=-1, progress=None, name="main", sleep=0.250):
        """Copy the database over target's main database, `pages` at a time.

        After each step `progress(status, remaining, total)` is called; between tries at a locked database it waits
        `sleep` seconds. Raises OperationalError if the copy fails, ValueError for a target that is this connection.
        """
        cdef int n
        cdef double seconds
        if not isinstance(target, Connection):
            raise TypeError(f"backup() argument 'target' must be libsql_core.Connection, not {not_type(target)}")
        n = c_int(pages)
        z = c_text(name, "backup() argument 'name'")
        seconds = sleep
        check_connection(self)
        check_open(<Connection>target)
        if target is self:
            raise ValueError("target cannot be the same connection instance")
        if progress is not None and not callable(progress):
            raise TypeError("progress argument must be a callable")
        if n == 0:
            n = -1
        run_backup(self, <Connection>target, n, progress, z, milliseconds(seconds))

    def rekey(self, encryption_key, *, cipher=None, name="main"):
        """Encrypt a database under another key, in place; None for the key decrypts it.

        cipher: the one to change to; None for the one that the database has, "aes256cbc" if it has none.

        A str is a passphrase, bytes are the key itself. Raises OperationalError in a transaction, or while another
        connection uses the database.
        """
        cdef Key key = make_key(encryption_key, cipher, "rekey()")
        z = c_text(name, "rekey() argument 'name'")
        check_connection(self)
        change_key(self, key, z)

    def iterdump(self, *, filter=None):
        """The SQL statements that make the database anew, one by one; `filter` is a LIKE pattern for names."""
        check_open(self)
        from libsql_core.dump import _iterdump
        return _iterdump(self, filter=filter)

    def serialize(self, *, name="main"):
        """The bytes of the database file that this database is or would be."""
        z = c_text(name, "serialize() argument 'name'")
        check_connection(self)
        return serialize_database(self, z)

    def deserialize(self, data, /, *, name="main"):
        """Replace a database by one in memory with the content that `serialize()` gave."""
        cdef Py_buffer view
        z = c_text(name, "deserialize() argument 'name'")
        if isinstance(data, str):
            data = (<str>data).encode("utf-8")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            check_connection(self)
            deserialize_database(self, view.buf, view.len, z)
        finally:
            PyBuffer_Release(&view)

    def blobopen(self, table, column, row, /, *, readonly=False, name="main"):
        """Open one blob for reading and writing in pieces."""
        return open_blob(self, table, column, row, bool(readonly), name)

    # The write-ahead log

    def wal_frame_count(self):
        """Frames in the write-ahead log of database "main"; 0 outside WAL mode.

        In a transaction, the frames that it sees.
        """
        cdef int frame_size
        check_connection(self)
        return count_frames(self, &frame_size)

    def wal_frames(self, start=1, stop=None, /):
        """Frames of the log from number `start`, the first being 1, up to but not including `stop`, or to the end.

        Each is bytes: a header of 24 bytes (page number, size of the database in pages behind a commit or 0, two
        salts, two checksums, each 4 bytes, big-endian) and the page. Raises ValueError for frames that are not there.
        """
        check_connection(self)
        return read_frames(self, start, stop)

    def wal_insert(self, frames, /, *, start=None):
        """Put frames of another database's log into this one's, and return how many were added.

        They become frames `start` and following, by default those behind the last. Frames that are in the log already
        are compared instead. A database that is not in WAL mode is switched to it, an empty one takes the page size.
        Frames whose salts and checksums are zeros are not checked for these.

        Raises ValueError for a wrong size, DatabaseError for a salt or checksum that does not continue the frame before
        or an end within a transaction, all before anything is written; OperationalError if a frame differs from the one
        that is there, or while another connection writes; InterfaceError in a transaction.
        """
        check_connection(self)
        return insert_frames(self, frames, start)

    def wal_disable_checkpoint(self):
        """Stop automatic checkpoints and the one at close, until `PRAGMA wal_autocheckpoint` sets a number."""
        check_connection(self)
        lock(self)
        libsql_wal_disable_checkpoint(self.db)
        unlock(self)

    # Settings

    def getlimit(self, category, /):
        """A limit of the connection (SQLITE_LIMIT_*)."""
        return change_limit(self, category, -1)

    def setlimit(self, category, limit, /):
        """Set a limit of the connection and return the old one; a negative value changes nothing."""
        return change_limit(self, category, limit)

    def getconfig(self, op, /):
        """A boolean setting of the connection (SQLITE_DBCONFIG_*)."""
        return change_config(self, op, -1)

    def setconfig(self, op, enable=True, /):
        """Switch a boolean setting of the connection."""
        cdef int on = bool(enable)
        if change_config(self, op, on) != bool(on):
            raise OperationalError("Unable to set config")

    def enable_load_extension(self, enable, /):
        """Allow or forbid loading of extensions, by `load_extension()` and by SQL."""
        allow_extensions(self, enable)

    def load_extension(self, name, /, *, entrypoint=None):
        """Load an extension from a shared library."""
        load_extension(self, name, entrypoint)
