"""The distance functions: values, special values, arguments they refuse."""

from typing import Any

FUNCTIONS = ("vector32", "vector64", "vector16", "vectorb16", "vector8", "vector1bit")


def both(a: str, b: str) -> list[Any]:
    """Both distances in each type, with their SQL types, in both orders."""
    steps = []
    for name in ("vector_distance_cos", "vector_distance_l2"):
        for function in FUNCTIONS:
            for x, y in ((a, b), (b, a)):
                call = f"{name}({function}('{x}'), {function}('{y}'))"
                steps.append(f"select {call}, typeof({call})")
        steps.append(f"select {name}('{a}', '{b}')")
    return steps


VALUES = {
    f"value: {a} {b}": both(a, b)
    for a, b in (
        ("[1]", "[1]"),
        ("[1]", "[-1]"),
        ("[1,1]", "[1,1]"),
        ("[1,2]", "[2,1]"),
        ("[1,2,3]", "[4,5,6]"),
        ("[1,2,3]", "[4,5,6.1]"),
        ("[1,2,-3]", "[-4,5,6]"),
        ("[1,0]", "[0,1]"),
        ("[1,2,3]", "[-1,-2,-3]"),
        ("[3,4]", "[0,0]"),
        ("[0,0]", "[0,0]"),
        ("[]", "[]"),
        ("[-21,-31,0,2,2.1,2.2,105]", "[-20,-30,0,1,1.1,1.2,100]"),
        ("[1,2,2,3,4,1,5]", "[2,3,1,-1,2,4,5]"),
        ("[10,-10]", "[10,-10]"),
        ("[-1000000,1000000]", "[-1000000,1000000]"),
        ("[1e20,1e20]", "[1e20,1e20]"),
        ("[1e20,1e20]", "[-1e20,1e20]"),
        ("[1e-20,1e-20]", "[1e-20,1e-20]"),
        ("[1e-20,1e-20]", "[-1e-20,1e-20]"),
        ("[1e-40,1e-40]", "[1,1]"),
        ("[1e400,1]", "[1,1]"),
        ("[1e400,1]", "[1e400,1]"),
        ("[1e400,1]", "[-1e400,1]"),
        ("[1e30,1]", "[-1e30,1]"),
        ("[1e150,1]", "[1,1e150]"),
        ("[1e-160,0]", "[1e-160,0]"),
        ("[0.1,0.2,0.3,0.4]", "[0.4,0.3,0.2,0.1]"),
        ("[1,2,3,4,5,6,7,8,9]", "[9,8,7,6,5,4,3,2,1]"),
        ("[1,1,1,1,1,1,1,1]", "[-1,1,-1,1,-1,1,-1,1]"),
        ("[5,5,5]", "[5,5,5]"),
        ("[5,5,5]", "[1,2,3]"),
        ("[-0,0]", "[0,-0]"),
    )
}

LENGTHS = {
    f"length: {n}": both(
        "[" + ",".join(str((i * 37 + 11) % 101 - 50.5) for i in range(n)) + "]",
        "[" + ",".join(str((i * 53 + 7) % 97 - 48.25) for i in range(n)) + "]",
    )
    for n in (2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 100, 127, 128, 129, 255, 257, 300)
}

SPECIAL = {
    f"special: {a} {b}": [
        f"select vector_distance_cos({a}, {b}), typeof(vector_distance_cos({a}, {b}))",
        f"select vector_distance_l2({a}, {b}), typeof(vector_distance_l2({a}, {b}))",
        f"select vector_distance_l2({b}, {a})",
        f"select vector_distance_cos({b}, {a}) is null",
    ]
    for a, b in (
        ("x'0000C07F'", "'[1]'"),
        ("x'0000C07F'", "x'0000C07F'"),
        ("x'0000807F'", "'[1]'"),
        ("x'0000803F01'", "'[2]'"),
        ("x'0000803F01'", "x'0000803F'"),
        ("x'01'", "'[]'"),
        ("x'02'", "vector64('[]')"),
        ("x'FF0703'", "x'FF01001703'"),
        ("x'FF0703'", "vector1bit('[1,1,1,1,1,1,1,1,1]')"),
        ("x'FF0C03'", "x'000C03'"),
        ("x'0F0C03'", "x'FF0C03'"),
        ("x'000000000000F87F02'", "vector64('[1]')"),
        ("x'000000000000F07F02'", "vector64('[1]')"),
        ("x'007E05'", "vector16('[1]')"),
        ("x'007C05'", "vector16('[1]')"),
        ("x'C07F06'", "vectorb16('[1]')"),
        ("x'000102030000C07F0000803F000004'", "vector8('[1,2,3,4]')"),
        ("x'000102030000803F0000807F000004'", "vector8('[1,2,3,4]')"),
        ("x'00010203000080BF0000803F000004'", "vector8('[1,2,3,4]')"),
        ("zeroblob(8)", "'[1,2]'"),
    )
}

REFUSED = {
    f"refused: {call}": [f"select {call}"]
    for name in ("vector_distance_cos", "vector_distance_l2")
    for call in (
        f"{name}()",
        f"{name}('[1]')",
        f"{name}('[1]', '[1]', '[1]')",
        f"{name}(null, null)",
        f"{name}(null, '[1]')",
        f"{name}('[1]', null)",
        f"{name}(1, '[1]')",
        f"{name}('[1]', 1.5)",
        f"{name}(1, 1.5)",
        f"{name}(1, 'x')",
        f"{name}('x', 1)",
        f"{name}('[1,2,3]', '[1,2]')",
        f"{name}('[1,2]', vector64('[1,2]'))",
        f"{name}('[1,2]', vector64('[1]'))",
        f"{name}(vector1bit('[1]'), vector8('[1]'))",
        f"{name}(vector1bit('[1]'), vector1bit('[1,1]'))",
        f"{name}(vector16('[1,2]'), vectorb16('[1,2]'))",
        f"{name}(x'', '[]')",
        f"{name}(x'', '[1]')",
        f"{name}('', '')",
        f"{name}('x', '[1]')",
        f"{name}('x', 'y')",
        f"{name}('x1', 'y1')",
        f"{name}('[1', '[1]')",
        f"{name}('[1]', '[1')",
        f"{name}('[1,]', '[1,2]')",
        f"{name}('[1,]', '[1]')",
        f"{name}('[,1]', '[1,1]')",
        f"{name}('[x]', '[]')",
        f"{name}('[x]', '[y]')",
        f"{name}('[1x]', '[2y]')",
        f"{name}('[1]]', '[1]')",
        f"{name}('[1] 2', '[1]')",
        f"{name}('[1],', '[1,2]')",
        f"{name}('[1 2]', '[12]')",
        f"{name}(x'00', '[1]')",
        f"{name}('[1', x'00')",
        f"{name}(x'000002', '[1]')",
        f"{name}('[1', vector64('[1]'))",
        f"{name}('x', vector64('[]'))",
        f"{name}(x'000000000000', '[1]')",
        f"{name}(cast('[1]' as blob), '[1]')",
        f"{name}(vector('[1]') || '', '[1]')",
    )
}

CASES = {**VALUES, **LENGTHS, **SPECIAL, **REFUSED}
