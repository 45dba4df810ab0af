# Functions and values of the module itself.
from cpython.pycapsule cimport PyCapsule_New

PARSE_DECLTYPES = C_DECLTYPES
PARSE_COLNAMES = C_COLNAMES
LEGACY_TRANSACTION_CONTROL = -1
sqlite_version = sqlite3_libversion().decode()
libsql_version = libsql_libversion().decode()
libsql_source_id = libsql_sourceid().decode()


@cython.embedsignature(False)
def connect(*args, **kwargs):
    """connect(database, timeout=5.0, detect_types=0, isolation_level='', check_same_thread=True, factory=Connection, \
cached_statements=128, uri=False, *, autocommit=LEGACY_TRANSACTION_CONTROL, wal=None, encryption_key=None, \
cipher=None, sync_url=None, **options)
--

    Open a database and return a connection to it.

    database: path of the file, or ":memory:".
    timeout: seconds to wait for a locked database.
    detect_types: PARSE_DECLTYPES | PARSE_COLNAMES, 0 for no conversion.
    isolation_level: "", "DEFERRED", "IMMEDIATE", "EXCLUSIVE" or None; used under legacy transaction control.
    check_same_thread: refuse to be used in another thread.
    factory: what to call, with the same arguments, instead of Connection.
    cached_statements: how many prepared statements are kept.
    uri: read database as a file: URI.
    autocommit: True, False or LEGACY_TRANSACTION_CONTROL.
    wal: name of registered WAL methods, see libsql_core.wal; None for the default log.
    encryption_key: passphrase (str) or key (bytes) of an encrypted database; None for a plain one.
    cipher: "xaes256gcm", "aes256cbc", "sqlcipher" or "chacha20"; None for what the file has, "aes256cbc" for a new one.
    sync_url: the primary that the file is a replica of, with what libsql_core.replication.ReplicaConnection takes.

    Raises OperationalError if the file cannot be opened.
    """
    warn_positional("sqlite3.connect", args)
    if kwargs.get("sync_url") is not None:
        factory = kwargs.pop("factory", None) or open_replica()
        return factory(*args, **kwargs)
    kwargs.pop("sync_url", None)
    factory = args[5] if len(args) > 5 else kwargs.get("factory", Connection)
    return factory(*args, **kwargs)


cdef object open_replica = None


def set_open_replica(give, /):
    """Have `connect(sync_url=)` ask for what opens replicas: it belongs to a part above this one."""
    global open_replica
    open_replica = give


def enable_shared_cache(do_enable, /):
    """Switch SQLite's shared cache for connections opened from now on."""
    cdef int on = do_enable
    if sqlite3_enable_shared_cache(on) != SQLITE_OK:
        raise OperationalError("Changing the shared_cache flag failed")


def complete_statement(statement):
    """Whether the text ends one or more complete SQL statements."""
    z = c_text(statement, "complete_statement() argument 'statement'")
    return bool(sqlite3_complete(z))


def handle(Connection connection not None, /):
    """Address of the connection's sqlite3 object."""
    check_connection(connection)
    return <size_t>connection.db


cdef int warn_unclosed(Connection con) noexcept:
    """Newer interpreters tell of connections that were left to the collector."""
    if PyErr_ResourceWarning(con, 1, "unclosed database in %R", <PyObject *>con) < 0:
        write_unraisable_plain(<PyObject *>con)
    return 0


cdef extern from *:
    """
    /* Reported names are the public ones. */
    static void lsc_name(PyObject *type, const char *name) { ((PyTypeObject *)type)->tp_name = name; }
    /* Subscription alone does not make a type a sequence that can be iterated or searched. */
    static void lsc_no_sequence(PyObject *type) { ((PyTypeObject *)type)->tp_as_sequence->sq_item = NULL; }
    """
    void set_type_name "lsc_name"(object type, const char *name)
    void not_a_sequence "lsc_no_sequence"(object type)


set_type_name(Connection, "libsql_core.Connection")
set_type_name(Cursor, "libsql_core.Cursor")
set_type_name(PrepareProtocol, "libsql_core.PrepareProtocol")
set_type_name(Row, "libsql_core.Row")
set_type_name(Blob, "libsql_core.Blob")
not_a_sequence(Blob)
set_type_name(Statement, "libsql_core.Statement")

if lsc_initialize() != SQLITE_OK:
    raise ImportError("SQLite could not be initialised")

# The routine tables of lsc_api.h, for libsql_core.lowlevel and C extensions.
api = PyCapsule_New(<void *>lsc_api(), LSC_API_CAPSULE, NULL)

# Up to Python 3.10 the standard library's value is a constant.
threadsafety = {0: 0, 1: 3, 2: 1}[sqlite3_threadsafe()] if PY_VERSION_HEX >= 0x030B0000 else 1
