"""Types of the compiled module. Import `libsql_core` instead."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from ssl import SSLContext
from types import TracebackType
from typing import (
    Any,
    Final,
    Literal,
    NamedTuple,
    Protocol,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    final,
    overload,
    type_check_only,
)

from _typeshed import ReadableBuffer, StrOrBytesPath, SupportsLenAndGetItem
from typing_extensions import CapsuleType, Self, disjoint_base

from libsql_core._constants import BOOLEAN_SETTINGS, ERROR_NAMES  # noqa: F401
from libsql_core.replication import OfflineConnection, ReplicaConnection

_T = TypeVar("_T")
_CursorT = TypeVar("_CursorT", bound=Cursor)

# What SQLite stores as it is.
_Value: TypeAlias = str | int | float | ReadableBuffer | None
# The values may be of any type, for an adapter may be registered for it.
_Parameters: TypeAlias = SupportsLenAndGetItem[Any] | Mapping[str, Any]
_IsolationLevel: TypeAlias = Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None
_Autocommit: TypeAlias = bool | Literal[-1]
_RowFactory: TypeAlias = Callable[[Cursor, tuple[Any, ...]], object] | None
_Key: TypeAlias = str | ReadableBuffer | None
_Cipher: TypeAlias = Literal["xaes256gcm", "aes256cbc", "sqlcipher", "chacha20"] | None
_Column: TypeAlias = tuple[str, None, None, None, None, None, None]
_Authorizer: TypeAlias = Callable[[int, str | None, str | None, str | None, str | None], int]

@type_check_only
class _Aggregate(Protocol):
    @property
    def step(self) -> Callable[..., object]: ...
    def finalize(self) -> _Value: ...

@type_check_only
class _WindowFunction(_Aggregate, Protocol):
    @property
    def inverse(self) -> Callable[..., object]: ...
    def value(self) -> _Value: ...

LEGACY_TRANSACTION_CONTROL: Final = -1
PARSE_COLNAMES: Final = 2
PARSE_DECLTYPES: Final = 1
libsql_source_id: Final[str]
libsql_version: Final[str]
sqlite_version: Final[str]
# For libsql_core.lowlevel and C extensions: see include/lsc_api.h.
api: Final[CapsuleType]
threadsafety: Final[Literal[0, 1, 3]]
adapters: dict[tuple[type[Any], type[Any]], Callable[[Any], _Value]]
converters: dict[str, Callable[[bytes], Any]]

class Warning(Exception): ...

class Error(Exception):
    # Only on errors that SQLite reported.
    sqlite_errorcode: int
    sqlite_errorname: str

class InterfaceError(Error): ...
class DatabaseError(Error): ...
class InternalError(DatabaseError): ...
class OperationalError(DatabaseError): ...
class ProgrammingError(DatabaseError): ...
class IntegrityError(DatabaseError): ...
class DataError(DatabaseError): ...
class NotSupportedError(DatabaseError): ...

# Under these names the attributes of Connection can refer to the classes.
_Warning: TypeAlias = Warning
_Error: TypeAlias = Error
_InterfaceError: TypeAlias = InterfaceError
_DatabaseError: TypeAlias = DatabaseError
_InternalError: TypeAlias = InternalError
_OperationalError: TypeAlias = OperationalError
_ProgrammingError: TypeAlias = ProgrammingError
_IntegrityError: TypeAlias = IntegrityError
_DataError: TypeAlias = DataError
_NotSupportedError: TypeAlias = NotSupportedError

@overload
def connect(
    database: StrOrBytesPath,
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: _IsolationLevel = "",
    check_same_thread: bool = True,
    *,
    cached_statements: int = 128,
    uri: bool = False,
    autocommit: _Autocommit = -1,
    wal: str | None = None,
    encryption_key: _Key = None,
    cipher: _Cipher = None,
) -> Connection: ...
@overload
def connect(
    database: StrOrBytesPath,
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: _IsolationLevel = "",
    check_same_thread: bool = True,
    *,
    cached_statements: int = 128,
    autocommit: _Autocommit = -1,
    encryption_key: _Key = None,
    cipher: _Cipher = None,
    sync_url: str,
    auth_token: str = "",
    namespace: str | None = None,
    sync_interval: float | None = None,
    read_your_writes: bool = True,
    offline: Literal[False] = False,
    remote_encryption_key: str | bytes | None = None,
    tls_context: SSLContext | None = None,
    sync_timeout: float = 60.0,
) -> ReplicaConnection: ...
@overload
def connect(
    database: StrOrBytesPath,
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: _IsolationLevel = "",
    check_same_thread: bool = True,
    *,
    cached_statements: int = 128,
    autocommit: _Autocommit = -1,
    encryption_key: _Key = None,
    cipher: _Cipher = None,
    sync_url: str,
    auth_token: str = "",
    namespace: str | None = None,
    sync_interval: float | None = None,
    read_your_writes: bool = True,
    offline: Literal[True],
    remote_encryption_key: str | bytes | None = None,
    tls_context: SSLContext | None = None,
    sync_timeout: float = 60.0,
) -> OfflineConnection: ...
@overload
def connect(
    database: StrOrBytesPath,
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: _IsolationLevel = "",
    check_same_thread: bool = True,
    *,
    factory: Callable[..., _T],
    cached_statements: int = 128,
    uri: bool = False,
    autocommit: _Autocommit = -1,
    wal: str | None = None,
    encryption_key: _Key = None,
    cipher: _Cipher = None,
) -> _T: ...
@overload
def connect(
    database: StrOrBytesPath,
    timeout: float,
    detect_types: int,
    isolation_level: _IsolationLevel,
    check_same_thread: bool,
    factory: Callable[..., _T],
    cached_statements: int = 128,
    uri: bool = False,
    *,
    autocommit: _Autocommit = -1,
    wal: str | None = None,
    encryption_key: _Key = None,
    cipher: _Cipher = None,
) -> _T: ...
@overload
def adapt(obj: object, proto: type[Any] = ..., /) -> Any: ...
@overload
def adapt(obj: object, proto: type[Any], alt: _T, /) -> Any | _T: ...
def complete_statement(statement: str) -> bool: ...

# Make a cursor hold a result that comes from elsewhere; names: None for a statement without columns.
def give_result(
    cursor: Cursor, names: Iterable[str] | None, rows: list[tuple[Any, ...]], rowcount: int, rowid: int | None, /
) -> None: ...
def set_open_replica(give: Callable[[], Callable[..., Connection]], /) -> None: ...
def enable_callback_tracebacks(enable: bool, /) -> None: ...
def enable_shared_cache(do_enable: int, /) -> None: ...
def file_head(path: StrOrBytesPath, n: int, /) -> tuple[bytes, int]: ...
def handle(connection: Connection, /) -> int: ...
def register_wal(name: str, methods: object, defaults: dict[str, Callable[..., Any]], uses_shm: bool) -> None: ...
def unregister_wal(name: str) -> bool: ...
def vector_search(
    con: Connection,
    schema: str,
    table: str,
    column: str,
    where: str | None,
    metric: int,
    queries: ReadableBuffer,
    is_double: bool,
    n_query: int,
    dims: int,
    k: int,
    ids: ReadableBuffer,
    distances: ReadableBuffer,
) -> None: ...
def vector_watch(con: Connection, progress: Callable[[int, int], object] | None) -> None: ...
def wal_managers() -> list[str]: ...
def parse_timestamp(data: bytes, /) -> datetime | None: ...
def vector_decode(vector: ReadableBuffer | str, number: int, /) -> tuple[int, int, bytes | None]: ...
def vector_encode(numbers: ReadableBuffer, type: int, ndim: int, /) -> bytes: ...
def register_adapter(type: type[_T], adapter: Callable[[_T], _Value], /) -> None: ...
def register_converter(typename: str, converter: Callable[[bytes], Any], /) -> None: ...

@disjoint_base
class Connection:
    Warning: type[_Warning]
    Error: type[_Error]
    InterfaceError: type[_InterfaceError]
    DatabaseError: type[_DatabaseError]
    InternalError: type[_InternalError]
    OperationalError: type[_OperationalError]
    ProgrammingError: type[_ProgrammingError]
    IntegrityError: type[_IntegrityError]
    DataError: type[_DataError]
    NotSupportedError: type[_NotSupportedError]

    autocommit: _Autocommit
    isolation_level: _IsolationLevel
    row_factory: _RowFactory
    text_factory: Callable[[bytes], Any]
    @property
    def in_transaction(self) -> bool: ...
    @property
    def total_changes(self) -> int: ...
    def __init__(
        self,
        database: StrOrBytesPath,
        timeout: float = 5.0,
        detect_types: int = 0,
        isolation_level: _IsolationLevel = "",
        check_same_thread: bool = True,
        factory: Callable[..., Any] | None = ...,
        cached_statements: int = 128,
        uri: bool = False,
        *,
        autocommit: _Autocommit = -1,
        wal: str | None = None,
        encryption_key: _Key = None,
        cipher: _Cipher = None,
    ) -> None: ...
    def __del__(self) -> None: ...
    def __call__(self, sql: str, /) -> Statement: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None, /
    ) -> Literal[False]: ...
    @overload
    def cursor(self) -> Cursor: ...
    @overload
    def cursor(self, factory: Callable[[Connection], _CursorT]) -> _CursorT: ...
    def execute(self, sql: str, parameters: _Parameters = (), /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Iterable[_Parameters], /) -> Cursor: ...
    def executescript(self, sql_script: str, /) -> Cursor: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...
    def interrupt(self) -> None: ...
    def create_function(
        self, name: str, narg: int, func: Callable[..., _Value] | None, *, deterministic: bool = False
    ) -> None: ...
    def create_aggregate(self, name: str, n_arg: int, aggregate_class: Callable[[], _Aggregate] | None) -> None: ...
    def create_window_function(
        self, name: str, num_params: int, aggregate_class: Callable[[], _WindowFunction] | None, /
    ) -> None: ...
    def create_collation(self, name: str, callback: Callable[[str, str], int] | None, /) -> None: ...
    def set_authorizer(self, authorizer_callback: _Authorizer | None) -> None: ...
    def set_progress_handler(self, progress_handler: Callable[[], object] | None, n: int) -> None: ...
    def set_trace_callback(self, trace_callback: Callable[[str], object] | None) -> None: ...
    def backup(
        self,
        target: Connection,
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], object] | None = None,
        name: str = "main",
        sleep: float = 0.25,
    ) -> None: ...
    def create_wasm_function(
        self,
        name: str,
        wasm: str | ReadableBuffer | None,
        *,
        deterministic: bool = True,
        fuel: int | None = None,
        memory_limit: int | None = None,
        capabilities: Iterable[Literal["wasi"]] = (),
    ) -> None: ...
    def rekey(self, encryption_key: _Key, *, cipher: _Cipher = None, name: str = "main") -> None: ...
    def iterdump(self, *, filter: str | None = None) -> Generator[str]: ...
    def serialize(self, *, name: str = "main") -> bytes: ...
    def deserialize(self, data: ReadableBuffer | str, /, *, name: str = "main") -> None: ...
    def blobopen(self, table: str, column: str, row: int, /, *, readonly: bool = False, name: str = "main") -> Blob: ...
    def wal_frame_count(self) -> int: ...
    def wal_frames(self, start: int = 1, stop: int | None = None, /) -> list[bytes]: ...
    def wal_insert(self, frames: Iterable[ReadableBuffer], /, *, start: int | None = None) -> int: ...
    def wal_disable_checkpoint(self) -> None: ...
    def getlimit(self, category: int, /) -> int: ...
    def setlimit(self, category: int, limit: int, /) -> int: ...
    def getconfig(self, op: int, /) -> bool: ...
    def setconfig(self, op: int, enable: bool = True, /) -> None: ...
    def enable_load_extension(self, enable: bool, /) -> None: ...
    def load_extension(self, name: str, /, *, entrypoint: str | None = None) -> None: ...

@disjoint_base
class Cursor:
    arraysize: int
    row_factory: _RowFactory
    @property
    def connection(self) -> Connection: ...
    # None behind a statement without columns; Any, because whoever reads it has run a query.
    @property
    def description(self) -> tuple[_Column, ...] | Any: ...
    @property
    def lastrowid(self) -> int | None: ...
    @property
    def rowcount(self) -> int: ...
    @property
    def rows_read(self) -> int: ...
    @property
    def rows_written(self) -> int: ...
    def __init__(self, connection: Connection, /) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def execute(self, sql: str, parameters: _Parameters = (), /) -> Self: ...
    def executemany(self, sql: str, seq_of_parameters: Iterable[_Parameters], /) -> Self: ...
    def executescript(self, sql_script: str, /) -> Self: ...
    # Rows are what row_factory makes.
    def fetchone(self) -> Any: ...
    def fetchmany(self, size: int = ...) -> list[Any]: ...
    def fetchall(self) -> list[Any]: ...
    def setinputsizes(self, sizes: object, /) -> None: ...
    def setoutputsize(self, size: object, column: object = None, /) -> None: ...
    def close(self) -> None: ...

@disjoint_base
class Row(Sequence[Any]):
    def __new__(cls, cursor: Cursor, data: tuple[Any, ...], /) -> Self: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    @overload
    def __getitem__(self, key: int | str, /) -> Any: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[Any, ...]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def keys(self) -> list[str]: ...

@final
class Blob:
    def __enter__(self) -> Self: ...
    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None, /
    ) -> Literal[False]: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> bytes: ...
    @overload
    def __setitem__(self, key: SupportsIndex, value: int, /) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: ReadableBuffer, /) -> None: ...
    def read(self, length: int = -1, /) -> bytes: ...
    def write(self, data: ReadableBuffer, /) -> None: ...
    def seek(self, offset: int, origin: int = 0, /) -> None: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...

@final
class Statement: ...

@final
class PrepareProtocol: ...

@final
class WalManager:
    def __new__(cls, methods: object, defaults: dict[str, Callable[..., Any]]) -> Self: ...

@final
class Wal:
    path: Final[str]
    state: Any
    def open(self) -> None: ...
    def close(self, checkpoint: bool, sync_flags: int) -> None: ...
    def log_exists(self) -> bool: ...
    def log_destroy(self) -> None: ...
    def limit(self, size: int) -> None: ...
    def begin_read_transaction(self) -> bool: ...
    def end_read_transaction(self) -> None: ...
    def find_frame(self, page_number: int) -> int: ...
    def read_frame(self, frame: int, size: int) -> bytes: ...
    def read_frame_raw(self, frame: int, size: int) -> bytes: ...
    def dbsize(self) -> int: ...
    def begin_write_transaction(self) -> None: ...
    def end_write_transaction(self) -> None: ...
    def undo(self) -> tuple[()]: ...
    def savepoint(self) -> tuple[int, int, int, int]: ...
    def savepoint_undo(self, data: tuple[int, int, int, int]) -> tuple[int, int, int, int]: ...
    def savepoint_forget(self, data: tuple[int, int, int, int]) -> None: ...
    def frame_count(self, locked: bool) -> int: ...
    def frames(self, pages: list[tuple[int, bytes]], size_after: int, commit: bool, sync_flags: int) -> int: ...
    def checkpoint(self, mode: int, sync_flags: int) -> tuple[int, int]: ...
    def callback(self) -> int: ...
    def exclusive_mode(self, op: int) -> bool: ...
    def heap_memory(self) -> bool: ...
    def busy(self) -> bool: ...
    def read_database(self, size: int, offset: int) -> bytes: ...
    def write_database(self, data: ReadableBuffer, offset: int) -> None: ...
    def truncate_database(self, size: int) -> None: ...
    def sync_database(self, sync_flags: int) -> None: ...
    def lock_database(self) -> bool: ...
    def unlock_database(self) -> None: ...

# What the server runs statements with.

# Plain values; decoded Hrana JSON ({"type": "integer", "value": "5"}); (field number, value) of a protobuf Value;
# {"base64": "..."}.
_Argument: TypeAlias = int | float | str | bytes | Mapping[str, Any] | tuple[int, Any] | None
# By name: [{"name": ..., "value": ...}], [(name, value), ...] or {name: value}.
_Named: TypeAlias = Sequence[Mapping[str, Any]] | Sequence[tuple[str, _Argument]] | Mapping[str, _Argument]
# A condition and (sql, sql_id, args, named), as libsql_core.hrana.types has them.
_Step: TypeAlias = tuple[Any, tuple[str | None, int | None, Sequence[_Argument], _Named]]
# How results are written: Hrana JSON, Hrana protobuf, or what POST / answers.
_Encoding: TypeAlias = Literal[0, 1, 2, 3, 4]

class StatementError(Exception):
    # As it goes to the client, "SQLite error: no such table: t", its code, and the message without its prefix.
    message: str
    code: str
    detail: str
    # SQLite's, 0 where the error is none of SQLite's.
    extended_code: int
    def __init__(self, message: str, code: str, detail: str | None = None, extended_code: int = 0) -> None: ...

@final
class Plan:
    """One statement of a ServerConnection, checked by the server's policy."""

    READ: Final = 0
    WRITE: Final = 1
    DDL: Final = 2
    TXN: Final = 3
    SAVEPOINT: Final = 4
    ATTACH: Final = 5
    DETACH: Final = 6
    @property
    def kind(self) -> int: ...
    # Its first word in upper case; "ROLLBACK TO" is told from "ROLLBACK", EXPLAIN hides what it explains.
    @property
    def verb(self) -> str: ...
    # It needs no turn in the queue of writers.
    @property
    def readonly(self) -> bool: ...
    @property
    def begins(self) -> bool: ...
    @property
    def immediate(self) -> bool: ...
    # BEGIN READONLY.
    @property
    def no_write(self) -> bool: ...
    @property
    def sql(self) -> str: ...
    # Of ATTACH: which namespace, under which name. It runs only once attach_path says where the namespace's file is.
    @property
    def attach_name(self) -> str | None: ...
    @property
    def alias(self) -> str | None: ...
    attach_path: str | None
    # How long it takes: a decaying maximum, of the shorter of two runs. -1: it never ran and may be long.
    @property
    def micros(self) -> int: ...

