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


cdef list plan_batch(ServerConnection con, list steps):
    cdef list plans = []
    cdef object known = None
    cdef object plan = None
    for step in steps:
        stmt = (<tuple>step)[1]
        sql = (<tuple>stmt)[0]
        if sql is None or (<tuple>stmt)[1] is not None or ((<tuple>stmt)[2] and (<tuple>stmt)[3]):
            return None
        if sql is not known:
            plan = con.plan(sql)
            known = sql
        plans.append(plan)
    return plans


cdef inline bint goes_on(Plan plan, bint writes, long long longest) noexcept:
    """Whether a statement may run as one of many."""
    return (
        (plan._kind == LSC_READ or plan._kind == LSC_WRITE)
        and 0 <= plan._micros <= longest
        and (writes or plan.flags & LSC_S_READONLY)
    )


cdef tuple run_steps(ServerConnection con, list plans, list steps, Py_ssize_t at, list results, int encoding,
                     Py_ssize_t limit, bint writes, long long longest, long long most):
    """Put results of steps into the list. Gives where that ended, what of the limit is left, what they took, the error.

    It ends at a step that fails, is not of reading or writing alone, may take over `longest` microseconds, writes where
    that is not allowed, or waits for more than another's success; where a transaction ends; after `most` microseconds.
    """
    cdef list noted = []
    cdef long long until = lsc_micros() + most
    cdef Py_ssize_t first = at
    cdef Py_ssize_t times = 0
    cdef bint open_before = lsc_autocommit(con.s.db) == 0
    cdef object failure = None
    cdef Plan plan
    cdef Plan last = None
    cdef lsc_outcome res
    cdef bytes result
    memset(&res, 0, sizeof(res))
    while at < len(plans) and failure is None:
        plan = <Plan?>plans[at]
        condition, stmt = (<tuple>steps[at])[0], (<tuple>steps[at])[1]
        if not goes_on(plan, writes, longest):
            break
        if condition is not None and at > first:
            if (<tuple>condition)[0] != "ok":
                break
            if results[(<tuple>condition)[1]] is None:
                at += 1
                continue
        memset(&con.res, 0, sizeof(con.res))
        try:
            result = execute_plan(con, plan, (<tuple>stmt)[2], (<tuple>stmt)[3], encoding, limit, b"", b"", 0)
        except StatementError as error:
            failure = error
        else:
            limit -= PyBytes_GET_SIZE(result)
            results[at] = result
            at += 1
        if plan is last and con.res.micros == res.micros and con.res.rows_read == res.rows_read \
                and con.res.rows_written == res.rows_written:
            times += 1
        else:
            if times:
                noted.append((last._sql, res.micros, res.rows_read, res.rows_written, times))
            last, res, times = plan, con.res, 1
        if con.s.db is NULL or (lsc_autocommit(con.s.db) == 0) != open_before or lsc_micros() >= until:
            break
    if times:
        noted.append((last._sql, res.micros, res.rows_read, res.rows_written, times))
    return at, limit, noted, failure
