"""vendor/sqlite/patch_queue.py: anchors, scopes, refusals, and outputs that stay when nothing changed."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "vendor" / "sqlite"))
queue = importlib.import_module("patch_queue")

SOURCE = """\
/* Begin */
typedef struct Thing Thing;
struct Thing {
  int a;                        /* first */
};
static int first(Thing *p);
static int first(Thing *p){
  /* p->a = 1; is what "}" this } does */
  if( p->a=='}' ){
    p->a = 1;
  }
  return 0;
}
SQLITE_PRIVATE void
second(
  Thing *p,                     /* a thing; { not a body */
  int n
){
#ifdef X
  if( n ){
#else
  if( n>1 ){
#endif
    p->a = 1;
  }
}
int oneLine(Thing *p){ p->a = 1; return 0; }
#ifdef Y
static int twice(Thing *p){
  return 1;
}
#else
static int twice(Thing *p){
  return 1;
}
#endif
int last(Thing *p){
{ p->a = 2;
}
  p->a = 1;
  return 3;
}
"""


def patch(folder: Path, edits: str, name: str = "0001-test.toml", group: str = "test") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'group = "{group}"\nwhy = "a test"\n{edits}', encoding="utf-8")


def edit(**keys: object) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"id": "e", **keys}.items()]
    return "\n[[edit]]\n" + "\n".join(lines) + "\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "stock"
    folder.mkdir()
    (folder / "sqlite3.c").write_text(SOURCE, encoding="utf-8", newline="\n")
    (folder / "sqlite3.h").write_text("int header;\n", encoding="utf-8", newline="\n")
    (folder / "sqlite3ext.h").write_text("int ext;\n", encoding="utf-8", newline="\n")
    return folder


def patched(source: Path, *edits: str) -> str:
    folder = source.parent / "patches"
    patch(folder, "".join(edits))
    queue.apply(source, source.parent / "out", patches=queue.load(folder))
    return (source.parent / "out" / "sqlite3.c").read_bytes().decode()


def refused(source: Path, *edits: str) -> str:
    with pytest.raises(queue.PatchError) as caught:
        patched(source, *edits)
    assert not (source.parent / "out").exists()
    return str(caught.value)


def test_before_and_after_add_whole_lines(source: Path) -> None:
    text = patched(
        source,
        edit(id="a", anchor="return 0;", function="first", before="  hook(p);"),
        edit(id="b", function="struct Thing", anchor="int a;", after="  int b;\n"),
    )
    expected = SOURCE.replace("  return 0;\n}", "  hook(p);\n  return 0;\n}")
    assert text == expected.replace("/* first */\n", "/* first */\n  int b;\n")


def test_replace_and_captures(source: Path) -> None:
    text = patched(
        source, edit(function="twice", anchor=r"return (\d);", regex=True, count=2, replace=r'return f("\n", \1);')
    )
    assert text == SOURCE.replace("return 1;", r'return f("\n", 1);')


def test_captures_only_with_regex(source: Path) -> None:
    assert r"\1" in patched(source, edit(anchor="return 3;", replace=r"\1"))


@pytest.mark.parametrize(("function", "line"), [
    ("first", "p->a = 1;\n  }\n  return 0"),
    ("second", "p->a = 1;\n  }\n}"),
    ("oneLine", "p->a = 1; return 0; }"),
    ("last", "p->a = 1;\n  return 3"),
])  # fmt: skip
def test_a_function_bounds_the_search(source: Path, function: str, line: str) -> None:
    anchor = r"^(.*)\bp->a = 1;(?! is)"
    text = patched(source, edit(function=function, anchor=anchor, regex=True, replace=r"\1HERE;"))
    assert text == SOURCE.replace(line, line.replace("p->a = 1;", "HERE;"))


def test_without_function_the_whole_file_counts(source: Path) -> None:
    assert patched(source, edit(anchor="p->a = 1;", count=5, replace="X")).count("X") == 6  # one in "#ifdef X"


def test_the_headers_can_be_edited(source: Path) -> None:
    assert patched(source, edit(file="sqlite3.h", anchor="int header;", after="int more;")) == SOURCE
    assert (source.parent / "out" / "sqlite3.h").read_text() == "int header;\nint more;\n"
    assert (source.parent / "out" / "sqlite3ext.h").read_text() == "int ext;\n"
    assert patched(source, edit(file="sqlite3ext.h", anchor="int ext;", before="int less;")) == SOURCE
    assert (source.parent / "out" / "sqlite3ext.h").read_text() == "int less;\nint ext;\n"


def test_edits_at_one_place_keep_the_order_of_the_queue(source: Path) -> None:
    edits = [edit(id=str(n), anchor="return 3;", before=f"  hook{n}();") for n in range(3)]
    assert "  hook0();\n  hook1();\n  hook2();\n  return 3;" in patched(source, *edits)


def test_edits_do_not_see_each_other(source: Path) -> None:
    first = edit(id="a", anchor="return 3;", replace="return 4;")
    told = refused(source, first, edit(id="b", anchor="return 4;", replace=";"))
    assert told == "0001-test.toml: b: anchor in sqlite3.c: expected 1, found 0"


@pytest.mark.parametrize(("keys", "told"), [
    ({"anchor": "nowhere"}, "anchor in sqlite3.c: expected 1, found 0"),
    ({"anchor": "return 1;"}, "anchor in sqlite3.c: expected 1, found 2"),
    ({"anchor": "return 1;", "count": 3}, "anchor in sqlite3.c: expected 3, found 2"),
    ({"anchor": "return 1;", "function": "first"}, "anchor in first of sqlite3.c: expected 1, found 0"),
    ({"anchor": "x", "function": "third"}, "third of sqlite3.c is not defined; expected 1, found 0"),
    ({"anchor": "x", "function": "struct first"}, "struct first of sqlite3.c is not defined; expected 1, found 0"),
])  # fmt: skip
def test_an_anchor_that_does_not_fit_stops(source: Path, keys: dict[str, object], told: str) -> None:
    assert refused(source, edit(replace="", **keys)) == f"0001-test.toml: e: {told}"


def test_overlapping_edits_stop(source: Path) -> None:
    told = refused(source, edit(id="a", anchor="return 3;", replace="x"), edit(id="b", anchor="3;", replace="y"))
    assert told == "0001-test.toml: b: overlaps 0001-test.toml: a"


def test_text_that_would_land_in_a_comment_stops(source: Path) -> None:
    (source / "sqlite3.c").write_text("int a; /* more\n** of it */\n")
    assert refused(source, edit(anchor="int a;", after="b")).endswith("the text would land inside a comment")


@pytest.mark.parametrize(("keys", "told"), [
    ({"anchor": "a", "before": "x", "after": "y"}, "one of before, after, replace is needed, 2 given"),
    ({"anchor": "a"}, "one of before, after, replace is needed, 0 given"),
    ({"replace": "x"}, "anchor is missing"),
    ({"anchor": "", "replace": "x"}, "anchor is missing"),
    ({"anchor": "(a)", "regex": True, "replace": r"\2"}, "the text asks for more groups than the anchor has"),
    ({"anchor": "x*", "regex": True, "replace": "y"}, "the anchor matches the empty text"),
    ({"anchor": "(", "regex": True, "replace": "y"}, "anchor: missing ), unterminated subpattern at position 0"),
    ({"anchor": "a", "replace": "x", "file": "x.c"}, "file x.c is not one of sqlite3.c, sqlite3.h, sqlite3ext.h"),
    ({"anchor": "a", "replace": "x", "count": 0}, "count 0 is under 1"),
    ({"anchor": "a", "replace": "x", "count": "1"}, "count must be of type int"),
    ({"anchor": "a", "replace": "x", "functoin": "f"}, "unknown key functoin"),
])  # fmt: skip
def test_a_wrong_edit_is_refused(source: Path, keys: dict[str, object], told: str) -> None:
    assert refused(source, edit(**keys)) == f"0001-test.toml: e: {told}"


def test_an_edit_has_fewer_than_sixty_lines(source: Path) -> None:
    text = edit(anchor="return 3;", before="LINES").replace('"LINES"', "'''" + "  x();\n" * 59 + "'''")
    assert patched(source, text).count("x();") == 59
    (source.parent / "out" / "sqlite3.c").unlink()
    with pytest.raises(queue.PatchError, match=re.escape("0001-test.toml: e: 60 lines, the limit is 59")):
        patched(source, text.replace("'''", "'''  x();\n", 1))


def test_a_wrong_patch_file_is_refused(tmp_path: Path) -> None:
    def told(text: str, name: str = "0001-test.toml") -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(queue.PatchError) as caught:
            queue.load(folder)
        return str(caught.value)

    good = 'group = "g"\nwhy = "w"\n' + edit(anchor="a", replace="b")
    assert told(good, "1-test.toml") == "1-test.toml: a patch is called NNNN-name.toml"
    assert told('why = "w"') == "0001-test.toml: group is missing"
    assert told('group = "g"') == "0001-test.toml: why is missing"
    assert told('group = "g"\nwhy = "w"') == "0001-test.toml: edit is missing"
    assert told(f"extra = 1\n{good}") == "0001-test.toml: unknown key extra"
    assert told(good + edit(anchor="b", replace="c")) == "0001-test.toml: e: this id is used twice"
    assert "0001-test.toml: " in told("group = ")
    with pytest.raises(queue.PatchError, match="no patches"):
        queue.load(tmp_path / "absent")


def test_two_patches_cannot_share_a_number(tmp_path: Path) -> None:
    patch(tmp_path, edit(anchor="a", replace="b"), "0001-one.toml")
    patch(tmp_path, edit(anchor="a", replace="b"), "0001-two.toml")
    with pytest.raises(queue.PatchError, match=r"^0001-two\.toml: another patch has the number 0001$"):
        queue.load(tmp_path)


def test_groups_choose_patches(source: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "patches", tmp_path / "out"
    patch(folder, edit(anchor="return 3;", replace="return 4;"), "0001-one.toml", "one")
    patch(folder, edit(anchor="return 0;\n", replace="return 5;\n"), "0002-two.toml", "two")
    patches = queue.load(folder)
    assert queue.apply(source, out, patches=patches) == ["0001-one.toml: e", "0002-two.toml: e"]
    assert queue.apply(source, out, ["two"], patches) == ["0002-two.toml: e"]
    text = (out / "sqlite3.c").read_text()
    assert "return 5;" in text
    assert "return 3;" in text
    with pytest.raises(queue.PatchError, match="no patch has the group three"):
        queue.apply(source, out, ["three"], patches)


def test_unchanged_outputs_keep_their_time(source: Path) -> None:
    out = source.parent / "out"
    patched(source, edit(anchor="return 3;", replace="return 4;"))
    names = ("sqlite3.c", "sqlite3.h", "sqlite3ext.h")
    for name in names:
        os.utime(out / name, (1000, 1000))
    patched(source, edit(anchor="return 3;", replace="return 4;"))
    assert [(out / name).stat().st_mtime for name in names] == [1000, 1000, 1000]
    patched(source, edit(anchor="return 3;", replace="return 5;"))
    assert (out / "sqlite3.c").stat().st_mtime > 1000
    assert [(out / name).stat().st_mtime for name in names[1:]] == [1000, 1000]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)


def test_bytes_that_are_no_text_survive(source: Path) -> None:
    stock = SOURCE.encode() + b"/* \xff\xe9 */\r\n"
    (source / "sqlite3.c").write_bytes(stock)
    patch(source.parent / "patches", edit(anchor="return 3;", replace="return 4;"))
    queue.apply(source, source.parent / "out", patches=queue.load(source.parent / "patches"))
    assert (source.parent / "out" / "sqlite3.c").read_bytes() == stock.replace(b"return 3;", b"return 4;")


def test_a_missing_source_is_named(source: Path) -> None:
    (source / "sqlite3.h").unlink()
    assert re.search(r"sqlite3\.h cannot be read: ", refused(source, edit(anchor="return 3;", replace="")))


def test_the_queue_of_the_project_is_well_formed() -> None:
    patches = queue.load()
    assert [patch.group for patch in patches][:2] == ["base", "close"]
    assert [edit.where for patch in patches for edit in patch.edits if patch.group == "close"] == [
        "0002-close-hook.toml: close-hook"
    ]
