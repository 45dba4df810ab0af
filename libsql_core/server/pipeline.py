"""`POST /vN/pipeline`: requests to one stream, in order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from libsql_core.hrana.errors import ProtocolError, SqlError
from libsql_core.hrana.types import Stmt
from libsql_core.server.api import Response
from libsql_core.server.reads import short_read
from libsql_core.server.session import FAILURES, Session

if TYPE_CHECKING:
    from libsql_core.hrana.encode import Codec
    from libsql_core.hrana.types import PipelineBody, StreamRequest
    from libsql_core.server.api import RequestContext, Settings
    from libsql_core.server.streams import Stream, Streams

_WRITE = re.compile(r"\s*begin\s+(?:immediate|exclusive)\b", re.IGNORECASE)
# What needs no database, and works on a closed stream too.
_WITHOUT = {"close", "store_sql", "close_sql"}


async def pipeline(
    streams: Streams, settings: Settings, context: RequestContext, body: PipelineBody, codec: Codec, version: int
) -> Response:
    stream: Stream | None = None
    requests = body.requests
    single = body.baton is None and [each.kind for each in requests] == ["execute", "close"]
    if single and streams.groups.fits(context, requests[0].body):
        return await _grouped(streams, settings, context, requests[0], codec)
    if body.baton is not None:
        stream = streams.take(body.baton, context)
        session = stream.session
    elif single and (answer := _short_read(settings, context, requests[0].body, codec)) is not None:
        return Response(200, answer, codec.head)
    elif requests and context.namespace.writers.holder is not None and _begins_to_write(requests[0]):
        session = await streams.open_to_write(context)
    else:
        session = await streams.open(context)
    closed = False
    baton = None
    results = []
    left = settings.max_total_response_size
    session.begin_turn()
    try:
        for request in requests:
            if request.kind == "close":
                closed = True
                results.append(codec.result("close", b""))
                continue
            if closed and request.kind not in _WITHOUT:
                raise ProtocolError("Stream for this baton was closed")
            try:
                result = await _handle(session, request, codec, version)
                if len(result) > left:
                    raise SqlError("Response is too large", "RESPONSE_TOO_LARGE")
            except FAILURES as error:
                result = codec.failed(codec.error(error.message, error.code))
            left -= len(result)
            results.append(result)
            await session.yield_turn()
    except BaseException:
        closed = True
        raise
    finally:
        # Whatever goes wrong ends the stream; nothing of it runs any more.
        if closed:
            if stream is None:
                streams.close(session)
            else:
                streams.end(stream)
        else:
            if stream is None:
                stream = streams.keep(session)
            baton = streams.baton(stream)
            streams.give_back(stream)
    return Response(200, codec.pipeline(baton, settings.http_self_url, results), codec.head)


def _begins_to_write(request: StreamRequest) -> bool:
    """Whether a request is a batch that takes the write lock first of all."""
    if request.kind != "batch" or not request.body.steps:
        return False
    first = request.body.steps[0]
    return first.condition is None and _WRITE.match(first.stmt.sql or "") is not None


def _short_read(settings: Settings, context: RequestContext, stmt: Stmt, codec: Codec) -> bytes | None:
    """The reply to a request of nothing but a short read, as half of all are; None if it is not that."""
    connection = context.namespace.idle
    if connection is None or stmt.sql is None or stmt.sql_id is not None or type(stmt) is not Stmt:
        return None
    head, tail = codec.around_single(settings.http_self_url)
    limit, encoding = settings.max_response_size, codec.number
    answer = short_read(connection, context, stmt.sql, stmt.args, stmt.named_args, encoding, limit, head, tail)
    if answer is None or head:
        return answer
    return _single(codec, settings, codec.result("execute", answer))


def _single(codec: Codec, settings: Settings, result: bytes) -> bytes:
    return codec.pipeline(None, settings.http_self_url, [result, codec.result("close", b"")])


async def _grouped(
    streams: Streams, settings: Settings, context: RequestContext, request: StreamRequest, codec: Codec
) -> Response:
    """A single write, with those of others that wait as well."""
    try:
        result = codec.result("execute", await streams.groups.execute(context, request.body, codec.number))
    except FAILURES as error:
        result = codec.failed(codec.error(error.message, error.code))
    return Response(200, _single(codec, settings, result), codec.head)


async def _handle(session: Session, request: StreamRequest, codec: Codec, version: int) -> bytes:
    kind = request.kind
    if kind == "execute":
        bound = session.resolve(request.body, version)
        return codec.result(kind, await session.execute(bound, codec.number))
    if kind == "batch":
        return codec.result(kind, await session.batch(request.body, codec, version))
    if kind == "describe":
        return codec.result(kind, await session.describe(request.body, codec, version))
    if kind == "get_autocommit":
        if version < 3:
            raise ProtocolError("The `get_autocommit` request is only supported in protocol version hrana3 and higher")
        return codec.autocommit(session.autocommit())
    if kind == "sequence":
        await session.sequence(request.body, version)
    elif kind == "store_sql":
        session.texts.store(request.body)
    else:
        session.texts.close(request.body)
    return codec.result(kind, b"")
