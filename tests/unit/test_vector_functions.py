"""libSQL's vector functions: what they write and read, their errors and their numbers."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import product

import pytest

import libsql_core

MAKERS = ("vector32", "vector64", "vector1bit", "vector8", "vector16", "vectorb16")
INF, NAN = math.inf, math.nan
# Parts of messages.
BLOB = "vector blob length must be divisible by"
SIZE = "vector: unexpected data part size:"
SAME = "vector_distance: vectors must have the same"
VALUE = "vector: unexpected value type: got"

A, B = "[-21,-31,0,2,2.1,2.2,105]", "[-20,-30,0,1,1.1,1.2,100]"


class Vectors(libsql_core.Connection):
    def value(self, expression: str, *values: object) -> object:
        return self.execute(f"select {expression}", values).fetchone()[0]

    def blob(self, expression: str, *values: object) -> bytes:
        value = self.value(expression, *values)
        assert isinstance(value, bytes)
        return value

    def number(self, expression: str, *values: object) -> float:
        value = self.value(expression, *values)
        assert isinstance(value, float)
        return value

    def refusal(self, expression: str, *values: object) -> str:
        with pytest.raises(libsql_core.OperationalError) as caught:
            self.value(expression, *values)
        assert caught.value.sqlite_errorcode == libsql_core.SQLITE_ERROR
        return str(caught.value)


@pytest.fixture(scope="module")
def db() -> Iterator[Vectors]:
    connection = Vectors(":memory:", isolation_level=None)
    yield connection
    connection.close()


def f32(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def f64(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}dB", *numbers, 2)


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("vector('[]')", ""), ("vector32('[1]')", "0000803F"), ("vector32('[1,2,3]')", "0000803F0000004000004040"),
        ("vector64('[]')", "02"), ("vector64('[1]')", "000000000000F03F02"),
        ("vector64('[1,2,3]')", "000000000000F03F0000000000000040000000000000084002"),
        ("vector16('[]')", "05"), ("vector16('[1]')", "003C05"), ("vector16('[1,2]')", "003C004005"),
        ("vector16('[1,-2,3]')", "003C00C0004205"),
        ("vectorb16('[]')", "06"), ("vectorb16('[1]')", "803F06"), ("vectorb16('[1,-1,3]')", "803F80BF404006"),
        ("vector8('[]')", "0000000000000000000004"), ("vector8('[1]')", "00000000000000000000803F000304"),
        ("vector8('[1,2]')", "00FF00008180803B0000803F000204"),
        ("vector8('[1,2,3]')", "007FFF008180003C0000803F000104"),
        ("vector8('[1,2,3,4]')", "0055AAFFC1C0403C0000803F000004"),
        ("vector8('[1,2,3,4,5]')", "00407FBFFF0000008180803C0000803F000304"),
        ("vector8('[5,5,5]')", "00000000000000000000A040000104"),
        ("vector1bit('[]')", "001003"), ("vector1bit('[1]')", "010F03"), ("vector1bit('[-1]')", "000F03"),
        ("vector1bit('[0]')", "000F03"), ("vector1bit('[1,-1,1]')", "050D03"),
        ("vector1bit('[1,1,1,1,1,1,1,1]')", "FF0803"), ("vector1bit('[1,1,1,1,1,1,1,1,1]')", "FF01001703"),
        ("vector1bit('[1' || replace(hex(zeroblob(15)), '00', ',1') || ']')", "FFFF001003"),
        ("vector1bit('[1' || replace(hex(zeroblob(16)), '00', ',1') || ']')", "FFFF010F03"),
        ("vector1bit('[1' || replace(hex(zeroblob(23)), '00', ',1') || ']')", "FFFFFF0803"),
        # Accepted forms that nothing here writes.
        ("vector(x'02')", ""), ("vector(x'05')", ""), ("vector(x'06')", ""), ("vector(x'01')", ""),
        ("vector(x'0000803F01')", "0000803F"), ("vector1bit(x'FF0703')", "FF07001703"),
        ("vector1bit(x'FF0003')", "FF00001003"), ("vector1bit(x'FF0F03')", "FF0F03"),
        ("vector8(x'01FFFFFF0000803F00000000FF0304')", "010000000000803F00000000000304"),
        # By way of float32, or not.
        ("vector1bit('[-0.000001,1e-100,1e100,-1e10,1e-10,0,1.5]')", "540903"),
        ("vector1bit(vector64('[-0.000001,1e-100,1e100,-1e10,1e-10,0,1.5]'))", "560903"),
        ("vectorb16('[1.99999]')", "FF3F06"), ("vectorb16(x'0100807F')", "807F06"),
        ("vectorb16(vector64('[1.9999999999]'))", "004006"), ("vector16(vector64('[1.000488281251]'))", "003C05"),
        ("vector16('[65519.9,65520,-65520]')", "FF7B007C00FC05"), ("vector16(x'0100C0FF')", "00FE05"),
        ("vector32(x'017E05')", "0000C07F"), ("vector32(x'01FE05')", "0000C0FF"),
        ("vector32(vector8(x'0000C07F0000803F00000040'))", "0000803F0000803F00000040"),
        ("vector8(x'0000803F0000C07F00000040')", "000000000000000000000040000104"),
        ("vector8(x'BAB295FF')", "00000000BAB2D5FFBAB295FF000304"),
        ("vector8(x'0000807F0000803F')", "000000000000807F0000803F000204"),
        ("vector8(vector64('[1.000488281251]'))", "FF000000000000000010803F000304"),
        ("vector8(vector64('[-1e-300,1e-300]'))", "00FF00000000000000000080000204"),
    ],
)  # fmt: skip
def test_encodings(db: Vectors, expression: str, written: str) -> None:
    assert db.blob(expression).hex().upper() == written


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("vector('')", "vector: must start with '['"), ("vector('   ')", "vector: must start with '['"),
        ("vector('test')", "vector: must start with '['"), ("vector('{1}')", "vector: must start with '['"),
        ("vector('[1.2')", "vector: must end with ']'"), ("vector('[1,')", "vector: must end with ']'"),
        ("vector('[')", "vector: must end with ']'"), ("vector('[' || char(0) || ']')", "vector: must end with ']'"),
        ("vector('[1]]')", "vector: non-space symbols after closing ']' are forbidden"),
        ("vector('[1] x')", "vector: non-space symbols after closing ']' are forbidden"),
        ("vector('[x] y')", "vector: invalid float at position 0: 'x'"),
        ("vector('[[1]')", "vector: invalid float at position 0: '[1'"),
        ("vector('[1, 2, 1.1.1, 4]')", "vector: invalid float at position 2: '1.1.1'"),
        ("vector('[1,]')", "vector: invalid float at position 1: ''"),
        ("vector('[,1]')", "vector: invalid float at position 0: ''"),
        *((f"vector('[{word}]')", f"vector: invalid float at position 0: '{word}'")
          for word in ("nan", "inf", "0x10", "1e", "1e+", ".", "-", "+-1", '"1"', "null", "1_0", "1é", "--1")),
        ("vector('[1 e + ]')", "vector: invalid float at position 0: '1e+'"),
        ("vector(x'000002')",
         f"vector: float64 {BLOB} 8 (excluding 'type'-byte): length=2"),
        ("vector(x'000001')",
         f"vector: float32 {BLOB} 4 (excluding optional 'type'-byte): length=2"),
        ("vector(x'03')",
         f"vector: float1bit {BLOB} 2 and not be empty (excluding 'type'-byte): length=0"),
        ("vector(x'04')",
         f"vector: float8 {BLOB} 2 and has at least 2 bytes (excluding 'type'-byte): length=0"),
        ("vector(x'00')", "vector: unexpected binary type: 0"),
        ("vector(x'FF')", "vector: unexpected binary type: 255"),
        ("vector(zeroblob(65537*4))", "vector: max size exceeded: 65537 > 65536"),
        ("vector(zeroblob(6))", f"{SIZE} type=1, dims=1, 6 != 4"),
        ("vector(zeroblob(65536*4+2))", f"{SIZE} type=1, dims=65536, 262146 != 262144"),
        ("vector(x'010101010000803F000000000700000004')", f"{SIZE} type=4, dims=6, 14 != 16"),
        # libSQL reads memory that is not the value's, or is out of memory.
        ("vector_extract(zeroblob(6))", f"{SIZE} type=1, dims=1, 6 != 4"),
        ("vector_distance_cos(zeroblob(6), zeroblob(6))", f"{SIZE} type=1, dims=1, 6 != 4"),
        ("vector(x'000004')", f"{SIZE} type=4, dims=-8, 0 != 8"),
        ("vector(x'FF1103')", f"{SIZE} type=3, dims=-1, 2 != 0"),
        ("vector(1.2)", f"{VALUE} FLOAT, expected TEXT or BLOB"),
        ("vector8(10)", f"{VALUE} INTEGER, expected TEXT or BLOB"),
        ("vector_extract(NULL)", f"{VALUE} NULL, expected TEXT or BLOB"),
        ("vector_distance_cos(NULL, '[1]')", f"{VALUE} NULL, expected TEXT or BLOB"),
        ("vector_distance_cos('[1,2,3]', '[1,2]')", f"{SAME} length: 3 != 2"),
        ("vector_distance_cos('[1,2]', vector64('[1,2]'))", f"{SAME} type: 1 != 2"),
        ("vector_distance_l2(vector1bit('[1]'), vector1bit('[1]'))",
         "vector_distance: l2 distance is not supported for float1bit vectors"),
        # What is checked first.
        ("vector_distance_cos('x', '[1]')", f"{SAME} length: 0 != 1"),
        ("vector_distance_cos('[1,x]', '[1]')", f"{SAME} length: 2 != 1"),
        ("vector_distance_cos('[1]' || char(0) || ',', '[1]')", f"{SAME} length: 2 != 1"),
        ("vector_distance_cos('[1,a]', '[1,2]')", "vector: invalid float at position 1: 'a'"),
        ("vector_distance_cos('[1,x]', vector64('[1]'))", f"{SAME} type: 1 != 2"),
        ("vector_distance_cos('x', x'00')", "vector: unexpected binary type: 0"),
        ("vector_distance_l2(vector1bit('[1]'), vector1bit('[1,2]'))", f"{SAME} length: 1 != 2"),
        ("vector()", "wrong number of arguments to function vector()"),
        ("vector('[1]', '[2]')", "wrong number of arguments to function vector()"),
        ("libsql_vector_idx()", "wrong number of arguments to function libsql_vector_idx()"),
    ],
)  # fmt: skip
def test_errors(db: Vectors, expression: str, message: str) -> None:
    assert db.refusal(expression) == message


def test_a_wrong_guess_of_the_length_is_noticed(db: Vectors) -> None:
    """libSQL would compare what lies behind the shorter vector."""
    message = db.refusal("vector_distance_l2('[1]' || char(0) || ',2', '[1,2]')")
    assert message == "vector_distance: vectors must have the same length: 1 != 2"


def test_limits_of_a_text(db: Vectors) -> None:
    assert db.blob("vector(?)", f"[{'0' * 1024}1]") == f32(1)
    digits = "0123456789" * 103
    assert db.refusal("vector(?)", f"[1,{digits[:500]} {digits[500:]}]") == (
        f"vector: float string length exceeded 1024 characters: '{digits[:1025]}'"
    )
    most = "1," * 65535
    assert db.blob("vector(?)", f"[{most}1]") == f32(1) * 65536
    assert db.blob("vector64(?)", f"[{most}1]") == f64(1)[:8] * 65536 + b"\2"
    assert db.refusal("vector(?)", f"[{most}1,1] x") == "vector: max size exceeded 65536"
    assert db.refusal("vector(?)", f"[{most}1,x]") == "vector: invalid float at position 65536: 'x'"
    assert db.refusal("vector(?)", f"[{most}1,1") == "vector: must end with ']'"


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("[1 2]", (12,)), ("[- 1 . 5 e 1]", (-15,)), (" \t\n\v\f\r[ 1 ,\v2\r]\n", (1, 2)), ("[ ]", ()),
        ("[.5,5.,+5,-.5e+1,5E-1]", (0.5, 5, 5, -5, 0.5)), ("[1e400,-1e39]", (INF, -INF)), ("[1e-50,-1e-50]", (0, -0.0)),
        ("[1e-45]", (2**-149,)), ("[1]\0x", (1,)), ("[0000000000000000000000000000001.5]", (1.5,)),
        ("[1e00000000000000000000000000001]", (10,)),
        ("[340282346638528859811704183484516925440]", (3.4028234663852886e38,)),
    ],
)  # fmt: skip
def test_texts(db: Vectors, text: str, elements: tuple[float, ...]) -> None:
    assert db.blob("vector(?)", text) == f32(*elements)


def narrow(number: float) -> float:
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return math.copysign(INF, number)
    return rounded


def random_numbers(count: int, seed: int) -> Iterator[float]:
    """float32 numbers of all sizes, most of them of that of an embedding's."""
    rnd = random.Random(seed)
    for _ in range(count):
        kind = rnd.random()
        if kind < 0.6:
            number = rnd.gauss(0, 1)
        elif kind < 0.8:
            number = rnd.gauss(0, 1) * 2.0 ** rnd.randrange(-30, 18)
        elif kind < 0.9:
            (number,) = struct.unpack("<f", rnd.randbytes(4))
        else:
            number = (rnd.randrange(2_000_000) + 0.5) / 2 ** rnd.randrange(6)
        yield narrow(number) if math.isfinite(number) else 0.0


