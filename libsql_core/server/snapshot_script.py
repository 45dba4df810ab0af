"""`--snapshot-exec`: a command that is run with each snapshot of a replication log, and takes it somewhere safe.

Snapshots are linked into `<root>/script_backup`, named `NAMESPACE:LOG_ID:FIRST-LAST.snap` with 20 hexadecimal digits
each. The command gets path, namespace, first and last frame and the log's id. It has done its work when it ends with 0
and has removed the file; else it is run again, later and later, also by the next server.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from libsql_core.server.log import logger

NAME = re.compile(r"(?P<namespace>.+):(?P<log>[0-9a-f-]{36}):(?P<first>[0-9a-f]{20})-(?P<last>[0-9a-f]{20})\.snap")
# Seconds until a command that failed is run again, at first and at most.
FIRST_S, LONGEST_S = 0.5, 60.0

log = logger("snapshots")


class SnapshotScript:
    """Runs the command, for one snapshot after the other."""

    def __init__(self, command: str, root: Path) -> None:
        self._command = command
        self._folder = root / "script_backup"
        self._folder.mkdir(exist_ok=True)
        self._wake = asyncio.Event()
        self._wake.set()

    def add(self, path: str, namespace: str, first: int, last: int, log_id: str) -> None:
        """A snapshot was made. Blocks."""
        target = self._folder / f"{namespace}:{log_id}:{first:020x}-{last:020x}.snap"
        target.unlink(missing_ok=True)
        os.link(path, target)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """For as long as the server runs."""
        delay = FIRST_S
        while True:
            await self._wake.wait()
            self._wake.clear()
            for path in sorted(self._folder.glob("*.snap")):
                found = NAME.fullmatch(path.name)
                while found and not await self._done(path, found):
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, LONGEST_S)
                delay = FIRST_S

    async def _done(self, path: Path, found: re.Match[str]) -> bool:
        numbers = [str(int(found[name], 16)) for name in ("first", "last")]
        try:
            process = await asyncio.create_subprocess_exec(
                self._command, str(path), found["namespace"], *numbers, found["log"]
            )
        except OSError as error:
            log.warning("%s cannot be run: %s", self._command, error.strerror)
            return False
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        if status == 0 and not path.exists():
            return True
        log.warning("%s ended with status %d for %s; it is run again", self._command, status, path.name)
        return not path.exists()