def server_functions(on: bool, /) -> None: ...

@final
class ServerConnection:
    """A connection of the server; used by one thread at a time, but for interrupt()."""

    JSON: Final = 0
    PROTOBUF: Final = 1
    PLAIN: Final = 2
    PROXY: Final = 3  # proxy.ResultRows
    STEPS: Final = 4  # proxy.RespStep, from begin_step to finish_step, as fields of a ProgramResp
    @property
    def autocommit(self) -> bool: ...
    @property
    def in_statement(self) -> bool: ...
    # What the last execute(), run() or cursor took.
    @property
    def rows_read(self) -> int: ...
    @property
    def rows_written(self) -> int: ...
    @property
    def micros(self) -> int: ...
    # Pages in the write-ahead log when this connection last committed.
    @property
    def wal_pages(self) -> int: ...
    def __init__(
        self,
        path: StrOrBytesPath,
        *,
        name: str,
        row_limit: int = 5_000_000,
        max_pages: int = 0,
        synchronous: int = 1,
        wal_autocheckpoint: int = 1000,
        encryption_key: _Key = None,
        cipher: _Cipher = None,
        cached_statements: int = 64,
        log: ReplicationLog | None = None,
    ) -> None: ...
    def parse(self, sql: str) -> list[Plan]: ...
    def plan(self, sql: str) -> Plan: ...
    # head + StmtResult + tail. limit: bytes of the result. waited: microseconds that count as its duration.
    def execute(
        self,
        plan: Plan,
        args: Sequence[_Argument] | None,
        named: _Named | None,
        encoding: _Encoding,
        limit: int,
        head: bytes = b"",
        tail: bytes = b"",
        waited: int = 0,
    ) -> bytes: ...
    # The same for a text; None if it is no statement that reads within `longest` microseconds.
    def read(
        self,
        sql: str,
        args: Sequence[_Argument] | None,
        named: _Named | None,
        encoding: _Encoding,
        limit: int,
        head: bytes,
        tail: bytes,
        longest: int,
    ) -> bytes | None: ...
    # Statements of several clients in one transaction, each (plan, args, named, encoding, waited), as if each had run
    # alone: what execute() gives or raises, and its micros, rows_read, rows_written.
    def execute_group(
        self, items: list[tuple[Plan, Sequence[_Argument] | None, _Named | None, _Encoding, int]], limit: int
    ) -> list[tuple[bytes | StatementError, int, int, int]]: ...
    def plan_steps(self, steps: Sequence[_Step]) -> list[Plan] | None: ...
    # Where it stopped, what is left of the limit, (text, micros, rows read, rows written, times), the error.
    def execute_steps(
        self,
        plans: list[Plan],
        steps: Sequence[_Step],
        at: int,
        results: list[bytes | None],
        encoding: _Encoding,
        limit: int,
        writes: bool,
        longest: int,
        most: int,
    ) -> tuple[int, int, list[tuple[str, int, int, int, int]], StatementError | None]: ...
    def run(self, plan: Plan) -> None: ...
    # Raises what keeps the statement from being prepared; later errors are entries of the cursor.
    def cursor(
        self,
        plan: Plan,
        args: Sequence[_Argument] | None,
        named: _Named | None,
        encoding: _Encoding,
        step: int,
        websocket: bool,
    ) -> ServerCursor: ...
    def describe(self, sql: str, encoding: _Encoding) -> bytes: ...
    def rollback(self) -> None: ...
    def interrupt(self) -> None: ...
    # Whether changed rows are counted; (table, inserted, updated, deleted) of what was committed since the last call.
    watching: bool
    def take_changes(self) -> list[tuple[str, int, int, int]]: ...
    def load_extension(self, path: StrOrBytesPath) -> None: ...
    # For the next user: nothing open or attached, settings as at first. False: it is beyond that, close it.
    def reset(self) -> bool: ...
    # Whether results tell the last frame in the log.
    indexed: bool
    # VACUUM, which statements may not do.
    def vacuum(self) -> None: ...
    # Pages in the log, and pages copied; (-1, -1) if something is in the way.
    def checkpoint(self, mode: Literal["PASSIVE", "FULL", "RESTART", "TRUNCATE"] = "PASSIVE") -> tuple[int, int]: ...
    def close(self) -> None: ...