def test_numbers_are_read_as_python_reads_them(db: Vectors) -> None:
    rnd = random.Random(1)
    for number in random_numbers(20_000, 1):
        text = rnd.choice((repr(number), f"{number:.{rnd.randrange(1, 18)}g}", f"{number:.6f}"))
        expected = float(text)
        assert db.blob("vector(?)", f"[{text}]") == f32(narrow(expected)), text
        if abs(expected) > 1e-20 and abs(expected) < 1e20:
            assert db.blob("vector64(?)", f"[{text}]") == f64(expected), text


def test_texts_beside_the_middle_of_two_float32(db: Vectors) -> None:
    for number in random_numbers(2_000, 2):
        middle = number + math.ulp(number) * 2**28
        for text in (f"{Decimal(middle):.25e}", f"{Decimal(math.nextafter(middle, INF)):.17g}", f"{middle!r}"):
            assert db.blob("vector(?)", f"[{text}]") == f32(narrow(float(text))), text


def as_text(number: float) -> str:
    """%g as SQLite has it: halves are rounded away from zero."""
    if number == 0:
        return "0"
    sign, digits, exponent = Context(prec=6, rounding=ROUND_HALF_UP).create_decimal(number).as_tuple()
    assert isinstance(exponent, int)
    shown = "".join(map(str, digits))
    power = exponent + len(shown) - 1
    if power < -4 or power > 5:
        point = shown.rstrip("0")
        text = f"{point[0]}{'.' if len(point) > 1 else ''}{point[1:]}e{'-' if power < 0 else '+'}{abs(power):02}"
    else:
        text = f"{Decimal((0, digits, exponent)):f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return "-" * sign + text


