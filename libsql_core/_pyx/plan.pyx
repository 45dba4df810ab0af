# The server's statements: checked by its policy, their parameters filled, their errors as clients know them.

cdef dict code_names = {
    2: "SQLITE_INTERNAL", 3: "SQLITE_PERM", 4: "SQLITE_ABORT", 5: "SQLITE_BUSY", 6: "SQLITE_LOCKED", 7: "SQLITE_NOMEM",
    8: "SQLITE_READONLY", 9: "SQLITE_INTERRUPT", 10: "SQLITE_IOERR", 11: "SQLITE_CORRUPT", 12: "SQLITE_NOTFOUND",
    13: "SQLITE_FULL", 14: "SQLITE_CANTOPEN", 15: "SQLITE_PROTOCOL", 17: "SQLITE_SCHEMA", 18: "SQLITE_TOOBIG",
    19: "SQLITE_CONSTRAINT", 20: "SQLITE_MISMATCH", 21: "SQLITE_MISUSE", 22: "SQLITE_NOLFS", 23: "SQLITE_AUTH",
    25: "SQLITE_RANGE", 26: "SQLITE_NOTADB",
}


class StatementError(Exception):
    """What a statement failed with: the message and code that clients get; `detail` lacks the message's prefix.

    `extended_code`: SQLite's, 0 where the error is none of SQLite's.
    """
    __module__ = "libsql_core._engine"

    def __init__(self, message, code, detail=None, extended_code=0):
        super().__init__(message, code)
        self.message = message
        self.code = code
        self.detail = message if detail is None else detail
        self.extended_code = extended_code

    def __str__(self):
        return self.message


cdef object sqlite_failure(str text, int code, int offset):
    """The error for a result code; offset: where in the statement it is, if that is known."""
    if offset >= 0:
        return StatementError(f"SQL input error: {text} (at offset {offset})", "SQL_INPUT_ERROR", text, code)
    return StatementError(f"SQLite error: {text}", code_names.get(code & 0xff, "SQLITE_UNKNOWN"), text, code)


cdef object take_failure(lsc_error *error, int offset):
    """The error that a call of server.h noted; frees the note."""
    cdef char *z = error.text
    cdef int code = error.code
    cdef str text
    error.text = NULL
    if z is NULL:
        text = "out of memory" if code & 0xff == SQLITE_NOMEM else "unknown error"
    else:
        text = z.decode("utf-8", "replace")
        sqlite3_free(z)
    if code == LSC_ERR_TOO_LARGE:
        return StatementError("Response is too large", "RESPONSE_TOO_LARGE")
    if code == LSC_ERR_NOT_UTF8:
        return StatementError(text, "RESPONSE_NOT_UTF8")
    return sqlite_failure(text, code, offset)


cdef object parse_failure(str detail):
    return StatementError(f"SQL string could not be parsed: {detail}", "SQL_PARSE_ERROR", detail)


cdef object argument_failure(str detail):
    return StatementError(f"Arguments do not match SQL parameters: {detail}", "ARGS_INVALID", detail)


cdef object no_statement():
    return StatementError("SQL string does not contain any statement", "SQL_NO_STATEMENT")


@cython.final
cdef class Plan:
    """One statement of a ServerConnection, checked by the server's policy."""

    READ = LSC_READ
    WRITE = LSC_WRITE
    DDL = LSC_DDL
    TXN = LSC_TXN
    SAVEPOINT = LSC_SAVEPOINT
    ATTACH = LSC_ATTACH
    DETACH = LSC_DETACH

    def __cinit__(self, *args):
        if not made_here:
            raise TypeError("cannot create 'Plan' instances")

    def __dealloc__(self):
        unlink_statement(&self.p.s)
        if self.fork_id == lsc_fork_count():
            with nogil:
                lsc_server_finalize(&self.p)
        PyMem_Free(self.params)
        PyMem_Free(self.places)

    @property
    def kind(self):
        """Its class in the server's policy: Plan.READ ..."""
        return self._kind

    @property
    def verb(self):
        """Its first word; "ROLLBACK TO" is told from "ROLLBACK"."""
        return self._verb

    @property
    def readonly(self):
        """Whether it needs no turn among the writers."""
        return (self.flags & LSC_S_READONLY) != 0

    @property
    def begins(self):
        """Whether it is BEGIN."""
        return (self.flags & LSC_S_BEGIN) != 0

    @property
    def immediate(self):
        """Whether it is BEGIN IMMEDIATE or EXCLUSIVE."""
        return (self.flags & LSC_S_IMMEDIATE) != 0

    @property
    def no_write(self):
        """Whether it is BEGIN READONLY."""
        return (self.flags & LSC_S_NO_WRITE) != 0

    @property
    def sql(self):
        """The statement's text."""
        return self._sql

    @property
    def attach_name(self):
        """Of ATTACH: the namespace."""
        return self._attach_name

    @property
    def alias(self):
        """Of ATTACH: the name in the connection."""
        return self._alias

    @property
    def micros(self):
        """How long it takes: a decaying maximum, of the shorter of two runs. -1: it never ran and may be long."""
        return self._micros


