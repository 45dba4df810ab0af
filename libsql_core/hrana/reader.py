"""Reads what is asked again and again; it gives None for everything else, which the decoders then look at."""

from libsql_core._engine import RequestReader
from libsql_core.hrana.types import Batch, PipelineBody, SocketRequest, Step, Stmt, StreamRequest

READER = RequestReader(
    body=PipelineBody, message=SocketRequest, request=StreamRequest, batch=Batch, step=Step, stmt=Stmt
)
