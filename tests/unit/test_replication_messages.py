"""Messages of replication: bytes that sqld sent, what protobuf itself makes of them, and what is no message."""

from __future__ import annotations

import random
from dataclasses import fields

import pytest

from libsql_core.replication import messages as m
from libsql_core.replication.errors import ProtocolError
from libsql_core.replication.protobuf import MAX_DEPTH, Message

ID = "da60743b-4a44-44a4-a3e5-92c22ee190c9"


def test_hello_of_sqld() -> None:
    text = ID.encode().hex()
    config = "20c0ece9d9b6c137400550c096b10258006800"
    data = bytes.fromhex(f"0a24{text}1a24{text}2224{text}28033213{config}")
    assert m.HelloRequest(handshake_version=1).encode().hex() == "0801"
    assert m.HelloRequest.decode(b"") == m.HelloRequest(None)
    hello = m.HelloResponse.decode(data)
    assert (hello.log_id, hello.session_token, hello.current_replication_index) == (ID, ID.encode(), 3)
    assert hello.config == m.DatabaseConfig(
        max_db_pages=244140625000000, txn_timeout_s=5, max_row_size=5000000, shared_schema=False, durability_mode=0
    )
    assert hello.encode() == data


def test_presence() -> None:
    assert m.LogOffset().encode() == b""
    assert m.LogOffset(next_offset=4).encode().hex() == "0804"
    assert m.LogOffset(wal_flavor=m.WalFlavor.SQLITE).encode().hex() == "1000"
    assert m.HelloResponse(current_replication_index=0).encode().hex() == "2800"
    assert m.HelloResponse.decode(bytes.fromhex("2800")).current_replication_index == 0


def test_frames() -> None:
    batch = m.Frames([m.Frame(bytes(4120)), m.Frame(bytes(4120), timestamp=1763700000000)])
    data = batch.encode()
    assert data[:6].hex() == "0a9b200a9820"
    assert data[6 + 4120 :][:3].hex() == "0aa220"
    assert m.Frames.decode(data) == batch


def test_program() -> None:
    query = m.Query(stmt="BEGIN;", positional=m.Positional())
    request = m.ProgramReq(client_id=ID, pgm=m.Program([m.Step(query=query)]))
    assert request.encode().hex() == f"0a24{ID.encode().hex()}120e0a0c120a0a06{b'BEGIN;'.hex()}1200"
    reply = m.ExecuteResults.decode(bytes.fromhex("0a06120418012003 10021803".replace(" ", "")))
    assert reply.results[0].row == m.ResultRows(affected_row_count=1, last_insert_rowid=3)
    assert (reply.state, reply.current_frame_no) == (m.State.TXN, 3)


def test_stream_answer_of_sqld() -> None:
    data = bytes.fromhex(
        "123e0a020a000a0212000a0e2a0c0a0a0a08" + b"count(*)".hex() + "0a0232000a023a000a0742050a0310d2080a024a00"
        "0a0252000a021a000a075a05089b201001"
    )
    answer = m.ExecResp.decode(data)
    assert answer.program_resp is not None
    steps = answer.program_resp.steps
    assert steps[5].add_row_value == m.AddRowValue(m.RowValue(integer=1106))
    assert steps[-1].finish == m.Finish(last_frame_no=4123, is_autocommit=True)
    assert answer.encode() == data


def test_conditions_nest() -> None:
    cond = m.Cond(ok=m.OkCond(0))
    for _ in range(20):
        cond = m.Cond(not_=m.NotCond(cond), and_=None)
    cond = m.Cond(or_=m.OrCond([cond, m.Cond(is_autocommit=m.IsAutocommitCond()), m.Cond(err=m.ErrCond(-1))]))
    assert m.Cond.decode(cond.encode()) == cond
    for _ in range(MAX_DEPTH):
        cond = m.Cond(not_=m.NotCond(cond))
    with pytest.raises(ProtocolError, match="nested more than"):
        m.Cond.decode(cond.encode())


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, "00000000"),
        (-2, "01000000feffffffffffffff"),
        (0.5, "02000000000000000000e03f"),
        ("from exp055", "030000000b00000000000000" + b"from exp055".hex()),
        (b"\0\1", "0400000002000000000000000001"),
        ("", "030000000000000000000000"),
    ],
)
def test_values(value: m.Value, data: str) -> None:
    assert m.encode_value(value).hex() == data
    assert m.decode_value(bytes.fromhex(data)) == value
    for wrong in (data[:-2], data + "00", "05" + data[2:]):
        with pytest.raises(ProtocolError, match=r"proxy\.Value"):
            m.decode_value(bytes.fromhex(wrong))


def test_values_too_big() -> None:
    with pytest.raises(OverflowError):
        m.encode_value(1 << 63)


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (m.HelloResponse, "1a05", r"HelloResponse\.log_id: a field that ends behind its message \(byte 0 of 2\)"),
        (m.HelloResponse, "1a01ff", r"HelloResponse\.log_id: text that is not UTF-8"),
        (m.HelloResponse, "18", r"HelloResponse\.log_id: wire type 0 instead of 2"),
        (m.LogOffset, "08ffffffffffffffffff7f", r"LogOffset\.next_offset: no varint"),
        (m.LogOffset, "00", "LogOffset: field number 0"),
        (m.LogOffset, "1b", "LogOffset: wire type 3"),
        (m.Frames, "0a030a05", r"Frames\.frames: a field that ends"),
    ],
)
def test_refused(kind: type[Message], data: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        kind.decode(bytes.fromhex(data))


def test_any_bytes_decode_or_raise() -> None:
    kinds = [each for each in vars(m).values() if isinstance(each, type) and issubclass(each, Message) and fields(each)]
    source = random.Random(9)
    good = m.ExecuteResults([m.QueryResult(row=m.ResultRows([m.Column("a", "b")], [m.Row([m.ValueData(b"x")])]))])
    for _ in range(3000):
        data = bytearray(good.encode() if source.random() < 0.7 else source.randbytes(source.randrange(30)))
        for _ in range(source.randrange(4)):
            if data:
                data[source.randrange(len(data))] = source.randrange(256)
        try:
            message = source.choice(kinds).decode(data)
        except ProtocolError:
            continue
        assert type(message).decode(message.encode()) == message
