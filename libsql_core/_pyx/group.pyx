# Several statements in one call. Group commit: those of several clients in one transaction.
#
# Each client must find what it would have found alone: its result, its error, nothing of the others in changes() and
# last_insert_rowid(). What cannot be had together (a statement that rolls everything back, a foreign key that is only
# checked by the commit, a commit that fails) is rolled back, and the statements run one by one.

cdef tuple run_item(ServerConnection con, tuple item, Py_ssize_t limit):
    """The result of one statement, or its error; and what it took."""
    plan, args, named, encoding, waited = item
    memset(&con.res, 0, sizeof(con.res))
    try:
        result = execute_plan(con, plan, args, named, encoding, limit, b"", b"", waited)
    except StatementError as error:
        result = error
    return result, con.res.micros, con.res.rows_read, con.res.rows_written


cdef list run_together(ServerConnection con, list items, Py_ssize_t limit):
    """The results of all, committed; None if that cannot be had."""
    cdef list results = []
    cdef bint fits = True
    try:
        con.run(con.plan("BEGIN IMMEDIATE"))
    except StatementError:
        return None
    for item in items:
        fits = lsc_server_next(&con.s) != 0
        if not fits:
            break
        results.append(run_item(con, item, limit))
    if fits and lsc_server_next(&con.s):
        try:
            con.run(con.plan("COMMIT"))
            return results
        except StatementError:
            pass
    con.rollback()
    return None


cdef list run_apart(ServerConnection con, list items, Py_ssize_t limit):
    cdef list results = []
    for item in items:
        lsc_server_next(&con.s)
        results.append(run_item(con, item, limit))
    return results


cdef tuple run_steps(ServerConnection con, list items, int encoding, Py_ssize_t limit, long long most):
    cdef list results = []
    cdef bytes result
    cdef long long until = lsc_micros() + most
    cdef int open_before
    check_server(con, None)
    for item in items:
        plan, args, named = item
        open_before = lsc_autocommit(con.s.db)
        memset(&con.res, 0, sizeof(con.res))
        try:
            result = execute_plan(con, plan, args, named, encoding, limit, b"", b"", 0)
        except StatementError as error:
            return results, error
        limit -= PyBytes_GET_SIZE(result)
        results.append((result, con.res.micros, con.res.rows_read, con.res.rows_written))
        if con.s.db is NULL or lsc_autocommit(con.s.db) != open_before or lsc_micros() >= until:
            break
    return results, None