@final
class ServerCursor:
    """The entries of a batch's step: step_begin, rows, step_end or step_error."""

    @property
    def error(self) -> StatementError | None: ...
    # Entries one behind the other, their number, and whether these were the last. JSON lines, or messages that begin
    # with their length; for a WebSocket "," in between, or field 1 of FetchCursorResp.
    def fetch(self, max_entries: int, max_bytes: int) -> tuple[bytes, int, bool]: ...
    def close(self) -> None: ...

class ReplicationError(OperationalError):
    """What came from a primary cannot be: frames out of order, of another history, damaged."""

class SnapshotNeeded(Exception):
    """The frame that was asked for is no longer in the log."""

# Of a frame with this page, behind a frame with the checksum `previous`.
def frame_checksum(previous: int, page: ReadableBuffer, /) -> int: ...

@final
class ReplicationLog:
    """The log of the frames that a database's transactions wrote, for its replicas: files in sqld's format.

    The database is folder/data; the log folder/wallog, folder/snapshots/, folder/to_compact/. It is made where it is
    missing, and made anew, with another log_id, where it does not belong to the database.
    """

    # dirty: whoever had it open last did not close it; the log and the database are compared.
    def __init__(
        self,
        folder: StrOrBytesPath,
        *,
        dirty: bool = False,
        encryption_key: _Key = None,
        cipher: _Cipher = None,
    ) -> None: ...
    @property
    def log_id(self) -> str: ...
    # The first frame of wallog; the last committed frame, -1: there never was one.
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    # Opening it began a new history.
    @property
    def rebuilt(self) -> bool: ...
    # Of the database behind `last`.
    @property
    def pages(self) -> int: ...
    @property
    def frames_in_log(self) -> int: ...
    # Seconds since this wallog was begun.
    @property
    def age(self) -> float: ...
    # An encoded wal_log.Frames: whole transactions, until there are `most` frames. b"" at the end. SnapshotNeeded.
    def batch(self, start: int, most: int = 1024) -> bytes: ...
    # Where such a batch ends, and the size of all its parts: Frames that follow each other as one message.
    def span(self, start: int, most: int = 1024) -> tuple[int, int]: ...
    def part(self, start: int, stop: int) -> bytes: ...
    # The same as encoded wal_log.Frame messages; they may end amid a transaction.
    def entries(self, start: int, most: int = 64) -> list[bytes]: ...
    # Frames start to stop-1, 4120 bytes each.
    def read(self, start: int, stop: int) -> bytes: ...
    # Begin a new wallog; False in a transaction, or without frames.
    def seal(self) -> bool: ...
    # Make snapshots of what was sealed: (path, first frame, last frame) of the new ones.
    def compact(self) -> list[tuple[str, int, int]]: ...
    # The file of a snapshot that has this frame.
    def snapshot(self, start: int) -> str | None: ...
    def close(self) -> None: ...

