"""What the layers of the server hand to each other: requests, responses, and who provides namespaces and rights.

All of it lives on the event loop's thread. Handlers are coroutines that often end without waiting once: the transport
then has their result in the same turn of the loop (flow.start).
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from libsql_core._engine import ServerConnection
    from libsql_core.hrana.types import Condition, Value
    from libsql_core.server.session import Session

# What a client may do in a namespace. Tokens of full access have all four.
READ, WRITE, ATTACH, DDL = 1, 2, 4, 8
FULL = READ | WRITE | ATTACH | DDL


class Request:
    """One HTTP request, read whole. Names of headers are in lower case; of a repeated header the first counts."""

    __slots__ = ("address", "body", "headers", "keep_alive", "method", "path", "query", "version")

    def __init__(self, method: bytes, path: bytes, query: bytes, headers: dict[bytes, bytes]) -> None:
        self.method = method
        self.path = path  # as it came, percent-encoded
        self.query = query  # what follows the question mark
        self.headers = headers
        self.body = b""
        self.address = ""  # the client's
        self.version = "1.1"
        self.keep_alive = True


class Response:
    """What answers a request: `body`, or `stream` whose pieces are sent as they come.

    `head` holds finished header lines, each with its CRLF; the transport adds length, date and connection. A stream is
    closed by the transport in every case, also when the client has gone. An error out of it breaks the body off. An
    empty piece sends the head alone. A stream whose `length` is known goes out as it is, others in chunks. With
    `upgrade` (status 101) the connection speaks another protocol from here on.
    """

    __slots__ = ("body", "head", "length", "status", "stream", "upgrade")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        head: bytes = b"",
        stream: AsyncGenerator[bytes, None] | None = None,
        upgrade: Callable[[], Peer] | None = None,
        length: int | None = None,
    ) -> None:
        self.length = length
        self.status = status
        self.body = body
        self.head = head
        self.stream = stream
        self.upgrade = upgrade


class Peer(asyncio.Protocol, ABC):
    """A connection as the listener sees it, whatever it speaks."""

    deadline = math.inf  # by the listener's clock: `expire` is called then

    @abstractmethod
    def expire(self) -> None:
        """The deadline has passed."""

    @abstractmethod
    def shut(self) -> None:
        """The server stops: finish what is under way, begin nothing, close."""

    @abstractmethod
    def abort(self) -> None:
        """Close at once."""


JSON_HEAD = b"content-type: application/json\r\n"
TEXT_HEAD = b"content-type: text/plain; charset=utf-8\r\n"

# Answers a request; it raises nothing but CancelledError.
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Settings(Protocol):
    """The settings that the protocol layers read."""

    @property
    def max_response_size(self) -> int: ...
    @property
    def max_total_response_size(self) -> int: ...
    @property
    def max_statement_time_s(self) -> int | None: ...
    @property
    def http_self_url(self) -> str | None: ...
    @property
    def enable_http_console(self) -> bool: ...


class NamespaceConfig(Protocol):
    """The part of a namespace's configuration that counts for each statement."""

    @property
    def block_reads(self) -> bool: ...
    @property
    def block_writes(self) -> bool: ...
    @property
    def block_reason(self) -> str | None: ...
    @property
    def shared_schema_name(self) -> str | None: ...


class Holder(Protocol):
    """Who holds the write lock."""

    def steal(self) -> None:
        """Roll the transaction back and release the lock: at once, or when the running statement has ended."""


class Writers(Protocol):
    """The write lock of a namespace; who waits gets it in order of arrival.

    When somebody waits and the holder has had the lock longer than `txn_timeout_s`, its `steal()` is called, once.
    """

    @property
    def holder(self) -> Holder | None: ...

    def try_acquire(self, holder: Holder) -> bool:
        """Take the lock if it is free and nobody waits."""

    async def acquire(self, holder: Holder) -> None:
        """Wait for the lock. Cancelling gives the place in the queue up."""

    def release(self, holder: Holder) -> None:
        """Pass the lock on; nothing happens when `holder` does not have it."""