cdef str taken_name(const char *z, int n):
    """The name that a token is."""
    cdef char *name = lsc_server_name(z, n)
    if name is NULL:
        raise MemoryError()
    try:
        return name.decode("utf-8", "replace")
    finally:
        sqlite3_free(name)


cdef Plan next_plan(ServerConnection con, str sql, const char *z, int n, int *offset):
    """The statement at an offset of sql, whose UTF-8 is z, or None; the offset moves behind it."""
    global made_here
    cdef lsc_statement found
    cdef lsc_error error
    cdef Plan plan
    cdef int start = offset[0]
    cdef int res
    memset(&error, 0, sizeof(error))
    with nogil:
        res = lsc_server_statement(z, n, start, &found, &error)
    offset[0] = found.next
    if res == 0:
        return None
    if res < 0:
        if error.code == SQLITE_NOMEM:
            raise MemoryError()
        if error.text is NULL:
            raise parse_failure(f"unsupported statement: {sql}")
        detail = error.text.decode("utf-8", "replace")
        sqlite3_free(error.text)
        raise parse_failure(detail)
    made_here = True
    plan = Plan.__new__(Plan)
    made_here = False
    plan.owner = <void *>con
    plan.fork_id = con.fork_id
    plan._sql = sql if found.start == 0 and found.end == n else z[found.start:found.end].decode("utf-8")
    plan._kind = found.kind
    plan.flags = found.flags
    plan._verb = intern_text((<bytes>found.verb).decode())
    plan._micros = -1
    if found.kind == LSC_ATTACH:
        plan._attach_name = taken_name(z + found.name, found.n_name)
        plan._alias = taken_name(z + found.alias, found.n_alias)
    return plan


cdef int compile_plan(ServerConnection con, Plan plan) except -1:
    """Prepare the statement; raises what SQLite says to it."""
    cdef Py_ssize_t n
    cdef const char *z
    cdef int rc, offset
    if plan._kind == LSC_ATTACH:
        z = b"ATTACH ?1 AS ?2"
        n = 15
    else:
        z = PyUnicode_AsUTF8AndSize(plan._sql, &n)
    con.running += 1
    with nogil:
        # The NUL counts, which spares SQLite a copy.
        rc = lsc_server_prepare(&con.s, z, <int>n + 1, plan.flags, &plan.p, &offset)
    leave_server(con)
    if rc != SQLITE_OK:
        raise take_failure(&plan.p.s.error, offset)
    plan.p.s.next = con.stmts
    plan.p.s.link = &con.stmts
    if con.stmts is not NULL:
        con.stmts.link = &plan.p.s.next
    con.stmts = &plan.p.s
    plan.n_param = sqlite3_bind_parameter_count(plan.p.s.st)
    if plan.n_param > 0 and plan.params is NULL:
        place_params(plan)
    return 0


cdef int place_params(Plan plan) except -1:
    """Find out which parameters are filled by position, from which value, and which by name."""
    cdef const char *z
    cdef int i
    cdef list names = []
    plan.params = <lsc_cell *>PyMem_Calloc(plan.n_param, sizeof(lsc_cell))
    plan.places = <int *>PyMem_Calloc(plan.n_param, sizeof(int))
    if plan.params is NULL or plan.places is NULL:
        raise MemoryError()
    for i in range(plan.n_param):
        z = sqlite3_bind_parameter_name(plan.p.s.st, i + 1)
        if z is NULL:
            plan.places[i] = i
            names.append(None)
        else:
            names.append(z.decode("utf-8", "replace"))
            plan.places[i] = int(names[i][1:]) - 1 if z[0] == c'?' else -1
    plan.names = tuple(names)
    return 0