def test_numbers_are_written_rounded_away_from_zero(db: Vectors) -> None:
    numbers = [*random_numbers(20_000, 3), 100000.5, 0.0001, 0.00001, 1e6, 1234567.0, narrow(1e-45), -0.0, 17400150.0]
    for i in range(0, len(numbers), 500):
        expected = ",".join(map(as_text, numbers[i : i + 500]))
        assert db.value("vector_extract(?)", f32(*numbers[i : i + 500])) == f"[{expected}]"
    for seed in range(100):
        rnd = random.Random(seed)
        wide = [rnd.gauss(0, 1) * 10.0 ** rnd.randrange(-300, 300) for _ in range(50)]
        assert db.value("vector_extract(?)", f64(*wide)) == f"[{','.join(map(as_text, wide))}]"
    assert db.value("vector_extract(?)", f32(INF, -INF, NAN)) == "[Inf,-Inf,NaN]"
    assert db.value("vector_extract(vector64('[3.14159265358979]'))") == "[3.14159]"
    assert db.value("vector_extract(vector1bit('[3,-4]'))") == "[1,-1]"


def to_half(number: float) -> int:
    """Half, ties to even; below 2^-14 the bits that are shifted out do not take part."""
    u = int.from_bytes(struct.pack("<f", number), "little")
    sign, u = u >> 16 & 0x8000, u & 0x7FFFFFFF
    if u >= 0x477FF000:
        return sign | 0x7C00
    e = (u >> 23) - 127
    if e < -25:
        return sign
    m = u - (112 << 23) if e >= -14 else (u & 0x7FFFFF | 0x800000) >> (-e - 14)
    if m & 0x1FFF > 0x1000 - (m >> 13 & 1):
        m += 0x2000
    return sign | m >> 13


