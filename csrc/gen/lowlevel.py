"""Make the cffi module behind libsql_core.lowlevel. setup.py hands `ffibuilder` to cffi once the headers are in place.

The module is compiled like a loadable extension: the macros of sqlite3ext.h, and ours for what that lacks, turn each
call into one through the tables of libsql_core._engine. So it holds no SQLite of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import cdef  # noqa: E402

FOLDERS = ("build/engine", "csrc")

# _lsc_attach() says what is wrong, or NULL. It needs the GIL, which cffi releases around each call.
SOURCE = """\
#include "lsc_api.h"

static const sqlite3_api_routines *sqlite3_api;
static const struct lsc_api *lsc;

%(macros)s

static const char *lscFirstMissing(void){
%(checks)s
  return 0;
}

static const char *_lsc_attach(void){
  PyGILState_STATE gil = PyGILState_Ensure();
  const struct lsc_api *found = PyCapsule_Import(LSC_API_CAPSULE, 0);
  if( found==0 ) PyErr_Clear();
  PyGILState_Release(gil);
  if( found==0 ) return "the engine has no " LSC_API_CAPSULE;
  if( found->size<(int)sizeof(*found) || found->sqlite->libversion_number()<SQLITE_VERSION_NUMBER ){
    return "the engine is older than this module";
  }
  lsc = found;
  sqlite3_api = found->sqlite;
  return lscFirstMissing();
}
"""


def source(declarations: cdef.Declarations) -> str:
    """The C text in front of what cffi generates."""
    checks = [f'  if( {name}==0 ) return "{name}";' for name in declarations.functions]
    macros = [f"#define {name} (lsc->{name})" for name in declarations.own]
    macros += [f"#define {name} (*lsc->{name})" for name in ("sqlite3_temp_directory", "sqlite3_data_directory")]
    return SOURCE % {"checks": "\n".join(checks), "macros": "\n".join(macros)}


def builder() -> FFI:
    declarations = cdef.parse([ROOT / folder for folder in FOLDERS])
    ffi = FFI()
    ffi.cdef(declarations.cdef() + "const char *_lsc_attach(void);\n")
    ffi.set_source(
        "libsql_core.lowlevel._lowlevel",
        source(declarations),
        include_dirs=list(FOLDERS),
        depends=[str(path) for folder in FOLDERS for path in (ROOT / folder).glob("*.h")],
    )
    return ffi


ffibuilder = builder()
