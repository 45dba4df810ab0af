"""An embedded replica of a Python client: python replica_py.py MODULE FILE URL TOKEN [OPTIONS]

Takes commands from standard input, one JSON object a line, and answers each with one.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "_replication"))

import states


class Replica:
    def __init__(self, module: str, file: str, url: str, token: str, options: str = "{}") -> None:
        self.module = importlib.import_module(module)
        self.con = self.module.connect(file, sync_url=url, auth_token=token, **json.loads(options))

    def rows(self, sql: str) -> Any:
        return self.con.execute(sql).fetchall()

    def sync(self) -> dict[str, Any]:
        self.con.sync()
        return self.state()

    def state(self) -> dict[str, Any]:
        return {"state": states.state(self.rows)}

    def follow(self, until: int, seconds: float = 60) -> dict[str, Any]:
        """Sync again and again until transaction `until` is there; tells states that were seen, now and then one."""
        seen: list[Any] = []
        errors: list[str] = []
        end = time.monotonic() + seconds
        looked = 0.0
        while (not seen or seen[-1][0] < until) and time.monotonic() < end:
            time.sleep(0.01)
            try:
                self.con.sync()
            except Exception as error:
                errors.append(str(error))
                continue
            if not self.rows("select 1 from sqlite_schema where name = 'history'"):
                continue
            ((last,),) = self.rows("select max(n) from history")
            if (last or 0) >= until or time.monotonic() > looked + 0.6:
                looked = time.monotonic()
                seen.append(states.state(self.rows))
        return {"seen": seen, "errors": errors}

    def write(self, sql: list[str], read: str) -> dict[str, Any]:
        """A transaction on the primary, and what is read here afterwards."""
        for each in sql:
            self.con.execute(each)
        self.con.commit()
        return {"rows": [list(row) for row in self.rows(read)]}

    def read(self, sql: str) -> dict[str, Any]:
        return {"rows": [list(row) for row in self.rows(sql)]}

    def run(self, sql: str, params: list[Any] | None = None) -> dict[str, Any]:
        cursor = self.con.execute(sql, tuple(params)) if params is not None else self.con.execute(sql)
        return {"rows": [list(row) for row in cursor.fetchall() or []]}

    def end(self, how: str) -> dict[str, Any]:
        getattr(self.con, how)()
        return {}

    def time(self, what: str, count: int, sql: str = "") -> dict[str, Any]:
        """Seconds of each of `count` times of sync, write (with its commit) or read."""
        taken = []
        for _ in range(count):
            began = time.perf_counter()
            if what == "sync":
                self.con.sync()
            elif what == "read":
                self.con.execute(sql).fetchall()
            else:
                self.con.execute(sql)
                self.con.commit()
            taken.append(time.perf_counter() - began)
        return {"seconds": taken}


def main() -> None:
    replica = Replica(*sys.argv[1:])
    print("{}", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(replica, command.pop("do"))(**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    if hasattr(replica.con, "close"):
        replica.con.close()


if __name__ == "__main__":
    main()
