"""The newer sync protocol, over plain HTTP: `/info`, `/export/G`, `/sync/G/FIRST/STOP`, for pulling and for pushing.

Frames are pulled from the log. Clients that worked offline push the frames of their own log: these are written as they
are, whole transactions at a time, if they follow the last one here; else there is a conflict, and nothing changes.
A transaction longer than a push waits in a file for its rest, under the baton that the client sends along.

`/info` is also how clients that speak both protocols find out which one to speak (sync_clients.py).
"""

from __future__ import annotations

import asyncio
import struct
import tempfile
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic
from typing import IO, TYPE_CHECKING

import orjson

from libsql_core._engine import ReplicationError
from libsql_core.hrana.errors import HttpError
from libsql_core.replication.messages import Frame, Frames
from libsql_core.server.api import JSON_HEAD, WRITE, Request, Response
from libsql_core.server.generations import FRAME, HEADER, Generations, Gone
from libsql_core.server.namespace import Namespace, Patient
from libsql_core.server.sync_clients import client

if TYPE_CHECKING:
    from libsql_core.server.host import Host

# What says that its client wants this protocol and no other, as those of this project do.
DECIDED = b"libsql-sync-"
BYTES_HEAD = b"content-type: application/octet-stream\r\n"
# Frames that one request may pull; clients ask for 128.
MOST = 128
# Frames that are written at a time, bytes of a piece of an export, seconds that the beginning of a transaction waits.
PIECE, EXPORT, PATIENCE = 256, 1 << 18, 60.0

_theirs = struct.Struct(">II16x")
_ours = struct.Struct("<QQII")


class Pushed:
    """Frames of a transaction whose end has not come yet."""

    def __init__(self, generation: int, first: int) -> None:
        self.generation = generation
        self.first = self.next = first
        self.baton = uuid.uuid4().hex
        self.expires = monotonic() + PATIENCE
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(1 << 20)  # noqa: SIM115  # until close()

    def close(self) -> None:
        self.file.close()


