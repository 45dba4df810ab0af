# What CPython offers and Cython does not declare, or declares with object references where borrowed or stolen ones are
# wanted.
cdef extern from "Python.h":
    int PY_VERSION_HEX
    Py_ssize_t PY_SSIZE_T_MAX
    PyObject *PyTuple_GET_ITEM(object row, Py_ssize_t i)
    Py_ssize_t PyTuple_GET_SIZE(object row)
    object PyList_AsTuple(object items)
    PyObject *PyDict_GetItemWithError(object mapping, object key) except? NULL
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *n) except NULL
    PyObject *PyUnicode_DecodeUTF8(const char *z, Py_ssize_t n, const char *errors)
    str text_of_utf8 "PyUnicode_DecodeUTF8"(const char *z, Py_ssize_t n, const char *errors)
    void PyUnicode_InternInPlace(PyObject **text)
    PyObject *PyLong_FromLongLong(long long value)
    PyObject *PyFloat_FromDouble(double value)
    PyObject *raw_bytes "PyBytes_FromStringAndSize"(const char *z, Py_ssize_t n)
    PyObject *PyTuple_New(Py_ssize_t n)
    void PyTuple_SET_ITEM(PyObject *row, Py_ssize_t i, PyObject *value)
    void PyObject_GC_Track(void *thing)
    void PyObject_GC_UnTrack(void *thing)
    int PyErr_ResourceWarning(object source, Py_ssize_t stack_level, const char *format, ...) noexcept
    void write_unraisable_plain "PyErr_WriteUnraisable"(PyObject *where) noexcept
    int PySys_Audit(const char *event, const char *format, ...) except -1
    double PyOS_string_to_double(const char *z, char **end, void *overflow) except? -1
    object PyObject_CallOneArg(object call, object value)
    Py_ssize_t PyList_GET_SIZE(object items)
    const size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    object PyObject_Vectorcall(object call, PyObject **args, size_t n, void *names)
    object PyObject_VectorcallMethod(object name, PyObject **args, size_t n, void *names)
    const char *tp_name "Py_TYPE_NAME"(object thing)

