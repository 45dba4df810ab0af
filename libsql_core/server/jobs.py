"""Shared schemas: what is written to a schema's namespace is a migration of all namespaces that are linked to it.

A migration is first tried everywhere in a transaction that is rolled back. Only if it works everywhere is it run: in
each linked namespace, and in the schema's own last. Each remembers, in the transaction itself, that it has had it, so
that a job which a crash cut off goes on where it was and nobody has it twice.

Jobs and their tasks are rows of the metastore; the statements are kept in the form that libSQL's server keeps them in.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from libsql_core._engine import Plan, ServerConnection, StatementError
from libsql_core.hrana.errors import HttpError
from libsql_core.server.api import MigrationError, MigrationStep
from libsql_core.server.log import logger
from libsql_core.server.namespace import Namespace, Patient
from libsql_core.server.namespaces import Namespaces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libsql_core.hrana.types import Condition

WAITING_DRY_RUN, DRY_RUN_SUCCESS, DRY_RUN_FAILURE, WAITING_RUN, RUN_SUCCESS, RUN_FAILURE, WAITING_TRANSITION = range(7)
JOB_NAMES = (
    "WaitingDryRun", "DryRunSuccess", "DryRunFailure", "WaitingRun", "RunSuccess", "RunFailure", "WaitingTransition",
)  # fmt: skip
ENQUEUED, DRY_SUCCESS, DRY_FAILURE, RUN, SUCCESS, FAILURE = range(6)
TASK_NAMES = ("WaitingDryRun", "DryRunSuccess", "DryRunFailure", "WaitingRun", "RunSuccess", "RunFailure")

# What the original calls the version of a schema; it has always been this.
LAYOUT = 4
TASKS_TABLE = """CREATE TABLE IF NOT EXISTS sqlite3_libsql_tasks (
    job_id INTEGER PRIMARY KEY,
    status INTEGER,
    migration TEXT NOT NULL,
    error TEXT,
    finished BOOLEAN GENERATED ALWAYS AS (status = 4 OR status = 5)
)"""
KINDS = {
    Plan.READ: "Read", Plan.WRITE: "Write", Plan.DDL: "DDL", Plan.TXN: "TxnBegin", Plan.SAVEPOINT: "Savepoint",
    Plan.ATTACH: "Attach", Plan.DETACH: "Detach",
}  # fmt: skip
INPUT_ERROR = re.compile(r"SQL input error: (.*) \(at offset (\d+)\)", re.DOTALL)

log = logger("jobs")


# The stored form


def _value(value: Any) -> Any:
    if value is None:
        return "Null"
    if isinstance(value, bytes):
        return {"Blob": list(value)}
    names = {int: "Integer", float: "Real", str: "Text"}
    return {names[type(value)]: value}


def _condition(condition: Condition) -> Any:
    kind, of = condition
    if kind in ("ok", "error"):
        return {"Ok" if kind == "ok" else "Err": {"step": of}}
    if kind == "not":
        return {"Not": {"cond": _condition(of)}}
    if kind == "is_autocommit":
        return "IsAutocommit"
    return {kind.title(): {"conds": [_condition(each) for each in of]}}


def dumps(steps: Sequence[MigrationStep]) -> str:
    kept = []
    for step in steps:
        word = step.sql.split(None, 1)[0].upper() if step.sql.strip() else ""
        statement = {
            "stmt": step.sql,
            "kind": "TxnEnd" if step.kind == Plan.TXN and "begin" not in step.sql else KINDS[step.kind],
            "is_iud": word in ("INSERT", "UPDATE", "DELETE", "REPLACE"),
            "is_insert": word in ("INSERT", "REPLACE"),
            "attach_info": None,
        }
        names = [name for name, _ in step.named]
        values = [_value(value) for _, value in step.named]
        params = (
            {"Named": {"names": names, "values": values}} if names else {"Positional": list(map(_value, step.args))}
        )
        condition = None if step.condition is None else _condition(step.condition)
        kept.append({"cond": condition, "query": {"stmt": statement, "params": params, "want_rows": True}})
    return json.dumps({"steps": kept}, ensure_ascii=False, separators=(",", ":"))


def _read_value(kept: Any) -> Any:
    if kept == "Null":
        return None
    ((kind, value),) = kept.items()
    return bytes(value) if kind == "Blob" else float(value) if kind == "Real" else value


def _read_condition(kept: Any) -> Condition:
    if kept == "IsAutocommit":
        return "is_autocommit", None
    ((kind, of),) = kept.items()
    if kind in ("Ok", "Err"):
        return ("ok" if kind == "Ok" else "error"), of["step"]
    if kind == "Not":
        return "not", _read_condition(of["cond"])
    return kind.lower(), [_read_condition(each) for each in of["conds"]]


def loads(text: str) -> list[MigrationStep]:
    steps = []
    numbers = {name: number for number, name in KINDS.items()}
    for kept in json.loads(text)["steps"]:
        statement, params = kept["query"]["stmt"], kept["query"]["params"]
        named = params.get("Named")
        steps.append(
            MigrationStep(
                statement["stmt"],
                numbers.get(statement["kind"], Plan.WRITE),
                [_read_value(value) for value in params.get("Positional", ())],
                list(zip(named["names"], map(_read_value, named["values"]), strict=True)) if named else (),
                None if kept["cond"] is None else _read_condition(kept["cond"]),
            )
        )
    return steps


# Running


def _holds(condition: Condition, results: Sequence[bytes | None]) -> bool:
    kind, of = condition
    if kind == "ok":
        return results[of] is not None
    if kind == "error":
        return results[of] is None
    if kind == "not":
        return not _holds(of, results)
    if kind == "and":
        return all(_holds(each, results) for each in of)
    if kind == "or":
        return any(_holds(each, results) for each in of)
    return False  # is_autocommit: a migration runs in a transaction


def _reason(error: StatementError, sql: str) -> str:
    found = INPUT_ERROR.fullmatch(error.message)
    return f"{found[1]} in {sql} at offset {found[2]}" if found else error.detail


def _apply(
    connection: ServerConnection, steps: Sequence[MigrationStep], encoding: Any, limit: int
) -> list[bytes | None]:
    """The results of the steps, which run inside a transaction; None for those that were skipped."""
    results: list[bytes | None] = []
    for number, step in enumerate(steps, 1):
        if step.condition is not None and not _holds(step.condition, results):
            results.append(None)
            continue
        try:
            plan = connection.plan(step.sql)
            results.append(connection.execute(plan, step.args, step.named, encoding, limit))
        except StatementError as error:
            reason = _reason(error, step.sql)
            text = f"An error occured executing the migration at step {number}: {reason}"
            raise MigrationError(text) from None
    return results


def _try(connection: ServerConnection, steps: Sequence[MigrationStep], encoding: Any, limit: int) -> list[bytes | None]:
    connection.run(connection.plan("BEGIN IMMEDIATE"))
    try:
        return _apply(connection, steps, encoding, limit)
    finally:
        connection.rollback()


def _run(connection: ServerConnection, job: int, text: str, steps: Sequence[MigrationStep]) -> None:
    """Run a migration for good, unless it was before."""
    plan, execute = connection.plan, connection.execute
    connection.run(plan("BEGIN IMMEDIATE"))
    try:
        connection.run(plan(TASKS_TABLE))
        found = json.loads(
            execute(plan("SELECT 1 FROM sqlite3_libsql_tasks WHERE job_id = ? AND finished"), [job], None, 2, 1 << 20)
        )
        if not found["rows"]:
            execute(
                plan("INSERT OR REPLACE INTO sqlite3_libsql_tasks(job_id, status, migration) VALUES (?, ?, ?)"),
                [job, SUCCESS, text], None, 2, 1 << 20,
            )  # fmt: skip
            _apply(connection, steps, 0, 1 << 62)
        connection.run(plan("COMMIT"))
    except BaseException:
        connection.rollback()
        raise


class Jobs:
    """The migrations of all schemas, one after the other for each schema."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._store = namespaces.store
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def _connection(self, name: str) -> AsyncIterator[tuple[Namespace, ServerConnection]]:
        """A connection that may write."""
        namespace = await self._namespaces.get(name)
        connection = await namespace.acquire()
        holder = Patient()
        try:
            await namespace.writers.acquire(holder)
            try:
                yield namespace, connection
                namespace.wrote(connection)
            finally:
                namespace.writers.release(holder)
        finally:
            namespace.release(connection)

    async def migrate(
        self, schema: str, steps: Sequence[MigrationStep], encoding: Literal[0, 1, 2, 3, 4], limit: int
    ) -> list[bytes | None]:
        """Run a migration; the results are those of the schema's own database. MigrationError if it does not work."""
        async with self._locks.setdefault(schema, asyncio.Lock()):
            async with self._connection(schema) as (_, connection):
                results = await asyncio.to_thread(_try, connection, steps, encoding, limit)
            text = dumps(steps)
            job = await asyncio.to_thread(self._enqueue, schema, text)
            await self._finish(schema, job, text, steps, WAITING_DRY_RUN)
            return results

    def _enqueue(self, schema: str, text: str) -> int:
        with self._store.transaction():
            ((job,),) = self._store.rows(
                "INSERT INTO jobs(schema, migration, status) VALUES (?, ?, ?) RETURNING job_id",
                schema, text, WAITING_DRY_RUN,
            )  # fmt: skip
            for name in self._store.linked(schema):
                self._store.rows(
                    "INSERT INTO pending_tasks(job_id, target_namespace, status) VALUES (?, ?, ?)", job, name, ENQUEUED
                )
        return int(job)

    async def _finish(self, schema: str, job: int, text: str, steps: Sequence[MigrationStep], status: int) -> None:
        """Bring a job to its end."""
        if status < WAITING_RUN:
            await self._dry_run(job, steps)
            await asyncio.to_thread(self._job, job, WAITING_RUN)
        for task, name, done in self._tasks(job):
            if done != SUCCESS and name in self._namespaces.configs:
                try:
                    async with self._connection(name) as (_, connection):
                        await asyncio.to_thread(_run, connection, job, text, steps)
                except (MigrationError, StatementError, HttpError) as error:
                    reason = f"task {task} for namespace `{name}` failed with error: {error}"
                    await asyncio.to_thread(self._task, task, FAILURE, str(error))
                    await asyncio.to_thread(self._job, job, RUN_FAILURE, reason)
                    raise MigrationError(f"migration failed: {reason}") from None
            await asyncio.to_thread(self._task, task, SUCCESS)
        async with self._connection(schema) as (_, connection):
            await asyncio.to_thread(_run, connection, job, text, steps)
            await asyncio.to_thread(self._job, job, RUN_SUCCESS)
            # Namespaces that are linked later begin as copies of this one.
            await asyncio.to_thread(connection.run, connection.plan("DROP TABLE sqlite3_libsql_tasks"))

    async def _dry_run(self, job: int, steps: Sequence[MigrationStep]) -> None:
        for task, name, _ in self._tasks(job):
            if name not in self._namespaces.configs:
                continue
            try:
                async with self._connection(name) as (_, connection):
                    await asyncio.to_thread(_try, connection, steps, 0, 1 << 62)
            except (MigrationError, StatementError, HttpError) as error:
                reason = f"task {task} for namespace `{name}` failed with error: {error}"
                await asyncio.to_thread(self._abort, job, reason)
                raise MigrationError(f"migration dry run failed: {reason}") from None
            await asyncio.to_thread(self._task, task, DRY_SUCCESS)
        await asyncio.to_thread(self._job, job, DRY_RUN_SUCCESS)

    def _tasks(self, job: int) -> list[tuple[int, str, int]]:
        return [
            (task, name, status)
            for task, name, status in self._store.rows(
                "SELECT task_id, target_namespace, status FROM pending_tasks WHERE job_id = ? ORDER BY task_id", job
            )
        ]

    def _task(self, task: int, status: int, error: str | None = None) -> None:
        self._store.rows("UPDATE pending_tasks SET status = ?, error = ? WHERE task_id = ?", status, error, task)

    def _job(self, job: int, status: int, error: str | None = None) -> None:
        self._store.rows("UPDATE jobs SET status = ?, error = ? WHERE job_id = ?", status, error, job)

    def _abort(self, job: int, reason: str) -> None:
        with self._store.transaction():
            self._job(job, DRY_RUN_FAILURE, reason)
            self._store.rows("UPDATE pending_tasks SET status = ?, error = 'aborted' WHERE job_id = ?", FAILURE, job)

    async def resume(self) -> None:
        """Finish what a crash cut off. A job that had not been tried everywhere yet has changed nothing: it ends."""
        for job, schema, text, status in self._store.rows(
            "SELECT job_id, schema, migration, status FROM jobs WHERE status IN (?, ?, ?, ?) ORDER BY job_id",
            WAITING_DRY_RUN, DRY_RUN_SUCCESS, WAITING_RUN, WAITING_TRANSITION,
        ):  # fmt: skip
            if status in (WAITING_DRY_RUN, DRY_RUN_SUCCESS):
                await asyncio.to_thread(self._abort, job, "aborted")
                continue
            try:
                async with self._locks.setdefault(schema, asyncio.Lock()):
                    await self._finish(schema, job, text, loads(text), WAITING_RUN)
            except (MigrationError, StatementError, HttpError, ValueError, LookupError) as error:
                log.error("migration %d of `%s` failed: %s", job, schema, error)

    # What /v1/jobs tells

    def show(self, schema: str) -> dict[str, Any]:
        rows = self._store.rows("SELECT job_id, status FROM jobs WHERE schema = ? ORDER BY job_id DESC", schema)
        migrations = [{"job_id": job, "status": JOB_NAMES[status]} for job, status in rows]
        return {"schema_version": LAYOUT, "migrations": migrations}

    def show_one(self, schema: str, job: int) -> dict[str, Any] | None:
        found = self._store.rows("SELECT status, error FROM jobs WHERE schema = ? AND job_id = ?", schema, job)
        if not found:
            return None
        ((status, error),) = found
        tasks = self._store.rows(
            "SELECT target_namespace, status, error FROM pending_tasks WHERE job_id = ? ORDER BY task_id", job
        )
        progress = [{"namespace": name, "status": TASK_NAMES[state], "error": why} for name, state, why in tasks]
        shown: dict[str, Any] = {"job_id": job, "status": JOB_NAMES[status], "progress": progress}
        return {**shown, "error": error} if error is not None else shown