def to_float8(numbers: list[float]) -> bytes:
    if not numbers:
        return bytes(10) + b"\4"
    low, high = min(numbers), max(numbers)
    shift, alpha = low, narrow(narrow(high - low) / 255)
    data = b""
    for number in numbers:
        quotient = narrow(narrow(number - shift) / alpha) if alpha else 0.0
        data += bytes((0 if quotient < 0 else 255 if quotient > 255 else int(narrow(quotient + 0.5)),))
    pad = -len(numbers) % 4
    return data + bytes(pad) + f32(alpha, shift) + bytes((0, pad, 4))


def to_bits(numbers: list[float]) -> bytes:
    size = (len(numbers) + 7) // 8
    data = sum(1 << i for i, number in enumerate(numbers) if number > 0).to_bytes(size, "little")
    data += bytes(1 - size % 2)
    return data + bytes((8 * (len(data) + 1) - len(numbers), 3))


def encoded(maker: str, numbers: list[float]) -> bytes:
    if maker == "vector64":
        return f64(*numbers)
    if maker == "vector1bit":
        return to_bits(numbers)
    if maker == "vector8":
        return to_float8(numbers)
    if maker == "vector16":
        return struct.pack(f"<{len(numbers)}HB", *map(to_half, numbers), 5)
    if maker == "vectorb16":
        return b"".join(f32(number)[2:] for number in numbers) + b"\6"
    return f32(*numbers)


