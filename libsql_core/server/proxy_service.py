"""The service `proxy.Proxy`: programs of statements that replicas pass on to their primary.

A client of `Execute` is known by its id, and keeps its connection from call to call: a transaction may span several.
`StreamExec` has one connection for as long as the stream lasts.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from libsql_core._engine import ServerConnection, StatementError
from libsql_core.hrana import conditions
from libsql_core.hrana.errors import HttpError, SqlError
from libsql_core.replication.errors import ProtocolError
from libsql_core.replication.messages import (
    NAMESPACE_DOESNT_EXIST,
    Ack,
    Column,
    Cond,
    DescribeRequest,
    DescribeResp,
    DescribeResult,
    Description,
    DisconnectMessage,
    Error,
    ErrorCode,
    ExecReq,
    ExecResp,
    ExecuteResults,
    Finish,
    Program,
    ProgramReq,
    Query,
    State,
    StepError,
    decode_value,
)
from libsql_core.replication.protobuf import encode_varint
from libsql_core.server.rpc import Call, Code, Method, RpcError
from libsql_core.server.session import Bound, Session

if TYPE_CHECKING:
    from libsql_core.hrana.types import Condition
    from libsql_core.server.host import Context
    from libsql_core.server.namespace import Namespace
    from libsql_core.server.streams import Streams

# Seconds that a client's connection waits for its next call, and how many of those outside transactions do.
EXPIRY = 30.0
MOST_IDLE = 32
# Bytes of one answer of a stream, about.
PIECE = 100_000
# How deep conditions may nest.
DEPTH = 100

INIT = b"\x0a\x02\x0a\x00"
BEGIN_STEP = b"\x0a\x02\x12\x00"
FINISH_STEP = b"\x0a\x02\x1a\x00"


class Refused(Exception):
    """The program as a whole may not run, or not go on."""


class _Step(NamedTuple):
    condition: Condition | None
    bound: Bound


class _Client:
    """Who comes back with the same id."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.lock = asyncio.Lock()
        self.expires = 0.0


_Key = tuple["Namespace", bytes, uuid.UUID]


