"""`POST /v1/execute` and `/v1/batch`: one statement or batch on a connection of its own, by the rules of Hrana 1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from libsql_core.hrana.encode import JSON
from libsql_core.hrana.errors import status_of
from libsql_core.server.api import JSON_HEAD, Response
from libsql_core.server.session import FAILURES

if TYPE_CHECKING:
    from libsql_core.hrana.types import Batch, Stmt
    from libsql_core.server.api import RequestContext
    from libsql_core.server.session import Session
    from libsql_core.server.streams import Streams

VERSION = 1


async def execute(streams: Streams, context: RequestContext, stmt: Stmt) -> Response:
    async def run(session: Session) -> bytes:
        return await session.execute(session.resolve(stmt, VERSION), JSON.number)

    return await _one_shot(streams, context, run)


async def batch(streams: Streams, context: RequestContext, body: Batch) -> Response:
    async def run(session: Session) -> bytes:
        return await session.batch(body, JSON, VERSION)

    return await _one_shot(streams, context, run)


async def _one_shot(streams: Streams, context: RequestContext, run: Callable[[Session], Awaitable[bytes]]) -> Response:
    session = await streams.open(context)
    session.begin_turn()
    try:
        result = await run(session)
    except FAILURES as error:
        return Response(status_of(error.code), JSON.error(error.message, error.code), JSON_HEAD)
    finally:
        streams.close(session)
    return Response(200, b'{"result":%b}' % result, JSON_HEAD)