@pytest.mark.parametrize("maker", MAKERS)
def test_ten_thousand_vectors(db: Vectors, maker: str) -> None:
    """Each converts as the rules say, stays itself, and through float64 and back keeps its bytes."""
    rnd = random.Random(maker)
    numbers = list(random_numbers(150_000, 4))
    sql = f"select {maker}(?1), {maker}({maker}(?1)), vector64(vector32({maker}(?1))), vector64({maker}(?1))"
    for _ in range(10_000):
        i, n = rnd.randrange(140_000), rnd.randrange(40)
        part = numbers[i : i + n]
        if maker == "vector8" and part and max(part) - min(part) > 3e38:
            continue
        made, again, narrowed, wide = db.execute(sql, (f32(*part),)).fetchone()
        assert made == again == encoded(maker, part), part
        assert narrowed == wide
        if maker not in ("vector8", "vector1bit"):
            assert db.blob(f"{maker}(?)", wide) == made


@pytest.mark.parametrize(("source", "target"), [*product(MAKERS, MAKERS)])
def test_every_type_into_every_other(db: Vectors, source: str, target: str) -> None:
    text = "[0.5,-3,2,0,-0.25,1.5,8,-8,4]"
    value = db.blob(f"{source}(?)", text)
    (wide,) = struct.iter_unpack("<9f", db.blob("vector32(?)", value))
    if source != target:
        assert db.blob(f"{target}(?)", value) == encoded(target, list(wide))


