"""`POST /`, what there was before Hrana: a list of statements, each run for itself until one fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

import orjson

from libsql_core._engine import Plan, StatementError
from libsql_core.hrana.errors import HranaError, HttpError, SqlError
from libsql_core.hrana.json_decode import base64_bytes, kind_of, syntax_error
from libsql_core.server.api import JSON_HEAD, Response

if TYPE_CHECKING:
    from libsql_core.hrana.types import Value
    from libsql_core.server.api import RequestContext, Settings
    from libsql_core.server.session import Session
    from libsql_core.server.streams import Streams

PLAIN: Literal[2] = 2
LONGEST_BODY = 2 * 1024 * 1024


class Query(NamedTuple):
    sql: str
    args: list[Value]
    named: list[tuple[str, Value]]


def decode(data: bytes) -> list[Query]:
    if len(data) > LONGEST_BODY:
        raise HttpError(413, "Failed to buffer the request body: length limit exceeded", plain=True)
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "content after document" in error.msg:  # it may follow
            return decode(data[: error.pos])
        reason = syntax_error(data, error)
        raise HttpError(400, f"Failed to parse the request body as JSON: {reason}", plain=True) from None
    if body == []:
        _refuse("invalid length 0, expected struct HttpQuery with 2 elements")
    if type(body) is not dict:
        _refuse(f"invalid type: {kind_of(body)}, expected struct HttpQuery")
    if "statements" not in body:
        _refuse("missing field `statements`")
    statements = body["statements"]
    if type(statements) is not list:
        _refuse(f"statements: invalid type: {kind_of(statements)}, expected a sequence")
    return [_query(each, f"statements[{number}]") for number, each in enumerate(statements)]


def _refuse(message: str) -> NoReturn:
    raise HttpError(422, f"Failed to deserialize the JSON body into the target type: {message}", plain=True)


def _query(of: object, where: str) -> Query:
    if type(of) is str:
        return Query(of, [], [])
    if type(of) is not dict:
        _refuse(f"{where}: invalid type: {kind_of(of)}, expected a string or an object")
    for key in of:
        if key not in ("q", "params"):
            _refuse(f"{where}: unknown field `{key}`, expected `q` or `params`")
    if "q" not in of:
        _refuse(f"{where}: missing field `q`")
    if type(of["q"]) is not str:
        _refuse(f"{where}.q: invalid type: {kind_of(of['q'])}, expected a string")
    params = of.get("params")
    if type(params) is list:
        return Query(of["q"], [_value(each, f"{where}.params[{at}]") for at, each in enumerate(params)], [])
    if type(params) is dict:
        return Query(of["q"], [], [(name, _value(each, f"{where}.params.{name}")) for name, each in params.items()])
    if params is not None:
        _refuse(f"{where}.params: invalid type: {kind_of(params)}, expected an array or a map of parameters")
    return Query(of["q"], [], [])


def _value(of: Any, where: str) -> Value:
    if type(of) is bool:
        return int(of)
    if of is None or type(of) in (int, float, str):
        return of  # type: ignore[no-any-return]
    if type(of) is not dict:
        _refuse(f"{where}: invalid type: {kind_of(of)}, expected a valid SQLite value")
    for key, value in of.items():
        if type(value) is not str:
            _refuse(f"{where}.{key}: invalid type: {kind_of(value)}, expected a borrowed string")
    text = of.get("base64")
    if text is None or len(of) != 1:
        _refuse(f"{where}: invalid value: map, expected a valid SQLite value")
    try:
        if not text.endswith("="):
            return base64_bytes(text)
    except HranaError:
        pass
    _refuse(f'{where}: invalid value: string "{text[:200]}", expected Invalid padding')


async def run(streams: Streams, settings: Settings, context: RequestContext, queries: list[Query]) -> Response:
    session = await streams.open(context)
    session.begin_turn()
    try:
        entries = await _run(session, settings, queries)
    finally:
        streams.close(session)
    return Response(200, b"[%b]" % b",".join(entries), JSON_HEAD)


def _plans(session: Session, queries: list[Query]) -> list[Plan | StatementError]:
    """All statements, before the first of them runs; a text without one fails when its turn comes."""
    plans: list[Plan | StatementError] = []
    for query in queries:
        try:
            plans.append(session.connection.plan(query.sql))
        except StatementError as error:
            if error.code == "SQL_MANY_STATEMENTS":
                reason = "found more than one command in a single statement string. "
                reason += "It is allowed to issue only one command per string."
                raise HttpError(400, f"Failed to parse query: `{reason}`") from None
            if error.code == "SQL_PARSE_ERROR":
                raise HttpError(500, f"Internal Error: `{error.detail}`") from None
            plans.append(error)
    return plans


def _check_transactions(plans: list[Plan | StatementError]) -> None:
    """A transaction has to end in the call that begins it."""
    within = False
    for plan in plans:
        if isinstance(plan, Plan):
            if plan.verb in ("RELEASE", "ROLLBACK TO"):
                reason = "savepoints are not supported in HTTP API, use hrana protocol instead"
                raise HttpError(400, f"Query error: `{reason}`")
            if plan.kind == Plan.TXN:
                within = plan.begins
    if within:
        raise HttpError(400, "Query error: `interactive transaction not allowed in HTTP queries`")


async def _run(session: Session, settings: Settings, queries: list[Query]) -> list[bytes]:
    plans = _plans(session, queries)
    _check_transactions(plans)
    entries: list[bytes] = []
    left = settings.max_response_size
    for query, plan in zip(queries, plans, strict=True):
        try:
            if isinstance(plan, StatementError):
                raise plan
            result = await session.execute((plan, query.args, query.named), PLAIN, left)
        except (StatementError, SqlError) as error:
            entries.append(orjson.dumps({"error": _text(error, settings)}))
            entries += [b"null"] * (len(queries) - len(entries))
            session.abandon()
            break
        left -= len(result)
        entries.append(b'{"results":%b}' % result)
        await session.yield_turn()
    return entries


def _text(error: StatementError | SqlError, settings: Settings) -> str:
    """How a failed statement is put, or HttpError if it fails the call."""
    detail = error.detail if isinstance(error, StatementError) else error.message
    if error.code == "RESPONSE_TOO_LARGE":
        size = f"{settings.max_response_size / 1_000_000:.1f} MB"
        message = f"query response exceeds the maximum size of {size}. Try reducing the number of queried rows."
        raise HttpError(500, message)
    if error.code == "RESPONSE_NOT_UTF8":
        raise HttpError(500, detail)
    if error.code == "SQL_NO_STATEMENT":
        return "not an error"
    if error.code.startswith("ARGS_"):
        return f"LibSQL failed to bind provided query parameters: `{detail}`"
    return detail
