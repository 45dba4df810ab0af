"""The conditions of a batch's steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from libsql_core.hrana.errors import ProtocolError

if TYPE_CHECKING:
    from libsql_core.hrana.types import Batch, Condition


def check(batch: Batch, version: int) -> None:
    """That conditions refer to earlier steps only, and are of this version."""
    for number, (condition, _) in enumerate(batch.steps):
        if condition is not None and (condition[0] != "ok" or condition[1] >= number):
            _check(condition, number, version)


def _check(condition: Condition, number: int, version: int) -> None:
    kind, of = condition
    if kind in ("ok", "error"):
        if of >= number:
            raise ProtocolError("Invalid reference to step in a batch condition")
    elif kind == "not":
        _check(of, number, version)
    elif kind == "is_autocommit":
        if version < 3:
            message = "BatchCond of type `is_autocommit` is only supported in protocol version hrana3 and higher"
            raise ProtocolError(message)
    else:
        for each in of:
            _check(each, number, version)


def met(condition: Condition, results: Sequence[object], autocommit: bool) -> bool:
    """Whether a condition is met; `results` has None for what failed, was skipped, or is still to come.

    A step that was skipped counts as one that failed, whatever the specification says: sqld does so.
    """
    kind, of = condition
    if kind == "ok":
        return results[of] is not None
    if kind == "error":
        return results[of] is None
    if kind == "not":
        return not met(of, results, autocommit)
    if kind == "and":
        return all(met(each, results, autocommit) for each in of)
    if kind == "or":
        return any(met(each, results, autocommit) for each in of)
    return autocommit
