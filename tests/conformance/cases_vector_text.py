"""Vectors as text: what the grammar takes and refuses, how numbers are read and printed."""

FUNCTIONS = ("vector32", "vector64", "vector16", "vectorb16", "vector8", "vector1bit")


def show(value: str) -> list[str]:
    """What each function that takes one vector makes of an SQL expression."""
    return [
        f"select hex(vector({value})), typeof(vector({value})), length(vector({value}))",
        f"select hex(vector32({value}))",
        f"select hex(vector64({value})), vector_extract(vector64({value}))",
        f"select hex(vector16({value})), vector_extract(vector16({value}))",
        f"select hex(vectorb16({value})), vector_extract(vectorb16({value}))",
        f"select hex(vector1bit({value})), vector_extract(vector1bit({value}))",
        f"select vector_extract(vector8({value}))",
        f"select vector_extract({value}), typeof(vector_extract({value}))",
    ]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


GRAMMAR = {
    f"grammar: {text}": show(quoted(text))
    for text in (
        # Whole texts.
        "[]",
        "[ ]",
        " [] ",
        "[1]",
        " [1] ",
        "\t\n\v\f\r[1]\t\n\v\f\r",
        "[1,2,3]",
        "[1, 2, 3]",
        "[ 1 , 2 , 3 ]",
        "[1\n,\n2]",
        "[1 2]",
        "[1 2,3]",
        "[- 1 . 5 e 1]",
        "[1\t.\n5]",
        "",
        " ",
        "   ",
        "test",
        "null",
        "1,2",
        "1",
        "(1)",
        "{1}",
        "x[1]",
        "]",
        "][",
        "[",
        "[ ",
        "[1",
        "[1,",
        "[1.2",
        "[1,2",
        "[1;2]",
        "[1]]",
        "[1] x",
        "[1]x",
        "[1],",
        "[1][2]",
        "[] []",
        "[[1]",
        "[[1]]",
        "[1,[2]]",
        "[1,]",
        "[,1]",
        "[,]",
        "[,,]",
        "[1,,2]",
        "[1, ,2]",
        "[1, 2, 1.1.1, 4]",
        "[1, 2, 3, x",
        # Numbers that are none.
        "[nan]",
        "[NaN]",
        "[inf]",
        "[-Inf]",
        "[Infinity]",
        "[0x10]",
        "[1e]",
        "[1e+]",
        "[1e-]",
        "[e1]",
        "[.]",
        "[-]",
        "[+]",
        "[--1]",
        "[+-1]",
        "[1-]",
        "[1+1]",
        "[.e1]",
        "[1_000]",
        "[1e1.5]",
        "[1e1e1]",
        "[true]",
        "[null]",
        '["1"]',
        "['1']",
        "[1f]",
        "[1d]",
        "[1/2]",
        "[1%]",
        "[é]",
        "[\N{FULLWIDTH DIGIT ONE}]",
        "[1,2é]",
        "[1]é",
        "[1\N{NO-BREAK SPACE}]",
        "[1,\N{NO-BREAK SPACE}2]",
        "\N{ZERO WIDTH NO-BREAK SPACE}[1]",
    )
}

NUMBERS = {
    f"number: {text}": show(f"'[{text}]'")
    for text in (
        "0",
        "-0",
        "+0",
        "0.0",
        "-0.0",
        "00012",
        "+7",
        "-7",
        ".5",
        "-.5",
        "5.",
        "5.e1",
        ".5e1",
        "1e5",
        "1E5",
        "1e+5",
        "1e-5",
        "1e05",
        "0.1",
        "0.3",
        "2.5",
        "-2.5",
        "3.14159265358979",
        "-123456789",
        "16777216",
        "16777217",
        "16777219",
        "9007199254740993",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        "1.000000059604644775390625",
        "1.00000005960464477539062500000000000001",
        "-40.66516707661523",
        "1e38",
        "3.4028234e38",
        "3.4028235677973366e38",
        "1e39",
        "-1e39",
        "1.7976931348623157e308",
        "1e308",
        "1e309",
        "1e400",
        "-1e400",
        "1e99999999999",
        "1e-38",
        "1e-40",
        "1.4e-45",
        "7e-46",
        "1e-46",
        "1e-100",
        "-1e-100",
        "5e-324",
        "1e-400",
        "1e-99999999999",
        # Halves: where they round, overflow and become denormal.
        "65504",
        "65519.996",
        "65520",
        "-65520",
        "2048",
        "2049",
        "2051",
        "6.103515625e-05",
        "6.1e-05",
        "5.9604645e-08",
        "2.9802322e-08",
        "2.98023259e-08",
        "8.9406975e-08",
        # The upper half of a float32 alone.
        "1.99999",
        "3.4e38",
        "1.00390625",
        "1.0039062",
    )
}

