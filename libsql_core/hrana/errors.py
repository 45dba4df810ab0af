"""The three kinds of errors that a client sees, and the status each has over HTTP."""

from __future__ import annotations


class HranaError(Exception):
    """What is answered instead of a result."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ProtocolError(HranaError):
    """A rule of the protocol is broken: `400 text/plain` over HTTP, the end of a WebSocket with close code 1008."""


class MalformedError(ProtocolError):
    """A message that cannot be decoded: `400 text/plain` over HTTP, the end of a WebSocket with close code 1007."""


class SqlError(HranaError):
    """A statement failed, or a limit of its stream: `{"message", "code"}` in the place of its result."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class HttpError(HranaError):
    """The call as a whole is refused: `{"error": message}` with a status, or `response_error` on a WebSocket.

    With `plain`, the body is the message itself; with an empty message there is no body.
    """

    def __init__(self, status: int, message: str = "", *, code: str = "", plain: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or _CODES.get(status, "INTERNAL_ERROR")
        self.plain = plain


class AuthError(HttpError):
    """Credentials that do not suffice: 401 over HTTP, `hello_error` with the code on a WebSocket."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(401, f"Unauthorized: `{reason}`", code=code)
        self.reason = reason


# The codes of refused calls on a WebSocket; over HTTP only the status shows.
_CODES = {
    400: "BAD_REQUEST",
    403: "FORBIDDEN",
    404: "NAMESPACE_NOT_FOUND",
    429: "TOO_MANY_REQUESTS",
    503: "UNAVAILABLE",
}

_STATUSES = {
    "ARGS_BOTH_POSITIONAL_AND_NAMED": 501,
    "TRANSACTION_TIMEOUT": 503,
    "TRANSACTION_BUSY": 503,
}


def status_of(code: str) -> int:
    """The status of a statement's error where it is the whole reply (Hrana 1 over HTTP)."""
    return 500 if code.startswith(("SQLITE_", "RESPONSE_NOT_")) else _STATUSES.get(code, 400)
