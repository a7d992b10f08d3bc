"""Files of examples: what is read, and what is refused by the name of its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from interp.errors import InputError, LoadError
from interp.train.tasks.rows import Row, read_rows


def written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    rows = [{"text": 'a, "b"', "label": "1"}, {"text": "ü", "label": "x"}]
    lines = "\n\n".join(json.dumps(row) for row in rows)
    for path in (
        written(tmp_path / "a.jsonl", lines),
        written(tmp_path / "a.csv", 'text,label\n"a, ""b""",1\nü,x\n'),
        written(tmp_path / "a.tsv", 'text\tlabel\na, "b"\t1\nü\tx\n'),
    ):
        assert [dict(row.values) for row in read_rows(path)] == rows
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(lines.encode()))
    assert [dict(row.values) for row in read_rows(packed)] == rows


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"a": 1}\n{"a"', "line 2 is not JSON"),
        ("a.jsonl", "[1]", r"line 1 holds \[1\], not an object"),
        ("a.csv", "a,b\n1\n", "line 2 has 1 cells under 2 names"),
        ("a.xml", "<a/>", "no file of examples"),
        ("b.jsonl", '{"a": "\0"}', "zero bytes"),
    ],
)
def test_what_is_no_row_is_refused_with_its_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        list(read_rows(written(tmp_path / name, text)))


def test_a_missing_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        list(read_rows(tmp_path / "none.jsonl"))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 100)[:-9])
    with pytest.raises(LoadError, match="damaged"):
        list(read_rows(tmp_path / "a.jsonl.gz"))


def test_fields_are_what_they_should_be() -> None:
    row = Row({"t": "x", "n": 3, "w": ["a b", "c"], "s": "a b", "none": None, "d": {}}, "f, line 4")
    assert row.text("t") == "x" and row.text("n") == "3" and row.number("n") == 3
    assert row.texts("w") == ("a b", "c") and row.texts("s") == ("a b",)
    assert row.words("w") == ("a b", "c") and row.words("s") == ("a", "b")
    assert row.has("t") and not row.has("none") and not row.has("missing")
    with pytest.raises(InputError, match="line 4 has no field 'missing'; its fields are: t, n"):
        row.text("missing")
    with pytest.raises(InputError, match=r"'d' is \{\}, not text"):
        row.text("d")
    with pytest.raises(InputError, match="'t' is 'x', not a whole number"):
        row.number("t")
