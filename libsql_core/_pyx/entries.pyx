# Cursors of the server: the entries of a batch's step, a few at a time.

@cython.final
cdef class ServerCursor:
    """The entries of a batch's step: step_begin, rows, step_end or step_error."""

    def __dealloc__(self):
        if self.plan is not None:
            end_cursor(self)

    @property
    def error(self):
        """What the step failed with, once its entry was fetched."""
        return self.failure

    def fetch(self, int max_entries, Py_ssize_t max_bytes):
        """Entries one behind the other, how many, and whether these were the last."""
        cdef ServerConnection con = self.con
        cdef lsc_plan *p
        cdef int rc = 0
        if self.plan is None:
            return b"", 0, True
        check_server(con, self.plan)
        p = &self.plan.p
        con.out.n = 0
        con.out.rc = SQLITE_OK
        con.out.most = PY_SSIZE_T_MAX
        con.running += 1
        try:
            if self.unbound is None:
                with nogil:
                    rc = lsc_server_fetch(&con.s, p, &self.f, max_entries, max_bytes, &con.out)
                if rc != 0:
                    self.failure = take_failure(&p.s.error, self.f.res.offset)
            elif max_entries > 0:
                self.f.n_entry = 0
                if self.f.state == LSC_ENTRIES_START:
                    lsc_server_step_begin(&con.s, p, &self.f, &con.out)
                if self.f.n_entry < max_entries:
                    self.failure = self.unbound
                    self.f.state = LSC_ENTRIES_DONE
            done = self.f.state == LSC_ENTRIES_DONE
            if self.failure is not None:
                append_failure(&self.f, &con.out, self.failure)
            if con.out.rc != SQLITE_OK:
                raise MemoryError()
            if done:
                note_run(con, self.plan, &self.f.res)
                end_cursor(self)
            return joined(b"", &con.out, b""), self.f.n_entry, done
        finally:
            trim_out(&con.out)
            leave_server(con)

    def close(self):
        """Give the statement up."""
        if self.plan is not None:
            end_cursor(self)


cdef int append_failure(lsc_entries *f, lsc_out *out, object failure) except -1:
    cdef Py_ssize_t n
    cdef const char *z = PyUnicode_AsUTF8AndSize(failure.message, &n)
    cdef bytes code = (<str>failure.code).encode()
    lsc_server_step_error(f, out, z, <int>n, code)
    return 0


cdef int end_cursor(ServerCursor cur) except -1:
    cdef Plan plan = cur.plan
    cur.plan = None
    plan.bound = None
    plan.in_use = False
    with nogil:
        lsc_server_release(&plan.p)
    return 0