# Encoded wal_log.Frame messages of a snapshot, the highest frame first, none before `start`.
def snapshot_frames(
    path: StrOrBytesPath, start: int = 0, *, encryption_key: _Key = None, most: int = 64
) -> Iterator[list[bytes]]: ...

class Injected(NamedTuple):
    taken: int  # frames
    last: int  # the last one's number, -1: there was none
    committed: int  # the last committed one's number, -1: no transaction has ended

@final
class Injector:
    """Writes a primary's frames into a replica's file, under readers of this and other processes.

    With the log of the database itself that gets the frames, too: as they come, each transaction by itself, the first
    behind its last one.
    """

    def __init__(
        self,
        path: StrOrBytesPath,
        *,
        encryption_key: _Key = None,
        cipher: _Cipher = None,
        wal_autocheckpoint: int = 1000,
        log: ReplicationLog | None = None,
    ) -> None: ...
    # An encoded wal_log.Frames. expected: the number of its first frame. previous: the checksum of the frame before.
    def frames(self, message: ReadableBuffer, expected: int, *, previous: int | None = None) -> Injected: ...
    # An encoded wal_log.Frame; its transaction is written once it is whole.
    def frame(self, message: ReadableBuffer, expected: int) -> Injected: ...
    # Encoded wal_log.Frame messages of a snapshot that begins with frame `expected` or an earlier one.
    def snapshot(self, messages: Iterable[ReadableBuffer], expected: int) -> Injected: ...
    # Forget what was not committed.
    def rollback(self) -> None: ...
    def close(self) -> None: ...

@final
class RequestReader:
    """Makes named tuples of the given types, whose fields are those of libsql_core.hrana.types, out of requests.

    Only as clients usually write them: None for others, which may have something wrong with them or not.
    """

    def __init__(
        self,
        body: type[tuple[Any, ...]],
        message: type[tuple[Any, ...]],
        request: type[tuple[Any, ...]],
        batch: type[tuple[Any, ...]],
        step: type[tuple[Any, ...]],
        stmt: type[tuple[Any, ...]],
    ) -> None: ...
    def pipeline(self, data: bytes, protobuf: bool = False) -> Any: ...
    def socket(self, data: bytes, protobuf: bool = False) -> Any: ...