class HttpSync:
    """The endpoints."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._pushed: dict[Namespace, Pushed] = {}
        self._locks: dict[Namespace, asyncio.Lock] = {}

    @property
    def routes(self) -> dict[tuple[bytes, bytes], Callable[[Request], Awaitable[Response]]]:
        return {
            (b"GET", b"/info"): self.info,
            (b"GET", b"/export/"): self.export,
            (b"GET", b"/sync/*"): self.pull,
            (b"POST", b"/sync/*"): self.push,
        }

    async def _namespace(self, request: Request, right: int = 0) -> Namespace:
        context = await self._host.context(request)
        namespace = context.namespace
        if right & ~context.permission:
            raise HttpError(403, f"Authorization forbidden: no right to write to namespace {namespace.name}")
        return namespace

    async def info(self, request: Request) -> Response:
        namespace = await self._namespace(request)
        decided = request.headers.get(b"x-libsql-client-version", b"").startswith(DECIDED)
        if not decided and not namespace.sync_clients.newer(client(request.address, request.headers)):
            return Response(404)
        current = await namespace.in_history(lambda history: history.current)
        return Response(200, orjson.dumps({"current_generation": current}), JSON_HEAD)

    async def export(self, request: Request) -> Response:
        namespace = await self._namespace(request)
        (generation,) = _numbers(request.path, 1)
        namespace.sync_clients.used(client(request.address, request.headers))
        await namespace.compacted()
        try:
            file, size = await namespace.in_history(lambda history: history.export(generation))
        except Gone as error:
            raise HttpError(410, str(error)) from None
        except FileNotFoundError as error:
            raise HttpError(503, str(error)) from None
        return Response(200, head=BYTES_HEAD, stream=_read(file), length=size)

    async def pull(self, request: Request) -> Response:
        namespace = await self._namespace(request)
        generation, first, stop = _numbers(request.path, 3)
        stop = min(stop, first + MOST)
        namespace.sync_clients.used(client(request.address, request.headers))

        def read(history: Generations) -> tuple[bytes, int]:
            return history.frames(generation, first, stop), history.current

        try:
            frames, current = await namespace.in_history(read)
        except Gone as error:
            raise HttpError(410, str(error)) from None
        if not frames:
            return Response(400, orjson.dumps({"generation": current}), JSON_HEAD)
        namespace.stats.frames += len(frames) // FRAME
        return Response(200, frames, BYTES_HEAD)

    # Pushes.

    async def push(self, request: Request) -> Response:
        namespace = await self._namespace(request, WRITE)
        config = namespace.config
        if config.block_writes or config.shared_schema or config.shared_schema_name:
            raise HttpError(403, "frames cannot be pushed to this namespace")
        generation, first, stop = _numbers(request.path, 3)
        baton = b"/".join(request.path.split(b"/")[5:])
        namespace.sync_clients.used(client(request.address, request.headers))
        body = request.body
        if not first < stop or len(body) != (stop - first) * FRAME:
            raise HttpError(400, f"frames {first} to {stop} are not {len(body)} bytes")
        async with self._locks.setdefault(namespace, asyncio.Lock()):
            answer = await self._push(namespace, generation, first, body, baton.decode("latin-1"))
        return Response(200, orjson.dumps(answer), JSON_HEAD)

    async def _push(
        self, namespace: Namespace, generation: int, first: int, body: bytes, baton: str
    ) -> dict[str, int | str]:
        stop = first + len(body) // FRAME
        current, last = await namespace.in_history(lambda history: (history.current, history.length(history.current)))
        conflict: dict[str, int | str] = {"status": "conflict", "generation": current, "max_frame_no": last}
        waiting = self._pushed.get(namespace)
        if waiting is not None and (baton != waiting.baton or first != waiting.next or waiting.first != last + 1):
            self._drop(namespace)
            waiting = None
        if generation != current:
            return conflict
        if waiting is None:
            if first > last + 1:
                # The client goes back to what is here.
                return {**conflict, "status": "ok"}
            known = min(stop, last + 1) - first
            if known > 0:
                # It did not hear of what it pushed before, or somebody else has written.
                mine = await namespace.in_history(lambda history: history.frames(generation, first, first + known))
                if not _same(mine, body[: known * FRAME]):
                    return conflict
                body = body[known * FRAME :]
            if body:
                waiting = self._pushed[namespace] = Pushed(generation, last + 1)
        answer: dict[str, int | str] = {"status": "ok", "generation": generation, "max_frame_no": stop - 1}
        if waiting is None:
            return answer
        whole = _committed(body)
        waiting.file.write(body[: whole * FRAME])
        if whole:
            try:
                written = await self._write(namespace, waiting)
            except ReplicationError as error:
                self._drop(namespace)
                raise HttpError(400, f"the frames cannot be written: {error}") from None
            if not written:
                self._drop(namespace)
                return conflict
            waiting.first = waiting.next + whole
            waiting.file.seek(0)
            waiting.file.truncate()
        waiting.file.write(body[whole * FRAME :])
        waiting.next = stop
        if waiting.first == stop:
            self._drop(namespace)
        else:
            waiting.expires = monotonic() + PATIENCE
            answer["baton"] = waiting.baton
        return answer

    def _drop(self, namespace: Namespace) -> None:
        pushed = self._pushed.pop(namespace, None)
        if pushed is not None:
            pushed.close()

    def sweep(self) -> None:
        """Forget transactions whose rest does not come. To be called once a second."""
        now = monotonic()
        for namespace in [each for each, pushed in self._pushed.items() if pushed.expires <= now or each.closed]:
            self._drop(namespace)
        for namespace in [each for each, lock in self._locks.items() if each.closed and not lock.locked()]:
            del self._locks[namespace]

    async def _write(self, namespace: Namespace, waiting: Pushed) -> bool:
        """Write what is whole, behind what is there; False if somebody else has been quicker."""
        holder = Patient()
        await namespace.writers.acquire(holder)
        try:
            done = await namespace.in_history(lambda history: _inject(namespace, history, waiting))
        finally:
            namespace.writers.release(holder)
        namespace.written()
        return done


def _inject(namespace: Namespace, history: Generations, waiting: Pushed) -> bool:
    log = namespace.log
    if log is None or history.current != waiting.generation or history.length(waiting.generation) + 1 != waiting.first:
        return False
    number = log.last + 1
    injector = namespace.injector(log)
    try:
        waiting.file.seek(0)
        while piece := waiting.file.read(PIECE * FRAME):
            encoded = _encoded(piece, number)
            injector.frames(encoded, number)
            number += len(piece) // FRAME
    except BaseException:
        injector.rollback()
        raise
    finally:
        injector.close()
    return True


def _encoded(frames: bytes, number: int) -> bytes:
    """Frames with SQLite's headers as a message of the log's."""
    made = []
    for at in range(0, len(frames), FRAME):
        page, size = _theirs.unpack_from(frames, at)
        made.append(Frame(data=_ours.pack(number, 0, page, size) + frames[at + HEADER : at + FRAME]))
        number += 1
    return Frames(frames=made).encode()


def _committed(frames: bytes) -> int:
    """How many frames there are up to the last one that ends a transaction."""
    for at in range(len(frames) - FRAME, -1, -FRAME):
        if _theirs.unpack_from(frames, at)[1]:
            return at // FRAME + 1
    return 0


def _same(mine: bytes, theirs: bytes) -> bool:
    """Whether frames are the same, but for what belongs to each one's own log."""
    return len(mine) == len(theirs) and all(
        mine[at : at + 8] == theirs[at : at + 8] and mine[at + HEADER : at + FRAME] == theirs[at + HEADER : at + FRAME]
        for at in range(0, len(mine), FRAME)
    )


def _numbers(path: bytes, count: int) -> list[int]:
    """The numbers in a path, behind its first part."""
    parts = path.split(b"/")[2 : 2 + count]
    if len(parts) != count or not all(part.isdigit() and len(part) < 20 for part in parts):
        raise HttpError(404)
    return [int(part) for part in parts]


async def _read(file: IO[bytes]) -> AsyncGenerator[bytes, None]:
    with file:
        while piece := await asyncio.to_thread(file.read, EXPORT):
            yield piece
