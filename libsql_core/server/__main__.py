"""`python -m libsql_core.server`, the same as `sqld`."""

from libsql_core.server.cli import entry

if __name__ == "__main__":
    entry()
