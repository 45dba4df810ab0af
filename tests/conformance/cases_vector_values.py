"""Vectors as blobs: how a blob is recognised, conversions between the types, special values, columns and tables."""

from typing import Any

FUNCTIONS = ("vector", "vector32", "vector64", "vector16", "vectorb16", "vector8", "vector1bit")


def same(text: str) -> str:
    """The hexadecimal form of what a vector8 function gives without its pad bytes, which libSQL leaves as they were."""
    n = text.count(",") + 1
    return f"hex(substr({text}, 1, {n})) || hex(substr({text}, {(n + 3) // 4 * 4 + 1}))"


def float32(exponent: int, mantissa: int) -> str:
    return (exponent + 127 << 23 | mantissa).to_bytes(4, "little").hex()


BLOBS = {
    f"blob: {blob}": [
        f"select hex(vector(x'{blob}'))",
        f"select hex(vector64(x'{blob}')), hex(vector16(x'{blob}')), hex(vectorb16(x'{blob}'))",
        f"select hex(vector1bit(x'{blob}')), vector_extract(vector8(x'{blob}'))",
        f"select vector_extract(x'{blob}')",
        f"select vector_distance_cos(x'{blob}', x'{blob}')",
        f"select vector_distance_l2(x'{blob}', x'{blob}')",
    ]
    for blob in (
        # Empty vectors.
        "", "01", "02", "05", "06", "0000000000000000000004", "001003",
        # One of each type, and the odd ones that count.
        "0000803F", "0000803F01", "0000803F0000004000004040", "0000803F000000400000404001",
        "000000000000F03F02", "000000000000F03F0000000000000040000000000000084002",
        "003C05", "003C00C0004205", "803F06", "803F00C0404006",
        "00000000000000000000803F000304",
        "00FF00008180803B0000803F000204", "007FFF008180003C0000803F000104", "0055AAFFC1C0403C0000803F000004",
        "00407FBFFF0000008180803C0000803F000304", "00000000000000000000A040000104",
        "010F03", "000F03", "050D03", "FF0803", "FF01001703", "FFFF001003", "FFFF010F03", "FFFFFF0803",
        "FF0703", "FF0003", "FF0F03", "FE0F03", "FF0B03",
        # Types that do not exist.
        "00", "07", "08", "FF", "0000803F00", "0000803F07", "5B315D",
        # Lengths that do not fit.
        "0000", "000000000000", "0000803F0000", "0102030405060708090A",
        "000001", "000002", "00000000000001", "00000000000002", "0000803F02",
        "000000000000F03F000002", "000000000000F03F0000000002",
        "03", "04", "000003", "00000003", "00000000000003", "00000004", "0000000004", "000000000004",
        "000000000000000000000000000000000000000004", "00000000000000000000803F000004",
        "00000000000000000000803F000204", "000000000000000000803F000304",
    )
} | {
    # libSQL's distance functions can crash where the number of elements is negative.
    f"blob: {blob}": [f"select hex(vector(x'{blob}'))", f"select vector_extract(x'{blob}')"]
    for blob in ("000004", "00000000000000000000803F000504", "FF1103", "FFFF03", "001103")
} | {
    f"blob: {name}": [f"select length({function}({blob}))" for function in FUNCTIONS]
    for name, blob in (
        ("65536 float32", "zeroblob(4 * 65536)"),
        ("65537 float32", "zeroblob(4 * 65537)"),
        ("65536 float32 with its type", "cast(zeroblob(4 * 65536) || x'01' as blob)"),
        ("a megabyte", "zeroblob(1000000)"),
        ("65537 half", "cast(replace(hex(zeroblob(65537)), '00', 'ab') || x'05' as blob)"),
        ("65536 half", "cast(replace(hex(zeroblob(65536)), '00', 'ab') || x'05' as blob)"),
        ("65537 bfloat16", "cast(replace(hex(zeroblob(65537)), '00', 'ab') || x'06' as blob)"),
        ("65537 float64", "cast(replace(hex(zeroblob(65537)), '00', 'abcdabcd') || x'02' as blob)"),
        ("65536 bits", "cast(hex(zeroblob(4096)) || x'001003' as blob)"),
        ("65544 bits", "cast(hex(zeroblob(4096)) || x'000803' as blob)"),
        ("65540 float8", "cast(hex(zeroblob(32774)) || x'000004' as blob)"),
    )
}  # fmt: skip

CONVERSIONS: dict[str, list[Any]] = {
    f"convert: {source} to {target}, {name}": [
        f"select {same(call) if target == 'vector8' else f'hex({call})'}, vector_extract({call})"
        for call in (f"{target}({source}('[{elements}]'))",)
    ]
    for name, elements in (
        ("small", "1,-2,3"),
        ("edges", "-0.000001,1e-10,65519,-65520,0,1.99999,2049,3.4e38,0.1"),
    )
    for source in FUNCTIONS[1:]
    for target in FUNCTIONS[1:]
}