@pytest.mark.parametrize(
    ("expression", "distance"),
    [
        ("vector_distance_cos('[1,1]', '[1,1]')", 0.0),
        ("vector_distance_cos('[1,2]', '[2,1]')", 0.20000000298023224),
        ("vector_distance_cos('[1,2,3]', '[4,5,6]')", 0.025368154048919678),
        ("vector_distance_cos(vector64('[1,2,3]'), vector64('[4,5,6]'))", 0.025368154048919678),
        ("vector_distance_cos(vector8('[1,2,3]'), vector8('[4,5,6]'))", 0.025410164147615433),
        ("vector_distance_l2('[1,2,3]', '[4,5,6.1]')", 5.25452184677124),
        ("vector_distance_cos(vector1bit('[1,2,-3]'), vector1bit('[-4,5,6]'))", 2.0),
        (f"vector_distance_cos('{A}', '{B}')", 0.000117244853754528),
        (f"vector_distance_cos(vector64('{A}'), vector64('{B}'))", 0.000117232571938075),
        (f"vector_distance_cos(vector16('{A}'), vector16('{B}'))", 0.000117182018584572),
        (f"vector_distance_cos(vectorb16('{A}'), vectorb16('{B}'))", 0.000116735325718764),
        (f"vector_distance_cos(vector8('{A}'), vector8('{B}'))", 0.000111237335659098),
        *((f"vector_distance_l2({f}('[1,2,2,3,4,1,5]'), {f}('[2,3,1,-1,2,4,5]'))", distance)
          for f, distance in (("vector32", 5.656854152679443), ("vector64", 5.656854152679443),
                              ("vector16", 5.656854152679443), ("vectorb16", 5.656854152679443),
                              ("vector8", 5.654135227203369))),
        ("vector_distance_cos(vector8('[10,-10]'), vector8('[10,-10]'))", 0.0),
        ("vector_distance_l2(vector8('[10,-10,3]'), vector8('[10,-10,3]'))", 0.0),
        ("vector_distance_l2('[]', '[]')", 0.0), ("vector_distance_cos(vector1bit('[]'), vector1bit('[]'))", 0.0),
        ("vector_distance_cos(vector64('[1e20,1e20]'), vector64('[1e20,1e20]'))", 0.0),
        ("vector_distance_cos(x'0000803F01', '[1]')", 0.0), ("vector_distance_cos(x'FF0F03', x'000F03')", 8.0),
    ],
)  # fmt: skip
def test_distances(db: Vectors, expression: str, distance: float) -> None:
    assert db.number(expression) == pytest.approx(distance, rel=3e-7, abs=2e-7)
    assert narrow(db.number(expression)) == db.number(expression)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("vector_distance_cos('[0,0]', '[1,2]')", None), ("vector_distance_cos('[]', '[]')", None),
        ("vector_distance_cos('[1e20,1e20]', '[1e20,1e20]')", None), ("vector_distance_cos('[1e39]', '[1]')", None),
        ("vector_distance_cos(vector16('[-1000000,1000000]'), vector16('[1,2]'))", None),
        ("vector_distance_cos('[1e-20,1e-20]', '[1e-20,1e-20]')", -INF),
        ("vector_distance_l2('[1e20,1e20]', '[-1e20,1e20]')", INF),
        ("vector_distance_l2(vector8('[1e20,1e20]'), vector8('[-1e20,1e20]'))", INF),
        ("vector_distance_l2('[1e39]', '[1e39]')", None),
        ("vector_distance_l2(vector8('[1e39,1]'), vector8('[1,2]'))", None),
    ],
)  # fmt: skip
def test_distances_that_are_no_numbers(db: Vectors, expression: str, value: float | None) -> None:
    assert db.value(expression) == value