cdef extern from *:
    """
    /*
    ** Leaving and entering Python. A thread that runs SQLite without the GIL remembers its thread state, so that a
    ** callback comes back with one call instead of looking the state up; callbacks on other ways take the long one.
    */
    #if defined(_MSC_VER)
    #define LSC_THREAD __declspec(thread)
    #else
    #define LSC_THREAD __thread
    #endif
    static LSC_THREAD PyThreadState *lsc_outside;
    static CYTHON_INLINE void lsc_leave_python(void) { lsc_outside = PyEval_SaveThread(); }
    static CYTHON_INLINE void lsc_enter_python(void) {
      PyThreadState *state = lsc_outside;
      lsc_outside = NULL;
      PyEval_RestoreThread(state);
    }
    static CYTHON_INLINE int lsc_enter_callback(PyGILState_STATE *gil) {
      if (lsc_outside) { lsc_enter_python(); return 1; }
      *gil = PyGILState_Ensure();
      return 0;
    }
    static CYTHON_INLINE void lsc_leave_callback(int direct, PyGILState_STATE gil) {
      if (direct) lsc_leave_python(); else PyGILState_Release(gil);
    }
    /*
    ** The exception of a callback that could not tell SQLite, for the run that this thread is in, which raises it at
    ** its end. Until then no other callback runs in the thread. The count spares the others a look at their threads.
    */
    static LSC_THREAD PyObject *lsc_kept;
    static int lsc_n_kept;
    static CYTHON_INLINE int lsc_has_kept(void) { return lsc_n_kept && lsc_kept; }
    static void lsc_keep_error(PyObject *error) {
      if (lsc_kept) return;
      Py_INCREF(error);
      lsc_kept = error;
      lsc_n_kept++;
    }
    static void lsc_drop_kept_now(void) {
      PyObject *error = lsc_kept;
      lsc_kept = NULL;
      lsc_n_kept--;
      Py_DECREF(error);
    }
    static CYTHON_INLINE void lsc_drop_kept(void) { if (lsc_has_kept()) lsc_drop_kept_now(); }
    static CYTHON_INLINE int lsc_raise_kept(void) {
      if (!lsc_has_kept()) return 0;
      PyErr_SetObject((PyObject *)Py_TYPE(lsc_kept), lsc_kept);
      lsc_drop_kept_now();
      return -1;
    }
    /*
    ** The exception of a method of a Python log, which SQLite heard of as a result code: the cause of the error that is
    ** raised for that code. Such a method may itself run statements of other connections, so the cause belongs to the
    ** depth at which it will be raised.
    */
    static LSC_THREAD struct { PyObject *error; int code, depth, inside; } lsc_cause;
    static int lsc_n_cause;
    static void lsc_drop_cause_now(void) {
      PyObject *error = lsc_cause.error;
      lsc_cause.error = NULL;
      lsc_n_cause--;
      Py_DECREF(error);
    }
    static CYTHON_INLINE int lsc_has_cause(void) {
      return lsc_n_cause && lsc_cause.error && lsc_cause.depth == lsc_cause.inside;
    }
    static CYTHON_INLINE void lsc_drop_cause(void) { if (lsc_has_cause()) lsc_drop_cause_now(); }
    static void lsc_enter_method(void) { lsc_cause.inside++; }
    static void lsc_leave_method(void) { lsc_cause.inside--; }
    /* Called inside the method. */
    static void lsc_set_cause(PyObject *error, int code) {
      if (lsc_cause.error) lsc_drop_cause_now();
      Py_INCREF(error);
      lsc_cause.error = error;
      lsc_cause.code = code;
      lsc_cause.depth = lsc_cause.inside - 1;
      lsc_n_cause++;
    }
    static PyObject *lsc_take_cause(int code) {
      PyObject *error = Py_None;
      if (lsc_has_cause()) {
        if ((lsc_cause.code & 0xff) == (code & 0xff)) error = lsc_cause.error;
        Py_INCREF(error);
        lsc_drop_cause_now();
        return error;
      }
      Py_INCREF(error);
      return error;
    }
    /* Of our frames a traceback shows only the one that raised: the others say nothing to a user. */
    static int lsc_traceback_here(PyFrameObject *frame) {
      PyObject *type, *value, *traceback;
      PyErr_Fetch(&type, &value, &traceback);
      PyErr_Restore(type, value, traceback);
      return traceback ? 0 : PyTraceBack_Here(frame);
    }
    #define PyTraceBack_Here(frame) lsc_traceback_here(frame)
    #define Py_TYPE_NAME(o) (Py_TYPE(o)->tp_name)
    static PyObject *lsc_no_memory(void) { return PyErr_NoMemory(); }
    static CYTHON_INLINE PyObject *lsc_new_none(void) { Py_INCREF(Py_None); return Py_None; }
    /* A tuple of a type of named tuples, whose items are to be set; without a call of Python's. */
    static CYTHON_INLINE PyObject *lsc_new_tuple(PyObject *type, Py_ssize_t n) {
      PyObject *made = PyType_GenericAlloc((PyTypeObject *)type, n);
    #if PY_VERSION_HEX >= 0x030E0000
      if (made) ((PyTupleObject *)made)->ob_hash = -1;
    #endif
      return made;
    }
    /* Make an exception instance the one that is set; steals nothing. */
    /* Report the exception that is set the way the running interpreter reports those of SQLite's callbacks. */
    static void lsc_write_unraisable(PyObject *what) {
    #if PY_VERSION_HEX >= 0x030E0000
      PyErr_FormatUnraisable("Exception ignored on sqlite3 callback %R", what);
    #elif PY_VERSION_HEX >= 0x030B0000
      PyErr_WriteUnraisable(what);
    #else
      (void)what;
      PyErr_Print();
    #endif
    }
    static void lsc_set_raised(PyObject *error) { PyErr_SetObject((PyObject *)Py_TYPE(error), error); }
    """
    object lsc_new_tuple(object type, Py_ssize_t n)
    void keep_error "lsc_keep_error"(object error)
    int raise_kept "lsc_raise_kept"() except -1
    bint has_kept "lsc_has_kept"() noexcept
    void drop_kept "lsc_drop_kept"() noexcept
    void drop_cause "lsc_drop_cause"() noexcept
    void enter_method "lsc_enter_method"() noexcept
    void leave_method "lsc_leave_method"() noexcept
    void set_cause "lsc_set_cause"(object error, int code)
    object take_cause "lsc_take_cause"(int code)
    ctypedef int PyGILState_STATE
    void leave_python "lsc_leave_python"() noexcept nogil
    void enter_python "lsc_enter_python"() noexcept nogil
    int enter_callback "lsc_enter_callback"(PyGILState_STATE *gil) noexcept nogil
    void leave_callback "lsc_leave_callback"(int direct, PyGILState_STATE gil) noexcept nogil
    PyObject *no_memory "lsc_no_memory"() noexcept
    PyObject *new_none "lsc_new_none"() noexcept
    void set_raised "lsc_set_raised"(object error)
    void write_unraisable "lsc_write_unraisable"(object what)


cdef bint made_here = False         # tells the __cinit__ of classes that users cannot make that this module does


cdef inline int raise_pending() except -1:
    """Let Cython see the exception that a C call has set."""
    return -1


cdef inline str type_name(object thing):
    """The name that CPython's own messages give to the type of thing."""
    return tp_name(thing).decode("utf-8")