cdef object fill_tagged(lsc_cell *cell, object tag, object given):
    """Fill the cell from a value of a wire protocol: by Hrana's name of its type, or its field of a protobuf Value."""
    cdef const char *z
    cdef Py_ssize_t n
    cdef bytes data
    cdef int size
    if tag == "text" or tag == 4:
        if type(given) is str:
            fill_cell(cell, given)
            return given
    elif tag == "integer" or tag == 2:
        given = int(given)
        fill_int(cell, given)
        return given
    elif tag == "float" or tag == 3:
        cell.type = SQLITE_FLOAT
        cell.u.r = float(given)
        return None
    elif tag == "null" or tag == 1:
        cell.type = SQLITE_NULL
        return None
    elif tag == 5:
        if type(given) is bytes:
            fill_cell(cell, given)
            return given
    elif tag == "blob" and type(given) is str:
        z = PyUnicode_AsUTF8AndSize(given, &n)
        if n <= INT_MAX:
            data = PyBytes_FromStringAndSize(NULL, n // 4 * 3 + 3)
            size = lsc_base64_decode(z, <int>n, <unsigned char *>PyBytes_AS_STRING(data))
            if size >= 0:
                cell.type = SQLITE_BLOB
                cell.u.z = PyBytes_AS_STRING(data)
                cell.n = size
                return data
    raise ValueError(f"not a value of type {tag!r}")


cdef object fill_argument(lsc_cell *cell, object value):
    """Fill the cell from an argument as a request has it; returns what must stay alive."""
    cdef int overflow = 0
    if type(value) is dict:
        tag = (<dict>value).get("type", "blob")
        return fill_tagged(cell, tag, (<dict>value).get("base64" if tag == "blob" else "value"))
    if type(value) is tuple:
        if len(<tuple>value) != 2:
            raise ValueError("a value of protobuf is a field and its content")
        return fill_tagged(cell, (<tuple>value)[0], (<tuple>value)[1])
    if type(value) is bool:
        cell.type = SQLITE_INTEGER
        cell.u.i = value is True
        return value
    if type(value) is int:
        cell.u.i = PyLong_AsLongLongAndOverflow(value, &overflow)
        cell.type = SQLITE_INTEGER
        if overflow:
            cell.type = SQLITE_FLOAT
            cell.u.r = float(value)
        return value
    if not fill_cell(cell, value):
        raise ValueError(f"not a value: {type_name(value)}")
    return value


cdef dict named_values(object named):
    if type(named) is dict:
        return <dict>named
    return dict([(pair["name"], pair["value"]) if type(pair) is dict else pair for pair in named])


cdef int bind_arguments(ServerConnection con, Plan plan, object args, object named) except -1:
    """Bind the arguments of a request by the rules of the server; with none missing and none left over."""
    cdef Py_ssize_t n_args = 0 if args is None else len(args)
    cdef Py_ssize_t n_named = 0 if named is None else len(named)
    cdef dict by_name = None
    cdef list kept
    cdef str name
    cdef int i, place, rc
    if n_args > 0 and n_named > 0:
        raise StatementError("Specifying both positional and named arguments is not supported",
                             "ARGS_BOTH_POSITIONAL_AND_NAMED")
    if plan._kind == LSC_ATTACH:
        args = attach_arguments(plan)
        n_args, n_named = 2, 0
    if n_named > 0:
        by_name = named_values(named)
        n_args = len(by_name)
    if n_args > plan.n_param:
        raise argument_failure(f"too many parameters, expected {plan.n_param} found {n_args}")
    if plan.n_param == 0:
        return 0
    kept = []
    for i in range(plan.n_param):
        place = plan.places[i]
        if place >= 0 and by_name is None and place < n_args:
            kept.append(fill_argument(&plan.params[i], args[place]))
            continue
        name = plan.names[i]
        if place < 0 and by_name is not None:
            if name in by_name:
                kept.append(fill_argument(&plan.params[i], by_name[name]))
                continue
            if name[1:] in by_name:
                kept.append(fill_argument(&plan.params[i], by_name[name[1:]]))
                continue
        if not plan.flags & LSC_S_EXPLAIN:
            raise argument_failure(f"value for parameter {i + 1 if name is None else name} not found")
        plan.params[i].type = SQLITE_NULL
    rc = lsc_bind(&plan.p.s, plan.params, plan.n_param)
    if rc != SQLITE_OK:
        lsc_release(&plan.p.s)
        failure = take_failure(&plan.p.s.error, -1)
        if rc & 0xff == SQLITE_TOOBIG:
            failure = argument_failure(failure.detail)
        raise failure
    plan.bound = kept
    return 0


cdef list attach_arguments(Plan plan):
    """The file that the session has found for a namespace, and its name."""
    if plan.attach_path is None:
        raise StatementError(f"SQLite error: unable to open database: {plan._attach_name}", "SQLITE_CANTOPEN")
    return [plan.attach_path, plan._alias]