SPECIAL = {
    f"special: {name}": [
        f"select hex({function}({value})), vector_extract({function}({value}))"
        for function in FUNCTIONS[1:]
        if function != "vector8" or aligned
    ]
    + [f"select vector_extract({value})"]
    for name, value, aligned in (
        ("infinities", "'[1e400,-1e400,1e39,-1e39]'", True),
        ("float64 infinities", "vector64('[1e400,-1e400,1e308,-1e39]')", True),
        ("NaN", "x'0000C07F'", False),
        ("negative NaN", "x'0000C0FF'", False),
        ("NaN with its payload below", "x'0100807F'", False),
        ("signalling NaN", "x'0000A07F'", False),
        ("NaN among numbers", "x'0000803F0000C07F000000400000C0FF'", False),
        ("float64 NaN", "x'000000000000F87F02'", False),
        ("float64 NaN with its payload below", "x'010000000000F07F02'", False),
        ("half NaN", "x'007E05'", False),
        ("half NaN with payload", "x'017C01FC05'", False),
        ("bfloat16 NaN", "x'C07F06'", False),
        ("negative zero", "x'00000080'", False),
        ("half denormals", "x'0100FF03010480830080007C00FC05'", False),
        ("bfloat16 denormals", "x'01007F00800080000080807F80FF06'", False),
        ("float32 denormals", "x'01000000FFFF7F000000800001000080'", True),
        ("float8 with a NaN scale", "x'000102030000C07F0000803F000004'", False),
        ("float8 with an infinite shift", "x'000102030000803F0000807F000004'", False),
        ("float8 with a negative scale", "x'00010203000080BF0000803F000004'", True),
        ("float8 all equal", "vector8('[5,5,5,5]')", True),
        ("bits behind the end", "x'FF0D03'", False),
    )
}

# Values around the halves of a float16, so that each way of rounding shows.
HALVES = {
    f"halves: exponent {exponent}": [
        f"select hex(vector16(x'{''.join(float32(exponent, mantissa) for mantissa in mantissas)}'))"
        for mantissas in (
            (0x000000, 0x000FFF, 0x001000, 0x001001, 0x002FFF, 0x003000, 0x003001, 0x7FFFFF),
            (0x400000, 0x401000, 0x403000, 0x5FFFFF, 0x600000, 0x600001, 0x7FEFFF, 0x7FF000),
            (0x007FFF, 0x008000, 0x008001, 0x017FFF, 0x018000, 0x018001, 0x3FFFFF, 0x7FFFFE),
        )
    ]
    for exponent in (-127, -27, -26, -25, -24, -23, -20, -16, -15, -14, -13, 0, 14, 15, 16, 128)
}

BITS = {
    f"bits: {n} of them": [
        f"select hex(vector1bit('[{','.join('1' if i % step else '-1' for i in range(n))}]')), "
        f"vector_extract(vector1bit('[{','.join('1' if i % step else '-1' for i in range(n))}]'))"
        for step in (1, 2, 3, n + 1)
    ]
    for n in (1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 63, 64, 65)
}

FLOAT8 = {
    f"float8: {elements}": [
        f"select {same(f'vector8({x!r})')}, vector_extract(vector8({x!r}))",
        f"select vector_extract(vector8(vector64({x!r})))",
        f"select hex(substr(vector8({x!r}), -3))",
    ]
    for elements in (
        "1",
        "1,2",
        "1,2,3",
        "1,2,3,4",
        "1,2,3,4,5",
        "0,0,0",
        "-1,1",
        "0.1,0.2,0.3,0.4,0.5,0.6,0.7",
        "1e-45,0",
        "1e38,-1e38",
        "3e38,-3e38",
        "1e400,1",
        "1,1.0000001",
        "16777216,16777217",
        "0,255,127.5,128.5,0.49,0.5,0.51",
        "-3,-2,-1",
    )
    for x in (f"[{elements}]",)
}

CALLS = {
    f"call: {call}": [f"select {call}"]
    for function in ("vector", "vector64", "vector8", "vector1bit", "vector_extract")
    for call in (
        f"{function}()",
        f"{function}('[1]', '[2]')",
        f"{function}(null)",
        f"{function}(10)",
        f"{function}(1.5)",
        f"{function}(*)",
    )
} | {
    f"call: {call}": [f"select {call}"]
    for call in (
        "VECTOR('[1]')",
        "hex(Vector64('[1]'))",
        "vector('[1]') over ()",
        "vector('[1]') filter (where 1)",
        "hex(vector(distinct '[1]'))",
        "vector_f32('[1]')",
        "typeof(vector('[]')), vector('[]') is null, length(vector('[]'))",
        "quote(vector('[1,2]'))",
        "hex(vector('[1]') || 'x'), typeof(vector('[1]') || 'x')",
        "vector('[1]') = x'0000803F', vector('[1]') < vector('[2]'), vector('[1]') is vector64('[1]')",
        "hex(max(vector('[1]'), vector('[2]')))",
        "hex(substr(vector('[1,2]'), 5))",
        "length(vector(zeroblob(12))), vector_extract(zeroblob(12))",
        "vector(zeroblob(7))",
        "hex(coalesce(null, vector('[1]')))",
        "vector_extract(vector32(vector64(vector16(vectorb16(vector8(vector1bit('[1,-1,0]')))))))",
        "json(vector_extract('[1,2]')), json_array(vector_extract('[1,2]'))",
        "json_extract(vector_extract('[1.5,2]'), '$[0]')",
        "libsql_vector_idx(5), libsql_vector_idx('a', 1, 2), libsql_vector_idx(null), typeof(libsql_vector_idx(x'00'))",
        "hex(libsql_vector_idx(vector('[1]'))), libsql_vector_idx(1.5, 'metric=cosine')",
    )
} | {
    "call: list of functions": [
        "select name, builtin, type, enc, narg, flags from pragma_function_list where name in ('vector', 'vector32', "
        "'vector64', 'vector16', 'vectorb16', 'vector8', 'vector1bit', 'vector_extract', 'vector_distance_cos', "
        "'vector_distance_l2', 'libsql_vector_idx') order by name, narg"
    ]
}

CASES: dict[str, list[Any]] = {**BLOBS, **CONVERSIONS, **SPECIAL, **HALVES, **BITS, **FLOAT8, **CALLS}
