# cython: language_level=3, initializedcheck=False
# cython: embedsignature=True, embedsignature.format=clinic, binding=False, auto_pickle=False
# cython: autotestdict=False
"""The engine and the DB-API over it. Import `libsql_core` instead."""
cimport cython
from cpython.buffer cimport PyBUF_FULL_RO, PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.buffer cimport PyBuffer_IsContiguous, PyBuffer_ToContiguous
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.datetime cimport datetime_new, import_datetime
from cpython.exc cimport PyErr_WarnEx
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_AsDouble
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check
from cpython.mapping cimport PyMapping_Check
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.number cimport PyIndex_Check, PyNumber_AsSsize_t, PyNumber_Index
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, PyObject
from cpython.sequence cimport PySequence_Check
from libc.limits cimport INT_MAX, INT_MIN
from libc.string cimport memcmp, memcpy, memmove, memset, strlen

from os import fsencode as _fsencode
from sys import intern as intern_text
from types import NoneType
from weakref import ref as weak_ref

import_datetime()

include "_pyx/python.pxi"
include "_pyx/arguments.pyx"
include "_pyx/errors.pyx"
include "_pyx/adapt.pyx"
include "_pyx/columns.pyx"
include "_pyx/statement.pyx"
include "_pyx/vector.pyx"
include "_pyx/bind.pyx"
include "_pyx/fetch.pyx"
include "_pyx/transaction.pyx"
include "_pyx/cursor.pyx"
include "_pyx/blob.pyx"
include "_pyx/copying.pyx"
include "_pyx/functions.pyx"
include "_pyx/hooks.pyx"
include "_pyx/settings.pyx"
include "_pyx/wal_log.pyx"
include "_pyx/wal_calls.pyx"
include "_pyx/wal_table.pyx"
include "_pyx/wal_manager.pyx"
include "_pyx/frames.pyx"
include "_pyx/search.pyx"
include "_pyx/encryption.pyx"
include "_pyx/wasm.pyx"
include "_pyx/connection.pyx"
include "_pyx/replication.pyx"
include "_pyx/snapshots.pyx"
include "_pyx/injection.pyx"
include "_pyx/plan.pyx"
include "_pyx/reply.pyx"
include "_pyx/hrana.pyx"
include "_pyx/group.pyx"
include "_pyx/entries.pyx"
include "_pyx/json.pyx"
include "_pyx/requests.pyx"
include "_pyx/protobuf.pyx"
include "_pyx/module.pyx"