@pytest.mark.parametrize("maker", MAKERS)
def test_distances_against_exact_sums(db: Vectors, maker: str) -> None:
    rnd = random.Random(maker)
    for n in (1, 2, 3, 7, 16, 17, 31, 64, 100, 384, 1000):
        blobs = [db.blob(f"{maker}(?)", f32(*(rnd.gauss(0, 1) for _ in range(n)))) for _ in range(2)]
        a, b = (struct.unpack(f"<{n}d", db.blob("vector64(?)", blob)[:-1]) for blob in blobs)
        dot = math.sumprod(a, b) if hasattr(math, "sumprod") else math.fsum(x * y for x, y in zip(a, b, strict=True))
        if maker == "vector1bit":
            assert db.number("vector_distance_cos(?, ?)", *blobs) == (n - dot) / 2
            continue
        cosine = 1 - dot / math.hypot(*a) / math.hypot(*b)
        # float8: libSQL's formula has differences of large terms, in float32.
        near = pytest.approx(cosine, abs=3e-6 if maker == "vector8" else 3e-7)
        assert db.number("vector_distance_cos(?, ?)", *blobs) == near
        assert db.number("vector_distance_l2(?, ?)", *blobs) == pytest.approx(math.dist(a, b), rel=1e-6)


def test_a_constant_text_is_that_of_its_statement(db: Vectors) -> None:
    """It is kept while the statement runs, and read anew when it runs again; a column's is read for each row."""
    db.execute("create temp table texts as select column1 v from (values ('[1,2]'), (vector('[3,4]')), ('[5,6]'))")
    sql = "select vector_distance_l2(v, ?1), vector_distance_l2(?1, v), vector_distance_l2('[1,1]', v) from texts"
    for _ in range(2):
        assert db.execute(sql, ("[1,2]",)).fetchall() == [(d, d, e) for d, e in zip(
            (0, narrow(8**0.5), narrow(32**0.5)), (1, narrow(13**0.5), narrow(41**0.5)), strict=True)]  # fmt: skip
        assert db.execute(sql, (f32(3, 4),)).fetchall()[1][:2] == (0, 0)
        assert db.execute(sql, ("[5,6]",)).fetchall()[2][:2] == (0, 0)
    with pytest.raises(libsql_core.OperationalError, match="invalid float at position 1: 'x'"):
        db.execute(sql, ("[5,x]",)).fetchall()
    with pytest.raises(libsql_core.OperationalError, match="same length: 2 != 3"):
        db.execute(sql, ("[5,6,7]",)).fetchall()


def test_marker(db: Vectors) -> None:
    assert db.execute("select libsql_vector_idx('x'), libsql_vector_idx(1.5, 'a', 2)").fetchone() == ("x", 1.5)


def test_functions_are_deterministic_and_innocuous(db: Vectors) -> None:
    found = dict(db.execute("select name, flags from pragma_function_list where name like '%vector%'"))
    assert len(found) == 23
    assert set(found.values()) == {0x200800}
    db.execute("pragma trusted_schema = off")
    db.execute("create table used(v check(vector_extract(v) <> ''), d as (vector_distance_l2(v, '[0]')))")
    db.execute("create index used_d on used(vector_distance_cos(v, '[1]'))")
    db.execute("insert into used values ('[2]')")
    assert db.execute("select d from used").fetchall() == [(2.0,)]