PRINTED = {
    f"printed: {text}": [
        f"select vector_extract('[{text}]')",
        f"select vector_extract(vector64('[{text}]'))",
        f"select vector_extract(vector('[-{text}, {text}]'))",
    ]
    for text in (
        "100000",
        "999999",
        "100000.5",
        "100001.5",
        "999999.5",
        "999999.4",
        "1000000",
        "1234567",
        "1234565",
        "1234575",
        "0.0001",
        "0.00001",
        "0.000012345678",
        "0.000099999949",
        "0.00009999995",
        "123456.5",
        "12345.65",
        "1.5e10",
        "1e22",
        "1e23",
        "1.2345650000000001",
        "0.5",
        "0.333333333",
        "0.6666666666",
        "2.500001",
        "2.0000005",
        "1e100",
        "1.4012985e-45",
        "1.1754944e-38",
        "12.10",
        "1200",
    )
}


def commas(function: str, n: int) -> str:
    return f"{function}('[1' || replace(hex(zeroblob({n} - 1)), '00', ',1') || ']')"


LIMITS: dict[str, list[str]] = {
    "limit: characters of a number": [
        f"select hex(vector('[' || replace(hex(zeroblob({n})), '00', '1') || ']'))" for n in (1, 39, 40, 308, 309, 1000)
    ],
    "limit: 1024, 1025 and 1026 digits": [
        f"select hex(vector('[0.' || replace(hex(zeroblob({n} - 2)), '00', '1') || ']'))" for n in (1024, 1025, 1026)
    ],
    "limit: zeros in front": [
        f"select hex(vector('[' || replace(hex(zeroblob({n})), '00', '0') || '1]'))" for n in (1023, 1024, 1025)
    ],
    "limit: letters": [
        f"select hex(vector('[' || replace(hex(zeroblob({n})), '00', 'x') || ']'))" for n in (100, 1024, 1025, 1026)
    ],
    "limit: spaces in a number do not count": [
        "select hex(vector('[1' || replace(hex(zeroblob(2000)), '00', ' ') || '2]'))",
        "select hex(vector64('[' || replace(hex(zeroblob(1024)), '00', ' 1') || ']'))",
    ],
    "limit: a long number behind a short one": [
        "select hex(vector('[1,2,' || replace(hex(zeroblob(1030)), '00', '1') || ']'))",
        "select hex(vector('[1,x,' || replace(hex(zeroblob(1030)), '00', '1') || ']'))",
    ],
    **{
        f"limit: elements of {function}": [
            f"select length({commas(function, n)}), sum(length(hex({commas(function, n)})))" for n in (7, 65535, 65536)
        ]
        + [f"select length({commas(function, n)})" for n in (65537, 70000)]
        for function in FUNCTIONS
    },
    "limit: elements of a distance": [
        f"select vector_distance_l2({commas('', n)}, {commas('vector', n)})" for n in (1000, 65536, 65537)
    ],
    "limit: elements printed": [f"select length(vector_extract({commas('vector', n)}))" for n in (1000, 65536, 65537)],
    "limit: the size is counted before the numbers are read": [
        "select vector('[' || replace(hex(zeroblob(70000)), '00', ',') || ']')",
        "select vector('[x' || replace(hex(zeroblob(70000)), '00', ',1') || ']')",
        "select vector('[1' || replace(hex(zeroblob(70000)), '00', ',1'))",
    ],
}

OTHER = {
    "other: NUL ends a text": [
        "select hex(vector('[1]' || char(0)))",
        "select hex(vector('[1]' || char(0, 44)))",
        "select hex(vector('[1' || char(0) || ',2]'))",
        "select hex(vector(char(0) || '[1]'))",
    ],
    "other: parameters": [
        ("select hex(vector(?)), hex(vector64(?))", ["[1,2]", " [ 3 ] "]),
        ("select vector(?)", [None]),
        ("select vector(?)", [1]),
        ("select vector(?)", [1.5]),
        ("select vector(?)", [""]),
        ("select vector_extract(?)", ["[1e10, 2.50]"]),
        ("select vector_distance_l2(?, ?)", ["[1,2]", "[1,3]"]),
        ("select vector_distance_cos(?, ?)", ["[1,2]", "[1]"]),
        ("select vector_distance_cos(?1, ?1)", ["[1,2]"]),
    ],
    "other: a subtype is text": ["select hex(vector(json('[1,2]')))", "select hex(vector(json_array(1, 2.5)))"],
    "other: numbers that are cast": ["select vector(cast(1 as text))", "select hex(vector('[' || 1.5 || ']'))"],
    "other: text as a blob": [
        "select vector(cast('[1]' as blob))",
        "select vector(cast('[1,2' as blob))",
        "select vector_extract(cast('[1, 2]' as blob))",
    ],
    "other: one text per function": [
        f"select hex({function}('[-0.000001,1e-100,1e100,-1e10,1e-10,0,1.5]'))"
        for function in FUNCTIONS
        if function != "vector8"
    ]
    + ["select hex(vector1bit(vector64('[-0.000001,1e-100,1e100,-1e10,1e-10,0,1.5]')))"],
    "other: what is printed is read again": [
        f"select hex(vector(vector_extract(vector('[{text}]')))) = hex(vector('[{text}]'))"
        for text in ("1,2,3", "0.1,0.2", "1e10,1e-10", "1234567", "1e400")
    ],
}

CASES = {**GRAMMAR, **NUMBERS, **PRINTED, **LIMITS, **OTHER}