class Stats(Protocol):
    def note(self, sql: str, micros: int, rows_read: int, rows_written: int, times: int = 1) -> None:
        """Count a statement that ran, as often as it took just so much."""


class Changes(Protocol):
    """Who listens to committed changes (listen.Changes)."""

    @property
    def watched(self) -> bool: ...

    def publish(self, changes: list[tuple[str, int, int, int]]) -> None: ...

    def close(self) -> None: ...

    def listen(self, table: str) -> AsyncGenerator[dict[str, int] | None, None]: ...


class MigrationError(Exception):
    """A migration does not work; the message says where."""


class MigrationStep(NamedTuple):
    """A statement of a migration (its kind is a Plan's), and the condition under which it runs."""

    sql: str
    kind: int
    args: Sequence[Value] = ()
    named: Sequence[tuple[str, Value]] = ()
    condition: Condition | None = None


class Migrations(Protocol):
    """Where the writes to a shared schema go."""

    async def migrate(
        self, schema: str, steps: Sequence[MigrationStep], encoding: Literal[0, 1, 2, 3, 4], limit: int
    ) -> list[bytes | None]:
        """Run them in all namespaces of the schema, or in none; the results, None for what was skipped."""


class Namespace(Protocol):
    """A database and what is shared by its connections."""

    @property
    def name(self) -> str: ...
    @property
    def closed(self) -> bool:
        """It is deleted or unloaded; its name may be found again, or not."""

    @property
    def config(self) -> NamespaceConfig: ...
    @property
    def writers(self) -> Writers: ...
    @property
    def stats(self) -> Stats: ...
    @property
    def changes(self) -> Changes: ...
    @property
    def migrations(self) -> Migrations | None: ...
    @property
    def index(self) -> int | None:
        """The last frame in the log; None while there is none."""

    @property
    def sessions(self) -> type[Session]:
        """What runs statements."""

    @property
    def current(self) -> bool:
        """Reads of those who know nothing of its history may run here."""

    def wrote(self, connection: ServerConnection) -> None:
        """A statement of this connection may have changed something: time for listeners, and a checkpoint perhaps."""

    @property
    def idle(self) -> ServerConnection | None:
        """A connection that nobody has, for a read that has ended before anybody else comes to run."""

    async def acquire(self) -> ServerConnection:
        """An idle connection, or a new one; 429 when all are taken for a second."""

    def release(self, connection: ServerConnection) -> None:
        """Take a connection back; it is made as new (`reset`) or closed."""


class RequestContext(Protocol):
    """Who asks, for which namespace, and with which rights."""

    @property
    def namespace(self) -> Namespace: ...

    @property
    def permission(self) -> int: ...

    @property
    def identity(self) -> bytes:
        """The same for requests with the same rights; batons are bound to it."""

    def attach(self, name: str) -> str:
        """The path of the database of another namespace that may be attached; 403 otherwise."""


class Host(Protocol):
    """What the application gives to routes and WebSockets. All three raise HttpError, AuthError first of all."""

    @property
    def settings(self) -> Settings: ...

    async def context(self, request: Request) -> RequestContext:
        """By the headers of a request."""

    async def context_of_path(self, request: Request, name: str) -> RequestContext:
        """For `/dev/NAME/...`: the headers' namespace and credentials count, `name` is the database."""

    async def hello(self, request: Request, jwt: str | None) -> RequestContext:
        """For a WebSocket: the namespace of the handshake, the credentials of its `hello`."""

    def touch(self) -> None:
        """A client is active: the idle shutdown waits."""

    @property
    def routes(self) -> dict[tuple[bytes, bytes], Callable[[Request], Awaitable[Response]]]:
        """Further routes of the user port, by method and path: `/version`, `/dump`, `/console`, `/v1/jobs`.

        A path that ends in `/` takes those with one more part, one that ends in `/*` with any number of them.
        """