class ProxyService:
    """The methods, for all ports."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._clients: dict[_Key, _Client] = {}  # the one used last comes last

    @property
    def methods(self) -> dict[str, Method]:
        return {
            "/proxy.Proxy/Execute": Method(self.execute, ProgramReq),
            "/proxy.Proxy/Describe": Method(self.describe, DescribeRequest),
            "/proxy.Proxy/Disconnect": Method(self.disconnect, DisconnectMessage),
            "/proxy.Proxy/StreamExec": Method(self.stream_exec, ExecReq, requests=True, replies=True),
        }

    # Single calls.

    async def execute(self, call: Call, request: ProgramReq) -> bytes:
        async with self._session(call.context, request.client_id) as session:
            try:
                steps = program(session.connection, request.pgm)
                results = bytearray()
                async for result in run(session, steps, ServerConnection.PROXY):
                    # QueryResult: 1 is an error, 2 are rows; a step that was skipped has none.
                    inner = _field(1, result.encode()) if isinstance(result, Error) else _field(2, result or b"")
                    results += _field(1, inner)
            except Refused as error:
                raise RpcError(Code.PERMISSION_DENIED, str(error)) from None
            state = State.INIT if session.autocommit() else State.TXN
            return bytes(results) + ExecuteResults(state=state, current_frame_no=session.namespace.index).encode()

    async def describe(self, call: Call, request: DescribeRequest) -> DescribeResult:
        async with self._session(call.context, request.client_id) as session:
            try:
                found = DescribeResp.decode(describe(session, request.stmt))
            except Refused as error:
                raise RpcError(Code.PERMISSION_DENIED, str(error)) from None
            except StatementError as error:
                raise RpcError(Code.PERMISSION_DENIED, error.detail) from None
        columns = [Column(column.name, column.decltype) for column in found.cols]
        names = [param.name for param in found.params if param.name is not None]
        return DescribeResult(description=Description(columns, names, len(found.params)))

    async def disconnect(self, call: Call, request: DisconnectMessage) -> Ack:
        key = _key(call.context, request.client_id)
        client = self._clients.get(key)
        if client is not None:
            async with client.lock:
                self._end(key, client)
        return Ack()

    @asynccontextmanager
    async def _session(self, context: Context, client_id: str) -> AsyncIterator[Session]:
        """The session of a client, for one call."""
        key = _key(context, client_id)
        client = self._clients.pop(key, None) or _Client()
        self._clients[key] = client
        async with client.lock:
            session = client.session
            if session is None or session.closed:
                self._make_room()
                session = client.session = await self._streams.open(context)
            else:
                session.context = context
                session.enter()
            session.begin_turn()
            try:
                yield session
            except BaseException as error:
                if not isinstance(error, RpcError):
                    # The client does not learn what has run: nothing is kept open for it.
                    self._end(key, client)
                raise
            finally:
                if not session.closed:
                    session.leave()
                client.expires = monotonic() + EXPIRY

    def _end(self, key: _Key, client: _Client) -> None:
        if self._clients.get(key) is client:
            del self._clients[key]
        if client.session is not None:
            self._streams.close(client.session)
            client.session = None

    def _make_room(self) -> None:
        """Others need connections, too."""
        idle = [
            (key, client)
            for key, client in self._clients.items()
            if not client.lock.locked() and client.session is not None and client.session.autocommit()
        ]
        for key, client in idle[: max(0, len(idle) - MOST_IDLE + 1)]:
            self._end(key, client)

    def sweep(self) -> None:
        """Forget who has not come back. To be called about once a second."""
        now = monotonic()
        for key, client in list(self._clients.items()):
            if not client.lock.locked() and (client.expires <= now or client.session is None or client.session.closed):
                self._end(key, client)

    # Streams.

    async def stream_exec(self, call: Call, requests: AsyncIterator[ExecReq]) -> AsyncGenerator[bytes, None]:
        """Answers to requests as they come; a new one stops the one that runs."""
        session: Session | None = None
        last = -1
        coming = asyncio.ensure_future(anext(requests, None))
        try:
            while (request := await coming) is not None:
                if request.request_id <= last:
                    text = "received request with id less than last received request, closing stream"
                    raise RpcError(Code.INVALID_ARGUMENT, text)
                last = request.request_id
                if session is None:
                    session = await self._streams.open(call.context)
                session.enter()
                session.begin_turn()
                coming = asyncio.ensure_future(anext(requests, None))
                answers = _until(_answers(session, request), coming)
                try:
                    async for answer in answers:
                        yield answer
                finally:
                    await answers.aclose()
                    session.leave()
        finally:
            await _stop(coming)
            if session is not None:
                self._streams.close(session)


async def _until(
    answers: AsyncGenerator[bytes, None], coming: asyncio.Future[ExecReq | None]
) -> AsyncGenerator[bytes, None]:
    """The answers, until something else is asked."""
    making: asyncio.Future[bytes | None] = asyncio.ensure_future(anext(answers, None))
    both: set[asyncio.Future[Any]]
    try:
        while True:
            if not coming.done():
                both = {making, coming}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not making.done():
                if coming.exception() is not None or coming.result() is not None:
                    return
                # Nothing more will be asked; what was asked last is answered.
                await asyncio.wait({making})
            answer = making.result()
            if answer is None:
                return
            yield answer
            making = asyncio.ensure_future(anext(answers, None))
    finally:
        await _stop(making)
        await answers.aclose()


async def _stop(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


async def _answers(session: Session, request: ExecReq) -> AsyncGenerator[bytes, None]:
    head = ExecResp(request.request_id).encode()
    try:
        if request.describe is not None:
            yield head + _field(3, describe(session, request.describe.stmt))
            return
        if request.execute is None:
            raise RpcError(Code.INVALID_ARGUMENT, "invalid request")
        try:
            steps = program(session.connection, request.execute.pgm)
        except (RpcError, ProtocolError):
            raise RpcError(Code.INVALID_ARGUMENT, "invalid program") from None
        made = bytearray(INIT)
        async for result in run(session, steps, ServerConnection.STEPS):
            if isinstance(result, Error):
                made += BEGIN_STEP + _field(1, _field(4, StepError(result).encode())) + FINISH_STEP
            else:
                made += BEGIN_STEP + FINISH_STEP if result is None else result
            if len(made) > PIECE:
                for piece in cut(bytes(made)):
                    yield head + _field(2, piece)
                made.clear()
        made += _field(1, _field(11, Finish(session.namespace.index, session.autocommit()).encode()))
        yield head + _field(2, bytes(made))
    except Refused as error:
        yield head + _field(4, Error(ErrorCode.INTERNAL, str(error)).encode())
    except StatementError as error:
        yield head + _field(4, Error(ErrorCode.INTERNAL, error.detail).encode())


def cut(steps: bytes) -> list[bytes]:
    """The steps of an answer in pieces, each as small as its steps allow."""
    pieces, begin, at, size = [], 0, 0, len(steps)
    while at < size:
        n = shift = 0
        start = at
        at += 1
        while True:
            byte = steps[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += n
        if at - begin > PIECE and start > begin:
            pieces.append(steps[begin:start])
            begin = start
    pieces.append(steps[begin:])
    return pieces


# Programs.


def program(connection: ServerConnection, given: Program | None) -> list[_Step]:
    """The steps, ready to run; RpcError when one of them is none: then none may run."""
    if given is None:
        raise RpcError(Code.INVALID_ARGUMENT, "missing program")
    steps = []
    for number, step in enumerate(given.steps):
        condition = None if step.cond is None else _condition(step.cond, number)
        if step.query is None:
            raise RpcError(Code.INVALID_ARGUMENT, "missing query in step")
        steps.append(_Step(condition, _bound(connection, step.query)))
    return steps


def _bound(connection: ServerConnection, query: Query) -> Bound:
    try:
        plan = connection.plan(query.stmt)
    except StatementError as error:
        if error.code == "SQL_NO_STATEMENT":
            raise RpcError(Code.INVALID_ARGUMENT, "invalid empty statement") from None
        if error.code != "SQL_MANY_STATEMENTS":
            raise RpcError(Code.INVALID_ARGUMENT, error.detail) from None
        try:
            plan = connection.parse(query.stmt)[0]
        except StatementError as other:
            raise RpcError(Code.INVALID_ARGUMENT, other.detail) from None
    if query.positional is not None:
        return plan, [decode_value(value.data) for value in query.positional.values], ()
    if query.named is None:
        raise RpcError(Code.INVALID_ARGUMENT, "missing params in query")
    names, values = query.named.names, query.named.values
    if len(names) != len(values):
        raise RpcError(Code.INVALID_ARGUMENT, "names and values of parameters differ in number")
    return plan, (), [(name, decode_value(value.data)) for name, value in zip(names, values, strict=True)]


def _condition(of: Cond, number: int, depth: int = 0) -> Condition:
    if depth < DEPTH:
        for kind, named in (("ok", of.ok), ("error", of.err)):
            if named is not None:
                if not 0 <= named.step < number:
                    raise RpcError(Code.INVALID_ARGUMENT, f"Invalid batch step: {named.step}")
                return kind, named.step
        if of.not_ is not None and of.not_.cond is not None:
            return "not", _condition(of.not_.cond, number, depth + 1)
        for kind, listed in (("and", of.and_), ("or", of.or_)):
            if listed is not None:
                return kind, [_condition(each, number, depth + 1) for each in listed.conds]
        if of.is_autocommit is not None:
            return "is_autocommit", None
    raise RpcError(Code.INVALID_ARGUMENT, "invalid condition")


async def run(session: Session, steps: Sequence[_Step], encoding: int) -> AsyncGenerator[bytes | Error | None, None]:
    """What each step comes to: its result, its error, or None if it was skipped."""
    results: list[object] = [None] * len(steps)
    stolen: Error | None = None
    try:
        session.permit([plan for _, (plan, _, _) in steps])
    except (HttpError, SqlError) as error:
        stolen = _failed(error)
    for number, (condition, bound) in enumerate(steps):
        if stolen is not None:
            # Without its transaction nothing of it may run: each step is told.
            yield stolen
            continue
        if condition is not None and not conditions.met(condition, results, session.autocommit()):
            yield None
            continue
        try:
            result = await session.execute(bound, encoding)  # type: ignore[arg-type]  # one of the proxy's two
        except StatementError as error:
            yield _failure(error)
        except (HttpError, SqlError) as error:
            stolen = _failed(error)
            yield stolen
        else:
            results[number] = True
            yield result
        await session.yield_turn()


def _failure(error: StatementError) -> Error:
    if error.code.startswith("ARGS_"):
        text = f"LibSQL failed to bind provided query parameters: `{error.detail}`"
        return Error(ErrorCode.SQL_ERROR, text)
    if error.code.startswith("RESPONSE_"):
        raise Refused(error.detail)
    return Error(ErrorCode.INTERNAL, error.detail, error.extended_code)


def _failed(error: HttpError | SqlError) -> Error:
    """What all steps from here on fail with; Refused if it is rather the program that does."""
    if isinstance(error, SqlError) and error.code == "TRANSACTION_TIMEOUT":
        return Error(ErrorCode.TX_TIMEOUT, "Transaction timed-out")
    if isinstance(error, HttpError) and error.status == 404:
        raise RpcError(Code.FAILED_PRECONDITION, NAMESPACE_DOESNT_EXIST)
    raise Refused(error.message)


def describe(session: Session, sql: str) -> bytes:
    """A DescribeResp, which a DescribeResult of Hrana is as well."""
    try:
        session.permit([])
        return session.connection.describe(sql, ServerConnection.PROTOBUF)
    except (HttpError, SqlError) as error:
        raise Refused(_failed(error).message) from None


def _field(number: int, data: bytes) -> bytes:
    """A field that is a message."""
    return bytes((number << 3 | 2,)) + encode_varint(len(data)) + data


def _key(context: Context, client_id: str) -> _Key:
    try:
        return context.namespace, context.identity, uuid.UUID(client_id)
    except ValueError:
        raise RpcError(Code.INVALID_ARGUMENT, "client_id is no UUID") from None
